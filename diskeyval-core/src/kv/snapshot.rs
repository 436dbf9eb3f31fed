//! The state at an index as a stream of bytes: for a file, and for a follower that lags behind.
//!
//! ```text
//! snapshot = magic version length head pair* checksum
//! magic    = "dkv-snap"
//! version  = u16, little endian like all below; 1
//! length   = u32, of the head
//! head     = postcard(last, genesis, configuration, members, sessions, number of pairs, hash of the state)
//! pair     = u32 length of key, u32 length of value, u64 revision, key, value
//! checksum = 128 bits of XXH3 of everything before
//! ```
//!
//! Pairs ascend by key. The same state makes the same bytes on every node, so a stream can be gone on with wherever it was cut.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::entry::{Genesis, write_head};
use crate::id::EntryId;
use crate::kv::machine::{Machine, pair_hash};
use crate::kv::map::{Ascending, Emptied};
use crate::kv::sessions::{Session, Sessions};
use crate::kv::{SessionId, Versioned};
use crate::members::Membership;
use crate::mutants::{Mutant, is};

/// What a snapshot begins with.
const MAGIC: [u8; 8] = *b"dkv-snap";

/// The version of the format that is written. Older ones stay readable.
const VERSION: u16 = 1;

/// Bytes before the head.
const PREFIX: usize = MAGIC.len() + 2 + 4;

/// Bytes of a pair before its key.
const PAIR: usize = 4 + 4 + 8;

/// The state after an entry, frozen: it costs next to nothing to take.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The last entry that it reflects.
    pub(crate) last: EntryId,
    /// The founding of its cluster.
    pub(crate) genesis: Genesis,
    /// The entry that brought in its members.
    pub(crate) configuration: EntryId,
    pub(crate) machine: Machine,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    last: EntryId,
    genesis: Genesis,
    configuration: EntryId,
    members: Membership,
    sessions: BTreeMap<SessionId, Session>,
    pairs: u64,
    hash: u128,
}

/// The pairs of a state do not add up to the hash that was kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupted;

/// Makes the bytes of a snapshot, a piece at a time. The state is let go as it is written.
#[derive(Clone)]
pub(crate) struct Encoder {
    last: EntryId,
    pairs: Emptied,
    /// Made, and not handed out.
    made: BytesMut,
    is_made: bool,
    /// The sum of the hashes of all pairs, as it was kept, and as it is found.
    kept_hash: u128,
    map_hash: u128,
    checksum: Xxh3,
}

impl Encoder {
    pub(crate) fn new(snapshot: Snapshot) -> Encoder {
        let mut made = BytesMut::new();
        write_prefix(&mut made, &snapshot);
        let mut checksum = Xxh3::new();
        checksum.update(&made);
        let Snapshot { last, machine, .. } = snapshot;
        let kept_hash = machine.map_hash();
        let pairs = Emptied::new(machine.into_map());
        Encoder { last, pairs, made, is_made: false, kept_hash, map_hash: 0, checksum }
    }

    /// The last entry that the snapshot reflects.
    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    /// Whether all bytes were handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.is_made && self.made.is_empty()
    }

    /// The next bytes: as many as said, or all that are left.
    pub(crate) fn next(&mut self, count: usize) -> Result<Bytes, Corrupted> {
        if !self.is_made {
            let before = self.made.len();
            self.write_pairs(count);
            self.checksum.update(self.made.get(before..).unwrap_or_default());
            if self.is_made {
                if self.map_hash != self.kept_hash {
                    return Err(Corrupted);
                }
                self.made.put_u128_le(self.checksum.digest128());
            }
        }
        Ok(self.made.split_to(count.min(self.made.len())).freeze())
    }

    /// Writes pairs until so many bytes are made.
    fn write_pairs(&mut self, count: usize) {
        while self.made.len() < count {
            let Some((key, versioned)) = self.pairs.next() else {
                self.is_made = true;
                return;
            };
            self.map_hash = self.map_hash.wrapping_add(pair_hash(key, versioned));
            self.made.reserve(PAIR + key.len() + versioned.value.len());
            for len in [key.len(), versioned.value.len()] {
                self.made.put_u32_le(u32::try_from(len).unwrap_or(u32::MAX));
            }
            self.made.put_u64_le(versioned.revision);
            self.made.put_slice(key);
            self.made.put_slice(&versioned.value);
        }
    }
}

