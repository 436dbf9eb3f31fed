//! What clients did and what nodes reported: the material that is judged.
//!
//! A history is a list of [`Record`]s. As text it is one JSON object a line; [`lines`](crate::lines) reads
//! and writes that form.

use core::fmt;

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What a client asked, and what it was told.
    Operation(Operation),
    /// What a node reported of itself.
    Event(Event),
}

/// What a client asked, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked. Only for people to read: nothing is concluded from it.
    pub client: u64,
    /// The key.
    pub key: String,
    /// What was asked, and how that ended.
    pub action: Action,
    /// When it was asked, in nanoseconds.
    pub call: u64,
    /// When the answer was there (or the client gave up), on the clock of `call`. An operation that ended
    /// as [`Outcome::Ok`] has one; without one it is taken to have ended never, which only weakens checks.
    pub returned: Option<u64>,
    /// Of a write that took effect: the revision that it was given. Of a read that found a value: the
    /// revision of the write of that value. Of anything else it means nothing and is not looked at.
    pub revision: Option<u64>,
}

/// What was asked, and how that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give the key a value.
    Set {
        /// The value: written by no other operation.
        value: String,
        /// How it ended.
        outcome: Outcome<()>,
    },
    /// Read the key.
    Get {
        /// How it ended; `None` means that the key was absent.
        outcome: Outcome<Option<String>>,
    },
    /// Remove the key.
    Delete {
        /// How it ended: whether there was such a key.
        outcome: Outcome<bool>,
    },
    /// Give the key a value if it is as expected.
    CompareAndSet {
        /// What is expected of the key; `None` means absent.
        expect: Option<String>,
        /// The value, written by no other operation; `None` removes the key.
        value: Option<String>,
        /// How it ended: whether the key was as expected, and so has the value.
        outcome: Outcome<bool>,
    },
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was answered.
    Ok(T),
    /// It certainly has no effect, neither before nor after (`"fail"` in a line).
    Refused,
    /// It may take effect at any time after its call, once, or never.
    Unknown,
}

/// A change of the store, as one node reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The node, or more exactly the stream: the events of one name are one unbroken stream, in the order of
    /// the history. It may begin late and end early. A node that restarts, or that skips events and
    /// says so, begins a stream, which needs a name of its own (`"n1#2"`, say).
    pub node: String,
    /// The key.
    pub key: String,
    /// Its value from now on; `None` means that it was removed.
    pub value: Option<String>,
    /// The revision of the change: its place in the one order of all changes.
    pub revision: u64,
    /// When it was reported, in nanoseconds. Only for people to read.
    pub at: u64,
}

/// Everything that was recorded of one run of one store, from its very beginning: every key is absent at
/// first, and every write is recorded. The order of the operations does not matter; that of one node's events
/// does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    operations: Vec<Numbered<Operation>>,
    events: Vec<Numbered<Event>>,
    last_line: u64,
}

/// A record and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<T> {
    /// The line that it was read from, counted from 1; of a history that was not read, its place.
    pub line: u64,
    /// The record.
    pub record: T,
}

impl History {
    /// One without records.
    pub fn new() -> History {
        History::default()
    }

    /// Add a record as the next line.
    pub fn push(&mut self, record: Record) {
        self.push_at(self.last_line + 1, record);
    }

    /// Add a record that stands in that line.
    pub(crate) fn push_at(&mut self, line: u64, record: Record) {
        self.last_line = line;
        match record {
            Record::Operation(record) => self.operations.push(Numbered { line, record }),
            Record::Event(record) => self.events.push(Numbered { line, record }),
        }
    }

    /// What clients did, in the order of the lines.
    pub fn operations(&self) -> &[Numbered<Operation>] {
        &self.operations
    }

    /// What nodes reported, in the order of the lines.
    pub fn events(&self) -> &[Numbered<Event>] {
        &self.events
    }
}

impl History {
    /// All records, in the order of the lines.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let operations = self.operations.iter().map(|op| (op.line, Record::Operation(op.record.clone())));
        let events = self.events.iter().map(|event| (event.line, Record::Event(event.record.clone())));
        let mut all: Vec<(u64, Record)> = operations.chain(events).collect();
        all.sort_by_key(|(line, _)| *line);
        all.into_iter().map(|(_, record)| record)
    }
}

impl FromIterator<Record> for History {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> History {
        let mut history = History::new();
        records.into_iter().for_each(|record| history.push(record));
        history
    }
}

/// Whether an operation changes the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It did.
    Certain,
    /// It may have, or may yet.
    Possible,
    /// It did not, and will not.
    None,
}

