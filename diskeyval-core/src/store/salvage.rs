//! What can be verified of a storage, whatever is wrong with it, and the state that is put in its place: for a node that
//! goes on alone.
//!
//! ```text
//! list -> superblock -> segments -> snapshot                   nothing is written so far
//!      -> another snapshot, synced -> void, and that snapshot, into both slots
//! ```
//!
//! 1. Whose files they are, and what they are verified with, stands in the superblock. Without it nothing can be.
//! 2. What an opening would go on from counts, to the last entry. Where an opening finds damage, the log counts from its
//!    beginning to the first thing that is wrong with it (`prefix.rs`).
//! 3. A segment that nobody names, of a later generation than the superblock, was named once: it counts, and that is told.
//! 4. Until a slot names the other snapshot, everything stands as it was. From then on the next opening sets the former
//!    files aside (`opening/anew.rs`). None of them is removed.

mod prefix;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::FileName;
use super::fold::Fold;
use super::format::{FlushNumber, Salt, Written};
use super::opening::strays::{generation_of, has_lost_what_it_said};
use super::opening::{Opening, Origin, damage};
use super::ops::{Ops, naming, renamed, tell};
use super::snapshot::{self, Reader};
use super::superblock::{self, Mark, Named, NamedSnapshot, Names, NoSlot};
use super::verdict::{Flush, Scanned, Stop, judge, scan};
use crate::error::{Damage, StorageFault};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, OpId, Term};
use crate::io::{DiskDone, DiskError, DiskOp};
use prefix::{Prefix, prefix, runs_from};

/// What a storage holds that can be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) node: NodeId,
    pub(crate) term: Term,
    /// The last entry that the snapshot reflects; zero if there is none that can be verified.
    pub(crate) base: EntryId,
    /// The entries behind.
    pub(crate) entries: Vec<Bytes>,
    /// What is wrong, and is left out.
    pub(crate) left_out: Vec<Damage>,
    /// The end of the log, as far as it can be seen, with what is left out.
    pub(crate) seen: Index,
}

/// Why nothing of a storage can be verified, or nothing can be put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// There is no file at all.
    Empty,
    /// It was given up before, and its next opening goes on with that.
    GivenUp,
    /// There is no room for the other snapshot, and nothing of it is left.
    Full,
    Storage(StorageFault),
}

impl From<StorageFault> for Unverified {
    fn from(fault: StorageFault) -> Unverified {
        Unverified::Storage(fault)
    }
}

