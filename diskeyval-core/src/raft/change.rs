//! Changes of the members, as they are asked for: who is brought up to date, who votes, and where they are.
//!
//! 1. One change at a time. Nothing of it is appended before an entry of the own term is committed, nor while an entry
//!    about members is not.
//! 2. Who is to vote is a learner first, until it has caught up, and with it a majority of those who are to be the voters.
//!    Until then nothing depends on it, and the change can be given up.
//! 3. The voters change in two steps. From the first entry on, two halves have to agree, those who go and those who come;
//!    the second, once the first is committed, leaves those who come. Two majorities that know of different sets always
//!    have a voter in common.
//! 4. Until the first entry is committed, the leader that has appended it goes by those who go alone for whether it still
//!    leads. When those who come are lost meanwhile, it undoes the change by an entry with the former voters: nobody
//!    can have gone further, since nobody but it appends in its term. A later leader cannot know that, and goes on.
//! 5. A leader that goes counts for nothing from the second entry on, takes nothing in, and leaves when that is committed:
//!    it asks the most advanced of the voters to take over. Until it knows that, it may stand for election, without a vote
//!    of its own: it may be the only one who has the second entry.

use alloc::vec::Vec;

use super::{Outgoing, Raft, Role, Transition};
use crate::config::MAX_MEMBERS;
use crate::entry::Payload;
use crate::id::{Index, NodeId};
use crate::members::{Configuration, MAX_LEARNERS, Member, MemberChange, Membership, Seat};
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::raft::message::Directive;
use crate::raft::read::Asker;
use crate::time::Instant;

/// A change that is under way.
#[derive(Clone, Debug)]
pub(super) struct PendingChange {
    change: MemberChange,
    askers: Vec<Asker>,
    /// Who has become a learner for its sake.
    announced: Vec<NodeId>,
    /// The addresses that it says were kept once. What members announce themselves comes before them, and later.
    addressed: bool,
    /// The last entry that this reign has appended for it.
    last: Option<Index>,
    /// When it is given up, if it can be.
    give_up_at: Instant,
    /// What it waits for.
    waits_for: Option<Unchanged>,
}

/// Why a leader does not change the members, or has not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Unchanged {
    /// It does not lead.
    NotLeader,
    /// Another change is under way.
    Busy(MemberChange),
    /// There is no such member.
    Stranger(NodeId),
    /// There would be no voter.
    NobodyLeft,
    /// There would be more than that.
    TooMany(usize),
    /// A node that is to vote is not linked.
    Unlinked(NodeId),
    /// A node that is to vote has not caught up.
    Lagging(NodeId),
    /// A majority of those who are to vote was not there.
    NoMajority,
    /// The same, when it had begun; it is undone.
    Undone,
}

/// What is to be done next.
enum Step {
    /// The members are as they were wanted.
    Done,
    /// These are to be the members.
    Append(Membership),
    /// Nothing, for this reason.
    Wait(Unchanged),
}

impl Raft {
    /// Has this node, if it leads, change the members, within a time. What comes of it comes out of
    /// [`Raft::take_changed`].
    pub(crate) fn change_members(
        &mut self,
        asker: Asker,
        change: MemberChange,
        give_up_at: Instant,
    ) -> Result<(), Unchanged> {
        match &mut self.role {
            Role::Leader(leader) if leader.is_open(&self.common) => {
                leader.ask_change(&self.common, asker, change, give_up_at)
            }
            Role::Leader(_) | Role::Follower | Role::Candidate(_) => Err(Unchanged::NotLeader),
        }
    }

