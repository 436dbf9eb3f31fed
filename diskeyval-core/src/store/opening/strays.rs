//! Files that nobody names: they promised nothing, unless the superblock has lost what it said.

use alloc::format;

use super::{Opening, Step, damage};
use crate::error::StorageFault;
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
        let salt = Salt(names.salt);
        // The head is the first record, so it stands in the first block, whether the flush is whole or not.
        let header = Header::decode(bytes, salt, names.incarnation, number, 0);
        let generation = header.ok().and_then(|header| {
            let body = bytes.get(HEADER..)?;
            let len = usize::try_from(header.body_len).unwrap_or(usize::MAX).min(body.len());
            head_of(&body[..len])
        });
        if let Some(generation) = generation.filter(|generation| *generation > names.generation) {
            let what = format!(
                "it is of generation {}, and {} was written in generation {generation}",
                names.generation, self.strays[place]
            );
            return Err(damage(FileName::Superblock, 0, what));
        }
        self.read_next_stray(place + 1)
    }
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
