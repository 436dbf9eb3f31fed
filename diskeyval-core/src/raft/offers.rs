//! Members whose files are damaged: they keep out until a leader offers to take them in again.
//!
//! 1. A damaged member is no follower: it is sent nothing, and nothing of it counts.
//! 2. It is offered to begin anew only while a majority of the seats without it is there and holds everything that is
//!    committed, and no change of members is under way. Before that, what it holds may be all there is.
//! 3. The rest is that of any life without a log: `seats.rs`.

use alloc::vec::Vec;

use super::{Outgoing, Raft, Role};
use crate::id::NodeId;
use crate::members::Configuration;
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::leader::{Follower, Leader};
use crate::raft::message::{Directive, Received};

/// Whether this is the word that a damaged node waits for.
pub(crate) fn is_offer(message: &Received) -> bool {
    matches!(message, Received::Directive(Directive::Offer { .. }, _))
}

impl Raft {
    /// A link to a member came up that says that a file of it is damaged.
    pub(crate) fn link_up_damaged(&mut self, peer: &NodeId) {
        self.common.links.remove(peer);
        self.common.damaged.insert(peer.clone());
        if let Role::Leader(leader) = &mut self.role {
            leader.keeps_out(&self.common, peer);
        }
    }
}

impl Leader {
    /// A follower is none any more. What it has acknowledged, it may not hold.
    fn keeps_out(&mut self, common: &Common, peer: &NodeId) {
        let Some(former) = self.followers.remove(peer) else { return };
        if common.configuration().counts(peer, former.progress.incarnation) {
            let heard = former.progress.heard.unwrap_or(self.began);
            self.bound_heard.insert(peer.clone(), heard);
        }
    }

    /// Tells damaged members that the cluster can do without what they hold, if it can.
    pub(super) fn offer(&self, common: &mut Common) {
        let Configuration::Seats(entry, members) = common.configuration() else { return };
        let is_open = entry.index > common.commit;
        if common.damaged.is_empty()
            || is_open
            || !members.can_do_without_one()
            || !self.is_established(common)
        {
            return;
        }
        let can_do_without = |peer: &&NodeId| {
            members.member(peer).is_some()
                && (self.holds_everything_without(common, peer) || is(Mutant::OffersWithoutMajority))
        };
        let to: Vec<NodeId> = common.damaged.iter().filter(can_do_without).cloned().collect();
        for peer in to {
            let offer = Directive::Offer { term: common.term };
            common.send(peer, Outgoing::Directive(offer, Vec::new()));
        }
    }

    /// Whether a majority of all seats is there, in the lives that are in them, and holds what is committed, without this
    /// member.
    fn holds_everything_without(&self, common: &Common, member: &NodeId) -> bool {
        let has_it = |id: &NodeId| match self.follower(id) {
            _ if id == member => false,
            _ if *id == common.id => self.own_matched >= common.commit,
            Some(Follower { linked: true, progress }) => {
                progress.matched >= common.commit && common.configuration().counts(id, progress.incarnation)
            }
            Some(_) | None => false,
        };
        common.configuration().is_majority(0, has_it)
    }
}
