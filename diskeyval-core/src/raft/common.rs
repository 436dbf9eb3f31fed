//! What is common to all roles: ballot, log, configuration, and the two doors through which words leave.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::config::{Address, Settings};
use crate::entry::{Entry, Payload};
use crate::error::Fault;
use crate::id::{EntryId, Incarnation, Index, NodeId, Term};
use crate::members::{Configuration, Membership, StorageKind};
use crate::mutants::{Mutant, is};
use crate::prng::Prng;
use crate::raft::Raft;
use crate::raft::agree::Checkpoints;
use crate::raft::change::Unchanged;
use crate::raft::log::Log;
use crate::raft::message::{Directive, Outgoing, Pledge};
use crate::raft::read::Asker;
use crate::raft::snapshot::{Base, SnapshotWord};
use crate::raft::transfer::{Kept, Preference};
use crate::status::Metrics;
pub(super) use crate::store::Record;
use crate::store::gate::{Gate, Promised, Receipt};
use crate::store::{Opening, Recalled, Store};
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) id: NodeId,
    pub(super) own: Incarnation,
    pub(super) election_timeout: Duration,
    pub(super) heartbeat: Duration,
    pub(super) append_window: usize,
    /// How long a leader may rely on a round that it has asked, if it may.
    pub(super) lease: Option<Duration>,
    pub(super) now: Instant,
    pub(super) prng: Prng,

    /// Term and vote, and the receipt for the two.
    pub(super) term: Term,
    vote: Option<NodeId>,
    /// Which life of it. Not kept: after a restart the vote is given to none.
    voted_life: Option<Incarnation>,
    ballot_receipt: Receipt,

    pub(super) log: Log,
    /// The receipt for the last change of the log.
    log_receipt: Receipt,
    /// Up to here the log is what an earlier run of this node has kept.
    pub(super) recalled: Index,
    /// Every configuration in the log, and the last before it. The last of them is in force, committed or not.
    memberships: Vec<(EntryId, Membership)>,
    /// The initial members, this node included, for as long as the log is empty.
    initial: Vec<NodeId>,
    /// Where the other initial members were said to be.
    pub(super) listed: Vec<(NodeId, Address)>,
    /// Where members say that they are, this node included.
    pub(super) announced: BTreeMap<NodeId, Address>,
    pub(super) may_found: bool,

    pub(super) commit: Index,
    pub(super) leader: Option<NodeId>,
    pub(super) heard_leader: Option<Instant>,
    /// When a follower or a candidate has waited long enough.
    pub(super) election_at: Instant,
    /// Links that are up, and the incarnation at the other end.
    pub(super) links: BTreeMap<NodeId, Incarnation>,
    /// Who is linked, and keeps out since a file of it is damaged.
    pub(super) damaged: BTreeSet<NodeId>,
    /// Up to where our log equals the leader's, to be said at the end of the turn.
    acknowledge: Option<Index>,
    /// The number of the last round of any reign of this node.
    pub(super) last_round: u64,
    pub(super) reads: Vec<(Asker, Option<Index>)>,
    /// Who has asked for a hand-over that came to nothing, and why.
    pub(super) kept: Vec<(Asker, Kept)>,
    /// Who has asked for a change of the members, and what has come of it.
    pub(super) changed: Vec<(Asker, Result<Index, Unchanged>)>,
    pub(super) preference: Preference,
    pub(super) checkpoints: Checkpoints,

    store: Store,
    gate: Gate<Claim>,
    pub(super) outgoing: Vec<(NodeId, Outgoing)>,
    /// Words about snapshots, for whoever holds the state.
    pub(super) snapshots: Vec<SnapshotWord>,
    pub(super) metrics: Metrics,
    pub(super) fault: Option<Fault>,
    /// A node that may not stand for election has waited for a leader as long as if it might.
    pub(super) waited_in_vain: bool,
}

