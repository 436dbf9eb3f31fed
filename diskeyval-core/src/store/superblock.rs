//! The superblock: which files make up a node's storage. Two slots hold the same, each in a block of its own; one is
//! written and synced, and then the other, so that a crash spoils one at the most.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::format::{BLOCK, BLOCK_LEN, FlushNumber};
use super::opening::Origin;
use crate::few::few;
use crate::id::{ClusterId, EntryId, Incarnation, NodeId};

/// The size of the file.
pub(super) const SIZE: u64 = 2 * BLOCK;

/// The version of its format.
pub(super) const FORMAT: u16 = 1;

/// The most segments that can be named at once.
pub(super) const MAX_SEGMENTS: usize = 120;

/// No storage is named so often. There is always a next generation.
const MAX_GENERATION: u64 = 1 << 62;

const MAGIC: [u8; 8] = *b"dkvsuper";
/// Bytes before the body.
pub(super) const HEADER: usize = 8 + 2 + 2 + 4;
const SLOT: usize = BLOCK_LEN;

/// What both slots say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    /// Counted up with each change.
    pub(super) generation: u64,
    pub(super) node: NodeId,
    /// The name of the cluster in the node's configuration.
    pub(super) cluster_name: String,
    pub(super) incarnation: Incarnation,
    /// What checksums are seeded with.
    pub(super) salt: u64,
    /// The cluster that the node belongs to, once it is founded and something was written since.
    pub(super) cluster: Option<ClusterId>,
    /// In their order.
    #[serde(deserialize_with = "few::<MAX_SEGMENTS, _, _>")]
    pub(super) segments: Vec<Named>,
    pub(super) snapshot: Option<NamedSnapshot>,
    /// It stands before the body, so that a superblock without one is what it always was.
    #[serde(skip)]
    pub(super) mark: Mark,
}

/// What a storage has gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    None,
    /// Nothing counts any more: whatever else there is has to be set aside, and then the incarnation that is named begins.
    Void,
    /// It has begun behind a damaged one. It may have belonged to a cluster before, and founds none.
    Anew,
}

impl Mark {
    fn code(self) -> u16 {
        match self {
            Mark::None => 0,
            Mark::Void => 1,
            Mark::Anew => 2,
        }
    }

    fn of(code: u16) -> Option<Mark> {
        [Mark::None, Mark::Void, Mark::Anew].into_iter().find(|mark| mark.code() == code)
    }
}

/// A segment that makes up the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) number: u64,
    /// In bytes.
    pub(super) size: u64,
    /// The last flush that was known to be durable when this segment was named: the log before it ends there at
    /// the earliest.
    pub(super) behind: FlushNumber,
}

/// The snapshot that the log goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamedSnapshot {
    /// The number in the name of its file.
    pub(super) number: u64,
    /// The last entry that it reflects.
    pub(super) last: EntryId,
    /// The size of its file in bytes.
    pub(super) size: u64,
}

/// What a slot holds that does not say what files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// Nothing was ever written there.
    Blank,
    /// It was written by a later version.
    Newer(u16),
    /// It is damaged.
    Bad,
}

impl Names {
    /// What is said first: whose it is, and that there is no file yet.
    pub(super) fn first(origin: &Origin) -> Names {
        Names {
            generation: 1,
            node: origin.node.clone(),
            cluster_name: origin.cluster_name.clone(),
            incarnation: origin.incarnation,
            salt: origin.salt,
            cluster: None,
            segments: Vec::new(),
            snapshot: None,
            mark: Mark::None,
        }
    }

