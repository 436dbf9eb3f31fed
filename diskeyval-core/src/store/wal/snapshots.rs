//! Writing a snapshot: in pieces, between the flushes, and synced as it grows.

use bytes::Bytes;

use super::{Purpose, SYNC_SNAPSHOT_EVERY, Snapshot, Wal};
use crate::id::EntryId;
use crate::io::DiskOp;
use crate::mutants::{Mutant, is};
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

    /// There is no room for it, or there is a better one.
    pub(super) fn abort_snapshot(&mut self) {
        if let Some(snapshot) = self.writing.take() {
            let file = FileName::Snapshot(snapshot.number);
            self.ops.ask(DiskOp::Remove { file }, Purpose::Removal);
        }
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