/// What is promised, and to whom.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    ToPeer(NodeId, Pledge),
    /// To oneself: the vote of a candidate for itself.
    OwnVote(Term),
    /// To oneself: a leader's own log holds its entries of this term up to here.
    OwnEntries(Term, Index),
}

impl Common {
    pub(super) fn new(settings: &Settings, own: Incarnation, prng: Prng) -> Common {
        let store = Store::new(settings.storage, settings.election_timeout);
        let mut initial: Vec<NodeId> = settings.peers.iter().map(|(id, _)| id.clone()).collect();
        initial.push(settings.node_id.clone());
        initial.sort();
        Common {
            id: settings.node_id.clone(),
            own,
            election_timeout: settings.election_timeout,
            heartbeat: settings.heartbeat,
            append_window: settings.limits.append_window,
            lease: settings.lease,
            now: Instant::ZERO,
            prng,
            term: Term(0),
            vote: None,
            voted_life: None,
            ballot_receipt: store.opened(),
            log: Log::default(),
            log_receipt: store.opened(),
            recalled: Index(0),
            memberships: Vec::new(),
            initial,
            listed: settings.peers.clone(),
            announced: settings.announced.iter().map(|own| (settings.node_id.clone(), own.clone())).collect(),
            may_found: false,
            commit: Index(0),
            leader: None,
            heard_leader: None,
            election_at: Instant::ZERO,
            links: BTreeMap::new(),
            damaged: BTreeSet::new(),
            acknowledge: None,
            last_round: 0,
            reads: Vec::new(),
            kept: Vec::new(),
            changed: Vec::new(),
            preference: Preference::new(settings.leader_priority),
            checkpoints: Checkpoints::default(),
            store,
            gate: Gate::default(),
            outgoing: Vec::new(),
            snapshots: Vec::new(),
            metrics: Metrics::default(),
            fault: None,
            waited_in_vain: false,
        }
    }

    // The ballot.

    /// Goes on as a follower of `leader`, in a term that is not below the present one.
    pub(super) fn enter(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(term >= self.term, "terms never go back");
        if term > self.term {
            self.term = term;
            self.vote = None;
            if self.storage() == StorageKind::Memory || !is(Mutant::TermNotStored) {
                self.save_ballot();
            }
            // What was to be acknowledged was the word of an older leader.
            self.acknowledge.take_if(|_| !is(Mutant::AckOutlivesTerm));
        } else if leader.is_some() && self.vote.is_some() && is(Mutant::StepDownForgetsVote) {
            self.vote = None;
        }
        if leader.is_none() && is(Mutant::TermEndsPromise) {
            self.heard_leader = None;
        }
        if let Some(leader) = &leader {
            self.preference.follows(leader);
        }
        self.leader = leader;
        self.rearm_election();
    }

    /// Votes in the present term. A vote that was given is never changed.
    pub(super) fn cast_vote(&mut self, candidate: &NodeId, life: Incarnation) {
        assert!(self.may_vote_for(candidate, life), "one vote in each term");
        if self.vote.is_none() {
            self.vote = Some(candidate.clone());
            self.voted_life = Some(life);
            self.save_ballot();
        }
    }

    fn save_ballot(&mut self) {
        let (term, vote) = (self.term, &self.vote);
        let stored = || vote.clone().filter(|_| !is(Mutant::VoteNotStored));
        self.ballot_receipt = self.store.record(|| Record::Ballot { term, vote: stored() });
    }

    /// Whether what is claimed of term and vote may be said by now.
    pub(super) fn ballot_is_durable(&self) -> bool {
        self.store.durable().covers(&self.ballot_receipt)
    }

    /// Two lives under one name are two candidates: each may think that the seat is its own.
    pub(super) fn may_vote_for(&self, candidate: &NodeId, life: Incarnation) -> bool {
        let is_same_life = || self.voted_life == Some(life) || is(Mutant::VotesForAnotherLife);
        let is_same = |vote: &NodeId| vote == candidate && is_same_life();
        self.vote.as_ref().is_none_or(|vote| is_same(vote) || is(Mutant::VotesTwice))
    }