    /// Who has asked for a change of the members, and the entry that has brought it about, or why none has.
    pub(crate) fn take_changed(&mut self) -> impl Iterator<Item = (Asker, Result<Index, Unchanged>)> + '_ {
        self.common.changed.drain(..)
    }

    /// A leader that is no member any more, by a committed entry, leaves.
    pub(super) fn leave_if_removed(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Configuration::Seats(entry, members) = self.common.configuration() else { return };
        let is_committed = entry.index <= self.common.commit || is(Mutant::LeavesBeforeCommit);
        if members.is_joint()
            || !is_committed
            || self.common.configuration().counts(&self.common.id, self.common.own)
        {
            return;
        }
        leader.ask_to_succeed(&mut self.common);
        self.transition(Transition::Follow(self.common.term, None));
    }
}

impl Leader {
    fn ask_change(
        &mut self,
        common: &Common,
        asker: Asker,
        change: MemberChange,
        give_up_at: Instant,
    ) -> Result<(), Unchanged> {
        if !common.log.is_founded() {
            return Err(Unchanged::NotLeader);
        }
        match &mut self.change {
            Some(pending) if pending.change != change => return Err(Unchanged::Busy(pending.change.clone())),
            Some(pending) => {
                // Of one node the last question counts alone, so they are no more than there are members.
                pending.askers.retain(|known| !known.is_of_same_node(&asker));
                pending.askers.push(asker);
                pending.give_up_at = pending.give_up_at.max(give_up_at);
            }
            None => {
                self.change = Some(PendingChange {
                    change,
                    askers: alloc::vec![asker],
                    announced: Vec::new(),
                    addressed: false,
                    last: None,
                    give_up_at,
                    waits_for: None,
                });
            }
        }
        Ok(())
    }

    /// Ends a change that is under way in this configuration, whoever has begun it. Tells whether there is one.
    pub(super) fn end_or_undo(&mut self, common: &mut Common) -> bool {
        let Configuration::Seats(entry, members) = common.configuration() else { return false };
        if !members.is_joint() {
            return false;
        }
        let is_ours = self.may_return(common);
        if entry.index <= common.commit || is(Mutant::JointLeftEarly) {
            if self.change.is_some() || !is(Mutant::JointNeverLeft) {
                let members = Membership { outgoing: Vec::new(), ..members.clone() };
                let last = self.append(common, Payload::Members(members));
                if let Some(change) = &mut self.change {
                    change.last = Some(last);
                }
            }
        } else if is_ours && self.has_lost_who_comes(common) {
            let announced = self.change.as_ref().map_or(&[][..], |pending| &pending.announced);
            let former = before(members, announced);
            self.append(common, Payload::Members(former));
            self.end_change(common, Err(Unchanged::Undone));
        }
        true
    }

    /// Whether the voters change by an entry of this very reign that is not committed: then that can be undone.
    pub(super) fn may_return(&self, common: &Common) -> bool {
        let Configuration::Seats(entry, members) = common.configuration() else { return false };
        members.is_joint()
            && entry.index > common.commit
            && (entry.term == common.term || is(Mutant::ReturnsTooLate))
    }

    /// Whether no majority of those who come was heard for an election timeout.
    fn has_lost_who_comes(&self, common: &Common) -> bool {
        let heard = self.heard_by(common, common.configuration().halves().take(1));
        heard.is_none_or(|heard| common.now.since(heard) >= common.election_timeout)
    }

