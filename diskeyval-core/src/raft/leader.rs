//! What a leader does: put entries into its log, send them, count who has them, confirm that it leads.
//! Whether it still may is in `check_quorum.rs`, how it changes seats in `seats.rs`, how it changes the voters in `change.rs`, how
//! it hands over in `transfer.rs`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::MAX_BATCH;
use crate::entry::{Entry, Genesis, MAX_BATCH_ENTRIES, Payload};
use crate::error::CloseReason;
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::members::{Configuration, Membership, Seat};
use crate::mutants::{Mutant, is, want_small_batches};
use crate::raft::NotNow;
use crate::raft::agree::Comparison;
use crate::raft::change::PendingChange;
use crate::raft::common::Common;
use crate::raft::lease::Lease;
use crate::raft::message::{Append, Directive, Heartbeat, Pledge};
use crate::raft::progress::{InFlight, Progress, Replication};
use crate::raft::quorum::reached;
use crate::raft::read::{Asker, Rounds};
use crate::raft::snapshot::SnapshotWord;
use crate::raft::transfer::{Kept, Transfer};
use crate::time::{Deadline, Instant, Timer};

#[derive(Clone, Debug)]
pub(super) struct Leader {
    /// Members with whom there is, or was, a link in this reign.
    pub(super) followers: BTreeMap<NodeId, Follower>,
    /// Up to where the own log is durable.
    pub(super) own_matched: Index,
    /// Up to where that was promised already.
    own_pledged: Index,
    /// The first entry of this reign. Nothing is read, and no seat is filled, before it is committed.
    first: Index,
    heartbeat_at: Instant,
    /// What was committed at the last heartbeat: whoever holds it has caught up.
    committed_at_beat: Index,
    pub(super) began: Instant,
    /// When the lives in the seats were heard last whose followers are others now.
    pub(super) bound_heard: BTreeMap<NodeId, Instant>,
    pub(super) rounds: Rounds,
    pub(super) lease: Lease,
    comparison: Comparison,
    pub(super) transfer: Option<Transfer>,
    /// What was asked of the members, and is not done.
    pub(super) change: Option<PendingChange>,
    /// Since when nothing has happened that a preference would have to wait for.
    pub(super) calm_since: Instant,
    /// Who no longer holds what it acknowledged. Nothing of it counts in this reign any more.
    unfaithful: BTreeMap<NodeId, Incarnation>,
}

/// A member, in the life that is, or was, at the other end of the link: the one in its seat, or another that waits
/// for it.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    pub(super) linked: bool,
    pub(super) progress: Progress,
}

impl Leader {
    /// Begins a reign, with an entry of its own term.
    pub(super) fn new(common: &mut Common) -> Leader {
        common.metrics.leaderships_won += 1;
        common.leader = Some(common.id.clone());
        let mut leader = Leader {
            followers: BTreeMap::new(),
            own_matched: Index(0),
            own_pledged: Index(0),
            first: common.log.last().index.next(),
            heartbeat_at: common.now + common.heartbeat,
            committed_at_beat: common.commit,
            began: common.now,
            bound_heard: BTreeMap::new(),
            rounds: Rounds::default(),
            lease: Lease::new(common.lease),
            comparison: Comparison::default(),
            transfer: None,
            change: None,
            calm_since: common.now,
            unfaithful: BTreeMap::new(),
        };
        let opening = if common.log.is_founded() {
            Payload::Noop
        } else {
            let known = common.log.genesis().cloned();
            Payload::Genesis(known.unwrap_or_else(|| found(common)))
        };
        if !(common.log.is_founded() && is(Mutant::NoOpeningEntry)) {
            leader.append(common, opening);
        }
        let links: Vec<_> = common.links.iter().map(|(id, incarnation)| (id.clone(), *incarnation)).collect();
        for (peer, incarnation) in links {
            leader.link_up(common, &peer, incarnation);
        }
        for follower in leader.followers.values_mut() {
            // They have just voted, or will say soon that they follow another.
            follower.progress.heard = Some(common.now);
        }
        leader.beat(common);
        leader
    }

    /// Ends the reign.
    pub(super) fn leave(&mut self, common: &mut Common) {
        common.reads.extend(self.rounds.give_up());
        self.give_change_up(common);
    }

    // Links.

