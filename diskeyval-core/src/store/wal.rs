//! Writing: records become flushes, flushes fill segments, snapshots release them.
//!
//! 1. One flush is on its way at a time. It is written and synced, and what comes meanwhile rides with the next.
//! 2. A segment is made and named in both slots of the superblock before anything in it is promised.
//! 3. A segment is given up only when all that it says is covered by a durable snapshot, and a flush of a later one
//!    is durable. It is no longer named first, and removed then.
//! 4. A failed operation ends everything: what has reached the disk is not known. A full disk is no failure: the
//!    next segment is made before it is needed, so that there is room for what the protocol itself has to write.

mod scrub;
mod segments;
mod snapshots;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::FileName;
use super::format::{FlushNumber, HEADER, Head, Salt, Written, blocks, encode};
use super::ops::{Ops, first_slot, naming, tell};
use super::superblock::{MAX_SEGMENTS, Named, Names};
use crate::error::StorageFault;
use crate::id::{ClusterId, EntryId, Index, NodeId, OpId, Term};
use crate::io::{DiskDone, DiskError, DiskOp};
use crate::mutants::{Mutant, is};
use crate::status::Metrics;
use crate::time::Instant;
use scrub::Scrub;

/// No flush takes more than this, unless a single record does.
const MAX_FLUSH: u64 = 4 << 20;

/// What stands at the beginning of a segment takes no more: whose it is, and a ballot.
const BEGINNING: u64 = 512;

/// After so many bytes of a snapshot the disk is told to keep them, so that the last sync is no long one.
const SYNC_SNAPSHOT_EVERY: u64 = 1 << 20;

/// Each start makes a segment: with more than these there should be a snapshot, however little log there is.
const MANY_SEGMENTS: usize = 12;

/// With more than these there should be one, however much log is worth one: no more than so many can be named.
const TOO_MANY_SEGMENTS: usize = MAX_SEGMENTS / 2;

/// How long a full disk is left alone before the next attempt.
const FULL_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Wal {
    ops: Ops<Purpose>,
    salt: Salt,
    /// As both slots say.
    names: Names,
    /// As they are to say.
    target: Names,
    /// As they are being written.
    naming: Option<Names>,
    /// All segments that are named, the oldest first. The last is the one that is written to.
    segments: VecDeque<Segment>,
    /// Where the next flush goes in the last segment.
    head: u64,
    /// The last flush that is durable, or the one that the next is to follow.
    last: FlushNumber,
    /// The last flush that is known to be durable.
    floor: FlushNumber,
    segment_bytes: u64,
    spare: Spare,
    /// There is a file that leaves room for the next opening, or was none for it.
    has_reserve: bool,
    /// There was no room for a whole segment at the opening.
    is_crowded: bool,
    /// No file was given this number or a higher one.
    next_number: u64,
    fresh: VecDeque<Written>,
    /// How many records there have been, the fresh ones included.
    recorded: u64,
    durable: u64,
    flight: Option<Flight>,
    /// The ballot in force, with what is fresh.
    ballot: (Term, Option<NodeId>),
    /// The ballot in force without what is fresh.
    ballot_before: (Term, Option<NodeId>),
    /// The end of the log before what is fresh, and with it.
    log_end: Index,
    /// Nothing was written since the last seal.
    sealed: bool,
    wants_seal: bool,
    /// When the last flush became durable.
    idle_since: Instant,
    writing: Option<Snapshot>,
    /// Operations for it, or for one that was given up, that are not done yet.
    snapshot_busy: u32,
    /// Since when something is to be written and cannot be.
    stuck_since: Option<Instant>,
    scrub: Scrub,
    /// What is to be done to files that nobody names any more, one after the other.
    leaving: VecDeque<DiskOp>,
    is_taking_away: bool,
    /// Both slots are to be written again, whatever they are to say.
    rename: bool,
    /// The slot that has rotted, if any has: it is written first.
    rotten_slot: Option<u64>,
    /// So many of the records that are fresh have to be in the next flush together.
    whole: usize,
    /// A flush is wanted, whatever there is to be said.
    is_opening: bool,
    now: Instant,
    fault: Option<StorageFault>,
    pub(super) metrics: Metrics,
}

