//! The log in memory.
//!
//! 1. Indexes are contiguous from 1, and terms never decrease.
//! 2. The first entry is a genesis. Nothing but copies of it stands between it and the first ordinary entry.
//! 3. `fresh` holds what the entries behind `taken` say, until they are applied.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::entry::{Entry, Genesis, OVERHEAD, Payload};
use crate::id::{EntryId, Index, Term};
use crate::mutants::{Mutant, is};
use crate::raft::segments::Segments;

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    entries: Segments<Stored>,
    fresh: VecDeque<Payload>,
    taken: usize,
    bytes: usize,
    taken_bytes: usize,
    genesis: Option<Genesis>,
    /// How many entries at the beginning are geneses.
    geneses: usize,
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
            Some(last) => EntryId { index: Index(self.entries.len() as u64), term: last.term },
            None => EntryId::default(),
        }
    }

    /// The term of the entry at an index: zero for index zero, `None` where there is no entry.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        match index.0.checked_sub(1) {
            None => Some(Term(0)),
            Some(at) => self.entries.get(usize::try_from(at).ok()?).map(|entry| entry.term),
        }
    }

    /// Whether the log holds this entry.
    pub(crate) fn holds(&self, entry: EntryId) -> bool {
        self.term(entry.index) == Some(entry.term)
    }

    /// Puts an entry at the end.
    pub(crate) fn push(&mut self, entry: Entry) -> Index {
        assert!(entry.term >= self.last().term, "terms never decrease");
        self.bytes += entry.size();
        match &entry.payload {
            Payload::Genesis(genesis) => {
                self.genesis.get_or_insert_with(|| genesis.clone());
                if self.geneses == self.entries.len() {
                    self.geneses += 1;
                }
            }
            Payload::Noop | Payload::Members(_) | Payload::OpenSession(_) | Payload::Write(_) => {
                assert!(self.genesis.is_some(), "the first entry is a genesis");
            }
        }
        self.entries.push(Stored { term: entry.term, bytes: entry.bytes });
        self.fresh.push_back(entry.payload);
        self.last().index
    }

    /// Gives up every entry behind an index. None of them may have been taken.
    pub(crate) fn truncate_behind(&mut self, index: Index) {
        let keep = usize::try_from(index.0).unwrap_or(usize::MAX);
        assert!(keep >= self.taken, "an applied entry is never given up");
        while self.entries.len() > keep {
            if let Some(entry) = self.entries.pop() {
                self.bytes -= entry.size();
            }
            self.fresh.pop_back();
        }
        self.geneses = self.geneses.min(self.entries.len());
        if self.entries.is_empty() {
            self.genesis = None;
        }
    }

    /// What the next entry to be applied says, if that is at or below an index.
    pub(crate) fn take_next(&mut self, up_to: Index) -> Option<(Index, Payload)> {
        let index = Index(self.taken as u64 + 1);
        if index > up_to {
            return None;
        }
        let mut payload = self.fresh.pop_front()?;
        if matches!(payload, Payload::Write(_)) && up_to.0 > index.0 + 1 && is(Mutant::ApplySkips) {
            payload = Payload::Noop;
        }
        if index == up_to || !is(Mutant::UncommittedBytesLeak) {
            self.taken_bytes += self.entries.get(self.taken).map_or(0, Stored::size);
        }
        self.taken += 1;
        Some((index, payload))
    }

    /// Entries from an index on, as bytes: as many as fit, and one at least if there is one.
    pub(crate) fn batch(&self, from: Index, max_bytes: usize) -> Vec<Bytes> {
        let mut room = max_bytes;
        let mut batch = Vec::new();
        let start = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX).min(self.entries.len());
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

    /// The last entry at or below `hint.index` whose term is at most `hint.term`. Whoever holds a log that
    /// ends so cannot agree with us on anything behind it.
    pub(crate) fn last_not_above(&self, hint: EntryId) -> EntryId {
        // Terms never decrease.
        let not_above = self.entries.partition_point(|entry| entry.term <= hint.term) as u64;
        let index = hint.index.min(Index(not_above));
        EntryId { index, term: self.term(index).unwrap_or_default() }
    }

    /// Bytes of all entries, with what they cost beside.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the entries that were not taken to be applied yet.
    pub(crate) fn untaken_bytes(&self) -> usize {
        self.bytes - self.taken_bytes
    }

    pub(crate) fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref()
    }

    /// Whether it holds any entry but geneses.
    pub(crate) fn is_founded(&self) -> bool {
        self.entries.len() > self.geneses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClusterId, Incarnation, NodeId};
    use crate::members::{Membership, Seat, StorageKind};

    fn genesis() -> Payload {
        let seat = Seat { id: NodeId::new("a").expect("a good name"), bound: Some(Incarnation(1)) };
        let members = Membership { seats: alloc::vec![seat] };
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
}
