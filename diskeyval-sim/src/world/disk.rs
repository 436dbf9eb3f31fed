//! A disk that speaks bytes: it carries out one operation after the other, later than it was asked to, and a crash
//! takes what was not synced, or any part of it.
//!
//! Each file has its medium and what only the cache knows ([`file`]); what befalls a medium is in [`harm`].

mod file;
mod harm;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use diskeyval_core::{DiskDone, DiskError, DiskOp, FileName, OpId};

use crate::choice::Choices;
use crate::observe::Time;
use file::{File, Luck};
pub(super) use harm::Harm;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<FileName, File>,
    queue: VecDeque<Job>,
    /// Nothing completes before this.
    stalled_until: Time,
    /// Everything takes so much longer.
    slower: Duration,
    trouble: Trouble,
    /// Where the log was made durable last, and before that.
    flushes: VecDeque<Extent>,
    /// Something has befallen a medium.
    is_damaged: bool,
    /// A whole file of it is gone, or is another's.
    is_robbed: bool,
    /// All of it as it was once, to be put back.
    copy: Option<BTreeMap<FileName, File>>,
}

#[derive(Clone, Debug)]
struct Job {
    due: Time,
    op: OpId,
    what: DiskOp,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    file: FileName,
    from: u64,
    to: u64,
}

/// What goes wrong next.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// There is no room for new files.
    full: bool,
    sync_fails: bool,
    write_fails: bool,
    read: Option<BadRead>,
}

#[derive(Clone, Copy, Debug)]
enum BadRead {
    Fails,
    ComesShort,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completed {
    pub(crate) op: OpId,
    pub(crate) what: DiskOp,
    pub(crate) result: Result<DiskDone, DiskError>,
    /// The disk did not do what it was asked to, although it had the room.
    pub(crate) is_wrong: bool,
}

/// What a crash came to: how many sectors were not synced, and how many of them are there all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survived {
    pub(crate) pending: usize,
    pub(crate) kept: usize,
}

impl Disk {
    /// Something is to be done, behind all that was to be done before. Tells when it will be.
    pub(crate) fn ask(&mut self, now: Time, takes: Duration, op: OpId, what: DiskOp) -> Time {
        let behind = self.queue.back().map_or(now, |job| job.due.max(now));
        let due = (behind + takes + self.slower).max(self.stalled_until);
        self.queue.push_back(Job { due, op, what });
        due
    }

    /// Carries out what is due by now. Tells what it came to.
    pub(crate) fn complete(&mut self, now: Time, chance: &mut Choices<'_>) -> Vec<Completed> {
        let mut completed = Vec::new();
        while let Some(Job { op, what, .. }) = self.queue.pop_front_if(|job| job.due <= now) {
            let mut is_wrong = false;
            let result = self.carry_out(&what, &mut is_wrong, chance);
            completed.push(Completed { op, what, result, is_wrong });
        }
        completed
    }

