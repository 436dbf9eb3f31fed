//! Where ballots and entries are kept: logical writes in, receipts out, and on a disk bytes.
//!
//! In memory-only mode a write is durable as soon as it is made, for the life of the process: the node
//! draws a new incarnation at every start, so nobody relies on what an earlier one promised. On a disk a
//! write is durable when its flush is synced ([`wal`]); [`opening`] finds again what was kept.

#[cfg(any(test, feature = "inspect"))]
pub(crate) mod decode;
mod describe;
mod files;
mod fold;
#[cfg(test)]
pub(crate) mod folder;
mod format;
pub mod gate;
#[cfg(test)]
mod golden;
mod opening;
mod ops;
mod repeat;
mod salvage;
mod snapshot;
mod superblock;
mod verdict;
mod wal;

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::error::{Damage, StorageFault};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, OpId, Term};
use crate::io::{DiskDone, DiskError, DiskOp};
use crate::members::StorageKind;
use crate::mutants::{Mutant, is};
use crate::status::Metrics;
use crate::time::Instant;
pub use files::FileName;
use format::Written;
use gate::{Durable, Ledger, Receipt};
pub(crate) use opening::{Opening, Origin, Recalled};
pub(crate) use salvage::{NextLife, Salvage, Unverified, Verified};
use wal::Wal;

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
    /// `None` in memory-only mode, and before a disk is open.
    wal: Option<alloc::boxed::Box<Wal>>,
    kind: StorageKind,
    /// After so long without a write the log is sealed.
    idle: Duration,
    /// The state itself is the snapshot, in memory.
    snapshot: EntryId,
    writing: Option<EntryId>,
    #[cfg(any(test, feature = "inspect"))]
    journal: Vec<Record>,
}

impl Store {
    pub(crate) fn new(kind: StorageKind, idle: Duration) -> Store {
        Store {
            ledger: Ledger::default(),
            wal: None,
            kind,
            idle,
            snapshot: EntryId::default(),
            writing: None,
            #[cfg(any(test, feature = "inspect"))]
            journal: Vec::new(),
        }
    }

    /// The disk is open: whatever is recorded from now on goes there. `None`: it is not open yet.
    pub(crate) fn open(&mut self, opening: &mut Opening) -> Option<Recalled> {
        let (wal, recalled) = opening.take_open()?;
        self.wal = Some(alloc::boxed::Box::new(wal));
        // The first record is the incarnation, which the superblock holds.
        let _ = self.ledger.record();
        #[cfg(any(test, feature = "inspect"))]
        if recalled.is_new {
            self.journal.push(Record::Incarnation(recalled.incarnation));
        }
        Some(recalled)
    }

    /// What a cluster is told that keeps its log here.
    pub(crate) fn kind(&self) -> StorageKind {
        self.kind
    }

    /// The receipt for what was durable when the store was opened.
    pub(crate) fn opened(&self) -> Receipt {
        self.ledger.opened()
    }

    /// Notes a write.
    pub(crate) fn record(&mut self, write: impl FnOnce() -> Record) -> Receipt {
        let receipt = self.ledger.record();
        if self.kind == StorageKind::Disk || cfg!(feature = "inspect") {
            let record = write();
            #[cfg(any(test, feature = "inspect"))]
            self.journal.push(record.clone());
            if let (Some(wal), Some(written)) = (&mut self.wal, Written::of(record)) {
                wal.record(self.ledger.last(), written);
            }
        }
        receipt
    }

    /// Time goes on.
    pub(crate) fn wake(&mut self, now: Instant) {
        if let Some(wal) = &mut self.wal {
            wal.wake(now);
        }
        #[cfg(any(test, feature = "inspect"))]
        self.journal.clear();
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wal.as_ref()?.deadline(self.idle)
    }

    /// What is to be done to the directory, as of now.
    pub(crate) fn take_ops(&mut self) -> Vec<(OpId, DiskOp)> {
        self.wal.as_mut().map_or_else(Vec::new, |wal| wal.take_ops(self.idle))
    }

