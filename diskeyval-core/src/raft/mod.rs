//! Raft, as in Ongaro's dissertation, with pre-vote, check-quorum and leader stickiness. It knows
//! neither bytes nor disks nor sockets.
//!
//! What is common to all roles is in `common.rs`; each role is a struct with its own data in a file of
//! its own. A role never changes itself: it asks for a [`Transition`], and only [`Raft::transition`]
//! carries that out.

mod agree;
mod candidate;
mod change;
mod check_quorum;
mod common;
mod follower;
mod leader;
mod lease;
mod log;
mod message;
mod offers;
mod progress;
mod quorum;
mod read;
mod seats;
mod segments;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfer;

use crate::config::{Address, Settings};
use crate::entry::Payload;
use crate::error::{CloseReason, Fault};
use crate::id::{Incarnation, Index, NodeId, Term};
use crate::kv::Checkpoint;
use crate::members::Configuration;
use crate::mutants::{Mutant, is};
use crate::prng::Prng;
use crate::status::{Metrics, RoleName};
use crate::time::{Deadline, Instant, Timer};

use candidate::Candidate;
use common::{Claim, Common};
use leader::Leader;

pub(crate) use change::Unchanged;
#[cfg(any(test, feature = "inspect"))]
pub(crate) use message::{Append, Heartbeat, VoteRequest};
pub(crate) use message::{Directive, Outgoing, Piece, Pledge, Received};
pub(crate) use offers::is_offer;
pub(crate) use progress::{Progress, Replication};
pub(crate) use read::Asker;
pub(crate) use snapshot::{Base, SnapshotWord};
pub(crate) use transfer::Kept;

/// One node's part in consensus.
#[derive(Clone, Debug)]
pub(crate) struct Raft {
    common: Common,
    role: Role,
}

#[derive(Clone, Debug)]
enum Role {
    /// Follows, or waits. All its data are in `Common`: every role was a follower and becomes one again.
    Follower,
    Candidate(Candidate),
    Leader(alloc::boxed::Box<Leader>),
}

/// What a role asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Transition {
    /// Follow a leader, or nobody, in a term that is not below the present one.
    Follow(Term, Option<NodeId>),
    /// Ask whether an election would be won.
    PreCampaign,
    /// Stand for election; the flag tells whether the leader asked for it.
    Campaign(bool),
    /// Lead.
    Lead,
}

/// How far a term may be ahead of ours. No honest node gets there: elections at a rate of one each
/// millisecond, unheard of here, would take seven weeks.
const MAX_LEAP: u64 = 1 << 32;

/// A leader cannot take it now: there is none here, or it hands over, or the cluster is not founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotNow;

impl Raft {
    pub(crate) fn new(settings: &Settings, own: Incarnation, prng: Prng) -> Raft {
        Raft { common: Common::new(settings, own, prng), role: Role::Follower }
    }

