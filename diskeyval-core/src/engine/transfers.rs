//! The state on its way to another node: from a leader that has released the entries which a follower needs.
//!
//! The state is frozen and sent in pieces, a few at a time. Pieces of one row stand one behind the other on one link;
//! each is answered with what the follower has by then. That it has less than was thought counts only as an answer to
//! the present row. After a new link the same leader asks first, with a piece of no bytes, and goes on from there.
//!
//! 1. A follower puts together pieces of one leader, of one reign, of one snapshot, and each where it belongs.
//! 2. What was put together takes the place of state and log at once, when it is verified as a whole and durable, and
//!    only if it reflects more than is committed here.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Engine;
use crate::config::{MAX_BATCH, Settings};
use crate::error::{CloseReason, Fault};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::io::{Effect, Event};
use crate::kv::{Corrupted, Decoder, Encoder, Owner, Snapshot};
use crate::mutants::{Mutant, is};
use crate::raft::{Base, Piece, Replication, SnapshotWord};
use crate::time::Instant;

/// How many pieces are on their way to one follower at the most.
const PIECES: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Transfers {
    /// Bytes of a piece.
    piece: usize,
    /// How long a follower may leave a piece unanswered while it answers other words.
    retry: Duration,
    /// How long a frozen state is kept for a follower that is away.
    patience: Duration,
    outgoing: BTreeMap<NodeId, Outgoing>,
    /// The number of the last row of this boot.
    last_row: u64,
    incoming: Option<Incoming>,
    /// Verified, and not durable yet.
    installing: Option<Snapshot>,
}

/// The state on its way to a follower.
#[derive(Clone, Debug)]
struct Outgoing {
    incarnation: Incarnation,
    term: Term,
    encoder: Encoder,
    row: u64,
    /// A row that goes on with an earlier one begins with a question, and waits for the answer.
    is_asking: bool,
    /// So many bytes have arrived.
    acked: u64,
    /// The pieces behind: made, and perhaps sent.
    unacked: VecDeque<Bytes>,
    /// How many of them were sent in this row.
    sent: usize,
    /// When it last said what it has, or the first was sent that waits for that.
    heard: Instant,
}

/// The state on its way to this node.
#[derive(Clone, Debug)]
struct Incoming {
    from: NodeId,
    term: Term,
    last: EntryId,
    offset: u64,
    /// `None` when all was there.
    decoder: Option<Decoder>,
}

impl Transfers {
    pub(super) fn new(settings: &Settings) -> Transfers {
        Transfers {
            piece: MAX_BATCH.min(settings.limits.append_window / PIECES).max(1),
            retry: settings.election_timeout,
            patience: settings.rpc_timeout * 4,
            outgoing: BTreeMap::new(),
            last_row: 0,
            incoming: None,
            installing: None,
        }
    }

    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// What was verified, and is not durable yet.
    pub(super) fn installing(&self) -> Option<&Snapshot> {
        self.installing.as_ref()
    }

    /// It is not to be installed.
    pub(super) fn give_installing_up(&mut self) {
        self.installing = None;
    }

    /// Followers will go on with the log behind this entry.
    pub(super) fn wanted_behind(&self) -> Option<Index> {
        self.outgoing.values().map(|outgoing| outgoing.encoder.last().index).min()
    }

    fn next_row(&mut self) -> u64 {
        self.last_row += 1;
        self.last_row
    }
}

impl Outgoing {
    /// The next piece, if one may be sent now.
    fn next(&mut self, piece: usize) -> Result<Option<Piece>, Corrupted> {
        if self.is_asking {
            return Ok(None);
        }
        if self.sent == self.unacked.len() {
            if self.encoder.is_done() || self.unacked.len() >= PIECES {
                return Ok(None);
            }
            let made = self.encoder.next(piece)?;
            self.unacked.push_back(made);
        }
        let before: u64 = self.unacked.iter().take(self.sent).map(|piece| piece.len() as u64).sum();
        let bytes = self.unacked.get(self.sent).cloned().unwrap_or_default();
        self.sent += 1;
        let done = self.encoder.is_done() && self.sent == self.unacked.len();
        Ok(Some(self.piece(self.acked + before, done, bytes)))
    }

    fn piece(&self, offset: u64, done: bool, bytes: Bytes) -> Piece {
        Piece {
            // What a leader is known by is filled in by whoever sends it.
            term: self.term,
            log: ClusterId(0),
            configuration: EntryId::default(),
            last: self.encoder.last(),
            row: self.row,
            offset,
            done,
            bytes,
        }
    }

