//! What befalls the medium of a disk, behind the back of its node.
//!
//! A file that is missing is always noticed. But where the log of a node was made durable last, damage cannot be told from a write that a crash has torn: there is
//! nothing behind it that would say so (fault 62 of the ledger). So nothing befalls the place of the last two flushes;
//! and if the last is known to be a seal, nothing befalls that one. Everything else has to be found out, or to be harmless.

use diskeyval_core::FileName;

use super::file::{File, SECTOR};
use super::{Disk, Extent};
use crate::choice::Choices;

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::world) enum Harm {
    /// A bit is another.
    Flip,
    /// A sector holds zeros.
    Zero,
    /// What was written to one sector is in the place of another, and its own place is as it was before: zeros.
    Misdirect,
    /// A file is not there.
    Lose,
}

/// How often a place is drawn before it is given up.
const ATTEMPTS: usize = 16;

impl Disk {
    /// Something befalls the medium, if there is anything to befall. Tells what, in words.
    pub(in crate::world) fn strike(
        &mut self,
        harm: Harm,
        is_sealed: bool,
        chance: &mut Choices<'_>,
    ) -> Option<String> {
        if self.is_robbed {
            return None;
        }
        let what = match harm {
            Harm::Flip => self.flip(is_sealed, chance),
            Harm::Zero => self.zero(is_sealed, chance),
            Harm::Misdirect => self.misdirect(is_sealed, chance),
            Harm::Lose => self.lose(chance),
        };
        self.is_damaged |= what.is_some();
        what
    }

    /// The last flush of the log, and the one before unless the last is a seal.
    fn is_spared(&self, place: Extent, is_sealed: bool) -> bool {
        let spared = self.flushes.iter().take(if is_sealed { 1 } else { 2 });
        let meets =
            |flush: &Extent| flush.file == place.file && place.from < flush.to && flush.from < place.to;
        spared.into_iter().any(meets)
    }

    /// A sector that nothing spares: mostly one that holds something.
    fn draw_sector(&self, is_sealed: bool, chance: &mut Choices<'_>) -> Option<Extent> {
        for _ in 0..ATTEMPTS {
            let (name, file) = self.files.iter().nth(chance.place(self.files.len().max(1)))?;
            let used = file.used();
            let at = if used.is_empty() || chance.chance(1, 16) {
                chance.below(file.size().max(1))
            } else {
                used[chance.place(used.len())] + chance.below(4096)
            };
            let from = at - at % SECTOR as u64;
            let place = Extent { file: *name, from, to: from + SECTOR as u64 };
            if place.to <= file.size() && !self.is_spared(place, is_sealed) && self.is_worth_it(*name) {
                return Some(place);
            }
        }
        None
    }

    /// A superblock beside which there is nothing was never promised by: with it, all is lost, and nobody can know.
    fn is_worth_it(&self, file: FileName) -> bool {
        file != FileName::Superblock || self.files.len() > 1
    }

    fn flip(&mut self, is_sealed: bool, chance: &mut Choices<'_>) -> Option<String> {
        let place = self.draw_sector(is_sealed, chance)?;
        let file = self.files.get_mut(&place.file)?;
        let at = place.from + chance.below(SECTOR as u64);
        let byte = file.on_medium(at, 1)[0] ^ (1 << chance.below(8));
        file.damage(at, &[byte]);
        Some(format!("byte {at} of {} is now {byte}", place.file))
    }

    fn zero(&mut self, is_sealed: bool, chance: &mut Choices<'_>) -> Option<String> {
        let place = self.draw_sector(is_sealed, chance)?;
        let file = self.files.get_mut(&place.file)?;
        if is_zero(file, place.from) {
            return None;
        }
        file.damage(place.from, &[0; SECTOR]);
        Some(format!("the sector at {} of {} is now zero", place.from, place.file))
    }

    /// A slot of the superblock is written again and again, so it was not zero before: only to a log or a snapshot
    /// can this have happened.
    fn misdirect(&mut self, is_sealed: bool, chance: &mut Choices<'_>) -> Option<String> {
        let (place, other) = (self.draw_sector(is_sealed, chance)?, self.draw_sector(is_sealed, chance)?);
        if place.file == FileName::Superblock
            || place == other
            || is_zero(self.files.get(&place.file)?, place.from)
        {
            return None;
        }
        let content = self.files.get(&place.file)?.on_medium(place.from, SECTOR);
        self.files.get_mut(&other.file)?.damage(other.from, &content);
        self.files.get_mut(&place.file)?.damage(place.from, &[0; SECTOR]);
        let (from, to) = (place.from, other.from);
        Some(format!("what was written to {from} of {} is at {to} of {}", place.file, other.file))
    }

    /// A file of an unharmed disk is lost. Then nothing more befalls that: with everything gone, nobody could know.
    fn lose(&mut self, chance: &mut Choices<'_>) -> Option<String> {
        if self.is_damaged || self.files.len() < 2 {
            return None;
        }
        let place = chance.place(self.files.len());
        let lost = *self.files.keys().nth(place)?;
        self.files.remove(&lost);
        self.is_robbed = true;
        Some(format!("{lost} is gone"))
    }

