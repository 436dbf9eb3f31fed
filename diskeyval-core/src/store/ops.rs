//! Operations on their way: numbered, carried out one after the other, and remembered with what they are for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::FileName;
use super::format::BLOCK;
use super::superblock::Names;
use crate::id::OpId;
use crate::io::DiskOp;

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

/// What has to be done for one slot to say this. The other is not touched before that is done: should it fail, there
/// is still one that can be read.
pub(super) fn naming(names: &Names, slot: u64) -> [DiskOp; 2] {
    let file = FileName::Superblock;
    [DiskOp::Write { file, at: slot * BLOCK, parts: alloc::vec![names.encode(slot)] }, DiskOp::Sync { file }]
}
