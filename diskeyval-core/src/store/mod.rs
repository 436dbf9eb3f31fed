//! Where ballots and entries are kept: logical writes in, receipts out.
//!
//! In memory-only mode a write is durable as soon as it is made, for the life of the process: the node
//! draws a new incarnation at every start, so nobody relies on what an earlier one promised. On a disk a
//! write is durable when the driver says so.

mod files;
pub mod gate;

use alloc::vec::Vec;

use bytes::Bytes;

use crate::id::{EntryId, Incarnation, Index, NodeId, Term};
use crate::members::StorageKind;
use crate::mutants::{Mutant, is};
pub use files::FileName;
use gate::{Durable, Ledger, Receipt};

/// One thing that a node has to remember beyond its death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Its incarnation: the first record of all.
    Incarnation(Incarnation),
    /// Its term, and for whom it has voted in it.
    Ballot {
        /// The term.
        term: Term,
        /// The vote.
        vote: Option<NodeId>,
    },
    /// An entry at the end of its log.
    Entry {
        /// The place of the entry.
        index: Index,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The end of its log is given up: every entry behind this one.
    Truncate {
        /// The last entry that stays.
        behind: Index,
    },
    /// Its whole log is given up for a snapshot, which is durable: it goes on behind this entry.
    Base {
        /// The last entry that the snapshot reflects.
        last: EntryId,
    },
}

/// What a node writes to.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    ledger: Ledger,
    /// `None` in memory-only mode.
    disk: Option<Disk>,
    writing: Option<EntryId>,
    snapshot: EntryId,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    /// Writes that were not handed out yet.
    fresh: Vec<Record>,
    durable: u64,
}

impl Store {
    /// On a disk, writes are handed out, to be made durable by whoever drives the node. In memory they are
    /// not looked at: the ballot and the entries themselves live in `raft/`.
    pub(crate) fn new(kind: StorageKind) -> Store {
        let disk = match kind {
            StorageKind::Memory => None,
            StorageKind::Disk => Some(Disk::default()),
        };
        Store { ledger: Ledger::default(), disk, writing: None, snapshot: EntryId::default() }
    }

    /// What a cluster is told that keeps its log here.
    pub(crate) fn kind(&self) -> StorageKind {
        if self.disk.is_some() { StorageKind::Disk } else { StorageKind::Memory }
    }

    /// The receipt for what was durable when the store was opened.
    pub(crate) fn opened(&self) -> Receipt {
        self.ledger.opened()
    }

    /// Notes a write.
    pub(crate) fn record(&mut self, write: impl FnOnce() -> Record) -> Receipt {
        if let Some(disk) = &mut self.disk {
            disk.fresh.push(write());
        }
        self.ledger.record()
    }

    /// The writes that were not handed out yet, and the number of the last.
    pub(crate) fn take_fresh(&mut self) -> Option<(u64, Vec<Record>)> {
        let fresh = core::mem::take(&mut self.disk.as_mut()?.fresh);
        (!fresh.is_empty()).then(|| (self.ledger.last(), fresh))
    }

    /// Every write up to this number is durable, as the driver says.
    pub(crate) fn stored(&mut self, up_to: u64) {
        if let Some(disk) = &mut self.disk {
            let handed_out = self.ledger.last() - disk.fresh.len() as u64;
            disk.durable = disk.durable.max(up_to.min(handed_out));
        }
    }

    // Snapshots of the state, as bytes that somebody else makes.

    /// Begins a snapshot of the state after an entry, in place of one that is being written.
    pub(crate) fn begin_snapshot(&mut self, last: EntryId) {
        self.writing = Some(last);
    }

    /// How many bytes of the snapshot that is being written are taken now.
    pub(crate) fn snapshot_room(&self) -> usize {
        if self.writing.is_some() { usize::MAX } else { 0 }
    }

    /// Takes the next piece of the snapshot, at most as long as there is room.
    pub(crate) fn push_snapshot(&mut self, _piece: Bytes) {}

    /// There are no more pieces.
    pub(crate) fn end_snapshot(&mut self) {
        if let Some(last) = self.writing.take() {
            self.snapshot = last;
        }
    }

    /// The last entry that the newest durable snapshot reflects; zero if there is none.
    pub(crate) fn durable_snapshot(&self) -> EntryId {
        self.snapshot
    }

    /// The witness for what is durable by now: everything, in memory.
    pub(crate) fn durable(&self) -> Durable {
        match &self.disk {
            Some(disk)
                if (1..self.ledger.last()).contains(&disk.durable) && is(Mutant::AnySyncReleasesAll) =>
            {
                self.ledger.synced(self.ledger.last())
            }
            Some(disk) => self.ledger.synced(disk.durable),
            None => self.ledger.synced(self.ledger.last()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Gate;

    #[test]
    fn a_write_is_durable_when_the_driver_says_so_and_not_before_it_was_handed_out() {
        let mut store = Store::new(StorageKind::Disk);
        let mut gate = Gate::default();
        let ballot = |term| Record::Ballot { term: Term(term), vote: None };
        gate.hold(store.record(|| ballot(1)).promise("the first"));
        store.stored(9);
        assert!(gate.release(&store.durable()).is_empty(), "nobody has seen it yet");
        assert_eq!(store.take_fresh(), Some((1, alloc::vec![ballot(1)])));
        gate.hold(store.record(|| ballot(2)).promise("the second"));
        store.stored(9);
        assert_eq!(gate.release(&store.durable()), ["the first"]);
        assert_eq!(store.take_fresh(), Some((2, alloc::vec![ballot(2)])));
        assert_eq!(store.take_fresh(), None);
        store.stored(2);
        store.stored(1);
        assert_eq!(gate.release(&store.durable()), ["the second"]);
    }

    #[test]
    fn in_memory_a_write_is_durable_at_once() {
        let mut store = Store::new(StorageKind::Memory);
        let mut gate = Gate::default();
        let receipt = store.record(|| unreachable!("nothing is copied for a disk that is not there"));
        gate.hold(receipt.promise("at once"));
        assert_eq!(gate.release(&store.durable()), ["at once"]);
        assert_eq!(store.take_fresh(), None);
    }
}