    fn carry_out(
        &mut self,
        what: &DiskOp,
        is_wrong: &mut bool,
        chance: &mut Choices<'_>,
    ) -> Result<DiskDone, DiskError> {
        let mut fail = || {
            *is_wrong = true;
            DiskError::Failed("input/output error".into())
        };
        match what {
            DiskOp::List => {
                let mut listed: Vec<_> = self.files.iter().map(|(name, file)| (*name, file.size())).collect();
                let first = chance.place(listed.len().max(1));
                listed.rotate_left(first);
                return Ok(DiskDone::Listed(listed));
            }
            DiskOp::Create { file, .. } if self.files.contains_key(file) => {
                // Nobody asks for that. Whoever does is told, and has to explain why it halts.
                return Err(DiskError::Failed(format!("{file} is there already")));
            }
            DiskOp::Create { file, size } => {
                let fails = core::mem::take(&mut self.trouble.write_fails);
                if fails || self.trouble.full {
                    // As far as it came.
                    if chance.chance(1, 2) {
                        self.files.insert(*file, File::new(chance.below(size + 1)));
                    }
                    return Err(if fails { fail() } else { DiskError::Full });
                }
                self.files.insert(*file, File::new(*size));
            }
            DiskOp::Write { file, at, parts } => {
                let fails = core::mem::take(&mut self.trouble.write_fails);
                let file = self.files.get_mut(file).ok_or(DiskError::Missing)?;
                if fails {
                    let first = chance.place(parts.len());
                    file.write(*at, &parts[..first]);
                    return Err(fail());
                }
                let len: usize = parts.iter().map(Bytes::len).sum();
                if self.trouble.full && at + len as u64 > file.size() {
                    file.write(*at, &parts[..chance.place(parts.len() + 1)]);
                    return Err(DiskError::Full);
                }
                file.write(*at, parts);
            }
            DiskOp::Sync { file: name } => {
                let file = self.files.get_mut(name).ok_or(DiskError::Missing)?;
                if core::mem::take(&mut self.trouble.sync_fails) {
                    file.fail_sync(Luck::draw(chance, file.pending()), chance);
                    return Err(fail());
                }
                if let (FileName::Segment(_), Some((from, to))) = (name, file.sync()) {
                    self.flushes.truncate(1);
                    self.flushes.push_front(Extent { file: *name, from, to });
                }
            }
            DiskOp::Read { file, at, len } => {
                let file = self.files.get(file).ok_or(DiskError::Missing)?;
                let mut bytes = file.read(*at, *len);
                match self.trouble.read.take() {
                    Some(BadRead::Fails) => return Err(fail()),
                    Some(BadRead::ComesShort) if !bytes.is_empty() => {
                        *is_wrong = true;
                        bytes.truncate(chance.place(bytes.len()));
                    }
                    Some(BadRead::ComesShort) | None => {}
                }
                return Ok(DiskDone::Read(Bytes::from(bytes)));
            }
            DiskOp::Remove { file } | DiskOp::SetAside { file, .. } => {
                if core::mem::take(&mut self.trouble.write_fails) {
                    return Err(fail());
                }
                self.files.remove(file);
            }
        }
        Ok(DiskDone::Done)
    }

    /// The process dies, and with `power` the machine. What was to be done is not done, but for what was under way: that
    /// is done, or not, or in part.
    pub(crate) fn crash(&mut self, now: Time, power: bool, chance: &mut Choices<'_>) -> Survived {
        self.complete(now, chance);
        if let Some(job) = self.queue.pop_front() {
            self.interrupt(job.what, chance);
        }
        self.queue.clear();
        let pending = self.pending();
        if !power {
            // What was written is in the cache, where the next life finds it, although no disk has it.
            return Survived { pending, kept: pending };
        }
        let mut luck = Luck::draw(chance, pending);
        let kept = self.files.values_mut().map(|file| file.lose_power(&mut luck, chance)).sum();
        Survived { pending, kept }
    }

    fn interrupt(&mut self, what: DiskOp, chance: &mut Choices<'_>) {
        match what {
            DiskOp::List | DiskOp::Read { .. } => {}
            DiskOp::Create { file, size } => {
                if !self.trouble.full && !self.files.contains_key(&file) {
                    match chance.below(3) {
                        0 => {}
                        1 => drop(self.files.insert(file, File::new(0))),
                        _ => drop(self.files.insert(file, File::new(size))),
                    }
                }
            }
            DiskOp::Write { file, at, parts } => {
                let first = chance.place(parts.len() + 1);
                if let Some(file) = self.files.get_mut(&file) {
                    file.write(at, &parts[..first]);
                }
            }
            // What it would have made durable is pending, and has the luck of that.
            DiskOp::Sync { .. } => {}
            DiskOp::Remove { file } | DiskOp::SetAside { file, .. } => {
                if chance.chance(1, 2) {
                    self.files.remove(&file);
                }
            }
        }
    }

    /// How many sectors may survive a crash although they were not synced.
    fn pending(&self) -> usize {
        self.files.values().map(File::pending).sum()
    }

    /// It is lost; in its place is a new one.
    pub(crate) fn wipe(&mut self) {
        *self = Disk { stalled_until: self.stalled_until, slower: self.slower, ..Disk::default() };
    }