    /// What became of an operation.
    pub(crate) fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) {
        if let Some(wal) = &mut self.wal {
            wal.done(op, result);
        }
    }

    /// Why it cannot go on.
    pub(crate) fn fault(&self) -> Option<&StorageFault> {
        self.wal.as_ref()?.fault()
    }

    /// The node belongs to this cluster from now on.
    pub(crate) fn set_cluster(&mut self, cluster: ClusterId) {
        if let Some(wal) = &mut self.wal {
            wal.set_cluster(cluster);
        }
    }

    /// Since when something has been on its way to the disk.
    pub(crate) fn busy_since(&self) -> Option<Instant> {
        self.wal.as_ref()?.busy_since()
    }

    /// Whether the disk is full: nothing new is to be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.is_full())
    }

    /// Whether what is left of it is for what the protocol itself has to write.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.is_nearly_full())
    }

    /// Wants a seal behind everything: the node is about to stop.
    pub(crate) fn seal(&mut self) {
        if let Some(wal) = &mut self.wal {
            wal.seal();
        }
    }

    /// Whether everything is durable and sealed. In memory it always is.
    pub(crate) fn is_sealed(&self) -> bool {
        self.wal.as_ref().is_none_or(|wal| wal.is_sealed())
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.wal.as_ref().map_or_else(Metrics::default, |wal| wal.metrics)
    }

    /// Whether a snapshot should be written for what the log takes on the disk, if one is worth so many bytes of log.
    pub(crate) fn wants_snapshot(&self, worth: u64) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.wants_snapshot(worth))
    }

    // Healing.

    /// What has rotted on the disk, if that was not told yet.
    pub(crate) fn take_rot(&mut self) -> Option<Damage> {
        self.wal.as_mut()?.take_rot()
    }

    /// Whether a snapshot has to be written again, even of the same state.
    pub(crate) fn needs_snapshot(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.needs_snapshot())
    }

    /// Whether everything behind the durable snapshot is to be written again, now.
    pub(crate) fn needs_rewriting(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.needs_rewriting())
    }

    /// The entries behind the durable snapshot, all of them.
    pub(crate) fn rewrite(&mut self, entries: impl Iterator<Item = Bytes>) {
        if let Some(wal) = &mut self.wal {
            wal.rewrite(entries);
        }
    }

    // Snapshots of the state, as bytes that somebody else makes.

    /// Begins a snapshot of the state after an entry, in place of one that is being written.
    pub(crate) fn begin_snapshot(&mut self, last: EntryId) {
        match &mut self.wal {
            Some(wal) => wal.begin_snapshot(last),
            None => self.writing = Some(last),
        }
    }

    /// Whether a snapshot is being written, or is written and not counted on yet.
    pub(crate) fn is_writing_snapshot(&self) -> bool {
        self.wal.as_ref().map_or(self.writing.is_some(), |wal| wal.is_writing_snapshot())
    }

    /// How many bytes of the snapshot that is being written are taken now.
    pub(crate) fn snapshot_room(&self) -> usize {
        match &self.wal {
            Some(wal) => wal.snapshot_room(),
            None if self.writing.is_some() => usize::MAX,
            None => 0,
        }
    }

    /// Takes the next piece of the snapshot, of as many bytes as there is room for at the most.
    pub(crate) fn push_snapshot(&mut self, piece: Bytes) {
        if let Some(wal) = &mut self.wal {
            wal.push_snapshot(piece);
        }
    }

    /// There are no more pieces.
    pub(crate) fn end_snapshot(&mut self) {
        match &mut self.wal {
            Some(wal) => wal.end_snapshot(),
            None => self.snapshot = self.writing.take().unwrap_or(self.snapshot),
        }
    }

    /// The last entry that the newest durable snapshot reflects; zero if there is none.
    pub(crate) fn durable_snapshot(&self) -> EntryId {
        self.wal.as_ref().map_or(self.snapshot, |wal| wal.durable_snapshot())
    }

    /// The size of that snapshot in bytes; zero in memory.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        self.wal.as_ref().map_or(0, |wal| wal.snapshot_bytes())
    }

    /// The witness for what is durable by now: everything, in memory.
    pub(crate) fn durable(&self) -> Durable {
        match &self.wal {
            Some(wal)
                if (1..self.ledger.last()).contains(&wal.durable()) && is(Mutant::AnySyncReleasesAll) =>
            {
                self.ledger.synced(self.ledger.last())
            }
            Some(wal) => self.ledger.synced(wal.durable()),
            None => self.ledger.synced(self.ledger.last()),
        }
    }
}

/// What a simulator sees.
#[cfg(any(test, feature = "inspect"))]
impl Store {
    /// What was recorded in this turn.
    pub(crate) fn journal(&self) -> &[Record] {
        &self.journal
    }

    /// The number of the last record, and of the last that is durable.
    pub(crate) fn journal_numbers(&self) -> (u64, u64) {
        let in_memory = if self.kind == StorageKind::Memory { self.ledger.last() } else { 0 };
        (self.ledger.last(), self.wal.as_ref().map_or(in_memory, |wal| wal.durable()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Gate;

    #[test]
    fn in_memory_a_write_is_durable_at_once() {
        let mut store = Store::new(StorageKind::Memory, Duration::ZERO);
        let mut gate = Gate::default();
        let mut copied = false;
        let receipt = store.record(|| {
            copied = true;
            Record::Truncate { behind: Index(0) }
        });
        assert_eq!(copied, cfg!(feature = "inspect"), "nothing is copied for a disk that is not there");
        gate.hold(receipt.promise("at once"));
        assert_eq!(gate.release(&store.durable()), ["at once"]);
        assert!(store.take_ops().is_empty());
    }
}
