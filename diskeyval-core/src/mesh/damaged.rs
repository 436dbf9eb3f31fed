//! What is said on links while a file of one end is damaged: who it is, that it keeps out, and that it may begin anew.

use alloc::vec::Vec;

use super::link::Link;
use super::{Dial, Mesh, Peer};
use crate::error::CloseReason;
use crate::id::{ClusterId, ConnId, Incarnation, NodeId};
use crate::raft::{Directive, Outgoing};

/// What is wrong with a member that keeps out, as the others tell it.
pub(super) const DAMAGED: &str = "a file of it is damaged, and it keeps out of everything";

impl Mesh {
    /// The node may be met from now on, and says that it keeps out. The cluster is the one that it belongs to, as far as
    /// it knows.
    pub(crate) fn speak_as_damaged(&mut self, incarnation: Incarnation, cluster: Option<ClusterId>) {
        self.hello.damaged = true;
        self.hello.cluster = cluster;
        self.speak(incarnation);
    }

    /// The node becomes another life of itself, in another boot. Until that is ready to be met, nobody is.
    pub(crate) fn fall_silent(&mut self, boot: u128, why: CloseReason) {
        self.retire(&why);
        // A dial that is on its way is forgotten: its link would be that of the former life.
        for peer in self.peers.values_mut() {
            if !matches!(peer.dial, Dial::At(_)) {
                peer.dial = Dial::At(self.now);
            }
        }
        self.delivered.clear();
        self.hello.damaged = false;
        self.hello.cluster = None;
        self.hello.boot = boot;
        self.be_mute(why);
    }

    /// Nobody is met from now on, before the node [speaks](Mesh::speak) again. What was known of others counts no more.
    pub(crate) fn retire(&mut self, why: &CloseReason) {
        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in conns {
            self.shut(conn, why.clone(), true);
        }
        self.be_mute(why.clone());
    }

    /// Whether a link to a member is up over which it takes part.
    pub(super) fn takes_part(&self, peer: &Peer) -> bool {
        let link = peer.link.and_then(|conn| self.links.get(&conn));
        link.is_some_and(|link| !link.is_damaged())
    }

    /// The link to a member, if this may be said on it.
    pub(super) fn link_for(&mut self, to: &NodeId, message: &Outgoing) -> Option<&mut Link> {
        let is_offer = matches!(message, Outgoing::Directive(Directive::Offer { .. }, _));
        self.link_to(to).filter(|link| link.is_damaged() == is_offer)
    }
}

#[cfg(test)]
mod tests;
