//! Segments: one is written to, one is made before it is needed, and those that are covered are given up.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{FULL_PAUSE, Purpose, Spare, Wal, Worth};
use crate::id::Index;
use crate::io::DiskOp;
use crate::mutants::{Mutant, is};
use crate::store::FileName;
use crate::store::format::blocks;
use crate::store::superblock::{MAX_SEGMENTS, Named};

/// How much of a segment that nobody waits for is made at once.
const PIECE: u64 = 256 << 10;

/// What it is filled with.
const ZEROS: &[u8] = &[0; 4096];

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
        // An opening waits for nothing that it does not need.
        if self.durable == 0 {
            return;
        }
        self.keep_reserve();
        match self.spare {
            Spare::Refused { again_at } if self.now < again_at => {}
            Spare::None | Spare::Refused { .. } => self.make_spare(0),
            Spare::Asked { .. } | Spare::Ready { .. } => {}
        }
    }

    /// A file that is never named, so that the next opening removes it: then there is room for its segment, however
    /// full the disk has become.
    fn keep_reserve(&mut self) {
        if !self.has_reserve {
            self.has_reserve = true;
            let file = FileName::Segment(self.next_number());
            self.ops.ask(DiskOp::Create { file, size: self.small_segment() }, Purpose::Reserve);
        }
    }

    /// The size of the segment of an opening for which there is no room otherwise.
    fn small_segment(&self) -> u64 {
        blocks(self.segment_bytes / 2)
    }

    /// `wanted`: a flush of so many bytes waits for it, so that it is made at once. One that nobody waits for is made
    /// in pieces, between which flushes go on: to fill it takes as long as dozens of them.
    fn make_spare(&mut self, wanted: u64) {
        let size = if self.is_crowded { self.small_segment() } else { self.segment_bytes }.max(wanted);
        let number = self.next_number();
        let file = FileName::Segment(number);
        let filled = if wanted > 0 { size } else { size.min(PIECE) };
        self.spare = Spare::Asked { number, size, filled };
        self.ops.ask(DiskOp::Create { file, size: filled }, Purpose::Spare(number));
    }

    /// The spare segment is durable as far as it was asked for.
    pub(super) fn fill_spare(&mut self, of: u64) {
        let Spare::Asked { number, size, filled: at } = self.spare else { return };
        if number != of {
            return;
        }
        if at == size {
            self.spare = Spare::Ready { number, size };
            return;
        }
        let filled = size.min(at + PIECE);
        self.spare = Spare::Asked { number, size, filled };
        let file = FileName::Segment(number);
        let mut parts = Vec::new();
        let mut left = usize::try_from(filled - at).unwrap_or(0);
        while left > 0 {
            let len = left.min(ZEROS.len());
            parts.push(Bytes::from_static(&ZEROS[..len]));
            left -= len;
        }
        self.ops.ask(DiskOp::Write { file, at, parts }, Purpose::SpareZeros(number));
        self.ops.ask(DiskOp::Sync { file }, Purpose::Spare(number));
    }

    /// There is no room for the spare segment. What there is of it would take up room for nothing.
    pub(super) fn refuse_spare(&mut self, of: u64) {
        let Spare::Asked { number, size, filled } = self.spare else { return };
        if number != of {
            return;
        }
        // An opening has the room that its reserve has left, and tries that before it waits.
        let is_first = self.durable == 0 && !self.is_crowded;
        self.is_crowded = self.durable == 0;
        let pause = if is_first { Duration::ZERO } else { FULL_PAUSE };
        self.spare = Spare::Refused { again_at: self.now + pause };
        let is_there = filled > size.min(PIECE);
        if is_there {
            self.ops.ask(DiskOp::Remove { file: FileName::Segment(number) }, Purpose::Removal);
        }
    }

    /// Whether the next segment is to be tried again, and not yet.
    pub(in crate::store) fn waits_for_room(&self) -> bool {
        matches!(self.spare, Spare::Refused { again_at } if again_at > self.now)
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
