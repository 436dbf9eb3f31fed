//! Linearizable reads: a leader lets a majority confirm that it still leads, once for all reads that wait.
//!
//! 1. A round has a number that no other round of this boot ever has, in whichever reign.
//! 2. A round begins after the reads that it serves were asked for, and after an entry of the leader's own
//!    term was committed; its index is the commit index at that moment.
//! 3. A confirmation counts only in the term, and on the link, on which it was asked for.

use alloc::vec::Vec;

use super::NotNow;
use crate::id::{Index, NodeId};
use crate::mutants::{Mutant, is};

/// Who waits for a read index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// This node's own front desk.
    Own(u64),
    /// A follower, by the number of its question.
    Peer(NodeId, u64),
}

impl Asker {
    /// Whether the same node asks.
    pub(super) fn is_of_same_node(&self, other: &Asker) -> bool {
        match (self, other) {
            (Asker::Own(_), Asker::Own(_)) => true,
            (Asker::Peer(one, _), Asker::Peer(other, _)) => one == other,
            (Asker::Own(_), Asker::Peer(..)) | (Asker::Peer(..), Asker::Own(_)) => false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    waiting: Vec<Asker>,
    current: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    number: u64,
    index: Index,
    askers: Vec<Asker>,
}

/// How many may wait. A node has one question on its way at a time, so only a liar gets near.
pub(super) const MAX_ASKERS: usize = 1024;

impl Rounds {
    pub(super) fn ask(&mut self, asker: Asker) -> Result<(), NotNow> {
        if self.waiting.len() >= MAX_ASKERS {
            return Err(NotNow);
        }
        match &mut self.current {
            Some(round) if is(Mutant::JoinsRoundUnderWay) => round.askers.push(asker),
            Some(_) | None => self.waiting.push(asker),
        }
        Ok(())
    }

    /// Whether a round should begin: somebody waits, and none is on its way.
    pub(super) fn is_due(&self) -> bool {
        self.current.is_none() && !self.waiting.is_empty()
    }

    pub(super) fn begin(&mut self, number: u64, index: Index) {
        let askers = core::mem::take(&mut self.waiting);
        self.current = Some(Round { number, index, askers });
    }

    /// The number of the round on its way.
    pub(super) fn current(&self) -> Option<u64> {
        self.current.as_ref().map(|round| round.number)
    }

    /// A majority has confirmed every round up to this number.
    pub(super) fn confirmed(&mut self, number: u64) -> Vec<(Asker, Option<Index>)> {
        let former = |round: &Round| number > 0 && round.number == number + 1 && is(Mutant::OldRoundConfirms);
        match self.current.take_if(|round| round.number <= number || former(round)) {
            Some(round) => round.askers.into_iter().map(|asker| (asker, Some(round.index))).collect(),
            None => Vec::new(),
        }
    }

    /// The reign is over: all have to ask another leader.
    pub(super) fn give_up(&mut self) -> Vec<(Asker, Option<Index>)> {
        let askers = self.current.take().map(|round| round.askers).unwrap_or_default();
        askers.into_iter().chain(self.waiting.drain(..)).map(|asker| (asker, None)).collect()
    }
}
