//! Snapshots, as far as consensus goes: what may be released, who lags behind, and what takes the place of a log.
//!
//! The state itself is somebody else's, and so are its bytes. Here it is a place in the log, with what has to be known
//! of everything up to it: the genesis, and the members with the entry that brought them in.
//!
//! 1. The log is released up to a durable snapshot at the most, and never beyond what was applied.
//! 2. A snapshot takes the place of the log only if that does not hold its last entry: neither commit index nor state
//!    ever goes back.

use bytes::Bytes;

use super::{Raft, Role};
use crate::entry::Genesis;
use crate::error::Fault;
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId};
use crate::kv::Checkpoint;
use crate::members::{Membership, StorageKind};
use crate::mutants::{Mutant, is};
use crate::raft::message::{Directive, Piece, Pledge};

/// What a log begins behind.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// The last entry that the snapshot reflects.
    pub(crate) last: EntryId,
    pub(crate) genesis: Genesis,
    /// The entry that brought in the members.
    pub(crate) configuration: EntryId,
    pub(crate) members: Membership,
}

/// What was said about a snapshot, to whoever holds the state.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotWord {
    /// Our leader sends a piece of its state.
    Piece { from: NodeId, piece: Piece },
    /// A follower says what it has of ours.
    Received { from: NodeId, row: u64, last: EntryId, offset: u64 },
}

impl Raft {
    // Snapshots of the own state.

    /// The entry at an index, as far as it is known.
    pub(crate) fn entry_at(&self, index: Index) -> Option<EntryId> {
        self.common.log.term(index).map(|term| EntryId { index, term })
    }

    /// The entry that brought in the members who are in force at an index.
    pub(crate) fn configuration_at(&self, index: Index) -> Option<EntryId> {
        self.common.configuration_at(index)
    }

    /// Begins a snapshot of the state after an entry.
    pub(crate) fn begin_snapshot(&mut self, last: EntryId) {
        self.common.begin_snapshot(last);
    }

    /// How many bytes of it are taken now.
    pub(crate) fn snapshot_room(&self) -> usize {
        self.common.snapshot_room()
    }

    /// The next bytes of it.
    pub(crate) fn push_snapshot(&mut self, piece: Bytes) {
        self.common.push_snapshot(piece);
    }

    /// There are no more.
    pub(crate) fn end_snapshot(&mut self) {
        self.common.end_snapshot();
    }

    /// The last entry that the newest durable snapshot reflects; zero if there is none.
    pub(crate) fn durable_snapshot(&self) -> EntryId {
        self.common.durable_snapshot()
    }

    /// A snapshot of the own state is durable.
    pub(crate) fn note_snapshot(&mut self) {
        self.common.metrics.snapshots_taken += 1;
    }

    /// What the log is kept in.
    pub(crate) fn storage(&self) -> StorageKind {
        self.common.storage()
    }

    /// Releases the log up to an index.
    pub(crate) fn release_log(&mut self, up_to: Index) {
        self.common.release_log(up_to);
    }

    // To those who lag behind.

    /// Who is to be sent the state, and which it is being sent (zero: none yet).
    pub(crate) fn lagging(&self) -> impl Iterator<Item = (&NodeId, Incarnation, EntryId)> {
        let leader = match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower | Role::Candidate(_) => None,
        };
        leader.into_iter().flat_map(|leader| leader.lagging())
    }

    /// Whether a follower is among them.
    pub(crate) fn is_lagging(&self, peer: &NodeId) -> bool {
        self.lagging().any(|(lagging, ..)| lagging == peer)
    }

    /// A follower is sent the state after this entry from now on; zero: what was sent leads nowhere.
    pub(crate) fn snapshot_begins(&mut self, peer: &NodeId, last: EntryId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.snapshot_begins(peer, last);
        }
    }

    /// Sends some bytes of the state. What a leader is known by is filled in here.
    pub(crate) fn send_piece(&mut self, to: &NodeId, piece: Piece) {
        let common = &mut self.common;
        let log = common.log.genesis().map_or(ClusterId(0), |genesis| genesis.cluster);
        let configuration = common.configuration().entry();
        common.metrics.snapshot_pieces_sent += 1;
        let piece = Piece { term: common.term, log, configuration, ..piece };
        common.direct(to, Directive::Snapshot(piece), alloc::vec::Vec::new());
    }

    // From a leader.

    /// Words that came, in their order.
    pub(crate) fn take_snapshot_words(&mut self) -> impl Iterator<Item = SnapshotWord> + use<> {
        core::mem::take(&mut self.common.snapshots).into_iter()
    }

    /// Says what is there of a snapshot.
    pub(crate) fn pledge_received(&mut self, to: &NodeId, row: u64, last: EntryId, offset: u64) {
        let term = self.common.term;
        self.common.pledge_by_ballot(to, Pledge::Received { term, row, last, offset });
    }

    /// Whether a snapshot of a leader holds nothing that is missing here. Then the log stays as it is: up to there it
    /// is the leader's, which is told so, and committed.
    pub(crate) fn has_all_of(&mut self, last: EntryId) -> bool {
        let common = &mut self.common;
        let has_all = last.index <= common.commit || common.log.holds(last);
        if !has_all || is(Mutant::OlderSnapshotTaken) {
            return false;
        }
        common.acknowledge(last.index);
        common.raise_commit(last.index);
        true
    }

    /// Takes a durable snapshot in place of the log, which does not hold its end.
    pub(crate) fn install(&mut self, base: Base, checkpoint: Option<Checkpoint>) {
        self.common.metrics.snapshots_installed += 1;
        self.common.install(base);
        if let Some(checkpoint) = checkpoint {
            self.common.checkpoints.note(checkpoint);
        }
    }

    /// This node cannot go on.
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.common.fault.get_or_insert(fault);
    }

    /// Up to where the log is what an earlier run of this node has kept.
    pub(crate) fn recalled(&self) -> Index {
        self.common.recalled
    }
}

#[cfg(test)]
mod tests;