    /// Begins the next term with a vote for oneself.
    pub(super) fn enter_next_term_as_candidate(&mut self) {
        let (id, own) = (self.id.clone(), self.own);
        self.enter(self.term.next(), None);
        self.cast_vote(&id, own);
        let receipt = self.awaited(&self.ballot_receipt, Mutant::OwnVoteBeforeDurable);
        self.gate.hold(receipt.promise(Claim::OwnVote(self.term)));
    }

    /// A draw between one and two election timeouts from now. Who is the only voter need not wait for anybody, but for a
    /// leader that it has heard lately: that may be on its way out, and relies on not being replaced.
    pub(super) fn rearm_election(&mut self) {
        let configuration = self.configuration();
        let alone = configuration.is_majority(0, |id| *id == self.id);
        let promised = self.heard_leader.map_or(self.now, |heard| heard + self.election_timeout);
        self.election_at = if alone { self.now.max(promised) } else { self.now + self.patience() };
    }

    fn patience(&mut self) -> Duration {
        let drawn = self.prng.once_to_twice(self.election_timeout);
        if is(Mutant::NoJitter) { self.election_timeout } else { drawn }
    }

    /// The number of a round that nobody has asked before.
    pub(super) fn next_round(&mut self) -> u64 {
        self.last_round += 1;
        self.last_round
    }

    /// Whether a leader was heard so lately that nobody else must be elected: it may rely on that. In whatever term this
    /// node is by now, and also if it may have forgotten that it has heard one.
    pub(super) fn has_promised_to_wait(&self) -> bool {
        let within = |at: Instant| self.now.since(at) < self.election_timeout;
        self.heard_leader.is_some_and(within)
    }

    /// Whether a leader was heard so lately that nobody else should be elected (leader stickiness).
    pub(super) fn follows_a_living_leader(&self) -> bool {
        self.leader.is_some()
            && self.heard_leader.is_some_and(|at| self.now.since(at) < self.election_timeout)
    }

    // The log.

    /// Puts an entry at the end, for good.
    pub(super) fn push(&mut self, entry: Entry) -> Index {
        let bytes = entry.bytes.clone();
        let index = self.place(entry);
        self.log_receipt = self.store.record(|| Record::Entry { index, bytes });
        index
    }

    /// Puts an entry at the end; a configuration counts from here on.
    fn place(&mut self, entry: Entry) -> Index {
        let term = entry.term;
        let members = match &entry.payload {
            Payload::Genesis(genesis) => Some(genesis.members.clone()),
            Payload::Members(members) => Some(members.clone()),
            Payload::Noop | Payload::OpenSession(_) | Payload::Write(_) => None,
        };
        let index = self.log.push(entry);
        if let Some(members) = members {
            self.memberships.push((EntryId { index, term }, members));
        }
        index
    }

    /// Gives up the entries behind an index; a configuration among them counts no more.
    pub(super) fn truncate_behind(&mut self, index: Index) {
        assert!(index >= self.commit, "what is committed is never given up");
        self.forget_behind(index);
        if self.storage() == StorageKind::Memory || !is(Mutant::TruncationNotStored) {
            self.log_receipt = self.store.record(|| Record::Truncate { behind: index });
        }
        // An acknowledgement that is still to be said may speak of what is gone.
        self.acknowledge = self.acknowledge.map(|acknowledge| acknowledge.min(index));
    }

    fn forget_behind(&mut self, index: Index) {
        self.recalled = self.recalled.min(index);
        self.log.truncate_behind(index);
        self.memberships.retain(|(entry, _)| entry.index <= index || is(Mutant::ConfigurationOutlivesEntry));
    }

    /// Releases what stands in the log up to an index, as far as it was applied and there is a durable snapshot of it.
    pub(super) fn release_log(&mut self, up_to: Index) {
        self.log.release(up_to.min(self.store.durable_snapshot().index));
        let base = self.log.base().index;
        // Of those before it the last is still in force.
        let before = self.memberships.iter().take_while(|(entry, _)| entry.index <= base).count();
        self.memberships.drain(..before.saturating_sub(1));
    }

