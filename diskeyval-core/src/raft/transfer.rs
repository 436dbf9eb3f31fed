//! Leadership, as it is handed over: because the node stops, because somebody asks for it, or because another member is
//! preferred.
//!
//! 1. The successor is a voter that is linked. It is told once its log is as long as the leader's, which takes in
//!    nothing new meanwhile.
//! 2. After an election timeout the leader gives up, and goes on. A successor that is told later than that stands for an
//!    election like any other: it wins with a complete log alone, and by then it mostly follows nobody
//!    (`follower::hear`), and does not obey.
//! 3. A preference never costs a reign that has just begun: it waits until the leader, and the links to those who are
//!    preferred, have lasted for ten election timeouts, and ten more for each attempt that came to nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::NodeId;
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::raft::message::Directive;
use crate::raft::read::Asker;
use crate::time::Instant;

/// How many election timeouts nothing must have happened before a preference counts.
const CALM: u32 = 10;

/// After so many attempts that came to nothing the wait grows no more.
const MOST_FAILURES: u32 = 1000;

/// A hand-over that is under way.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) to: NodeId,
    told: bool,
    pub(super) give_up_at: Instant,
    /// Who wants to hear of it if nothing comes of it.
    askers: Vec<Asker>,
}

/// Why a leader does not hand over, or has not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Kept {
    /// It does not lead, or its cluster is not founded yet.
    NotLeader,
    /// There is no such member.
    Stranger(NodeId),
    /// The member is not in its seat.
    Seatless(NodeId),
    /// It has no link to the member.
    Unlinked(NodeId),
    /// The member has not caught up.
    Lagging(NodeId),
    /// It hands over to this one already.
    UnderWay(NodeId),
    /// There is no other voter within its reach.
    Alone,
    /// The member was told to take over, and has not. It still may.
    Told(NodeId),
}

/// What a node knows of who should rather lead. It outlives reigns: an attempt may cost one, and come to nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Preference {
    /// This node's own priority.
    pub(super) own: u8,
    /// Those of the nodes that are, or were, linked.
    pub(super) others: BTreeMap<NodeId, u8>,
    /// Whom it was handed over to, until that one is seen to lead.
    tried: Option<NodeId>,
    /// How often it came to nothing, one after the other.
    failures: u32,
}

impl Preference {
    pub(super) fn new(own: u8) -> Preference {
        Preference { own, ..Preference::default() }
    }

    /// Somebody leads.
    pub(super) fn follows(&mut self, leader: &NodeId) {
        if self.tried.as_ref() == Some(leader) {
            self.tried = None;
            self.failures = 0;
        }
    }

    fn tries(&mut self, to: &NodeId) {
        self.tried = Some(to.clone());
        self.failures = (self.failures + 1).min(MOST_FAILURES);
    }

    fn is_above_own(&self, id: &NodeId) -> bool {
        self.others.get(id).is_some_and(|priority| *priority > self.own)
    }

    fn patience(&self, election_timeout: Duration) -> Duration {
        election_timeout * (CALM * (1 + self.failures))
    }
}

impl Leader {
    pub(super) fn is_handing_over(&self) -> bool {
        self.transfer.is_some()
    }

    /// Hands over to the most advanced voter that is linked, whatever else was wished. Tells whether there is one.
    pub(super) fn hand_over(&mut self, common: &mut Common) -> bool {
        self.give_transfer_up(common, |_| Kept::NotLeader);
        let Some(to) = self.most_advanced(common) else { return false };
        self.begin_transfer(common, to, Vec::new());
        true
    }

    /// Hands over to a member, or to the most advanced. Nothing is said when that works: the asker sees who leads.
    pub(super) fn hand_over_to(
        &mut self,
        common: &mut Common,
        asker: Asker,
        to: Option<&NodeId>,
    ) -> Result<(), Kept> {
        if let Some(transfer) = &mut self.transfer {
            if to.is_some_and(|to| *to != transfer.to) {
                return Err(Kept::UnderWay(transfer.to.clone()));
            }
            // Of one node the last question counts alone, so they are no more than there are members.
            transfer.askers.retain(|known| !known.is_of_same_node(&asker));
            transfer.askers.push(asker);
            return Ok(());
        }
        if !common.log.is_founded() {
            return Err(Kept::NotLeader);
        }
        let to = match to {
            Some(to) => self.check_successor(common, to).map(|()| to.clone())?,
            None => self.most_advanced(common).ok_or(Kept::Alone)?,
        };
        self.begin_transfer(common, to, alloc::vec![asker]);
        Ok(())
    }

