//! Why the outcome of a request is not known.

use alloc::string::String;
use core::fmt;

use super::Fault;
use crate::id::NodeId;

/// Why it is not known whether a request had its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The time of the call ran out after the write was handed to a leader.
    Deadline {
        /// What stood in the way, member by member.
        why: String,
    },
    /// This node was stopped after the write was handed to a leader.
    Stopped,
    /// This node halted by itself after the write was handed to a leader.
    Halted(Fault),
    /// The session ended after an earlier attempt of unknown fate.
    SessionEnded,
    /// This node goes on alone, as another cluster, and hears no more of the former one.
    GoesOnAlone,
    /// A node was told to take leadership over, and has not within an election timeout. It still may.
    MayStillLead {
        /// The node.
        node: NodeId,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Deadline { why } => write!(f, "the time ran out before an answer came: {why}"),
            Doubt::Stopped => f.write_str("the node was stopped before an answer came"),
            Doubt::Halted(fault) => write!(f, "the node halted before an answer came: {fault}"),
            Doubt::SessionEnded => f.write_str(
                "the cluster has ended this node's session, and an earlier attempt may have had its effect",
            ),
            Doubt::GoesOnAlone => f.write_str(
                "this node goes on alone, and does not hear what became of it in its former cluster",
            ),
            Doubt::MayStillLead { node } => write!(
                f,
                "{node} was told to take over, and has not within an election timeout; the leader goes on, and {node} \
                 may still take over"
            ),
        }
    }
}
