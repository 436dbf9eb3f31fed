use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::config::Config;
use crate::entry::{Entry, Payload};
use crate::id::Term;
use crate::prng::{Prng, Seed};
use crate::raft::{Append, Outgoing, Received};
use crate::time::Instant;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

/// A leader of two in term 1 that has applied six entries and released the first four.
fn released() -> Raft {
    let settings =
        Config::new("a").and_then(|c| c.peer("b", "localhost", 1)).and_then(|config| config.validate());
    let settings = settings.expect("a good configuration");
    let mut raft = Raft::new(&settings, Incarnation(1), Prng::new(Seed::from_u64(1)));
    raft.begin(Instant::ZERO);
    raft.allow_founding(true);
    raft.link_up(&id("b"), Incarnation(2));
    raft.wake(Instant::ZERO + Duration::from_secs(1));
    raft.tick();
    for pre in [true, false] {
        settle(&mut raft);
        tell(&mut raft, Pledge::VoteReply { term: Term(1), pre, granted: true });
    }
    settle(&mut raft);
    tell(&mut raft, Pledge::Appended { term: Term(1), matched: Index(1) });
    settle(&mut raft);
    while raft.log().last().index < Index(6) {
        raft.propose(Payload::Noop).expect("it leads");
    }
    settle(&mut raft);
    tell(&mut raft, Pledge::Appended { term: Term(1), matched: Index(6) });
    settle(&mut raft);
    raft.store_mut().begin_snapshot(EntryId::new(5, 1));
    raft.store_mut().end_snapshot();
    raft.release_log(Index(4));
    assert_eq!((raft.log().base(), raft.commit()), (EntryId::new(4, 1), Index(6)));
    raft
}

fn settle(raft: &mut Raft) -> Vec<Outgoing> {
    while raft.settle() {}
    while raft.take_committed().is_some() {}
    raft.take_outgoing().map(|(_, message)| message).collect()
}

fn tell(raft: &mut Raft, pledge: Pledge) {
    assert_eq!(raft.receive(&id("b"), Received::Pledge(pledge)), Ok(()));
}

/// What is answered to a leader of term 2 that appends these terms behind a place.
fn append(raft: &mut Raft, prev: EntryId, terms: &[u64]) -> Vec<Pledge> {
    let log = raft.log().genesis().map(|genesis| genesis.cluster).expect("it has founded");
    let configuration = EntryId::new(1, 1);
    let append = Append { term: Term(2), log, configuration, prev, commit: Index(0) };
    let genesis = raft.log().genesis().cloned().expect("it has founded");
    let entry = |(place, term): (usize, &u64)| {
        let first = place == 0 && prev == EntryId::default();
        let payload = if first { Payload::Genesis(genesis.clone()) } else { Payload::Noop };
        Entry::new(Term(*term), payload)
    };
    let entries = terms.iter().enumerate().map(entry).collect();
    let heard = raft.receive(&id("b"), Received::Directive(Directive::Append(append), entries));
    assert_eq!(heard, Ok(()));
    let pledges = settle(raft).into_iter().filter_map(|message| match message {
        Outgoing::Pledge(pledge) => Some(pledge),
        Outgoing::Directive(..) => None,
    });
    pledges.collect()
}

fn appended(matched: u64) -> Vec<Pledge> {
    alloc::vec![Pledge::Appended { term: Term(2), matched: Index(matched) }]
}

/// FAULTS 45: a follower that has it already and says what the leader does not understand.
#[test]
fn what_is_released_is_the_leaders_whatever_the_append_begins_behind() {
    let mut raft = released();
    assert_eq!(append(&mut raft, EntryId::default(), &[]), appended(4));
    assert_eq!(append(&mut raft, EntryId::default(), &[1, 1]), appended(4));
    assert_eq!(append(&mut raft, EntryId::new(2, 1), &[1, 1]), appended(4));
    assert_eq!(append(&mut raft, EntryId::new(2, 1), &[1, 1, 1]), appended(5));
    assert_eq!(append(&mut raft, EntryId::new(3, 1), &[1, 1, 1, 2, 2]), appended(8));
    assert_eq!((raft.log().last(), raft.fault()), (EntryId::new(8, 2), None));
}

#[test]
fn an_append_that_would_replace_what_is_released_is_a_fault() {
    let mut raft = released();
    assert_eq!(append(&mut raft, EntryId::new(2, 1), &[1, 2]), []);
    assert_eq!(raft.fault(), Some(&Fault::CommittedOverwritten { at: Index(4) }));
}

/// FAULTS 46: the members were lost with the entry that brought them in.
#[test]
fn the_members_outlive_the_entry_that_brought_them_in() {
    let mut raft = released();
    let before = alloc::format!("{:?}", raft.configuration());
    assert_eq!(raft.configuration().entry(), EntryId::new(1, 1));
    raft.release_log(Index(5));
    assert_eq!(alloc::format!("{:?}", raft.configuration()), before);
    assert_eq!(raft.configuration_at(Index(5)), Some(EntryId::new(1, 1)));
    assert!(raft.is_founded());
}

/// FAULTS 47: released beyond what is durable.
#[test]
fn nothing_is_released_beyond_a_durable_snapshot() {
    let mut raft = released();
    raft.release_log(Index(6));
    assert_eq!(raft.log().base(), EntryId::new(5, 1));
}

fn base(index: u64, term: u64, raft: &Raft) -> Base {
    let genesis = raft.log().genesis().cloned().expect("it has founded");
    let members = genesis.members.clone();
    Base { last: EntryId::new(index, term), genesis, configuration: EntryId::new(1, 1), members }
}

/// FAULTS 43: an older snapshot was taken, and the state went back.
#[test]
fn an_older_snapshot_holds_nothing_new() {
    let mut raft = released();
    // Released, held, and of another history.
    for older in [EntryId::new(2, 1), EntryId::new(6, 1), EntryId::new(6, 3)] {
        assert!(raft.has_all_of(older), "{older}");
    }
    assert!(!raft.has_all_of(EntryId::new(7, 2)));
    assert_eq!((raft.commit(), raft.log().base()), (Index(6), EntryId::new(4, 1)));
}

#[test]
#[should_panic(expected = "the state never goes back")]
fn an_older_snapshot_is_never_installed() {
    let mut raft = released();
    let older = base(6, 3, &raft);
    raft.install(older, None);
}

/// FAULTS 42: entries behind a snapshot that conflict with it stayed in the log.
#[test]
fn a_snapshot_takes_the_place_of_the_whole_log() {
    let mut raft = released();
    assert_eq!(append(&mut raft, EntryId::new(6, 1), &[1, 1, 1]), appended(9));
    let newer = base(8, 2, &raft);
    assert!(!raft.has_all_of(newer.last));
    raft.install(newer, None);
    assert_eq!((raft.log().base(), raft.log().last()), (EntryId::new(8, 2), EntryId::new(8, 2)));
    assert_eq!(raft.commit(), Index(8));
    let said =
        settle(&mut raft).into_iter().any(|message| message == Outgoing::Pledge(appended(8)[0].clone()));
    assert!(said, "it is acknowledged like any entry");
}