    /// The bytes of a slot: 0 or 1.
    pub(super) fn encode(&self, slot: u64) -> Bytes {
        let mut bytes = BytesMut::with_capacity(SLOT);
        // Memory is there, and none of our types refuses to be written.
        let body = postcard::to_allocvec(self).unwrap_or_default();
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT);
        bytes.put_u16_le(self.mark.code());
        bytes.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        bytes.put_slice(&body);
        assert!(bytes.len() <= SLOT - 8, "as many segments as may be named fit into a slot");
        bytes.resize(SLOT - 8, 0);
        let sum = xxh3_64_with_seed(&bytes, slot);
        bytes.put_u64_le(sum);
        bytes.freeze()
    }

    pub(super) fn decode(bytes: &[u8], slot: u64) -> Result<Names, NoSlot> {
        let (Some((body, sum)), SLOT) = (bytes.split_last_chunk::<8>(), bytes.len()) else {
            return Err(NoSlot::Bad);
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(NoSlot::Blank);
        }
        // Magic, format and checksum stand where they stand in every version: what has rotted is not taken for newer.
        if u64::from_le_bytes(*sum) != xxh3_64_with_seed(body, slot) || bytes[..8] != MAGIC {
            return Err(NoSlot::Bad);
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format > FORMAT {
            return Err(NoSlot::Newer(format));
        }
        let mark = Mark::of(u16::from_le_bytes([bytes[10], bytes[11]])).ok_or(NoSlot::Bad)?;
        let (names, _): (Names, _) = postcard::take_from_bytes(&body[HEADER..]).map_err(|_| NoSlot::Bad)?;
        if names.generation > MAX_GENERATION {
            return Err(NoSlot::Bad);
        }
        Ok(Names { mark, ..names })
    }

    /// Reads both slots.
    pub(super) fn decode_both(file: &[u8]) -> [Result<Names, NoSlot>; 2] {
        [0, 1].map(|slot| match file.get(slot * SLOT..(slot + 1) * SLOT) {
            Some(bytes) => Names::decode(bytes, slot as u64),
            None => Err(NoSlot::Bad),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn names(segments: usize) -> Names {
        let name = "n".repeat(NodeId::MAX_LEN);
        let segment =
            |number| Named { number: u64::MAX - number, size: u64::MAX, behind: FlushNumber(u64::MAX) };
        Names {
            generation: MAX_GENERATION,
            node: NodeId::new(&name).expect("a good name"),
            cluster_name: name,
            incarnation: Incarnation(u128::MAX),
            salt: u64::MAX,
            cluster: Some(ClusterId(u128::MAX)),
            segments: (0..segments as u64).map(segment).collect(),
            snapshot: Some(NamedSnapshot {
                number: u64::MAX,
                last: EntryId::new(u64::MAX, u64::MAX),
                size: u64::MAX,
            }),
            mark: Mark::Anew,
        }
    }

    #[test]
    fn what_is_written_is_read_again_in_its_own_slot_only() {
        let names = names(1);
        let file = [names.encode(0), names.encode(1)].concat();
        assert_eq!(Names::decode_both(&file), [Ok(names.clone()), Ok(names.clone())]);
        let swapped = [names.encode(1), names.encode(0)].concat();
        assert_eq!(Names::decode_both(&swapped), [Err(NoSlot::Bad), Err(NoSlot::Bad)]);
        assert_eq!(Names::decode_both(&[0; 2 * SLOT]), [Err(NoSlot::Blank), Err(NoSlot::Blank)]);
        assert_eq!(Names::decode_both(&file[..SLOT]), [Ok(names), Err(NoSlot::Bad)]);
    }

    #[test]
    fn every_mark_is_read_again_and_no_other_is_taken_for_one() {
        for mark in [Mark::None, Mark::Void, Mark::Anew] {
            let names = Names { mark, ..names(1) };
            assert_eq!(Names::decode(&names.encode(0), 0), Ok(names));
        }
        let mut slot = names(1).encode(0).to_vec();
        slot[10] = 3;
        let sum = xxh3_64_with_seed(&slot[..SLOT - 8], 0);
        slot[SLOT - 8..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Names::decode(&slot, 0), Err(NoSlot::Bad));
    }

    /// Found by a fuzzer: it could not be counted up.
    #[test]
    fn a_generation_that_has_no_next_one_is_bad() {
        let names = Names { generation: MAX_GENERATION + 1, ..names(1) };
        assert_eq!(Names::decode(&names.encode(0), 0), Err(NoSlot::Bad));
    }

    #[test]
    fn as_many_segments_as_may_be_named_fit() {
        let names = names(MAX_SEGMENTS);
        assert_eq!(Names::decode(&names.encode(0), 0), Ok(names));
    }

    #[test]
    fn every_flipped_bit_of_a_slot_is_found() {
        let slot = names(2).encode(1);
        for at in 0..slot.len() {
            for bit in 0..8 {
                let mut flipped = slot.to_vec();
                flipped[at] ^= 1 << bit;
                let read = Names::decode(&flipped, 1);
                assert_eq!(read, Err(NoSlot::Bad), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_slot_of_a_later_format_is_told_from_one_that_has_rotted() {
        let mut slot = names(2).encode(1).to_vec();
        slot[8] = 2;
        let sum = xxh3_64_with_seed(&slot[..SLOT - 8], 1);
        slot[SLOT - 8..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Names::decode(&slot, 1), Err(NoSlot::Newer(2)));
    }
}