/// What an operation is for.
#[derive(Clone, Debug)]
enum Purpose {
    FlushWrite,
    FlushSync,
    /// With the number of the segment.
    Spare(u64),
    SpareZeros(u64),
    Reserve,
    Slot,
    FirstSlot,
    LastSlot,
    /// With the number of the snapshot.
    SnapshotPiece(u64),
    SnapshotEnd(u64),
    Removal,
    TakenAway,
    Scrub,
}

/// A segment that is named.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) named: Named,
    /// The highest index of any entry in it.
    pub(super) highest: Index,
    /// Where the last flush that counts ends.
    pub(super) end: u64,
    pub(super) worth: Worth,
}

/// What a segment is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Its records count, until a snapshot covers them.
    Counts,
    /// What it holds is repeated in the segment that is being made, and not read again once that is durable.
    Repeated,
    /// It never held a whole flush.
    Nothing,
}

#[derive(Clone, Debug)]
struct Flight {
    number: FlushNumber,
    end: u64,
    up_to: u64,
    since: Instant,
    is_seal: bool,
}

/// The segment after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    None,
    /// It has its zeros up to `filled`, or is about to.
    Asked {
        number: u64,
        size: u64,
        filled: u64,
    },
    Ready {
        number: u64,
        size: u64,
    },
    /// The disk was full.
    Refused {
        again_at: Instant,
    },
}

/// A snapshot that is being written.
#[derive(Clone, Debug)]
struct Snapshot {
    number: u64,
    last: EntryId,
    /// Where the next chunk goes.
    at: u64,
    unsynced: u64,
    ended: bool,
}

/// A log that was read, to be written on.
pub(super) struct Found {
    pub(super) names: Names,
    /// All named segments.
    pub(super) segments: Vec<Segment>,
    /// The flush that the next is to follow: the one before the last whole one.
    pub(super) behind: FlushNumber,
    /// The end of the log there.
    pub(super) log_end: Index,
    /// The records of the last whole flush, and whatever else has to stand in the first.
    pub(super) repeat: Vec<Written>,
    pub(super) ballot: (Term, Option<NodeId>),
    pub(super) next_number: u64,
    /// The last flush that was durable for sure.
    pub(super) floor: FlushNumber,
    /// How many reads it took.
    pub(super) reads: u64,
}

impl Wal {
    /// Goes on behind what was found, in a new segment whose first flush is on its way at once: it is what opening
    /// waits for.
    pub(super) fn new<U>(found: Found, segment_bytes: u64, former: &Ops<U>, now: Instant) -> Wal {
        let mut wal = Wal {
            ops: Ops::behind(former),
            salt: Salt(found.names.salt),
            target: found.names.clone(),
            names: found.names,
            naming: None,
            segments: found.segments.into(),
            head: u64::MAX,
            last: found.behind,
            floor: found.floor.max(found.behind),
            segment_bytes,
            spare: Spare::None,
            has_reserve: false,
            is_crowded: false,
            next_number: found.next_number,
            fresh: found.repeat.into(),
            recorded: 1,
            durable: 0,
            flight: None,
            ballot_before: found.ballot.clone(),
            ballot: found.ballot,
            log_end: found.log_end,
            sealed: false,
            wants_seal: false,
            idle_since: now,
            writing: None,
            snapshot_busy: 0,
            stuck_since: None,
            scrub: Scrub::new(now),
            leaving: VecDeque::new(),
            is_taking_away: false,
            rename: false,
            rotten_slot: None,
            whole: 0,
            is_opening: true,
            now,
            fault: None,
            metrics: Metrics { persistence_loads: found.reads, ..Metrics::default() },
        };
        wal.whole = wal.fresh.len();
        wal.pump();
        wal
    }

    pub(super) fn wake(&mut self, now: Instant) {
        self.now = now;
    }

    /// A record is to be kept.
    pub(super) fn record(&mut self, number: u64, record: Written) {
        if let Written::Ballot { term, vote } = &record {
            self.ballot = (*term, vote.clone());
        }
        self.recorded = number;
        self.fresh.push_back(record);
    }

