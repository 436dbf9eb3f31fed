//! The one byte form of an entry: the same bytes stand in the log, go to each peer, and into the map.
//!
//! ```text
//! entry   = head payload
//! head    = postcard(term, kind and its small fields, lengths)
//! payload = key value?            for a set
//!         | key                   for a delete
//!         | key value expected?   for a compare-and-set
//! ```

use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::id::{ClusterId, Incarnation, NodeId, Term};
use crate::kv::{Command, Expect, Owner, SessionId};
use crate::members::{Membership, StorageKind};

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The founding of the cluster. A later leader's own-term entry is a copy of it until it is committed.
    Genesis(Genesis),
    /// Nothing: a leader's first entry in its term.
    Noop,
    /// The membership from here on.
    Members(Membership),
    /// A node asks for a session.
    OpenSession(Owner),
    /// A change of the store.
    Write(Write),
}

/// The first entry of every log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Genesis {
    pub(crate) cluster: ClusterId,
    pub(crate) storage: StorageKind,
    pub(crate) members: Membership,
}

/// A change of the store, with the number that makes it happen once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) session: SessionId,
    pub(crate) seq: u64,
    /// All numbers below have ended for the owner of the session.
    pub(crate) floor: u64,
    pub(crate) command: Command,
}

/// An entry: its term, its bytes (which hold the term too), and what they say.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    pub(crate) bytes: Bytes,
    pub(crate) payload: Payload,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{} {:?}", self.term, self.payload)
    }
}

/// No frame carries more entries, so that small ones take no more memory than large ones.
pub(crate) const MAX_BATCH_ENTRIES: usize = 4096;

/// These bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnEntry;

/// What stands before the payload. Kinds are only ever added, at the end.
#[derive(Serialize, Deserialize)]
enum Head {
    Genesis(Genesis),
    Noop,
    Members(Membership),
    OpenSession { node: NodeId, incarnation: Incarnation, boot: u128 },
    Set(WriteHead),
    Delete(WriteHead),
    CompareAndSet(WriteHead, ExpectHead),
}

#[derive(Serialize, Deserialize)]
struct WriteHead {
    session: SessionId,
    seq: u64,
    floor: u64,
    key_len: u32,
    value_len: u32,
}

#[derive(Serialize, Deserialize)]
enum ExpectHead {
    Absent,
    Value,
    Revision(u64),
}

impl Entry {
    /// Writes an entry down. Keys and values of the payload are from then on slices of its bytes.
    pub(crate) fn new(term: Term, payload: Payload) -> Entry {
        let bytes = encode(term, &payload);
        match payload {
            // Only these have slices to be moved over.
            Payload::Write(_) => {
                Entry::parse(bytes).unwrap_or_else(|_| unreachable!("what was just written can be read"))
            }
            payload => Entry { term, bytes, payload },
        }
    }

    /// Reads an entry. The bytes may come from anywhere.
    pub(crate) fn parse(bytes: Bytes) -> Result<Entry, NotAnEntry> {
        let (term, payload) = decode(&bytes)?;
        Ok(Entry { term, bytes, payload })
    }

