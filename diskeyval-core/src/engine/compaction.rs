//! Snapshots of the own state: when one is due, how it is written beside everything else, and what of the log is
//! released for it.
//!
//! In memory-only mode the state is its own snapshot: nothing is written, and the log is released at once. On a disk
//! the frozen state is written in slices, one a turn at the most, so that commits go on.

use alloc::vec::Vec;
use core::time::Duration;

use super::Engine;
use crate::error::{Doubt, Error, Fault, Refusal};
use crate::id::{EntryId, Index, Ticket};
use crate::io::Answer;
use crate::kv::{Corrupted, Encoder, Snapshot};
use crate::members::StorageKind;
use crate::time::{Deadline, Instant, Timer};

/// How many bytes of a snapshot are written in one turn.
const SLICE: usize = 256 << 10;

/// How many entries of the log are released in one turn: to give back the memory of hundreds of thousands at once
/// takes longer than a commit.
const RELEASED_AT_ONCE: u64 = 4096;

/// How long a disk without room for a leader's snapshot is left alone.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Compaction {
    /// A snapshot is due when the log has grown by more than this since the last, or by the size of that.
    every: u64,
    size: u64,
    /// How far the log had grown when the last was begun.
    grown_then: u64,
    writing: Option<Writing>,
    /// It was handed over as a whole, and is not durable yet.
    ended: Option<EntryId>,
    /// The last that is known to be durable.
    durable: EntryId,
    /// Up to here the log is not wanted any more.
    release_to: Index,
    /// Some of that is left for the next turn.
    is_releasing: bool,
    asked: Vec<Asked>,
    /// When a leader's snapshot for which there was no room is to be written again.
    again_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Writing {
    encoder: Encoder,
    size: u64,
}

/// A request for a snapshot.
#[derive(Clone, Debug)]
struct Asked {
    ticket: Ticket,
    /// What it must reflect.
    wanted: Index,
    deadline: Instant,
}

impl Compaction {
    pub(super) fn new(every: u64) -> Compaction {
        Compaction {
            every,
            size: 0,
            grown_then: 0,
            writing: None,
            ended: None,
            durable: EntryId::default(),
            release_to: Index(0),
            is_releasing: false,
            asked: Vec::new(),
            again_at: None,
        }
    }
}

impl Engine {
    /// The state as it is now; `None` while there is none that anybody would miss.
    pub(super) fn freeze(&self) -> Option<Snapshot> {
        let applied = self.kv.applied();
        if !self.raft.log().has_taken_more_than_geneses() {
            return None;
        }
        Some(Snapshot {
            last: self.raft.entry_at(applied)?,
            genesis: self.raft.log().genesis()?.clone(),
            configuration: self.raft.configuration_at(applied)?,
            machine: self.kv.clone(),
        })
    }

    /// The program wants a snapshot.
    pub(super) fn ask_snapshot(&mut self, ticket: Ticket, budget: Duration) {
        if self.raft.log().has_taken_more_than_geneses() {
            let (wanted, deadline) = (self.kv.applied(), self.now + budget);
            self.compaction.asked.push(Asked { ticket, wanted, deadline });
        } else {
            let refusal = self.refusal();
            self.desk.answer(ticket, Answer::Snapshot(Err(refusal.into())));
        }
    }

    /// No snapshot will be answered any more.
    pub(super) fn give_snapshots_up(&mut self, refusal: &Refusal) {
        for asked in core::mem::take(&mut self.compaction.asked) {
            self.desk.answer(asked.ticket, Answer::Snapshot(Err(refusal.clone().into())));
        }
    }

    /// When the next slice can be written, or more of the log released, or a request has used up its time.
    pub(super) fn compaction_deadline(&self) -> Option<Deadline> {
        let can_write = self.compaction.writing.is_some() && self.raft.snapshot_room() > 0;
        let goes_on = can_write || self.compaction.is_releasing;
        let slice = goes_on.then_some(Deadline { at: self.now, why: Timer::Snapshot });
        let request = self.compaction.asked.iter().map(|asked| asked.deadline).min();
        let again = self.compaction.again_at.map(|at| Deadline { at, why: Timer::Snapshot });
        slice.into_iter().chain(again).chain(request.map(|at| Deadline { at, why: Timer::Request })).min()
    }

    /// What a turn does for snapshots: begins one that is due, writes a slice, and once one is durable takes it in
    /// place of the state, if it was sent by a leader, and releases the log.
    pub(super) fn compact(&mut self) {
        self.notice_given_up();
        if self.is_snapshot_due()
            && let Some(snapshot) = self.freeze()
        {
            self.write_snapshot(snapshot);
        }
        self.write_slice();
        self.note_durable_snapshot();
        self.finish_install();
        self.release_log();
        self.expire_snapshots();
    }

