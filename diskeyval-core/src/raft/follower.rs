//! How a node answers a leader and a candidate. These rules hold in every role: whoever hears a leader
//! of a term that is not below its own becomes its follower.

use alloc::vec::Vec;

use super::{Role, Transition};
use crate::entry::{Entry, Payload};
use crate::error::{CloseReason, Fault};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::message::{Append, Directive, Heartbeat, Pledge, VoteRequest};
use crate::raft::snapshot::SnapshotWord;

/// What comes of a leader's words before they are obeyed.
pub(super) enum Heard {
    /// Nothing: it leads no more, or is not to be listened to.
    Nothing,
    /// It is our leader already.
    OurLeader,
    /// It is to be followed first.
    Follow(Transition),
}

/// A leader speaks: whether to listen. An error is its guilt.
pub(super) fn hear(
    common: &mut Common,
    from: &NodeId,
    incarnation: Incarnation,
    directive: &Directive,
    entries: &[Entry],
) -> Result<Heard, CloseReason> {
    let term = directive.term();
    if term < common.term {
        // Whoever thinks that it leads learns that its reign is over.
        let stale = Pledge::Confirmed { term: common.term, round: 0, compared: None };
        common.pledge_by_ballot(from, stale);
        return Ok(Heard::Nothing);
    }
    let its_configuration = match directive {
        Directive::Append(append) => append.configuration,
        Directive::Heartbeat(heartbeat) => heartbeat.configuration,
        Directive::Snapshot(piece) => piece.configuration,
        Directive::Commit { .. } | Directive::TimeoutNow { .. } => EntryId::default(),
        // Nobody takes one whose files are whole for damaged.
        Directive::Offer { .. } => return Err(CloseReason::OutOfPlace),
    };
    let is_our_leader = term == common.term && common.leader.as_ref() == Some(from);
    if !is_our_leader && !common.hears(from, incarnation, its_configuration) {
        return Ok(Heard::Nothing);
    }
    if term == common.term && common.leader.as_ref().is_some_and(|leader| leader != from) {
        // Two leaders of one term: somebody voted twice. Nothing good can come of listening.
        return Err(CloseReason::OutOfPlace);
    }
    // One that comes late was given up by whoever sent it, and others may follow a leader who goes on.
    let is_in_time = is_our_leader && common.follows_a_living_leader();
    if matches!(directive, Directive::TimeoutNow { .. }) && !is_in_time {
        return Ok(Heard::Nothing);
    }
    if let Directive::Append(append) = directive {
        if !is_well_formed(append, entries) && !is(Mutant::MalformedAppend) {
            return Err(CloseReason::Malformed);
        }
        check_log_id(common, append.log, append.term)?;
    }
    if let Directive::Snapshot(piece) = directive {
        let known = piece.last.index > Index(0) && piece.last.term <= piece.term;
        if !known || piece.offset.checked_add(piece.bytes.len() as u64).is_none() {
            return Err(CloseReason::Malformed);
        }
        check_log_id(common, piece.log, piece.term)?;
    }
    Ok(if is_our_leader {
        Heard::OurLeader
    } else {
        Heard::Follow(Transition::Follow(term, Some(from.clone())))
    })
}

/// Does what our leader says.
pub(super) fn obey(
    common: &mut Common,
    from: &NodeId,
    directive: Directive,
    entries: Vec<Entry>,
) -> Option<Transition> {
    common.heard_leader = Some(common.now);
    common.rearm_election();
    match directive {
        Directive::Append(append) => append_entries(common, from, &append, entries),
        Directive::Commit { commit, .. } => common.raise_commit(commit),
        Directive::Heartbeat(heartbeat) => confirm(common, from, &heartbeat),
        Directive::TimeoutNow { .. } => return Some(Transition::Campaign(true)),
        // Whoever knows the state puts it together.
        Directive::Snapshot(piece) => {
            common.snapshots.push(SnapshotWord::Piece { from: from.clone(), piece });
        }
        Directive::Offer { .. } => {}
    }
    None
}

