//! The byte form of a snapshot file: pieces one behind the other, each with a checksum that is bound to its place.
//! What the pieces say is not known here.
//!
//! ```text
//! file  = chunk*                            the first holds whose it is, the last is empty
//! chunk = header body
//! ```

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::FileName;
use super::format::Salt;
use super::superblock::NamedSnapshot;
use crate::id::{ClusterId, EntryId, Incarnation, NodeId};

/// The version of the format of snapshots.
pub(super) const SNAPSHOT_FORMAT: u16 = 1;

const MAGIC: [u8; 8] = *b"dkvsnaps";
/// Bytes before the body.
pub(super) const HEADER: usize = 8 + 2 + 1 + 1 + 4 + 8 + 8 + 8;

/// The largest body of a chunk.
pub(super) const MAX_CHUNK: usize = 1 << 20;

/// Whose snapshot it is: the body of the first chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) cluster: Option<ClusterId>,
    /// The last entry that it reflects.
    pub(super) last: EntryId,
}

/// One chunk: to be written at a place of the snapshot file with this number.
pub(super) fn chunk(salt: Salt, number: u64, at: u64, body: Bytes, is_last: bool) -> Vec<Bytes> {
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_slice(&MAGIC);
    header.put_u16_le(SNAPSHOT_FORMAT);
    header.put_u8(u8::from(is_last));
    header.put_u8(0);
    header.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    header.put_u64_le(number);
    header.put_u64_le(at);
    let mut sum = Xxh3::with_seed(salt.0);
    sum.update(&header);
    sum.update(&body);
    header.put_u64_le(sum.digest());
    alloc::vec![header.freeze(), body]
}

/// The length of a chunk with a body of so many bytes.
pub(super) fn chunk_len(body: usize) -> u64 {
    (HEADER + body) as u64
}

/// Reads a snapshot file from its beginning to its end.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    named: NamedSnapshot,
    salt: Salt,
    /// Where the next chunk begins.
    at: u64,
    head: Option<Head>,
    done: bool,
}

impl Reader {
    pub(super) fn new(named: NamedSnapshot, salt: Salt) -> Reader {
        Reader { named, salt, at: 0, head: None, done: false }
    }

    /// What is to be read next: the place, and how many bytes. `None`: it is read to its end.
    pub(super) fn wants(&self) -> Option<(u64, usize)> {
        (!self.done).then_some((self.at, 2 * MAX_CHUNK))
    }

    /// Takes what was read at the place that was wanted, and gives the bodies of the chunks in it. An error says
    /// at which byte of the file what stands.
    pub(super) fn take(&mut self, mut bytes: Bytes) -> Result<Vec<Bytes>, (u64, String)> {
        let mut bodies = Vec::new();
        let begin = self.at;
        while !self.done {
            let (body, is_last) = match self.next_chunk(&mut bytes) {
                Ok(Some(chunk)) => chunk,
                // The rest of it was not read, unless the file ends here.
                Ok(None) if self.at > begin => break,
                Ok(None) => return Err((self.at, "the file ends".into())),
                Err(what) => return Err((self.at, what)),
            };
            self.at += chunk_len(body.len());
            self.done = is_last;
            if self.head.is_none() {
                let (head, _) = postcard::take_from_bytes::<Head>(&body)
                    .map_err(|_| (0, String::from("a head that cannot be understood")))?;
                if head.last != self.named.last {
                    return Err((
                        0,
                        format!("a snapshot up to {}, where one up to {} was", head.last, self.named.last),
                    ));
                }
                self.head = Some(head);
            } else if is_last {
                if self.at != self.named.size {
                    return Err((self.at, format!("its end, where {} bytes were", self.named.size)));
                }
            } else {
                bodies.push(body);
            }
        }
        Ok(bodies)
    }

    fn next_chunk(&self, bytes: &mut Bytes) -> Result<Option<(Bytes, bool)>, String> {
        if bytes.len() < HEADER {
            return Ok(None);
        }
        let mut header = &bytes[..HEADER];
        if !header.starts_with(&MAGIC) {
            return Err("no header of a chunk".into());
        }
        header.advance(MAGIC.len());
        let format = header.get_u16_le();
        if format > SNAPSHOT_FORMAT {
            return Err(format!("a chunk of format {format}"));
        }
        let (is_last, zero) = (header.get_u8(), header.get_u8());
        let len = usize::try_from(header.get_u32_le()).unwrap_or(usize::MAX);
        let (number, at, sum) = (header.get_u64_le(), header.get_u64_le(), header.get_u64_le());
        if len > MAX_CHUNK || is_last > 1 || zero != 0 {
            return Err("no header of a chunk".into());
        }
        if bytes.len() < HEADER + len {
            return Ok(None);
        }
        let mut own = Xxh3::with_seed(self.salt.0);
        own.update(&bytes[..HEADER - 8]);
        own.update(&bytes[HEADER..HEADER + len]);
        if own.digest() != sum {
            return Err("a chunk with a wrong checksum".into());
        }
        if (number, at) != (self.named.number, self.at) {
            return Err(format!("a chunk that belongs to byte {at} of {}", FileName::Snapshot(number)));
        }
        bytes.advance(HEADER);
        Ok(Some((bytes.split_to(len), is_last == 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(5);

    fn file(bodies: &[usize]) -> (NamedSnapshot, Vec<u8>) {
        let last = EntryId::new(7, 2);
        let head = Head {
            node: NodeId::new("n1").expect("a good name"),
            incarnation: Incarnation(3),
            cluster: Some(ClusterId(4)),
            last,
        };
        let mut bytes = Vec::new();
        let mut push = |body: Bytes, is_last| {
            let parts = chunk(SALT, 7, bytes.len() as u64, body, is_last);
            bytes.extend(parts.concat());
        };
        push(postcard::to_allocvec(&head).expect("memory").into(), false);
        for (nth, len) in bodies.iter().enumerate() {
            push(Bytes::from(alloc::vec![u8::try_from(nth).expect("few"); *len]), false);
        }
        push(Bytes::new(), true);
        (NamedSnapshot { number: 7, last, size: bytes.len() as u64 }, bytes)
    }

    fn read(named: NamedSnapshot, bytes: &[u8]) -> Result<Vec<Bytes>, (u64, String)> {
        let mut reader = Reader::new(named, SALT);
        let mut bodies = Vec::new();
        while let Some((at, len)) = reader.wants() {
            let from = usize::try_from(at).expect("small").min(bytes.len());
            let to = (from + len).min(bytes.len());
            bodies.extend(reader.take(Bytes::copy_from_slice(&bytes[from..to]))?);
        }
        Ok(bodies)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lens = [10, 0, MAX_CHUNK, MAX_CHUNK, 1];
        let (named, bytes) = file(&lens);
        let bodies = read(named, &bytes).expect("a whole file");
        assert!(bodies.iter().map(Bytes::len).eq(lens));
        assert!(bodies.iter().enumerate().all(|(nth, body)| body.iter().all(|b| usize::from(*b) == nth)));
    }

    #[test]
    fn every_flipped_byte_and_every_shorter_file_is_found() {
        let (named, bytes) = file(&[30, 40]);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(read(named, &flipped).is_err(), "byte {at}");
            assert!(read(named, &bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
