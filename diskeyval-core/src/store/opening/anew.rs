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

use alloc::vec::Vec;

use super::{Opening, Origin, Step};
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
}

impl Opening {
    /// Gives up whatever there is, and begins anew as `origin` says. Operations are numbered from `next` on.
    pub(crate) fn anew(origin: Origin, next: u64) -> Opening {
        let mut ops = Ops::from(next);
        ops.ask(DiskOp::List, ());
        Opening { ops, gives_up: true, ..Opening::new(origin) }
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
    pub(super) fn goes_on_giving_up(&mut self, names: Names) {
        if self.told.is_some() {
            self.step = Step::Aside;
            for file in self.others() {
                self.tell(file, || alloc::vec!["it is to be set aside".into()]);
            }
            return;
        }
        self.names = Some(Names { generation: self.renamed, ..names });
        self.name(0);
        self.step = Step::Void(0);
    }

    /// Everything but the superblock is moved out of the way.
    pub(super) fn set_files_aside(&mut self) {
        let files = self.others();
        let under = self.under();
        self.step = Step::Aside;
        for file in &files {
            self.ops.ask(DiskOp::SetAside { file: *file, under }, ());
        }
        if files.is_empty() {
            self.begin_behind();
        }
    }

    /// Nothing else is there any more: a first start.
    pub(super) fn begin_behind(&mut self) {
        self.begun = Some(Begun { set_aside: self.others().len(), under: self.under() });
        self.files.retain(|file, _| *file == FileName::Superblock);
        if let Some(names) = &mut self.names {
            names.generation += 1;
            names.mark = Mark::Anew;
        }
        self.name(0);
        self.step = Step::Found(0);
    }

    /// What files are set aside under: the first 16 digits of the next incarnation. Generations, under which files are set
    /// aside that have rotted, are never as high.
    fn under(&self) -> u64 {
        let next = self.incarnation().unwrap_or(self.origin.incarnation);
        u64::try_from(next.0 >> 64).unwrap_or(u64::MAX)
    }

    fn others(&self) -> Vec<FileName> {
        self.files.keys().copied().filter(|file| *file != FileName::Superblock).collect()
    }
}

#[cfg(test)]
mod tests;
