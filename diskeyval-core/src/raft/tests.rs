//! A leader of three, and what its peers may tell it.

use super::*;
use crate::config::{Config, Limits};
use crate::entry::{Entry, Genesis, MAX_BATCH_ENTRIES};
use crate::id::{ClusterId, EntryId};
use crate::members::{Membership, Seat, StorageKind};
use crate::prng::Seed;
use core::time::Duration;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

/// A leader of three in term 1, whose genesis is committed.
fn leader() -> Raft {
    leader_within(Limits::default())
}

fn leader_within(limits: Limits) -> Raft {
    let config =
        Config::new("a").and_then(|c| c.peer("b", "localhost", 1)).and_then(|c| c.peer("c", "localhost", 2));
    let config = config.map(|config| Config { limits, ..config });
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

/// Found by the simulator: a batch of 256 KiB, whatever the window, was more than the send buffer of a link took, so
/// that a follower far behind was cut off for not reading, again and again.
#[test]
fn no_append_is_larger_than_the_window() {
    let window = 2048;
    let mut limits = Limits::default();
    (limits.max_key, limits.max_value) = (16, 16);
    (limits.append_window, limits.send_buffer) = (window, 4 * window);
    let mut raft = leader_within(limits);
    for _ in 0..5_000 {
        raft.propose(Payload::Noop).expect("it leads");
    }
    settle(&mut raft);
    raft.link_down(&id("c"));
    raft.link_up(&id("c"), Incarnation(3));
    let mut appends = 0;
    while raft.settle() {}
    for (to, message) in raft.take_outgoing() {
        if let (Outgoing::Directive(Directive::Append(_), entries), true) = (message, to == id("c")) {
            assert!(entries.iter().map(|entry| entry.len()).sum::<usize>() <= window);
            appends += 1;
        }
    }
    assert_eq!(appends, 1, "one probe");
}

/// Small entries take more memory than room on the wire.
#[test]
fn no_append_has_more_entries_than_a_frame_may_carry() {
    let mut raft = leader();
    for _ in 0..5_000 {
        raft.propose(Payload::Noop).expect("it leads");
    }
    settle(&mut raft);
    raft.link_down(&id("c"));
    raft.link_up(&id("c"), Incarnation(3));
    while raft.settle() {}
    let sent = raft.take_outgoing().filter_map(|(to, message)| match message {
        Outgoing::Directive(Directive::Append(_), entries) if to == id("c") => Some(entries.len()),
        _ => None,
    });
    assert_eq!(sent.max(), Some(MAX_BATCH_ENTRIES));
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

/// Mutant: an append that no honest leader sends is taken.
#[test]
fn an_append_that_no_honest_leader_sends_is_refused_and_changes_nothing() {
    let log = leader().log().genesis().map(|genesis| genesis.cluster).expect("it has founded");
    let behind = leader().log().last();
    let genesis = |cluster| {
        let members =
            Membership::of(alloc::vec![Seat { id: id("b"), bound: Some(Incarnation(2)), address: None }]);
        Payload::Genesis(Genesis { cluster, storage: StorageKind::Memory, members })
    };
    let cases = [
        ("a term above the leader's own", behind, alloc::vec![Entry::new(Term(3), Payload::Noop)]),
        ("a term below the one before it", behind, alloc::vec![Entry::new(Term(0), Payload::Noop)]),
        (
            "terms that go back",
            behind,
            alloc::vec![Entry::new(Term(2), Payload::Noop), Entry::new(Term(1), Payload::Noop)],
        ),
        (
            "a log that begins without a genesis",
            EntryId::default(),
            alloc::vec![Entry::new(Term(1), Payload::Noop)],
        ),
        (
            "the genesis of another log",
            EntryId::default(),
            alloc::vec![Entry::new(Term(1), genesis(ClusterId(log.0 ^ 1)))],
        ),
        ("a place before the first with a term", EntryId::new(0, 1), alloc::vec![]),
    ];
    for (what, prev, entries) in cases {
        let mut raft = leader();
        let before = raft.log().last();
        let configuration = EntryId::new(1, 1);
        let append = Append { term: Term(2), log, configuration, prev, commit: Index(0) };
        let heard = raft.receive(&id("b"), Received::Directive(Directive::Append(append), entries));
        assert_eq!(heard, Err(CloseReason::Malformed), "{what}");
        assert_eq!((raft.log().last(), raft.term()), (before, Term(1)), "{what}");
    }
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
    let refused = (0..).find(|question| raft.ask_read(Asker::Peer(id("b"), *question), false).is_err());
    assert_eq!(refused, Some(read::MAX_ASKERS as u64));
}

#[test]
fn a_confirmation_that_was_not_asked_for_on_this_link_confirms_nothing() {
    let mut raft = leader();
    settle(&mut raft);
    let asked = raft.ask_read(Asker::Own(1), false);
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
