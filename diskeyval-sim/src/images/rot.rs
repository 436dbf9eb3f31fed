//! Rot: every byte of a node's files is another in turn, sectors are gone or in the wrong place, files are cut, lost, or
//! another node's. A node must find everything that it has promised, or say which file is damaged. It never takes a
//! shorter log for all of it, nor an older vote.

use core::ops::ControlFlow;
use std::collections::BTreeMap;

use diskeyval_core::{Event, Fault, FileName, Settings, StorageFault};
use xxhash_rust::xxh3::xxh3_128;

use super::bed::Nobody;
pub use super::bed::{Bed, beds};
use super::directory::{Directory, SECTOR};
use super::open::{Outcome, open};
use super::trio::{self, NODES, Trio};
use crate::run::caught::catch;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// All eight bits of each byte, not one.
    pub all_bits: bool,
    /// One of so many cases is tried in a whole cluster, too; 0 for none.
    pub cluster: u64,
    /// One of so many bytes rots while the node runs, and one of so many on all nodes; 0 for none.
    pub running: u64,
    /// One of so many cases is judged.
    pub every: u64,
    /// Of those, this part, and into how many parts they are divided.
    pub part: (u64, u64),
    /// This case alone.
    pub only: Option<u64>,
    /// How many failures are told.
    pub enough: usize,
}

/// What has happened to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Flip {
        file: FileName,
        at: usize,
        bits: u8,
    },
    /// A sector holds zeros.
    Zero {
        file: FileName,
        at: usize,
    },
    /// Two sectors have changed places.
    Swap {
        file: FileName,
        one: usize,
        other: usize,
    },
    /// A file ends there.
    Cut {
        file: FileName,
        len: usize,
    },
    Lose {
        file: FileName,
    },
    /// It is that of another node.
    Foreign {
        file: FileName,
        of: usize,
    },
    /// The same byte of all nodes.
    Everywhere {
        file: FileName,
        at: usize,
        bits: u8,
    },
    /// While the node runs.
    Running {
        file: FileName,
        at: usize,
        bits: u8,
    },
}

/// What all of it has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many cases there are.
    pub cases: u64,
    /// How many were judged.
    pub judged: u64,
    /// How many of them in a whole cluster.
    pub clusters: u64,
    /// How many ended in which way: what was done, and what came of it.
    pub kinds: BTreeMap<(&'static str, &'static str), u64>,
    /// Those that failed, in order.
    pub failed: Vec<Failed>,
    /// Everything in one number.
    pub digest: u128,
}

/// A case that ended as none may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its number.
    pub case: u64,
    /// What was done.
    pub how: String,
    /// What came of it.
    pub what: String,
}

