//! What keeps leadership where it is.

use core::fmt;

use crate::id::NodeId;

/// Why leadership was not handed over. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hindrance {
    /// The wanted node is no member.
    NotAMember {
        /// The node.
        node: NodeId,
    },
    /// The wanted node is not in its seat, and so cannot lead.
    NotInItsSeat {
        /// The node.
        node: NodeId,
    },
    /// The leader has no link to the wanted node, or lost it.
    NotLinked {
        /// The leader.
        leader: NodeId,
        /// The wanted node.
        node: NodeId,
    },
    /// The wanted node did not catch up within an election timeout; the leader goes on.
    NotCaughtUp {
        /// The leader.
        leader: NodeId,
        /// The wanted node.
        node: NodeId,
    },
    /// Leadership is being handed over already, or that was asked for and is not decided.
    UnderWay {
        /// To whom, if that was said.
        to: Option<NodeId>,
    },
    /// The leader reaches no other voter.
    NobodyElse {
        /// The leader.
        leader: NodeId,
    },
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hindrance::NotAMember { node } => write!(f, "{node} is not a member of this cluster"),
            Hindrance::NotInItsSeat { node } => {
                write!(f, "{node} is not in its seat: wait until it says that it is ready")
            }
            Hindrance::NotLinked { leader, node } => {
                write!(f, "the leader {leader} has no link to {node}")
            }
            Hindrance::NotCaughtUp { leader, node } => {
                write!(f, "{node} has not caught up within an election timeout, and {leader} goes on leading")
            }
            Hindrance::UnderWay { to: Some(to) } => {
                write!(f, "leadership is being handed over to {to} already")
            }
            Hindrance::UnderWay { to: None } => f.write_str("leadership is being handed over already"),
            Hindrance::NobodyElse { leader } => write!(f, "the leader {leader} reaches no other voter"),
        }
    }
}