    /// The next step of what was asked, behind a configuration that is committed.
    pub(super) fn next_change(&mut self, common: &mut Common, members: &Membership) -> Option<Membership> {
        let pending = self.change.as_ref()?;
        let step = self.step(common, members, pending);
        let pending = self.change.as_mut()?;
        pending.waits_for = None;
        match step {
            Err(why) => {
                self.end_change(common, Err(why));
                None
            }
            Ok(Step::Wait(why)) if common.now >= pending.give_up_at => {
                // Who was announced for its sake is no member of ours.
                let announced = core::mem::take(&mut pending.announced);
                self.end_change(common, Err(why));
                let mut without = members.clone();
                without.learners.retain(|seat| !announced.contains(&seat.id));
                (without != *members).then_some(without)
            }
            Ok(Step::Wait(why)) => {
                pending.waits_for = Some(why);
                None
            }
            Ok(Step::Append(next)) => {
                let is_new = |seat: &&Seat| members.member(&seat.id).is_none();
                if matches!(pending.change, MemberChange::Reconfigure { .. }) {
                    pending.announced.extend(next.learners.iter().filter(is_new).map(|seat| seat.id.clone()));
                }
                let names = |members: &Membership| -> Vec<NodeId> {
                    members.members().map(|seat| seat.id.clone()).collect()
                };
                pending.addressed |= !next.is_joint() && names(&next) == names(members);
                pending.last = Some(common.log.last().index.next());
                Some(next)
            }
            // It may have been so before this reign, or be so no more: an entry of it shows that it still leads.
            Ok(Step::Done) => match pending.last {
                Some(last) if last <= common.commit => {
                    self.end_change(common, Ok(last));
                    None
                }
                Some(_) => None,
                None => {
                    let last = self.append(common, Payload::Noop);
                    self.change.as_mut()?.last = Some(last);
                    None
                }
            },
        }
    }

    fn end_change(&mut self, common: &mut Common, result: Result<Index, Unchanged>) {
        let askers = self.change.take().map(|pending| pending.askers).unwrap_or_default();
        common.changed.extend(askers.into_iter().map(|asker| (asker, result.clone())));
    }

    /// The reign is over: another leader has to be asked.
    pub(super) fn give_change_up(&mut self, common: &mut Common) {
        self.end_change(common, Err(Unchanged::NotLeader));
    }

    /// When it wants to look at it again although nothing happens. Once that is over, something has to happen first.
    pub(super) fn change_gives_up_at(&self, common: &Common) -> Option<Instant> {
        let waits = self.change.as_ref().filter(|pending| pending.waits_for.is_some());
        waits.map(|pending| pending.give_up_at).filter(|at| *at > common.now)
    }

    fn step(
        &self,
        common: &Common,
        members: &Membership,
        pending: &PendingChange,
    ) -> Result<Step, Unchanged> {
        let addressed = |members: &Membership, member: &Member| match pending.addressed {
            true => members.clone(),
            false => with_address(members, member),
        };
        match &pending.change {
            MemberChange::AddLearner { member } => match members.member(&member.node) {
                Some(_) => Ok(or_done(addressed(members, member), members)),
                None => with_learners(members, &[member]).map(Step::Append),
            },
            MemberChange::UpdateAddress { node, address } => {
                let member = Member { node: node.clone(), address: Some(address.clone()) };
                members.member(node).ok_or_else(|| Unchanged::Stranger(node.clone()))?;
                Ok(or_done(addressed(members, &member), members))
            }
            MemberChange::Remove { node } if members.learner(node).is_some() => {
                let mut without = members.clone();
                without.learners.retain(|seat| seat.id != *node);
                Ok(Step::Append(without))
            }
            MemberChange::Remove { node } => {
                let rest: Vec<NodeId> =
                    members.seats.iter().map(|seat| seat.id.clone()).filter(|id| id != node).collect();
                self.towards(common, members, rest)
            }
            MemberChange::Promote { node } => {
                members.member(node).ok_or_else(|| Unchanged::Stranger(node.clone()))?;
                let mut voters: Vec<NodeId> = members.seats.iter().map(|seat| seat.id.clone()).collect();
                if members.seat(node).is_none() {
                    voters.push(node.clone());
                }
                self.towards(common, members, voters)
            }
            MemberChange::Reconfigure { members: wanted } => {
                let strangers: Vec<&Member> =
                    wanted.iter().filter(|member| members.member(&member.node).is_none()).collect();
                if !strangers.is_empty() {
                    return with_learners(members, &strangers).map(Step::Append);
                }
                let moved =
                    wanted.iter().fold(members.clone(), |members, member| addressed(&members, member));
                if moved != *members {
                    return Ok(Step::Append(moved));
                }
                self.towards(common, members, wanted.iter().map(|member| member.node.clone()).collect())
            }
        }
    }

