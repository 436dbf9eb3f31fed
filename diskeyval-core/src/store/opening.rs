//! How a node finds its storage, or makes it: everything is read and judged before a word is said or written.
//!
//! ```text
//! list -> superblock -> files that nobody names -> segments -> verdict -> snapshot -> a new segment -> open
//! ```
//!
//! An old segment is never written to again. What was read may have come from a cache that the disk never saw, so a
//! new segment begins with a flush that repeats the last whole one, and nothing is promised before that is durable.
//!
//! Files that nobody names are looked at in `strays.rs`; how a storage that is damaged is given up for another is in
//! `anew.rs`; how somebody only looks, in `told.rs`.

mod anew;
pub(super) mod strays;
mod told;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::FileName;
use super::describe;
use super::fold::Fold;
use super::format::{FlushNumber, Salt, Written};
use super::ops::{Ops, naming, renamed, tell};
use super::repeat::{first_to_repeat, worth_of};
use super::snapshot::Reader;
use super::superblock::{self, Mark, Names, NoSlot};
use super::verdict::{Chain, Scanned, judge, scan};
use super::wal::{Found, Wal};
use crate::error::{Damage, StorageFault};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, OpId, Term};
use crate::io::{DiskDone, DiskError, DiskOp};
use crate::mutants::{Mutant, is};
use crate::time::Instant;
use anew::Begun;

/// What a node is, before it knows what it was.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) cluster_name: String,
    /// Drawn, and taken if the storage first comes into being now.
    pub(crate) incarnation: Incarnation,
    pub(crate) salt: u64,
    pub(crate) segment_bytes: u64,
}

/// Storage on its way to being open.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    origin: Origin,
    ops: Ops<()>,
    step: Step,
    files: BTreeMap<FileName, u64>,
    names: Option<Names>,
    /// The generation in which both slots are written anew.
    renamed: u64,
    scanned: Vec<Scanned>,
    strays: Vec<FileName>,
    snapshot: Option<Reader>,
    /// Pieces of the snapshot that nobody has taken yet.
    pieces: Vec<Bytes>,
    snapshot_is_read: bool,
    chain: Option<Chain>,
    wal: Option<Wal>,
    recalled: Option<Recalled>,
    now: Instant,
    reads: u64,
    /// Whatever is found is given up.
    gives_up: bool,
    /// What was given up, and was not told yet.
    begun: Option<Begun>,
    /// What is found, in words: then nothing is written.
    told: Option<Vec<(FileName, String)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    List,
    Superblock,
    /// The first start: the first files are made, and this slot of the superblock is written.
    Found(u64),
    /// The storage is given up: this slot is to say so.
    Void(u64),
    /// Its files are moved out of the way.
    Aside,
    Stray(usize),
    Segment(usize),
    Snapshot,
    /// Both slots are written anew, as they were read: now this one.
    Naming(u64),
    /// What nobody names is removed.
    Tidy,
    /// The first flush of a new segment is on its way.
    Writing,
    Open,
}

/// What a node has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recalled {
    pub(crate) incarnation: Incarnation,
    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
    /// The log begins behind this entry, which the snapshot reflects; zero if there is none.
    pub(crate) base: EntryId,
    /// The entries behind.
    pub(crate) entries: Vec<Bytes>,
    /// Whether the storage came into being just now.
    pub(crate) is_new: bool,
    /// Whether it came into being behind one that was damaged.
    pub(crate) is_anew: bool,
}

impl Opening {
    pub(crate) fn new(origin: Origin) -> Opening {
        let mut ops = Ops::default();
        ops.ask(DiskOp::List, ());
        Opening {
            origin,
            ops,
            step: Step::List,
            files: BTreeMap::new(),
            names: None,
            renamed: 1,
            scanned: Vec::new(),
            strays: Vec::new(),
            snapshot: None,
            pieces: Vec::new(),
            snapshot_is_read: false,
            chain: None,
            wal: None,
            recalled: None,
            now: Instant::ZERO,
            reads: 0,
            gives_up: false,
            begun: None,
            told: None,
        }
    }

