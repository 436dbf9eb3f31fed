//! A node's directory in memory: what its medium holds, and what was written since and is not synced. Copies share
//! what is the same, so that there can be very many.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use diskeyval_core::{DiskDone, DiskError, DiskOp, FileName};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

/// What a disk writes at once, or not at all.
pub(super) const SECTOR: usize = 512;

/// Bytes that do not change.
#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    sum: OnceLock<u128>,
}

impl Content {
    fn new(bytes: Vec<u8>) -> Arc<Content> {
        Arc::new(Content { bytes, sum: OnceLock::new() })
    }

    fn sum(&self) -> u128 {
        *self.sum.get_or_init(|| xxh3_128(&self.bytes))
    }
}

#[derive(Clone, Debug)]
struct File {
    /// What a machine finds that starts anew, at the least.
    medium: Arc<Content>,
    /// What is read.
    cache: Arc<Content>,
    /// What was written since the last sync, in its order.
    pending: Vec<(u64, Bytes)>,
    /// Its name would survive.
    is_entered: bool,
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    files: BTreeMap<FileName, File>,
    /// What was moved out of the way.
    aside: Vec<FileName>,
}

/// The smallest thing that a crash takes or leaves.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    /// A part of a sector that was written.
    Part(FileName, u64, Bytes),
    /// That a file has grown.
    Size(FileName, usize),
    /// That there is a file of this name.
    Entry(FileName),
}

fn place(at: u64) -> usize {
    usize::try_from(at).expect("a small file")
}

fn put(bytes: &mut Vec<u8>, at: u64, part: &[u8]) {
    let (from, to) = (place(at), place(at) + part.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(part);
}

impl Directory {
    /// The directory with these files, all of them durable.
    pub fn holding(files: impl IntoIterator<Item = (FileName, Vec<u8>)>) -> Directory {
        let file = |(name, bytes)| {
            let medium = Content::new(bytes);
            (name, File { cache: medium.clone(), medium, pending: Vec::new(), is_entered: true })
        };
        Directory { files: files.into_iter().map(file).collect(), aside: Vec::new() }
    }

    /// Carries out an operation.
    pub fn perform(&mut self, op: &DiskOp) -> Result<DiskDone, DiskError> {
        match op {
            DiskOp::List => {
                let size = |(name, file): (&FileName, &File)| (*name, file.cache.bytes.len() as u64);
                return Ok(DiskDone::Listed(self.files.iter().map(size).collect()));
            }
            DiskOp::Create { file, .. } if self.files.contains_key(file) => {
                return Err(DiskError::Failed(format!("{file} is there already")));
            }
            DiskOp::Create { file, size } => self.create(*file, *size),
            DiskOp::Write { file, at, parts } => {
                let file = self.files.get_mut(file).ok_or(DiskError::Missing)?;
                file.write(*at, &join(parts));
            }
            DiskOp::Sync { file } => {
                let file = self.files.get_mut(file).ok_or(DiskError::Missing)?;
                file.medium = file.cache.clone();
                file.pending.clear();
            }
            DiskOp::Read { file, at, len } => {
                let bytes = &self.files.get(file).ok_or(DiskError::Missing)?.cache.bytes;
                let from = place(*at).min(bytes.len());
                let to = from.saturating_add(*len).min(bytes.len());
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&bytes[from..to])));
            }
            DiskOp::Remove { file } => _ = self.files.remove(file),
            DiskOp::SetAside { file, .. } => {
                if self.files.remove(file).is_some() {
                    self.aside.push(*file);
                }
            }
        }
        Ok(DiskDone::Done)
    }

    /// Makes a file of zeros.
    pub(super) fn create(&mut self, name: FileName, size: u64) {
        let medium = Content::new(vec![0; place(size)]);
        let is_entered = !super::entries_are_lost();
        let file = File { cache: medium.clone(), medium, pending: Vec::new(), is_entered };
        self.files.insert(name, file);
    }

    /// The names of its files, in order, and how long each is.
    pub fn files(&self) -> impl Iterator<Item = (FileName, usize)> {
        self.files.iter().map(|(name, file)| (*name, file.cache.bytes.len()))
    }

    /// What is read of all files.
    pub(super) fn contents(&self) -> Vec<(FileName, Vec<u8>)> {
        self.files.iter().map(|(name, file)| (*name, file.cache.bytes.clone())).collect()
    }

    /// What is read of a file.
    pub fn content(&self, file: FileName) -> Option<&[u8]> {
        self.files.get(&file).map(|file| file.cache.bytes.as_slice())
    }

    /// How many files were moved out of the way.
    pub fn set_aside(&self) -> usize {
        self.aside.len()
    }

    /// A file is another, or is gone.
    pub fn replace(&mut self, name: FileName, bytes: Option<Vec<u8>>) {
        match bytes {
            None => _ = self.files.remove(&name),
            Some(bytes) => {
                let medium = Content::new(bytes);
                let file = File { cache: medium.clone(), medium, pending: Vec::new(), is_entered: true };
                self.files.insert(name, file);
            }
        }
    }

    /// Changes a byte, on the medium and in the cache. Tells whether it is there.
    pub fn flip(&mut self, file: FileName, at: usize, with: u8) -> bool {
        let Some(file) = self.files.get_mut(&file).filter(|file| at < file.cache.bytes.len()) else {
            return false;
        };
        let flipped = |content: &Content| {
            let mut bytes = content.bytes.clone();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= with;
            }
            Content::new(bytes)
        };
        file.medium = flipped(&file.medium);
        file.cache = if file.pending.is_empty() { file.medium.clone() } else { flipped(&file.cache) };
        true
    }

    /// Whether nothing is on its way to the medium.
    pub(super) fn is_synced(&self) -> bool {
        self.files.values().all(|file| file.pending.is_empty() && file.is_entered)
    }

    /// What a crash takes or leaves, file by file in the order in which it was written. What changes nothing is left out.
    pub(super) fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for (name, file) in &self.files {
            if !file.is_entered {
                units.push(Unit::Entry(*name));
            }
            for (at, bytes) in &file.pending {
                let mut from = 0;
                while from < bytes.len() {
                    let into = place((at + from as u64) % SECTOR as u64);
                    let to = bytes.len().min(from + SECTOR - into);
                    let (begin, end) = (place(at + from as u64), place(at + to as u64));
                    if file.medium.bytes.get(begin..end) != Some(&bytes[from..to]) {
                        units.push(Unit::Part(*name, at + from as u64, bytes.slice(from..to)));
                    }
                    from = to;
                }
            }
            if file.cache.bytes.len() > file.medium.bytes.len() {
                units.push(Unit::Size(*name, file.cache.bytes.len()));
            }
        }
        units
    }

    /// The machine goes down: of what was not synced these units are left.
    pub(super) fn with_units<'u>(&self, survive: impl Iterator<Item = &'u Unit> + Clone) -> Directory {
        let mut after = self.clone();
        let entered = |name: FileName| {
            survive.clone().any(|unit| matches!(unit, Unit::Entry(entered) if *entered == name))
        };
        after.files.retain(|name, file| file.is_entered || entered(*name));
        for (name, file) in &mut after.files {
            file.is_entered = true;
            if file.pending.is_empty() {
                continue;
            }
            file.pending.clear();
            let mut bytes = file.medium.bytes.clone();
            for unit in survive.clone() {
                match unit {
                    Unit::Part(of, at, part) if of == name => put(&mut bytes, *at, part),
                    Unit::Size(of, size) if of == name && *size > bytes.len() => bytes.resize(*size, 0),
                    Unit::Part(..) | Unit::Size(..) | Unit::Entry(_) => {}
                }
            }
            file.medium = Content::new(bytes);
            file.cache = file.medium.clone();
        }
        after
    }

    /// The machine goes down, and nothing is left that was not synced.
    pub(super) fn lose_power(&mut self) {
        *self = self.with_units([].iter());
    }

    /// All of it in one number: what is read, and what of that is not synced.
    pub fn sum(&self) -> u128 {
        let mut sum = self.aside.len() as u128;
        for (name, file) in &self.files {
            let mut line = Vec::with_capacity(64);
            line.extend_from_slice(&sum.to_le_bytes());
            line.extend_from_slice(name.to_string().as_bytes());
            line.extend_from_slice(&file.cache.sum().to_le_bytes());
            line.extend_from_slice(&file.medium.sum().to_le_bytes());
            line.push(u8::from(file.is_entered));
            sum = xxh3_128_with_seed(&line, 7);
        }
        sum
    }
}

