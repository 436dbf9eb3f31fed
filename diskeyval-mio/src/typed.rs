//! A typed view of the store.

use std::marker::PhantomData;

use bytes::Bytes;
use diskeyval_core::host::{Commit, Deleted, Swap, decode, encode};
use diskeyval_core::{Error, Expect, Read};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::node::Node;

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
    /// As [`Node::set`], and [`Refusal::Codec`](crate::Refusal::Codec) if the value cannot be written.
    pub fn set(&self, key: impl Into<Bytes>, value: &T) -> Result<Commit, Error> {
        self.node.set(key, encode(value)?)
    }

    /// As [`Node::compare_and_set`]; `None` expects that there is no such key. Values are compared by
    /// their bytes.
    ///
    /// # Errors
    /// As [`Node::set`], and [`Refusal::Codec`](crate::Refusal::Codec) if a value cannot be written.
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
    /// As [`Node::get`], and [`Refusal::Codec`](crate::Refusal::Codec) if what is there is no such value.
    pub fn get(&self, key: impl Into<Bytes>) -> Result<Option<T>, Error> {
        self.get_with(key, Read::Linearizable)
    }

    /// As [`Node::get_with`], without the revision.
    ///
    /// # Errors
    /// As [`Node::get`], and [`Refusal::Codec`](crate::Refusal::Codec) if what is there is no such value.
    pub fn get_with(&self, key: impl Into<Bytes>, read: Read) -> Result<Option<T>, Error> {
        match self.node.get_with(key, read)? {
            Some(versioned) => decode(&versioned.value).map(Some),
            None => Ok(None),
        }
    }
}