    /// Followers most likely hold all that stands before this reign.
    pub(super) fn link_up(&mut self, common: &Common, peer: &NodeId, incarnation: Incarnation) {
        let configuration = common.configuration();
        let former = self.followers.remove(peer);
        if !configuration.has_name(peer) || self.unfaithful.get(peer) == Some(&incarnation) {
            return;
        }
        if let Some(former) = former.as_ref().filter(|former| former.progress.incarnation != incarnation) {
            let heard = former.progress.heard.unwrap_or(self.began);
            self.bound_heard.insert(peer.clone(), heard);
        }
        let former = former
            .filter(|former| former.progress.incarnation == incarnation || is(Mutant::MatchOutlivesLife));
        let matched = former.as_ref().map_or(Index(0), |former| former.progress.matched);
        let mut progress = Progress::new(incarnation, matched, self.first);
        // A new link alone is no sign that it still follows us.
        progress.heard = former.and_then(|former| former.progress.heard);
        self.followers.insert(peer.clone(), Follower { linked: true, progress });
        self.preference_linked(common, peer);
    }

    pub(super) fn link_down(&mut self, common: &mut Common, peer: &NodeId) {
        if let Some(follower) = self.followers.get_mut(peer) {
            follower.linked = false;
        }
        if !common.configuration().has_name(peer) {
            self.followers.remove(peer);
        }
        // Who cannot be told cannot take over.
        if self.transfer.as_ref().is_some_and(|transfer| transfer.to == *peer) {
            self.give_transfer_up(common, Kept::Unlinked);
        }
    }

    pub(super) fn progress(&self, peer: &NodeId) -> Option<&Progress> {
        self.followers.get(peer).map(|follower| &follower.progress)
    }

    pub(super) fn follower(&self, peer: &NodeId) -> Option<&Follower> {
        self.followers.get(peer)
    }

    #[cfg(any(test, feature = "inspect"))]
    pub(super) fn followers(&self) -> impl Iterator<Item = (&NodeId, &Follower)> {
        self.followers.iter()
    }

    /// Whether a follower holds what was committed a moment ago.
    pub(super) fn has_caught_up(&self, follower: &Follower) -> bool {
        follower.progress.matched >= self.committed_at_beat.max(self.first)
    }

    /// Whether the life in a seat, of whom another is the follower now, was not heard for an election timeout.
    pub(super) fn was_silent(&self, common: &Common, id: &NodeId) -> bool {
        let heard = self.bound_heard.get(id).copied().unwrap_or(self.began);
        common.now.since(heard) >= common.election_timeout
    }

    // Time.

    pub(super) fn deadline(&self, common: &Common) -> Deadline {
        let heartbeat = Deadline { at: self.heartbeat_at, why: Timer::Heartbeat };
        let quorum = self
            .quorum_heard(common)
            .map(|heard| Deadline { at: heard + common.election_timeout, why: Timer::CheckQuorum });
        let transfer = self.transfer.as_ref().map(|t| Deadline { at: t.give_up_at, why: Timer::Transfer });
        let change = self.change_gives_up_at(common).map(|at| Deadline { at, why: Timer::Request });
        [quorum, transfer, change].into_iter().flatten().fold(heartbeat, Ord::min)
    }

    pub(super) fn tick(&mut self, common: &mut Common) {
        self.tick_transfer(common);
        if common.now >= self.heartbeat_at {
            self.beat(common);
            self.heed_preference(common);
        }
    }