impl File {
    fn write(&mut self, at: u64, bytes: &Bytes) {
        let mut all = self.cache.bytes.clone();
        put(&mut all, at, bytes);
        self.cache = Content::new(all);
        self.pending.push((at, bytes.clone()));
    }
}

/// The parts of a write in one piece.
pub(super) fn join(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        parts => Bytes::from(parts.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: FileName = FileName::Segment(1);

    fn write(at: u64, byte: u8, len: usize) -> DiskOp {
        DiskOp::Write { file: LOG, at, parts: vec![Bytes::from(vec![byte; len])] }
    }

    #[test]
    fn any_sector_that_was_not_synced_may_be_lost_and_one_that_was_is_not() {
        let mut directory = Directory::default();
        directory.perform(&DiskOp::Create { file: LOG, size: 1024 }).expect("it is new");
        directory.perform(&write(0, 1, 512)).expect("it is there");
        directory.perform(&DiskOp::Sync { file: LOG }).expect("it is there");
        directory.perform(&write(512, 2, 1024)).expect("it is there");
        let units = directory.units();
        assert_eq!(units.len(), 3, "two sectors, and that the file has grown");
        let of = |mask: u32| {
            let survive = units.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1);
            let after = directory.with_units(survive.map(|(_, unit)| unit).collect::<Vec<_>>().into_iter());
            let bytes = after.content(LOG).expect("it is there").to_vec();
            bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>()
        };
        assert_eq!(of(0), [1, 0]);
        assert_eq!(of(1), [1, 2]);
        assert_eq!(of(2), [1, 0, 2]);
        assert_eq!(of(4), [1, 0, 0]);
        assert_ne!(directory.sum(), directory.with_units([].iter()).sum());
    }
}
