//! What a directory may look like when the machine goes down while an operation is carried out.

use diskeyval_core::{DiskOp, FileName};

use super::directory::{Directory, Unit, join};
use crate::choice::Choices;

/// All subsets are taken of so many things that a crash takes or leaves, and a sample of more.
const ALL_OF: usize = 8;

/// How many subsets are drawn of more.
const SAMPLE: usize = 64;

/// How an image comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crash {
    /// What was being done.
    pub(super) op: &'static str,
    /// What became of it.
    pub(super) how: How,
    /// What became of everything that was not synced before, in words.
    pub(super) rest: String,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    Lost,
    Done,
    /// So many bytes of it are there.
    Torn(usize),
}

/// The name of the kind of an operation.
pub(super) fn kind(op: &DiskOp) -> &'static str {
    match op {
        DiskOp::List => "list",
        DiskOp::Create { file: FileName::Snapshot(_), .. } => "create a snapshot",
        DiskOp::Create { .. } => "create a segment",
        DiskOp::Write { file: FileName::Superblock, .. } => "write a slot",
        DiskOp::Write { file: FileName::Segment(_), .. } => "write a flush",
        DiskOp::Write { file: FileName::Snapshot(_), .. } => "write a chunk",
        DiskOp::Sync { .. } => "sync",
        DiskOp::Read { .. } => "read",
        DiskOp::Remove { .. } => "remove",
        DiskOp::SetAside { .. } => "set aside",
    }
}

/// Everything that may be left of a directory. `few`: only the extremes of what was not synced.
pub(super) fn crashes(
    before: &Directory,
    op: &DiskOp,
    seed: u64,
    few: bool,
    take: &mut dyn FnMut(Crash, Directory),
) {
    let crash = |how, rest: String| Crash { op: kind(op), how, rest };
    let mut left = |how, directory: &Directory, few: bool| {
        if !directory.units().is_empty() {
            // What is in the cache is read, although no disk may have it when the machine goes down later.
            take(crash(how, "only the process has died".into()), directory.clone());
        }
        powers(directory, seed, few, &mut |rest, after| take(crash(how, rest), after));
    };
    let mut after = before.clone();
    // Whether it can be carried out is not of interest: if not, it is as if it were lost.
    let done = after.perform(op).is_ok();
    match op {
        DiskOp::List | DiskOp::Read { .. } => return left(How::Lost, before, few),
        DiskOp::Write { file, at, parts } => {
            let bytes = join(parts);
            for len in [0, 1, 8, 512, bytes.len().saturating_sub(1)] {
                if len >= bytes.len() || !done {
                    continue;
                }
                let mut torn = before.clone();
                let first = vec![bytes.slice(..len)];
                let _ = torn.perform(&DiskOp::Write { file: *file, at: *at, parts: first });
                left(How::Torn(len), &torn, true);
            }
        }
        DiskOp::Create { file, size } if *size > 0 && done => {
            let mut torn = before.clone();
            torn.create(*file, size / 2);
            left(How::Torn(usize::try_from(size / 2).expect("small")), &torn, true);
            left(How::Lost, before, true);
        }
        DiskOp::Create { .. } | DiskOp::Remove { .. } | DiskOp::SetAside { .. } => {
            left(How::Lost, before, true);
        }
        // As if the write before it were done and nothing were sure.
        DiskOp::Sync { .. } => {}
    }
    if done {
        left(How::Done, &after, few || matches!(op, DiskOp::Sync { .. }));
    }
}

/// What was not synced is there, or not, or in part.
fn powers(directory: &Directory, seed: u64, few: bool, take: &mut dyn FnMut(String, Directory)) {
    let units = directory.units();
    for mask in masks(units.len(), seed, few) {
        let survive = units.iter().zip(&mask).filter(|(_, lives)| **lives).map(|(unit, _)| unit);
        take(tell(&units, &mask), directory.with_units(survive));
    }
}

fn tell(units: &[Unit], mask: &[bool]) -> String {
    if units.is_empty() {
        return "nothing else was on its way".into();
    }
    if mask.iter().all(|lives| *lives) {
        return format!("all {} sectors are there", units.len());
    }
    let lives: Vec<String> =
        units.iter().zip(mask).filter(|(_, lives)| **lives).map(|(unit, _)| name(unit)).collect();
    match lives.len() {
        0 => format!("none of {} sectors is there", units.len()),
        count => format!("{count} of {} sectors are there: {}", units.len(), lives.join(", ")),
    }
}

fn name(unit: &Unit) -> String {
    match unit {
        Unit::Part(file, at, bytes) => format!("{at}..{} of {file}", at + bytes.len() as u64),
        Unit::Size(file, size) => format!("the size {size} of {file}"),
        Unit::Entry(file) => format!("the name {file}"),
    }
}

/// Which of so many survive.
fn masks(units: usize, seed: u64, few: bool) -> Vec<Vec<bool>> {
    if units == 0 {
        return vec![Vec::new()];
    }
    if few {
        return vec![vec![false; units], vec![true; units]];
    }
    if units <= ALL_OF {
        return (0..1u32 << units)
            .map(|mask| (0..units).map(|unit| mask >> unit & 1 == 1).collect())
            .collect();
    }
    let mut chance = Choices::from_seed(seed);
    let mut masks = vec![vec![false; units], vec![true; units]];
    while masks.len() < SAMPLE {
        let some = chance.place(units + 1);
        let odds = chance.between(1, 7);
        masks.push(match chance.below(4) {
            // In the order in which they were written, and in the other.
            0 => (0..units).map(|unit| unit < some).collect(),
            1 => (0..units).map(|unit| unit >= some).collect(),
            2 => (0..units).map(|unit| unit != some).collect(),
            _ => (0..units).map(|_| chance.chance(odds, 8)).collect(),
        });
    }
    masks
}
