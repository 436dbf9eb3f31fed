//! Whether a leader still hears so many that it may lead (CheckQuorum). Learners are heard, and count for nothing.

use crate::members::Half;
use crate::mutants::{Mutant, is, is_armed};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::raft::quorum::reached;
use crate::time::Instant;

impl Leader {
    /// Whether no majority was heard for an election timeout.
    pub(super) fn has_lost_its_quorum(&self, common: &Common) -> bool {
        match self.quorum_heard(common) {
            Some(heard) => common.now.since(heard) >= common.election_timeout,
            None => true,
        }
    }

    /// The latest moment since when a majority was heard; `None` if none needs to be, or none was.
    pub(super) fn quorum_heard(&self, common: &Common) -> Option<Instant> {
        // Until it is committed that the voters change, those who come cannot cost a reign: see `change.rs`.
        let who_comes = usize::from(self.may_return(common));
        let heard = self.heard_by(common, common.configuration().halves().skip(who_comes));
        let lost = heard.is_none_or(|heard| common.now.since(heard) >= common.election_timeout);
        let by_anybody = lost && is_armed(Mutant::LearnersKeepQuorum) && self.hears_anybody(common);
        let keeps = by_anybody && is(Mutant::LearnersKeepQuorum) || lost && is(Mutant::NoCheckQuorum);
        if keeps { Some(common.now) } else { heard }
    }

    /// Whether so many were heard as make a majority, voters or not.
    fn hears_anybody(&self, common: &Common) -> bool {
        let is_recent =
            |at: &Option<Instant>| at.is_some_and(|at| common.now.since(at) < common.election_timeout);
        let recent = self.each(|progress| progress.heard).filter(|(_, _, at)| is_recent(at)).count();
        common.configuration().halves().all(|half| recent + 1 >= half.quorum())
    }

    /// The latest moment since when a majority of each half was heard. One always hears oneself.
    pub(super) fn heard_by<'h>(
        &self,
        common: &Common,
        halves: impl Iterator<Item = Half<'h>>,
    ) -> Option<Instant> {
        let heard =
            self.each(|progress| progress.heard).filter_map(|(id, life, heard)| Some((id, life, heard?)));
        reached(halves, heard.chain(core::iter::once((&common.id, common.own, common.now))), 0)
    }
}
