//! What operations say about each other, without a search.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, Origin};
use crate::history::{Effect, Quoted};
use crate::report::{Rule, Violation};

/// The violations, and the operations whose observations need not be explained any more.
pub(crate) fn check(index: &Index<'_>) -> (Vec<Violation>, BTreeSet<usize>) {
    let mut found = Vec::new();
    let mut settled = BTreeSet::new();
    for operations in index.keys.values() {
        for &at in operations {
            if let Some(violation) = impossible_value(index, at) {
                found.push(violation);
                settled.insert(at);
            }
        }
        revisions_in_time(index, operations, &mut found, &mut settled);
    }
    revisions_of_values(index, &mut found);
    revisions_taken_twice(index, &mut found);
    (found, settled)
}

/// A value was observed that was not there to be observed.
fn impossible_value(index: &Index<'_>, at: usize) -> Option<Violation> {
    let operation = index.operation(at);
    let (key, value) = (operation.key.as_str(), operation.observed()?);
    let shown = Quoted(value);
    match index.origin(key, value) {
        Origin::Nobody => {
            let detail = format!("{shown} was read, but nobody wrote it");
            Some(index.violation(Rule::PhantomRead, key, detail).operation(at).done())
        }
        Origin::Refused(writer) => {
            let detail = format!("{shown} was read, but its write was said to have no effect");
            Some(index.violation(Rule::RefusedSeen, key, detail).operation(writer).operation(at).done())
        }
        Origin::Writers(writers) => {
            let may = |&writer: &usize| writer != at && index.operation(writer).effect() != Effect::None;
            let first =
                writers.iter().copied().filter(may).min_by_key(|&writer| index.operation(writer).call)?;
            if index.operation(first).call <= operation.returned? {
                return None;
            }
            let detail = format!("{shown} was read before its write was called");
            Some(index.violation(Rule::EarlyRead, key, detail).operation(at).operation(first).done())
        }
    }
}

/// On one key, what is called after something returned has no lower revision, and a write has a higher one.
fn revisions_in_time(
    index: &Index<'_>,
    operations: &[usize],
    found: &mut Vec<Violation>,
    settled: &mut BTreeSet<usize>,
) {
    let revision = |at: usize| {
        let operation = index.operation(at);
        operation.revision_written().or(operation.revision_read())
    };
    let mut called: Vec<usize> = operations.iter().copied().filter(|&at| revision(at).is_some()).collect();
    called.sort_by_key(|&at| (index.operation(at).call, at));
    let mut returned = called.clone();
    returned.retain(|&at| index.operation(at).returned.is_some());
    returned.sort_by_key(|&at| (index.operation(at).returned, at));

    let mut returned = returned.into_iter().peekable();
    let mut newest: Option<usize> = None;
    for at in called {
        let operation = index.operation(at);
        let is_earlier = |earlier: &usize| index.operation(*earlier).returned < Some(operation.call);
        while let Some(earlier) = returned.next_if(is_earlier) {
            // A read that is a violation itself is no measure for others.
            let is_newer = newest.is_none_or(|newest| revision(newest) < revision(earlier));
            if is_newer && !settled.contains(&earlier) {
                newest = Some(earlier);
            }
        }
        let Some(newest) = newest else { continue };
        let (now, before) = (revision(at).unwrap_or(0), revision(newest).unwrap_or(0));
        let (rule, detail) = if operation.effect() == Effect::Certain && now <= before {
            let detail = format!("revision {now} was written after revision {before} was there already");
            (Rule::RevisionOrder, detail)
        } else if operation.revision_read().is_some() && now < before && !settled.contains(&at) {
            settled.insert(at);
            (Rule::StaleRead, format!("revision {now} was read after revision {before} was there already"))
        } else {
            continue;
        };
        found.push(index.violation(rule, &operation.key, detail).operation(newest).operation(at).done());
    }
}

/// A value has one revision: the one that its write was given, and that every read of it tells.
fn revisions_of_values(index: &Index<'_>, found: &mut Vec<Violation>) {
    // By key and value: a read for each revision that was read.
    let mut read = BTreeMap::<(&str, &str), BTreeMap<u64, usize>>::new();
    for at in 0..index.history.operations().len() {
        let operation = index.operation(at);
        if let (Some(revision), Some(value)) = (operation.revision_read(), operation.observed()) {
            read.entry((&operation.key, value)).or_default().entry(revision).or_insert(at);
        }
    }
    for ((key, value), reads) in read {
        let Some(writer) = index.only_writer(key, value) else { continue };
        let shown = Quoted(value);
        if reads.len() > 1 {
            let detail = format!("{shown} was written once, but read at {} revisions", reads.len());
            let draft = index.violation(Rule::DuplicatedWrite, key, detail).operation(writer);
            found.push(reads.values().fold(draft, |draft, &at| draft.operation(at)).done());
            continue;
        }
        let written = index.operation(writer).revision_written();
        if let (Some((&revision, &at)), Some(written)) = (reads.first_key_value(), written)
            && revision != written
        {
            let detail = format!("{shown} was written at revision {written}, but read at {revision}");
            let draft = index.violation(Rule::RevisionMismatch, key, detail);
            found.push(draft.operation(writer).operation(at).done());
        }
    }
}

/// A revision is given to one write.
fn revisions_taken_twice(index: &Index<'_>, found: &mut Vec<Violation>) {
    let mut owners = BTreeMap::<u64, usize>::new();
    for at in 0..index.history.operations().len() {
        let operation = index.operation(at);
        let Some(revision) = operation.revision_written() else { continue };
        let first = *owners.entry(revision).or_insert(at);
        if first != at {
            let detail = format!("two writes were given revision {revision}");
            let draft = index.violation(Rule::RevisionMismatch, &operation.key, detail);
            found.push(draft.operation(first).operation(at).done());
        }
    }
}
