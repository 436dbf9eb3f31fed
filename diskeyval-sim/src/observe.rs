//! What checkers are told of a run: every turn of every node, what its disk has kept, what clients asked.
//!
//! Checkers stand outside of the nodes, so that a crash hides nothing from them.

use core::fmt;
use core::time::Duration;

use diskeyval_core::inspect::{Vitals, Word};
use diskeyval_core::{Answer, Engine, Event, Fault, Incarnation, Record, Request, Ticket};

/// A moment of simulated time: nanoseconds since the beginning of the run. Nodes do not see it: each has a clock
/// of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The time between an earlier moment and this one; zero if it is no earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl core::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Seconds with six decimals, as in a trace.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

/// What one node did in one turn, and where it stands now.
pub struct Turn<'w> {
    /// When.
    pub at: Time,
    /// Which node: its place, from 0.
    pub node: usize,
    /// The node.
    pub engine: &'w Engine,
    /// Where it stands after the turn.
    pub vitals: Vitals,
    /// What it wants to be kept, in order, and what it speaks in the same turn, it speaks after these were made. They
    /// are on their way to its disk: which bytes they become there is its own business.
    pub records: &'w [Record],
    /// The number of the last record that it has wanted to be kept in this life, 0 for none.
    pub recorded: u64,
    /// What it says, and to which node.
    pub words: &'w [(usize, Word)],
    /// What it answers its clients.
    pub answers: &'w [(Ticket, Answer)],
    /// What it reports.
    pub events: &'w [Event],
    /// Why it goes no further.
    pub halted: Option<&'w Fault>,
}

/// Something that must never happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the invariant: `S1`, say. `docs/src/invariants.md` lists them.
    pub rule: &'static str,
    /// What was seen, in a sentence that names nodes, terms and indexes.
    pub what: String,
}

impl Violation {
    /// A violation of a rule, told in a sentence.
    pub fn new(rule: &'static str, what: impl Into<String>) -> Violation {
        Violation { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// What a disk does wrong. This alone checkers are told of all that is done to nodes: they could not judge otherwise
/// what a node says of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has failed at something, or has read less than there is.
    Failed,
    /// It has no room for what it was asked to hold. That is no fault of it, but a reason not to begin.
    Full,
    /// What it holds is not what was written to it.
    Damaged,
}

/// Something that looks at a run and finds what must never happen.
pub trait Checker {
    /// A node has opened: it knows what its disk has kept of its former lives, and takes part from now on. That is its
    /// incarnation, its ballot, the end of its snapshot if it has one, and the entries behind it; all of that is
    /// durable. Its first turn of this kind follows. A node that dies, or halts, before that has found nothing.
    fn started(&mut self, at: Time, node: usize, kept: &[Record]) -> Result<(), Violation> {
        let _ = (at, node, kept);
        Ok(())
    }

    /// A node has taken a turn.
    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), Violation> {
        let _ = turn;
        Ok(())
    }

    /// A node knows that everything is durable up to the record of this number; its turn follows.
    fn stored(&mut self, at: Time, node: usize, up_to: u64) -> Result<(), Violation> {
        let _ = (at, node, up_to);
        Ok(())
    }

    /// A node has died, or has halted. What was durable survives, and of what was on its way nobody knows; with `wiped`
    /// its whole disk is lost.
    fn crashed(&mut self, at: Time, node: usize, wiped: bool) -> Result<(), Violation> {
        let _ = (at, node, wiped);
        Ok(())
    }

    /// The disk of a node does not do what a disk has to do.
    fn harmed(&mut self, at: Time, node: usize, wrong: Wrong) -> Result<(), Violation> {
        let _ = (at, node, wrong);
        Ok(())
    }

    /// The directory of a dead node was made that of a node that goes on alone, as its cluster's quorum is lost for good. A
    /// node that runs is told so by a request.
    fn recovered(&mut self, at: Time, node: usize) -> Result<(), Violation> {
        let _ = (at, node);
        Ok(())
    }

    /// A client asks a node. If the node dies before it answers, the client never learns what became of it.
    fn asked(&mut self, at: Time, node: usize, ticket: Ticket, request: &Request) -> Result<(), Violation> {
        let _ = (at, node, ticket, request);
        Ok(())
    }

    /// The run is over. `alive` are the nodes that were left alone in the end, and so have everything.
    fn finished(&mut self, at: Time, alive: &[(usize, &Engine)]) -> Result<(), Violation> {
        let _ = (at, alive);
        Ok(())
    }
}

/// The incarnation that a list of records begins with.
pub(crate) fn incarnation(records: &[Record]) -> Option<Incarnation> {
    match records.first() {
        Some(Record::Incarnation(incarnation)) => Some(*incarnation),
        _ => None,
    }
}