    /// The entry that brought in the members who are in force at an index.
    pub(super) fn configuration_at(&self, index: Index) -> Option<EntryId> {
        let before = self.memberships.iter().rev().map(|(entry, _)| *entry);
        before.into_iter().find(|entry| entry.index <= index)
    }

    /// Takes a snapshot in place of the log. It is durable, and reflects more than is committed here.
    pub(super) fn install(&mut self, base: Base) {
        let last = base.last;
        assert!(last.index > self.commit || is(Mutant::OlderSnapshotTaken), "the state never goes back");
        self.begin_behind(base);
        self.log_receipt = self.store.record(|| Record::Base { last });
        self.acknowledge = Some(last.index);
    }

    /// Everything that is known goes up to the end of a snapshot.
    fn begin_behind(&mut self, base: Base) {
        let Base { last, genesis, configuration, members } = base;
        let members = if is(Mutant::MembersNotInSnapshot) { genesis.members.clone() } else { members };
        let is_half = members.is_joint() && is(Mutant::JointNotInSnapshot);
        let outgoing = if is_half { Vec::new() } else { members.outgoing.clone() };
        let members = Membership { outgoing, ..members };
        self.log.reset(last, genesis);
        self.memberships = alloc::vec![(configuration, members)];
        self.commit = last.index;
        self.recalled = last.index;
    }

    /// Raises the commit index, never beyond the log and never back.
    pub(super) fn raise_commit(&mut self, to: Index) {
        self.commit = self.commit.max(to.min(self.log.last().index));
    }

    /// Whether this node belongs to a cluster for good: it holds an entry behind the genesis, or knows
    /// that the genesis is committed.
    pub(super) fn is_founded(&self) -> bool {
        self.log.is_founded() || self.commit > Index(0)
    }

    // The configuration.