    /// The follower has so many bytes. Tells whether one of the pieces can be put behind them.
    fn goes_on_at(&mut self, offset: u64) -> bool {
        let mut end = self.acked;
        let arrived = self.unacked.iter().take_while(|piece| {
            let fits = end < offset;
            end += if fits { piece.len() as u64 } else { 0 };
            fits
        });
        let arrived = arrived.count();
        if end != offset {
            return false;
        }
        self.unacked.drain(..arrived);
        (self.acked, self.is_asking, self.sent) = (end, false, self.sent.saturating_sub(arrived));
        true
    }

    /// Whether something is to be answered.
    fn is_awaited(&self) -> bool {
        self.is_asking || self.sent > 0
    }
}

impl Incoming {
    fn is_of(&self, from: &NodeId, piece: &Piece) -> bool {
        self.from == *from && self.term == piece.term && self.last == piece.last
    }
}

impl Engine {
    // To those who lag behind.

    /// Sends pieces of the state to whoever needs them, as far as they may be on their way.
    pub(super) fn send_snapshots(&mut self) {
        self.forget_transfers();
        let lagging: Vec<_> =
            self.raft.lagging().map(|(id, incarnation, last)| (id.clone(), incarnation, last)).collect();
        for (peer, incarnation, last) in lagging {
            if last == EntryId::default() || self.is_transfer_overdue(&peer) {
                self.begin_transfer(&peer, incarnation);
            }
            let Some(outgoing) = self.transfers.outgoing.get_mut(&peer) else { continue };
            loop {
                let waits_already = outgoing.is_awaited();
                match outgoing.next(self.transfers.piece) {
                    Ok(Some(piece)) => {
                        if !waits_already {
                            outgoing.heard = self.now;
                        }
                        self.raft.send_piece(&peer, piece);
                    }
                    Ok(None) => break,
                    Err(Corrupted) => {
                        let at = outgoing.encoder.last().index;
                        return self.raft.fail(Fault::Corrupted { at });
                    }
                }
            }
        }
    }

    /// Whether a piece was left unanswered though the follower has spoken since: it may have come before the follower
    /// listened to us. A question costs nothing.
    fn is_transfer_overdue(&self, peer: &NodeId) -> bool {
        let Some(outgoing) = self.transfers.outgoing.get(peer) else { return false };
        let heard = self.raft.progress(peer).and_then(|progress| progress.heard);
        // It may also have all of it, and be unable to keep that.
        let patience = if outgoing.is_awaited() { self.transfers.retry } else { self.transfers.patience };
        self.now.since(outgoing.heard) >= patience && heard.is_some_and(|heard| heard > outgoing.heard)
    }

    /// Keeps a frozen state as long as it may still be gone on with.
    fn forget_transfers(&mut self) {
        let (raft, now, patience) = (&self.raft, self.now, self.transfers.patience);
        let term = raft.term();
        self.transfers.outgoing.retain(|peer, outgoing| {
            let needed = match raft.progress(peer).map(|progress| &progress.replication) {
                Some(Replication::Snapshot { .. }) if raft.is_lagging(peer) => true,
                // It is away, or back and does not know yet that it lags.
                Some(Replication::Snapshot { .. } | Replication::Probe { .. }) | None => {
                    now.since(outgoing.heard) < patience
                }
                Some(Replication::Stream { .. }) => false,
            };
            needed && raft.is_leader() && outgoing.term == term
        });
    }

    /// Freezes the state for a follower, or goes on with what was frozen for it.
    fn begin_transfer(&mut self, peer: &NodeId, incarnation: Incarnation) {
        let row = self.transfers.next_row();
        let base = self.raft.log().base().index;
        let kept =
            self.transfers.outgoing.get_mut(peer).filter(|outgoing| {
                outgoing.incarnation == incarnation && outgoing.encoder.last().index >= base
            });
        if let Some(outgoing) = kept {
            (outgoing.row, outgoing.is_asking, outgoing.sent) = (row, true, 0);
            outgoing.heard = self.now;
            let question = outgoing.piece(outgoing.acked, false, Bytes::new());
            let last = outgoing.encoder.last();
            self.raft.snapshot_begins(peer, last);
            return self.raft.send_piece(peer, question);
        }
        let Some(snapshot) = self.freeze() else { return };
        self.raft.snapshot_begins(peer, snapshot.last);
        let outgoing = Outgoing {
            incarnation,
            term: self.raft.term(),
            encoder: Encoder::new(snapshot),
            row,
            is_asking: false,
            acked: 0,
            unacked: VecDeque::new(),
            sent: 0,
            heard: self.now,
        };
        self.transfers.outgoing.insert(peer.clone(), outgoing);
    }

    // Words about snapshots.

    /// Hears what was said about snapshots. An error is the guilt of whoever has just spoken.
    pub(super) fn hear_of_snapshots(&mut self) -> Result<(), CloseReason> {
        for word in self.raft.take_snapshot_words() {
            match word {
                SnapshotWord::Piece { from, piece } => self.take_piece(&from, &piece)?,
                SnapshotWord::Received { from, row, last, offset } => {
                    self.piece_received(&from, row, last, offset);
                }
            }
        }
        Ok(())
    }