/// Whose storage it is to be from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextLife {
    pub(crate) incarnation: Incarnation,
    pub(crate) cluster: ClusterId,
    pub(crate) salt: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Salvage {
    ops: Ops<()>,
    step: Step,
    files: BTreeMap<FileName, u64>,
    names: Option<Names>,
    /// The generation in which both slots are written anew.
    renamed: u64,
    scanned: Vec<Scanned>,
    /// The same, with what stands behind something that cannot be read.
    runs: Vec<Scanned>,
    /// What the log comes to, so that an entry of it can be found.
    flushes: Vec<Flush>,
    /// The superblock has lost what it said of other segments.
    is_behind: bool,
    reader: Option<Reader>,
    pieces: Vec<Bytes>,
    left_out: Vec<Damage>,
    /// The last entry that a snapshot has reflected which is left out.
    lost: Index,
    /// Where the next chunk of the other snapshot goes, and whether that was the last.
    written: (u64, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    List,
    Superblock,
    Segment(usize),
    /// A segment that nobody names, with its number and size.
    Stray(u64, u64),
    Snapshot,
    Read,
    /// The other snapshot is being written.
    Writing,
    /// There was no room for it: what there is of it is removed.
    Full,
    /// This slot is to name it.
    Void(u64),
    Done,
}

impl Salvage {
    /// Operations are numbered from `next` on.
    pub(crate) fn new(next: u64) -> Salvage {
        let mut ops = Ops::from(next);
        ops.ask(DiskOp::List, ());
        Salvage {
            ops,
            step: Step::List,
            files: BTreeMap::new(),
            names: None,
            renamed: 1,
            scanned: Vec::new(),
            runs: Vec::new(),
            flushes: Vec::new(),
            is_behind: false,
            reader: None,
            pieces: Vec::new(),
            left_out: Vec::new(),
            lost: Index(0),
            written: (0, false),
        }
    }

    pub(crate) fn take_ops(&mut self) -> Vec<(OpId, DiskOp)> {
        self.ops.take()
    }

    /// Pieces of the snapshot, in their order.
    pub(crate) fn take_pieces(&mut self) -> Vec<Bytes> {
        core::mem::take(&mut self.pieces)
    }

    /// Whether everything is read that is there.
    pub(crate) fn has_read(&self) -> bool {
        self.step == Step::Read
    }

    /// The last entry that the snapshot reflects, if there is one, as far as is known.
    pub(crate) fn snapshot_end(&self) -> Option<EntryId> {
        self.names.as_ref().and_then(|names| names.snapshot).map(|snapshot| snapshot.last)
    }

    /// Whether both slots name the other snapshot.
    pub(crate) fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// The opening that does the rest, of a storage with segments of so many bytes.
    pub(crate) fn into_opening(self, segment_bytes: u64) -> Option<Opening> {
        let names = self.names?;
        let origin = Origin {
            node: names.node,
            cluster_name: names.cluster_name,
            incarnation: names.incarnation,
            salt: names.salt,
            segment_bytes,
        };
        Some(Opening::resumed(origin, self.ops.next()))
    }

    /// An operation was carried out.
    pub(crate) fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) -> Result<(), Unverified> {
        if self.ops.done(op).is_none() {
            return Ok(());
        }
        if self.step == Step::Writing && result == Err(DiskError::Full) {
            self.no_room();
            return Ok(());
        }
        let done = match result {
            Ok(done) => done,
            // It could not be made, or is as short as it was.
            Err(_) if self.step == Step::Full && !self.ops.is_idle() => return Ok(()),
            Err(error) => return Err(self.failed(&error).into()),
        };
        match (self.step, done) {
            (Step::List, DiskDone::Listed(files)) => {
                self.files = files.into_iter().collect();
                self.listed()
            }
            (Step::Superblock, DiskDone::Read(bytes)) => self.read_superblock(&bytes),
            (Step::Segment(place), DiskDone::Read(bytes)) => {
                self.read_segment(place, &bytes);
                self.read_next_segment(place + 1);
                Ok(())
            }
            (Step::Stray(number, size), DiskDone::Read(bytes)) => {
                self.read_stray(number, size, &bytes);
                self.read_next_stray(Some(number));
                Ok(())
            }
            (Step::Snapshot, DiskDone::Read(bytes)) => {
                self.read_snapshot(bytes);
                Ok(())
            }
            (Step::Writing, _) if self.written.1 && self.ops.is_idle() => {
                self.name(0);
                Ok(())
            }
            (Step::Full, _) if self.ops.is_idle() => Err(Unverified::Full),
            (Step::Void(0), _) if self.ops.is_idle() => {
                self.name(1);
                Ok(())
            }
            (Step::Void(_), _) if self.ops.is_idle() => {
                self.step = Step::Done;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &DiskError) -> StorageFault {
        let what = match self.step {
            Step::List => "the reading of the directory",
            Step::Superblock => "the reading of the superblock",
            Step::Segment(_) | Step::Snapshot => "the reading of a file that is named",
            Step::Stray(..) => "the reading of a file that nobody names",
            Step::Writing => "the writing of a snapshot",
            Step::Full => "the removal of a snapshot for which there is no room",
            Step::Void(_) => "the writing of the superblock",
            Step::Read | Step::Done => "an operation that nobody has asked for",
        };
        StorageFault::Failed { what: what.into(), why: tell(error) }
    }

    // What there is.

    fn listed(&mut self) -> Result<(), Unverified> {
        if !self.files.contains_key(&FileName::Superblock) {
            let is_empty = self.files.is_empty();
            return Err(if is_empty { Unverified::Empty } else { nothing("there is none").into() });
        }
        self.step = Step::Superblock;
        self.read(FileName::Superblock, 0, superblock::SIZE);
        Ok(())
    }

    fn read(&mut self, file: FileName, at: u64, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.ops.ask(DiskOp::Read { file, at, len }, ());
    }

    fn read_superblock(&mut self, bytes: &[u8]) -> Result<(), Unverified> {
        let slots = Names::decode_both(bytes);
        if let Some(Err(NoSlot::Newer(format))) =
            slots.iter().find(|slot| matches!(slot, Err(NoSlot::Newer(_))))
        {
            return Err(StorageFault::Newer { file: FileName::Superblock, format: *format }.into());
        }
        let generation = |slot: &Result<Names, NoSlot>| slot.as_ref().ok().map(|names| names.generation);
        self.renamed = renamed([generation(&slots[0]), generation(&slots[1])]);
        let names = slots.into_iter().flatten().max_by_key(|names| names.generation);
        let names =
            names.ok_or_else(|| nothing("neither slot can be read, and so nothing can be verified"))?;
        if names.mark == Mark::Void {
            return Err(Unverified::GivenUp);
        }
        self.names = Some(names);
        self.read_next_segment(0);
        Ok(())
    }

    fn read_next_segment(&mut self, from: usize) {
        let Some(names) = &self.names else { return };
        let Some(named) = names.segments.get(from).copied() else { return self.read_next_stray(None) };
        let file = FileName::Segment(named.number);
        match self.files.get(&file).copied() {
            Some(size) => {
                if size != named.size {
                    let what = format!("{size} bytes, where {} were", named.size);
                    self.left_out.push(of(file, size.min(named.size), what));
                }
                self.step = Step::Segment(from);
                self.read(file, 0, named.size);
            }
            None => {
                self.left_out.push(of(file, 0, "it is not there, and the superblock names it"));
                self.scanned.push(Scanned { named, flushes: Vec::new(), stop: Stop::Blank { at: 0 } });
                self.read_next_segment(from + 1);
            }
        }
    }

    fn read_segment(&mut self, place: usize, bytes: &[u8]) {
        let Some(names) = &self.names else { return };
        let Some(named) = names.segments.get(place).copied() else { return };
        let (salt, incarnation) = (Salt(names.salt), names.incarnation);
        let scanned = scan(named, bytes, salt, incarnation);
        self.scanned.push(scanned.clone());
        self.take_runs(scanned, bytes, salt, incarnation);
    }

    fn take_runs(&mut self, scanned: Scanned, bytes: &[u8], salt: Salt, incarnation: Incarnation) {
        let (named, stop) = (scanned.named, scanned.stop.clone());
        self.runs.push(scanned);
        if let Stop::Torn { later: Some(later), .. } = stop {
            self.runs.extend(runs_from(named, bytes, later, salt, incarnation));
        }
    }

    fn read_next_stray(&mut self, behind: Option<u64>) {
        let Some(names) = &self.names else { return };
        let is_named = |number: u64| names.segments.iter().any(|named| named.number == number);
        let stray = self.files.iter().find_map(|(file, size)| match file {
            FileName::Segment(number) if Some(*number) > behind && !is_named(*number) => {
                Some((*number, *size))
            }
            FileName::Segment(_) | FileName::Snapshot(_) | FileName::Superblock => None,
        });
        let Some((number, size)) = stray else { return self.begin_snapshot() };
        self.step = Step::Stray(number, size);
        self.read(FileName::Segment(number), 0, size);
    }

    fn read_stray(&mut self, number: u64, size: u64, bytes: &[u8]) {
        let Some(names) = &self.names else { return };
        let (own, salt, incarnation) = (names.generation, Salt(names.salt), names.incarnation);
        let generation = generation_of(number, bytes, salt, incarnation);
        let Some(generation) = generation.filter(|generation| *generation > own) else { return };
        if !self.is_behind {
            self.is_behind = true;
            self.left_out.push(has_lost_what_it_said(own, number, generation));
        }
        let named = Named { number, size, behind: FlushNumber::default() };
        let scanned = scan(named, bytes, salt, incarnation);
        self.take_runs(scanned, bytes, salt, incarnation);
    }

    fn begin_snapshot(&mut self) {
        let Some(named) = self.names.as_ref().and_then(|names| names.snapshot) else {
            self.step = Step::Read;
            return;
        };
        self.step = Step::Snapshot;
        let salt = self.names.as_ref().map_or(Salt(0), |names| Salt(names.salt));
        self.reader = Some(Reader::new(named, salt));
        if self.files.contains_key(&FileName::Snapshot(named.number)) {
            self.read_more();
        } else {
            self.snapshot_is_wrong(0, "it is not there, and the superblock names it");
        }
    }

    fn read_more(&mut self) {
        let number = self.names.as_ref().and_then(|names| names.snapshot).map_or(0, |named| named.number);
        match self.reader.as_ref().and_then(Reader::wants) {
            Some((at, len)) => self.read(FileName::Snapshot(number), at, len as u64),
            None => self.step = Step::Read,
        }
    }

    fn read_snapshot(&mut self, bytes: Bytes) {
        let Some(reader) = &mut self.reader else { return };
        match reader.take(bytes) {
            Ok(pieces) => {
                self.pieces.extend(pieces);
                self.read_more();
            }
            Err((at, what)) => self.snapshot_is_wrong(at, &what),
        }
    }

    /// The snapshot cannot be what was written: there is none.
    pub(crate) fn snapshot_is_wrong(&mut self, at: u64, what: &str) {
        if let Some(named) = self.names.as_mut().and_then(|names| names.snapshot.take()) {
            self.left_out.push(of(FileName::Snapshot(named.number), at, what));
            self.lost = named.last.index;
        }
        self.reader = None;
        self.pieces.clear();
        self.step = Step::Read;
    }

    /// What all of it comes to; `None` before everything is read.
    pub(crate) fn verified(&mut self) -> Option<Verified> {
        let names = self.names.as_ref().filter(|_| self.step == Step::Read)?;
        let base = names.snapshot.map_or(EntryId::default(), |snapshot| snapshot.last);
        let oldest = names.segments.first().copied();
        let mut fold = Fold::new(base, oldest);
        let runs = core::mem::take(&mut self.runs);
        self.flushes = match judge(core::mem::take(&mut self.scanned)) {
            Ok(chain) if !self.is_behind => chain.flushes,
            judged => {
                let Prefix { flushes, begins_behind, damages, lost } = prefix(runs, base, oldest);
                self.lost = self.lost.max(lost);
                let is_told = |damage: &Damage| {
                    damages.iter().any(|told| (told.file, told.at) == (damage.file, damage.at))
                };
                self.left_out.extend(judged.err().filter(|damage| !is_told(damage)));
                self.left_out.extend(damages);
                fold.begin_behind(begins_behind);
                flushes
            }
        };
        let wrong =
            self.flushes.iter().enumerate().find_map(|(at, flush)| Some((at, fold.take(flush).err()?)));
        if let Some((at, damage)) = wrong {
            self.lost = self.lost.max(highest(&self.flushes[at..]));
            self.left_out.push(damage);
        }
        let entries = fold.behind_base().unwrap_or_default();
        // Not what was given up in good order.
        let seen = fold.log_end.max(self.lost);
        Some(Verified {
            node: names.node.clone(),
            term: fold.term.max(base.term),
            base,
            entries,
            left_out: core::mem::take(&mut self.left_out),
            seen: seen.max(base.index),
        })
    }

    /// Says of an entry what is wrong with it.
    pub(crate) fn entry_is_wrong(&self, at: Index, what: &str) -> Damage {
        let holds = |record: &Written| matches!(record, Written::Entry { index, .. } if *index == at);
        let flush = self.flushes.iter().rfind(|flush| flush.records.iter().any(holds));
        let number = flush.map_or(FlushNumber::default(), |flush| flush.header.number);
        let place = flush.map_or(0, |flush| flush.header.at);
        of(FileName::Segment(number.segment()), place, format!("entry {at}: {what}"))
    }

    // What takes its place.

    /// Another snapshot is written from now on, of the state after this entry.
    pub(crate) fn begin(&mut self, last: EntryId, next: NextLife) {
        let Some(names) = &mut self.names else { return };
        let numbers = self.files.keys().map(|file| match file {
            FileName::Superblock => 0,
            FileName::Segment(number) | FileName::Snapshot(number) => *number,
        });
        let number = numbers.max().unwrap_or(0).saturating_add(1);
        *names = Names {
            generation: self.renamed,
            node: names.node.clone(),
            cluster_name: names.cluster_name.clone(),
            incarnation: next.incarnation,
            salt: next.salt,
            cluster: Some(next.cluster),
            segments: Vec::new(),
            snapshot: Some(NamedSnapshot { number, last, size: 0 }),
            mark: Mark::Void,
        };
        let head = snapshot::Head {
            node: names.node.clone(),
            incarnation: next.incarnation,
            cluster: names.cluster,
            last,
        };
        self.step = Step::Writing;
        self.ops.ask(DiskOp::Create { file: FileName::Snapshot(number), size: 0 }, ());
        self.write_chunk(postcard::to_allocvec(&head).unwrap_or_default().into(), false);
    }

    /// How many bytes of it are taken now.
    pub(crate) fn room(&self) -> usize {
        let has_room = self.step == Step::Writing && !self.written.1 && self.ops.is_idle();
        if has_room { snapshot::MAX_CHUNK } else { 0 }
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        self.write_chunk(piece, false);
    }

    /// There are no more pieces.
    pub(crate) fn end(&mut self) {
        self.write_chunk(Bytes::new(), true);
    }

    fn write_chunk(&mut self, body: Bytes, is_last: bool) {
        let Some(names) = &mut self.names else { return };
        let Some(named) = &mut names.snapshot else { return };
        let file = FileName::Snapshot(named.number);
        let at = self.written.0;
        self.written = (at + snapshot::chunk_len(body.len()), is_last);
        named.size = self.written.0;
        let parts = snapshot::chunk(Salt(names.salt), named.number, at, body, is_last);
        self.ops.ask(DiskOp::Write { file, at, parts }, ());
        if is_last {
            self.ops.ask(DiskOp::Sync { file }, ());
        }
    }

    /// Nobody names it yet, so it can be removed, and leaves the room that it has taken.
    fn no_room(&mut self) {
        self.step = Step::Full;
        if let Some(named) = self.names.as_ref().and_then(|names| names.snapshot) {
            self.ops.ask(DiskOp::Remove { file: FileName::Snapshot(named.number) }, ());
        }
    }

    fn name(&mut self, place: u64) {
        self.step = Step::Void(place);
        let names = self.names.iter();
        names.flat_map(|names| naming(names, place)).for_each(|op| self.ops.ask(op, ()));
    }
}

/// The highest entry in some flushes.
fn highest(flushes: &[Flush]) -> Index {
    let records = flushes.iter().flat_map(|flush| &flush.records);
    let entries = records.filter_map(|record| match record {
        Written::Entry { index, .. } => Some(*index),
        _ => None,
    });
    entries.max().unwrap_or(Index(0))
}

fn of(file: FileName, at: u64, what: impl Into<String>) -> Damage {
    Damage { file, at, what: what.into() }
}

/// Nothing can be verified.
fn nothing(what: &str) -> StorageFault {
    damage(FileName::Superblock, 0, what.to_string())
}
