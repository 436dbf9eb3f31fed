//! What can be done to the store, and what comes of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Give a key a value, whatever it had before.
    Set {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Give a key a value if it is as expected, else do nothing.
    CompareAndSet {
        /// The key.
        key: Bytes,
        /// What is expected of it.
        expect: Expect,
        /// The value.
        value: Bytes,
    },
}

/// What a compare-and-set expects of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no such key.
    Absent,
    /// It has this value.
    Value(Bytes),
    /// Its last change has this revision.
    Revision(u64),
}

/// What a change came to. Every one of them is an answer from the log: the command was decided, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// The key has the value since this revision.
    Set {
        /// The index of the entry in the log.
        revision: u64,
    },
    /// The key is gone since this revision.
    Deleted {
        /// The index of the entry in the log.
        revision: u64,
        /// Whether there was such a key.
        found: bool,
    },
    /// The key was as expected, and has the new value since this revision.
    Swapped {
        /// The index of the entry in the log.
        revision: u64,
    },
    /// The key was not as expected; nothing was changed.
    Mismatch {
        /// The index of the entry in the log at which this was found.
        revision: u64,
        /// The revision that the key had, or 0 if there was none.
        actual: u64,
    },
}

impl Outcome {
    /// The index of the entry in the log: a place in the one order of all writes, and a fencing token.
    pub fn revision(&self) -> u64 {
        match *self {
            Outcome::Set { revision }
            | Outcome::Deleted { revision, .. }
            | Outcome::Swapped { revision }
            | Outcome::Mismatch { revision, .. } => revision,
        }
    }
}

/// A value and the revision of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// The index of the entry that set it.
    pub revision: u64,
}

impl Command {
    /// The key that it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Command::Set { key, .. } | Command::Delete { key } | Command::CompareAndSet { key, .. } => key,
        }
    }

    /// Bytes of key and values, for limits.
    pub fn payload(&self) -> usize {
        match self {
            Command::Set { key, value } => key.len() + value.len(),
            Command::Delete { key } => key.len(),
            Command::CompareAndSet { key, expect, value } => {
                let expected = if let Expect::Value(expected) = expect { expected.len() } else { 0 };
                key.len() + value.len() + expected
            }
        }
    }
}