/// Before the founding is committed, two foundings may compete; afterwards two ids never mix.
fn check_log_id(common: &mut Common, log: ClusterId, term: Term) -> Result<(), CloseReason> {
    let Some(own) = common.log.genesis().map(|genesis| genesis.cluster) else { return Ok(()) };
    if own == log {
        return Ok(());
    }
    if common.is_founded() || term <= common.log.last().term {
        return Err(CloseReason::OtherCluster { theirs: log, ours: own });
    }
    // The entries may agree in index and term and still differ: a conflict at index 1.
    common.truncate_behind(Index(0));
    Ok(())
}

fn append_entries(common: &mut Common, from: &NodeId, append: &Append, mut entries: Vec<Entry>) {
    let mut index = append.prev.index;
    let base = common.log.base();
    if index < base.index && !is(Mutant::ReleasedIsTermZero) {
        // What is released is committed, so that every leader has it: only what stands behind is compared.
        let released = usize::try_from(base.index.0 - index.0).unwrap_or(usize::MAX);
        match entries.get(released - 1) {
            None => return common.acknowledge(base.index),
            Some(entry) if entry.term != base.term => {
                common.fault.get_or_insert(Fault::CommittedOverwritten { at: base.index });
                return;
            }
            Some(_) => {}
        }
        entries.drain(..released);
        index = base.index;
    } else if !common.log.holds(append.prev) {
        // An entry of a higher term than the leader has at or before that place cannot be in its log.
        let below = EntryId { index: Index(append.prev.index.0.saturating_sub(1)), term: append.prev.term };
        let hint = common.log.last_not_above(below);
        let conflict = Pledge::Conflict { term: common.term, probed: append.prev.index, hint };
        common.pledge_by_ballot(from, conflict);
        return;
    }
    let longer = common.log.last().index > index && common.commit <= index;
    if longer && is(Mutant::TruncatesOnOverlap) {
        common.truncate_behind(index);
    }
    for entry in entries {
        index = index.next();
        match common.log.term(index) {
            Some(term) if term == entry.term || is(Mutant::KeepsWhatConflicts) => continue,
            Some(_) if index <= common.commit => {
                common.fault.get_or_insert(Fault::CommittedOverwritten { at: index });
                return;
            }
            // What is left of the disk is for what the protocol itself has to write. The leader asks again.
            _ if matches!(entry.payload, Payload::Write(_)) && common.disk_is_full() => {
                index = Index(index.0 - 1);
                break;
            }
            // Only a proven conflict gives up what stands here.
            Some(_) => common.truncate_behind(Index(index.0 - 1)),
            None => {}
        }
        common.push(entry);
    }
    // Only what this append has shown to be equal: what stands behind may be another leader's.
    common.acknowledge(index);
    common.raise_commit(append.commit.min(index));
}

/// What no honest leader sends is refused before anything is touched.
fn is_well_formed(append: &Append, entries: &[Entry]) -> bool {
    let mut former = append.prev.term;
    for entry in entries {
        if entry.term < former || entry.term > append.term {
            return false;
        }
        former = entry.term;
    }
    let ids_agree = entries.iter().all(|entry| match &entry.payload {
        Payload::Genesis(genesis) => genesis.cluster == append.log,
        Payload::Noop | Payload::Members(_) | Payload::OpenSession(_) | Payload::Write(_) => true,
    });
    let begins_with_genesis = match entries.first() {
        Some(first) if append.prev.index == Index(0) => matches!(first.payload, Payload::Genesis(_)),
        Some(_) | None => true,
    };
    ids_agree && begins_with_genesis && (append.prev.index > Index(0) || append.prev == EntryId::default())
}

fn confirm(common: &mut Common, from: &NodeId, heartbeat: &Heartbeat) {
    common.raise_commit(heartbeat.commit);
    if let Some(fault) = heartbeat.verdict.and_then(|verdict| common.checkpoints.judge(verdict)) {
        common.fault.get_or_insert(fault);
        return;
    }
    let compared = common.checkpoints.at(heartbeat.compare_at).map(|own| (own.at, own.hash));
    let confirmed = Pledge::Confirmed { term: common.term, round: heartbeat.round, compared };
    common.pledge_by_ballot(from, confirmed);
}