    /// Bytes that it takes in a log.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// No session counts this far; sums with it do not overflow.
const MAX_SEQ: u64 = 1 << 62;

/// What an entry costs in memory beside its bytes, roughly.
pub(crate) const OVERHEAD: usize = 64;

fn encode(term: Term, payload: &Payload) -> Bytes {
    let parts: [&[u8]; 3];
    let head = match payload {
        Payload::Genesis(genesis) => {
            parts = [&[], &[], &[]];
            Head::Genesis(genesis.clone())
        }
        Payload::Noop => {
            parts = [&[], &[], &[]];
            Head::Noop
        }
        Payload::Members(members) => {
            parts = [&[], &[], &[]];
            Head::Members(members.clone())
        }
        Payload::OpenSession(owner) => {
            parts = [&[], &[], &[]];
            Head::OpenSession { node: owner.node.clone(), incarnation: owner.incarnation, boot: owner.boot }
        }
        Payload::Write(write) => {
            let head = |key: &Bytes, value_len: usize| WriteHead {
                session: write.session,
                seq: write.seq,
                floor: write.floor,
                key_len: length(key.len()),
                value_len: length(value_len),
            };
            match &write.command {
                Command::Set { key, value } => {
                    parts = [key, value, &[]];
                    Head::Set(head(key, value.len()))
                }
                Command::Delete { key } => {
                    parts = [key, &[], &[]];
                    Head::Delete(head(key, 0))
                }
                Command::CompareAndSet { key, expect, value } => {
                    let (expect, expected): (_, &[u8]) = match expect {
                        Expect::Absent => (ExpectHead::Absent, &[]),
                        Expect::Value(expected) => (ExpectHead::Value, expected),
                        Expect::Revision(revision) => (ExpectHead::Revision(*revision), &[]),
                    };
                    parts = [key, value, expected];
                    Head::CompareAndSet(head(key, value.len()), expect)
                }
            }
        }
    };
    // Two numbers of ten bytes and a few of five fit beside the tag; the rare heads grow the buffer.
    let room = 56 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = BytesMut::with_capacity(room);
    write_head(&mut bytes, &(term, head));
    for part in parts {
        bytes.put_slice(part);
    }
    bytes.freeze()
}

/// Appends a postcard value.
pub(crate) fn write_head<T: Serialize>(bytes: &mut BytesMut, value: &T) {
    struct Tail<'b>(&'b mut BytesMut);
    impl postcard::ser_flavors::Flavor for Tail<'_> {
        type Output = ();
        fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
            self.0.put_slice(data);
            Ok(())
        }
        fn try_push(&mut self, data: u8) -> postcard::Result<()> {
            self.0.put_u8(data);
            Ok(())
        }
        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }
    // The buffer grows, and none of our types refuses to be written.
    let written = postcard::serialize_with_flavor(value, Tail(bytes));
    debug_assert!(written.is_ok(), "a head could not be written");
}

