//! What keeps the members what they are.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// Why the members were not changed. They are what they were, or will be again at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Obstacle {
    /// No voter would be left.
    NobodyLeft,
    /// A node is named twice.
    NamedTwice {
        /// The node.
        node: NodeId,
    },
    /// There would be more voters, or more learners, than there can be.
    TooMany {
        /// How many of them there can be.
        limit: usize,
    },
    /// The node is no member.
    NotAMember {
        /// The node.
        node: NodeId,
    },
    /// The leader could not reach the node, which is to become a voter, for as long as the call might take.
    NotReached {
        /// The leader.
        leader: NodeId,
        /// The node.
        node: NodeId,
        /// What is wrong with it, as the leader sees it.
        why: String,
    },
    /// The node, which is to become a voter, did not catch up for as long as the call might take.
    NotCaughtUp {
        /// The leader.
        leader: NodeId,
        /// The node.
        node: NodeId,
    },
    /// The leader did not reach, up to date, a majority of those who were to be the voters for as long as the call might
    /// take.
    NoMajority {
        /// The leader.
        leader: NodeId,
    },
    /// The change had begun, and a majority of those who were to be the voters was lost before it could not be undone: so
    /// it was undone.
    Undone {
        /// The leader.
        leader: NodeId,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::NobodyLeft => f.write_str("no voter would be left"),
            Obstacle::NamedTwice { node } => write!(f, "{node} is named twice"),
            Obstacle::TooMany { limit } => write!(f, "there can be {limit} voters and as many learners"),
            Obstacle::NotAMember { node } => {
                write!(f, "{node} is no member: announce it first (`add {node}=HOST:PORT`)")
            }
            Obstacle::NotReached { leader, node, why } => write!(f, "{leader} does not reach {node}: {why}"),
            Obstacle::NotCaughtUp { leader, node } => {
                write!(
                    f,
                    "{node} has not caught up with {leader} in time; give it more, or add it as a learner first"
                )
            }
            Obstacle::NoMajority { leader } => {
                write!(
                    f,
                    "{leader} has not reached, up to date, a majority of those who were to be the voters"
                )
            }
            Obstacle::Undone { leader } => write!(
                f,
                "{leader} lost a majority of those who were to be the voters in the midst of it, and has undone it"
            ),
        }
    }
}
