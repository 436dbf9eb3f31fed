//! What a node makes of records, whoever wrote them.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::engine::harness::Node;
use crate::entry::{Entry, Genesis, Payload, Write};
use crate::id::{ClusterId, ConnId, EntryId, Index, NodeId};
use crate::identity::Identity;
use crate::inspect::Ear;
use crate::io::{Effect, Event, Input, Origin};
use crate::kv::Command;
use crate::members::{Configuration, Half, Membership, Seat, StorageKind};
use crate::store::Record;
use crate::store::folder::Folder;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn settings(name: &str, peers: &[&str]) -> Settings {
    let mut config = Config::new(name).expect("a good name");
    for peer in peers {
        config = config.peer(peer, peer, 1).expect("a good name");
    }
    config.persist("its disk").validate().expect("a good configuration")
}

/// Takes a node as far as it is open. An error says why it keeps out.
fn open_on(settings: Settings, folder: Folder) -> Result<Node, String> {
    let mut node = Node::new(settings, folder, 7);
    while node.engine.is_opening() {
        node.turn();
        for event in &node.events {
            if let Event::Damaged(damage) = event {
                return Err(damage.to_string());
            }
        }
        if let Some(fault) = node.halted {
            return Err(fault.to_string());
        }
    }
    Ok(node)
}

/// A node `a`, alone in its cluster, that has kept these.
fn open(kept: &[Record]) -> Result<Node, String> {
    open_with("a", &[], kept)
}

/// The first of what was kept is the incarnation.
fn open_with(name: &str, peers: &[&str], kept: &[Record]) -> Result<Node, String> {
    let folder = match kept.split_first() {
        None => Folder::default(),
        Some((Record::Incarnation(own), rest)) => Folder::of(name, *own, rest.iter().cloned()),
        Some(_) => unreachable!("a directory has an incarnation"),
    };
    open_on(settings(name, peers), folder)
}

const OWN: Record = Record::Incarnation(Incarnation(1));

fn ballot(term: u64, vote: Option<&str>) -> Record {
    Record::Ballot { term: Term(term), vote: vote.map(id) }
}

fn entry(index: u64, term: u64, payload: Payload) -> Record {
    Record::Entry { index: Index(index), bytes: Entry::new(Term(term), payload).bytes }
}

fn noop(index: u64, term: u64) -> Record {
    entry(index, term, Payload::Noop)
}

fn truncate(behind: u64) -> Record {
    Record::Truncate { behind: Index(behind) }
}

fn seats(bound: &[(&str, Option<u128>)]) -> Membership {
    let seat = |(name, bound): &(&str, Option<u128>)| Seat {
        id: id(name),
        bound: bound.map(Incarnation),
        address: None,
    };
    Membership::of(bound.iter().map(seat).collect())
}

fn genesis(cluster: u128, members: Membership) -> Payload {
    Payload::Genesis(Genesis { cluster: ClusterId(cluster), storage: StorageKind::Disk, members })
}

fn alone(index: u64, term: u64) -> Record {
    entry(index, term, genesis(9, seats(&[("a", Some(1))])))
}

/// A disk brings what it likes: what no run can have written is refused, and said to be refused.
#[test]
fn what_no_run_can_have_written_is_refused() {
    let founded = [OWN, ballot(3, None), alone(1, 1), noop(2, 2)];
    assert!(open(&founded).is_ok());
    let other_genesis = entry(3, 3, genesis(8, seats(&[("a", Some(1))])));
    let garbage = Record::Entry { index: Index(3), bytes: Bytes::from_static(b"no entry") };
    for (what, record) in [
        ("a term that goes back", ballot(2, None)),
        ("a term that nobody has counted to", ballot(u64::MAX, None)),
        ("a gap", noop(4, 3)),
        ("an entry for the second time", noop(2, 2)),
        ("no place", noop(0, 2)),
        ("a term below that of the last entry", noop(3, 1)),
        ("an entry of a term that the node has not entered", noop(3, 4)),
        ("the genesis of another cluster", other_genesis),
        ("no entry", garbage),
        ("a truncation beyond the end", truncate(3)),
    ] {
        let mut kept = founded.to_vec();
        kept.push(record);
        let refused = open(&kept).err().unwrap_or_default();
        assert!(refused.contains("is damaged"), "{what}: {refused}");
    }
    for kept in [
        vec![OWN, truncate(1)],
        vec![OWN, ballot(1, None), noop(1, 1)],
        vec![OWN, ballot(1, Some("a")), ballot(1, Some("b"))],
        vec![OWN, ballot(1, Some("a")), ballot(1, None)],
        vec![OWN, ballot(1, None), alone(1, 1), truncate(0), noop(1, 1)],
    ] {
        let refused = open(&kept).err().unwrap_or_default();
        assert!(refused.contains("is damaged"), "{kept:?}: {refused}");
    }
}