fn length(len: usize) -> u32 {
    // `Limits` keeps keys and values far below.
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn decode(bytes: &Bytes) -> Result<(Term, Payload), NotAnEntry> {
    let ((term, head), rest): ((Term, Head), &[u8]) =
        postcard::take_from_bytes(bytes).map_err(|_| NotAnEntry)?;
    let mut rest = bytes.slice(bytes.len() - rest.len()..);
    let mut take = |len: u32| -> Result<Bytes, NotAnEntry> {
        let len = len as usize;
        if len > rest.len() { Err(NotAnEntry) } else { Ok(rest.split_to(len)) }
    };
    let write = |head: &WriteHead, command| {
        Payload::Write(Write { session: head.session, seq: head.seq, floor: head.floor, command })
    };
    let payload = match head {
        Head::Genesis(genesis) => Payload::Genesis(genesis),
        Head::Noop => Payload::Noop,
        Head::Members(members) => Payload::Members(members),
        Head::OpenSession { node, incarnation, boot } => {
            Payload::OpenSession(Owner { node, incarnation, boot })
        }
        Head::Set(head) => {
            let (key, value) = (take(head.key_len)?, take(head.value_len)?);
            write(&head, Command::Set { key, value })
        }
        Head::Delete(head) => {
            let key = take(head.key_len)?;
            write(&head, Command::Delete { key })
        }
        Head::CompareAndSet(head, expect) => {
            let (key, value) = (take(head.key_len)?, take(head.value_len)?);
            let expect = match expect {
                ExpectHead::Absent => Expect::Absent,
                ExpectHead::Value => Expect::Value(core::mem::take(&mut rest)),
                ExpectHead::Revision(revision) => Expect::Revision(revision),
            };
            write(&head, Command::CompareAndSet { key, expect, value })
        }
    };
    let valid = match &payload {
        Payload::Genesis(genesis) => genesis.members.is_valid(),
        Payload::Members(members) => members.is_valid(),
        Payload::Write(write) => (1..MAX_SEQ).contains(&write.seq) && write.floor <= write.seq,
        Payload::Noop | Payload::OpenSession(_) => true,
    };
    if valid && rest.is_empty() { Ok((term, payload)) } else { Err(NotAnEntry) }
}

/// Several entries on their way: each as a length (four bytes, little endian) and its bytes.
pub(crate) fn write_batch(bytes: &mut BytesMut, entries: &[Bytes]) {
    for entry in entries {
        bytes.put_u32_le(length(entry.len()));
        bytes.put_slice(entry);
    }
}

/// Reads several entries. Each gets bytes of its own, so that a small value that is kept does not keep
/// the whole buffer that it arrived in.
pub(crate) fn read_batch(mut bytes: &[u8]) -> Result<Vec<Entry>, NotAnEntry> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        if entries.len() == MAX_BATCH_ENTRIES {
            return Err(NotAnEntry);
        }
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or(NotAnEntry)?;
        let len = u32::from_le_bytes(*len) as usize;
        let entry = rest.get(..len).ok_or(NotAnEntry)?;
        entries.push(Entry::parse(Bytes::copy_from_slice(entry))?);
        bytes = &rest[len..];
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Seat;
    use proptest::prelude::*;

    fn members() -> Membership {
        let seat = |id: &str, bound: Option<u128>| Seat {
            id: NodeId::new(id).expect("a good name"),
            bound: bound.map(Incarnation),
            address: None,
        };
        Membership::of(alloc::vec![seat("a", Some(1)), seat("b", Some(u128::MAX)), seat("c", None)])
    }

    fn write(command: Command) -> Payload {
        Payload::Write(Write { session: 3, seq: 9, floor: 4, command })
    }

    fn every_payload() -> Vec<Payload> {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let swap = |expect| write(Command::CompareAndSet { key: bytes("k"), expect, value: bytes("new") });
        alloc::vec![
            Payload::Genesis(Genesis {
                cluster: ClusterId(7),
                storage: StorageKind::Memory,
                members: members()
            }),
            Payload::Noop,
            Payload::Members(members()),
            Payload::OpenSession(Owner {
                node: NodeId::new("a").expect("a good name"),
                incarnation: Incarnation(1),
                boot: 2
            }),
            write(Command::Set { key: bytes("key"), value: bytes("value") }),
            write(Command::Set { key: bytes(""), value: bytes("") }),
            write(Command::Delete { key: bytes("key") }),
            swap(Expect::Absent),
            swap(Expect::Value(bytes("old"))),
            swap(Expect::Revision(12)),
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        for payload in every_payload() {
            let entry = Entry::new(Term(5), payload.clone());
            assert_eq!(entry.payload, payload);
            assert_eq!(Entry::parse(entry.bytes.clone()), Ok(entry));
        }
    }

    /// The examples of `docs/src/wire.md`.
    #[test]
    fn the_bytes_are_those_of_the_guide() {
        assert_eq!(Entry::new(Term(5), Payload::Noop).bytes[..], [5, 1]);
        let (key, value) = (Bytes::from_static(b"k"), Bytes::from_static(b"v"));
        let set = Entry::new(Term(5), write(Command::Set { key, value }));
        assert_eq!(set.bytes[..], [5, 4, 3, 9, 4, 1, 1, b'k', b'v']);
    }

    #[test]
    fn every_prefix_and_every_longer_form_is_refused() {
        for payload in every_payload() {
            let bytes = Entry::new(Term(5), payload).bytes;
            for cut in 0..bytes.len() {
                // A compare-and-set on a value ends where its bytes end, so only that one may be shorter.
                if let Ok(entry) = Entry::parse(bytes.slice(..cut)) {
                    let Payload::Write(Write { command: Command::CompareAndSet { expect, .. }, .. }) =
                        entry.payload
                    else {
                        panic!("{cut} of {} bytes were taken for an entry", bytes.len());
                    };
                    assert!(matches!(expect, Expect::Value(_)));
                }
            }
        }
    }

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let entries: Vec<Entry> =
            every_payload().into_iter().map(|payload| Entry::new(Term(2), payload)).collect();
        let mut bytes = BytesMut::new();
        write_batch(&mut bytes, &entries.iter().map(|entry| entry.bytes.clone()).collect::<Vec<_>>());
        assert_eq!(read_batch(&bytes), Ok(entries));
    }

    #[test]
    fn no_batch_has_more_entries_than_it_may() {
        let noop = Entry::new(Term(2), Payload::Noop).bytes;
        let batch = |count| {
            let mut bytes = BytesMut::new();
            write_batch(&mut bytes, &alloc::vec![noop.clone(); count]);
            read_batch(&bytes)
        };
        assert!(batch(MAX_BATCH_ENTRIES).is_ok_and(|entries| entries.len() == MAX_BATCH_ENTRIES));
        assert_eq!(batch(MAX_BATCH_ENTRIES + 1), Err(NotAnEntry));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::parse(Bytes::from(bytes.clone()));
            let _ = read_batch(&bytes);
        }
    }
}