/// Writes all before the pairs.
fn write_prefix(made: &mut BytesMut, snapshot: &Snapshot) {
    let Snapshot { last, genesis, configuration, machine } = snapshot;
    let head = Head {
        last: *last,
        genesis: genesis.clone(),
        configuration: *configuration,
        members: machine.members().unwrap_or(&genesis.members).clone(),
        sessions: machine.sessions().table().clone(),
        pairs: machine.keys() as u64,
        hash: machine.hash(),
    };
    let mut bytes = BytesMut::new();
    write_head(&mut bytes, &head);
    made.put_slice(&MAGIC);
    made.put_u16_le(VERSION);
    made.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    made.put_slice(&bytes);
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("last", &self.last()).finish_non_exhaustive()
    }
}

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotASnapshot {
    /// They are not what any version has written.
    Malformed,
    /// They were written by a later version of the format.
    Newer(u16),
}

impl fmt::Display for NotASnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotASnapshot::Malformed => f.write_str("a state that cannot be understood"),
            NotASnapshot::Newer(version) => write!(f, "a state in version {version} of its format"),
        }
    }
}

/// Reads a snapshot from bytes that may be cut anywhere and come from anywhere. What it holds grows with the bytes
/// that it was given, whatever lengths they claim.
#[derive(Clone)]
pub(crate) struct Decoder {
    /// Bytes of what is not whole yet.
    held: Vec<u8>,
    reading: Reading,
    checksum: Xxh3,
}

#[derive(Clone)]
enum Reading {
    Head,
    Pairs(Partial),
    Done(Snapshot),
}

/// A state of which some pairs are still to come.
#[derive(Clone)]
struct Partial {
    last: EntryId,
    genesis: Genesis,
    configuration: EntryId,
    members: Membership,
    sessions: Sessions,
    hash: u128,
    left: u64,
    map: Ascending,
    map_hash: u128,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { held: Vec::new(), reading: Reading::Head, checksum: Xxh3::new() }
    }
}

impl Decoder {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), NotASnapshot> {
        self.held.extend_from_slice(bytes);
        let held = core::mem::take(&mut self.held);
        let mut rest = &held[..];
        while let Some(taken) = self.read(rest)? {
            rest = rest.get(taken..).unwrap_or_default();
        }
        let read = held.len() - rest.len();
        self.held = held;
        self.held.drain(..read);
        Ok(())
    }

    /// The snapshot, if all of it was there.
    pub(crate) fn finish(self) -> Result<Snapshot, NotASnapshot> {
        match self.reading {
            Reading::Done(snapshot) => Ok(snapshot),
            Reading::Head | Reading::Pairs(_) => Err(NotASnapshot::Malformed),
        }
    }

    /// Reads one thing from the beginning of what is there, if it is there as a whole. Tells how long it was.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotASnapshot> {
        let len = match &mut self.reading {
            Reading::Head => {
                let Some((len, partial)) = read_head(bytes)? else { return Ok(None) };
                self.reading = Reading::Pairs(partial);
                len
            }
            Reading::Pairs(partial) if partial.left > 0 => {
                let Some(len) = partial.read_pair(bytes)? else { return Ok(None) };
                len
            }
            Reading::Pairs(_) => return self.end(bytes),
            Reading::Done(_) if bytes.is_empty() => return Ok(None),
            Reading::Done(_) => return Err(NotASnapshot::Malformed),
        };
        self.checksum.update(bytes.get(..len).unwrap_or_default());
        Ok(Some(len))
    }

    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotASnapshot> {
        let Some(checksum) = bytes.first_chunk().map(|bytes| u128::from_le_bytes(*bytes)) else {
            return Ok(None);
        };
        // Whoever mixes pieces of two snapshots does not look at what would tell.
        if checksum != self.checksum.digest128() && !is(Mutant::ChunksMixed) {
            return Err(NotASnapshot::Malformed);
        }
        if let Reading::Pairs(partial) = core::mem::replace(&mut self.reading, Reading::Head) {
            self.reading = Reading::Done(partial.finish()?);
        }
        Ok(Some(size_of::<u128>()))
    }
}

