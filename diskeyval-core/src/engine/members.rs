//! What a change of the members means for a node: who is met, whether it is in its seat, and who is told of whom.

use alloc::vec::Vec;

use super::Engine;
use crate::error::Fault;
use crate::id::{EntryId, Incarnation, NodeId};
use crate::io::{Effect, Event};
use crate::members::{Configuration, Member};
use crate::mesh::Service;

impl Engine {
    pub(super) fn note_cluster(&mut self) {
        let genesis = self.raft.log().genesis().filter(|_| self.raft.is_founded());
        if let Some(cluster) = genesis.map(|genesis| genesis.cluster) {
            self.mesh.set_cluster(cluster);
            self.raft.store_mut().set_cluster(cluster);
        }
    }

    /// Whom the log names is met, committed or not: they may have to elect a leader.
    pub(super) fn meet_members(&mut self) {
        if let Configuration::Seats(entry, members) = self.raft.configuration()
            && entry != self.known
        {
            self.mesh.know(entry, members);
            self.known = entry;
        }
    }

    /// Who is not in its seat yet may know but one member, and has to meet whoever leads.
    pub(super) fn introduce(&mut self, peer: &NodeId, incarnation: Incarnation) {
        let Some(members) = self.kv.members().filter(|_| self.admitted) else { return };
        if members.names(peer, incarnation) {
            return;
        }
        let known = members.members().filter(|seat| seat.address.is_some() && seat.id != *peer);
        let known =
            known.map(|seat| Member { node: seat.id.clone(), address: seat.address.clone() }).collect();
        self.mesh.send_service(peer, Service::Members { known }, &[]);
    }

    /// A member says whom there is to be met. Whoever has a log knows better.
    pub(super) fn is_introduced(&mut self, known: Vec<Member>) {
        if matches!(self.raft.configuration(), Configuration::ByName(_)) {
            self.mesh.list(known);
        }
    }

    pub(super) fn members_applied(&mut self) {
        let Some(members) = self.kv.members() else { return };
        if let Some(entry) = self.raft.configuration_at(self.kv.applied()) {
            self.mesh.set_members(entry.index, members.clone());
            // Who has gone by it is known no more.
            self.known = EntryId::default();
        }
        let named = members.names(&self.id, self.incarnation);
        if self.admitted && !named {
            if members.has_replaced(&self.id, self.incarnation) {
                self.raft.fail(Fault::Superseded);
            }
            // It may be a member again by a later entry. If it is not, the others will tell.
            self.admitted = false;
        }
        if named {
            self.desk.want_session();
            if !self.admitted {
                self.admitted = true;
                self.removed_by = None;
                self.effects.push_back(Effect::Event(Event::Admitted));
            }
        }
    }
}