impl Operation {
    /// The value that it gives to its key, if it takes effect and is no removal.
    pub(crate) fn writes(&self) -> Option<&str> {
        match &self.action {
            Action::Set { value, .. } => Some(value),
            Action::CompareAndSet { value, .. } => value.as_deref(),
            Action::Get { .. } | Action::Delete { .. } => None,
        }
    }

    /// The value that its key certainly had for a moment between call and return.
    pub(crate) fn observed(&self) -> Option<&str> {
        match &self.action {
            Action::Get { outcome: Outcome::Ok(read) } => read.as_deref(),
            Action::CompareAndSet { expect, outcome: Outcome::Ok(true), .. } => expect.as_deref(),
            _ => None,
        }
    }

    /// Whether it changes the store.
    pub(crate) fn effect(&self) -> Effect {
        let of_answer = |changed: &Outcome<bool>| match changed {
            Outcome::Ok(true) => Effect::Certain,
            Outcome::Ok(false) | Outcome::Refused => Effect::None,
            Outcome::Unknown => Effect::Possible,
        };
        match &self.action {
            Action::Set { outcome: Outcome::Ok(()), .. } => Effect::Certain,
            Action::Set { outcome: Outcome::Refused, .. } | Action::Get { .. } => Effect::None,
            Action::Set { outcome: Outcome::Unknown, .. } => Effect::Possible,
            Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => of_answer(outcome),
        }
    }

    /// How it ended, without the answer.
    pub(crate) fn outcome(&self) -> Outcome<()> {
        fn bare<T>(outcome: &Outcome<T>) -> Outcome<()> {
            match outcome {
                Outcome::Ok(_) => Outcome::Ok(()),
                Outcome::Refused => Outcome::Refused,
                Outcome::Unknown => Outcome::Unknown,
            }
        }
        match &self.action {
            Action::Set { outcome, .. } => *outcome,
            Action::Get { outcome } => bare(outcome),
            Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => bare(outcome),
        }
    }

    /// The revision that this write was given: known and meaningful only if it took effect.
    pub(crate) fn revision_written(&self) -> Option<u64> {
        self.revision.filter(|_| self.effect() == Effect::Certain)
    }

    /// The revision of the value that this read found.
    pub(crate) fn revision_read(&self) -> Option<u64> {
        self.revision.filter(|_| matches!(self.action, Action::Get { outcome: Outcome::Ok(Some(_)) }))
    }
}

/// One line in words, as a person would tell it.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} .. ", Seconds(self.call))?;
        match self.returned {
            Some(returned) => write!(f, "{}] ", Seconds(returned))?,
            None => f.write_str("...] ")?,
        }
        write!(f, "client {}: ", self.client)?;
        match &self.action {
            Action::Set { value, outcome } => {
                write!(f, "set {} = {} -> ", Quoted(&self.key), Quoted(value))?;
                tell(f, outcome, |f, ()| f.write_str("ok"))?;
            }
            Action::Get { outcome } => {
                write!(f, "get {} -> ", Quoted(&self.key))?;
                tell(f, outcome, |f, read| write!(f, "{}", OrAbsent(read.as_deref())))?;
            }
            Action::Delete { outcome } => {
                write!(f, "delete {} -> ", Quoted(&self.key))?;
                tell(f, outcome, |f, found| f.write_str(if *found { "found" } else { "not found" }))?;
            }
            Action::CompareAndSet { expect, value, outcome } => {
                let (expect, value) = (OrAbsent(expect.as_deref()), OrAbsent(value.as_deref()));
                write!(f, "cas {} from {expect} to {value} -> ", Quoted(&self.key))?;
                tell(f, outcome, |f, swapped| f.write_str(if *swapped { "swapped" } else { "not swapped" }))?;
            }
        }
        match self.revision {
            Some(revision) => write!(f, " (revision {revision})"),
            None => Ok(()),
        }
    }
}

fn tell<T>(
    f: &mut fmt::Formatter<'_>,
    outcome: &Outcome<T>,
    answer: impl FnOnce(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    match outcome {
        Outcome::Ok(told) => answer(f, told),
        Outcome::Refused => f.write_str("refused"),
        Outcome::Unknown => f.write_str("unknown"),
    }
}

/// One line in words, as a person would tell it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (Quoted(&self.key), OrAbsent(self.value.as_deref()));
        let (at, revision) = (Seconds(self.at), self.revision);
        write!(f, "[{at}] node {}: {key} = {value} (revision {revision})", Quoted(&self.node))
    }
}

/// One line in words, as a person would tell it.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Operation(operation) => operation.fmt(f),
            Record::Event(event) => event.fmt(f),
        }
    }
}

/// Nanoseconds, told as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A key or a value in quotes, cut if it is long.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A value in quotes, or the word for none.
pub(crate) struct OrAbsent<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for OrAbsent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => Quoted(value).fmt(f),
            None => f.write_str("absent"),
        }
    }
}
