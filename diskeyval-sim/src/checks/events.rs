//! What nodes reported, against each other and against what clients were told.
//!
//! A stream may begin late (its node joined late, or somebody began to listen late) and end early (the node
//! was cut off, or the recording ended). So a change is missed in a stream only if its revision lies strictly
//! between the lowest and the highest revision of that stream. The revision of a write is known if its answer
//! says it, or if an event of its value does. If not, it is known to lie between two others: the store orders
//! all writes in one log, so that a write has a higher revision than every write that was answered before its
//! call, and a lower one than every write that was called after its answer.
//!
//! Times of events are not judged: an event may be recorded long after it was reported.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, Origin};
use crate::history::{Effect, Event, Operation, OrAbsent, Quoted};
use crate::report::{Rule, Violation};

/// The violations.
pub(crate) fn check(index: &Index<'_>) -> Vec<Violation> {
    if index.history.events().is_empty() {
        return Vec::new();
    }
    let told = Told::new(index);
    let mut found = Vec::new();
    order_in_streams(index, &told, &mut found);
    agreement(index, &told, &mut found);
    origins(index, &told, &mut found);
    answers(index, &told, &mut found);
    missed_changes(index, &told, &mut found);
    unreported_writes(index, &told, &mut found);
    found
}

/// What the events tell. Events are named by their places in the history.
struct Told<'h> {
    streams: BTreeMap<&'h str, Stream>,
    /// The first event of each revision.
    revisions: BTreeMap<u64, usize>,
    /// For each value given to a key, the first event of each of its revisions.
    values: BTreeMap<(&'h str, &'h str), BTreeMap<u64, usize>>,
}

#[derive(Default)]
struct Stream {
    events: Vec<usize>,
    revisions: BTreeSet<u64>,
}

impl Stream {
    /// Whether its ends are not within these bounds.
    fn spans(&self, low: u64, high: u64) -> bool {
        self.revisions.first().is_some_and(|&first| first <= low)
            && self.revisions.last().is_some_and(|&last| high <= last)
    }
}