    /// The next step towards these voters, all of whom are members by now.
    fn towards(
        &self,
        common: &Common,
        members: &Membership,
        mut voters: Vec<NodeId>,
    ) -> Result<Step, Unchanged> {
        voters.sort();
        if voters.iter().eq(members.seats.iter().map(|seat| &seat.id)) {
            return Ok(Step::Done);
        }
        if voters.is_empty() {
            return Err(Unchanged::NobodyLeft);
        }
        if voters.len() > MAX_MEMBERS {
            return Err(Unchanged::TooMany(MAX_MEMBERS));
        }
        let mut next = members.clone();
        next.outgoing = members.seats.clone();
        next.seats = voters.iter().filter_map(|id| members.member(id).cloned()).collect();
        next.learners.retain(|seat| next.seats.iter().all(|voter| voter.id != seat.id));
        let comes = |seat: &&Seat| members.seat(&seat.id).is_none();
        for seat in next.seats.iter().filter(comes).filter(|_| !is(Mutant::PromotesUnready)) {
            if !self.is_linked_in(seat) {
                return Ok(Step::Wait(Unchanged::Unlinked(seat.id.clone())));
            }
            if !self.is_ready_to_vote(common, seat) {
                return Ok(Step::Wait(Unchanged::Lagging(seat.id.clone())));
            }
        }
        let ready = next.seats.iter().filter(|seat| self.is_ready_to_vote(common, seat)).count();
        if ready <= next.seats.len() / 2 {
            return Ok(Step::Wait(Unchanged::NoMajority));
        }
        Ok(Step::Append(next))
    }

    fn is_linked_in(&self, seat: &Seat) -> bool {
        self.follower(&seat.id)
            .is_some_and(|follower| follower.linked && seat.bound == Some(follower.progress.incarnation))
    }

    fn is_ready_to_vote(&self, common: &Common, seat: &Seat) -> bool {
        (seat.id == common.id && seat.bound == Some(common.own))
            || self
                .follower(&seat.id)
                .is_some_and(|follower| self.is_linked_in(seat) && self.has_caught_up(follower))
    }

    /// The one who leaves tells the most advanced of the voters to stand for election at once.
    fn ask_to_succeed(&mut self, common: &mut Common) {
        let Some(to) = self.most_advanced(common) else { return };
        self.lease.end();
        let word = Directive::TimeoutNow { term: common.term };
        common.send(to, Outgoing::Directive(word, Vec::new()));
    }
}

/// The members before their voters began to change, without those learners who were announced for its sake.
fn before(members: &Membership, announced: &[NodeId]) -> Membership {
    let mut former = Membership { seats: members.outgoing.clone(), outgoing: Vec::new(), ..members.clone() };
    let is_learner = |seat: &&Seat| former.seat(&seat.id).is_none() && !announced.contains(&seat.id);
    let again: Vec<Seat> = members.seats.iter().filter(is_learner).cloned().collect();
    former.learners.extend(again);
    former.learners.sort_by(|left, right| left.id.cmp(&right.id));
    former
}

/// The members with these learners, too.
fn with_learners(members: &Membership, new: &[&Member]) -> Result<Membership, Unchanged> {
    let mut next = members.clone();
    let seat =
        |member: &&Member| Seat { id: member.node.clone(), bound: None, address: member.address.clone() };
    next.learners.extend(new.iter().map(seat));
    next.learners.sort_by(|left, right| left.id.cmp(&right.id));
    if next.learners.len() > MAX_LEARNERS { Err(Unchanged::TooMany(MAX_LEARNERS)) } else { Ok(next) }
}

/// The members with the address of one, if that was said.
fn with_address(members: &Membership, member: &Member) -> Membership {
    members.with(&member.node, |seat| seat.address = member.address.clone().or(seat.address.take()))
}

fn or_done(next: Membership, members: &Membership) -> Step {
    if next == *members { Step::Done } else { Step::Append(next) }
}