/// A candidate asks for a vote, or whether it would get one.
pub(super) fn vote(
    common: &mut Common,
    role: &Role,
    from: &NodeId,
    incarnation: Incarnation,
    request: &VoteRequest,
) -> Option<Transition> {
    if !common.hears(from, incarnation, request.configuration) {
        return None;
    }
    let leads = matches!(role, Role::Leader(_));
    let content = !request.handed_over
        && ((leads && !is(Mutant::LeaderIsNotSticky))
            || (common.has_promised_to_wait() && !is(Mutant::FollowersAreNotSticky)));
    let complete = request.last.at_least_as_complete_as(common.log.last()) || is(Mutant::VotesForAnyLog);
    let past = request.term < common.term && !is(Mutant::VotesInPastTerm);
    if past || content || (request.pre && !may_pre_vote(common, from, incarnation, request)) {
        return reply(common, from, request, false);
    }
    if request.pre && !is(Mutant::PreVoteIsVote) {
        // Nothing is promised and nothing changes: it is only said what would be said.
        return reply(common, from, request, complete && common.may_vote_by_name());
    }
    let next = (request.term > common.term).then_some(Transition::Follow(request.term, None));
    if next.is_some() {
        common.enter(request.term, None);
    }
    let granted = complete && common.may_vote_by_name() && common.may_vote_for(from, incarnation);
    if granted {
        common.cast_vote(from, incarnation);
        common.rearm_election();
    }
    reply(common, from, request, granted);
    // `enter` was done above, so that the vote falls into the new term; the role follows.
    next.filter(|_| !matches!(role, Role::Follower))
}

fn may_pre_vote(common: &Common, from: &NodeId, life: Incarnation, request: &VoteRequest) -> bool {
    request.term > common.term || common.may_vote_for(from, life)
}

fn reply(common: &mut Common, from: &NodeId, request: &VoteRequest, granted: bool) -> Option<Transition> {
    let term = if granted { request.term } else { common.term };
    common.pledge_by_ballot(from, Pledge::VoteReply { term, pre: request.pre, granted });
    None
}

