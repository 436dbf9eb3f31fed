//! The byte form of the write-ahead log: flushes of records, each of them whole or not there.
//!
//! ```text
//! segment = flush*                          each begins on a fresh block of 4 KiB
//! flush   = header body zeros               up to the next block
//! body    = (length:u32 kind:u8 payload)*   `length` counts kind and payload
//! ```
//!
//! A flush is bound to its place: its number holds the segment, its header the offset, and both checksums are seeded
//! with the salt of this node's storage, which nobody is told. So a flush that was moved, recycled or brought from
//! another node is not taken for one of ours, and no value that a client chooses looks like one.

use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::Record;
use crate::id::{EntryId, Incarnation, Index, NodeId, Term};
use crate::mutants::{Mutant, is};

/// Flushes begin at multiples of this, so that a sector that was promised is never written again.
pub(super) const BLOCK: u64 = BLOCK_LEN as u64;

/// [`BLOCK`], as memory counts.
pub(super) const BLOCK_LEN: usize = 4096;

/// The version of the format of segments.
pub(super) const SEGMENT_FORMAT: u16 = 1;

const MAGIC: [u8; 8] = *b"dkvflush";

/// The length of a header.
pub(super) const HEADER: usize = 80;

/// No body is longer: what is healed is written as one, however long the log is by then.
pub(super) const MAX_BODY: u64 = 1 << 40;

/// The next multiple of a block.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}

/// What all checksums of one storage are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u64);

/// The number of a flush: that of its segment, and its place among the flushes of it. Segments are never numbered
/// alike, so numbers ascend and none is used twice. Zero is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FlushNumber(pub(super) u64);

impl FlushNumber {
    /// The first of a segment.
    pub(super) fn first_of(segment: u64) -> FlushNumber {
        FlushNumber(segment << 32 | 1)
    }

    pub(super) fn segment(self) -> u64 {
        self.0 >> 32
    }

    pub(super) fn next(self) -> FlushNumber {
        FlushNumber(self.0 + 1)
    }
}

impl fmt::Display for FlushNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.segment(), self.0 & 0xffff_ffff)
    }
}

/// The header of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: FlushNumber,
    /// The flush that this one follows: whatever stands between the two is given up.
    pub(super) previous: FlushNumber,
    /// Its place in the segment.
    pub(super) at: u64,
    pub(super) records: u32,
    pub(super) body_len: u64,
    pub(super) incarnation: Incarnation,
    pub(super) body_sum: u64,
}

/// Why some bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// They are all zero.
    Blank,
    /// They are something else.
    Garbage,
    /// They would be one in a later format.
    Newer(u16),
    /// They are one, of another storage or of another place.
    Foreign { incarnation: Incarnation, segment: u64, at: u64 },
}

impl Header {
    /// Where the next flush begins.
    pub(super) fn end(&self) -> u64 {
        let len = HEADER as u64 + self.body_len;
        self.at + if is(Mutant::SharesSector) { len } else { blocks(len) }
    }

    fn encode(&self, salt: Salt) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER);
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(SEGMENT_FORMAT);
        bytes.put_u16_le(0);
        bytes.put_u32_le(self.records);
        bytes.put_u64_le(self.number.0);
        bytes.put_u64_le(self.previous.0);
        bytes.put_u64_le(self.at);
        bytes.put_u64_le(self.body_len);
        bytes.put_u128_le(self.incarnation.0);
        bytes.put_u64_le(self.body_sum);
        let sum = xxh3_64_with_seed(&bytes, salt.0);
        bytes.put_u64_le(sum);
        bytes.freeze()
    }

    /// Reads the header that stands at a place of a segment.
    pub(super) fn decode(
        bytes: &[u8],
        salt: Salt,
        incarnation: Incarnation,
        segment: u64,
        at: u64,
    ) -> Result<Header, NoHeader> {
        let Some(bytes) = bytes.get(..HEADER) else { return Err(NoHeader::Garbage) };
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(NoHeader::Blank);
        }
        let mut rest = bytes;
        let mut take = |len: usize| {
            let (head, tail) = rest.split_at(len);
            rest = tail;
            head
        };
        if take(8) != MAGIC {
            return Err(NoHeader::Garbage);
        }
        let format = number::<2>(take(2));
        let zero = number::<2>(take(2));
        let records = number::<4>(take(4));
        let (flush, previous) = (FlushNumber(number::<8>(take(8))), FlushNumber(number::<8>(take(8))));
        let its_segment = flush.segment();
        let its_at = number::<8>(take(8));
        let body_len = number::<8>(take(8));
        let (low, high) = (number::<8>(take(8)), number::<8>(take(8)));
        let its_incarnation = Incarnation(u128::from(low) | u128::from(high) << 64);
        let body_sum = number::<8>(take(8));
        let sum = number::<8>(take(8));
        let foreign = NoHeader::Foreign { incarnation: its_incarnation, segment: its_segment, at: its_at };
        if format > u64::from(SEGMENT_FORMAT) {
            return Err(NoHeader::Newer(u16::try_from(format).unwrap_or(u16::MAX)));
        }
        if sum != xxh3_64_with_seed(&bytes[..HEADER - 8], salt.0) {
            // Of a header that was torn, the checksum is missing.
            let is_ours = its_incarnation == incarnation || sum == 0;
            return Err(if is_ours { NoHeader::Garbage } else { foreign });
        }
        if (its_incarnation, its_segment, its_at) != (incarnation, segment, at) && !is(Mutant::PlaceUnchecked)
        {
            return Err(foreign);
        }
        if zero != 0 || body_len > MAX_BODY || previous >= flush {
            return Err(NoHeader::Garbage);
        }
        Ok(Header {
            number: flush,
            previous,
            at,
            records: u32::try_from(records).unwrap_or(u32::MAX),
            body_len,
            incarnation,
            body_sum,
        })
    }

    /// Whether these bytes, from the beginning of the flush on, hold its body.
    pub(super) fn body<'b>(&self, flush: &'b [u8], salt: Salt) -> Option<&'b [u8]> {
        let len = usize::try_from(self.body_len).ok()?;
        let body = flush.get(HEADER..)?.get(..len)?;
        (xxh3_64_with_seed(body, salt.0) == self.body_sum || is(Mutant::BodyUnchecked)).then_some(body)
    }
}

