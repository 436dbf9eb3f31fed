//! What calls of a node give back, and values of the program's own types as bytes.

use std::format;
use std::string::ToString;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Refusal};
use crate::kv::Outcome;

/// A write that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The revision of the write: its place in the one order of all writes.
    pub revision: u64,
}

/// A removal that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deleted {
    /// The revision of the write: its place in the one order of all writes.
    pub revision: u64,
    /// Whether there was such a key.
    pub found: bool,
}

/// What became of a compare-and-set. That it did not match is an answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the value may not have been as expected"]
pub enum Swap {
    /// The key was as expected, and has the new value.
    Swapped {
        /// The revision of the write: its place in the one order of all writes.
        revision: u64,
    },
    /// The key was not as expected, and nothing was changed.
    Mismatch {
        /// The place in the order of all writes at which this was found.
        revision: u64,
        /// The revision that the key had there, if there was such a key.
        actual: Option<u64>,
    },
}

impl Swap {
    /// Whether the key was as expected, and has the new value.
    pub fn swapped(&self) -> bool {
        matches!(self, Swap::Swapped { .. })
    }
}

impl From<Outcome> for Commit {
    fn from(outcome: Outcome) -> Commit {
        Commit { revision: outcome.revision() }
    }
}

impl From<Outcome> for Deleted {
    fn from(outcome: Outcome) -> Deleted {
        Deleted {
            revision: outcome.revision(),
            found: matches!(outcome, Outcome::Deleted { found: true, .. }),
        }
    }
}

impl From<Outcome> for Swap {
    fn from(outcome: Outcome) -> Swap {
        match outcome {
            Outcome::Mismatch { revision, actual } => {
                Swap::Mismatch { revision, actual: (actual != 0).then_some(actual) }
            }
            other => Swap::Swapped { revision: other.revision() },
        }
    }
}

/// A value as bytes, by postcard.
///
/// # Errors
/// [`Refusal::Codec`] if it cannot be written.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    postcard::to_allocvec(value).map(Bytes::from).map_err(codec)
}

/// A value that was written by [`encode`].
///
/// # Errors
/// [`Refusal::Codec`] if this is no such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match postcard::take_from_bytes(bytes).map_err(codec)? {
        (value, []) => Ok(value),
        // Another type, most likely, that begins alike.
        (_, rest) => Err(Refusal::Codec { why: format!("{} bytes are left over", rest.len()) }.into()),
    }
}

fn codec(error: postcard::Error) -> Error {
    Refusal::Codec { why: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_value_that_is_written_is_read() {
        let value = (7u32, "seven".to_string(), Some(vec![1u8, 2]));
        let bytes = encode(&value).expect("it can be written");
        assert_eq!(decode::<(u32, String, Option<Vec<u8>>)>(&bytes), Ok(value));
    }

    #[test]
    fn what_is_left_over_or_missing_is_an_error() {
        let bytes = encode(&(1u8, 2u8)).expect("it can be written");
        assert!(matches!(decode::<u8>(&bytes), Err(Error::Refused(Refusal::Codec { .. }))));
        assert!(matches!(decode::<(u8, u8, u8)>(&bytes), Err(Error::Refused(Refusal::Codec { .. }))));
    }
}
