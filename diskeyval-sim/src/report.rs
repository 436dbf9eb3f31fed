//! The judgement on a history.

use core::fmt;
use std::collections::BTreeMap;

use crate::checks::{Index, check_events, check_reads};
use crate::history::{Event, History, Numbered, Operation, Outcome, Quoted, Record};
use crate::linear::{self, Budget, Step, Values, Verdict, Window};

/// Judge a history.
pub fn check(history: &History) -> Report {
    check_within(history, Budget::default())
}

/// Judge a history, searching each key within a budget.
pub fn check_within(history: &History, budget: Budget) -> Report {
    let index = Index::new(history);
    let mut report = Report::counting(history, index.keys.len());
    let (violations, settled) = check_reads(&index);
    violations.into_iter().chain(check_events(&index)).for_each(|violation| report.add(violation));

    for (&key, operations) in &index.keys {
        let mut values = Values::default();
        let step = |&at: &usize| {
            let operation = &history.operations()[at].record;
            let step = Step::of(operation, &mut values)?;
            // What was found out already is not to be found out again, nor to hide anything else.
            let step = if settled.contains(&at) { step.blind(operation)? } else { step };
            Some((at, step))
        };
        let steps: Vec<(usize, Step)> = operations.iter().filter_map(step).collect();
        match linear::check_steps(&steps, budget) {
            Verdict::Linearizable => {}
            Verdict::Undecided => report.undecided.push(key.to_owned()),
            Verdict::Violated(window) => report.add(inexplicable(&index, key, &window)),
        }
    }
    report
}

fn inexplicable(
    index: &Index<'_>,
    key: &str,
    Window { operations, culprit, explained }: &Window,
) -> Violation {
    let evidence = |&at: &usize| Evidence { is_culprit: at == *culprit, ..index.evidence(at) };
    Violation {
        rule: Rule::NotLinearizable,
        key: key.to_owned(),
        detail: format!(
            "no order explains these {} operations; until the marked answer, all {explained} had an explanation",
            operations.len()
        ),
        evidence: operations.iter().map(evidence).collect(),
    }
}

/// The judgement on a history.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many operations there are.
    pub operations: usize,
    /// Of these, how many were answered.
    pub ok: usize,
    /// How many were refused.
    pub failed: usize,
    /// How many ended unknown.
    pub unknown: usize,
    /// How many keys the operations are about.
    pub keys: usize,
    /// How many events there are.
    pub events: usize,
    /// In how many streams.
    pub nodes: usize,
    /// Writes that were answered and are not there.
    pub lost: Vec<Violation>,
    /// Writes that took effect more than once.
    pub duplicated: Vec<Violation>,
    /// Reads that found less than they had to; and every key whose answers have no explanation, unless a lost
    /// or duplicated write of that key is one.
    pub stale: Vec<Violation>,
    /// Everything else.
    pub others: Vec<Violation>,
    /// The keys on which the search was given up.
    pub undecided: Vec<String>,
}

impl Report {
    /// Whether there is no violation. There may be undecided keys.
    pub fn is_clean(&self) -> bool {
        self.violations().next().is_none()
    }

    /// Every violation: lost, duplicated, stale, others.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        [&self.lost, &self.duplicated, &self.stale, &self.others].into_iter().flatten()
    }

    fn counting(history: &History, keys: usize) -> Report {
        let operations = history.operations();
        let ended = |how| operations.iter().filter(|operation| operation.record.outcome() == how).count();
        let mut streams: Vec<&str> =
            history.events().iter().map(|event| event.record.node.as_str()).collect();
        streams.sort_unstable();
        streams.dedup();
        Report {
            operations: operations.len(),
            ok: ended(Outcome::Ok(())),
            failed: ended(Outcome::Refused),
            unknown: ended(Outcome::Unknown),
            keys,
            events: history.events().len(),
            nodes: streams.len(),
            ..Report::default()
        }
    }

    fn add(&mut self, violation: Violation) {
        let explains = |others: &[Violation]| others.iter().any(|other| other.key == violation.key);
        match violation.rule {
            Rule::LostWrite => self.lost.push(violation),
            Rule::DuplicatedWrite => self.duplicated.push(violation),
            Rule::NotLinearizable if explains(&self.lost) || explains(&self.duplicated) => {
                self.others.push(violation);
            }
            Rule::StaleRead | Rule::NotLinearizable => self.stale.push(violation),
            _ => self.others.push(violation),
        }
    }
}