    /// Something of each follower, in the life that is, or was, linked.
    pub(super) fn each<'l, T>(
        &'l self,
        of: impl Fn(&Progress) -> T + Clone + 'l,
    ) -> impl Iterator<Item = (&'l NodeId, Incarnation, T)> + Clone {
        self.followers.iter().map(move |(id, follower)| {
            let progress = &follower.progress;
            (id, progress.incarnation, of(progress))
        })
    }

    pub(super) fn voters<'l>(
        &'l self,
        configuration: Configuration<'l>,
    ) -> impl Iterator<Item = (&'l NodeId, &'l Progress)> {
        self.followers
            .iter()
            .map(|(id, follower)| (id, &follower.progress))
            .filter(move |(id, progress)| configuration.counts(id, progress.incarnation))
    }

    fn beat(&mut self, common: &mut Common) {
        self.heartbeat_at = common.now + common.heartbeat;
        self.committed_at_beat = common.commit;
        self.comparison.beat(common.checkpoints.latest(), &common.id);
        for follower in self.followers.values_mut() {
            follower.progress.ask_again(common.now - common.election_timeout);
        }
        let round = match self.rounds.current() {
            Some(round) => round,
            None if self.lease.is_wanted() => common.next_round(),
            None => 0,
        };
        self.ask_round(common, round);
        self.offer(common);
    }

    fn ask_round(&mut self, common: &mut Common, round: u64) {
        self.lease.asked(round, common.now);
        let configuration = common.configuration().entry();
        for (peer, follower) in &mut self.followers {
            if !follower.linked {
                common.metrics.append_entries_failed += 1;
                continue;
            }
            let progress = &mut follower.progress;
            progress.asked_round = progress.asked_round.max(round);
            let unclamped = common.commit > progress.matched && is(Mutant::HeartbeatCommitUnclamped);
            let commit = if unclamped { common.commit } else { common.commit.min(progress.matched) };
            progress.told_commit = progress.told_commit.max(commit);
            common.metrics.append_entries_sent += 1;
            let heartbeat = Heartbeat {
                term: common.term,
                configuration,
                commit,
                round,
                compare_at: self.comparison.index(),
                verdict: self.comparison.verdict,
            };
            common.outgoing.push((
                peer.clone(),
                super::Outgoing::Directive(Directive::Heartbeat(heartbeat), Vec::new()),
            ));
        }
    }

    // The own log.

    /// Whether an entry of this reign is committed: from then on everything that was committed before is
    /// applied here.
    pub(super) fn is_established(&self, common: &Common) -> bool {
        common.commit >= self.first
    }

    /// Whether it takes what a program or a peer wants to write.
    pub(super) fn is_open(&self, common: &Common) -> bool {
        // Nothing stands behind a genesis before that is committed.
        common.log.is_founded()
            && self.transfer.is_none()
            && common.configuration().counts(&common.id, common.own)
    }

    pub(super) fn append(&mut self, common: &mut Common, payload: Payload) -> Index {
        let entry = Entry::new(common.term, payload);
        let changes_members = matches!(entry.payload, Payload::Genesis(_) | Payload::Members(_));
        let index = common.push(entry);
        if changes_members {
            let links: Vec<_> =
                common.links.iter().map(|(id, incarnation)| (id.clone(), *incarnation)).collect();
            for (peer, incarnation) in links {
                if !self.followers.contains_key(&peer) {
                    self.link_up(common, &peer, incarnation);
                }
            }
        }
        index
    }

    /// The leader counts itself like anybody else: when its entries are durable.
    pub(super) fn pledge_own(&mut self, common: &mut Common) {
        let last = common.log.last().index;
        if last > self.own_pledged {
            self.own_pledged = last;
            common.pledge_own_entries(last);
        }
    }

    pub(super) fn own_entries_are_durable(&mut self, last: Index) {
        self.own_matched = self.own_matched.max(last);
    }

    // What followers say.

    /// An error is the follower's guilt, and its link is to be closed.
    pub(super) fn hear(
        &mut self,
        common: &mut Common,
        from: &NodeId,
        incarnation: Incarnation,
        pledge: &Pledge,
    ) -> Result<(), CloseReason> {
        let Some(follower) = self.followers.get_mut(from) else { return Ok(()) };
        let progress = &mut follower.progress;
        if !follower.linked || progress.incarnation != incarnation {
            return Ok(());
        }
        progress.heard = Some(common.now);
        match *pledge {
            Pledge::Appended { matched, .. } => {
                // Nobody can hold more of our log than there is.
                if matched <= common.log.last().index {
                    progress.appended(matched, common.log.base().index);
                }
            }
            Pledge::Conflict { probed, .. } if probed <= progress.matched => {
                let matched = progress.matched;
                self.followers.remove(from);
                self.unfaithful.insert(from.clone(), incarnation);
                return Err(CloseReason::WentBack { acknowledged: matched });
            }
            Pledge::Conflict { probed, hint, .. } => {
                let meeting = common.log.last_not_above(hint).index;
                let named = hint.index.min(common.log.last().index);
                if named > progress.matched && is(Mutant::NackAdvancesMatch) {
                    progress.matched = named;
                }
                if progress.conflicted(probed, meeting) {
                    common.metrics.append_entries_failed += 1;
                    common.metrics.append_entries_retries += 1;
                }
            }
            Pledge::Confirmed { round, compared, .. } => {
                if round <= progress.asked_round {
                    progress.confirmed_round = progress.confirmed_round.max(round);
                }
                if let Some((at, hash)) = compared {
                    self.compare(common, from, incarnation, at, hash);
                }
            }
            Pledge::Received { row, last, offset, .. } => {
                common.snapshots.push(SnapshotWord::Received { from: from.clone(), row, last, offset });
            }
            Pledge::VoteRequest(_) | Pledge::VoteReply { .. } => {}
        }
        Ok(())
    }

    fn compare(
        &mut self,
        common: &mut Common,
        from: &NodeId,
        incarnation: Incarnation,
        at: Index,
        hash: u128,
    ) {
        let configuration = common.configuration();
        if !configuration.counts(from, incarnation) {
            return;
        }
        common.metrics.hashes_compared += 1;
        let members = common.configuration().len();
        if let Some(verdict) = self.comparison.report(from, at, hash, members)
            && let Some(fault) = common.checkpoints.judge(verdict)
        {
            // The others have to hear it before this node falls silent.
            self.beat(common);
            common.fault.get_or_insert(fault);
        }
    }

    // What a turn has made possible.

    pub(super) fn settle(&mut self, common: &mut Common) {
        self.commit(common);
        // Who takes over would have to catch up with that, too.
        if self.transfer.is_none() {
            self.found_or_change_members(common);
        }
        self.confirm_reads(common);
        self.replicate(common);
        self.finish_transfer(common);
    }

    /// An entry is committed when a majority of all seats holds it durably, and it is of our own term;
    /// what stands before it is then committed with it (Raft, 5.4.2).
    fn commit(&mut self, common: &mut Common) {
        let configuration = common.configuration();
        let own = core::iter::once((&common.id, common.own, self.own_matched));
        let matched = self.each(|progress| progress.matched).chain(own);
        let has_learners =
            matches!(configuration, Configuration::Seats(_, members) if !members.learners.is_empty());
        let is_out = !configuration.counts(&common.id, common.own);
        let missing = usize::from(
            is(Mutant::CommitsWithOneTooFew)
                || (has_learners && is(Mutant::LearnerCounts))
                || (is_out && is(Mutant::RemovedLeaderCounts)),
        );
        let Some(index) = reached(configuration.halves(), matched, missing) else { return };
        let of_own_term = common.log.term(index) == Some(common.term);
        if index > common.commit && (of_own_term || is(Mutant::CommitsOlderTerms)) {
            common.raise_commit(index);
        }
    }

    fn confirm_reads(&mut self, common: &mut Common) {
        let is_early = || self.rounds.is_due() && is(Mutant::ReadBeforeOwnCommit);
        if !self.is_established(common) && !is_early() {
            return;
        }
        if self.rounds.is_due() {
            let round = common.next_round();
            common.metrics.read_rounds += 1;
            self.rounds.begin(round, common.commit);
            self.ask_round(common, round);
        }
        let configuration = common.configuration();
        let own = core::iter::once((&common.id, common.own, common.last_round));
        let rounds = self.each(|progress| progress.confirmed_round).chain(own);
        let waits = self.rounds.current().is_some();
        let missing = usize::from(waits && is(Mutant::ReadsWithOneTooFew));
        let mut confirmed = reached(configuration.halves(), rounds, missing);
        if waits && is(Mutant::NoReadRound) {
            confirmed = self.rounds.current();
        }
        if let Some(round) = confirmed {
            self.lease.confirmed(round, common.now);
            let answers = self.rounds.confirmed(round);
            common.reads.extend(answers);
        }
    }

    /// Asks for an index to read at: at once, if nobody else can lead now and that is enough.
    pub(super) fn ask_read(
        &mut self,
        common: &mut Common,
        asker: Asker,
        by_lease: bool,
    ) -> Result<(), NotNow> {
        // Who is on its way out is not asked by those who come, whatever they have promised.
        let is_voter = common.configuration().counts(&common.id, common.own);
        if by_lease && is_voter && self.is_established(common) && self.lease.holds(common.now) {
            common.metrics.lease_reads += 1;
            common.reads.push((asker, Some(common.commit)));
            return Ok(());
        }
        self.rounds.ask(asker)
    }

    fn replicate(&mut self, common: &mut Common) {
        let configuration = common.configuration().entry();
        let log = common.log.genesis().map_or(ClusterId(0), |genesis| genesis.cluster);
        let words = Words { term: common.term, log, configuration, commit: common.commit };
        for (peer, follower) in self.followers.iter_mut().filter(|(_, follower)| follower.linked) {
            while let Some((append, entries)) = next_append(&mut follower.progress, common, &words) {
                common.metrics.append_entries_sent += 1;
                common.direct(peer, Directive::Append(append), entries);
            }
            let progress = &mut follower.progress;
            let news = common.commit > progress.matched.max(progress.told_commit);
            let unclamped = news && is(Mutant::CommitNoticeUnclamped);
            let commit = if unclamped { common.commit } else { common.commit.min(progress.matched) };
            if commit > progress.told_commit {
                progress.told_commit = commit;
                common.direct(peer, Directive::Commit { term: common.term, commit }, Vec::new());
            }
        }
    }

    // Snapshots.

    /// Who is to be sent the state, and which it is being sent (zero: none yet).
    pub(super) fn lagging(&self) -> impl Iterator<Item = (&NodeId, Incarnation, EntryId)> {
        self.followers.iter().filter(|(_, follower)| follower.linked).filter_map(|(id, follower)| {
            match follower.progress.replication {
                Replication::Snapshot { last } => Some((id, follower.progress.incarnation, last)),
                Replication::Probe { .. } | Replication::Stream { .. } => None,
            }
        })
    }

    /// A follower is sent the state after this entry from now on; zero: what was sent leads nowhere.
    pub(super) fn snapshot_begins(&mut self, peer: &NodeId, entry: EntryId) {
        if let Some(Replication::Snapshot { last }) =
            self.followers.get_mut(peer).map(|follower| &mut follower.progress.replication)
        {
            *last = entry;
        }
    }
}