fn number<const LEN: usize>(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    wide[..LEN].copy_from_slice(&bytes[..LEN]);
    u64::from_le_bytes(wide)
}

/// What a flush is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The first record of each segment: whose it is, and what has been before it.
    Head(Head),
    /// The ballot in force.
    Ballot { term: Term, vote: Option<NodeId> },
    /// An entry at the end of the log.
    Entry { index: Index, bytes: Bytes },
    /// Every entry behind this one is given up.
    Truncate { behind: Index },
    /// Nothing is on its way behind this: what is not whole before it was damaged.
    Seal,
    /// The whole log is given up for the snapshot that ends with this entry.
    Base { last: EntryId },
}

/// Whose segment it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    /// The generation of the superblock that was the first to name the segment.
    pub(super) generation: u64,
    /// The end of the log before the first record of the segment.
    pub(super) log_end: Index,
}

const HEAD: u8 = 1;
const BALLOT: u8 = 2;
const ENTRY: u8 = 3;
const TRUNCATE: u8 = 4;
const SEAL: u8 = 5;
const BASE: u8 = 6;

impl Written {
    /// What has to be written for a record that was kept; nothing for an incarnation, which the superblock holds.
    pub(super) fn of(record: Record) -> Option<Written> {
        match record {
            Record::Incarnation(_) => None,
            Record::Ballot { term, vote } => Some(Written::Ballot { term, vote }),
            Record::Entry { index, bytes } => Some(Written::Entry { index, bytes }),
            Record::Truncate { behind } => Some(Written::Truncate { behind }),
            Record::Base { last } => Some(Written::Base { last }),
        }
    }

    /// How many bytes it takes, roughly.
    pub(super) fn size(&self) -> u64 {
        match self {
            Written::Entry { bytes, .. } => bytes.len() as u64 + 13,
            Written::Head(_) | Written::Ballot { .. } => 160,
            Written::Truncate { .. } | Written::Seal | Written::Base { .. } => 32,
        }
    }
}

/// A flush on its way to the disk: the parts to be written one behind the other, and the header.
pub(super) fn encode(
    salt: Salt,
    incarnation: Incarnation,
    (number, previous): (FlushNumber, FlushNumber),
    at: u64,
    records: &[Written],
) -> (Header, Vec<Bytes>) {
    let mut parts = Vec::with_capacity(2 + records.len() * 2);
    parts.push(Bytes::new());
    // Small things are gathered; the bytes of entries are shared, not copied.
    let mut small = BytesMut::new();
    for record in records {
        encode_record(record, &mut small, &mut parts);
    }
    parts.push(small.freeze());
    let mut sum = Xxh3::with_seed(salt.0);
    let mut body_len = 0;
    for part in &parts {
        sum.update(part);
        body_len += part.len() as u64;
    }
    let header = Header {
        number,
        previous,
        at,
        records: u32::try_from(records.len()).unwrap_or(u32::MAX),
        body_len,
        incarnation,
        body_sum: sum.digest(),
    };
    parts[0] = header.encode(salt);
    let padding = header.end() - at - HEADER as u64 - body_len;
    const ZEROS: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
    parts.push(Bytes::from_static(&ZEROS).slice(..usize::try_from(padding).unwrap_or(0)));
    parts.retain(|part| !part.is_empty());
    (header, parts)
}

/// Below this an entry is copied: a part of its own costs more.
const COPIED: usize = 512;

