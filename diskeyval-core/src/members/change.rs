//! What may be asked of the membership.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::{Address, MAX_MEMBERS};
use crate::error::ConfigError;
use crate::few::few;
use crate::id::NodeId;

/// A change of the members, for [`Request::ChangeMembers`](crate::Request). Asking for what is so already changes
/// nothing, so that a call whose outcome is not known can be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemberChange {
    /// These are the voters, and no others. Who comes is brought up to date first; who goes may be the leader, or the
    /// node that is asked. Learners that are not named stay what they are.
    Reconfigure {
        /// All of them, in any order. Where no address is said, the one that is known stays.
        #[serde(deserialize_with = "few::<MAX_MEMBERS, _, _>")]
        members: Vec<Member>,
    },
    /// This node is brought up to date from then on, and does not vote. It need not be there yet.
    AddLearner {
        /// The node. Without an address it is not dialled, and comes by itself.
        member: Member,
    },
    /// A learner becomes a voter, once it has caught up.
    Promote {
        /// The node.
        node: NodeId,
    },
    /// A voter or a learner is no member any more.
    Remove {
        /// The node.
        node: NodeId,
    },
    /// A member is dialled at another address. (One that has an address of its own announces that by itself.)
    UpdateAddress {
        /// The node.
        node: NodeId,
        /// Where it is dialled.
        address: Address,
    },
}

/// A node, and where it is dialled. In words: `ID=HOST:PORT`, or `ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Its address, if that is to be said.
    pub address: Option<Address>,
}

impl FromStr for Member {
    type Err = ConfigError;

    fn from_str(given: &str) -> Result<Member, ConfigError> {
        match given.split_once('=') {
            Some((node, address)) => Ok(Member { node: NodeId::new(node)?, address: Some(address.parse()?) }),
            None => Ok(Member { node: NodeId::new(given)?, address: None }),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{}={address}", self.node),
            None => write!(f, "{}", self.node),
        }
    }
}

impl fmt::Display for MemberChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberChange::Reconfigure { members } => {
                let members: Vec<String> = members.iter().map(|member| alloc::format!("{member}")).collect();
                write!(f, "reconfigure {}", members.join(" "))
            }
            MemberChange::AddLearner { member } => write!(f, "add {member}"),
            MemberChange::Promote { node } => write!(f, "promote {node}"),
            MemberChange::Remove { node } => write!(f, "remove {node}"),
            MemberChange::UpdateAddress { node, address } => write!(f, "address {node}={address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn members_are_read_and_written_in_the_same_form() {
        for good in ["n1", "n1=localhost:1", "n1=[::1]:8050"] {
            assert_eq!(good.parse::<Member>().expect(good).to_string(), good);
        }
        for bad in ["", "=", "n1=", "n1=localhost", "client=localhost:1", "n 1"] {
            assert!(bad.parse::<Member>().is_err(), "{bad:?} was taken");
        }
    }
}
