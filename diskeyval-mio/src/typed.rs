//! A typed view of the store.

use std::marker::PhantomData;

use bytes::Bytes;
use diskeyval_core::{Error, Expect, Read, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::node::{Commit, Deleted, Node, Swap};

/// The store with values of one type, by postcard. Keys stay bytes.
///
/// Types that contain themselves (trees, lists of boxes) are not for data from elsewhere: postcard
/// decodes them as deep as they are.
#[derive(Debug)]
pub struct Typed<'n, T> {
    node: &'n Node,
    values: PhantomData<fn(&T) -> T>,
}

impl<'n, T> Typed<'n, T> {
    pub(crate) fn new(node: &'n Node) -> Typed<'n, T> {
        Typed { node, values: PhantomData }
    }

    /// As [`Node::delete`].
    ///
    /// # Errors
    /// As [`Node::set`].
    pub fn delete(&self, key: impl Into<Bytes>) -> Result<Deleted, Error> {
        self.node.delete(key)
    }
}

impl<T: Serialize> Typed<'_, T> {
    /// As [`Node::set`].
    ///
    /// # Errors
    /// As [`Node::set`], and [`Refusal::Codec`] if the value cannot be written.
    pub fn set(&self, key: impl Into<Bytes>, value: &T) -> Result<Commit, Error> {
        self.node.set(key, encode(value)?)
    }

    /// As [`Node::compare_and_set`]; `None` expects that there is no such key. Values are compared by
    /// their bytes.
    ///
    /// # Errors
    /// As [`Node::set`], and [`Refusal::Codec`] if a value cannot be written.
    pub fn compare_and_set(
        &self,
        key: impl Into<Bytes>,
        expect: Option<&T>,
        value: &T,
    ) -> Result<Swap, Error> {
        let expect = match expect {
            Some(expected) => Expect::Value(encode(expected)?),
            None => Expect::Absent,
        };
        self.node.compare_and_set(key, expect, encode(value)?)
    }
}

impl<T: DeserializeOwned> Typed<'_, T> {
    /// As [`Node::get`].
    ///
    /// # Errors
    /// As [`Node::get`], and [`Refusal::Codec`] if what is there is no such value.
    pub fn get(&self, key: impl Into<Bytes>) -> Result<Option<T>, Error> {
        self.get_with(key, Read::Linearizable)
    }

    /// As [`Node::get_with`], without the revision.
    ///
    /// # Errors
    /// As [`Node::get`], and [`Refusal::Codec`] if what is there is no such value.
    pub fn get_with(&self, key: impl Into<Bytes>, read: Read) -> Result<Option<T>, Error> {
        match self.node.get_with(key, read)? {
            Some(versioned) => decode(&versioned.value).map(Some),
            None => Ok(None),
        }
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    postcard::to_allocvec(value).map(Bytes::from).map_err(codec)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
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
