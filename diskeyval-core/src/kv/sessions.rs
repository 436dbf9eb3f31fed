//! Exactly once: which writes of which node were applied already, and what they came to.
//!
//! All of this is replicated state. It changes only by applied entries, so it is the same on every node
//! at the same index, and a retry finds the first answer whoever leads by then.
//!
//! 1. A session is opened by an entry, and its id is the index of that entry.
//! 2. Per session, every sequence number below `floor` has ended for its owner and is never applied again.
//! 3. At and above `floor` an answer stands for exactly the numbers that were applied.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::few::few_queued;
use crate::id::{Incarnation, NodeId};
use crate::kv::Outcome;
use crate::mutants::{Mutant, is};

/// How far a sequence number may be ahead of its session's floor.
pub(crate) const WINDOW: u64 = MOST_ANSWERS as u64;

/// [`WINDOW`], as memory counts.
const MOST_ANSWERS: usize = 1 << 20;

/// The id of a session: the index of the entry that opened it.
pub(crate) type SessionId = u64;

/// All sessions of the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    open: BTreeMap<SessionId, Session>,
    /// Sum of the hashes of all answers.
    answers_hash: u128,
}

/// Who opened a session, and in which life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Drawn at each start: the same storage may be opened again by the next.
    pub(crate) boot: u128,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    owner: Owner,
    floor: u64,
    #[serde(deserialize_with = "few_queued::<MOST_ANSWERS, _, _>")]
    answers: VecDeque<Option<Outcome>>,
}

/// What the table says of a write before it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new: apply it, and record the outcome.
    New,
    /// It was applied before, and came to this.
    Applied(Outcome),
    /// Its number has ended for its owner: nobody waits, and it must not be applied.
    Stale,
    /// There is no such session (any more).
    NoSession,
    /// Its number is too far ahead.
    TooFar,
}

impl Sessions {
    /// Opens a session at an index. Repeated, it gives the same id; the owner's next boot ends the former.
    pub(crate) fn open(&mut self, at: SessionId, owner: Owner) -> SessionId {
        let former = self.open.iter().find(|(_, session)| session.owner.node == owner.node);
        if let Some((&id, session)) = former {
            if session.owner == owner && !is(Mutant::OpeningNotIdempotent) {
                return id;
            }
            self.end(id);
        }
        self.open.insert(at, Session { owner, floor: 1, answers: VecDeque::new() });
        at
    }

    fn end(&mut self, id: SessionId) {
        if let Some(session) = self.open.remove(&id) {
            for (seq, outcome) in (session.floor..).zip(session.answers) {
                self.answers_hash =
                    self.answers_hash.wrapping_sub(outcome.map_or(0, |o| answer_hash(id, seq, &o)));
            }
        }
    }

    /// Judges a write and, as its entry says that all numbers below `floor` have ended, forgets those.
    pub(crate) fn judge(&mut self, id: SessionId, seq: u64, floor: u64) -> Verdict {
        let Some(session) = self.open.get_mut(&id) else { return Verdict::NoSession };
        while session.floor < floor.min(seq) {
            if let Some(Some(outcome)) = session.answers.pop_front() {
                self.answers_hash = self.answers_hash.wrapping_sub(answer_hash(id, session.floor, &outcome));
            }
            if session.answers.is_empty() {
                session.floor = floor.min(seq);
            } else {
                session.floor += 1;
            }
        }
        let Some(ahead) = seq.checked_sub(session.floor) else { return Verdict::Stale };
        if ahead >= WINDOW {
            return Verdict::TooFar;
        }
        match usize::try_from(ahead).ok().and_then(|ahead| session.answers.get(ahead)) {
            Some(Some(_)) if is(Mutant::NoDedupe) => Verdict::New,
            Some(Some(outcome)) => Verdict::Applied(*outcome),
            Some(None) | None => Verdict::New,
        }
    }

    /// Records what a write came to that was judged new.
    pub(crate) fn record(&mut self, id: SessionId, seq: u64, outcome: Outcome) {
        let Some(session) = self.open.get_mut(&id) else { return };
        let Ok(ahead) = usize::try_from(seq - session.floor) else { return };
        if session.answers.len() <= ahead {
            session.answers.resize(ahead + 1, None);
        }
        session.answers[ahead] = Some(outcome);
        self.answers_hash = self.answers_hash.wrapping_add(answer_hash(id, seq, &outcome));
    }

    /// Who owns a session.
    pub(crate) fn owner(&self, id: SessionId) -> Option<&Owner> {
        self.open.get(&id).map(|session| &session.owner)
    }

    /// What a write came to, if that is known here.
    pub(crate) fn answer(&self, id: SessionId, seq: u64) -> Option<Outcome> {
        let session = self.open.get(&id)?;
        let ahead = usize::try_from(seq.checked_sub(session.floor)?).ok()?;
        session.answers.get(ahead).copied().flatten()
    }

    /// The session of this very owner, if one is open.
    pub(crate) fn of(&self, owner: &Owner) -> Option<SessionId> {
        self.open.iter().find(|(_, session)| session.owner == *owner).map(|(id, _)| *id)
    }

    /// All of it, for a snapshot.
    pub(super) fn table(&self) -> &BTreeMap<SessionId, Session> {
        &self.open
    }