/// A decision table for votes, enumerated by the tests below.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::id::Term;
    use crate::prng::{Prng, Seed};
    use crate::raft::message::Outgoing;
    use crate::raft::{Raft, Received};
    use crate::time::Instant;
    use core::time::Duration;

    fn voter() -> Raft {
        let config = Config::new("v")
            .and_then(|c| c.peer("c", "localhost", 1))
            .and_then(|c| c.peer("d", "localhost", 2));
        let settings = config.and_then(|config| config.validate()).expect("a good configuration");
        let mut raft = Raft::new(&settings, Incarnation(1), Prng::new(Seed::from_u64(1)));
        raft.begin(Instant::ZERO);
        raft.allow_founding(true);
        raft.link_up(&id("c"), Incarnation(2));
        raft.link_up(&id("d"), Incarnation(3));
        raft
    }

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a good name")
    }

    fn ask(raft: &mut Raft, from: &str, term: u64, pre: bool, handed_over: bool) -> (Term, bool) {
        let request = VoteRequest {
            term: Term(term),
            pre,
            last: EntryId::default(),
            handed_over,
            configuration: EntryId::default(),
        };
        let asked = raft.receive(&id(from), Received::Pledge(Pledge::VoteRequest(request)));
        assert_eq!(asked, Ok(()));
        while raft.settle() {}
        let replies: Vec<_> = raft.take_outgoing().collect();
        match replies.as_slice() {
            [(_, Outgoing::Pledge(Pledge::VoteReply { term, granted, .. }))] => (*term, *granted),
            other => panic!("{other:?}"),
        }
    }

    fn hear_leader(raft: &mut Raft, from: &str, term: u64) {
        let heartbeat = Heartbeat {
            term: Term(term),
            configuration: EntryId::default(),
            commit: Index(0),
            round: 0,
            compare_at: Index(0),
            verdict: None,
        };
        let heard = raft.receive(&id(from), Received::Directive(Directive::Heartbeat(heartbeat), Vec::new()));
        assert_eq!(heard, Ok(()));
        while raft.settle() {}
        raft.take_outgoing().for_each(drop);
    }

    /// Every combination of: real or pre-vote, term below, equal or above, vote free, given to the asker or
    /// to another, leader alive or not, handed over or not.
    #[test]
    fn votes_follow_one_table() {
        for case in 0..2 * 3 * 3 * 2 * 2 {
            let (pre, relation, vote, leader, handed_over) =
                (case % 2 == 1, case / 2 % 3, case / 6 % 3, case / 18 % 2 == 1, case / 36 == 1);
            let mut raft = voter();
            let mine = 5;
            // Enter the term, and give the vote away in it.
            match vote {
                1 => assert_eq!(ask(&mut raft, "c", mine, false, true), (Term(mine), true)),
                2 => assert_eq!(ask(&mut raft, "d", mine, false, true), (Term(mine), true)),
                _ => hear_leader(&mut raft, "d", mine),
            }
            if leader {
                hear_leader(&mut raft, "d", mine);
            } else {
                raft.wake(Instant::ZERO + Duration::from_secs(1));
            }
            let term = mine + relation - 1;
            let (_, granted) = ask(&mut raft, "c", term, pre, handed_over);
            let free = relation == 2 || (relation == 1 && vote != 2);
            let expected = relation > 0 && free && (!leader || handed_over);
            assert_eq!(
                granted, expected,
                "pre={pre} relation={relation} vote={vote} leader={leader} handed_over={handed_over}"
            );
            let moved = raft.term() > Term(mine);
            assert_eq!(
                moved,
                !pre && granted && relation == 2,
                "only a real vote in a later term moves the term"
            );
        }
    }

    /// W9: any higher term deposed a healthy leader.
    #[test]
    fn w9_a_follower_of_a_living_leader_neither_votes_nor_follows_a_higher_term() {
        let mut raft = voter();
        hear_leader(&mut raft, "d", 3);
        assert_eq!(ask(&mut raft, "c", 9, false, false), (Term(3), false));
        assert_eq!(raft.term(), Term(3));
    }

    /// FAULTS 39: a vote names a node, and two lives of it may stand for election in one term.
    #[test]
    fn a_vote_that_one_life_was_given_is_not_given_to_the_next() {
        let mut raft = voter();
        assert_eq!(ask(&mut raft, "c", 4, false, false), (Term(4), true));
        assert_eq!(ask(&mut raft, "c", 4, false, false), (Term(4), true), "it may ask again");
        raft.link_up(&id("c"), Incarnation(9));
        assert_eq!(ask(&mut raft, "c", 4, true, false), (Term(4), false));
        assert_eq!(ask(&mut raft, "c", 4, false, false), (Term(4), false));
        assert_eq!(ask(&mut raft, "c", 5, false, false), (Term(5), true));
    }

    #[test]
    fn a_vote_by_name_needs_the_permission_to_found() {
        let mut raft = voter();
        raft.allow_founding(false);
        assert_eq!(ask(&mut raft, "c", 1, true, false), (Term(0), false));
        assert_eq!(ask(&mut raft, "c", 1, false, false), (Term(1), false));
    }

    /// Candidate of a term that a delayed request still speaks of (FAULTS 3).
    #[test]
    fn a_candidate_that_steps_down_within_its_term_keeps_its_vote() {
        let mut raft = voter();
        raft.wake(Instant::ZERO + Duration::from_secs(1));
        raft.tick();
        while raft.settle() {}
        let grant = Pledge::VoteReply { term: Term(1), pre: true, granted: true };
        assert_eq!(raft.receive(&id("d"), Received::Pledge(grant)), Ok(()));
        while raft.settle() {}
        raft.take_outgoing().for_each(drop);
        assert_eq!(raft.term(), Term(1), "it stands for election");
        hear_leader(&mut raft, "d", 1);
        raft.wake(Instant::ZERO + Duration::from_secs(9));
        assert_eq!(ask(&mut raft, "c", 1, false, false), (Term(1), false));
    }
}
