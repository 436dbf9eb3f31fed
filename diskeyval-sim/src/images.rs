//! Every crash: what the directory of a node may look like whenever the machine goes down, and what the node makes
//! of it when it starts again.
//!
//! One run is recorded ([`record`]), operation by operation. At each operation everything is enumerated that a crash may
//! leave, each a directory: an *image*. A fresh node is opened on it, and must find what was durable, or what was on its
//! way to being so; it must not be damaged, nor halt, and must find the same once more when it is opened again. For a
//! sample of images its own opening is cut short in the same way, at every operation.

mod bed;
mod crash;
mod directory;
mod ledger;
mod open;
mod record;
pub mod rot;
mod trio;

use core::ops::ControlFlow;
use std::collections::{BTreeMap, BTreeSet};

use diskeyval_core::{DiskOp, FileName, Incarnation, Settings};
use xxhash_rust::xxh3::xxh3_128;

use crash::{Crash, How, crashes};
pub use directory::Directory;
use ledger::Image;
use open::{Outcome, open};
use record::{Move, ROT, Step};
pub use record::{Recording, record};

use crate::run::caught::catch;
use crate::world::disks::describe;

/// One of so many images has its opening cut short at every operation.
const CUT_SHORT: u64 = 100;

/// The same, of those where only the process has died: what it has found may still be lost.
const CUT_SHORT_IN_CACHE: u64 = 20;

/// So many operations are told before one that failed.
const STORY: usize = 30;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// One of so many images is judged.
    pub every: u64,
    /// Of those, this part, and into how many parts they are divided.
    pub part: (u64, u64),
    /// This image alone.
    pub only: Option<u64>,
    /// How many failures are told.
    pub enough: usize,
}

/// What enumeration has come to. It is the same however it was divided into parts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many images there are, all of them different.
    pub images: u64,
    /// How many of them were judged.
    pub judged: u64,
    /// How many more came from crashes of an opening.
    pub cut_short: u64,
    /// How many there are of each kind: what was being done, and what became of it.
    pub kinds: BTreeMap<(&'static str, &'static str), u64>,
    /// How many were what was durable, and how many something behind it.
    pub found: [u64; 2],
    /// In how many a file that had rotted was named.
    pub rotten: u64,
    /// Those that failed, in order.
    pub failed: Vec<Failed>,
    /// Everything in one number.
    pub digest: u128,
}

/// An image from which a node did not go on as it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its number.
    pub image: u64,
    /// How it came about.
    pub how: String,
    /// What happened.
    pub what: String,
    /// The operations before, and what the files say in words, if this image alone was wanted.
    pub story: Vec<String>,
}