    /// From a snapshot of the state at an index; `None` if that cannot be what any node had.
    pub(super) fn from_table(open: BTreeMap<SessionId, Session>, at: u64) -> Option<Sessions> {
        let mut answers_hash = 0u128;
        let mut owners = BTreeSet::new();
        for (&id, session) in &open {
            // Judging a number never leaves a gap at the end, nor more than a window of them.
            let ends = session.answers.back().is_none_or(Option::is_some);
            let within =
                session.answers.len() as u64 <= WINDOW && session.floor.checked_add(WINDOW).is_some();
            if id > at || !ends || !within || !owners.insert(&session.owner.node) {
                return None;
            }
            for (seq, outcome) in (session.floor..).zip(&session.answers) {
                let hash = outcome.as_ref().map_or(0, |outcome| answer_hash(id, seq, outcome));
                answers_hash = answers_hash.wrapping_add(hash);
            }
        }
        Some(Sessions { open, answers_hash })
    }

    /// A hash of all of it.
    pub(crate) fn hash(&self) -> u128 {
        let mut sum = self.answers_hash;
        for (id, session) in &self.open {
            let mut bytes = [0; 8 + 16 + 16 + 8];
            bytes[..8].copy_from_slice(&id.to_le_bytes());
            bytes[8..24].copy_from_slice(&session.owner.incarnation.0.to_le_bytes());
            bytes[24..40].copy_from_slice(&session.owner.boot.to_le_bytes());
            bytes[40..].copy_from_slice(&session.floor.to_le_bytes());
            let owner = xxh3_128(session.owner.node.as_str().as_bytes());
            sum = sum.wrapping_add(xxh3_128(&bytes) ^ owner);
        }
        sum
    }
}

fn answer_hash(id: SessionId, seq: u64, outcome: &Outcome) -> u128 {
    let (kind, revision, detail) = match *outcome {
        Outcome::Set { revision } => (1, revision, 0),
        Outcome::Deleted { revision, found } => (2, revision, u64::from(found)),
        Outcome::Swapped { revision } => (3, revision, 0),
        Outcome::Mismatch { revision, actual } => (4, revision, actual),
    };
    let mut bytes = [0; 40];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip([id, seq, kind, revision, detail]) {
        chunk.copy_from_slice(&u64::to_le_bytes(word));
    }
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(node: &str, boot: u128) -> Owner {
        Owner { node: NodeId::new(node).expect("a good name"), incarnation: Incarnation(1), boot }
    }

    fn set(revision: u64) -> Outcome {
        Outcome::Set { revision }
    }

    #[test]
    fn a_repeated_write_is_answered_with_the_first_answer() {
        let mut sessions = Sessions::default();
        let id = sessions.open(5, owner("n1", 1));
        assert_eq!(sessions.judge(id, 1, 1), Verdict::New);
        sessions.record(id, 1, set(6));
        assert_eq!(sessions.judge(id, 2, 1), Verdict::New);
        sessions.record(id, 2, set(7));
        assert_eq!(sessions.judge(id, 1, 1), Verdict::Applied(set(6)), "the older answer, not the latest");
        assert_eq!(sessions.judge(id, 2, 1), Verdict::Applied(set(7)));
    }

    #[test]
    fn a_number_below_the_floor_is_never_applied_again() {
        let mut sessions = Sessions::default();
        let id = sessions.open(5, owner("n1", 1));
        assert_eq!(sessions.judge(id, 9, 4), Verdict::New);
        sessions.record(id, 9, set(6));
        assert_eq!(sessions.judge(id, 3, 1), Verdict::Stale);
        assert_eq!(sessions.judge(id, 4, 1), Verdict::New, "a gap at or above the floor is still open");
    }

    #[test]
    fn an_unknown_session_never_creates_one() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.judge(7, 1, 1), Verdict::NoSession);
        sessions.record(7, 1, set(8));
        assert_eq!(sessions.hash(), Sessions::default().hash());
    }

    #[test]
    fn an_opening_that_is_repeated_answers_the_same_id_and_the_next_boot_ends_the_former() {
        let mut sessions = Sessions::default();
        let first = sessions.open(5, owner("n1", 1));
        assert_eq!(sessions.open(8, owner("n1", 1)), first);
        let second = sessions.open(9, owner("n1", 2));
        assert_ne!(first, second);
        assert_eq!(sessions.judge(first, 1, 1), Verdict::NoSession);
        assert_eq!(sessions.judge(second, 1, 1), Verdict::New);
    }

    #[test]
    fn a_number_beyond_the_window_is_refused() {
        let mut sessions = Sessions::default();
        let id = sessions.open(1, owner("n1", 1));
        assert_eq!(sessions.judge(id, WINDOW + 1, 1), Verdict::TooFar);
        assert_eq!(sessions.judge(id, WINDOW, 1), Verdict::New);
    }

    #[test]
    fn the_hash_forgets_what_the_table_forgets() {
        let mut left = Sessions::default();
        let mut right = Sessions::default();
        let (a, b) = (left.open(1, owner("n1", 1)), right.open(1, owner("n1", 1)));
        for seq in 1..50 {
            left.judge(a, seq, 1);
            left.record(a, seq, set(seq + 1));
        }
        left.judge(a, 50, 50);
        right.judge(b, 50, 50);
        assert_eq!(left.hash(), right.hash());
    }
}