    fn piece_received(&mut self, from: &NodeId, row: u64, last: EntryId, offset: u64) {
        let Some(outgoing) = self.transfers.outgoing.get_mut(from) else { return };
        if last == outgoing.encoder.last() && outgoing.goes_on_at(offset) {
            outgoing.heard = self.now;
        } else if outgoing.row == row {
            // It has something else, or has lost what it had: everything begins anew.
            self.transfers.outgoing.remove(from);
            self.raft.snapshot_begins(from, EntryId::default());
        }
    }

    /// Our leader sends a piece of its state.
    fn take_piece(&mut self, from: &NodeId, piece: &Piece) -> Result<(), CloseReason> {
        if self.raft.has_all_of(piece.last) {
            return Ok(());
        }
        let incoming = &mut self.transfers.incoming;
        if !incoming.as_ref().is_some_and(|incoming| incoming.is_of(from, piece)) {
            match incoming {
                Some(other) if other.offset > 0 && is(Mutant::ChunksMixed) => {
                    (other.from, other.term, other.last) = (from.clone(), piece.term, piece.last);
                }
                _ if piece.offset == 0 => {
                    let (from, decoder) = (from.clone(), Some(Decoder::default()));
                    *incoming =
                        Some(Incoming { from, term: piece.term, last: piece.last, offset: 0, decoder });
                }
                _ => {}
            }
        }
        let mut whole = None;
        let (last, offset) = match incoming.as_mut().filter(|incoming| incoming.is_of(from, piece)) {
            Some(incoming) => {
                if incoming.offset == piece.offset
                    && let Some(decoder) = &mut incoming.decoder
                {
                    if decoder.push(&piece.bytes).is_err() {
                        self.transfers.incoming = None;
                        return Err(CloseReason::Malformed);
                    }
                    incoming.offset += piece.bytes.len() as u64;
                    if piece.done {
                        whole = incoming.decoder.take();
                    }
                }
                (incoming.last, incoming.offset)
            }
            // Nothing that this piece could be put behind.
            None => (EntryId::default(), 0),
        };
        self.raft.pledge_received(from, piece.row, last, offset);
        let Some(decoder) = whole else { return Ok(()) };
        let fits = |snapshot: &Snapshot| {
            (snapshot.last == piece.last && snapshot.genesis.cluster == piece.log) || is(Mutant::ChunksMixed)
        };
        match decoder.finish().ok().filter(fits) {
            Some(snapshot) => {
                self.keep_and_install(snapshot);
                Ok(())
            }
            None => {
                self.transfers.incoming = None;
                Err(CloseReason::Malformed)
            }
        }
    }

    /// Takes a state, once it is durable: one that a leader has sent, or one of this node's own making.
    pub(super) fn keep_and_install(&mut self, snapshot: Snapshot) {
        self.transfers.installing = Some(snapshot.clone());
        self.write_snapshot(snapshot);
        self.finish_install();
    }

    /// Takes a leader's state in place of the own and of the log, once it is durable here.
    pub(super) fn finish_install(&mut self) {
        let applied = self.kv.applied();
        // What is applied meanwhile needs no pieces any more.
        self.transfers
            .incoming
            .take_if(|incoming| incoming.last.index <= applied && !is(Mutant::OlderSnapshotTaken));
        let durable = self.raft.durable_snapshot();
        let Some(snapshot) = self.transfers.installing.take_if(|snapshot| snapshot.last == durable) else {
            return;
        };
        self.transfers.incoming = None;
        if self.raft.has_all_of(snapshot.last) {
            return;
        }
        let Snapshot { last, genesis, configuration, machine } = snapshot;
        let Some(members) = machine.members().cloned() else { return };
        let checkpoint = machine.checkpoint();
        self.raft.install(Base { last, genesis, configuration, members }, checkpoint);
        self.kv = machine;
        self.state_replaced();
    }

    /// The state has moved on at once: whoever waits for what was absorbed is told.
    fn state_replaced(&mut self) {
        self.note_cluster();
        if !is(Mutant::AbsorbedWritesForgotten) {
            let own = Owner { node: self.id.clone(), incarnation: self.incarnation, boot: self.boot };
            self.desk.absorbed(self.kv.sessions(), &own);
        }
        // If the session was ended meanwhile, and it is a member again, it wants another.
        self.members_applied();
        self.owes_resync = true;
        self.pay_resync();
    }

    /// Tells that changes up to here are not told one by one.
    pub(super) fn resync(&mut self) {
        self.owes_resync = false;
        if self.listening && !is(Mutant::NoResync) {
            let revision = self.kv.applied().0;
            self.effects.push_back(Effect::Event(Event::Resync { revision }));
        }
    }
}
