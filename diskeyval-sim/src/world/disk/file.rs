//! One file on a simulated disk: what the medium holds, and what only the cache does.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::choice::Choices;

/// What a disk writes at once, or not at all, unless it tears even that.
pub(super) const SECTOR: usize = 512;

/// What is kept in one piece of memory.
const BLOCK: usize = 4096;

/// Bytes of which most are zero: those take no room.
#[derive(Clone, Debug, Default)]
struct Image {
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

/// Where a byte stands: its block, and its place in it.
fn place_of(at: u64) -> (u64, usize) {
    (at / BLOCK as u64, usize::try_from(at % BLOCK as u64).expect("below a block"))
}

impl Image {
    fn write(&mut self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (block, place) = place_of(at);
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - place));
            if self.blocks.contains_key(&block) || now.iter().any(|byte| *byte != 0) {
                let block = self.blocks.entry(block).or_insert_with(|| Box::new([0; BLOCK]));
                block[place..place + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            bytes = later;
        }
    }

    fn read(&self, mut at: u64, mut into: &mut [u8]) {
        while !into.is_empty() {
            let (block, place) = place_of(at);
            let length = into.len().min(BLOCK - place);
            let (now, later) = into.split_at_mut(length);
            match self.blocks.get(&block) {
                Some(block) => now.copy_from_slice(&block[place..place + length]),
                None => now.fill(0),
            }
            at += length as u64;
            into = later;
        }
    }
}

/// How much of what was not synced survives, drawn once for each crash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Luck {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// So many sectors, in the order in which they were written.
    First(usize),
    /// All but so many: what was written later is there, and what was written earlier is not.
    Last(usize),
    /// Each sector, or not: so many of eight.
    Each(u64),
}

impl Luck {
    pub(super) fn draw(chance: &mut Choices<'_>, sectors: usize) -> Luck {
        match chance.below(6) {
            0 => Luck::None,
            1 => Luck::All,
            2 => Luck::First(chance.place(sectors + 1)),
            3 => Luck::Last(chance.place(sectors + 1)),
            4 => Luck::Each(4),
            _ => Luck::Each(7),
        }
    }

    /// Whether the next sector survives.
    fn keeps(&mut self, chance: &mut Choices<'_>) -> bool {
        match self {
            Luck::None => false,
            Luck::All => true,
            Luck::First(left) => {
                let keeps = *left > 0;
                *left = left.saturating_sub(1);
                keeps
            }
            Luck::Last(left) => {
                let keeps = *left == 0;
                *left = left.saturating_sub(1);
                keeps
            }
            Luck::Each(eighths) => chance.chance(*eighths, 8),
        }
    }
}

/// A file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// As it is read.
    size: u64,
    /// As it was when it was synced last.
    durable_size: u64,
    medium: Image,
    /// What was written since the last sync, in its order.
    pending: Vec<(u64, Bytes)>,
    /// What is read, where that is not the medium with what is pending: since a sync has failed.
    cache: Option<Image>,
}

