//! Reading again what was written, slowly and for ever, and healing what has rotted from what is in memory.
//!
//! Whatever is found bad, the node itself still knows what stood there: the state, and the entries behind it. So a fresh
//! snapshot is written and a fresh segment that holds everything behind it, and the files that were there before are not
//! named any more. The one that has rotted is set aside.

use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

use super::{Purpose, Segment, Wal, Worth};
use crate::error::Damage;
use crate::id::Index;
use crate::io::{DiskDone, DiskOp};
use crate::mutants::{Mutant, is};
use crate::store::FileName;
use crate::store::format::{FlushNumber, HEADER, Header, Written};
use crate::store::snapshot::Reader;
use crate::store::superblock::{self, Names};
use crate::store::verdict::read_flush;
use crate::time::Instant;

/// How long it rests between two reads.
const PAUSE: Duration = Duration::from_secs(1);

/// How much is read at once, unless a single flush has more.
const WINDOW: u64 = 256 << 10;

/// What is read next.
#[derive(Clone, Debug)]
pub(super) struct Scrub {
    place: Place,
    next_at: Instant,
    asked: bool,
    /// What was found, until it is healed.
    rot: Option<Damage>,
    /// Whether anybody was told.
    told: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Superblock,
    /// A flush at this place of a segment, and how many bytes it takes.
    Segment {
        number: u64,
        at: u64,
        len: u64,
    },
    Snapshot(u64, Reader),
}

impl Scrub {
    pub(super) fn new(now: Instant) -> Scrub {
        Scrub { place: Place::Superblock, next_at: now + PAUSE, asked: false, rot: None, told: false }
    }
}

impl Wal {
    /// When the next piece is to be read.
    pub(super) fn scrub_deadline(&self) -> Option<Instant> {
        (!self.scrub.asked && self.scrub.rot.is_none() && self.durable > 0).then_some(self.scrub.next_at)
    }

    /// Reads on, if it is time.
    pub(super) fn read_on(&mut self) {
        if self.scrub_deadline().is_none_or(|at| self.now < at) || is(Mutant::NeverScrubs) {
            return;
        }
        let (file, at, len) = match &self.scrub.place {
            Place::Superblock => (FileName::Superblock, 0, superblock::SIZE),
            Place::Segment { number, at, len } => (FileName::Segment(*number), *at, *len),
            Place::Snapshot(number, reader) => match reader.wants() {
                Some((at, len)) => (FileName::Snapshot(*number), at, len as u64),
                None => return,
            },
        };
        self.scrub.asked = true;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.ops.ask(DiskOp::Read { file, at, len }, Purpose::Scrub);
    }

    /// A piece was read.
    pub(super) fn look_at(&mut self, done: DiskDone) {
        self.scrub.asked = false;
        self.scrub.next_at = self.now + PAUSE;
        let DiskDone::Read(bytes) = done else { return };
        let place = core::mem::replace(&mut self.scrub.place, Place::Superblock);
        let next = match place {
            Place::Superblock => self.look_at_slots(&bytes),
            Place::Segment { number, at, len } => self.look_at_segment(number, at, len, &bytes),
            Place::Snapshot(number, reader) => self.look_at_snapshot(number, reader, bytes),
        };
        match next {
            Ok(place) => self.scrub.place = place,
            Err(damage) => {
                self.metrics.persistence_load_failures += 1;
                self.scrub.rot = Some(damage);
                self.scrub.told = false;
            }
        }
    }

    fn look_at_slots(&mut self, bytes: &[u8]) -> Result<Place, Damage> {
        let rotten = Names::decode_both(bytes).iter().position(|slot| slot.as_ref() != Ok(&self.names));
        if let Some(rotten) = rotten
            && self.naming.is_none()
        {
            // Both are written again with the next names.
            self.rotten_slot = Some(rotten as u64);
            self.rename = true;
        }
        Ok(self.first_segment_from(0))
    }

    /// The first named segment with this number or a higher one; behind the last comes the snapshot.
    fn first_segment_from(&self, number: u64) -> Place {
        let next = self.segments.iter().find(|segment| segment.named.number >= number && segment.end > 0);
        match (next, self.names.snapshot) {
            (Some(segment), _) => {
                Place::Segment { number: segment.named.number, at: 0, len: WINDOW.min(segment.end) }
            }
            (None, Some(named)) => Place::Snapshot(named.number, Reader::new(named, self.salt)),
            (None, None) => Place::Superblock,
        }
    }

