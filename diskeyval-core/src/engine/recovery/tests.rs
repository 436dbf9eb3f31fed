//! A survivor and its directory: whenever it dies while it recovers, it is what it was or what it is to be.

use alloc::string::ToString;
use core::time::Duration;

use crate::config::{Config, Settings};
use crate::engine::harness::Node;
use crate::entry::{Entry, Genesis, Payload};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::io::{Answer, Request};
use crate::members::{Membership, Seat, StorageKind};
use crate::raft::{Append, Directive, Received};
use crate::store::FileName;
use crate::store::folder::Folder;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn settings() -> Settings {
    let config = Config::new("n1").and_then(|config| config.peer("n2", "n2", 1)?.peer("n3", "n3", 1));
    let config = config.expect("good names").persist("its disk");
    config.validate().expect("a good configuration")
}

fn start(folder: Folder, life: u64) -> Node {
    let node = Node::start(settings(), folder, life);
    assert_eq!(node.halted, None);
    node
}

/// A leader sends a founded log with a write in it, none of it committed.
fn follow(node: &mut Node) {
    let own = node.engine.status().incarnation;
    let seat = |name, bound| Seat { id: id(name), bound: Some(bound), address: None };
    let seats = alloc::vec![seat("n1", own), seat("n2", Incarnation(2)), seat("n3", Incarnation(3))];
    let genesis =
        Genesis { cluster: ClusterId(7), storage: StorageKind::Disk, members: Membership::of(seats) };
    node.engine.raft.link_up(&id("n2"), Incarnation(2));
    // Two flushes.
    for (prev, payloads) in
        [(0, alloc::vec![Payload::Genesis(genesis), Payload::Noop]), (2, alloc::vec![Payload::Noop])]
    {
        let entries = payloads.into_iter().map(|payload| Entry::new(Term(1), payload)).collect();
        let append = Append {
            term: Term(1),
            log: ClusterId(7),
            configuration: EntryId::new(1, 1),
            prev: if prev == 0 { EntryId::default() } else { EntryId::new(prev, 1) },
            commit: Index(0),
        };
        let append = Received::Directive(Directive::Append(append), entries);
        assert_eq!(node.engine.raft.receive(&id("n2"), append), Ok(()));
        node.settle();
    }
    node.engine.raft.link_down(&id("n2"));
    node.advance(Duration::from_secs(2));
    assert_eq!(node.engine.leader(), None, "it has lost its quorum");
}

fn recover(node: &mut Node) {
    node.ask_within(Duration::from_secs(60), Request::Recover);
    node.advance(Duration::from_secs(2));
    assert_eq!(node.halted, None);
}

#[test]
fn a_crash_at_any_operation_leaves_the_former_cluster_or_the_next() {
    let mut prepared = start(Folder::default(), 1);
    follow(&mut prepared);
    let folder = prepared.folder;
    let (mut former, mut next) = (0, 0);
    for left in 0.. {
        let mut node = start(folder.clone(), 2);
        node.advance(Duration::from_secs(1));
        node.left = left;
        recover(&mut node);
        let is_told = matches!(node.answers[..], [Answer::Recovered(Ok(_))]);
        let is_done = node.left > 0;
        // Whatever has been asked of the disk and was not done is lost.
        let mut again = start(node.folder, 3);
        again.advance(Duration::from_secs(2));
        assert_eq!(again.halted, None);
        let status = again.engine.status();
        if again.engine.is_leader() {
            next += 1;
            assert!(status.last_index > Index(1 << 40) && status.cluster_id != Some(ClusterId(7)));
            assert!(again.engine.is_ready());
        } else {
            former += 1;
            assert!(!is_told, "what was answered is kept");
            assert_eq!((status.cluster_id, status.last_index), (Some(ClusterId(7)), Index(3)));
        }
        if is_done {
            break;
        }
    }
    assert!(former > 3 && next > 3, "{former} times the former, {next} times the next");
}

/// The same of one whose last flush has rotted, and was seen to have been promised: entry 3 is left out.
#[test]
fn a_damaged_node_that_dies_while_it_recovers_is_damaged_as_it_was_or_in_the_next_cluster() {
    let mut prepared = start(Folder::default(), 1);
    follow(&mut prepared);
    let mut folder = prepared.folder;
    let log = folder.files.get_mut(&FileName::Segment(1)).expect("a log");
    // The last is a seal.
    let last = log.chunks(4096).rposition(|block| block.iter().any(|byte| *byte != 0)).expect("written");
    log[(last - 1) * 4096 + 85] ^= 1;
    let (mut damaged, mut next) = (0, 0);
    for left in 0.. {
        let mut node = start(folder.clone(), 2);
        assert!(node.is_damaged());
        node.left = left;
        recover(&mut node);
        let report = match &node.answers[..] {
            [Answer::Recovered(Ok(report))] => Some(report.clone()),
            _ => None,
        };
        let is_done = node.left > 0;
        let mut again = start(node.folder, 3);
        again.advance(Duration::from_secs(2));
        assert_eq!(again.halted, None);
        if again.is_damaged() {
            damaged += 1;
            assert_eq!(report, None, "what was answered is kept");
        } else {
            next += 1;
            let status = again.engine.status();
            assert!(again.engine.is_leader() && again.engine.is_ready(), "{status:?}");
            assert!(status.last_index > Index(1 << 40) && status.cluster_id != Some(ClusterId(7)));
            assert!(again.folder.aside.iter().any(|(file, _)| *file == FileName::Segment(1)));
        }
        if is_done {
            let report = report.expect("it was answered");
            assert_eq!((report.kept, report.left_out.len()), (Index(2), 1), "{report:?}");
            assert!(node.engine.is_leader(), "it goes on without a restart");
            break;
        }
    }
    assert!(damaged > 3 && next > 3, "{damaged} times damaged, {next} times the next");
}

#[test]
fn a_damaged_node_that_holds_nothing_goes_on_waiting() {
    let mut prepared = start(Folder::default(), 1);
    follow(&mut prepared);
    let mut folder = prepared.folder;
    folder.files.get_mut(&FileName::Superblock).expect("one").fill(0xa5);
    let mut node = start(folder.clone(), 2);
    assert!(node.is_damaged());
    recover(&mut node);
    let [Answer::Recovered(Err(error))] = &node.answers[..] else { panic!("{:?}", node.answers) };
    assert!(error.to_string().contains("neither slot can be read"), "{error}");
    assert_eq!(node.folder, folder, "and touches nothing");
}
