//! Files that nobody names: they promised nothing, unless the superblock has lost what it said.

use alloc::format;

use super::{Opening, Step};
use crate::error::{Damage, StorageFault};
use crate::id::Incarnation;
use crate::io::DiskOp;
use crate::store::FileName;
use crate::store::format::{BLOCK, HEADER, Header, Salt, Written, decode_body};

impl Opening {
    /// A file that nobody names promised nothing, unless the superblock has lost what it said.
    pub(super) fn read_next_stray(&mut self, from: usize) -> Result<(), StorageFault> {
        let segment =
            (from..self.strays.len()).find(|place| matches!(self.strays[*place], FileName::Segment(_)));
        match segment {
            Some(place) => {
                self.step = Step::Stray(place);
                let len = usize::try_from(2 * BLOCK).unwrap_or(usize::MAX);
                self.ops.ask(DiskOp::Read { file: self.strays[place], at: 0, len }, ());
                Ok(())
            }
            None => self.read_next_segment(0),
        }
    }

    pub(super) fn read_stray(&mut self, place: usize, bytes: &[u8]) -> Result<(), StorageFault> {
        self.reads += 1;
        let (Some(names), FileName::Segment(number)) = (&self.names, self.strays[place]) else {
            return Ok(());
        };
        let generation = generation_of(number, bytes, Salt(names.salt), names.incarnation);
        if let Some(generation) = generation.filter(|generation| *generation > names.generation) {
            return Err(StorageFault::Damaged(has_lost_what_it_said(names.generation, number, generation)));
        }
        self.read_next_stray(place + 1)
    }
}

/// The generation of the superblock that was the first to name a segment, if it is one of this storage.
pub(in crate::store) fn generation_of(
    number: u64,
    bytes: &[u8],
    salt: Salt,
    incarnation: Incarnation,
) -> Option<u64> {
    // The head is the first record, so it stands in the first block, whether the flush is whole or not.
    let header = Header::decode(bytes, salt, incarnation, number, 0).ok()?;
    let body = bytes.get(HEADER..)?;
    let len = usize::try_from(header.body_len).unwrap_or(usize::MAX).min(body.len());
    head_of(&body[..len])
}

/// A segment that nobody names was named once.
pub(in crate::store) fn has_lost_what_it_said(own: u64, segment: u64, generation: u64) -> Damage {
    let segment = FileName::Segment(segment);
    let what = format!("it is of generation {own}, and {segment} was written in generation {generation}");
    Damage { file: FileName::Superblock, at: 0, what }
}

/// The generation in the head of a segment, whose first record it is.
fn head_of(body: &[u8]) -> Option<u64> {
    let (len, _) = body.split_first_chunk::<4>()?;
    let len = 4 + usize::try_from(u32::from_le_bytes(*len)).ok()?;
    match decode_body(body.get(..len)?)?.as_slice() {
        [Written::Head(head)] => Some(head.generation),
        _ => None,
    }
}