    fn look_at_segment(&self, number: u64, from: u64, len: u64, bytes: &[u8]) -> Result<Place, Damage> {
        // What is not named any more promises nothing.
        let Some(segment) = self.segments.iter().find(|segment| segment.named.number == number) else {
            return Ok(self.first_segment_from(number));
        };
        let file = FileName::Segment(number);
        let incarnation = self.names.incarnation;
        let mut at = from;
        while at < segment.end && at - from < bytes.len() as u64 {
            let rest = usize::try_from(at - from).map_or(&[][..], |from| &bytes[from..]);
            if let Ok(header) = Header::decode(rest, self.salt, incarnation, number, at)
                && header.end() - from > len
                && header.end() <= segment.end
            {
                // The rest of it was not read.
                return Ok(Place::Segment {
                    number,
                    at,
                    len: WINDOW.min(segment.end - at).max(header.end() - at),
                });
            }
            if rest.len() < HEADER {
                break;
            }
            match read_flush(number, rest, at, self.salt, incarnation) {
                Ok(flush) => at = flush.header.end(),
                Err(no) => return Err(Damage { file, at, what: no.what }),
            }
        }
        if at == from && at < segment.end {
            return Err(Damage { file, at, what: String::from("the file ends") });
        }
        match segment.end - at {
            0 => Ok(self.first_segment_from(number + 1)),
            left => Ok(Place::Segment { number, at, len: WINDOW.min(left) }),
        }
    }

    fn look_at_snapshot(&self, number: u64, mut reader: Reader, bytes: Bytes) -> Result<Place, Damage> {
        if self.names.snapshot.is_none_or(|named| named.number != number) {
            return Ok(Place::Superblock);
        }
        let file = FileName::Snapshot(number);
        reader.take(bytes).map_err(|(at, what)| Damage { file, at, what })?;
        Ok(if reader.wants().is_some() { Place::Snapshot(number, reader) } else { Place::Superblock })
    }

    // Healing.

    /// What has rotted, if that was not told yet.
    pub(in crate::store) fn take_rot(&mut self) -> Option<Damage> {
        let rot = self.scrub.rot.clone().filter(|_| !self.scrub.told)?;
        self.scrub.told = true;
        Some(rot)
    }

    /// Whether the snapshot has rotted: another is to be written.
    pub(in crate::store) fn needs_snapshot(&self) -> bool {
        let named = self.names.snapshot.map(|named| FileName::Snapshot(named.number));
        self.scrub.rot.as_ref().is_some_and(|rot| Some(rot.file) == named)
    }

    /// Whether a segment has rotted, and everything behind the snapshot is to be written again, now.
    pub(in crate::store) fn needs_rewriting(&self) -> bool {
        let rotten = |segment: &Segment| {
            let file = FileName::Segment(segment.named.number);
            segment.worth == Worth::Counts && self.scrub.rot.as_ref().is_some_and(|rot| rot.file == file)
        };
        let idle = self.flight.is_none() && self.naming.is_none() && !self.is_rotating();
        idle && self.head != u64::MAX && self.segments.iter().any(rotten)
    }

    /// Goes on in a new segment that holds all entries behind the durable snapshot, and gives up all others. What
    /// was recorded and is not on its way yet is among them, or is the ballot.
    pub(in crate::store) fn rewrite(&mut self, entries: impl Iterator<Item = Bytes>) {
        let base = self.durable_snapshot().index;
        let entry = |(index, bytes)| Written::Entry { index: Index(index), bytes };
        self.fresh = (base.0 + 1..).zip(entries).map(entry).collect();
        self.log_end = base;
        self.last = FlushNumber::default();
        self.whole = self.fresh.len();
        self.is_opening = true;
        self.head = u64::MAX;
        for segment in &mut self.segments {
            segment.worth = Worth::Repeated;
        }
    }

    /// Takes a file away that nobody names any more: soon.
    pub(super) fn take_away(&mut self, file: FileName) {
        let rotten = self.scrub.rot.take_if(|rot| rot.file == file);
        let op = match rotten {
            Some(_) => DiskOp::SetAside { file, under: self.names.generation },
            None => DiskOp::Remove { file },
        };
        self.leaving.push_back(op);
    }

    /// Takes away the next file, if none is being taken away: a snapshot releases many at once, each of them takes as
    /// long as a flush or longer, and flushes go on in between.
    pub(super) fn take_next_away(&mut self) {
        if !self.is_taking_away
            && let Some(op) = self.leaving.pop_front()
        {
            self.is_taking_away = true;
            self.ops.ask(op, Purpose::TakenAway);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Incarnation, NodeId, Term};
    use crate::store::folder::Folder;
    use crate::store::{Origin, Record};

    /// Found by the simulator: it wanted to be sealed at a moment that had passed, again and again, until the segment was
    /// there.
    #[test]
    fn while_it_waits_for_the_segment_of_what_is_written_anew_it_wants_nothing_else() {
        let mut folder = Folder::default();
        let origin = Origin {
            node: NodeId::new("n").expect("a good name"),
            cluster_name: "diskeyval".into(),
            incarnation: Incarnation(1),
            salt: 5,
            segment_bytes: 16 << 10,
        };
        let mut store = folder.open(origin, Duration::from_millis(300));
        let _ = store.record(|| Record::Ballot { term: Term(1), vote: None });
        folder.settle(&mut store);
        store.rewrite(core::iter::empty());
        assert!(!store.take_ops().is_empty(), "a segment is asked for");
        store.wake(Instant::ZERO + Duration::from_secs(9));
        store.take_ops();
        let wanted = store.deadline();
        assert!(wanted.is_none_or(|at| at > Instant::ZERO + Duration::from_secs(9)), "{wanted:?}");
    }
}
