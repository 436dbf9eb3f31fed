//! Names and numbers: who a node is, where an entry stands.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ConfigError;
use crate::mutants::{Mutant, is};

/// The name of a node: 1 to 63 of `A-Z a-z 0-9 _ . -`, compared byte for byte. `client` is reserved.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Takes a name.
    ///
    /// # Errors
    /// [`ConfigError::BadNodeId`] if it is not of the form above.
    pub fn new(name: &str) -> Result<NodeId, ConfigError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(allowed) || name == "client" {
            // What came from a stranger is shown, but not at any length.
            return Err(ConfigError::BadNodeId { given: name.chars().take(80).collect() });
        }
        Ok(NodeId(name.into()))
    }

    /// A name that nobody has.
    pub(crate) fn nobody() -> NodeId {
        NodeId("".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeId {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<NodeId, ConfigError> {
        NodeId::new(name)
    }
}

impl TryFrom<&str> for NodeId {
    type Error = ConfigError;

    fn try_from(name: &str) -> Result<NodeId, ConfigError> {
        NodeId::new(name)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        let name = String::deserialize(deserializer)?;
        NodeId::new(&name).map_err(serde::de::Error::custom)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number! {
    /// The number of a reign: each has one leader at the most. Zero is before the first.
    Term, u64, "{}"
}
number! {
    /// The place of an entry in the log, from 1. Zero is before the first.
    Index, u64, "{}"
}
number! {
    /// The life of a node's storage: drawn at random when the storage first comes into being, which in
    /// memory-only mode is at every start. A voter is a name *and* an incarnation.
    Incarnation, u128, "{:032x}"
}
number! {
    /// The random name of a cluster, drawn at its founding.
    ClusterId, u128, "{:032x}"
}
number! {
    /// A connection, as the driver numbers them. A number is never used again in one run of an engine.
    ConnId, u64, "c{}"
}
number! {
    /// An attempt to connect, as the engine numbers them.
    DialId, u64, "d{}"
}
number! {
    /// A request of the embedding program, as the driver numbers them.
    Ticket, u64, "q{}"
}
number! {
    /// An operation on a node's directory, as the engine numbers them.
    OpId, u64, "o{}"
}

impl Term {
    /// No honest node has counted this far: it leaves room to count on.
    pub(crate) const MAX_KEPT: Term = Term(u64::MAX / 2);

    pub(crate) fn next(self) -> Term {
        Term(self.0.saturating_add(1))
    }
}

impl Index {
    pub(crate) fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }
}

/// Names one entry: no two different entries of one cluster have the same index and term.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct EntryId {
    /// Where it stands.
    pub index: Index,
    /// The reign in which it was written.
    pub term: Term,
}

impl EntryId {
    #[cfg(test)]
    pub(crate) const fn new(index: u64, term: u64) -> EntryId {
        EntryId { index: Index(index), term: Term(term) }
    }

    /// Whether a log that ends here is at least as complete as one that ends at `other`: the later last
    /// term wins, and for equal terms the longer log (Raft, 5.4.1).
    pub(crate) fn at_least_as_complete_as(self, other: EntryId) -> bool {
        let later = (self.term, self.index) >= (other.term, other.index);
        let longer = (self.index, self.term) >= (other.index, other.term);
        if later != longer && is(Mutant::IndexBeforeTerm) {
            return longer;
        }
        later && (longer || !is(Mutant::ComponentWise))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn names_that_are_none_are_refused() {
        for bad in ["", "client", "a b", "a/b", "é", "node\0", "*.x", &"x".repeat(64)] {
            assert!(NodeId::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["1", "node-1", "Node_1", "n.1", "clients", &"x".repeat(63)] {
            assert!(NodeId::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn names_are_compared_byte_for_byte() {
        assert_ne!(NodeId::new("Node-1"), NodeId::new("node-1"));
        assert_ne!(NodeId::new("node-1."), NodeId::new("node-1"));
    }

    /// Mutant: index before term (the longer log of an older term would win).
    #[test]
    fn the_later_last_term_is_more_complete_than_the_longer_log() {
        assert!(EntryId::new(1, 3).at_least_as_complete_as(EntryId::new(9, 2)));
        assert!(!EntryId::new(9, 2).at_least_as_complete_as(EntryId::new(1, 3)));
        assert!(EntryId::new(2, 2).at_least_as_complete_as(EntryId::new(2, 2)));
        assert_eq!(format!("{}", EntryId::new(7, 2)), "7@2");
    }
}