impl Tally {
    /// Adds what another part has come to.
    pub fn add(&mut self, other: Tally) {
        self.cases = self.cases.max(other.cases);
        self.judged += other.judged;
        self.clusters += other.clusters;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|failed| failed.case);
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

/// Tries all cases that are wanted.
pub fn rot(beds: &[Bed], wanted: &Wanted) -> Tally {
    let mut tally = Tally::default();
    let settings = trio::settings(0);
    for bed in beds {
        let whole = bed.directory(0);
        let flow = each_harm(bed, wanted, &mut |harm| {
            let case = tally.cases;
            tally.cases += 1;
            let is_wanted = match wanted.only {
                Some(only) => case == only,
                None => case % wanted.every == 0 && case / wanted.every % wanted.part.1 == wanted.part.0,
            };
            if is_wanted {
                judge(bed, &settings, &whole, wanted, case, harm, &mut tally);
            }
            let is_over = tally.failed.len() >= wanted.enough || wanted.only == Some(case);
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if flow.is_break() {
            break;
        }
    }
    tally
}

fn judge(
    bed: &Bed,
    settings: &Settings,
    whole: &Directory,
    wanted: &Wanted,
    case: u64,
    harm: Harm,
    tally: &mut Tally,
) {
    tally.judged += 1;
    let mut clusters = 0;
    let result = catch(|| {
        match harm {
            Harm::Everywhere { .. } | Harm::Running { .. } => {
                clusters += 1;
                return in_cluster(bed, harm);
            }
            _ => {}
        }
        let end = alone(bed, settings, harm.done_to(bed, whole), harm, case)?;
        if wanted.only.is_some() || (wanted.cluster > 0 && case.is_multiple_of(wanted.every * wanted.cluster))
        {
            clusters += 1;
            in_cluster(bed, harm)?;
        }
        Ok(end)
    });
    tally.clusters += clusters;
    let result = result.unwrap_or_else(|panic| Err(format!("it panics: {panic}")));
    let mut bytes = case.to_le_bytes().to_vec();
    bytes.extend_from_slice(result.as_ref().map_or("failed", |end| *end).as_bytes());
    tally.digest = tally.digest.wrapping_add(xxh3_128(&bytes));
    match result {
        Ok(end) => *tally.kinds.entry((harm.kind(), end)).or_default() += 1,
        Err(what) => tally.failed.push(Failed { case, how: format!("{}: {harm}", bed.name), what }),
    }
}

const ALL_THERE: &str = "everything is there";
const DAMAGED: &str = "said to be damaged";
const TAKEN_IN: &str = "said to be damaged, and taken in again";
const TYPED: &str = "refused by name";

/// A node starts on its files, alone.
fn alone(
    bed: &Bed,
    settings: &Settings,
    mut directory: Directory,
    harm: Harm,
    seed: u64,
) -> Result<&'static str, String> {
    let found = match open(settings, seed, &mut directory, |_, _, _| {}) {
        Outcome::Open(found) => found,
        Outcome::Damaged(damage) if harm.is_to(damage.file) => return Ok(DAMAGED),
        Outcome::Damaged(damage) => return Err(format!("D2: another file is named: {damage}")),
        // A superblock of another node is not damaged: it says whose it is.
        Outcome::Halted(Fault::Storage(StorageFault::OtherNode { .. })) if harm.is_foreign() => {
            return Ok(TYPED);
        }
        Outcome::Halted(fault) => return Err(format!("D2: it halts: {fault}")),
        Outcome::Stuck => return Err("D2: it never opens".into()),
    };
    if bed.incarnation != Some(found.incarnation) {
        return Err(format!("D2: it is another now: {}", found.incarnation));
    }
    found.judge(core::slice::from_ref(&bed.promised), &bed.agreed).map_err(|what| format!("D2, {what}"))?;
    match open(settings, seed + 1, &mut directory, |_, _, _| {}) {
        Outcome::Open(again) if again == found => Ok(ALL_THERE),
        other => Err(format!("D2: the second time it comes to {other:?}")),
    }
}

/// A whole cluster starts. The first node may be damaged. Then the others have everything, and take it in again.
fn in_cluster(bed: &Bed, harm: Harm) -> Result<&'static str, String> {
    let mut trio = Trio::new(Nobody, 1_000);
    for node in 0..NODES {
        let whole = bed.directory(node);
        let is_hit =
            matches!(harm, Harm::Everywhere { .. }) || (node == 0 && !matches!(harm, Harm::Running { .. }));
        trio.nodes[node].directory = if is_hit { harm.done_to(bed, &whole) } else { whole };
        trio.start(node);
    }
    trio.run(60);
    if let Harm::Running { file, at, bits } = harm {
        return while_it_runs(&mut trio, bed, file, at, bits);
    }
    trio.run(400);
    if (0..NODES).filter(|node| trio.nodes[*node].was_damaged()).count() == 1 {
        // The others are a majority, and everything is with them: it begins anew, without anybody's help.
        for _ in 0..10_000 {
            if trio.nodes.iter().all(|node| !node.is_out()) {
                break;
            }
            trio.step();
        }
    }
    let is_out: Vec<bool> = trio.nodes.iter().map(|node| node.is_out()).collect();
    for node in 0..NODES {
        let told = trio.nodes[node].events.iter().find_map(|event| match event {
            Event::Damaged(damage) if !harm.is_to(damage.file) => Some(damage.to_string()),
            _ => None,
        });
        if let Some(told) = told {
            return Err(format!("D2: n{} names another file: {told}", node + 1));
        }
    }
    if is_out.iter().filter(|is_out| **is_out).count() > 1 {
        // Nobody serves: that is right. Too much is gone to know what was promised.
        return if matches!(harm, Harm::Everywhere { .. }) {
            Ok(DAMAGED)
        } else {
            Err("D2: others are damaged".into())
        };
    }
    check_keys(&mut trio, bed)?;
    if is_out.contains(&true) {
        let is_halted = trio.nodes.iter().any(|node| node.halted.is_some());
        return if is_halted { Ok(TYPED) } else { Err("D2: a damaged node is not taken in again".into()) };
    }
    Ok(if trio.nodes.iter().any(|node| node.has_begun_anew()) { TAKEN_IN } else { ALL_THERE })
}

/// Everything that was ever acknowledged is there, on all that take part, and they go on.
fn check_keys(trio: &mut Trio<Nobody>, bed: &Bed) -> Result<(), String> {
    let up = |trio: &Trio<Nobody>, node: usize| !trio.nodes[node].is_out();
    let serves = |trio: &Trio<Nobody>| {
        let all = (0..NODES).filter(|node| up(trio, *node));
        (0..NODES).any(|node| trio.leads(node)) && all.clone().all(|node| trio.is_member(node))
    };
    for _ in 0..10_000 {
        if serves(trio) {
            break;
        }
        trio.step();
    }
    if !serves(trio) {
        return Err("D2: those that are whole do not go on".into());
    }
    trio.write(1, 7, 10);
    trio.run(300);
    let key = b"key-07";
    for node in (0..NODES).filter(|node| up(trio, *node)).collect::<Vec<_>>() {
        let keys = trio.keys(node);
        let others = |keys: &[(bytes::Bytes, bytes::Bytes)]| {
            keys.iter().filter(|(name, _)| name != &key[..]).cloned().collect::<Vec<_>>()
        };
        if others(&keys) != others(&bed.keys) || keys.len() != bed.keys.len() {
            return Err(format!("E4: n{} has not all that was acknowledged", node + 1));
        }
    }
    Ok(())
}

/// A byte rots while the node runs: it finds out, and writes anew what is there.
fn while_it_runs(
    trio: &mut Trio<Nobody>,
    bed: &Bed,
    file: FileName,
    at: usize,
    bits: u8,
) -> Result<&'static str, String> {
    check_keys(trio, bed)?;
    if !trio.nodes[0].directory.flip(file, at, bits) {
        return Ok("the file is not there any more");
    }
    trio.run(40_000);
    let told = trio.nodes[0].events.iter().filter(|event| matches!(event, Event::Rotten(_))).count();
    if told != trio.nodes[0].directory.set_aside() {
        return Err(format!("D2: {told} times rot was told, and another number of files was set aside"));
    }
    if let Some(fault) = &trio.nodes[0].halted {
        return Err(format!("D2: it halts: {fault}"));
    }
    // What is there now is whole: the next life finds everything.
    trio.kill(0);
    trio.start(0);
    trio.run(60);
    if trio.nodes[0].is_out() {
        return Err("D2: the next life is damaged".into());
    }
    check_keys(trio, bed)?;
    Ok(if told > 0 { "healed, and set aside" } else { "written over, or never read" })
}