impl Tally {
    /// Adds what another part has come to.
    pub fn add(&mut self, other: Tally) {
        self.images = self.images.max(other.images);
        self.judged += other.judged;
        self.cut_short += other.cut_short;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (place, count) in other.found.into_iter().enumerate() {
            self.found[place] += count;
        }
        self.rotten += other.rotten;
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|failed| failed.image);
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

/// Enumerates all images of a recording, and judges those that are wanted.
pub fn enumerate(recording: &Recording, wanted: Wanted) -> Tally {
    let judge = Judge { recording, wanted, settings: trio::settings(0) };
    let mut tally = Tally::default();
    let mut seen = BTreeSet::new();
    let _ = each_image(recording, &mut |place, step, crash, image| {
        // The same bytes are another image where something else may be found.
        let mut key = [0; 48];
        key[..16].copy_from_slice(&image.sum().to_le_bytes());
        for (at, number) in [step.durable, step.recorded, usize::from(step.is_told)].into_iter().enumerate() {
            key[16 + at * 8..][..8].copy_from_slice(&(number as u64).to_le_bytes());
        }
        if !seen.insert(xxh3_128(&key)) {
            return ControlFlow::Continue(());
        }
        let number = tally.images;
        tally.images += 1;
        let is_wanted = match wanted.only {
            Some(only) => number == only,
            None => number % wanted.every == 0 && number / wanted.every % wanted.part.1 == wanted.part.0,
        };
        if is_wanted {
            judge.judge(number, place, step, crash, image, &mut tally);
        }
        let is_over = tally.failed.len() >= wanted.enough || wanted.only == Some(number);
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    tally
}

/// Calls something for everything that a crash may leave at any operation. The same may come several times.
fn each_image(
    recording: &Recording,
    take: &mut dyn FnMut(usize, &Step, &Crash, &Directory) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut directory = Directory::default();
    for (place, moved) in recording.moves.iter().enumerate() {
        match moved {
            Move::Rot(file, at) => _ = directory.flip(*file, *at, ROT),
            Move::PowerCut => directory.lose_power(),
            Move::Op(step) => {
                let mut flow = ControlFlow::Continue(());
                crashes(&directory, &step.op, place as u64, false, &mut |crash, image| {
                    if flow.is_continue() {
                        flow = take(place, step, &crash, &image);
                    }
                });
                flow?;
                // It may fail, for a mutant.
                let _ = directory.perform(&step.op);
            }
        }
    }
    ControlFlow::Continue(())
}

struct Judge<'r> {
    recording: &'r Recording,
    wanted: Wanted,
    settings: Settings,
}

/// What may be found in a directory.
#[derive(Clone, Copy)]
struct Legal<'r> {
    images: &'r [Image],
    /// The incarnation, if anybody knows it.
    incarnation: Option<Incarnation>,
    rotten: Option<FileName>,
}

impl<'r> Judge<'r> {
    fn judge(
        &self,
        number: u64,
        place: usize,
        step: &'r Step,
        crash: &Crash,
        image: &Directory,
        tally: &mut Tally,
    ) {
        tally.judged += 1;
        let how = match crash.how {
            How::Lost => "lost",
            How::Done => "done",
            How::Torn(_) => "torn",
        };
        *tally.kinds.entry((crash.op, how)).or_default() += 1;
        let legal = Legal {
            images: &self.recording.images[step.durable..=step.recorded],
            incarnation: self.recording.incarnation.filter(|_| step.is_told),
            rotten: step.rotten,
        };
        let mut cut_short = Vec::new();
        // What was opened when it failed.
        let mut worst = image.clone();
        let result = catch(|| {
            let one_of = if image.is_synced() { CUT_SHORT } else { CUT_SHORT_IN_CACHE };
            let wants_more = self.wanted.only.is_some() || number.is_multiple_of(self.wanted.every * one_of);
            self.go_on(legal, image, number, &mut |before, op, is_open| {
                if wants_more {
                    cut_short.push((before.clone(), op.clone(), is_open));
                }
            })
        });
        let result = result.unwrap_or_else(|panic| Err(format!("it panics: {panic}")));
        let result = result.and_then(|end| {
            for (before, op, is_open) in &cut_short {
                let legal = if *is_open { self.narrowed(legal, &end) } else { legal };
                self.judge_opening(legal, before, op, number, tally).map_err(|(what, image)| {
                    worst = image;
                    what
                })?;
            }
            Ok(end)
        });
        let mut bytes = number.to_le_bytes().to_vec();
        bytes.extend_from_slice(&image.sum().to_le_bytes());
        bytes.extend_from_slice(
            format!("{:?}", result.as_ref().map(|end| (end.place, end.is_rotten))).as_bytes(),
        );
        tally.digest = tally.digest.wrapping_add(xxh3_128(&bytes));
        match result {
            Ok(End { is_rotten: true, .. }) => tally.rotten += 1,
            Ok(end) => tally.found[usize::from(end.place > 0)] += 1,
            Err(what) => {
                let how = format!(
                    "operation {place} ({}) was {}; {}",
                    describe(&step.op),
                    match crash.how {
                        How::Torn(bytes) => format!("torn behind {bytes} bytes"),
                        How::Lost | How::Done => how.into(),
                    },
                    crash.rest
                );
                let story = if self.wanted.only.is_some() { self.story(place, &worst) } else { Vec::new() };
                tally.failed.push(Failed { image: number, how, what, story });
            }
        }
    }