    /// Its node has set aside whatever was there: what has befallen that is over.
    pub(super) fn begins_anew(&mut self) {
        (self.is_damaged, self.is_robbed) = (false, false);
        self.flushes.clear();
    }

    // Moods.

    pub(super) fn stall(&mut self, until: Time) {
        self.stalled_until = until;
        for job in &mut self.queue {
            job.due = job.due.max(until);
        }
    }

    pub(super) fn set_slower(&mut self, slower: Duration) {
        self.slower = slower;
    }

    /// From now on there is no room for new files, or there is again.
    pub(super) fn set_full(&mut self, full: bool) {
        self.trouble.full = full;
    }

    pub(crate) fn fail_next_sync(&mut self) {
        self.trouble.sync_fails = true;
    }

    pub(crate) fn fail_next_write(&mut self) {
        self.trouble.write_fails = true;
    }

    /// The next read fails, or gives fewer bytes than there are.
    pub(crate) fn fail_next_read(&mut self, short: bool) {
        self.trouble.read = Some(if short { BadRead::ComesShort } else { BadRead::Fails });
    }

    /// It works as it should again. What waits completes now.
    pub(super) fn heal(&mut self, now: Time) {
        self.slower = Duration::ZERO;
        self.stalled_until = now;
        self.trouble = Trouble::default();
        for job in &mut self.queue {
            job.due = job.due.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: FileName = FileName::Segment(1);

    struct Bench {
        disk: Disk,
        chance: Choices<'static>,
        ops: u64,
    }

    impl Bench {
        fn new(seed: u64) -> Bench {
            Bench { disk: Disk::default(), chance: Choices::from_seed(seed), ops: 0 }
        }

        fn ask(&mut self, now: u64, takes: u64, what: DiskOp) -> Time {
            self.ops += 1;
            self.disk.ask(Time(now), Duration::from_nanos(takes), OpId(self.ops), what)
        }

        /// Asks for something and waits for it.
        fn call(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
            self.ask(0, 0, what);
            self.disk.complete(Time(u64::MAX), &mut self.chance).pop().expect("it is done").result
        }

        fn write(&mut self, at: u64, text: &'static str) {
            assert_eq!(self.call(write(at, text)), Ok(DiskDone::Done));
        }

        fn read(&mut self, len: usize) -> Vec<u8> {
            match self.call(DiskOp::Read { file: LOG, at: 0, len }) {
                Ok(DiskDone::Read(bytes)) => bytes.to_vec(),
                other => panic!("{other:?}"),
            }
        }

        fn crash(&mut self, power: bool) -> Survived {
            self.disk.crash(Time(0), power, &mut self.chance)
        }
    }

    fn create() -> DiskOp {
        DiskOp::Create { file: LOG, size: 8192 }
    }

    fn write(at: u64, text: &'static str) -> DiskOp {
        DiskOp::Write { file: LOG, at, parts: vec![Bytes::from_static(text.as_bytes())] }
    }

    const SYNC: DiskOp = DiskOp::Sync { file: LOG };

    #[test]
    fn operations_are_carried_out_one_behind_the_other() {
        let mut bench = Bench::new(0);
        assert_eq!(bench.ask(0, 50, create()), Time(50));
        assert_eq!(bench.ask(0, 5, write(0, "a")), Time(55));
        assert_eq!(bench.ask(0, 20, SYNC), Time(75));
        let done = |bench: &mut Bench, now| {
            let completed = bench.disk.complete(Time(now), &mut bench.chance);
            completed.iter().map(|completed| completed.op.0).collect::<Vec<_>>()
        };
        assert!(done(&mut bench, 49).is_empty());
        assert_eq!(done(&mut bench, 60), [1, 2]);
        bench.disk.stall(Time(500));
        assert!(done(&mut bench, 499).is_empty());
        bench.disk.heal(Time(300));
        assert_eq!(done(&mut bench, 300), [3]);
        assert_eq!(bench.ask(400, 7, DiskOp::List), Time(407), "time goes on while nothing is asked");
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_may() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut bench = Bench::new(seed);
            bench.call(create()).expect("there is room");
            bench.write(0, "a");
            bench.call(SYNC).expect("it syncs");
            bench.write(1, "b");
            bench.write(4096, "c");
            assert_eq!(bench.crash(true).pending, 2);
            let found = bench.read(8192);
            assert_eq!(found[0], b'a');
            outcomes.insert((found[1], found[4096]));
        }
        let all = [(0, 0), (0, b'c'), (b'b', 0), (b'b', b'c')];
        assert_eq!(outcomes, all.into());
    }

    #[test]
    fn what_a_dead_process_has_written_is_read_and_may_be_lost_later() {
        let mut lost = 0;
        for seed in 0..50 {
            let mut bench = Bench::new(seed);
            bench.call(create()).expect("there is room");
            bench.write(0, "a");
            assert_eq!(bench.crash(false), Survived { pending: 1, kept: 1 });
            assert_eq!(bench.read(1), b"a");
            bench.crash(true);
            lost += usize::from(bench.read(1) == [0]);
        }
        assert!((10..40).contains(&lost), "{lost}");
    }

    #[test]
    fn what_is_under_way_at_a_crash_is_done_or_not() {
        let mut sizes = std::collections::BTreeSet::new();
        let mut removed = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut bench = Bench::new(seed);
            bench.ask(0, 10, create());
            bench.ask(0, 10, DiskOp::Create { file: FileName::Superblock, size: 8192 });
            bench.crash(true);
            assert!(!bench.disk.files.contains_key(&FileName::Superblock), "it was not begun");
            sizes.insert(bench.disk.files.get(&LOG).map(File::size));
            let mut bench = Bench::new(seed);
            bench.call(create()).expect("there is room");
            bench.ask(0, 10, DiskOp::Remove { file: LOG });
            bench.crash(true);
            removed.insert(bench.disk.files.is_empty());
        }
        assert_eq!(sizes, [None, Some(0), Some(8192)].into());
        assert_eq!(removed, [false, true].into());
    }