    /// Whose storage it is, as far as that is known.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.names.as_ref().map(|names| names.incarnation)
    }

    /// The cluster that it belongs to, as far as that is known.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        self.names.as_ref().and_then(|names| names.cluster)
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        self.now = now;
        if let Some(wal) = &mut self.wal {
            wal.wake(now);
        }
    }

    pub(crate) fn take_ops(&mut self) -> Vec<(OpId, DiskOp)> {
        match &mut self.wal {
            // Nothing is idle yet.
            Some(wal) => wal.take_ops(core::time::Duration::MAX),
            None => self.ops.take(),
        }
    }

    /// Pieces of the snapshot, in their order.
    pub(crate) fn take_pieces(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.pieces)
    }

    /// What was kept, once it is durable in the present life: then storage can be written to.
    pub(super) fn take_open(&mut self) -> Option<(Wal, Recalled)> {
        if self.step != Step::Open {
            return None;
        }
        self.wal.take().zip(self.recalled.take())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.step == Step::Open
    }

    /// Whether nothing is left to be done but the first segment, for which there is no room.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.wal.as_ref().is_some_and(Wal::waits_for_room)
    }

    /// An operation was carried out.
    pub(crate) fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) -> Result<(), StorageFault> {
        if let Some(wal) = &mut self.wal {
            wal.done(op, result);
            if let Some(fault) = wal.fault() {
                return Err(fault.clone());
            }
            if wal.durable() > 0 {
                self.step = Step::Open;
            }
            return Ok(());
        }
        if self.ops.done(op).is_none() {
            return Ok(());
        }
        let done = result.map_err(|error| self.failed(&error))?;
        match (self.step, done) {
            (Step::List, DiskDone::Listed(files)) => {
                self.files = files.into_iter().collect();
                self.listed()
            }
            (Step::Superblock, DiskDone::Read(bytes)) => self.read_superblock(&bytes),
            (Step::Found(0), _) if self.ops.is_idle() => {
                self.step = Step::Found(1);
                self.name_other();
                Ok(())
            }
            (Step::Naming(0), _) if self.ops.is_idle() => {
                self.step = Step::Naming(1);
                self.name_other();
                Ok(())
            }
            (Step::Void(0), _) if self.ops.is_idle() => {
                self.step = Step::Void(1);
                self.name_other();
                Ok(())
            }
            (Step::Void(_), _) if self.ops.is_idle() => self.set_files_aside(),
            (Step::Aside, _) if self.ops.is_idle() => self.begin_behind(),
            (Step::Found(_), _) if self.ops.is_idle() => {
                self.chain = Some(Chain { flushes: Vec::new(), cut: None });
                self.write()
            }
            (Step::Stray(place), DiskDone::Read(bytes)) => self.read_stray(place, &bytes),
            (Step::Segment(place), DiskDone::Read(bytes)) => self.read_segment(place, &bytes),
            (Step::Snapshot, DiskDone::Read(bytes)) => self.read_snapshot(bytes),
            (Step::Naming(_), _) if self.ops.is_idle() && self.strays.is_empty() => self.write(),
            (Step::Naming(_), _) if self.ops.is_idle() => {
                self.step = Step::Tidy;
                for file in self.strays.clone() {
                    self.ops.ask(DiskOp::Remove { file }, ());
                }
                Ok(())
            }
            (Step::Tidy, _) if self.ops.is_idle() => self.write(),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &DiskError) -> StorageFault {
        let what = match self.step {
            Step::List => "the reading of the directory".to_string(),
            Step::Superblock => format!("the reading of {}", FileName::Superblock),
            Step::Found(_) => "the making of the first files".to_string(),
            Step::Stray(place) => format!("the reading of {}", self.strays[place]),
            Step::Segment(_) | Step::Snapshot => "the reading of a file that is named".to_string(),
            Step::Naming(_) | Step::Void(_) => format!("the writing of {}", FileName::Superblock),
            Step::Aside => "the moving of a file of the former life".to_string(),
            Step::Tidy => "the removal of a file that nobody names".to_string(),
            Step::Writing | Step::Open => "the writing of a new segment".to_string(),
        };
        StorageFault::Failed { what, why: tell(error) }
    }

    fn listed(&mut self) -> Result<(), StorageFault> {
        if !self.files.contains_key(&FileName::Superblock) {
            if self.gives_up {
                self.ops.ask(DiskOp::Create { file: FileName::Superblock, size: superblock::SIZE }, ());
                self.make_void();
                return Ok(());
            }
            return self.nothing("there is none, and there are other files");
        }
        self.step = Step::Superblock;
        let len = usize::try_from(superblock::SIZE).unwrap_or(usize::MAX);
        self.ops.ask(DiskOp::Read { file: FileName::Superblock, at: 0, len }, ());
        Ok(())
    }

    /// No slot can be read: the first start, if there is nothing else.
    fn nothing(&mut self, what: &str) -> Result<(), StorageFault> {
        let others = self.files.keys().any(|file| *file != FileName::Superblock);
        if others && !is(Mutant::DamageStartsAnew) {
            return Err(damage(FileName::Superblock, 0, what));
        }
        if self.told.is_some() {
            self.tell(FileName::Superblock, || alloc::vec!["a first start that was not finished".into()]);
            return Ok(());
        }
        let names = Names::first(&self.origin);
        for file in self.files.keys() {
            self.ops.ask(DiskOp::Remove { file: *file }, ());
        }
        self.ops.ask(DiskOp::Create { file: FileName::Superblock, size: superblock::SIZE }, ());
        self.names = Some(names);
        self.name(0);
        self.step = Step::Found(0);
        Ok(())
    }

    fn read_superblock(&mut self, bytes: &[u8]) -> Result<(), StorageFault> {
        self.reads += 1;
        let size = self.files.get(&FileName::Superblock).map_or(0, |size| superblock::SIZE.min(*size));
        if (bytes.len() as u64) < size {
            return Err(came_short(FileName::Superblock, bytes.len(), size));
        }
        let mut slots = Names::decode_both(bytes);
        if is(Mutant::OneSlotTrusted) {
            slots[1] = slots[0].clone();
        }
        if let Some(format) = slots.iter().find_map(|slot| match slot {
            Err(NoSlot::Newer(format)) => Some(*format),
            _ => None,
        }) {
            return Err(StorageFault::Newer { file: FileName::Superblock, format });
        }
        self.tell(FileName::Superblock, || describe::slots(&slots));
        let generation = |slot: &Result<Names, NoSlot>| slot.as_ref().ok().map(|names| names.generation);
        self.renamed = renamed([generation(&slots[0]), generation(&slots[1])]);
        if self.gives_up {
            self.make_void();
            return Ok(());
        }
        let Some(names) = slots.into_iter().flatten().max_by_key(|names| names.generation) else {
            return self.nothing("neither slot can be read, and there are other files");
        };
        if self.told.is_some() {
            self.origin.node = names.node.clone();
            self.origin.cluster_name.clone_from(&names.cluster_name);
        }
        if names.node != self.origin.node {
            return Err(StorageFault::OtherNode { ours: self.origin.node.clone(), theirs: names.node });
        }
        if names.cluster_name != self.origin.cluster_name {
            let ours = self.origin.cluster_name.clone();
            return Err(StorageFault::OtherCluster { ours, theirs: names.cluster_name });
        }
        if names.mark == Mark::Void {
            return self.goes_on_giving_up(names);
        }
        self.check_files(&names)?;
        self.names = Some(names);
        self.read_next_stray(0)
    }

    /// What is named has to be there, in its whole length.
    fn check_files(&mut self, names: &Names) -> Result<(), StorageFault> {
        let mut named: Vec<(FileName, u64)> =
            names.segments.iter().map(|segment| (FileName::Segment(segment.number), segment.size)).collect();
        named.extend(
            names.snapshot.iter().map(|snapshot| (FileName::Snapshot(snapshot.number), snapshot.size)),
        );
        for (file, size) in &named {
            match self.files.get(file) {
                Some(found) if found == size => {}
                Some(found) => {
                    let at = (*found).min(*size);
                    return Err(damage(*file, at, format!("{found} bytes, where {size} were")));
                }
                None => return Err(damage(*file, 0, "it is not there, and the superblock names it")),
            }
        }
        let is_named = |file: &FileName| named.iter().any(|(named, _)| named == file);
        self.strays = self
            .files
            .keys()
            .copied()
            .filter(|file| *file != FileName::Superblock && !is_named(file))
            .collect();
        Ok(())
    }

    fn read_next_segment(&mut self, place: usize) -> Result<(), StorageFault> {
        let Some(names) = &self.names else { return Ok(()) };
        match names.segments.get(place) {
            Some(named) => {
                self.step = Step::Segment(place);
                let len = usize::try_from(named.size).unwrap_or(usize::MAX);
                self.ops.ask(DiskOp::Read { file: FileName::Segment(named.number), at: 0, len }, ());
                Ok(())
            }
            None => self.judge(),
        }
    }

    fn read_segment(&mut self, place: usize, bytes: &[u8]) -> Result<(), StorageFault> {
        self.reads += 1;
        let Some(names) = &self.names else { return Ok(()) };
        let named = names.segments[place];
        if (bytes.len() as u64) < named.size {
            return Err(came_short(FileName::Segment(named.number), bytes.len(), named.size));
        }
        let scanned = scan(named, bytes, Salt(names.salt), names.incarnation);
        self.tell(FileName::Segment(named.number), || describe::segment(&scanned));
        self.scanned.push(scanned);
        self.read_next_segment(place + 1)
    }

    /// What the segments come to, and then the snapshot.
    fn judge(&mut self) -> Result<(), StorageFault> {
        let chain = judge(core::mem::take(&mut self.scanned)).map_err(StorageFault::Damaged)?;
        if let Some((segment, at, what)) = &chain.cut {
            let line = format!("from byte {at} on: {what}; it was never promised, and is left out");
            self.tell(FileName::Segment(*segment), || alloc::vec![line]);
        }
        self.chain = Some(chain);
        let Some(names) = &self.names else { return Ok(()) };
        match names.snapshot {
            Some(snapshot) => {
                self.snapshot = Some(Reader::new(snapshot, Salt(names.salt)));
                self.step = Step::Snapshot;
                self.read_more_of_snapshot()
            }
            None => {
                self.snapshot_is_read = true;
                self.tidy()
            }
        }
    }

    fn read_more_of_snapshot(&mut self) -> Result<(), StorageFault> {
        let number = self.names.as_ref().and_then(|names| names.snapshot).map_or(0, |named| named.number);
        match self.snapshot.as_ref().and_then(Reader::wants) {
            Some((at, len)) => {
                self.ops.ask(DiskOp::Read { file: FileName::Snapshot(number), at, len }, ());
                Ok(())
            }
            None => {
                self.snapshot_is_read = true;
                self.tidy()
            }
        }
    }

    fn read_snapshot(&mut self, bytes: Bytes) -> Result<(), StorageFault> {
        self.reads += 1;
        let number = self.names.as_ref().and_then(|names| names.snapshot).map_or(0, |named| named.number);
        let Some(reader) = &mut self.snapshot else { return Ok(()) };
        let pieces = reader.take(bytes).map_err(|(at, what)| damage(FileName::Snapshot(number), at, what))?;
        self.pieces.extend(pieces);
        self.read_more_of_snapshot()
    }

    /// Whether every piece of the snapshot was given out, or is about to be.
    pub(crate) fn has_read_snapshot(&self) -> bool {
        self.snapshot_is_read
    }

    /// What the snapshot says cannot be what was written.
    pub(crate) fn snapshot_is_wrong(&self, what: &str) -> StorageFault {
        let number = self.names.as_ref().and_then(|names| names.snapshot).map_or(0, |named| named.number);
        damage(FileName::Snapshot(number), 0, what)
    }

    /// What the log says cannot be what was written.
    pub(crate) fn log_is_wrong(&self, what: &str) -> StorageFault {
        let named = self.names.as_ref().and_then(|names| names.segments.first());
        let segment = self.wal.as_ref().map(Wal::first_segment).or(named.map(|named| named.number));
        damage(FileName::Segment(segment.unwrap_or(0)), 0, what)
    }

    /// When it wants to be woken: to try a full disk again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wal.as_ref()?.deadline(core::time::Duration::MAX)
    }

    fn tidy(&mut self) -> Result<(), StorageFault> {
        if self.told.is_some() {
            self.step = Step::Tidy;
            for file in self.strays.clone() {
                self.tell(file, || alloc::vec!["nobody names it: it promised nothing".into()]);
            }
            return self.recall_without_writing();
        }
        // What was read may have come from a cache that the disk never saw, and the disk may still name what the cache
        // does not, or nothing at all. So nothing is made and nothing is removed before the disk says for certain what
        // is named.
        if let Some(names) = &mut self.names {
            names.generation = self.renamed;
        }
        self.name(0);
        self.step = Step::Naming(0);
        Ok(())
    }

    fn name_other(&mut self) {
        self.name(1);
    }

    /// One slot of the superblock is to say what there is.
    fn name(&mut self, place: u64) {
        let names = self.names.iter();
        names.flat_map(|names| naming(names, place)).for_each(|op| self.ops.ask(op, ()));
    }

    /// Everything is read: a new segment goes on from it.
    fn write(&mut self) -> Result<(), StorageFault> {
        let (Some(names), Some(chain)) = (self.names.take(), self.chain.take()) else { return Ok(()) };
        let base = names.snapshot.map_or(EntryId::default(), |snapshot| snapshot.last);
        let mut fold = Fold::new(base, names.segments.first().copied());
        let mut repeat = Vec::new();
        let mut behind = names.segments.last().map_or(FlushNumber::default(), |last| last.behind);
        let mut floor = names.segments.iter().map(|named| named.behind).max().unwrap_or_default();
        let mut log_end = Index(0);
        let (before, repeated) = chain.flushes.split_at(first_to_repeat(&chain.flushes));
        for flush in before {
            fold.take(flush).map_err(StorageFault::Damaged)?;
        }
        if let (Some(first), Some(last)) = (repeated.first(), repeated.last()) {
            // The flush before the last was durable when that was begun.
            floor = floor.max(last.header.previous);
            behind = first.header.previous;
            log_end = fold.end_before(first);
            for flush in repeated {
                fold.take(flush).map_err(StorageFault::Damaged)?;
            }
            if is(Mutant::LastFlushNotRepeated) {
                (behind, log_end) = (last.header.number, fold.log_end);
            } else {
                let records = repeated.iter().flat_map(|flush| &flush.records);
                repeat.extend(records.filter(|record| !matches!(record, Written::Head(_))).cloned());
            }
        }
        if fold.term < base.term {
            // The snapshot was put in the place of another log, and nothing was written behind it yet.
            (fold.term, fold.vote) = (base.term, None);
        }
        let entries = fold.behind_base();
        if fold.log_end < base.index || entries.is_none() {
            // The snapshot was installed, and the log does not know it yet.
            repeat.push(Written::Base { last: base });
        }
        // What stands before the first flush that is repeated counts.
        let segments = names.segments.iter().map(|named| worth_of(*named, &chain.flushes, behind)).collect();
        let numbers = self.files.keys().map(|file| match file {
            FileName::Superblock => 0,
            FileName::Segment(number) | FileName::Snapshot(number) => *number,
        });
        let next_number = numbers.max().unwrap_or(0) + 1;
        self.recalled = Some(Recalled {
            incarnation: names.incarnation,
            term: fold.term,
            vote: fold.vote.clone(),
            base,
            entries: entries.unwrap_or_default(),
            is_new: names.segments.is_empty(),
            is_anew: names.mark == Mark::Anew,
        });
        let ballot = (fold.term, fold.vote);
        let found =
            Found { names, segments, behind, log_end, repeat, ballot, next_number, floor, reads: self.reads };
        self.step = Step::Writing;
        self.wal = Some(Wal::new(found, self.origin.segment_bytes, &self.ops, self.now));
        Ok(())
    }
}

/// The disk has failed, whatever stands in the file.
fn came_short(file: FileName, len: usize, size: u64) -> StorageFault {
    let (what, why) = (format!("the reading of {file}"), format!("{len} of {size} bytes came"));
    StorageFault::Failed { what, why }
}

pub(super) fn damage(file: FileName, at: u64, what: impl Into<String>) -> StorageFault {
    StorageFault::Damaged(Damage { file, at, what: what.into() })
}