#[test]
fn a_tail_that_was_given_up_is_not_there() {
    let kept = [
        OWN,
        ballot(1, Some("a")),
        alone(1, 1),
        noop(2, 1),
        noop(3, 1),
        truncate(1),
        ballot(2, None),
        noop(2, 2),
    ];
    let engine = open(&kept).expect("a log").engine;
    // Alone, it stands for election at once.
    assert_eq!((engine.vitals().last, engine.vitals().term), (EntryId::new(2, 2), Term(3)));
    // Even the whole log may be given up: another founding took its place.
    let other = entry(1, 2, genesis(8, seats(&[("a", Some(1))])));
    let kept = [OWN, ballot(1, None), alone(1, 1), truncate(0), ballot(2, None), other];
    let engine = open(&kept).expect("a log").engine;
    assert_eq!(engine.raft().log().genesis().map(|genesis| genesis.cluster), Some(ClusterId(8)));
}

#[test]
fn a_node_goes_on_as_who_it_was_and_where_it_was() {
    let mut first = open(&[]).expect("a first start");
    first.advance(Duration::from_millis(100));
    assert!(first.engine.is_leader());
    for n in 1..=3 {
        first.set(&n.to_string(), 1).expect("a write");
    }
    first.advance(Duration::from_millis(100));
    let (before, status) = (first.engine.vitals(), first.engine.status());
    let mut second = open_on(settings("a", &[]), first.folder).expect("what it has kept");
    let engine = &second.engine;
    // Alone, it stands for election at once.
    assert_eq!((engine.vitals().last, engine.vitals().term), (before.last, Term(before.term.0 + 1)));
    assert_eq!(engine.status().incarnation, status.incarnation);
    assert_eq!(engine.status().cluster_id, status.cluster_id);
    assert_eq!((engine.vitals().commit, engine.is_member()), (Index(0), false), "nobody has told it yet");
    second.advance(Duration::from_millis(100));
    assert_eq!((second.engine.is_leader(), second.engine.status().keys), (true, 3));
}

fn has_empty_seat(configuration: Configuration<'_>, name: &str) -> bool {
    matches!(configuration, Configuration::Seats(_, members) if members.seat(&id(name)).is_some_and(|seat| seat.bound.is_none()))
}

#[test]
fn a_restarted_voter_counts_by_seats_and_not_by_name() {
    let members = seats(&[("a", Some(1)), ("b", Some(2)), ("c", None)]);
    let founding = [OWN, ballot(1, Some("a")), entry(1, 1, genesis(9, members.clone()))];
    let open = |kept: &[Record]| open_with("a", &["b", "c"], kept).map(|node| node.engine);
    let engine = open(&founding).expect("a log");
    assert!(!engine.raft().is_founded(), "a genesis alone may be given up for another");
    let configuration = engine.raft().configuration();
    assert_eq!(configuration.halves().next().map(Half::quorum), Some(2));
    assert!(
        configuration.counts(&id("b"), Incarnation(2)) && !configuration.counts(&id("b"), Incarnation(3))
    );
    assert!(has_empty_seat(configuration, "c"));
    // The last membership in the log is in force, and one that was given up is not.
    let filled = members.with(&id("c"), |seat| seat.bound = Some(Incarnation(3)));
    let mut kept = founding.to_vec();
    kept.extend([noop(2, 1), entry(3, 1, Payload::Members(filled))]);
    let engine = open(&kept).expect("a log");
    assert!(engine.raft().is_founded());
    assert!(engine.raft().configuration().counts(&id("c"), Incarnation(3)));
    kept.push(truncate(2));
    let engine = open(&kept).expect("a log");
    assert!(engine.raft().is_founded() && has_empty_seat(engine.raft().configuration(), "c"));
    // Before there is a genesis, by name.
    let engine = open(&founding[..2]).expect("a ballot");
    assert!(!engine.raft().is_founded() && engine.raft().configuration().counts(&id("b"), Incarnation(5)));
}