fn encode_record(record: &Written, small: &mut BytesMut, parts: &mut Vec<Bytes>) {
    let (kind, payload) = match record {
        Written::Entry { index, bytes } => {
            small.put_u32_le(length(bytes.len() + 9));
            small.put_u8(ENTRY);
            small.put_u64_le(index.0);
            if bytes.len() < COPIED {
                small.put_slice(bytes);
            } else {
                parts.push(small.split().freeze());
                parts.push(bytes.clone());
            }
            return;
        }
        Written::Head(head) => (HEAD, postcard::to_allocvec(head)),
        Written::Ballot { term, vote } => (BALLOT, postcard::to_allocvec(&(term, vote))),
        Written::Truncate { behind } => (TRUNCATE, postcard::to_allocvec(behind)),
        Written::Seal => (SEAL, Ok(Vec::new())),
        Written::Base { last } => (BASE, postcard::to_allocvec(last)),
    };
    // Memory is there, and none of our types refuses to be written.
    let payload = payload.unwrap_or_default();
    small.put_u32_le(length(payload.len() + 1));
    small.put_u8(kind);
    small.put_slice(&payload);
}

fn length(len: usize) -> u32 {
    // `Limits` keeps entries far below.
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Reads the records of a body whose checksum was right; `None` if it is none that we have written. Each entry
/// gets memory of its own.
pub(super) fn decode_body(mut body: &[u8]) -> Option<Vec<Written>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (record, rest) = rest.split_at_checked(len)?;
        records.push(decode_record(record)?);
        body = rest;
    }
    Some(records)
}

fn decode_record(record: &[u8]) -> Option<Written> {
    let (kind, payload) = record.split_first()?;
    Some(match *kind {
        HEAD => Written::Head(whole(payload)?),
        BALLOT => {
            let (term, vote) = whole(payload)?;
            Written::Ballot { term, vote }
        }
        ENTRY => {
            let (index, bytes) = payload.split_first_chunk::<8>()?;
            Written::Entry { index: Index(u64::from_le_bytes(*index)), bytes: Bytes::copy_from_slice(bytes) }
        }
        TRUNCATE => Written::Truncate { behind: whole(payload)? },
        SEAL if payload.is_empty() => Written::Seal,
        BASE => Written::Base { last: whole(payload)? },
        _ => return None,
    })
}

fn whole<'p, T: Deserialize<'p>>(payload: &'p [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: Salt = Salt(7);
    const OWN: Incarnation = Incarnation(9);

    fn every_record() -> Vec<Written> {
        let node = NodeId::new("n1").expect("a good name");
        let head = Head { node: node.clone(), incarnation: OWN, generation: 3, log_end: Index(4) };
        alloc::vec![
            Written::Head(head),
            Written::Ballot { term: Term(5), vote: None },
            Written::Ballot { term: Term(5), vote: Some(node) },
            Written::Entry { index: Index(5), bytes: Bytes::from_static(b"small") },
            Written::Entry { index: Index(6), bytes: Bytes::from(alloc::vec![7; 5000]) },
            Written::Truncate { behind: Index(4) },
            Written::Seal,
            Written::Base { last: EntryId::new(6, 5) },
        ]
    }

    fn flush(records: &[Written]) -> (Header, Vec<u8>) {
        let (header, parts) = encode(SALT, OWN, (FlushNumber(2 << 32 | 4), FlushNumber(7)), 8192, records);
        (header, parts.concat())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (header, bytes) = flush(&every_record());
        assert_eq!(bytes.len() as u64 % BLOCK, 0);
        assert_eq!(header.end(), 8192 + bytes.len() as u64);
        let read = Header::decode(&bytes, SALT, OWN, 2, 8192);
        assert_eq!(read, Ok(header));
        let body = header.body(&bytes, SALT).expect("a whole body");
        assert_eq!(decode_body(body), Some(every_record()));
    }

    #[test]
    fn a_flush_is_bound_to_its_place_and_to_its_storage() {
        let (_, bytes) = flush(&[Written::Seal]);
        let foreign = Err(NoHeader::Foreign { incarnation: OWN, segment: 2, at: 8192 });
        assert_eq!(Header::decode(&bytes, SALT, OWN, 2, 4096), foreign, "another place");
        assert_eq!(Header::decode(&bytes, SALT, OWN, 3, 8192), foreign, "another segment");
        assert_eq!(Header::decode(&bytes, SALT, Incarnation(1), 2, 8192), foreign, "another storage");
        assert_eq!(Header::decode(&bytes, Salt(8), OWN, 2, 8192), Err(NoHeader::Garbage), "another salt");
        assert_eq!(Header::decode(&[0; HEADER], SALT, OWN, 2, 8192), Err(NoHeader::Blank));
        assert_eq!(Header::decode(&[], SALT, OWN, 2, 8192), Err(NoHeader::Garbage));
    }

    #[test]
    fn a_later_format_is_told_from_garbage() {
        let (_, mut bytes) = flush(&[Written::Seal]);
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes, SALT, OWN, 2, 8192), Err(NoHeader::Newer(2)));
    }

    #[test]
    fn every_flipped_bit_of_a_flush_is_found() {
        let (header, bytes) = flush(&every_record()[..4]);
        let used = HEADER + usize::try_from(header.body_len).expect("small");
        for at in 0..used {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let body = Header::decode(&flipped, SALT, OWN, 2, 8192)
                    .ok()
                    .and_then(|header| header.body(&flipped, SALT).map(<[u8]>::to_vec));
                assert_eq!(body, None, "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Header::decode(&bytes, SALT, OWN, 2, 8192);
            let _ = decode_body(&bytes);
        }
    }
}