    /// A file of an unharmed disk is that of another node: `theirs`, if it may lose one, gets ours.
    pub(in crate::world) fn swap(
        &mut self,
        theirs: &mut Disk,
        both: bool,
        chance: &mut Choices<'_>,
    ) -> Option<String> {
        let has_harm = |disk: &Disk| disk.is_damaged || disk.is_robbed || disk.files.len() < 2;
        if has_harm(self) || has_harm(theirs) {
            return None;
        }
        let is_spared =
            |disk: &Disk, file: FileName| disk.is_spared(Extent { file, from: 0, to: u64::MAX }, false);
        let may_be = |name: &FileName| {
            theirs.files.contains_key(name) && !is_spared(self, *name) && !(both && is_spared(theirs, *name))
        };
        let common: Vec<FileName> = self.files.keys().copied().filter(may_be).collect();
        if common.is_empty() {
            return None;
        }
        let name = common[chance.place(common.len())];
        let (ours, other) = (self.files.get_mut(&name)?, theirs.files.get_mut(&name)?);
        if both {
            core::mem::swap(ours, other);
            (theirs.is_damaged, theirs.is_robbed) = (true, true);
        } else {
            *ours = other.clone();
        }
        (self.is_damaged, self.is_robbed) = (true, true);
        Some(format!("{name} is another node's"))
    }

    /// Keeps a copy of everything, as it is now.
    pub(in crate::world) fn keep_copy(&mut self) {
        self.copy = Some(self.files.clone());
    }

    /// The copy is put back in the place of everything. Tells whether there was one that had anything.
    pub(in crate::world) fn put_back(&mut self) -> bool {
        let Some(copy) = self.copy.clone().filter(|copy| !copy.is_empty()) else { return false };
        self.files = copy;
        self.flushes.clear();
        self.is_damaged = true;
        true
    }
}

fn is_zero(file: &File, at: u64) -> bool {
    file.on_medium(at, SECTOR).iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use bytes::Bytes;
    use diskeyval_core::{DiskOp, OpId};

    use super::*;
    use crate::observe::Time;

    const LOG: FileName = FileName::Segment(1);

    /// A superblock, and a log of four flushes.
    fn disk() -> Disk {
        let mut disk = Disk::default();
        let mut call = |what| {
            disk.ask(Time(0), Duration::ZERO, OpId(0), what);
            let done = disk.complete(Time(0), &mut Choices::from_seed(0));
            assert!(done[0].result.is_ok());
        };
        for (file, size) in [(FileName::Superblock, 8192), (LOG, 1 << 20)] {
            call(DiskOp::Create { file, size });
        }
        for flush in 0..4u8 {
            let parts = vec![Bytes::from(vec![flush + 1; 4096])];
            call(DiskOp::Write { file: LOG, at: 4096 * u64::from(flush), parts });
            call(DiskOp::Sync { file: LOG });
        }
        disk
    }

    #[test]
    fn nothing_befalls_the_last_two_flushes_or_a_seal() {
        for (is_sealed, spared) in [(false, 2), (true, 3)] {
            let mut hits = [0; 4];
            for seed in 0..400 {
                for harm in [Harm::Flip, Harm::Zero, Harm::Misdirect] {
                    let mut disk = disk();
                    let struck = disk.strike(harm, is_sealed, &mut Choices::from_seed(seed));
                    assert_eq!(struck.is_some(), disk.is_damaged);
                    for flush in 0..4u8 {
                        let place = 4096 * u64::from(flush);
                        let found = disk.files[&LOG].on_medium(place, 4096);
                        hits[usize::from(flush)] += usize::from(found.iter().any(|byte| *byte != flush + 1));
                    }
                }
            }
            assert!(hits[..spared].iter().all(|hits| *hits > 20), "{hits:?}");
            assert!(hits[spared..].iter().all(|hits| *hits == 0), "{hits:?}");
        }
    }

    #[test]
    fn of_a_disk_that_has_lost_a_file_no_more_is_taken() {
        let mut lost = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let (mut disk, mut chance) = (disk(), Choices::from_seed(seed));
            assert!(disk.strike(Harm::Lose, false, &mut chance).is_some());
            assert_eq!(disk.strike(Harm::Lose, false, &mut chance), None);
            assert_eq!(disk.strike(Harm::Flip, false, &mut chance), None);
            lost.insert(disk.files.contains_key(&LOG));
        }
        assert_eq!(lost.len(), 2);
    }

    #[test]
    fn files_are_swapped_and_old_copies_are_put_back() {
        let (mut one, mut other) = (disk(), disk());
        one.keep_copy();
        other.files.get_mut(&LOG).expect("it is there").damage(0, b"theirs");
        other.files.remove(&FileName::Superblock);
        assert_eq!(one.swap(&mut other, false, &mut Choices::from_seed(0)), None, "there is too little");
        other.files.insert(FileName::Snapshot(3), File::new(10));
        assert_eq!(one.swap(&mut other, true, &mut Choices::from_seed(0)), None, "the log ends in it");
        for disk in [&mut one, &mut other] {
            disk.flushes.clear();
        }
        assert!(one.swap(&mut other, true, &mut Choices::from_seed(0)).is_some());
        assert_eq!(one.files[&LOG].on_medium(0, 6), b"theirs");
        assert_eq!(other.files[&LOG].on_medium(0, 6), [1; 6]);
        assert!(one.put_back());
        assert_eq!(one.files[&LOG].on_medium(0, 6), [1; 6]);
        assert!(!disk().put_back());
    }
}
