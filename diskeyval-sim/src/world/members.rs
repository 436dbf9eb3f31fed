//! Changes of the members: what is asked of the nodes, and what of them can be spared meanwhile.
//!
//! Who can be spared is reckoned by all members that any log knows of, since any of them may be those that a leader goes by:
//! of each half a majority has to be left that has forgotten nothing. So it is with what was asked for, and may come about.

use core::time::Duration;

use diskeyval_core::inspect::Members;
use diskeyval_core::{Incarnation, Member, MemberChange, NodeId, Request};

use super::lives::Death;
use super::{Node, Undo, World, address_of};
use crate::notes::name;

/// How long a change may take at the most: it is over when the run turns friendly and has settled.
const CHANGE_WITHIN: Duration = Duration::from_secs(3);

impl World<'_, '_, '_> {
    /// A node is asked to change the members.
    pub(super) fn reshape(
        &mut self,
        asked: usize,
        other: usize,
        group: &[usize],
        lasting: Duration,
        strength: u64,
    ) {
        let Some(reshape) = self.setting.reshape else { return };
        // Who goes on alone would take in who is to be taken in elsewhere.
        let Some(engine) = self.nodes[asked].engine.as_ref().filter(|_| !self.nodes[asked].goes_on_alone)
        else {
            return;
        };
        let voters: Vec<NodeId> = engine
            .members()
            .map_or(Vec::new(), |members| members.seats.into_iter().map(|(id, _)| id).collect());
        let node = self.names[other].clone();
        // Where it is, is said or not: then it comes by itself.
        let address = |node: &NodeId| {
            let place = self.names.iter().position(|name| name == node)?;
            (strength & 8 > 0).then(|| address_of(place).parse().expect("a good address"))
        };
        let member = |node: &NodeId| Member { node: node.clone(), address: address(node) };
        let reconfigure = |mut wanted: Vec<NodeId>| {
            // Whoever is left has to be able to do without one.
            for node in self.names.iter().cycle().skip(other).take(2 * self.names.len()) {
                if wanted.len() < reshape.least && !wanted.contains(node) {
                    wanted.push(node.clone());
                }
            }
            MemberChange::Reconfigure { members: wanted.iter().map(member).collect() }
        };
        let change = match strength % 6 {
            0 | 1 => reconfigure(group.iter().map(|node| self.names[*node].clone()).collect()),
            2 => MemberChange::AddLearner { member: member(&node) },
            3 => MemberChange::Promote { node },
            4 => MemberChange::Remove { node },
            _ if voters.contains(&node) => reconfigure(voters.clone()),
            _ => reconfigure(voters.iter().cloned().chain([node]).collect()),
        };
        if let MemberChange::Remove { node } = &change
            && reshape.least > 1
            && voters.contains(node)
        {
            return;
        }
        let wanted: Vec<NodeId> = match &change {
            MemberChange::Reconfigure { members } => {
                members.iter().map(|member| member.node.clone()).collect()
            }
            MemberChange::Promote { node } => {
                voters.iter().filter(|id| *id != node).chain([node]).cloned().collect()
            }
            _ => Vec::new(),
        };
        // Who does not know yet that it is damaged would be taken for a voter like any other.
        if reshape.least > 2 && !self.can_lose(&wanted, None) {
            return;
        }
        self.asked_for.push((self.now + CHANGE_WITHIN, wanted));
        self.say(&[asked], || format!("{} is asked to {change}", name(asked)));
        self.coverage.count(match &change {
            MemberChange::Reconfigure { .. } => "members: reconfigure",
            MemberChange::AddLearner { .. } => "members: add a learner",
            MemberChange::Promote { .. } => "members: promote",
            _ => "members: remove",
        });
        self.ask(asked, Request::ChangeMembers { change }, lasting.max(CHANGE_WITHIN / 4).min(CHANGE_WITHIN));
    }

    /// Keeps what the log of a node says of the members, for when it is dead.
    pub(super) fn see_members(&mut self, node: usize) {
        if self.setting.reshape.is_none() {
            return;
        }
        if self.is_alone(node) {
            self.nodes[node].members = None;
            return;
        }
        let this = &mut self.nodes[node];
        let Some(engine) = this.engine.as_ref().filter(|_| this.opened) else { return };
        if engine.members_at() == this.members_at {
            return;
        }
        this.members_at = engine.members_at();
        this.members = engine.members();
        this.incarnation = Some(engine.status().incarnation);
        let Some(members) = &this.members else { return };
        self.coverage.count(match (members.outgoing.is_empty(), members.learners.is_empty()) {
            (false, _) => "members: the voters change",
            (true, false) => "members: there are learners",
            (true, true) => "members: there are voters alone",
        });
    }

    /// Whether a majority of what may become the voters is left when a node has forgotten what it knows, too.
    fn can_lose(&self, wanted: &[NodeId], node: Option<usize>) -> bool {
        let is_lost = |other: usize, this: &Node| {
            let forgot = this.began_anew && !this.was_member;
            node == Some(other) || this.is_out || this.goes_on_alone || forgot
        };
        let is_whole = |id: &&NodeId| {
            let mut lives = self.nodes.iter().enumerate().filter(|(other, _)| self.names[*other] == **id);
            !lives.any(|(other, this)| is_lost(other, this))
        };
        wanted.is_empty() || wanted.iter().filter(is_whole).count() > wanted.len() / 2
    }

    /// Whether the cluster can do without all that a node knows, while the members change.
    pub(super) fn may_forget_while_members_change(&self, node: usize) -> bool {
        let Some(reshape) = self.setting.reshape.filter(|reshape| reshape.least > 2) else { return false };
        let knows = |other: usize| {
            let this = &self.nodes[other];
            other != node && this.is_whole() && !(self.setting.memory && this.stopping)
        };
        // Who has forgotten that there is a cluster must not be a majority of those who may found one.
        let founders = self.nodes.len() - reshape.spare;
        let remember = (0..founders).filter(|other| knows(*other) && !self.nodes[*other].began_anew).count();
        if node < founders && remember <= founders / 2 {
            return false;
        }
        let is_bound = |(id, bound): &(NodeId, Option<Incarnation>)| {
            let is_it = |other: &usize| self.names[*other] == *id && *bound == self.nodes[*other].incarnation;
            bound.is_some() && (0..self.nodes.len()).find(is_it).is_some_and(knows)
        };
        let can_spare = |seats: &[(NodeId, Option<Incarnation>)]| {
            seats.is_empty() || seats.iter().filter(|seat| is_bound(seat)).count() > seats.len() / 2
        };
        let known: Vec<&Members> = self.nodes.iter().filter_map(|this| this.members.as_ref()).collect();
        // A learner that is gone may be made a voter before anybody notices.
        let learns = |members: &&Members| members.learners.iter().any(|(id, _)| *id == self.names[node]);
        let mut asked_for = self.asked_for.iter().filter(|(until, _)| *until >= self.now);
        !known.is_empty()
            && asked_for.all(|(_, wanted)| self.can_lose(wanted, Some(node)))
            && !known.iter().any(learns)
            && known.iter().all(|members| can_spare(&members.seats) && can_spare(&members.outgoing))
    }

    /// Another life under this name was given its seat. It is over, and somebody starts it anew, with nothing.
    pub(super) fn was_superseded(&mut self, node: usize) {
        self.coverage.count("seat: given to another process, and the former ends");
        self.kill(node, Death::Wipe);
        self.nodes[node].began_anew = true;
        let lasting = Duration::from_millis(self.noise.between(50, 1_500));
        self.undo_in(lasting, Undo::Restart(node));
    }

    /// The members as the leader has applied them, if nothing of them is open. Those are the ones to be looked at in the end.
    pub(crate) fn members_in_the_end(&self) -> Option<Vec<usize>> {
        let (leader, _) = self.leader()?;
        let engine = self.engine(leader)?;
        let members = engine.members().filter(|members| members.outgoing.is_empty())?;
        // A learner that was announced without an address may know but one node, and that may be no member any more.
        let learners = members.learners.iter().filter(|(_, bound)| bound.is_some());
        let all = members.seats.iter().chain(learners);
        let is_it = |place: &usize, (id, bound): &(NodeId, Option<Incarnation>)| {
            self.names[*place] == *id && (bound.is_none() || *bound == self.nodes[*place].incarnation)
        };
        let any = |seat| (0..self.nodes.len()).find(|place| is_it(place, seat));
        let places =
            all.filter_map(|seat| any(seat).or_else(|| self.names.iter().position(|name| *name == seat.0)));
        let belong = places.filter(|place| !self.nodes[*place].goes_on_alone);
        engine.is_ready().then(|| belong.collect())
    }
}
