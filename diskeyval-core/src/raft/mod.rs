//! Raft, as in Ongaro's dissertation, with pre-vote, check-quorum and leader stickiness. It knows
//! neither bytes nor disks nor sockets.
//!
//! What is common to all roles is in `common.rs`; each role is a struct with its own data in a file of
//! its own. A role never changes itself: it asks for a [`Transition`], and only [`Raft::transition`]
//! carries that out.

mod agree;
mod candidate;
mod common;
mod follower;
mod leader;
mod log;
mod message;
mod progress;
mod quorum;
mod read;
mod segments;

use crate::config::Settings;
use crate::entry::Payload;
use crate::error::{CloseReason, Fault};
use crate::id::{Incarnation, Index, NodeId, Term};
use crate::kv::Checkpoint;
use crate::members::Configuration;
use crate::prng::Prng;
use crate::status::{Metrics, RoleName};
use crate::time::{Deadline, Instant, Timer};

use candidate::Candidate;
use common::{Claim, Common};
use leader::Leader;

#[cfg(test)]
pub(crate) use message::Append;
pub(crate) use message::{Directive, Outgoing, Pledge, Received};
pub(crate) use progress::Progress;
pub(crate) use read::Asker;

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
    }

    /// Time goes on. What is checked here must be checked before anything that has arrived is heard: a
    /// leader that was frozen must not take old acknowledgements for fresh ones.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.common.now = now;
        if let Role::Leader(leader) = &mut self.role
            && leader.has_lost_its_quorum(&self.common)
        {
            self.common.metrics.quorum_lost += 1;
            self.transition(Transition::Follow(self.common.term, None));
        }
    }

    /// Fires what is due.
    pub(crate) fn tick(&mut self) {
        let next = match &mut self.role {
            Role::Follower | Role::Candidate(_) => {
                (self.common.now >= self.common.election_at).then_some(Transition::PreCampaign)
            }
            Role::Leader(leader) => {
                leader.tick(&mut self.common);
                None
            }
        };
        self.follow_up(next);
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Deadline {
        match &self.role {
            Role::Follower | Role::Candidate(_) => {
                Deadline { at: self.common.election_at, why: Timer::Election }
            }
            Role::Leader(leader) => leader.deadline(&self.common),
        }
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
        if let Role::Leader(leader) = &mut self.role {
            leader.link_down(peer);
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
            // Only who counts for us, or is about to, moves our term.
            let configuration = self.common.configuration();
            let named = configuration.counts(from, incarnation) || configuration.has_empty_seat(from);
            return Ok(named.then_some(Transition::Follow(term, None)));
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
    pub(crate) fn ask_read(&mut self, asker: Asker) -> Result<(), NotNow> {
        match &mut self.role {
            Role::Leader(leader) => leader.rounds.ask(asker),
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
        self.common.log.take_next(self.common.commit)
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

    /// Whether an election timeout has passed since the links came up without a word of any leader.
    pub(crate) fn has_waited_for_a_leader(&self) -> bool {
        self.common.waited_in_vain
    }

    /// What keeps this node from going on.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.common.fault.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::id::{ClusterId, EntryId};
    use crate::prng::Seed;
    use core::time::Duration;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a good name")
    }

    /// A leader of three in term 1, whose genesis is committed.
    fn leader() -> Raft {
        let config = Config::new("a")
            .and_then(|c| c.peer("b", "localhost", 1))
            .and_then(|c| c.peer("c", "localhost", 2));
        let settings = config.and_then(|config| config.validate()).expect("a good configuration");
        let mut raft = Raft::new(&settings, Incarnation(1), Prng::new(Seed::from_u64(1)));
        raft.begin(Instant::ZERO);
        raft.allow_founding(true);
        raft.link_up(&id("b"), Incarnation(2));
        raft.link_up(&id("c"), Incarnation(3));
        raft.wake(Instant::ZERO + Duration::from_secs(1));
        raft.tick();
        for pre in [true, false] {
            settle(&mut raft);
            tell(&mut raft, "b", Pledge::VoteReply { term: Term(1), pre, granted: true });
        }
        settle(&mut raft);
        tell(&mut raft, "b", Pledge::Appended { term: Term(1), matched: Index(1) });
        settle(&mut raft);
        assert!(raft.is_leader() && raft.takes_proposals());
        raft
    }

    fn settle(raft: &mut Raft) {
        while raft.settle() {}
        while raft.take_committed().is_some() {}
        raft.take_outgoing().for_each(drop);
    }

    fn tell(raft: &mut Raft, from: &str, pledge: Pledge) {
        assert_eq!(raft.receive(&id(from), Received::Pledge(pledge)), Ok(()));
    }

    #[test]
    fn a_leader_steps_down_when_it_hears_an_append_of_a_higher_term() {
        let mut raft = leader();
        let log = raft.log().genesis().map(|genesis| genesis.cluster).expect("it has founded");
        let append = Append {
            term: Term(2),
            log,
            configuration: EntryId::new(1, 1),
            prev: raft.log().last(),
            commit: Index(1),
        };
        let heard = raft.receive(&id("b"), Received::Directive(Directive::Append(append), alloc::vec![]));
        assert_eq!(heard, Ok(()));
        assert_eq!((raft.role(), raft.leader(), raft.term()), (RoleName::Follower, Some(&id("b")), Term(2)));
    }

    #[test]
    fn acknowledgements_of_other_terms_and_beyond_the_log_count_for_nothing() {
        let mut raft = leader();
        let index = raft.propose(Payload::Noop).expect("it leads");
        settle(&mut raft);
        let commit = raft.commit();
        tell(&mut raft, "b", Pledge::Appended { term: Term(0), matched: index });
        tell(&mut raft, "c", Pledge::Appended { term: Term(1), matched: Index(index.0 + 1) });
        settle(&mut raft);
        assert_eq!(raft.commit(), commit);
        tell(&mut raft, "c", Pledge::Appended { term: Term(1), matched: index });
        settle(&mut raft);
        assert_eq!(raft.commit(), index);
    }

    /// FAULTS 39: another life of a member acknowledges and votes for nothing.
    #[test]
    fn another_incarnation_than_the_one_in_the_seat_counts_for_nothing() {
        let mut raft = leader();
        raft.link_down(&id("b"));
        raft.link_up(&id("b"), Incarnation(99));
        let index = raft.propose(Payload::Noop).expect("it leads");
        settle(&mut raft);
        tell(&mut raft, "b", Pledge::Appended { term: Term(1), matched: index });
        settle(&mut raft);
        assert!(raft.commit() < index);
    }

    #[test]
    fn a_second_leader_of_the_same_term_is_not_listened_to() {
        let mut raft = leader();
        let append = Append {
            term: Term(1),
            log: ClusterId(1),
            configuration: EntryId::default(),
            prev: EntryId::default(),
            commit: Index(0),
        };
        let heard = raft.receive(&id("b"), Received::Directive(Directive::Append(append), alloc::vec![]));
        assert!(heard.is_err());
        assert!(raft.is_leader());
    }

    #[test]
    fn numbers_that_no_honest_node_reaches_are_refused_and_overflow_nothing() {
        let mut raft = leader();
        for term in [u64::MAX, MAX_LEAP + 2] {
            let pledge = Pledge::VoteReply { term: Term(term), pre: false, granted: false };
            assert_eq!(raft.receive(&id("b"), Received::Pledge(pledge)), Err(CloseReason::Malformed));
        }
        let hint = EntryId::new(u64::MAX, u64::MAX);
        tell(&mut raft, "c", Pledge::Conflict { term: Term(1), probed: Index(u64::MAX), hint });
        tell(&mut raft, "b", Pledge::Appended { term: Term(1), matched: Index(u64::MAX) });
        settle(&mut raft);
        assert!(raft.is_leader());
    }

    #[test]
    fn a_follower_that_refuses_what_it_acknowledged_is_cut_and_counts_no_more() {
        let mut raft = leader();
        let index = raft.propose(Payload::Noop).expect("it leads");
        settle(&mut raft);
        let hint = EntryId::default();
        let conflict = Pledge::Conflict { term: Term(1), probed: Index(1), hint };
        let refused = raft.receive(&id("b"), Received::Pledge(conflict));
        assert_eq!(refused, Err(CloseReason::WentBack { acknowledged: Index(1) }));
        raft.link_down(&id("b"));
        raft.link_up(&id("b"), Incarnation(2));
        tell(&mut raft, "b", Pledge::Appended { term: Term(1), matched: index });
        settle(&mut raft);
        assert!(raft.commit() < index);
    }

    #[test]
    fn questions_without_end_are_turned_away() {
        let mut raft = leader();
        let refused = (0..).find(|question| raft.ask_read(Asker::Peer(id("b"), *question)).is_err());
        assert_eq!(refused, Some(read::MAX_ASKERS as u64));
    }

    #[test]
    fn a_confirmation_that_was_not_asked_for_on_this_link_confirms_nothing() {
        let mut raft = leader();
        settle(&mut raft);
        let asked = raft.ask_read(Asker::Own(1));
        assert_eq!(asked, Ok(()));
        // A link that comes up now was not asked yet.
        raft.link_down(&id("c"));
        raft.link_up(&id("c"), Incarnation(3));
        tell(&mut raft, "c", Pledge::Confirmed { term: Term(1), round: u64::MAX, compared: None });
        assert_eq!(raft.take_reads().count(), 0);
        settle(&mut raft);
        assert_eq!(raft.take_reads().count(), 0);
        tell(&mut raft, "c", Pledge::Confirmed { term: Term(1), round: 1, compared: None });
        settle(&mut raft);
        assert_eq!(raft.take_reads().count(), 1);
    }

    #[test]
    fn a_follower_that_differs_from_an_agreeing_majority_halts() {
        let mut raft = leader();
        raft.note_applied(Some(Checkpoint { at: Index(1024), hash: 1 }));
        let heartbeat = |agreed| message::Heartbeat {
            term: Term(2),
            configuration: EntryId::new(1, 1),
            commit: Index(0),
            round: 0,
            compare_at: Index(0),
            verdict: Some(message::HashVerdict { at: Index(1024), agreed: Some(agreed) }),
        };
        for (agreed, fault) in [(1, None), (2, Some(Fault::Diverged { at: Index(1024) }))] {
            let directive = Directive::Heartbeat(heartbeat(agreed));
            assert_eq!(raft.receive(&id("b"), Received::Directive(directive, alloc::vec![])), Ok(()));
            assert_eq!(raft.fault().cloned(), fault);
        }
    }

    /// W1, and FAULTS 14 and 15: a tail that the append says nothing about is neither acknowledged nor
    /// committed, even if the leader has committed as far.
    #[test]
    fn w1_only_what_an_append_has_shown_is_acknowledged_and_committed() {
        let mut raft = leader();
        let log = raft.log().genesis().map(|genesis| genesis.cluster).expect("it has founded");
        let tail: alloc::vec::Vec<Index> =
            (0..3).map(|_| raft.propose(Payload::Noop).expect("it leads")).collect();
        settle(&mut raft);
        let known = raft.commit();
        // Another leader knows the first of the three, and has committed its own entries in place of the others.
        let append = Append {
            term: Term(2),
            log,
            configuration: EntryId::new(1, 1),
            prev: EntryId { index: tail[0], term: Term(1) },
            commit: tail[2],
        };
        let directive = Directive::Append(append);
        assert_eq!(raft.receive(&id("b"), Received::Directive(directive, alloc::vec![])), Ok(()));
        while raft.settle() {}
        assert_eq!(raft.commit(), tail[0].max(known));
        let told = raft.take_outgoing().find_map(|(_, message)| match message {
            Outgoing::Pledge(Pledge::Appended { matched, .. }) => Some(matched),
            _ => None,
        });
        assert_eq!(told, Some(tail[0]));
    }
}