/// Calls something for every harm.
fn each_harm(bed: &Bed, wanted: &Wanted, take: &mut dyn FnMut(Harm) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut nth = 0u64;
    for (file, bytes) in &bed.files[0] {
        let file = *file;
        for (block, content) in bytes.chunks(4096).enumerate() {
            // What was never written to is all the same: one byte of each sector stands for it.
            let step = if content.iter().all(|byte| *byte == 0) { SECTOR } else { 1 };
            for at in (0..content.len()).step_by(step).map(|at| block * 4096 + at) {
                for bit in 0..if wanted.all_bits { 8 } else { 1 } {
                    take(Harm::Flip { file, at, bits: 1 << ((at + bit) % 8) })?;
                }
                nth += 1;
                let bits = 1 << (nth % 8);
                if wanted.running > 0 && nth.is_multiple_of(wanted.running) {
                    take(Harm::Running { file, at, bits })?;
                }
                if wanted.running > 0 && nth % wanted.running == 1 {
                    take(Harm::Everywhere { file, at, bits })?;
                }
            }
        }
        let used: Vec<usize> = (0..bytes.len())
            .step_by(SECTOR)
            .filter(|at| bytes[*at..].iter().take(SECTOR).any(|byte| *byte != 0))
            .collect();
        for (place, at) in used.iter().enumerate() {
            take(Harm::Zero { file, at: *at })?;
            for far in [1, 3, 8, 17] {
                let other = used[(place + far) % used.len()];
                take(Harm::Swap { file, one: *at, other })?;
            }
        }
        for boundary in (0..=bytes.len()).step_by(4096).chain([bytes.len()]) {
            for len in [boundary.saturating_sub(1), boundary, boundary + 1] {
                if len < bytes.len() {
                    take(Harm::Cut { file, len })?;
                }
            }
        }
        take(Harm::Lose { file })?;
        for of in 1..NODES {
            if bed.content(of, file).is_some() {
                take(Harm::Foreign { file, of })?;
            }
        }
    }
    ControlFlow::Continue(())
}