    fn is_snapshot_due(&self) -> bool {
        let Compaction { writing, ended, every, size, grown_then, durable, asked, .. } = &self.compaction;
        let is_idle = writing.is_none() && ended.is_none() && !self.transfers.is_installing();
        let is_wanted = asked.iter().any(|asked| asked.wanted > durable.index);
        let grown = self.raft.log().taken_ever() - grown_then;
        let (store, worth) = (self.raft.store(), *every.max(size));
        let is_crowded =
            store.needs_snapshot() || (store.wants_snapshot(worth) && self.kv.applied() > durable.index);
        is_idle && (is_wanted || is_crowded || grown > worth)
    }

    /// Begins to write a snapshot, in place of one that is being written.
    pub(super) fn write_snapshot(&mut self, snapshot: Snapshot) {
        let last = snapshot.last;
        self.compaction.grown_then = self.raft.log().taken_ever();
        self.compaction.ended = None;
        self.raft.begin_snapshot(last);
        match self.raft.storage() {
            StorageKind::Memory => {
                self.raft.end_snapshot();
                self.compaction.ended = Some(last);
            }
            StorageKind::Disk => {
                self.compaction.writing = Some(Writing { encoder: Encoder::new(snapshot), size: 0 });
            }
        }
        self.note_durable_snapshot();
    }

    /// A disk that is full has no room for a snapshot: it is written anew when the next one is due. A leader's, which
    /// this node cannot go on without, is tried again soon. One of its own making, to go on from alone, is given up.
    fn notice_given_up(&mut self) {
        let Compaction { writing, ended, .. } = &self.compaction;
        let last = writing.as_ref().map(|writing| writing.encoder.last()).or(*ended);
        let is_lost = last.is_some_and(|last| last.index > self.raft.durable_snapshot().index);
        if is_lost && !self.raft.store().is_writing_snapshot() {
            self.compaction.writing = None;
            self.compaction.ended = None;
            self.recovery_has_no_room();
            self.compaction.again_at = self.transfers.installing().map(|_| self.now + PAUSE);
        }
        if self.compaction.again_at.take_if(|at| self.now >= *at).is_some()
            && let Some(snapshot) = self.transfers.installing().cloned()
        {
            self.write_snapshot(snapshot);
        }
    }

    /// Goes on from a snapshot that was read.
    pub(super) fn recall_snapshot(&mut self) {
        self.compaction.durable = self.raft.durable_snapshot();
        self.compaction.size = self.raft.store().snapshot_bytes();
    }

    fn write_slice(&mut self) {
        let Some(writing) = &mut self.compaction.writing else { return };
        let room = self.raft.snapshot_room().min(SLICE);
        if room == 0 {
            return;
        }
        let last = writing.encoder.last();
        match writing.encoder.next(room) {
            Ok(piece) => {
                writing.size += piece.len() as u64;
                self.raft.push_snapshot(piece);
            }
            Err(Corrupted) => return self.raft.fail(Fault::Corrupted { at: last.index }),
        }
        if writing.encoder.is_done() {
            self.compaction.size = writing.size;
            self.compaction.writing = None;
            self.compaction.ended = Some(last);
            self.raft.end_snapshot();
        }
    }

    fn note_durable_snapshot(&mut self) {
        let durable = self.raft.durable_snapshot();
        if durable.index <= self.compaction.durable.index {
            // Perhaps of the same state as the last, in place of a file that has rotted.
            let is_written = !self.raft.store().is_writing_snapshot();
            self.compaction.ended.take_if(|ended| is_written && ended.index <= durable.index);
            return;
        }
        self.compaction.durable = durable;
        self.compaction.ended.take_if(|ended| ended.index <= durable.index);
        self.raft.note_snapshot();
        // Those who lag behind a little need not be sent the state for that.
        let keep = self.compaction.every / 4;
        self.compaction.release_to = self.raft.log().tail_of(durable.index.min(self.kv.applied()), keep);
        for asked in self.compaction.asked.extract_if(.., |asked| asked.wanted <= durable.index) {
            self.desk.answer(asked.ticket, Answer::Snapshot(Ok(durable.index.0)));
        }
    }

    /// Whom the state is being sent to will go on behind it with the log, unless that has grown too long.
    fn release_log(&mut self) {
        let log = self.raft.log();
        let is_long = log.bytes() > self.limits.log_bytes / 2;
        let wanted = self.transfers.wanted_behind().filter(|_| !is_long).unwrap_or(Index(u64::MAX));
        let (base, up_to) = (log.base().index, self.compaction.release_to.min(wanted));
        let step = up_to.min(Index(base.0 + RELEASED_AT_ONCE));
        if step > base {
            self.raft.release_log(step);
        }
        self.compaction.is_releasing = up_to > step && self.raft.log().base().index == step;
    }

    fn expire_snapshots(&mut self) {
        let (now, durable) = (self.now, self.compaction.durable.index);
        // One that was durable already when it was asked for.
        for asked in self.compaction.asked.extract_if(.., |asked| asked.wanted <= durable) {
            self.desk.answer(asked.ticket, Answer::Snapshot(Ok(durable.0)));
        }
        for asked in self.compaction.asked.extract_if(.., |asked| asked.deadline <= now) {
            let why = "the snapshot is still being written".into();
            self.desk.answer(asked.ticket, Answer::Snapshot(Err(Error::Unknown(Doubt::Deadline { why }))));
        }
    }
}
