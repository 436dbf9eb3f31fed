//! Segments: one is written to, one is made before it is needed, and those that are covered are given up.

use super::{Purpose, Spare, Wal, Worth};
use crate::id::Index;
use crate::io::DiskOp;
use crate::mutants::{Mutant, is};
use crate::store::FileName;
use crate::store::superblock::{MAX_SEGMENTS, Named};

impl Wal {
    /// The last segment has no room for the next flush: a new one is named, once it is made.
    pub(super) fn rotate(&mut self, wanted: u64) {
        match self.spare {
            // It is named already, or as many are as may be.
            _ if self.is_rotating() || self.target.segments.len() >= MAX_SEGMENTS => {}
            Spare::Ready { number, size } if size >= wanted => {
                let named = Named { number, size, behind: self.floor };
                self.spare = Spare::None;
                self.head = u64::MAX;
                self.target.segments.push(named);
            }
            Spare::Ready { number, .. } => {
                // Too small for this one.
                let file = FileName::Segment(number);
                self.ops.ask(DiskOp::Remove { file }, Purpose::Removal);
                self.make_spare(wanted);
            }
            Spare::None => self.make_spare(wanted),
            Spare::Refused { again_at } if self.now >= again_at => self.make_spare(wanted),
            Spare::Refused { .. } | Spare::Asked { .. } => {}
        }
    }

    /// There is always one more segment than is needed: when the disk is full, that is the room that is left.
    pub(super) fn keep_spare(&mut self) {
        match self.spare {
            Spare::Refused { again_at } if self.now < again_at => {}
            Spare::None | Spare::Refused { .. } => self.make_spare(0),
            Spare::Asked { .. } | Spare::Ready { .. } => {}
        }
    }

    pub(super) fn make_spare(&mut self, wanted: u64) {
        let size = self.segment_bytes.max(wanted);
        let number = self.next_number();
        let file = FileName::Segment(number);
        self.spare = Spare::Asked { number, size };
        self.ops.ask(DiskOp::Create { file, size }, Purpose::Spare);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Whether a segment behind the last is about to be named.
    pub(super) fn is_rotating(&self) -> bool {
        let last = self.segments.back().map(|segment| segment.named);
        self.target.segments.last().copied() != last
    }

    /// Segments whose entries a durable snapshot covers are not named any more, but for the last.
    pub(super) fn give_up_segments(&mut self) {
        let covered = self.names.snapshot.map_or(Index(0), |snapshot| snapshot.last.index);
        let is_open = self.head != u64::MAX;
        let is_written = is_open && self.head > 0;
        let early = is_written && is(Mutant::SegmentGivenUpEarly);
        let others = self.segments.len().saturating_sub(usize::from(is_open));
        // A segment in the middle is given up only if it is not read any more.
        let mut is_oldest = true;
        for segment in self.segments.iter().take(others) {
            is_oldest &= segment.highest <= covered || segment.worth != Worth::Counts || early;
            let gone = match segment.worth {
                // What came behind it may have been read from a cache that no disk has seen.
                Worth::Nothing | Worth::Repeated => is_written,
                Worth::Counts => is_written && is_oldest,
            };
            if gone {
                self.target.segments.retain(|named| named.number != segment.named.number);
            }
        }
    }
}
