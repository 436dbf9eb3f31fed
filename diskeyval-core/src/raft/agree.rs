//! Whether the members agree on their state: every so many entries, by its hash.
//!
//! A leader names an index, every follower reports its hash there, and the leader relays what the
//! comparison came to. A node that differs from an agreeing majority halts; without one, all halt.

use alloc::collections::{BTreeMap, VecDeque};

use crate::error::Fault;
use crate::id::{Index, NodeId};
use crate::kv::Checkpoint;
use crate::raft::message::HashVerdict;

/// How many hashes are kept to be compared.
const KEPT: usize = 128;

/// The hashes that this node had at the indexes that are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    recent: VecDeque<Checkpoint>,
}

impl Checkpoints {
    pub(super) fn note(&mut self, checkpoint: Checkpoint) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(checkpoint);
    }

    pub(super) fn latest(&self) -> Option<Checkpoint> {
        self.recent.back().copied()
    }

    pub(super) fn at(&self, index: Index) -> Option<Checkpoint> {
        self.recent.iter().rev().find(|checkpoint| checkpoint.at == index).copied()
    }

    /// What a verdict means for this node.
    pub(super) fn judge(&self, verdict: HashVerdict) -> Option<Fault> {
        match (verdict.agreed, self.at(verdict.at)) {
            (None, _) => Some(Fault::NoAgreement { at: verdict.at }),
            (Some(agreed), Some(own)) if own.hash != agreed => Some(Fault::Diverged { at: verdict.at }),
            (Some(_), _) => None,
        }
    }
}

/// A leader's comparison: one index at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// The index that is compared, and what was reported for it.
    open: Option<(Index, BTreeMap<NodeId, u128>)>,
    /// How many heartbeats it has been open.
    age: u32,
    pub(super) verdict: Option<HashVerdict>,
}

/// After so many heartbeats a comparison that lacks reports gives way to the next.
const PATIENCE: u32 = 10;

impl Comparison {
    /// The index to ask for.
    pub(super) fn index(&self) -> Index {
        self.open.as_ref().map_or(Index(0), |(at, _)| *at)
    }

    /// Called once for each heartbeat: opens the next comparison when the last one is over.
    pub(super) fn beat(&mut self, own: Option<Checkpoint>, id: &NodeId) {
        self.age += 1;
        if self.open.is_some() && self.age <= PATIENCE {
            return;
        }
        let done = self.verdict.map_or(Index(0), |verdict| verdict.at);
        self.age = 0;
        self.open =
            own.filter(|own| own.at > done).map(|own| (own.at, BTreeMap::from([(id.clone(), own.hash)])));
    }

    /// A member in its seat reports. `members` is the size of the membership. Tells what it came to.
    pub(super) fn report(
        &mut self,
        from: &NodeId,
        at: Index,
        hash: u128,
        members: usize,
    ) -> Option<HashVerdict> {
        let (open, reports) = self.open.as_mut().filter(|(open, _)| *open == at)?;
        reports.insert(from.clone(), hash);
        let mut tally: BTreeMap<u128, usize> = BTreeMap::new();
        for hash in reports.values() {
            *tally.entry(*hash).or_default() += 1;
        }
        let agreed = tally.iter().find(|(_, count)| **count > members / 2).map(|(hash, _)| *hash);
        let differing = tally.len() > 1;
        // With a majority that agrees and nobody who differs, the rest may still report; but a verdict
        // can be given at once, since each node compares for itself.
        if agreed.is_none() && !(reports.len() == members && differing) {
            return None;
        }
        let verdict = HashVerdict { at: *open, agreed };
        self.verdict = Some(verdict);
        self.open = None;
        Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a good name")
    }

    fn opened() -> Comparison {
        let mut comparison = Comparison::default();
        comparison.beat(Some(Checkpoint { at: Index(1024), hash: 7 }), &id("a"));
        comparison
    }

    #[test]
    fn a_majority_that_agrees_is_a_verdict() {
        let mut comparison = opened();
        assert_eq!(comparison.index(), Index(1024));
        let verdict = comparison.report(&id("b"), Index(1024), 7, 3);
        assert_eq!(verdict, Some(HashVerdict { at: Index(1024), agreed: Some(7) }));
    }

    #[test]
    fn the_leader_itself_may_be_the_one_that_differs() {
        let mut comparison = opened();
        assert_eq!(comparison.report(&id("b"), Index(1024), 8, 3), None);
        let verdict = comparison.report(&id("c"), Index(1024), 8, 3).expect("two of three agree");
        let mut own = Checkpoints::default();
        own.note(Checkpoint { at: Index(1024), hash: 7 });
        assert_eq!(own.judge(verdict), Some(Fault::Diverged { at: Index(1024) }));
    }

    #[test]
    fn without_a_majority_all_halt() {
        let mut comparison = opened();
        comparison.report(&id("b"), Index(1024), 8, 3);
        let verdict = comparison.report(&id("c"), Index(1024), 9, 3).expect("all have reported");
        assert_eq!(Checkpoints::default().judge(verdict), Some(Fault::NoAgreement { at: Index(1024) }));
    }

    #[test]
    fn only_hashes_of_the_same_index_are_compared() {
        let mut comparison = opened();
        assert_eq!(comparison.report(&id("b"), Index(2048), 8, 3), None);
        let mut own = Checkpoints::default();
        own.note(Checkpoint { at: Index(2048), hash: 8 });
        assert_eq!(own.judge(HashVerdict { at: Index(1024), agreed: Some(7) }), None);
    }
}
