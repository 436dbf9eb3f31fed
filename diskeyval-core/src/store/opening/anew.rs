//! How a storage that is damaged is given up for another: whoever may do that has been asked before.
//!
//! ```text
//! list -> superblock -> void and the new incarnation into both slots -> files aside -> a first start, in both slots
//! ```
//!
//! 1. Nothing is moved before both slots say for certain that nothing of it counts. So a crash leaves the damaged
//!    storage as it was, or one that is given up, and never a part of it that looks whole.
//! 2. While it is void no file is made. So what is found then is what has not been moved yet: the next start goes on
//!    with it, under the same number.
//! 3. Nothing is removed, and the former incarnation is never taken again: the first slot that is durable names the next.
//! 4. A void superblock may name a snapshot, which `salvage.rs` has put there. It alone stays, and the next life goes on
//!    from it, in place of a first start.

use alloc::vec::Vec;

use super::{Opening, Origin, Step, damage};
use crate::error::StorageFault;
use crate::io::DiskOp;
use crate::store::FileName;
use crate::store::ops::Ops;
use crate::store::superblock::{Mark, Names};

/// What was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// How many files this start has set aside.
    pub(crate) set_aside: usize,
    /// The number under which they were.
    pub(crate) under: u64,
    /// The next life goes on from a state that was made of them.
    pub(crate) goes_on: bool,
}

impl Opening {
    /// Gives up whatever there is, and begins anew as `origin` says. Operations are numbered from `next` on.
    pub(crate) fn anew(origin: Origin, next: u64) -> Opening {
        let mut ops = Ops::from(next);
        ops.ask(DiskOp::List, ());
        Opening { ops, gives_up: true, ..Opening::new(origin) }
    }

    /// Opens whatever there is. Operations are numbered from `next` on.
    pub(crate) fn resumed(origin: Origin, next: u64) -> Opening {
        let mut ops = Ops::from(next);
        ops.ask(DiskOp::List, ());
        Opening { ops, ..Opening::new(origin) }
    }

    /// What was given up, if that was not told yet.
    pub(crate) fn take_begun(&mut self) -> Option<Begun> {
        self.begun.take()
    }

    /// The superblock was read, or made: both slots are to say that nothing counts.
    pub(super) fn make_void(&mut self) {
        self.names = Some(Names { generation: self.renamed, mark: Mark::Void, ..Names::first(&self.origin) });
        self.name(0);
        self.step = Step::Void(0);
    }

    /// A former start has come as far as this. What it has written may be in a cache alone, so both slots are written
    /// again before anything is moved.
    pub(super) fn goes_on_giving_up(&mut self, names: Names) -> Result<(), StorageFault> {
        if let Some(named) = names.snapshot {
            let file = FileName::Snapshot(named.number);
            if self.files.get(&file) != Some(&named.size) {
                return Err(damage(
                    file,
                    0,
                    "it is not there as it was written, and all that counts is in it",
                ));
            }
        }
        self.names = Some(names);
        if self.told.is_some() {
            self.step = Step::Aside;
            for file in self.others() {
                self.tell(file, || alloc::vec!["it is to be set aside".into()]);
            }
            let goes_on = self.names.as_ref().is_some_and(|names| names.snapshot.is_some());
            return if goes_on { self.judge() } else { Ok(()) };
        }
        if let Some(names) = &mut self.names {
            names.generation = self.renamed;
        }
        self.name(0);
        self.step = Step::Void(0);
        Ok(())
    }

    /// Everything is moved out of the way but the superblock, and the snapshot that it names.
    pub(super) fn set_files_aside(&mut self) -> Result<(), StorageFault> {
        let files = self.others();
        let under = self.under();
        self.step = Step::Aside;
        for file in &files {
            self.ops.ask(DiskOp::SetAside { file: *file, under }, ());
        }
        if files.is_empty() { self.begin_behind() } else { Ok(()) }
    }

    /// Nothing else is there any more: a first start, or a state without a log.
    pub(super) fn begin_behind(&mut self) -> Result<(), StorageFault> {
        let others = self.others();
        let under = self.under();
        self.files.retain(|file, _| !others.contains(file));
        let Some(names) = &mut self.names else { return Ok(()) };
        names.generation += 1;
        let goes_on = names.snapshot.is_some();
        names.mark = if goes_on { Mark::None } else { Mark::Anew };
        self.renamed = names.generation;
        self.begun = Some(Begun { set_aside: others.len(), under, goes_on });
        if goes_on {
            return self.judge();
        }
        self.name(0);
        self.step = Step::Found(0);
        Ok(())
    }

    /// What files are set aside under: the first 16 digits of the next incarnation. Generations, under which files are set
    /// aside that have rotted, are never as high.
    fn under(&self) -> u64 {
        let next = self.incarnation().unwrap_or(self.origin.incarnation);
        u64::try_from(next.0 >> 64).unwrap_or(u64::MAX)
    }

    fn others(&self) -> Vec<FileName> {
        let named = self.names.as_ref().and_then(|names| names.snapshot);
        let stays = named.map(|named| FileName::Snapshot(named.number));
        let is_other = |file: &FileName| *file != FileName::Superblock && Some(*file) != stays;
        self.files.keys().copied().filter(is_other).collect()
    }
}

#[cfg(test)]
mod tests;
