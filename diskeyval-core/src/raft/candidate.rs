//! Asking whether an election would be won, and standing for it.

use alloc::collections::BTreeSet;

use super::Transition;
use crate::id::{Incarnation, NodeId, Term};
use crate::members::Configuration;
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::message::{Pledge, VoteRequest};

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The term that it stands in, or with `pre` would stand in.
    term: Term,
    pre: bool,
    handed_over: bool,
    granted: BTreeSet<NodeId>,
}

impl Candidate {
    /// The round before an election. Nothing changes anywhere, so it needs no promise even to itself.
    pub(super) fn pre_campaign(common: &mut Common) -> (Candidate, Option<Transition>) {
        common.metrics.pre_votes_started += 1;
        common.enter(common.term, None);
        let mut candidate =
            Candidate { term: common.term.next(), pre: true, handed_over: false, granted: BTreeSet::new() };
        candidate.ask_all(common);
        let (id, own) = (common.id.clone(), common.own);
        let next = candidate.granted(common, &id, own, candidate.term, true);
        // Alone, one asks again only after a heartbeat, should anything keep one from leading.
        common.election_at = common.election_at.max(common.now + common.heartbeat);
        (candidate, next)
    }

    /// The election itself: a new term, and a vote for oneself that counts when it is durable.
    pub(super) fn campaign(common: &mut Common, handed_over: bool) -> Candidate {
        common.metrics.elections_started += 1;
        common.enter_next_term_as_candidate();
        common.election_at = common.election_at.max(common.now + common.heartbeat);
        let mut candidate =
            Candidate { term: common.term, pre: false, handed_over, granted: BTreeSet::new() };
        candidate.ask_all(common);
        candidate
    }

    pub(super) fn is_pre(&self) -> bool {
        self.pre
    }

    fn ask_all(&mut self, common: &mut Common) {
        let others: alloc::vec::Vec<NodeId> =
            common.configuration().names().filter(|name| **name != common.id).cloned().collect();
        for peer in others {
            self.ask(common, &peer);
        }
    }

    /// Asks a member for its vote.
    pub(super) fn ask(&mut self, common: &mut Common, peer: &NodeId) {
        if !common.configuration().names().any(|name| name == peer) {
            return;
        }
        if !common.links.contains_key(peer) {
            common.metrics.request_vote_failed += 1;
            return;
        }
        common.metrics.request_vote_sent += 1;
        let request = VoteRequest {
            term: self.term,
            pre: self.pre,
            last: common.log.last(),
            handed_over: self.handed_over,
            configuration: common.configuration().entry(),
        };
        common.pledge_by_ballot(peer, Pledge::VoteRequest(request));
    }

    /// A vote came, perhaps one's own. Only one of this very round counts, once, and only of a voter.
    pub(super) fn granted(
        &mut self,
        common: &Common,
        from: &NodeId,
        incarnation: Incarnation,
        term: Term,
        pre: bool,
    ) -> Option<Transition> {
        let other_round = pre != self.pre && (self.pre || !is(Mutant::PreGrantsCountAsVotes));
        let other_term = term != self.term && !is(Mutant::CountsGrantsOfOtherTerms);
        if other_round || other_term || !common.electorate().counts(from, incarnation) {
            return None;
        }
        let twice = !self.granted.insert(from.clone()) && is(Mutant::CountsGrantTwice);
        let configuration = common.electorate();
        // The genesis binds the seats of those who are linked: they must be a majority. Who is linked again is asked again.
        let is_there = |id: &NodeId| match configuration {
            Configuration::ByName(_) => *id == common.id || common.links.contains_key(id),
            Configuration::Seats(..) => true,
        };
        if !configuration.is_majority(usize::from(twice), |id| self.granted.contains(id) && is_there(id)) {
            return None;
        }
        Some(if self.pre { Transition::Campaign(false) } else { Transition::Lead })
    }
}