/// What all appends of one turn have in common.
struct Words {
    term: Term,
    log: ClusterId,
    configuration: EntryId,
    commit: Index,
}

/// The next append for a follower, if one may be sent now.
fn next_append(
    progress: &mut Progress,
    common: &Common,
    words: &Words,
) -> Option<(Append, Vec<bytes::Bytes>)> {
    let last = common.log.last().index;
    let has_room = |bytes| bytes < common.append_window || is(Mutant::AppendWindowIgnored);
    let from = match &progress.replication {
        Replication::Probe { asked: Some(_), .. } => return None,
        Replication::Probe { next, .. } => *next,
        Replication::Stream { next, bytes, .. } if *next <= last && has_room(*bytes) => *next,
        Replication::Stream { .. } | Replication::Snapshot { .. } => return None,
    };
    let prev = Index(from.0 - 1);
    let Some(term) = common.log.term(prev) else {
        progress.replication = Replication::Snapshot { last: EntryId::default() };
        return None;
    };
    let prev = EntryId { index: prev, term };
    // No more than the window at once, so that what is sent to one peer has a bound.
    let most = MAX_BATCH.min(common.append_window);
    let mut entries = common.log.batch(from, if want_small_batches() { 0 } else { most });
    entries.truncate(MAX_BATCH_ENTRIES);
    if entries.is_empty() && from <= last {
        // What was released cannot be sent, whatever its term is taken for.
        return None;
    }
    let sent_up_to = Index(prev.index.0 + entries.len() as u64);
    match &mut progress.replication {
        Replication::Probe { asked, .. } => *asked = Some(common.now),
        Replication::Stream { next, in_flight, bytes } => {
            let size = entries.iter().map(|entry| entry.len()).sum();
            in_flight.push_back(InFlight { sent: common.now, last: sent_up_to, bytes: size });
            *bytes += size;
            *next = sent_up_to.next();
        }
        Replication::Snapshot { .. } => {}
    }
    progress.told_commit = progress.told_commit.max(words.commit.min(sent_up_to));
    let Words { term, log, configuration, commit } = *words;
    Some((Append { term, log, configuration, prev, commit }, entries))
}

/// The genesis of a new cluster: this node and everybody who is linked now are in their seats.
fn found(common: &mut Common) -> Genesis {
    let cluster = ClusterId(common.prng.next_u128());
    let configuration = common.configuration();
    let seat = |id: &NodeId| {
        let bound = if *id == common.id { Some(common.own) } else { common.links.get(id).copied() };
        let listed = common.listed.iter().find(|(listed, _)| listed == id).map(|(_, address)| address);
        let address = common.announced.get(id).or(listed).cloned();
        Seat { id: id.clone(), bound, address }
    };
    let members = Membership::of(configuration.names().map(seat).collect());
    Genesis { cluster, storage: common.storage(), members }
}
