//! What a node says of itself: its status, where it stands, and why it cannot serve.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Engine, Phase};
use crate::error::Refusal;
use crate::founding::Verdict;
use crate::id::NodeId;
use crate::members::Configuration;
use crate::mesh::Heard;
use crate::status::{MemberStatus, Part, Standing, Status};

/// The part of a node in the members that are in force.
fn part(configuration: Configuration<'_>, id: &NodeId) -> Part {
    let members = match configuration {
        Configuration::ByName(names) => return if names.contains(id) { Part::Voter } else { Part::Stranger },
        Configuration::Seats(_, members) => members,
    };
    let is_going = members.outgoing.iter().any(|seat| seat.id == *id);
    match (members.seat(id).is_some(), is_going) {
        (true, false) if members.is_joint() => Part::Coming,
        (true, _) => Part::Voter,
        (false, true) => Part::Going,
        (false, false) if members.learner(id).is_some() => Part::Learner,
        (false, false) => Part::Stranger,
    }
}

impl Engine {
    /// What this node knows of itself and its peers.
    pub fn status(&self) -> Status {
        let last = self.raft.log().last();
        let members = self.status_of_members();
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
            released_index: self.raft.log().base().index,
            log_bytes: self.raft.log().bytes(),
            state_hash: self.kv.hash(),
            members,
            certificates: None,
        }
    }

    fn status_of_members(&self) -> Vec<MemberStatus> {
        let last = self.raft.log().last();
        let configuration = self.raft.configuration();
        let place = |id: &NodeId| match configuration {
            Configuration::Seats(_, members) => members.member(id),
            Configuration::ByName(_) => None,
        };
        let seat = |id: &NodeId| place(id).and_then(|seat| seat.bound);
        let own_part = match configuration {
            // The names are those of members that it can reach, and its own.
            Configuration::ByName(_) if self.joins => Part::Stranger,
            configuration => part(configuration, &self.id),
        };
        let own = MemberStatus {
            node_id: self.id.clone(),
            part: own_part,
            address: place(&self.id)
                .and_then(|seat| seat.address.as_ref())
                .map_or_else(|| self.own_address.clone(), ToString::to_string),
            seat: seat(&self.id),
            linked: true,
            trouble: None,
            matched: self.raft.is_leader().then_some(last.index),
            heard: None,
        };
        let peers = self.mesh.peers().map(|peer| {
            let progress = self.raft.progress(peer.id);
            let seat = seat(peer.id);
            let another_life = match (seat, self.raft.linked_incarnation(peer.id)) {
                (Some(bound), Some(linked)) => bound != linked,
                (_, _) => false,
            };
            let trouble = match peer.trouble {
                _ if another_life => {
                    Some("it restarted without its memory or its disk, and is not in its seat yet")
                }
                trouble if !peer.linked => Some(trouble.unwrap_or("not reached yet")),
                _ => None,
            };
            MemberStatus {
                node_id: peer.id.clone(),
                part: part(configuration, peer.id),
                address: peer.address.map(ToString::to_string).unwrap_or_default(),
                seat,
                linked: peer.linked,
                trouble: trouble.map(ToString::to_string),
                matched: progress.map(|progress| progress.matched),
                heard: progress.and_then(|progress| progress.heard).map(|at| self.now.since(at)),
            }
        });
        let mut members: Vec<MemberStatus> = core::iter::once(own).chain(peers).collect();
        members.sort_by(|left, right| left.node_id.cmp(&right.node_id));
        members
    }

    pub(super) fn standing(&self) -> Standing {
        match &self.phase {
            Phase::Running if self.opening.is_some() => return Standing::Opening,
            Phase::Running => {}
            Phase::Stopping { .. } | Phase::Stopped => return Standing::Stopping,
            Phase::Halted(fault) => return Standing::Halted(fault.to_string()),
            Phase::Damaged(damage, _) => return Standing::Damaged(damage.to_string()),
        }
        // Who has applied more than that, and is in its seat, was taken in again.
        if self.removed_by.is_some_and(|by| !self.admitted || self.kv.applied() < by) {
            return Standing::Removed(REMOVED.into());
        }
        if self.admitted {
            let is_voter = self.raft.configuration().counts(&self.id, self.incarnation);
            return if is_voter { Standing::Member } else { Standing::Learner };
        }
        if let Configuration::Seats(_, members) = self.raft.configuration()
            && self.raft.is_founded()
        {
            let Some(seat) = members.member(&self.id) else {
                return Standing::Waiting(NOT_ANNOUNCED.into());
            };
            let text = match seat.bound {
                Some(bound) if bound == self.incarnation => {
                    "its seat is filled, and the entry not committed yet"
                }
                Some(_) if !members.can_do_without_one() => TOO_FEW,
                Some(_) => NEXT_LIFE,
                None => "its seat is empty; the leader fills it once this node has caught up",
            };
            return Standing::Waiting(text.into());
        }
        if self.joins {
            return Standing::Waiting(NOT_ANNOUNCED.into());
        }
        if self.is_anew {
            return Standing::Waiting(BEGUN_ANEW.into());
        }
        match self.founding.judge(self.now, self.mesh.peers()) {
            Verdict::Allowed => {
                let (troubles, _) = self.troubles();
                let missing = if troubles.is_empty() {
                    String::new()
                } else {
                    alloc::format!(" ({})", troubles.join("; "))
                };
                Standing::Founding(alloc::format!(
                    "ready to found the cluster; waiting for a majority{missing}"
                ))
            }
            Verdict::Wait(why) | Verdict::Disagreement(why) => Standing::Founding(why),
            Verdict::Founded(by) => Standing::Waiting(alloc::format!(
                "the cluster is founded already (says {by}), and {NOT_TAKEN_IN}"
            )),
        }
    }

    /// Why what has used up its time could not be served.
    pub(super) fn refusal(&self) -> Refusal {
        match self.standing() {
            Standing::Opening => Refusal::NotAdmitted { why: "it still reads what it has kept".into() },
            Standing::Founding(why) => Refusal::NoQuorum { why },
            Standing::Waiting(why) | Standing::Removed(why) => Refusal::NotAdmitted { why },
            Standing::Damaged(_)
            | Standing::Member
            | Standing::Learner
            | Standing::Stopping
            | Standing::Halted(_) => {
                let (troubles, members) = self.troubles();
                let able = members - troubles.len();
                Refusal::NoQuorum { why: in_the_way(self.raft.leader(), able, members, &troubles) }
            }
        }
    }

    /// Whether this node is not in its seat, and, as far as it knows, will not be soon.
    pub(super) fn is_shut_out(&self) -> bool {
        match self.raft.configuration() {
            Configuration::Seats(_, members) => {
                let bound = members.member(&self.id).and_then(|seat| seat.bound);
                !members.can_do_without_one() && bound.is_some_and(|bound| bound != self.incarnation)
            }
            // A leader takes in whom it meets; what has met a founded cluster and hears no leader for an
            // election timeout has none that would.
            Configuration::ByName(_) => {
                self.mesh.peers().any(|peer| matches!(peer.heard, Heard::Founded(_)))
                    && self.raft.leader().is_none()
                    && self.raft.has_waited_for_a_leader()
            }
        }
    }

    /// What is wrong with each member that cannot vote or acknowledge, and how many members there are.
    fn troubles(&self) -> (Vec<String>, usize) {
        let mut members = self.status_of_members();
        members.retain(|member| member.part.votes());
        let count = members.len();
        let troubles = members
            .into_iter()
            .filter_map(|member| {
                member.trouble.map(|trouble| alloc::format!("{}: {trouble}", member.node_id))
            })
            .collect();
        (troubles, count)
    }
}

