//! What a node says of itself: its status, where it stands, and why it cannot serve.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Engine, Phase};
use crate::desk::in_the_way;
use crate::error::Refusal;
use crate::founding::Verdict;
use crate::id::NodeId;
use crate::members::Configuration;
use crate::status::{MemberStatus, Standing, Status};

impl Engine {
    /// What this node knows of itself and its peers.
    pub fn status(&self) -> Status {
        let last = self.raft.log().last();
        let configuration = self.raft.configuration();
        let seat = |id: &NodeId| match configuration {
            Configuration::Seats(_, members) => members.seat(id).and_then(|seat| seat.bound),
            Configuration::ByName(_) => None,
        };
        let own = MemberStatus {
            node_id: self.id.clone(),
            address: self.own_address.clone(),
            seat: seat(&self.id),
            linked: true,
            trouble: None,
            matched: self.raft.is_leader().then_some(last.index),
            heard: None,
        };
        let peers = self.mesh.peers().map(|peer| {
            let progress = self.raft.progress(peer.id);
            MemberStatus {
                node_id: peer.id.clone(),
                address: peer.address.to_string(),
                seat: seat(peer.id),
                linked: peer.linked,
                trouble: peer.trouble.filter(|_| !peer.linked).map(ToString::to_string),
                matched: progress.map(|progress| progress.matched),
                heard: progress.and_then(|progress| progress.heard).map(|at| self.now.since(at)),
            }
        });
        let mut members: Vec<MemberStatus> = core::iter::once(own).chain(peers).collect();
        members.sort_by(|left, right| left.node_id.cmp(&right.node_id));
        Status {
            node_id: self.id.clone(),
            incarnation: self.incarnation,
            cluster_id: self
                .raft
                .log()
                .genesis()
                .filter(|_| self.raft.is_founded())
                .map(|genesis| genesis.cluster),
            standing: self.standing(),
            role: self.raft.role(),
            term: self.raft.term(),
            leader: self.raft.leader().cloned(),
            last_index: last.index,
            last_term: last.term,
            commit_index: self.raft.commit(),
            last_applied: self.kv.applied(),
            keys: self.kv.keys(),
            log_bytes: self.raft.log().bytes(),
            state_hash: self.kv.hash(),
            members,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        match &self.phase {
            Phase::Running => {}
            Phase::Stopping(_) | Phase::Stopped => return Standing::Stopping,
            Phase::Halted(fault) => return Standing::Halted(fault.to_string()),
        }
        if self.admitted {
            return Standing::Member;
        }
        if let Configuration::Seats(_, members) = self.raft.configuration()
            && self.raft.is_founded()
        {
            let text = match members.seat(&self.id).and_then(|seat| seat.bound) {
                Some(bound) if bound == self.incarnation => {
                    "its seat is filled, and the entry not committed yet"
                }
                Some(_) => AMNESIA,
                None => "its seat is empty; the leader fills it once this node has caught up",
            };
            return Standing::Waiting(text.into());
        }
        match self.founding.judge(self.now, self.mesh.peers()) {
            Verdict::Allowed => {
                Standing::Founding("ready to found the cluster; waiting for a majority".into())
            }
            Verdict::Wait(why) | Verdict::Disagreement(why) => Standing::Founding(why),
            Verdict::Founded(by) => {
                Standing::Waiting(alloc::format!("{by} belongs to a founded cluster: {AMNESIA}"))
            }
        }
    }

    /// Why what has used up its time could not be served.
    pub(super) fn refusal(&self) -> Refusal {
        match self.standing() {
            Standing::Founding(why) => Refusal::NoQuorum { why },
            Standing::Waiting(why) => Refusal::NotAdmitted { why },
            Standing::Member | Standing::Stopping | Standing::Halted(_) => {
                let troubles: Vec<String> = self
                    .mesh
                    .peers()
                    .filter(|peer| !peer.linked)
                    .map(|peer| alloc::format!("{}: {}", peer.id, peer.trouble.unwrap_or("not reached yet")))
                    .collect();
                let members = self.mesh.peers().count() + 1;
                let linked = members - troubles.len();
                Refusal::NoQuorum { why: in_the_way(self.raft.leader(), linked, members, &troubles) }
            }
        }
    }
}

/// What a node is told that has lost its memory.
const AMNESIA: &str = "its seat is bound to an earlier life of this node; a memory-only node that restarts \
    has lost what it promised, and stays out";
