//! Everything that is read of bytes from elsewhere, each by itself: by wires, by files. The bytes may come from anywhere.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::entry::{Entry, read_batch, write_batch};
use crate::kv::{Decoder, Encoder, Snapshot};
use crate::mesh::wire;
use crate::mesh::{Cutter, Frame};
use crate::raft::{Outgoing, Received};
use crate::store::decode::{Records, Slot};

/// What bytes are read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The body of a frame: every word of the protocol, hello among them.
    Frame,
    /// An entry of the log.
    Entry,
    /// The entries of an append.
    Batch,
    /// A slot of the superblock.
    Slot,
    /// The records of a flush, whose header and checksum were right.
    Records,
    /// A whole state, as it stands in a snapshot.
    State,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] =
        [Format::Frame, Format::Entry, Format::Batch, Format::Slot, Format::Records, Format::State];

    /// Reads bytes, to their end; `None` if that is not what they are.
    pub fn decode(self, bytes: &Bytes) -> Option<Decoded> {
        let what = match self {
            Format::Frame => What::Frame(Frame::parse(bytes).ok()?),
            Format::Entry => What::Entry(Entry::parse(bytes.clone()).ok()?),
            Format::Batch => What::Batch(read_batch(bytes).ok()?),
            Format::Slot => What::Slot(Slot::decode(bytes)?),
            Format::Records => What::Records(Records::decode(bytes)?),
            Format::State => return StateReader::default().push(bytes)?.finish(),
        };
        Some(Decoded { what })
    }
}

/// Something that was read.
#[derive(Clone, Debug)]
pub struct Decoded {
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Frame(Frame),
    Entry(Entry),
    Batch(Vec<Entry>),
    Slot(Slot),
    Records(Records),
    State(Snapshot),
}

impl Decoded {
    /// Writes it anew, as this version does. Numbers may have been written longer than they have to be, so these need not be
    /// the bytes that were read; but what is read of them is the same.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match &self.what {
            What::Frame(frame) => return encode_frame(frame),
            What::Entry(entry) => return Entry::new(entry.term, entry.payload.clone()).bytes,
            What::Batch(entries) => write_batch(&mut out, &bytes_of(entries)),
            What::Slot(slot) => return slot.encode(),
            What::Records(records) => return records.encode(),
            What::State(snapshot) => {
                let mut encoder = Encoder::new(snapshot.clone());
                // A state that was read has the hash that it says.
                while let (false, Ok(piece)) = (encoder.is_done(), encoder.next(1 << 16)) {
                    out.extend_from_slice(&piece);
                }
            }
        }
        out.freeze()
    }
}

fn bytes_of(entries: &[Entry]) -> Vec<Bytes> {
    entries.iter().map(|entry| entry.bytes.clone()).collect()
}

fn encode_frame(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    match frame.clone() {
        Frame::Hello(hello) => wire::write_hello(&mut out, hello),
        Frame::Welcome { version, hello } => wire::write_welcome(&mut out, version, hello),
        Frame::Confirm => wire::write_confirm(&mut out),
        Frame::Goodbye { reason } => wire::write_goodbye(&mut out, &reason),
        Frame::Ping => wire::write_ping(&mut out),
        Frame::Removed { by } => wire::write_removed(&mut out, by),
        Frame::Raft(Received::Directive(directive, entries)) => {
            wire::write_raft(&mut out, Outgoing::Directive(directive, bytes_of(&entries)));
        }
        Frame::Raft(Received::Pledge(pledge)) => wire::write_raft(&mut out, Outgoing::Pledge(pledge)),
        Frame::Service(service, payload) => wire::write_service(&mut out, service, &payload),
    }
    out.freeze().slice(crate::mesh::FRAME_LENGTH..)
}

/// Cuts frames out of a stream that comes in pieces, up to a size of one's own.
#[derive(Clone, Debug)]
pub struct Frames {
    cutter: Cutter,
}

impl Frames {
    /// A stream from its beginning. No frame has more bytes than these.
    pub fn up_to(max_frame: usize) -> Frames {
        Frames { cutter: Cutter::new(max_frame) }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: Bytes) {
        self.cutter.push(piece);
    }

    /// The body of the next frame, if all of it is there.
    ///
    /// # Errors
    /// The size that the next frame says it has, which is too large.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, usize> {
        self.cutter.next().map_err(|too_large| too_large.size)
    }

    /// Bytes that it holds, of what is no whole frame yet.
    pub fn unread(&self) -> usize {
        self.cutter.unread()
    }
}

/// Reads a state that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct StateReader {
    decoder: Decoder,
}

impl StateReader {
    /// Takes the next piece; `None` if what has come is no state.
    pub fn push(mut self, piece: &[u8]) -> Option<StateReader> {
        self.decoder.push(piece).ok()?;
        Some(self)
    }

    /// The state, if all of it has come.
    pub fn finish(self) -> Option<Decoded> {
        self.decoder.finish().ok().map(|snapshot| Decoded { what: What::State(snapshot) })
    }
}