    /// Time begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.common.now = now;
        self.common.rearm_election();
        if self.common.log.last().index > Index(0) && !is(Mutant::PromiseLostByRestart) {
            // A leader may have been heard a moment before the restart, and rely on that.
            self.common.heard_leader = Some(now);
        }
    }

    /// Time goes on. What is checked here must be checked before anything that has arrived is heard: a
    /// leader that was frozen must not take old acknowledgements for fresh ones.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.common.now = now;
        self.common.wake_storage();
        let Role::Leader(leader) = &mut self.role else { return };
        let lost = leader.has_lost_its_quorum(&self.common);
        if lost {
            self.common.metrics.quorum_lost += 1;
        }
        // Whoever cannot keep anything gives way to somebody who can.
        if lost || self.common.disk_is_stalled() {
            self.transition(Transition::Follow(self.common.term, None));
        }
    }

    /// Fires what is due.
    pub(crate) fn tick(&mut self) {
        let next = match &mut self.role {
            Role::Follower | Role::Candidate(_) if self.common.now < self.common.election_at => None,
            Role::Follower | Role::Candidate(_)
                if !self.common.ballot_is_durable() || self.common.disk_is_stalled() =>
            {
                // With a ballot more, no vote for it might ever be durable while it counts.
                self.common.election_at = self.common.now + self.common.heartbeat;
                None
            }
            Role::Follower | Role::Candidate(_) if is(Mutant::NoPreVote) => Some(Transition::Campaign(false)),
            Role::Follower | Role::Candidate(_) => Some(Transition::PreCampaign),
            Role::Leader(leader) => {
                leader.tick(&mut self.common);
                None
            }
        };
        self.follow_up(next);
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Deadline {
        let own = match &self.role {
            Role::Follower | Role::Candidate(_) => {
                Deadline { at: self.common.election_at, why: Timer::Election }
            }
            Role::Leader(leader) => leader.deadline(&self.common),
        };
        let stalls = self.is_leader().then(|| self.common.disk_stalls_at()).flatten();
        let disk = [stalls, self.common.storage_wants_to_be_woken()].into_iter().flatten();
        disk.fold(own, |own, at| own.min(Deadline { at, why: Timer::Disk }))
    }

    /// The other end of a link that is about to come up would like to lead so much.
    pub(crate) fn note_priority(&mut self, peer: &NodeId, priority: u8) {
        self.common.preference.others.insert(peer.clone(), priority);
    }

    /// The other end of a link that is about to come up says where it is reached.
    pub(crate) fn note_address(&mut self, peer: &NodeId, address: Option<Address>) {
        match address {
            Some(address) => self.common.announced.insert(peer.clone(), address),
            None => self.common.announced.remove(peer),
        };
    }

    /// A link to a member came up.
    pub(crate) fn link_up(&mut self, peer: &NodeId, incarnation: Incarnation) {
        self.common.links.insert(peer.clone(), incarnation);
        match &mut self.role {
            Role::Follower => {}
            Role::Candidate(candidate) => candidate.ask(&mut self.common, peer),
            Role::Leader(leader) => leader.link_up(&self.common, peer, incarnation),
        }
    }

    /// The link to a member is gone.
    pub(crate) fn link_down(&mut self, peer: &NodeId) {
        self.common.links.remove(peer);
        self.common.damaged.remove(peer);
        if let Role::Leader(leader) = &mut self.role {
            leader.link_down(&mut self.common, peer);
        }
    }

    /// A message came. An error is the sender's guilt, and its link is to be closed.
    pub(crate) fn receive(&mut self, from: &NodeId, message: Received) -> Result<(), CloseReason> {
        let Some(&incarnation) = self.common.links.get(from) else { return Ok(()) };
        if message.term().0 > self.common.term.0.saturating_add(MAX_LEAP) {
            return Err(CloseReason::Malformed);
        }
        let next = match message {
            Received::Directive(directive, entries) => {
                match follower::hear(&mut self.common, from, incarnation, &directive, &entries)? {
                    follower::Heard::Nothing => return Ok(()),
                    follower::Heard::OurLeader => {}
                    follower::Heard::Follow(transition) => self.follow_up(Some(transition)),
                }
                follower::obey(&mut self.common, from, directive, entries)
            }
            Received::Pledge(Pledge::VoteRequest(request)) => {
                follower::vote(&mut self.common, &self.role, from, incarnation, &request)
            }
            Received::Pledge(pledge) => self.hear_pledge(from, incarnation, pledge)?,
        };
        self.follow_up(next);
        Ok(())
    }

    fn hear_pledge(
        &mut self,
        from: &NodeId,
        incarnation: Incarnation,
        pledge: Pledge,
    ) -> Result<Option<Transition>, CloseReason> {
        let term = pledge.term();
        if term > self.common.term && !matches!(pledge, Pledge::VoteReply { granted: true, .. }) {
            // Only who counts for us, or may be about to, moves our term.
            let named = self.common.configuration().has_name(from);
            return Ok(
                (named && !is(Mutant::IgnoresHigherTermInReply)).then_some(Transition::Follow(term, None))
            );
        }
        match (&mut self.role, pledge) {
            (Role::Candidate(candidate), Pledge::VoteReply { term, pre, granted: true }) => {
                Ok(candidate.granted(&self.common, from, incarnation, term, pre))
            }
            (Role::Leader(leader), pledge) if term == self.common.term => {
                leader.hear(&mut self.common, from, incarnation, &pledge)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Puts something into the log. Only a leader can.
    pub(crate) fn propose(&mut self, payload: Payload) -> Result<Index, NotNow> {
        match &mut self.role {
            Role::Leader(leader) if leader.is_open(&self.common) => {
                Ok(leader.append(&mut self.common, payload))
            }
            _ => Err(NotNow),
        }
    }

    /// Whether this node leads, and all that was committed before its reign is applied here.
    pub(crate) fn is_established(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.is_established(&self.common))
    }

    /// Whether a proposal would be taken now.
    pub(crate) fn takes_proposals(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.is_open(&self.common))
    }

    /// Asks for an index that reflects everything acknowledged before now; the answer comes out of
    /// [`Raft::take_reads`].
    ///
    /// `by_lease`: it need not be confirmed by a round where nobody else can lead now.
    pub(crate) fn ask_read(&mut self, asker: Asker, by_lease: bool) -> Result<(), NotNow> {
        match &mut self.role {
            Role::Leader(leader) => leader.ask_read(&mut self.common, asker, by_lease),
            Role::Follower | Role::Candidate(_) => Err(NotNow),
        }
    }

    /// Askers and the index that they may read at, or `None` if they have to ask another leader.
    pub(crate) fn take_reads(&mut self) -> impl Iterator<Item = (Asker, Option<Index>)> + '_ {
        self.common.reads.drain(..)
    }

    /// Hands leadership over to the most advanced follower. Tells whether there is one to wait for.
    pub(crate) fn hand_over(&mut self) -> bool {
        match &mut self.role {
            Role::Leader(leader) => leader.hand_over(&mut self.common),
            Role::Follower | Role::Candidate(_) => false,
        }
    }

    /// Has this node, if it leads, hand leadership over to a member, or to the most advanced. Who asks sees for himself
    /// that it has worked; what comes to nothing later comes out of [`Raft::take_kept`].
    pub(crate) fn hand_over_to(&mut self, asker: Asker, to: Option<&NodeId>) -> Result<(), Kept> {
        match &mut self.role {
            Role::Leader(leader) => leader.hand_over_to(&mut self.common, asker, to),
            Role::Follower | Role::Candidate(_) => Err(Kept::NotLeader),
        }
    }

    /// Who has asked for a hand-over of which nothing came, and why.
    pub(crate) fn take_kept(&mut self) -> impl Iterator<Item = (Asker, Kept)> + '_ {
        self.common.kept.drain(..)
    }

    /// Whether a hand-over is on its way.
    pub(crate) fn is_handing_over(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.is_handing_over())
    }

    /// Does what the turn has made possible: makes writes durable, lets out what waited for them, counts,
    /// sends. Tells whether anything moved.
    pub(crate) fn settle(&mut self) -> bool {
        self.common.pledge_acknowledgement();
        let before = (self.common.commit, self.common.log.last());
        if let Role::Leader(leader) = &mut self.role {
            leader.pledge_own(&mut self.common);
        }
        let mut moved = false;
        for claim in self.common.release() {
            moved = true;
            let next = match (claim, &mut self.role) {
                (Claim::ToPeer(to, pledge), _) => {
                    self.common.send(to, Outgoing::Pledge(pledge));
                    None
                }
                (Claim::OwnVote(term), Role::Candidate(candidate)) => {
                    let (id, own) = (self.common.id.clone(), self.common.own);
                    candidate.granted(&self.common, &id, own, term, candidate.is_pre())
                }
                (Claim::OwnEntries(term, last), Role::Leader(leader)) if term == self.common.term => {
                    leader.own_entries_are_durable(last);
                    None
                }
                (Claim::OwnVote(_) | Claim::OwnEntries(..), _) => None,
            };
            self.follow_up(next);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.settle(&mut self.common);
        }
        self.leave_if_removed();
        moved || before != (self.common.commit, self.common.log.last())
    }

    fn follow_up(&mut self, mut next: Option<Transition>) {
        while let Some(transition) = next {
            next = self.transition(transition);
        }
    }

    /// The one place where a role changes.
    fn transition(&mut self, to: Transition) -> Option<Transition> {
        let common = &mut self.common;
        if let Role::Leader(leader) = &mut self.role {
            leader.leave(common);
        }
        let (role, next) = match to {
            Transition::Follow(term, leader) => {
                common.enter(term, leader);
                (Role::Follower, None)
            }
            Transition::PreCampaign | Transition::Campaign(_) if !common.may_campaign() => {
                common.waited_in_vain = !common.links.is_empty();
                common.enter(common.term, None);
                common.election_at = common.election_at.max(common.now + common.heartbeat);
                (Role::Follower, None)
            }
            Transition::PreCampaign => {
                let (candidate, next) = Candidate::pre_campaign(common);
                (Role::Candidate(candidate), next)
            }
            Transition::Campaign(handed_over) => {
                (Role::Candidate(Candidate::campaign(common, handed_over)), None)
            }
            Transition::Lead => {
                assert!(
                    matches!(&self.role, Role::Candidate(c) if !c.is_pre()),
                    "only who was elected leads"
                );
                (Role::Leader(alloc::boxed::Box::new(Leader::new(common))), None)
            }
        };
        self.role = role;
        next
    }

    // What the engine reads.

    pub(crate) fn term(&self) -> Term {
        self.common.term
    }

    pub(crate) fn leader(&self) -> Option<&NodeId> {
        self.common.leader.as_ref()
    }

    pub(crate) fn role(&self) -> RoleName {
        match &self.role {
            Role::Follower => RoleName::Follower,
            Role::Candidate(candidate) if candidate.is_pre() => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub(crate) fn commit(&self) -> Index {
        self.common.commit
    }

    pub(crate) fn log(&self) -> &log::Log {
        &self.common.log
    }

    pub(crate) fn configuration(&self) -> Configuration<'_> {
        self.common.configuration()
    }

    /// Whether this node belongs to a cluster for good.
    pub(crate) fn is_founded(&self) -> bool {
        self.common.is_founded()
    }

    /// What a leader knows of a follower.
    pub(crate) fn progress(&self, peer: &NodeId) -> Option<&Progress> {
        match &self.role {
            Role::Leader(leader) => leader.progress(peer),
            Role::Follower | Role::Candidate(_) => None,
        }
    }

    /// What a leader knows of all its followers.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn followers(&self) -> impl Iterator<Item = (&NodeId, &Progress)> {
        let leader = match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower | Role::Candidate(_) => None,
        };
        leader
            .into_iter()
            .flat_map(|leader| leader.followers())
            .map(|(id, follower)| (id, &follower.progress))
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.common.metrics
    }

    /// The incarnation at the other end of the link to a member.
    pub(crate) fn linked_incarnation(&self, peer: &NodeId) -> Option<Incarnation> {
        self.common.links.get(peer).copied()
    }

    // What the engine tells.

    /// The next committed entry that was not applied yet.
    pub(crate) fn take_committed(&mut self) -> Option<(Index, Payload)> {
        let last = self.common.log.last().index;
        let ahead = self.is_leader() && last > self.common.commit && is(Mutant::AppliesBeforeCommit);
        self.common.log.take_next(if ahead { last } else { self.common.commit })
    }

    /// Messages on their way out.
    pub(crate) fn take_outgoing(&mut self) -> impl Iterator<Item = (NodeId, Outgoing)> + '_ {
        self.common.outgoing.drain(..)
    }

    /// Whether this node may take part in founding a cluster by name.
    pub(crate) fn allow_founding(&mut self, allowed: bool) {
        self.common.may_found = allowed;
    }

    /// Gives up a founding that has not been committed, because a founded cluster was met.
    pub(crate) fn drop_founding(&mut self) {
        if !self.common.is_founded() && self.common.log.genesis().is_some() {
            self.common.truncate_behind(Index(0));
            self.transition(Transition::Follow(self.common.term, None));
        }
    }

    /// An entry was applied; at an index that is compared, the state has this hash.
    pub(crate) fn note_applied(&mut self, checkpoint: Option<Checkpoint>) {
        self.common.metrics.commits_applied += 1;
        if let Some(checkpoint) = checkpoint {
            self.common.checkpoints.note(checkpoint);
        }
    }

    /// What this node goes on with, it goes on with alone: nobody has to be waited for.
    pub(crate) fn stand_alone(&mut self) {
        self.common.heard_leader = None;
        self.transition(Transition::Follow(self.common.term, None));
    }

    /// Whether an election timeout has passed since the links came up without a word of any leader.
    pub(crate) fn has_waited_for_a_leader(&self) -> bool {
        self.common.waited_in_vain
    }

    /// What keeps this node from going on.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.common.fault.as_ref()
    }
}