impl<'h> Told<'h> {
    fn new(index: &Index<'h>) -> Told<'h> {
        let (mut streams, mut revisions) = (BTreeMap::<_, Stream>::new(), BTreeMap::new());
        let mut values = BTreeMap::<_, BTreeMap<_, _>>::new();
        for at in 0..index.history.events().len() {
            let Event { node, key, value, revision, .. } = index.event(at);
            let stream = streams.entry(node.as_str()).or_default();
            stream.events.push(at);
            stream.revisions.insert(*revision);
            revisions.entry(*revision).or_insert(at);
            if let Some(value) = value {
                values.entry((key.as_str(), value.as_str())).or_default().entry(*revision).or_insert(at);
            }
        }
        Told { streams, revisions, values }
    }

    /// The revision of a write that took effect, certainly or possibly, if it is known.
    fn revision_of(&self, index: &Index<'_>, at: usize) -> Option<u64> {
        let operation = index.operation(at);
        operation.revision_written().or_else(|| {
            let (key, value) = (operation.key.as_str(), operation.writes()?);
            let revisions = self.values.get(&(key, value)).filter(|revisions| revisions.len() == 1)?;
            (index.only_writer(key, value) == Some(at)).then_some(*revisions.first_key_value()?.0)
        })
    }

    /// The names of the nodes whose streams span these bounds and do not have the revision.
    fn nodes_without(&self, revision: Option<u64>, low: u64, high: u64) -> Option<String> {
        let is_without = |stream: &Stream| {
            stream.spans(low, high) && revision.is_none_or(|revision| !stream.revisions.contains(&revision))
        };
        let nodes = self.streams.iter().filter(|(_, stream)| is_without(stream));
        let names: Vec<String> = nodes.map(|(node, _)| Quoted(node).to_string()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// In a stream, revisions go up.
fn order_in_streams(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    for (node, stream) in &told.streams {
        for pair in stream.events.windows(2) {
            let (before, after) = (index.event(pair[0]), index.event(pair[1]));
            if after.revision > before.revision {
                continue;
            }
            let what = if after.revision == before.revision { "twice" } else { "after a higher one" };
            let detail = format!("node {} reported revision {} {what}", Quoted(node), after.revision);
            let draft = index.violation(Rule::EventOrder, &after.key, detail);
            found.push(draft.event(pair[0]).event(pair[1]).done());
        }
    }
}

/// A revision is one and the same change for all nodes.
fn agreement(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    for at in 0..index.history.events().len() {
        let event = index.event(at);
        let first = told.revisions[&event.revision];
        let before = index.event(first);
        if (&before.key, &before.value) != (&event.key, &event.value) {
            let detail = format!("revision {} is two different changes", event.revision);
            let draft = index.violation(Rule::EventDisagreement, &event.key, detail);
            found.push(draft.event(first).event(at).done());
        }
    }
}

/// A reported value was written, by a write that was not refused, and took effect no more often than it was
/// written.
fn origins(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    for (&(key, value), revisions) in &told.values {
        let shown = Quoted(value);
        let Some(&first) = revisions.values().next() else { continue };
        match index.origin(key, value) {
            Origin::Nobody => {
                let detail = format!("{shown} was reported, but nobody wrote it");
                found.push(index.violation(Rule::PhantomEvent, key, detail).event(first).done());
            }
            Origin::Refused(writer) => {
                let detail = format!("{shown} was reported, but its write was said to have no effect");
                let draft = index.violation(Rule::RefusedSeen, key, detail);
                found.push(draft.operation(writer).event(first).done());
            }
            Origin::Writers(writers) => {
                let (writes, effects) = (index.possible_writers(key, value), revisions.len());
                if effects > writes {
                    let detail =
                        format!("{shown} was written {writes} times, but took effect {effects} times");
                    let draft = index.violation(Rule::DuplicatedWrite, key, detail);
                    let draft = writers.iter().fold(draft, |draft, &at| draft.operation(at));
                    found.push(revisions.values().fold(draft, |draft, &at| draft.event(at)).done());
                }
            }
        }
    }
}

/// A client is told the revision that nodes report.
fn answers(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    for at in 0..index.history.operations().len() {
        let operation = index.operation(at);
        let (revision, value) = match (operation.revision_written(), operation.revision_read()) {
            (Some(revision), _) => (revision, operation.writes()),
            (None, Some(revision)) => (revision, operation.observed()),
            (None, None) => continue,
        };
        let key = operation.key.as_str();
        let there = told.revisions.get(&revision).copied().filter(|&event| {
            let event = index.event(event);
            event.key != key || event.value.as_deref() != value
        });
        let elsewhere = || {
            let revisions = told.values.get(&(key, value?))?;
            let is_elsewhere = !revisions.contains_key(&revision) && index.only_writer(key, value?).is_some();
            revisions.values().next().copied().filter(|_| is_elsewhere)
        };
        if let Some(other) = there.or_else(elsewhere) {
            let event = index.event(other);
            let (answered, reported) = (OrAbsent(value), OrAbsent(event.value.as_deref()));
            let detail = format!(
                "a client was told of {answered} at revision {revision}, a node reported {reported} at {}",
                event.revision
            );
            let draft = index.violation(Rule::RevisionMismatch, key, detail);
            found.push(draft.operation(at).event(other).done());
        }
    }
}

/// What one node reports, every node reports whose stream spans it.
fn missed_changes(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    let written = |at| Some((index.operation(at).revision_written()?, at));
    let answered: BTreeMap<u64, usize> = (0..index.history.operations().len()).filter_map(written).collect();
    for (&revision, &at) in &told.revisions {
        let Some(nodes) = told.nodes_without(Some(revision), revision, revision) else { continue };
        let event = index.event(at);
        let by_value = || index.only_writer(&event.key, event.value.as_deref()?);
        let is_answered = |&writer: &usize| {
            let writer = index.operation(writer);
            writer.effect() == Effect::Certain
                && (&writer.key, writer.writes()) == (&event.key, event.value.as_deref())
        };
        let writer = answered.get(&revision).copied().or_else(by_value).filter(is_answered);
        let rule = if writer.is_some() { Rule::LostWrite } else { Rule::MissedEvent };
        let detail = format!("revision {revision} is not on {nodes}");
        let draft = index.violation(rule, &event.key, detail);
        let draft = writer.into_iter().fold(draft, |draft, writer| draft.operation(writer));
        found.push(draft.event(at).done());
    }
}

/// A write that was answered is reported by every node whose stream spans it.
fn unreported_writes(index: &Index<'_>, told: &Told<'_>, found: &mut Vec<Violation>) {
    let bounds = Bounds::new(index, told);
    for at in 0..index.history.operations().len() {
        let operation = index.operation(at);
        if operation.effect() != Effect::Certain {
            continue;
        }
        let (key, value) = (operation.key.as_str(), operation.writes());
        if value.is_some_and(|value| told.values.contains_key(&(key, value))) {
            continue;
        }
        let between = match operation.revision_written() {
            // Another change was reported there, which is told as a mismatch.
            Some(revision) if told.revisions.contains_key(&revision) => continue,
            Some(revision) => Some((revision, revision)),
            // A removal has no value by which to find its event.
            None => value.and_then(|_| bounds.around(operation)),
        };
        let without = between.and_then(|(low, high)| told.nodes_without(None, low, high));
        if let Some(nodes) = without {
            let detail = format!("a write was answered, but is not on {nodes}");
            found.push(index.violation(Rule::LostWrite, key, detail).operation(at).done());
        }
    }
}

/// Between which revisions a write lies, by its times.
struct Bounds {
    /// By time of return: the highest revision that was answered by then.
    answered: Vec<(u64, u64)>,
    /// By time of call: the lowest revision that was called from then on.
    called: Vec<(u64, u64)>,
}

impl Bounds {
    fn new(index: &Index<'_>, told: &Told<'_>) -> Bounds {
        let known = |at| Some((index.operation(at), told.revision_of(index, at)?));
        let known: Vec<(&Operation, u64)> = (0..index.history.operations().len()).filter_map(known).collect();

        let answer = |&(operation, revision): &(&Operation, u64)| {
            Some((operation.returned.filter(|_| operation.effect() == Effect::Certain)?, revision))
        };
        let mut answered: Vec<(u64, u64)> = known.iter().filter_map(answer).collect();
        answered.sort_unstable();
        let mut highest = 0;
        for (_, revision) in &mut answered {
            highest = highest.max(*revision);
            *revision = highest;
        }

        let mut called: Vec<(u64, u64)> =
            known.iter().map(|(operation, revision)| (operation.call, *revision)).collect();
        called.sort_unstable();
        let mut lowest = u64::MAX;
        for (_, revision) in called.iter_mut().rev() {
            lowest = lowest.min(*revision);
            *revision = lowest;
        }
        Bounds { answered, called }
    }

    fn around(&self, operation: &Operation) -> Option<(u64, u64)> {
        let returned = operation.returned?;
        let before = self.answered.partition_point(|&(returned, _)| returned < operation.call);
        let after = self.called.partition_point(|&(call, _)| call <= returned);
        Some((self.answered.get(before.checked_sub(1)?)?.1, self.called.get(after)?.1))
    }
}
