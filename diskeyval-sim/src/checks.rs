//! Checks that are fast, say exactly what is wrong, and are necessary but not sufficient: what they
//! find is a fault, what they do not find may be one (the search of [`linear`](crate::linear) decides).

use std::collections::BTreeMap;

use crate::history::{Effect, Event, History, Operation};
use crate::report::{Evidence, Rule, Violation};

mod events;
mod reads;

pub(crate) use events::check as check_events;
pub(crate) use reads::check as check_reads;

/// The history with what the checks look up in it.
pub(crate) struct Index<'h> {
    history: &'h History,
    /// The operations on a key, by their places in the history.
    pub(crate) keys: BTreeMap<&'h str, Vec<usize>>,
    /// The operations that write a value to a key.
    writers: BTreeMap<(&'h str, &'h str), Vec<usize>>,
}

/// Who wrote a value to a key.
enum Origin<'i> {
    /// Nobody.
    Nobody,
    /// Only operations that certainly had no effect; the first of them.
    Refused(usize),
    /// At least one of these.
    Writers(&'i [usize]),
}

impl<'h> Index<'h> {
    pub(crate) fn new(history: &'h History) -> Index<'h> {
        let (mut keys, mut writers) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (at, operation) in history.operations().iter().enumerate() {
            let operation = &operation.record;
            keys.entry(operation.key.as_str()).or_default().push(at);
            if let Some(value) = operation.writes() {
                writers.entry((operation.key.as_str(), value)).or_default().push(at);
            }
        }
        Index { history, keys, writers }
    }

    fn operation(&self, at: usize) -> &'h Operation {
        &self.history.operations()[at].record
    }

    fn event(&self, at: usize) -> &'h Event {
        &self.history.events()[at].record
    }

    fn writers<'i>(&'i self, key: &'i str, value: &'i str) -> &'i [usize] {
        self.writers.get(&(key, value)).map_or(&[], |writers| writers)
    }

    fn origin<'i>(&'i self, key: &'i str, value: &'i str) -> Origin<'i> {
        let writers = self.writers(key, value);
        match writers.first() {
            None => Origin::Nobody,
            Some(&first) if self.possible_writers(key, value) == 0 => Origin::Refused(first),
            Some(_) => Origin::Writers(writers),
        }
    }

    /// How many operations wrote the value, certainly or possibly.
    fn possible_writers(&self, key: &str, value: &str) -> usize {
        let may = |&&at: &&usize| self.operation(at).effect() != Effect::None;
        self.writers(key, value).iter().filter(may).count()
    }

    /// The only operation that can have written the value.
    fn only_writer(&self, key: &str, value: &str) -> Option<usize> {
        let may = |at: &usize| self.operation(*at).effect() != Effect::None;
        let mut writers = self.writers(key, value).iter().copied().filter(may);
        let first = writers.next();
        if writers.next().is_some() { None } else { first }
    }

    fn violation(&self, rule: Rule, key: &str, detail: String) -> Draft<'_, 'h> {
        Draft {
            index: self,
            violation: Violation { rule, key: key.to_owned(), detail, evidence: Vec::new() },
        }
    }

    /// The evidence of an operation.
    pub(crate) fn evidence(&self, at: usize) -> Evidence {
        Evidence::operation(&self.history.operations()[at])
    }
}

/// A violation whose evidence is being gathered.
struct Draft<'i, 'h> {
    index: &'i Index<'h>,
    violation: Violation,
}

impl Draft<'_, '_> {
    fn operation(mut self, at: usize) -> Self {
        self.violation.evidence.push(self.index.evidence(at));
        self
    }

    fn event(mut self, at: usize) -> Self {
        self.violation.evidence.push(Evidence::event(&self.index.history.events()[at]));
        self
    }

    fn done(self) -> Violation {
        self.violation
    }
}