impl Harm {
    fn file(self) -> FileName {
        match self {
            Harm::Flip { file, .. }
            | Harm::Zero { file, .. }
            | Harm::Swap { file, .. }
            | Harm::Cut { file, .. }
            | Harm::Lose { file }
            | Harm::Foreign { file, .. }
            | Harm::Everywhere { file, .. }
            | Harm::Running { file, .. } => file,
        }
    }

    fn is_to(self, file: FileName) -> bool {
        self.file() == file
    }

    fn is_foreign(self) -> bool {
        matches!(self, Harm::Foreign { file: FileName::Superblock, .. })
    }

    fn kind(self) -> &'static str {
        match self {
            Harm::Flip { .. } => "a byte is another",
            Harm::Zero { .. } => "a sector of zeros",
            Harm::Swap { .. } => "two sectors swapped",
            Harm::Cut { .. } => "a file that ends too early",
            Harm::Lose { .. } => "a file is lost",
            Harm::Foreign { .. } => "a file of another node",
            Harm::Everywhere { .. } => "the same byte on all nodes",
            Harm::Running { .. } => "a byte while the node runs",
        }
    }

    fn done_to(self, bed: &Bed, whole: &Directory) -> Directory {
        let mut directory = whole.clone();
        match self {
            Harm::Flip { file, at, bits }
            | Harm::Everywhere { file, at, bits }
            | Harm::Running { file, at, bits } => {
                directory.flip(file, at, bits);
            }
            Harm::Lose { file } => directory.replace(file, None),
            Harm::Foreign { file, of } => directory.replace(file, bed.content(of, file).map(<[u8]>::to_vec)),
            Harm::Zero { .. } | Harm::Swap { .. } | Harm::Cut { .. } => {
                let file = self.file();
                let mut bytes = directory.content(file).unwrap_or_default().to_vec();
                self.change(&mut bytes);
                directory.replace(file, Some(bytes));
            }
        }
        directory
    }

    fn change(self, bytes: &mut Vec<u8>) {
        let sector = |bytes: &[u8], at: usize| at..(at + SECTOR).min(bytes.len());
        match self {
            Harm::Zero { at, .. } => {
                let sector = sector(bytes, at);
                bytes[sector].fill(0);
            }
            Harm::Swap { one, other, .. } => {
                let (one, other) = (sector(bytes, one), sector(bytes, other));
                let (first, second) = (bytes[one.clone()].to_vec(), bytes[other.clone()].to_vec());
                let put = |bytes: &mut [u8], at: core::ops::Range<usize>, with: &[u8]| {
                    let len = at.len().min(with.len());
                    bytes[at.start..at.start + len].copy_from_slice(&with[..len]);
                };
                put(bytes, one, &second);
                put(bytes, other, &first);
            }
            Harm::Cut { len, .. } => bytes.truncate(len),
            _ => {}
        }
    }
}

impl core::fmt::Display for Harm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let file = self.file();
        match *self {
            Harm::Flip { at, bits, .. } => write!(f, "byte {at} of {file} is another ({bits:02x})"),
            Harm::Zero { at, .. } => write!(f, "the sector at {at} of {file} holds zeros"),
            Harm::Swap { one, other, .. } => {
                write!(f, "the sectors at {one} and {other} of {file} are swapped")
            }
            Harm::Cut { len, .. } => write!(f, "{file} ends at {len}"),
            Harm::Lose { .. } => write!(f, "{file} is lost"),
            Harm::Foreign { of, .. } => write!(f, "{file} is that of n{}", of + 1),
            Harm::Everywhere { at, bits, .. } => {
                write!(f, "byte {at} of {file} is another on all nodes ({bits:02x})")
            }
            Harm::Running { at, bits, .. } => {
                write!(f, "byte {at} of {file} is another while n1 runs ({bits:02x})")
            }
        }
    }
}
