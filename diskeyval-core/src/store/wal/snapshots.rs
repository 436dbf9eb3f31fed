//! Writing a snapshot: in pieces, between the flushes, and synced as it grows.

use bytes::Bytes;

use super::{Purpose, SYNC_SNAPSHOT_EVERY, Snapshot, Wal};
use crate::id::EntryId;
use crate::io::DiskOp;
use crate::mutants::{Mutant, is};
use crate::store::superblock::{NamedSnapshot, Names};
use crate::store::{FileName, snapshot};

impl Wal {
    /// Begins a snapshot, in place of one that is being written.
    pub(in crate::store) fn begin_snapshot(&mut self, last: EntryId) {
        self.abort_snapshot();
        let number = self.next_number();
        let file = FileName::Snapshot(number);
        self.writing = Some(Snapshot { number, last, at: 0, unsynced: 0, ended: false });
        self.ask_for_snapshot(DiskOp::Create { file, size: 0 }, Purpose::SnapshotPiece(number));
        let head = snapshot::Head {
            node: self.names.node.clone(),
            incarnation: self.names.incarnation,
            cluster: self.target.cluster,
            last,
        };
        self.write_chunk(postcard::to_allocvec(&head).unwrap_or_default().into(), false);
    }

    /// Whether a snapshot is being written, or named.
    pub(in crate::store) fn is_writing_snapshot(&self) -> bool {
        self.writing.is_some()
    }

    /// How many bytes may be pushed now.
    pub(in crate::store) fn snapshot_room(&self) -> usize {
        match &self.writing {
            Some(snapshot) if self.snapshot_busy == 0 && !snapshot.ended => snapshot::MAX_CHUNK,
            Some(_) | None => 0,
        }
    }

    pub(in crate::store) fn push_snapshot(&mut self, piece: Bytes) {
        self.write_chunk(piece, false);
    }

    pub(in crate::store) fn end_snapshot(&mut self) {
        self.write_chunk(Bytes::new(), true);
    }

    fn write_chunk(&mut self, body: Bytes, is_last: bool) {
        let Some(snapshot) = &mut self.writing else { return };
        let number = snapshot.number;
        let file = FileName::Snapshot(number);
        let len = snapshot::chunk_len(body.len());
        let at = snapshot.at;
        let parts = snapshot::chunk(self.salt, number, at, body, is_last);
        snapshot.at += len;
        snapshot.unsynced += len;
        snapshot.ended = is_last;
        let sync = snapshot.unsynced >= SYNC_SNAPSHOT_EVERY;
        if sync {
            snapshot.unsynced = 0;
        }
        self.metrics.persistence_bytes_written += len;
        self.ask_for_snapshot(DiskOp::Write { file, at, parts }, Purpose::SnapshotPiece(number));
        if is_last && is(Mutant::SnapshotNotSynced) {
            self.ask_for_snapshot(DiskOp::Read { file, at: 0, len: 0 }, Purpose::SnapshotEnd(number));
        } else if is_last {
            self.ask_for_snapshot(DiskOp::Sync { file }, Purpose::SnapshotEnd(number));
        } else if sync {
            self.ask_for_snapshot(DiskOp::Sync { file }, Purpose::SnapshotPiece(number));
        }
    }

    fn ask_for_snapshot(&mut self, op: DiskOp, purpose: Purpose) {
        self.snapshot_busy += 1;
        self.ops.ask(op, purpose);
    }

    /// There is no room for it, or there is a better one. One that is durable goes on being named, if that is under way:
    /// a slot may name it already.
    pub(super) fn abort_snapshot(&mut self) {
        let is_to_be_named = |number| self.target.snapshot.is_some_and(|snapshot| snapshot.number == number);
        if let Some(snapshot) = self.writing.take().filter(|snapshot| !is_to_be_named(snapshot.number)) {
            self.remove_snapshot(snapshot.number);
        }
    }

    /// A snapshot is durable, and is to be named.
    pub(super) fn snapshot_is_durable(&mut self, ended: u64) {
        let Some(Snapshot { number, last, at, .. }) = self.writing else { return };
        if number != ended {
            return;
        }
        let former = self.target.snapshot.replace(NamedSnapshot { number, last, size: at });
        // Nobody has begun to name the one before it.
        let is_named = |names: &Names| names.snapshot == former;
        if let Some(former) =
            former.filter(|_| !is_named(&self.names) && !self.naming.as_ref().is_some_and(is_named))
        {
            self.remove_snapshot(former.number);
        }
    }