/// Reads all before the pairs, if it is there as a whole.
fn read_head(bytes: &[u8]) -> Result<Option<(usize, Partial)>, NotASnapshot> {
    let magic = bytes.get(..MAGIC.len().min(bytes.len())).unwrap_or_default();
    if !MAGIC.starts_with(magic) {
        return Err(NotASnapshot::Malformed);
    }
    let Some((prefix, rest)) = bytes.split_at_checked(PREFIX) else { return Ok(None) };
    let (version, len) = match prefix.get(MAGIC.len()..) {
        Some(&[v0, v1, l0, l1, l2, l3]) => {
            (u16::from_le_bytes([v0, v1]), u32::from_le_bytes([l0, l1, l2, l3]))
        }
        Some(_) | None => return Err(NotASnapshot::Malformed),
    };
    if version != VERSION {
        return Err(if version > VERSION { NotASnapshot::Newer(version) } else { NotASnapshot::Malformed });
    }
    let Some(head) = rest.get(..len as usize) else { return Ok(None) };
    let (head, behind) = postcard::take_from_bytes::<Head>(head).map_err(|_| NotASnapshot::Malformed)?;
    let partial = Partial::new(head).filter(|_| behind.is_empty()).ok_or(NotASnapshot::Malformed)?;
    Ok(Some((PREFIX + len as usize, partial)))
}

impl Partial {
    fn new(head: Head) -> Option<Partial> {
        let Head { last, genesis, configuration, members, sessions, pairs, hash } = head;
        let places = configuration.index <= last.index && configuration.term <= last.term;
        if !(places && genesis.members.is_valid() && members.is_valid()) {
            return None;
        }
        let sessions = Sessions::from_table(sessions, last.index.0)?;
        let (map, map_hash, left) = (Ascending::default(), 0, pairs);
        Some(Partial { last, genesis, configuration, members, sessions, hash, left, map, map_hash })
    }

    /// Reads a pair, if it is there as a whole. Key and value get one piece of memory of their own.
    fn read_pair(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotASnapshot> {
        let Some((&[k0, k1, k2, k3, v0, v1, v2, v3, ref revision @ ..], rest)) =
            bytes.split_first_chunk::<PAIR>()
        else {
            return Ok(None);
        };
        let key_len = u32::from_le_bytes([k0, k1, k2, k3]) as usize;
        let value_len = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let both = key_len.checked_add(value_len).ok_or(NotASnapshot::Malformed)?;
        let Some(pair) = rest.get(..both) else { return Ok(None) };
        let revision = u64::from_le_bytes(*revision);
        let mut key = Bytes::copy_from_slice(pair);
        let versioned = Versioned { value: key.split_off(key_len), revision };
        self.map_hash = self.map_hash.wrapping_add(pair_hash(&key, &versioned));
        self.left -= 1;
        if revision > self.last.index.0 || !self.map.push(key, versioned) {
            return Err(NotASnapshot::Malformed);
        }
        Ok(Some(PAIR + both))
    }

    fn finish(self) -> Result<Snapshot, NotASnapshot> {
        let Partial { last, genesis, configuration, members, sessions, hash, map, map_hash, .. } = self;
        let map = (map.finish(), map_hash);
        let mut machine = Machine::restored(last.index, map, sessions, genesis.cluster, members);
        if machine.hash() != hash && !is(Mutant::ChunksMixed) {
            return Err(NotASnapshot::Malformed);
        }
        if is(Mutant::SessionsNotInSnapshot) {
            machine.forget_sessions();
        }
        Ok(Snapshot { last, genesis, configuration, machine })
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