    pub(super) fn configuration(&self) -> Configuration<'_> {
        match self.memberships.last() {
            Some((entry, members)) => Configuration::Seats(*entry, members),
            None => Configuration::ByName(&self.initial),
        }
    }

    /// Whose votes make a leader.
    pub(super) fn electorate(&self) -> Configuration<'_> {
        let is_late = |entry: &EntryId| entry.index > self.commit.max(Index(1)) && is(Mutant::MembersAtApply);
        match self.memberships.iter().rev().find(|(entry, _)| !is_late(entry)) {
            Some((entry, members)) => Configuration::Seats(*entry, members),
            None => self.configuration(),
        }
    }

    /// Whether the words of this node are heard: our configuration names it, or its own is newer than ours
    /// and we follow no living leader (it may have replaced those whom we know).
    pub(super) fn hears(&self, from: &NodeId, incarnation: Incarnation, its_configuration: EntryId) -> bool {
        let ours = self.configuration();
        ours.counts(from, incarnation)
            || ((its_configuration.term, its_configuration.index) > (ours.entry().term, ours.entry().index)
                && !self.follows_a_living_leader())
    }

    /// Whether this node may stand for election: its incarnation counts in its own configuration, and
    /// before there are seats, founding is allowed.
    pub(super) fn may_campaign(&self) -> bool {
        let configuration = self.configuration();
        let learns = |members: &Membership| members.names(&self.id, self.own) && is(Mutant::LearnerCampaigns);
        let is_voter = configuration.counts(&self.id, self.own)
            || self.may_still_be_needed()
            || matches!(configuration, Configuration::Seats(_, members) if learns(members));
        is_voter && self.may_vote_by_name()
    }

    /// Whether this node is no voter by an entry that it does not know to be committed: it may be the only one who has that
    /// entry, and be elected by the others alone.
    fn may_still_be_needed(&self) -> bool {
        let [.., (before, former), (entry, members)] = &self.memberships[..] else { return false };
        let is_out = members.seat(&self.id).is_none();
        is_out
            && entry.index > self.commit
            && Configuration::Seats(*before, former).counts(&self.id, self.own)
    }

    /// A vote before there are seats is a vote by name, and only allowed while founding is.
    pub(super) fn may_vote_by_name(&self) -> bool {
        !self.memberships.is_empty() || self.may_found || is(Mutant::VotesByNameUnasked)
    }

    // Snapshots on the disk.

    pub(super) fn begin_snapshot(&mut self, last: EntryId) {
        self.store.begin_snapshot(last);
    }

    pub(super) fn snapshot_room(&self) -> usize {
        self.store.snapshot_room()
    }

    pub(super) fn push_snapshot(&mut self, piece: Bytes) {
        self.store.push_snapshot(piece);
    }

    pub(super) fn end_snapshot(&mut self) {
        self.store.end_snapshot();
    }

    pub(super) fn durable_snapshot(&self) -> EntryId {
        self.store.durable_snapshot()
    }

    // The two doors.

    /// A leader's word leaves at once.
    pub(super) fn direct(&mut self, to: &NodeId, directive: Directive, entries: Vec<Bytes>) {
        self.send(to.clone(), Outgoing::Directive(directive, entries));
    }

    /// A claim on the ballot waits until the ballot is durable.
    pub(super) fn pledge_by_ballot(&mut self, to: &NodeId, pledge: Pledge) {
        let receipt = match pledge {
            Pledge::VoteReply { granted: true, .. } => {
                self.awaited(&self.ballot_receipt, Mutant::VoteBeforeDurable)
            }
            _ => self.ballot_receipt.clone(),
        };
        self.hold(receipt.promise(Claim::ToPeer(to.clone(), pledge)));
    }

    /// A leader's claim on its own entries waits until they are durable, as anybody's.
    pub(super) fn pledge_own_entries(&mut self, last: Index) {
        let receipt = self.awaited(&self.log_receipt, Mutant::CountsOwnVolatile);
        self.hold(receipt.promise(Claim::OwnEntries(self.term, last)));
    }

    /// Notes that our log equals the leader's up to here; it is said once, at the end of the turn.
    pub(super) fn acknowledge(&mut self, matched: Index) {
        self.acknowledge = self.acknowledge.max(Some(matched));
    }

    pub(super) fn pledge_acknowledgement(&mut self) {
        if let (Some(matched), Some(leader)) = (self.acknowledge.take(), self.leader.clone()) {
            let pledge = Pledge::Appended { term: self.term, matched };
            // Who acknowledges nothing new, since its disk is full say, has entered the term all the same.
            let both = self.log_receipt.and(&self.ballot_receipt);
            let receipt = self.awaited(&both, Mutant::AckBeforeDurable);
            self.hold(receipt.promise(Claim::ToPeer(leader, pledge)));
        }
    }

    /// What a claim waits for. Only a mutant does not wait.
    fn awaited(&self, write: &Receipt, hasty: Mutant) -> Receipt {
        if self.storage() == StorageKind::Disk && is(hasty) { self.store.opened() } else { write.clone() }
    }

    fn hold(&mut self, promised: Promised<Claim>) {
        self.gate.hold(promised);
    }

    /// Lets out what waited for writes that are durable by now.
    pub(super) fn release(&mut self) -> Vec<Claim> {
        if self.gate.is_empty() {
            return Vec::new();
        }
        self.gate.release(&self.store.durable())
    }

    /// Whether the disk has kept something waiting for so long that nothing can be promised by now.
    pub(super) fn disk_is_stalled(&self) -> bool {
        let since = self.store.busy_since();
        since.is_some_and(|since| self.now.since(since) >= self.election_timeout)
            && !is(Mutant::StallUnnoticed)
    }

    pub(super) fn storage(&self) -> StorageKind {
        self.store.kind()
    }

    /// When what has been on its way to the disk has been so for too long.
    pub(super) fn disk_stalls_at(&self) -> Option<Instant> {
        self.store.busy_since().map(|since| since + self.election_timeout)
    }

    /// Whether what is left of the disk is for what the protocol itself has to write.
    pub(super) fn disk_is_full(&self) -> bool {
        self.store.is_nearly_full() && !is(Mutant::FullUnnoticed)
    }

    pub(super) fn wake_storage(&mut self) {
        self.store.wake(self.now);
    }

    pub(super) fn storage_wants_to_be_woken(&self) -> Option<Instant> {
        self.store.deadline()
    }

    fn open(&mut self, opening: &mut Opening, base: Option<Base>) -> Option<Result<Recalled, &'static str>> {
        let mut recalled = self.store.open(opening)?;
        self.own = recalled.incarnation;
        (self.term, self.vote) = (recalled.term, recalled.vote.clone());
        if self.term > Term::MAX_KEPT {
            return Some(Err("a term that no node has counted to"));
        }
        self.vote.take_if(|_| is(Mutant::BallotNotRecalled));
        if base.as_ref().map_or(EntryId::default(), |base| base.last) != recalled.base {
            return Some(Err("an end that is not that of the snapshot"));
        }
        if let Some(base) = base {
            self.begin_behind(base);
        }
        for bytes in core::mem::take(&mut recalled.entries) {
            if let Err(what) = self.recall(bytes) {
                return Some(Err(what));
            }
        }
        Some(Ok(recalled))
    }

    fn recall(&mut self, bytes: bytes::Bytes) -> Result<(), &'static str> {
        let entry = Entry::parse(bytes).map_err(|_| "an entry that cannot be understood")?;
        let genesis_fits = match (&entry.payload, self.log.genesis()) {
            (Payload::Genesis(copy), Some(genesis)) => copy.cluster == genesis.cluster,
            (Payload::Genesis(_), None) | (_, Some(_)) => true,
            (_, None) => false,
        };
        // Nobody takes an entry before it has entered its term.
        if !genesis_fits || !(self.log.last().term..=self.term).contains(&entry.term) {
            return Err("an entry that does not fit behind the one before it");
        }
        self.recalled = self.place(entry);
        Ok(())
    }

    /// What it remembers, as records.
    #[cfg(any(test, feature = "inspect"))]
    fn kept(&self) -> Vec<Record> {
        let mut kept = alloc::vec![
            Record::Incarnation(self.own),
            Record::Ballot { term: self.term, vote: self.vote.clone() },
        ];
        let base = self.log.base();
        if base != EntryId::default() {
            kept.push(Record::Base { last: base });
        }
        let first = base.index.0 + 1;
        let entries = self.log.batch(Index(first), usize::MAX);
        kept.extend(
            (first..).zip(entries).map(|(index, bytes)| Record::Entry { index: Index(index), bytes }),
        );
        kept
    }

    pub(super) fn send(&mut self, to: NodeId, message: Outgoing) {
        self.outgoing.push((to, message));
    }
}

/// What the engine has to do with the storage of a node.
impl Raft {
    /// Goes on with the storage that was opened, before time begins, and with what it has kept: all of that is
    /// durable. `None`: it is not open yet. An error says what it holds that no run can have written: everything
    /// else relies on it.
    pub(crate) fn open(
        &mut self,
        opening: &mut Opening,
        base: Option<Base>,
    ) -> Option<Result<Recalled, &'static str>> {
        self.common.open(opening, base)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.common.store
    }

    pub(crate) fn store_mut(&mut self) -> &mut Store {
        &mut self.common.store
    }

    /// Has everything behind the durable snapshot written again.
    pub(crate) fn rewrite_log(&mut self) {
        let Common { store, log, .. } = &mut self.common;
        store.rewrite(log.batch(store.durable_snapshot().index.next(), usize::MAX).into_iter());
    }

    /// What it remembers, as records.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn kept(&self) -> Vec<Record> {
        self.common.kept()
    }
}