/// A fault that the history proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The rule that was broken.
    pub rule: Rule,
    /// The key that it is about.
    pub key: String,
    /// What happened, in words.
    pub detail: String,
    /// The records that prove it.
    pub evidence: Vec<Evidence>,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A value that was read was written by somebody.
    PhantomRead,
    /// A value was not read before its write was called.
    EarlyRead,
    /// A refused write, and a compare-and-set that did not swap, is never seen.
    RefusedSeen,
    /// A read does not find a lower revision than was there before its call.
    StaleRead,
    /// A write does not have a lower revision than was there before its call.
    RevisionOrder,
    /// Answers, reads and events tell one and the same revision of a write.
    RevisionMismatch,
    /// Some order of the operations on a key explains all answers.
    NotLinearizable,
    /// A write takes effect once.
    DuplicatedWrite,
    /// A write that was answered is on every node.
    LostWrite,
    /// A node reports changes once each, in the order of revisions.
    EventOrder,
    /// A revision is the same change on every node.
    EventDisagreement,
    /// A reported value was written by somebody.
    PhantomEvent,
    /// What one node reports, the others report.
    MissedEvent,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::PhantomRead => "phantom read",
            Rule::EarlyRead => "read before its write",
            Rule::RefusedSeen => "refused write seen",
            Rule::StaleRead => "stale read",
            Rule::RevisionOrder => "revisions against time",
            Rule::RevisionMismatch => "revision mismatch",
            Rule::NotLinearizable => "not linearizable",
            Rule::DuplicatedWrite => "duplicated write",
            Rule::LostWrite => "lost write",
            Rule::EventOrder => "events out of order",
            Rule::EventDisagreement => "nodes disagree",
            Rule::PhantomEvent => "phantom event",
            Rule::MissedEvent => "missed event",
        })
    }
}

/// A record that proves something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The line that it stands in.
    pub line: u64,
    /// The record.
    pub record: Record,
    /// Whether it is the one whose answer was one too many.
    pub is_culprit: bool,
}

impl Evidence {
    pub(crate) fn operation(Numbered { line, record }: &Numbered<Operation>) -> Evidence {
        Evidence { line: *line, record: Record::Operation(record.clone()), is_culprit: false }
    }

    pub(crate) fn event(Numbered { line, record }: &Numbered<Event>) -> Evidence {
        Evidence { line: *line, record: Record::Event(record.clone()), is_culprit: false }
    }
}

/// As many of each are printed; the rest is counted.
const SHOWN: usize = 20;

/// Several lines, for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { operations, ok, failed, unknown, keys, events, nodes, .. } = self;
        writeln!(f, "{operations} operations on {keys} keys: {ok} ok, {failed} failed, {unknown} unknown")?;
        writeln!(f, "{events} events of {nodes} nodes")?;
        let (lost, duplicated, stale) = (self.lost.len(), self.duplicated.len(), self.stale.len());
        let others = self.others.len();
        writeln!(f, "{lost} lost, {duplicated} duplicated, {stale} stale, {others} other violations")?;
        for class in [&self.lost, &self.duplicated, &self.stale, &self.others] {
            class.iter().take(SHOWN).try_for_each(|violation| write!(f, "\n{violation}"))?;
            if class.len() > SHOWN {
                writeln!(f, "\n... and {} more of this kind", class.len() - SHOWN)?;
            }
        }
        if !self.others.is_empty() {
            let mut rules = BTreeMap::<Rule, usize>::new();
            self.others.iter().for_each(|violation| *rules.entry(violation.rule).or_default() += 1);
            let count = |(rule, count): (&Rule, &usize)| format!("{rule}: {count}");
            let counts: Vec<String> = rules.iter().map(count).collect();
            writeln!(f, "\nother violations: {}", counts.join(", "))?;
        }
        if !self.undecided.is_empty() {
            writeln!(f, "\nundecided: the budget was too small for {} keys:", self.undecided.len())?;
            self.undecided.iter().take(SHOWN).try_for_each(|key| writeln!(f, "  {}", Quoted(key)))?;
        }
        match (self.is_clean(), self.undecided.is_empty()) {
            (true, true) => writeln!(f, "every answer has an explanation"),
            (true, false) => writeln!(f, "no violation was found, but not every key could be decided"),
            (false, _) => Ok(()),
        }
    }
}

/// A headline, and a line for each record.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { rule, key, detail, evidence } = self;
        writeln!(f, "{rule}, key {}: {detail}", Quoted(key))?;
        for Evidence { line, record, is_culprit } in evidence.iter().take(SHOWN) {
            let mark = if *is_culprit { "  <- has no explanation" } else { "" };
            writeln!(f, "  line {line}: {record}{mark}")?;
        }
        match evidence.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  ... and {more} more"),
        }
    }
}