/// Whoever takes it for unfounded might found a second cluster.
#[test]
fn a_founded_node_says_so_to_whom_it_meets_in_its_first_turn() {
    let members = seats(&[("a", Some(1)), ("b", Some(2))]);
    let kept = [OWN, ballot(1, None), entry(1, 1, genesis(9, members)), noop(2, 1)];
    let mut a = open_with("a", &["b"], &kept).expect("a log");
    let mut b = open_with("b", &["a"], &[Record::Incarnation(Incarnation(2))]).expect("a name");
    let dial = b.links.iter().find_map(|effect| match effect {
        Effect::Dial { dial, .. } => Some(*dial),
        _ => None,
    });
    let origin = Origin::Dialled(dial.expect("it dials"));
    let sent = |node: &mut Node, inputs: Vec<Input>| {
        node.links.clear();
        node.inputs.extend(inputs);
        node.turn();
        node.links.drain(..).find_map(|effect| match effect {
            Effect::Send { bytes, .. } => Some(bytes),
            _ => None,
        })
    };
    let conn = ConnId(1);
    let opened = |who, origin| Input::Opened { conn, who: Identity::Node(id(who)), origin };
    let bytes = sent(&mut b, vec![opened("a", origin)]).expect("a hello");
    let inputs = vec![opened("b", Origin::Accepted), Input::Received { conn, bytes }];
    let mut ear = Ear::default();
    ear.push(sent(&mut a, inputs).expect("a welcome"));
    assert_eq!(ear.next_word().map(|word| word.to_string()), Some("welcome founded".into()));
}

/// Records as a run writes them, with a few that none would write.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let step = (0..12u8, 0..3u64, 0..4u64, 0..40u8);
    prop::collection::vec(step, 0..30).prop_map(|steps| {
        let mut kept = vec![OWN];
        let (mut term, mut last) = (0, 0);
        for (what, small, far, odd) in steps {
            let off = if odd == 0 { far } else { 0 };
            let members = seats(&[("a", Some(u128::from(far))), ("b", None)]);
            let write = Write {
                session: far,
                seq: small + 1,
                floor: 1,
                command: Command::Set { key: "k".into(), value: "v".into() },
            };
            let payload = match what {
                0 | 1 => {
                    term = (term + small).saturating_sub(off);
                    kept.push(ballot(term, (far == 1).then_some("b")));
                    continue;
                }
                2 => {
                    last = u64::saturating_sub(last, small + 1) + off;
                    kept.push(truncate(last));
                    continue;
                }
                4 if odd == 2 => {
                    kept.push(Record::Entry {
                        index: Index(last + 1),
                        bytes: Bytes::from_static(b"\x01\xff"),
                    });
                    continue;
                }
                _ if last == 0 && odd > 0 => genesis(9, seats(&[("a", Some(1))])),
                5 => genesis(9, members),
                6 => Payload::Members(members),
                7 => Payload::OpenSession(crate::kv::Owner {
                    node: id("a"),
                    incarnation: Incarnation(1),
                    boot: u128::from(far),
                }),
                8 | 9 => Payload::Write(write),
                _ => Payload::Noop,
            };
            last += 1 + off;
            kept.push(entry(last, term, payload));
        }
        kept
    })
}

proptest! {
    /// Whatever a disk brings, it is refused or lived with.
    #[test]
    fn no_records_make_a_node_panic(kept in records()) {
        // Beginnings too: that is what a crash may leave.
        for some in (1..=kept.len()).rev().step_by(7) {
            if let Ok(mut node) = open(&kept[..some]) {
                node.advance(Duration::from_millis(200));
            }
        }
    }
}