impl File {
    /// A file of so many zeros.
    pub(super) fn new(size: u64) -> File {
        File { size, durable_size: size, medium: Image::default(), pending: Vec::new(), cache: None }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Writes, for now into the cache only. What goes beyond the end makes the file longer.
    pub(super) fn write(&mut self, mut at: u64, parts: &[Bytes]) {
        for part in parts {
            if let Some(cache) = &mut self.cache {
                cache.write(at, part);
            }
            self.pending.push((at, part.clone()));
            at += part.len() as u64;
        }
        self.size = self.size.max(at);
    }

    /// Everything that was written reaches the medium. Tells from where to where that was, if there was anything.
    pub(super) fn sync(&mut self) -> Option<(u64, u64)> {
        let mut extent: Option<(u64, u64)> = None;
        self.durable_size = self.size;
        for (at, bytes) in self.pending.drain(..) {
            self.medium.write(at, &bytes);
            let end = at + bytes.len() as u64;
            extent = Some(extent.map_or((at, end), |(from, to)| (from.min(at), to.max(end))));
        }
        extent
    }

    /// A sync fails: of what was written only a part ever reaches the medium, and all of it is read until the machine
    /// starts anew.
    pub(super) fn fail_sync(&mut self, mut luck: Luck, chance: &mut Choices<'_>) {
        if self.cache.is_none() {
            let mut cache = self.medium.clone();
            self.pending.iter().for_each(|(at, bytes)| cache.write(*at, bytes));
            self.cache = Some(cache);
        }
        self.survive(&mut luck, chance);
    }

    /// Reads what the cache has; fewer bytes where the file ends.
    pub(super) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let len = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX).min(len);
        let mut bytes = vec![0; len];
        if let Some(cache) = &self.cache {
            cache.read(at, &mut bytes);
            return bytes;
        }
        self.medium.read(at, &mut bytes);
        let end = at + len as u64;
        for (from, written) in &self.pending {
            let to = from + written.len() as u64;
            let (first, last) = ((*from).max(at), to.min(end));
            if first < last {
                let cut = |from: u64, to: u64| {
                    let place = |at: u64| usize::try_from(at).expect("within what was read");
                    place(from)..place(to)
                };
                bytes[cut(first - at, last - at)].copy_from_slice(&written[cut(first - from, last - from)]);
            }
        }
        bytes
    }

    /// How many sectors of it were written and not synced.
    pub(super) fn pending(&self) -> usize {
        self.pending.iter().map(|(at, bytes)| sectors(*at, bytes.len()).count()).sum()
    }

    /// The machine goes down: of what was not synced, what has luck is there, and the cache is gone. Tells how many
    /// sectors were lucky.
    pub(super) fn lose_power(&mut self, luck: &mut Luck, chance: &mut Choices<'_>) -> usize {
        self.cache = None;
        let kept = self.survive(luck, chance);
        self.size = self.durable_size;
        kept
    }

    fn survive(&mut self, luck: &mut Luck, chance: &mut Choices<'_>) -> usize {
        let mut kept = 0;
        for (at, bytes) in core::mem::take(&mut self.pending) {
            for (from, to) in sectors(at, bytes.len()) {
                if !luck.keeps(chance) {
                    continue;
                }
                kept += 1;
                let (mut from, mut to) = (from, to);
                if chance.chance(1, 32) {
                    let middle = from + chance.place(to - from);
                    if chance.chance(1, 2) { to = middle } else { from = middle }
                }
                self.medium.write(at + from as u64, &bytes[from..to]);
                self.durable_size = self.durable_size.max(at + to as u64);
            }
        }
        kept
    }

    // What befalls the medium.

    /// Changes bytes of the medium behind the back of its cache.
    pub(super) fn damage(&mut self, at: u64, bytes: &[u8]) {
        let fits = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        self.medium.write(at, &bytes[..fits]);
    }

    /// What the medium holds.
    pub(super) fn on_medium(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.medium.read(at, &mut bytes);
        bytes
    }

    /// The places of the blocks of which the medium holds something, in order.
    pub(super) fn used(&self) -> Vec<u64> {
        self.medium.blocks.keys().map(|block| block * BLOCK as u64).collect()
    }
}