    fn remove_snapshot(&mut self, number: u64) {
        let file = FileName::Snapshot(number);
        self.ops.ask(DiskOp::Remove { file }, Purpose::Removal);
    }

    /// The last entry that the newest durable snapshot reflects.
    pub(in crate::store) fn durable_snapshot(&self) -> EntryId {
        self.names.snapshot.map_or(EntryId::default(), |snapshot| snapshot.last)
    }

    /// Its size in bytes.
    pub(in crate::store) fn snapshot_bytes(&self) -> u64 {
        self.names.snapshot.map_or(0, |snapshot| snapshot.size)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::entry::{Entry, Genesis, Payload};
    use crate::id::{ClusterId, Incarnation, Index, NodeId, Term};
    use crate::kv::{Encoder, Machine, Snapshot as State};
    use crate::members::{Membership, Seat, StorageKind};
    use crate::store::folder::Folder;
    use crate::store::{Opening, Origin, Record, Store};

    fn genesis() -> Genesis {
        let id = NodeId::new("n").expect("a good name");
        let members = Membership::of(alloc::vec![Seat { id, bound: Some(Incarnation(1)), address: None }]);
        Genesis { cluster: ClusterId(9), storage: StorageKind::Disk, members }
    }

    /// The state after so many entries, whole, as the pieces of a snapshot.
    fn state(entries: u64) -> Encoder {
        let mut machine = Machine::default();
        machine.apply(Index(1), Payload::Genesis(genesis()));
        for index in 2..=entries {
            machine.apply(Index(index), Payload::Noop);
        }
        let (last, configuration) = (EntryId::new(entries, 1), EntryId::new(1, 1));
        Encoder::new(State { last, genesis: genesis(), configuration, machine })
    }

    /// Carries out one operation. Whatever has been done by then, the directory can be opened.
    fn step(store: &mut Store, folder: &mut Folder, ops: &mut Vec<(crate::id::OpId, DiskOp)>) -> bool {
        ops.extend(store.take_ops());
        if ops.is_empty() {
            return false;
        }
        let (op, what) = ops.remove(0);
        store.done(op, folder.perform(&what));
        assert_eq!(store.fault(), None);
        let mut copy = folder.clone();
        let mut opening = Opening::new(origin());
        while !opening.has_read_snapshot() && opening.take_open().is_none() {
            let ops = opening.take_ops();
            if ops.is_empty() {
                break;
            }
            for (op, what) in ops {
                let done = opening.done(op, copy.perform(&what));
                assert_eq!(done, Ok(()), "after {what:?}");
            }
            opening.take_pieces();
        }
        true
    }

    fn origin() -> Origin {
        Origin {
            node: NodeId::new("n").expect("a good name"),
            cluster_name: "diskeyval".into(),
            incarnation: Incarnation(1),
            salt: 5,
            segment_bytes: 16 << 10,
        }
    }

    /// A snapshot that is begun while the former is being named, at whatever step of that: what one slot names already
    /// is not removed.
    #[test]
    fn what_is_being_named_stays_until_another_is_named() {
        for steps in 0..40 {
            let mut folder = Folder::of(
                "n",
                Incarnation(1),
                (1..=9).map(|index| {
                    let payload = if index == 1 { Payload::Genesis(genesis()) } else { Payload::Noop };
                    Record::Entry { index: Index(index), bytes: Entry::new(Term(1), payload).bytes }
                }),
            );
            let mut store = folder.open(origin(), Duration::MAX);
            store.set_cluster(genesis().cluster);
            let mut ops = Vec::new();
            while step(&mut store, &mut folder, &mut ops) {}
            for (entries, most) in [(5, steps), (7, usize::MAX)] {
                let mut encoder = state(entries);
                store.begin_snapshot(encoder.last());
                let mut taken = 0;
                let mut ended = false;
                while taken < most {
                    if !ended && store.snapshot_room() > 0 {
                        if encoder.is_done() {
                            store.end_snapshot();
                            ended = true;
                        } else {
                            store.push_snapshot(encoder.next(64).expect("nothing is wrong with it"));
                        }
                    }
                    if !step(&mut store, &mut folder, &mut ops) && ended {
                        break;
                    }
                    taken += 1;
                }
            }
            assert_eq!(store.durable_snapshot(), EntryId::new(7, 1), "begun after {steps} steps");
            let snapshots = folder.files.keys().filter(|file| matches!(file, FileName::Snapshot(_))).count();
            assert_eq!(snapshots, 1, "begun after {steps} steps: {:?}", folder.files.keys());
        }
    }
}
