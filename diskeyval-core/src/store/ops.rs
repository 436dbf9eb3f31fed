//! Operations on their way: numbered, carried out one after the other, and remembered with what they are for.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::FileName;
use super::format::BLOCK;
use super::superblock::Names;
use crate::id::OpId;
use crate::io::{DiskError, DiskOp};

#[derive(Clone, Debug)]
pub(super) struct Ops<T> {
    next: u64,
    fresh: Vec<(OpId, DiskOp)>,
    waiting: VecDeque<(OpId, T)>,
}

impl<T> Ops<T> {
    /// Counts on from what another has asked for.
    pub(super) fn behind<U>(other: &Ops<U>) -> Ops<T> {
        Ops { next: other.next, fresh: Vec::new(), waiting: VecDeque::new() }
    }

    /// Counts from this number on.
    pub(super) fn from(next: u64) -> Ops<T> {
        Ops { next, fresh: Vec::new(), waiting: VecDeque::new() }
    }

    /// The number of the next one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Asks for an operation.
    pub(super) fn ask(&mut self, what: DiskOp, purpose: T) {
        let op = OpId(self.next);
        self.next += 1;
        self.fresh.push((op, what));
        self.waiting.push_back((op, purpose));
    }

    /// An operation was carried out: what it was for. `None` if it is not the one whose turn it was.
    pub(super) fn done(&mut self, op: OpId) -> Option<T> {
        self.waiting.pop_front_if(|(waiting, _)| *waiting == op).map(|(_, purpose)| purpose)
    }

    /// What was asked for and not handed out yet.
    pub(super) fn take(&mut self) -> Vec<(OpId, DiskOp)> {
        core::mem::take(&mut self.fresh)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T> Default for Ops<T> {
    fn default() -> Ops<T> {
        Ops { next: 0, fresh: Vec::new(), waiting: VecDeque::new() }
    }
}

/// What has to be done for the first or the second slot (`place` 0 or 1) to say this. The second is not touched before
/// the first is done: should that fail, there is still one that can be read.
///
/// Which is first alternates with the generation. So of two slots that are read and say the same, one is known to be on
/// the disk, whatever a cache pretends: the first. And the next generation begins with the other ([`renamed`]).
pub(super) fn naming(names: &Names, place: u64) -> [DiskOp; 2] {
    let (file, slot) = (FileName::Superblock, first_slot(names.generation) ^ place);
    [DiskOp::Write { file, at: slot * BLOCK, parts: alloc::vec![names.encode(slot)] }, DiskOp::Sync { file }]
}

/// The slot that is written first.
pub(super) fn first_slot(generation: u64) -> u64 {
    generation & 1
}

/// The generation in which both slots are to be written anew that were read with these; `None` for one that cannot be
/// read. What may be in a cache alone has to be written first.
pub(super) fn renamed(slots: [Option<u64>; 2]) -> u64 {
    let [zero, one] = slots;
    let last = zero.max(one).unwrap_or(0);
    let (least, doubtful) = match (zero, one) {
        (None, _) => (last + 1, 0),
        (_, None) => (last + 1, 1),
        (Some(zero), Some(one)) if zero == one => (last + 1, first_slot(last + 1)),
        // The second was still to be written.
        (Some(zero), Some(one)) => (last, u64::from(one > zero)),
    };
    if first_slot(least) == doubtful { least } else { least + 1 }
}

/// What the disk has said, in words.
pub(super) fn tell(error: &DiskError) -> String {
    match error {
        DiskError::Full => "there is no room left".into(),
        DiskError::Missing => "there is no such file".into(),
        DiskError::Failed(why) => why.to_string(),
    }
}
