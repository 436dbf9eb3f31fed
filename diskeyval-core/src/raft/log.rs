//! The log in memory.
//!
//! 1. Indexes are contiguous from the one behind `base`, and terms never decrease. Up to `base` entries are
//!    released: they are applied, and a snapshot of the state holds what they came to.
//! 2. The first entry of all is a genesis. Nothing but copies of it stands between it and the first ordinary entry.
//! 3. `fresh` holds what the entries behind `taken` say, until they are applied. `base <= taken <= last`.
//! 4. What is released has no term but that of `base` itself: a missing entry is never taken for an equal one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::entry::{Entry, Genesis, OVERHEAD, Payload};
use crate::id::{EntryId, Index, Term};
use crate::mutants::{Mutant, is, is_armed};
use crate::raft::segments::Segments;

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The last entry that is released; zero if none is.
    base: EntryId,
    entries: Segments<Stored>,
    fresh: VecDeque<Payload>,
    taken: Index,
    /// Bytes of the entries that are held, and of those of them that were taken.
    bytes: usize,
    taken_bytes: usize,
    /// Bytes of all entries that were ever taken, released or not.
    taken_ever: u64,
    genesis: Option<Genesis>,
    /// Up to which index there are only geneses.
    geneses: Index,
}

#[derive(Clone, Debug)]
struct Stored {
    term: Term,
    bytes: Bytes,
}

impl Stored {
    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

impl Log {
    /// The last entry; zero if there is none.
    pub(crate) fn last(&self) -> EntryId {
        match self.entries.last() {
            Some(last) => {
                EntryId { index: Index(self.base.index.0 + self.entries.len() as u64), term: last.term }
            }
            None => self.base,
        }
    }

