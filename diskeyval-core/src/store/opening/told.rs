//! Who only looks is told in words what there is, and writes nothing. But for that it goes as if a node were opened: what
//! would be damage to that is damage here.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Fold, Opening, Origin, Recalled};
use crate::error::StorageFault;
use crate::id::{EntryId, Incarnation, NodeId};
use crate::store::FileName;
use crate::store::superblock::Mark;

impl Opening {
    /// Only looks, whosever storage it is, and tells what it finds.
    pub(crate) fn examining() -> Opening {
        let nobody = Origin {
            node: NodeId::nobody(),
            cluster_name: String::new(),
            incarnation: Incarnation(0),
            salt: 0,
            segment_bytes: 0,
        };
        Opening { told: Some(Vec::new()), ..Opening::new(nobody) }
    }

    /// What was found, of which file.
    pub(crate) fn take_told(&mut self) -> Vec<(FileName, String)> {
        self.told.take().unwrap_or_default()
    }

    /// What the snapshot has come to.
    pub(crate) fn tell_snapshot(&mut self, what: String) {
        let number = self.names.as_ref().and_then(|names| names.snapshot).map_or(0, |named| named.number);
        self.tell(FileName::Snapshot(number), || alloc::vec![what]);
    }

    pub(super) fn tell(&mut self, file: FileName, what: impl FnOnce() -> Vec<String>) {
        if let Some(told) = &mut self.told {
            told.extend(what().into_iter().map(|line| (file, line)));
        }
    }

    /// Everything is read: what a node would have kept.
    pub(super) fn recall_without_writing(&mut self) -> Result<(), StorageFault> {
        let (Some(names), Some(chain)) = (&self.names, &self.chain) else { return Ok(()) };
        let base = names.snapshot.map_or(EntryId::default(), |snapshot| snapshot.last);
        let mut fold = Fold::new(base, names.segments.first().copied());
        for flush in &chain.flushes {
            fold.take(flush).map_err(StorageFault::Damaged)?;
        }
        self.recalled = Some(Recalled {
            incarnation: names.incarnation,
            term: fold.term.max(base.term),
            vote: fold.vote.clone(),
            base,
            entries: fold.behind_base().unwrap_or_default(),
            is_new: names.segments.is_empty(),
            is_anew: names.mark == Mark::Anew,
        });
        Ok(())
    }

    /// What a node would have kept, if everything was read.
    pub(crate) fn take_recalled(&mut self) -> Option<Recalled> {
        self.recalled.take()
    }
}
