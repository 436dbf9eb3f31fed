//! What happened in a run, told event by event: the material of traces and pictures.

use core::fmt;

use diskeyval_core::{RoleName, Term};

use crate::observe::Time;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What happened. Nodes are told by their place, from 0; people know them as `n1`, `n2`, …
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields are explained with each kind.
pub enum What {
    /// A node begins a life, the first or a later one (counted from 1).
    Start { node: usize, life: u32 },
    /// A node dies. `wiped`: its disk with it.
    Crash { node: usize, wiped: bool },
    /// A node takes no turns from now on (its process is paused).
    Freeze { node: usize },
    /// It goes on.
    Thaw { node: usize },
    /// Nothing passes from one node to another from now on; what was on its way waits.
    Block { from: usize, to: usize },
    /// It passes again.
    Unblock { from: usize, to: usize },
    /// The connections between two nodes break; what was on its way is lost.
    Cut { one: usize, other: usize },
    /// Anything else that is done to the nodes: slow links, slow disks, clocks that jump, liars.
    Disturb { nodes: Vec<usize>, text: String },
    /// A node plays another part, or the same in another term.
    Role { node: usize, role: RoleName, term: Term },
    /// A node says something to another. `word` numbers it within the run.
    Send { word: u64, from: usize, to: usize, kind: &'static str, routine: bool, text: String },
    /// It has arrived.
    Arrive { word: u64 },
    /// It never will.
    Lose { word: u64 },
    /// A node asks something of its disk, or is told by it.
    Disk { node: usize, text: String },
    /// A node wants something to be kept, up to the record of this number.
    Store { node: usize, record: u64, text: String },
    /// A node knows that everything is durable up to the record of this number.
    Durable { node: usize, record: u64 },
    /// A node knows that the log is committed up to here.
    Commit { node: usize, index: u64 },
    /// A client asks a node.
    Ask { client: u64, ticket: u64, node: usize, text: String },
    /// The node answers.
    Answer { ticket: u64, node: usize, text: String },
    /// A node reports something to the program that embeds it.
    Event { node: usize, text: String },
    /// A node halts.
    Halt { node: usize, text: String },
    /// The run goes into another phase.
    Phase { text: String },
    /// Something happened that must never happen.
    Violation { node: Option<usize>, rule: String, text: String },
}

/// The name that people know a node by.
pub fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// One line of a trace; `docs/src/simulator.md` has the legend.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} ", self.at.to_string())?;
        match &self.what {
            What::Start { node, life } => write!(f, "{}    starts (life {life})", name(*node)),
            What::Crash { node, wiped } => {
                write!(f, "{}    dies{}", name(*node), if *wiped { ", and its disk with it" } else { "" })
            }
            What::Freeze { node } => write!(f, "{}    is paused", name(*node)),
            What::Thaw { node } => write!(f, "{}    goes on", name(*node)),
            What::Block { from, to } => write!(f, "{}-|{} nothing passes", name(*from), name(*to)),
            What::Unblock { from, to } => write!(f, "{}->{} passes again", name(*from), name(*to)),
            What::Cut { one, other } => write!(f, "{}-x-{} connections break", name(*one), name(*other)),
            What::Disturb { text, .. } => write!(f, "**    {text}"),
            What::Role { node, role, term } => write!(f, "{}    is {role} t{term}", name(*node)),
            What::Send { word, from, to, text, .. } => {
                write!(f, "{}->{} {text} (w{word})", name(*from), name(*to))
            }
            What::Arrive { word } => write!(f, "      w{word} arrives"),
            What::Lose { word } => write!(f, "      w{word} is lost"),
            What::Disk { node, text } => write!(f, "{}    {text}", name(*node)),
            What::Store { node, record, text } => write!(f, "{}    writes {text} (r{record})", name(*node)),
            What::Durable { node, record } => write!(f, "{}    has kept all up to r{record}", name(*node)),
            What::Commit { node, index } => write!(f, "{}    commits {index}", name(*node)),
            What::Ask { client, ticket, node, text } => {
                write!(f, "c{client}->{} {text} (#{ticket})", name(*node))
            }
            What::Answer { ticket, node, text } => write!(f, "{}    answers #{ticket}: {text}", name(*node)),
            What::Event { node, text } => write!(f, "{}    {text}", name(*node)),
            What::Halt { node, text } => write!(f, "{}    halts: {text}", name(*node)),
            What::Phase { text } => write!(f, "==    {text}"),
            What::Violation { rule, text, .. } => write!(f, "!!    {rule}: {text}"),
        }
    }
}