    /// The last entry that is released; zero if none is.
    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    /// Where an entry is among those that are held.
    fn place(&self, index: Index) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.base.index.0)?.checked_sub(1)?).ok()
    }

    /// The term of the entry at an index: zero for index zero, `None` where there is no entry, or none any more.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index {
            return is(Mutant::ReleasedIsTermZero).then_some(Term(0));
        }
        self.entries.get(self.place(index)?).map(|entry| entry.term)
    }

    /// Whether the log holds this entry.
    pub(crate) fn holds(&self, entry: EntryId) -> bool {
        self.term(entry.index) == Some(entry.term)
    }

    /// Puts an entry at the end.
    pub(crate) fn push(&mut self, entry: Entry) -> Index {
        assert!(entry.term >= self.last().term, "terms never decrease");
        self.bytes += entry.size();
        let last = self.last().index;
        match &entry.payload {
            Payload::Genesis(genesis) => {
                self.genesis.get_or_insert_with(|| genesis.clone());
                if self.geneses == last {
                    self.geneses = last.next();
                }
            }
            Payload::Noop | Payload::Members(_) | Payload::OpenSession(_) | Payload::Write(_) => {
                assert!(self.genesis.is_some(), "the first entry is a genesis");
            }
        }
        self.entries.push(Stored { term: entry.term, bytes: entry.bytes });
        self.fresh.push_back(entry.payload);
        last.next()
    }

    /// Gives up every entry behind an index. None of them may have been taken.
    pub(crate) fn truncate_behind(&mut self, index: Index) {
        assert!(index >= self.taken, "an applied entry is never given up");
        while self.last().index > index {
            if let Some(entry) = self.entries.pop() {
                self.bytes -= entry.size();
            }
            self.fresh.pop_back();
        }
        self.geneses = self.geneses.min(self.last().index);
        if self.last() == EntryId::default() {
            self.genesis = None;
        }
    }

    /// Releases entries up to an index, as far as they were taken: from now on the log begins behind it.
    pub(crate) fn release(&mut self, up_to: Index) {
        let up_to = up_to.min(self.taken);
        let Some(term) = self.term(up_to).filter(|_| up_to > self.base.index) else { return };
        let count = usize::try_from(up_to.0 - self.base.index.0).unwrap_or(usize::MAX);
        let bytes: usize = (0..count).filter_map(|at| self.entries.get(at)).map(Stored::size).sum();
        self.bytes -= bytes;
        self.taken_bytes = self.taken_bytes.saturating_sub(bytes);
        self.entries.release(count);
        self.base = EntryId { index: up_to, term };
    }

    /// Gives the whole log up for a snapshot, of a cluster with this genesis: it goes on behind `base`, which is
    /// applied.
    pub(crate) fn reset(&mut self, base: EntryId, genesis: Genesis) {
        if self.last().index > base.index && is(Mutant::InstallKeepsLog) {
            return self.pass_over(base);
        }
        let taken_ever = self.taken_ever;
        *self = Log { base, taken: base.index, genesis: Some(genesis), taken_ever, ..Log::default() };
    }

    /// What only a mutant does: what stands behind the base stays, whatever it is.
    fn pass_over(&mut self, base: EntryId) {
        while self.taken < base.index && self.take_next(base.index).is_some() {}
        self.release(base.index);
        self.base.term = base.term;
    }

    /// What the next entry to be applied says, if that is at or below an index.
    pub(crate) fn take_next(&mut self, up_to: Index) -> Option<(Index, Payload)> {
        let index = self.taken.next();
        if index > up_to {
            return None;
        }
        let mut payload = self.fresh.pop_front()?;
        if matches!(payload, Payload::Write(_)) && up_to.0 > index.0 + 1 && is(Mutant::ApplySkips) {
            payload = Payload::Noop;
        }
        let size = self.place(index).and_then(|at| self.entries.get(at)).map_or(0, Stored::size);
        if index == up_to || !is(Mutant::UncommittedBytesLeak) {
            self.taken_bytes += size;
        }
        self.taken_ever += size as u64;
        self.taken = index;
        Some((index, payload))
    }

    /// Entries from an index on, as bytes: as many as fit, and one at least if there is one.
    pub(crate) fn batch(&self, from: Index, max_bytes: usize) -> Vec<Bytes> {
        let mut room = max_bytes;
        let mut batch = Vec::new();
        let beyond = if is_armed(Mutant::ReleasedIsTermZero) { 0 } else { self.entries.len() };
        let start = self.place(from).unwrap_or(beyond).min(self.entries.len());
        for entry in self.entries.from(start) {
            let size = entry.bytes.len() + 4;
            if size > room && !batch.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            batch.push(entry.bytes.clone());
        }
        batch
    }

    /// The last entry at or below `hint.index` whose term is at most `hint.term`, as far as the log is held; zero if
    /// there is none. Whoever holds a log that ends so cannot agree with us on anything behind it.
    pub(crate) fn last_not_above(&self, hint: EntryId) -> EntryId {
        // Terms never decrease.
        let not_above = self.entries.partition_point(|entry| entry.term <= hint.term) as u64;
        let index = hint.index.min(Index(self.base.index.0 + not_above));
        match self.term(index) {
            Some(term) if term <= hint.term => EntryId { index, term },
            Some(_) | None => EntryId::default(),
        }
    }

    /// Up to where entries can be released if those behind it, up to `last`, are to be kept as far as they have no
    /// more than so many bytes.
    pub(crate) fn tail_of(&self, last: Index, keep: u64) -> Index {
        let Some(place) = self.place(last) else { return self.base.index };
        let mut kept = 0;
        let held = (0..=place).rev().take_while(|at| {
            kept += self.entries.get(*at).map_or(0, Stored::size) as u64;
            kept <= keep
        });
        Index(last.0 - held.count() as u64)
    }

    /// Bytes of all entries that are held, with what they cost beside.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the entries that were not taken to be applied yet.
    pub(crate) fn untaken_bytes(&self) -> usize {
        self.bytes - self.taken_bytes
    }

    /// Bytes of all entries that were ever taken to be applied, released or not.
    pub(crate) fn taken_ever(&self) -> u64 {
        self.taken_ever
    }

    pub(crate) fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// Whether it holds, or has held, any entry but geneses.
    pub(crate) fn is_founded(&self) -> bool {
        self.last().index > self.geneses
    }

    /// Whether anything but geneses was taken to be applied: before that there is no state worth a snapshot.
    pub(crate) fn has_taken_more_than_geneses(&self) -> bool {
        self.taken > self.geneses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClusterId, Incarnation, NodeId};
    use crate::members::{Membership, Seat, StorageKind};

    fn genesis() -> Payload {
        let seat =
            Seat { id: NodeId::new("a").expect("a good name"), bound: Some(Incarnation(1)), address: None };
        let members = Membership::of(alloc::vec![seat]);
        Payload::Genesis(Genesis { cluster: ClusterId(1), storage: StorageKind::Memory, members })
    }

    /// A log with one genesis and then entries of these terms.
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        log.push(Entry::new(Term(1), genesis()));
        for term in terms {
            log.push(Entry::new(Term(*term), Payload::Noop));
        }
        log
    }

    #[test]
    fn a_log_is_founded_by_any_entry_but_a_genesis() {
        let mut log = log(&[]);
        assert!(!log.is_founded());
        log.push(Entry::new(Term(2), genesis()));
        assert!(!log.is_founded(), "a later leader's copy");
        log.push(Entry::new(Term(2), Payload::Noop));
        assert!(log.is_founded());
        log.truncate_behind(Index(2));
        assert!(!log.is_founded(), "truncation undoes it");
        log.truncate_behind(Index(0));
        assert_eq!((log.genesis(), log.bytes(), log.last()), (None, 0, EntryId::default()));
    }

    #[test]
    fn entries_are_taken_in_order_and_once() {
        let mut log = log(&[1, 1]);
        assert_eq!(log.take_next(Index(0)), None);
        assert_eq!(log.take_next(Index(2)), Some((Index(1), genesis())));
        assert_eq!(log.take_next(Index(2)), Some((Index(2), Payload::Noop)));
        assert_eq!(log.take_next(Index(2)), None);
    }

    #[test]
    #[should_panic(expected = "an applied entry is never given up")]
    fn an_applied_entry_is_never_given_up() {
        let mut log = log(&[1, 1]);
        while log.take_next(Index(2)).is_some() {}
        log.truncate_behind(Index(1));
    }

    #[test]
    fn a_batch_has_one_entry_at_least_and_no_more_than_fit() {
        let log = log(&[1, 1, 1]);
        let size = log.batch(Index(2), 0)[0].len() + 4;
        assert_eq!(log.batch(Index(2), 0).len(), 1);
        assert_eq!(log.batch(Index(2), 2 * size).len(), 2);
        assert_eq!(log.batch(Index(2), usize::MAX).len(), 3);
        assert!(log.batch(Index(5), usize::MAX).is_empty());
    }

    #[test]
    fn a_hint_skips_whole_terms() {
        let log = log(&[1, 2, 2, 2, 5, 5]);
        assert_eq!(log.last_not_above(EntryId::new(7, 4)), EntryId::new(5, 2));
        assert_eq!(log.last_not_above(EntryId::new(99, 5)), EntryId::new(7, 5));
        assert_eq!(log.last_not_above(EntryId::new(4, 0)), EntryId::new(0, 0));
    }

    /// The log of `log(&[1, 2, 2, 5])`, all applied but the last, without its first `up_to` entries.
    fn released(up_to: u64) -> Log {
        let mut log = log(&[1, 2, 2, 5]);
        while log.take_next(Index(4)).is_some() {}
        log.release(Index(up_to));
        log
    }

    /// FAULTS 16: what is not there was taken for an entry of term zero.
    #[test]
    fn a_released_entry_has_no_term_and_is_never_equal() {
        let log = released(3);
        assert_eq!(log.base(), EntryId::new(3, 2));
        for below in 0..3 {
            assert_eq!(log.term(Index(below)), None);
            assert!(!log.holds(EntryId::new(below, 0)));
        }
        assert_eq!([3, 4, 5].map(|index| log.term(Index(index))), [2, 2, 5].map(|term| Some(Term(term))));
        assert_eq!(log.term(Index(6)), None);
    }

    #[test]
    fn only_what_is_applied_is_released_and_the_rest_goes_on() {
        let mut log = released(9);
        assert_eq!((log.base(), log.last()), (EntryId::new(4, 2), EntryId::new(5, 5)));
        assert_eq!(log.bytes(), log.untaken_bytes());
        assert_eq!(log.batch(Index(5), 0).len(), 1);
        assert!(log.batch(Index(4), 0).is_empty(), "never another entry than the one that is asked for");
        assert_eq!(log.take_next(Index(5)), Some((Index(5), Payload::Noop)));
        log.release(Index(5));
        assert_eq!((log.bytes(), log.untaken_bytes(), log.last()), (0, 0, EntryId::new(5, 5)));
        assert!(log.is_founded() && log.genesis().is_some(), "it is the same log");
        assert_eq!(log.push(Entry::new(Term(6), Payload::Noop)), Index(6));
        log.truncate_behind(Index(5));
        assert_eq!(log.last(), EntryId::new(5, 5));
        assert!(log.is_founded() && log.genesis().is_some());
    }

    #[test]
    fn a_hint_below_the_base_meets_nowhere() {
        let log = released(3);
        assert_eq!(log.last_not_above(EntryId::new(4, 2)), EntryId::new(4, 2));
        assert_eq!(log.last_not_above(EntryId::new(3, 2)), EntryId::new(3, 2));
        assert_eq!(log.last_not_above(EntryId::new(2, 9)), EntryId::default());
        assert_eq!(log.last_not_above(EntryId::new(9, 1)), EntryId::default());
    }

    #[test]
    fn a_snapshot_takes_the_place_of_everything() {
        let mut log = log(&[1, 2, 2, 5]);
        let Payload::Genesis(genesis) = genesis() else { unreachable!() };
        log.reset(EntryId::new(3, 4), genesis);
        assert_eq!((log.base(), log.last(), log.bytes()), (EntryId::new(3, 4), EntryId::new(3, 4), 0));
        assert!(log.is_founded());
        log.push(Entry::new(Term(4), Payload::Noop));
        assert_eq!(log.take_next(Index(9)), Some((Index(4), Payload::Noop)));
    }

    #[test]
    fn a_tail_is_as_long_as_its_bytes_allow() {
        let log = released(0);
        let size = log.entries.get(1).map_or(0, Stored::size) as u64;
        assert_eq!(log.tail_of(Index(4), 0), Index(4));
        assert_eq!(log.tail_of(Index(4), 2 * size), Index(2));
        assert_eq!(log.tail_of(Index(4), u64::MAX), Index(0));
        assert_eq!(released(3).tail_of(Index(4), u64::MAX), Index(3));
    }
}