/// What a node says that knows that another life of it is in its seat.
const NEXT_LIFE: &str = "this node has lost its memory or its disk, and its seat is bound to the life before that; the leader \
    gives it the seat once it has caught up, the former life is silent, and a majority of the others answers";

/// The same, where there is no majority of the others.
const TOO_FEW: &str = "this node has lost its memory or its disk, and its seat is bound to the life before that; in a cluster of \
    one or two there is no majority without it that could give it the seat: start all nodes anew, empty";

/// What a node says that has set its damaged files aside, and knows of no log yet.
const BEGUN_ANEW: &str = "this node has set its damaged files aside and begun anew; it founds nothing, and waits for the leader \
    to bring it up to date and to give it its seat";

/// What a node says that has learned that it is no member any more.
const REMOVED: &str = "this node was removed from its cluster; stop it, and give its directory up if it has one, or announce it \
    there anew (`add ID`, at a member)";

/// What a node says that is to join a cluster, and is no member as far as it knows.
const NOT_ANNOUNCED: &str = "this node is no member of the cluster, as far as it knows; it is taken in as a learner as soon as \
    it is announced there (`add ID=HOST:PORT`, at any member)";

/// What a node says that has met a founded cluster, and does not know its seats.
const NOT_TAKEN_IN: &str = "no leader has taken this node in yet: one does that once it leads, with a majority without this node, \
    and no other process under this name is heard";

/// What stands in the way when no majority answers, put together from what is wrong with each member.
fn in_the_way(leader: Option<&NodeId>, able: usize, members: usize, troubles: &[String]) -> String {
    let leader = match leader {
        Some(leader) => alloc::format!("the leader {leader} has not answered in time"),
        None => "no leader is known".into(),
    };
    let mut text =
        alloc::format!("{leader}; {able} of {members} members are within reach, this one included");
    if !troubles.is_empty() {
        text.push_str(" (");
        text.push_str(&troubles.join("; "));
        text.push(')');
    }
    text
}