    #[test]
    fn what_goes_wrong_is_told_once_and_only_what_is_no_want_of_room_is_wrong() {
        let mut bench = Bench::new(1);
        bench.disk.set_full(true);
        assert_eq!(bench.call(create()), Err(DiskError::Full));
        bench.disk.set_full(false);
        bench.call(DiskOp::Remove { file: LOG }).expect("there or not");
        bench.call(create()).expect("there is room again");
        bench.write(0, "abc");
        bench.disk.fail_next_sync();
        assert!(matches!(bench.call(SYNC), Err(DiskError::Failed(_))));
        assert_eq!(bench.read(3), b"abc");
        assert_eq!(bench.call(SYNC), Ok(DiskDone::Done));
        bench.disk.fail_next_read(true);
        assert!(bench.read(3).len() < 3);
        bench.disk.fail_next_read(false);
        assert!(bench.call(DiskOp::Read { file: LOG, at: 0, len: 3 }).is_err());
        bench.disk.fail_next_write();
        assert!(bench.call(write(0, "x")).is_err());
        assert_eq!(bench.read(3), b"abc");
        assert_eq!(bench.call(DiskOp::Sync { file: FileName::Snapshot(1) }), Err(DiskError::Missing));
        assert_eq!(bench.call(DiskOp::Remove { file: FileName::Snapshot(1) }), Ok(DiskDone::Done));
        assert!(bench.call(create()).is_err(), "it is there");
    }

    #[test]
    fn a_failed_sync_followed_by_a_crash_has_lost_what_was_written() {
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut bench = Bench::new(seed);
            bench.call(create()).expect("there is room");
            bench.write(0, "a");
            bench.disk.fail_next_sync();
            bench.call(SYNC).expect_err("it fails");
            bench.call(SYNC).expect("a second one says that all is well");
            bench.crash(true);
            found.insert(bench.read(1)[0]);
        }
        assert_eq!(found, [0, b'a'].into());
    }
}