/// The parts of something written that lie in one sector each, counted from its beginning.
fn sectors(at: u64, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let into = usize::try_from(at % SECTOR as u64).expect("below a sector");
    let mut next = 0;
    core::iter::from_fn(move || {
        let from = next;
        next = len.min(from + SECTOR - (into + from) % SECTOR);
        (from < len).then_some((from, next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(byte: u8, len: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![byte; len])]
    }

    /// What a machine finds that starts anew, for every outcome that luck can draw.
    fn after_power_loss(file: &File) -> std::collections::BTreeSet<Vec<u8>> {
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let (mut file, mut chance) = (file.clone(), Choices::from_seed(seed));
            let mut luck = Luck::draw(&mut chance, file.pending());
            file.lose_power(&mut luck, &mut chance);
            assert_eq!(file.pending(), 0);
            let size = usize::try_from(file.size()).expect("small");
            let sectors = file.read(0, size);
            let sectors = sectors.chunks(SECTOR).map(|sector| {
                let whole = sector.iter().all(|byte| *byte == sector[0]);
                if whole { sector[0] } else { b'?' }
            });
            found.insert(sectors.collect());
        }
        found
    }

    #[test]
    fn what_is_pending_is_read_and_any_of_its_sectors_may_survive() {
        let mut file = File::new(4 * SECTOR as u64);
        file.write(0, &bytes(b'a', SECTOR));
        assert_eq!(file.sync(), Some((0, SECTOR as u64)));
        file.write(0, &bytes(b'b', 2 * SECTOR));
        file.write(SECTOR as u64, &bytes(b'c', 2 * SECTOR));
        assert_eq!(file.pending(), 4);
        assert_eq!(file.read(SECTOR as u64 - 1, 3), b"bcc");
        let found = after_power_loss(&file);
        for old in [b'a', b'b'] {
            for middle in [0, b'b', b'c'] {
                for new in [0, b'c'] {
                    assert!(found.contains([old, middle, new, 0].as_slice()), "{old} {middle} {new}");
                }
            }
        }
        assert!(found.iter().any(|sectors| sectors.contains(&b'?')), "a sector may be torn");
        assert!(found.iter().all(|sectors| sectors[3] == 0));
        file.sync();
        let found = after_power_loss(&file);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [[b'b', b'c', b'c', 0]]);
    }

    #[test]
    fn a_sync_that_fails_loses_what_is_read_until_the_power_goes() {
        let mut file = File::new(4096);
        file.write(0, &bytes(b'a', SECTOR));
        file.sync();
        file.write(0, &bytes(b'b', SECTOR));
        file.fail_sync(Luck::None, &mut Choices::from_seed(0));
        file.write(SECTOR as u64, &bytes(b'c', SECTOR));
        assert_eq!(file.read(SECTOR as u64 - 1, 2), b"bc");
        assert_eq!(file.sync(), Some((SECTOR as u64, 2 * SECTOR as u64)));
        assert_eq!(file.read(SECTOR as u64 - 1, 2), b"bc", "the cache knows nothing of it");
        file.lose_power(&mut Luck::All, &mut Choices::from_seed(0));
        assert_eq!(file.read(SECTOR as u64 - 1, 2), b"ac");
    }

    #[test]
    fn a_file_has_an_end_and_zeros_take_no_room() {
        let mut file = File::new(1 << 40);
        file.write(1 << 39, &bytes(0, 1 << 16));
        file.sync();
        assert!(file.used().is_empty());
        assert_eq!(file.read((1 << 40) - 2, 10), [0, 0]);
        file.write((1 << 40) - 2, &bytes(b'x', 10));
        assert_eq!(file.read((1 << 40) - 2, 100), b"xxxxxxxxxx");
        file.lose_power(&mut Luck::None, &mut Choices::from_seed(0));
        assert_eq!(file.size(), 1 << 40, "how long it is has to be synced, too");
        file.write((1 << 40) - 2, &bytes(b'x', 10));
        file.sync();
        file.lose_power(&mut Luck::None, &mut Choices::from_seed(0));
        assert_eq!(file.size(), (1 << 40) + 8);
        assert_eq!(file.read(1 << 50, 10), b"");
    }

    #[test]
    fn parts_lie_in_one_sector_each() {
        assert_eq!(sectors(0, 1024).collect::<Vec<_>>(), [(0, 512), (512, 1024)]);
        assert_eq!(sectors(510, 515).collect::<Vec<_>>(), [(0, 2), (2, 514), (514, 515)]);
        assert_eq!(sectors(7, 0).count(), 0);
    }
}