    fn check_successor(&self, common: &Common, to: &NodeId) -> Result<(), Kept> {
        let configuration = common.configuration();
        if *to == common.id {
            return Err(Kept::NotLeader);
        }
        if !configuration.has_name(to) {
            return Err(Kept::Stranger(to.clone()));
        }
        match self.follower(to).filter(|follower| follower.linked) {
            None => Err(Kept::Unlinked(to.clone())),
            Some(follower) if !configuration.counts(to, follower.progress.incarnation) => {
                Err(Kept::Seatless(to.clone()))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn most_advanced(&self, common: &Common) -> Option<NodeId> {
        self.voters(common.configuration())
            .filter(|(id, _)| self.follower(id).is_some_and(|follower| follower.linked))
            .max_by_key(|(_, progress)| (progress.matched, progress.heard))
            .map(|(id, _)| id.clone())
    }

    fn begin_transfer(&mut self, common: &mut Common, to: NodeId, askers: Vec<Asker>) {
        common.metrics.transfers_started += 1;
        let patience = if is(Mutant::HandOverForever) { 1 << 20 } else { 1 };
        let give_up_at = common.now + common.election_timeout * patience;
        self.transfer = Some(Transfer { to, told: false, give_up_at, askers });
    }

    pub(super) fn finish_transfer(&mut self, common: &mut Common) {
        let Some(transfer) = &mut self.transfer else { return };
        let caught_up = self
            .followers
            .get(&transfer.to)
            .is_some_and(|follower| follower.progress.matched == common.log.last().index);
        if caught_up && !transfer.told {
            transfer.told = true;
            self.lease.end();
            let to = transfer.to.clone();
            common.direct(&to, Directive::TimeoutNow { term: common.term }, Vec::new());
        }
    }

    /// Goes on leading, and says why to those who asked. Who has been told may take over all the same.
    pub(super) fn give_transfer_up(&mut self, common: &mut Common, why: fn(NodeId) -> Kept) {
        let Some(Transfer { to, told, askers, .. }) = self.transfer.take() else { return };
        self.calm_since = common.now;
        let why = if told { Kept::Told(to) } else { why(to) };
        common.kept.extend(askers.into_iter().map(|asker| (asker, why.clone())));
    }

    pub(super) fn tick_transfer(&mut self, common: &mut Common) {
        if self.transfer.as_ref().is_some_and(|transfer| common.now >= transfer.give_up_at) {
            self.give_transfer_up(common, Kept::Lagging);
        }
    }

    /// A link came up: with it, the wait for whom it leads to begins anew, if that one is preferred.
    pub(super) fn preference_linked(&mut self, common: &Common, peer: &NodeId) {
        if common.preference.is_above_own(peer) {
            self.calm_since = common.now;
        }
    }

    /// Asked at every heartbeat: whether somebody should rather lead, who could at once.
    pub(super) fn heed_preference(&mut self, common: &mut Common) {
        let patience = common.preference.patience(common.election_timeout);
        let is_calm = common.now.since(self.calm_since) >= patience;
        if !is_calm || self.transfer.is_some() || !self.is_established(common) || !common.log.is_founded() {
            return;
        }
        let preferred = self
            .voters(common.configuration())
            .filter(|(id, _)| common.preference.is_above_own(id))
            .filter(|(id, _)| {
                self.follower(id).is_some_and(|follower| follower.linked && self.has_caught_up(follower))
            })
            .max_by_key(|(id, progress)| (common.preference.others.get(*id), progress.matched))
            .map(|(id, _)| id.clone());
        if let Some(to) = preferred {
            common.preference.tries(&to);
            self.begin_transfer(common, to, Vec::new());
        }
    }
}
