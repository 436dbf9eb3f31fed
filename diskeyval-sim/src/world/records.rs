//! A logical disk: what it was asked to keep it completes later, in order; a crash takes what was not completed,
//! or a part of it.

use core::time::Duration;
use std::collections::VecDeque;

use diskeyval_core::Record;

use crate::observe::Time;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// What it keeps, of all lives of its node.
    kept: Vec<Record>,
    /// The number, in the present life, of the last record that is kept.
    stored: u64,
    /// What was asked for and is not complete: when it will be, the number of its last record, the records.
    pending: VecDeque<(Time, u64, Vec<Record>)>,
    /// Nothing completes before this.
    stalled_until: Time,
    /// Everything takes so much longer.
    slower: Duration,
}

impl Disk {
    pub(super) fn kept(&self) -> &[Record] {
        &self.kept
    }

    /// Records are to be kept. Tells when that will be so.
    pub(super) fn write(&mut self, now: Time, takes: Duration, number: u64, records: Vec<Record>) -> Time {
        let behind = self.pending.back().map_or(now, |(at, ..)| *at);
        let at = (now + takes + self.slower).max(behind).max(self.stalled_until);
        self.pending.push_back((at, number, records));
        at
    }

    /// What is due by now is complete. Tells up to which record, if that is news.
    pub(super) fn complete(&mut self, now: Time) -> Option<u64> {
        let before = self.stored;
        while let Some((_, number, records)) = self.pending.pop_front_if(|(at, ..)| *at <= now) {
            self.kept.extend(records);
            self.stored = number;
        }
        (self.stored > before).then_some(self.stored)
    }

    /// How many records may survive a crash although they were not completed.
    pub(super) fn pending(&self) -> usize {
        self.pending.iter().map(|(_, _, records)| records.len()).sum()
    }

    /// The node dies. Of what was not completed, so many records happen to be there all the same. Tells how many
    /// records of this life survive.
    pub(super) fn crash(&mut self, lucky: usize) -> u64 {
        let pending = self.pending.drain(..).flat_map(|(_, _, records)| records);
        self.kept.extend(pending.take(lucky));
        let survive = self.stored + lucky as u64;
        self.stored = 0;
        survive
    }

    /// Everything on it is lost.
    pub(super) fn wipe(&mut self) {
        self.kept.clear();
    }

    pub(super) fn stall(&mut self, until: Time) {
        self.stalled_until = until;
        for (at, ..) in &mut self.pending {
            *at = (*at).max(until);
        }
    }

    pub(super) fn set_slower(&mut self, slower: Duration) {
        self.slower = slower;
    }

    /// It works as it should again. What waits completes now.
    pub(super) fn heal(&mut self, now: Time) {
        self.slower = Duration::ZERO;
        self.stalled_until = now;
        for (at, ..) in &mut self.pending {
            *at = (*at).min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskeyval_core::Index;

    fn record(n: u64) -> Record {
        Record::Truncate { behind: Index(n) }
    }

    #[test]
    fn it_completes_in_order_and_a_crash_keeps_a_beginning() {
        let mut disk = Disk::default();
        let second = Duration::from_secs(1);
        assert_eq!(disk.write(Time(0), second, 1, vec![record(1)]), Time(1_000_000_000));
        assert_eq!(disk.write(Time(0), Duration::ZERO, 3, vec![record(2), record(3)]), Time(1_000_000_000));
        assert_eq!(disk.complete(Time(1)), None);
        assert_eq!(disk.complete(Time(1_000_000_000)), Some(3));
        disk.write(Time(2_000_000_000), second, 6, vec![record(4), record(5), record(6)]);
        assert_eq!(disk.pending(), 3);
        assert_eq!(disk.crash(2), 5);
        assert_eq!(disk.kept(), [1, 2, 3, 4, 5].map(record));
        assert_eq!((disk.pending(), disk.crash(0)), (0, 0), "numbers begin anew in the next life");
    }

    #[test]
    fn a_stalled_disk_completes_nothing_until_it_is_healed() {
        let mut disk = Disk::default();
        disk.write(Time(0), Duration::ZERO, 1, vec![record(1)]);
        disk.stall(Time(500));
        assert_eq!(disk.complete(Time(499)), None);
        disk.heal(Time(300));
        assert_eq!(disk.complete(Time(300)), Some(1));
    }
}