    /// Every record up to this number is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn set_cluster(&mut self, cluster: ClusterId) {
        // Told with whatever is named next.
        self.target.cluster = Some(cluster);
    }

    /// Since when a flush has been on its way, or could not be begun.
    pub(super) fn busy_since(&self) -> Option<Instant> {
        self.flight.as_ref().map(|flight| flight.since).or(self.stuck_since)
    }

    /// Whether there are so many segments that a snapshot should release some of them, if one is worth so many bytes
    /// of log. Those take more than that on the disk, since a flush takes whole blocks: three times as much is allowed.
    pub(super) fn wants_snapshot(&self, worth: u64) -> bool {
        let allowed = usize::try_from(worth.saturating_mul(3) / self.segment_bytes).unwrap_or(usize::MAX);
        self.names.segments.len() > allowed.clamp(MANY_SEGMENTS, TOO_MANY_SEGMENTS)
    }

    /// Whether the rest of the room is for what the protocol itself has to write.
    pub(super) fn is_nearly_full(&self) -> bool {
        let size = self.segments.back().map_or(0, |segment| segment.named.size);
        self.is_full() && self.head >= size / 2
    }

    /// Whether no room can be made for what programs write.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.spare, Spare::Refused { .. }) || self.names.segments.len() + 8 > MAX_SEGMENTS
    }

    /// The number of the oldest segment.
    pub(super) fn first_segment(&self) -> u64 {
        self.segments.front().map_or(0, |segment| segment.named.number)
    }

    pub(super) fn fault(&self) -> Option<&StorageFault> {
        self.fault.as_ref()
    }

    /// Whether everything is durable, and a seal stands behind it.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed && self.fresh.is_empty() && self.flight.is_none()
    }

    /// Wants a seal behind everything, as soon as may be.
    pub(super) fn seal(&mut self) {
        self.wants_seal = true;
    }

    /// Whether there is nothing to be written but a seal.
    fn is_quiet(&self) -> bool {
        let is_idle = self.flight.is_none() && self.fresh.is_empty() && !self.is_opening;
        is_idle && !self.sealed && self.durable > 0
    }

    /// When it wants to be woken: to seal what was idle for so long, or to try a full disk again.
    pub(super) fn deadline(&self, idle: Duration) -> Option<Instant> {
        let seal = self.is_quiet().then(|| self.idle_since + idle);
        let again = match self.spare {
            Spare::Refused { again_at } => Some(again_at),
            Spare::None | Spare::Asked { .. } | Spare::Ready { .. } => None,
        };
        [seal, again, self.scrub_deadline()].into_iter().flatten().min()
    }

    // Asking.

    pub(super) fn take_ops(&mut self, idle: Duration) -> Vec<(OpId, DiskOp)> {
        if self.is_quiet() && self.now.since(self.idle_since) >= idle && !is(Mutant::NeverSeals) {
            self.wants_seal = true;
        }
        self.pump();
        self.ops.take()
    }

    /// Begins whatever can be begun.
    fn pump(&mut self) {
        if self.fault.is_some() {
            return;
        }
        self.give_up_segments();
        self.begin_naming();
        self.begin_flush();
        self.read_on();
        self.keep_spare();
        self.begin_naming();
        self.take_next_away();
        let stuck = self.flight.is_none() && !self.fresh.is_empty();
        self.stuck_since = stuck.then(|| self.stuck_since.unwrap_or(self.now));
    }

    fn begin_flush(&mut self) {
        if self.flight.is_some() {
            return;
        }
        if self.fresh.is_empty() && !self.is_opening {
            if !self.wants_seal || self.sealed {
                return;
            }
            self.fresh.push_back(Written::Seal);
        }
        let is_first = self.head == 0 || self.head == u64::MAX;
        let room = self.segments.back().map_or(0, |segment| segment.named.size).saturating_sub(self.head);
        // A segment that was made for what was fresh then is begun with as much of it as it has room for.
        let most = MAX_FLUSH.min(self.segment_bytes - 2 * BEGINNING);
        let most = if self.head == 0 { room.min(most) } else { most };
        let mut count = 0;
        let mut size = HEADER as u64 + if is_first { BEGINNING } else { 0 };
        for record in &self.fresh {
            let more = record.size();
            if count > 0 && count >= self.whole && size + more > most {
                break;
            }
            size += more;
            count += 1;
        }
        if blocks(size) > room {
            return self.rotate(blocks(size + BEGINNING));
        }
        self.whole = 0;
        self.is_opening = false;
        self.write_flush(count);
    }

    /// Puts the first records that are fresh on their way.
    fn write_flush(&mut self, count: usize) {
        let Some(segment) = self.segments.back_mut() else { return };
        let mut records: Vec<Written> = Vec::with_capacity(count + 2);
        let first = self.head == 0;
        if first {
            records.push(Written::Head(Head {
                node: self.names.node.clone(),
                incarnation: self.names.incarnation,
                generation: self.names.generation,
                log_end: self.log_end,
            }));
        }
        records.extend(self.fresh.drain(..count));
        for record in &records {
            match record {
                Written::Entry { index, .. } => {
                    self.log_end = *index;
                    segment.highest = segment.highest.max(*index);
                }
                Written::Truncate { behind } => self.log_end = *behind,
                Written::Base { last } => self.log_end = last.index,
                Written::Head(_) | Written::Ballot { .. } | Written::Seal => {}
            }
        }
        // Not one that comes with a later flush: behind it, those before it would be of the past.
        let ballot = |record: &Written| match record {
            Written::Ballot { term, vote } => Some((*term, vote.clone())),
            _ => None,
        };
        if !self.fresh.iter().any(|record| ballot(record).is_some()) {
            self.ballot_before = self.ballot.clone();
        } else if let Some(last) = records.iter().rev().find_map(ballot) {
            self.ballot_before = last;
        }
        if first && !is(Mutant::BallotLostWithSegment) {
            let (term, vote) = self.ballot_before.clone();
            records.push(Written::Ballot { term, vote });
        }
        let number = if first { FlushNumber::first_of(segment.named.number) } else { self.last.next() };
        let file = FileName::Segment(segment.named.number);
        let (header, parts) =
            encode(self.salt, self.names.incarnation, (number, self.last), self.head, &records);
        let end = header.end();
        self.metrics.persistence_bytes_written += header.end() - self.head;
        self.ops.ask(DiskOp::Write { file, at: self.head, parts }, Purpose::FlushWrite);
        self.ops.ask(DiskOp::Sync { file }, Purpose::FlushSync);
        let up_to = self.recorded - self.fresh.len() as u64;
        let is_seal = matches!(records.as_slice(), [Written::Seal]);
        self.flight = Some(Flight { number, end, up_to, since: self.now, is_seal });
    }

    fn begin_naming(&mut self) {
        self.target.generation = self.names.generation;
        if self.naming.is_some() || (self.target == self.names && !self.rename) {
            return;
        }
        self.rename = false;
        let mut names = self.target.clone();
        names.generation += 1;
        if self.rotten_slot.is_some_and(|rotten| first_slot(names.generation) != rotten) {
            names.generation += 1;
        }
        for (op, purpose) in naming(&names, 0).into_iter().zip([Purpose::Slot, Purpose::FirstSlot]) {
            self.ops.ask(op, purpose);
        }
        self.naming = Some(names);
    }

    // Being answered.

    pub(super) fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) {
        let Some(purpose) = self.ops.done(op) else { return };
        let of_snapshot = match purpose {
            Purpose::SnapshotPiece(number) | Purpose::SnapshotEnd(number) => Some(number),
            _ => None,
        };
        self.snapshot_busy -= u32::from(of_snapshot.is_some());
        let writing = self.writing.as_ref().map(|writing| writing.number);
        self.metrics.persistence_save_failures += u64::from(result.is_err());
        if self.fault.is_some() {
            // A sync that is done says nothing of what failed to be written before it.
            return;
        }
        match (result, &purpose) {
            (Ok(done), Purpose::Scrub) => self.look_at(done),
            // It may have been removed meanwhile, and then it is not named any more. If it is, all of it is missing.
            // What cannot be read has rotted.
            (Err(_), Purpose::Scrub) => self.look_at(DiskDone::Read(Bytes::new())),
            (Ok(_), _) => self.succeeded(purpose),
            (Err(DiskError::Full), Purpose::Spare(number) | Purpose::SpareZeros(number)) => {
                self.refuse_spare(*number);
            }
            (Err(DiskError::Full), Purpose::Reserve) => {}
            // It was given up before.
            (Err(_), _) if of_snapshot.is_some() && of_snapshot != writing => {}
            (Err(DiskError::Full), _) if of_snapshot.is_some() => self.abort_snapshot(),
            (Err(_), Purpose::FlushSync) if is(Mutant::FailedSyncRetried) => {
                // A second sync succeeds, and what the first has dropped is taken for durable.
                if let Some(segment) = self.segments.back() {
                    let file = FileName::Segment(segment.named.number);
                    self.ops.ask(DiskOp::Sync { file }, Purpose::FlushSync);
                }
            }
            (Err(error), _) => {
                let (what, why) = (describe(&purpose), tell(&error));
                self.fault.get_or_insert(StorageFault::Failed { what: what.into(), why });
            }
        }
    }

    fn succeeded(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::FlushWrite if is(Mutant::WriteIsDurable) => self.flush_is_durable(),
            Purpose::FlushWrite | Purpose::SpareZeros(_) | Purpose::Reserve | Purpose::Slot => {}
            Purpose::FlushSync => self.flush_is_durable(),
            Purpose::FirstSlot => self.name_again(),
            Purpose::Spare(number) => self.fill_spare(number),
            Purpose::LastSlot => self.named(),
            Purpose::SnapshotEnd(ended) => self.snapshot_is_durable(ended),
            Purpose::TakenAway => self.is_taking_away = false,
            Purpose::SnapshotPiece(_) | Purpose::Removal | Purpose::Scrub => {}
        }
    }

    fn flush_is_durable(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        self.metrics.persistence_saves += 1;
        self.last = flight.number;
        self.floor = flight.number;
        self.head = flight.end;
        if let Some(segment) = self.segments.back_mut() {
            segment.end = flight.end;
        }
        self.durable = self.durable.max(flight.up_to);
        self.idle_since = self.now;
        self.is_crowded = false;
        self.sealed = flight.is_seal;
        self.wants_seal &= !flight.is_seal;
    }

    /// The first slot says what the other is to say, too.
    fn name_again(&mut self) {
        let Some(names) = &self.naming else { return };
        let [write, sync] = naming(names, 1);
        if !is(Mutant::OneSlotNamed) {
            self.ops.ask(write, Purpose::Slot);
        }
        self.ops.ask(sync, Purpose::LastSlot);
    }

    /// Both slots say the same again.
    fn named(&mut self) {
        let Some(names) = self.naming.take() else { return };
        self.rotten_slot = None;
        let former = core::mem::replace(&mut self.names, names);
        for named in &self.names.segments {
            if !former.segments.contains(named) {
                self.segments.push_back(Segment {
                    named: *named,
                    highest: Index(0),
                    end: 0,
                    worth: Worth::Counts,
                });
                self.head = 0;
            }
        }
        for gone in &former.segments {
            if self.names.segments.contains(gone) {
                continue;
            }
            self.segments.retain(|segment| segment.named.number != gone.number);
            self.take_away(FileName::Segment(gone.number));
        }
        if self.names.snapshot != former.snapshot {
            let named = self.names.snapshot.map(|snapshot| snapshot.number);
            self.writing.take_if(|writing| Some(writing.number) == named);
            if let Some(snapshot) = former.snapshot {
                self.take_away(FileName::Snapshot(snapshot.number));
            }
        }
    }
}

fn describe(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::FlushWrite => "a write to the log",
        Purpose::FlushSync => "a sync of the log",
        Purpose::Spare(_) | Purpose::SpareZeros(_) | Purpose::Reserve => "the making of a segment",
        Purpose::Slot | Purpose::FirstSlot | Purpose::LastSlot => "a write to the superblock",
        Purpose::SnapshotPiece(_) | Purpose::SnapshotEnd(_) => "a write to a snapshot",
        Purpose::Removal | Purpose::TakenAway => "the removal of a file",
        Purpose::Scrub => "the reading of a file",
    }
}
