//! What a disk holds, read piece by piece and without a directory around it: for those who look and change nothing.

use alloc::vec::Vec;

use bytes::Bytes;

use super::format::{self, HEADER, Salt, Written};
use super::superblock::Names;
use crate::id::Incarnation;

/// A slot of the superblock, the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot(Names);

impl Slot {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Slot> {
        Names::decode(bytes, 0).ok().map(Slot)
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.0.encode(0)
    }
}

/// The records of a flush, without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Records(Vec<Written>);

impl Records {
    pub(crate) fn decode(body: &[u8]) -> Option<Records> {
        format::decode_body(body).map(Records)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let (header, parts) = format::encode(Salt(0), Incarnation(0), Default::default(), 0, &self.0);
        let end = HEADER + usize::try_from(header.body_len).unwrap_or(0);
        Bytes::from(parts.concat()).slice(HEADER..end)
    }
}