    /// Opens a node on an image, and once more on what that leaves.
    fn go_on(
        &self,
        legal: Legal<'_>,
        image: &Directory,
        seed: u64,
        watch: &mut dyn FnMut(&Directory, &DiskOp, bool),
    ) -> Result<End, String> {
        let mut directory = image.clone();
        let found = match open(&self.settings, seed, &mut directory, |before, op, found| {
            watch(before, op, found.is_some());
        }) {
            Outcome::Open(found) => found,
            Outcome::Damaged(damage) if legal.rotten == Some(damage.file) => {
                return Ok(End { place: 0, is_rotten: true, incarnation: None });
            }
            Outcome::Damaged(damage) => return Err(format!("S15: {damage}")),
            Outcome::Halted(fault) => return Err(format!("S15: it halts: {fault}")),
            Outcome::Stuck => return Err("S15: it never opens".into()),
        };
        if legal.incarnation.is_some_and(|incarnation| incarnation != found.incarnation) {
            return Err(format!("S15: it is {} now, and its incarnation was told before", found.incarnation));
        }
        let place = found.judge(legal.images, &self.recording.agreed)?;
        match open(&self.settings, !seed, &mut directory, |_, _, _| {}) {
            Outcome::Open(again) if again == found => {
                Ok(End { place, is_rotten: false, incarnation: Some(found.incarnation) })
            }
            Outcome::Open(again) => {
                Err(format!("S15: at first it finds {}, and the second time {}", found.tell(), again.tell()))
            }
            other => Err(format!("S15: the second time it comes to {other:?}")),
        }
    }

    /// A crash of an opening: before the node is open, whatever was legal still is, and then only what it has found.
    fn judge_opening(
        &self,
        legal: Legal<'_>,
        before: &Directory,
        op: &DiskOp,
        seed: u64,
        tally: &mut Tally,
    ) -> Result<(), (String, Directory)> {
        let mut result = Ok(());
        crashes(before, op, seed, false, &mut |crash, image| {
            if result.is_err() {
                return;
            }
            tally.cut_short += 1;
            let again = catch(|| self.go_on(legal, &image, seed + 1, &mut |_, _, _| {}))
                .unwrap_or_else(|panic| Err(format!("it panics: {panic}")));
            result = again.map(drop).map_err(|what| {
                let (op, how, rest) = (describe(op), crash.how, crash.rest);
                (format!("{what}; its opening before was cut short at {op} ({how:?}; {rest})"), image)
            });
        });
        result
    }

    /// How an image came about: the last operations before it, and what its files say.
    fn story(&self, place: usize, image: &Directory) -> Vec<String> {
        let before = self.recording.moves[..=place].iter().enumerate().skip(place.saturating_sub(STORY));
        let told = |(place, moved): (usize, &Move)| match moved {
            Move::Op(step) => format!("operation {place}: {}", describe(&step.op)),
            Move::Rot(file, at) => format!("move {place}: byte {at} of {file} rots"),
            Move::PowerCut => format!("move {place}: a power cut"),
        };
        let mut story: Vec<String> = before.map(told).collect();
        let files: Vec<_> = image.contents().into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        let described = diskeyval_core::storage::describe(&files);
        story.extend(described.lines.into_iter().map(|(file, line)| format!("{file}: {line}")));
        story
    }

    fn narrowed<'l>(&self, legal: Legal<'l>, end: &End) -> Legal<'l> {
        Legal {
            images: &legal.images[end.place..=end.place],
            incarnation: end.incarnation.or(legal.incarnation),
            rotten: legal.rotten,
        }
    }
}

/// How an opening ended well.
#[derive(Debug)]
struct End {
    /// Which of the legal images was found.
    place: usize,
    /// A file that had rotted was named.
    is_rotten: bool,
    incarnation: Option<Incarnation>,
}

/// Whether a directory forgets, when the power is cut, that it was told to make a file. Those who look after disks have
/// to see to that, so this mutant is none of the core.
fn entries_are_lost() -> bool {
    #[cfg(feature = "mutants")]
    return diskeyval_core::mutants::acts(diskeyval_core::mutants::Mutant::EntryNotDurable);
    #[cfg(not(feature = "mutants"))]
    false
}

#[cfg(test)]
mod tests;
