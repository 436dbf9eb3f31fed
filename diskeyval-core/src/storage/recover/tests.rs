//! Directories that are gone on from: whole ones, spoilt ones, and cut short at every operation.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::harness::Node;
use crate::entry::{Entry, Write};
use crate::id::{Index, NodeId, Term, Ticket};
use crate::io::{Answer, Effect, Input, Request};
use crate::kv::{Command, Owner, View};
use crate::members::{Seat, StorageKind};
use crate::store::folder::Folder;
use crate::store::{FileName, Origin, Record, Store};
use crate::time::Instant;

const FORMER: ClusterId = ClusterId(7);
const OWN: Incarnation = Incarnation(1);
/// The last entry of the logs below: each from the third on gives the key `k<index>` a value.
const LAST: u64 = 20;
/// A write takes so many bytes, so that a segment has room for few.
const VALUE: usize = 1500;

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn genesis() -> Genesis {
    let seat =
        |(name, bound): (&str, u128)| Seat { id: id(name), bound: Some(Incarnation(bound)), address: None };
    let seats = [("n1", OWN.0), ("n2", 2), ("n3", 3)].map(seat).to_vec();
    Genesis { cluster: FORMER, storage: StorageKind::Disk, members: Membership::of(seats) }
}

fn payload(index: u64) -> Payload {
    match index {
        1 => Payload::Genesis(genesis()),
        2 => Payload::OpenSession(Owner { node: id("n1"), incarnation: OWN, boot: 1 }),
        _ => {
            let key = alloc::format!("k{index}").into();
            let command = Command::Set { key, value: Bytes::from(alloc::vec![b'v'; VALUE]) };
            Payload::Write(Write { session: 2, seq: index, floor: 1, command })
        }
    }
}

fn origin() -> Origin {
    Origin {
        node: id("n1"),
        cluster_name: "diskeyval".into(),
        incarnation: OWN,
        salt: 5,
        segment_bytes: 16 << 10,
    }
}

/// Records, each durable before the next.
fn write(folder: &mut Folder, store: &mut Store, entries: impl Iterator<Item = u64>) {
    entries.for_each(|index| keep(folder, store, [entry(index, 1)]));
}

fn entry(index: u64, term: u64) -> Record {
    Record::Entry { index: Index(index), bytes: Entry::new(Term(term), payload(index)).bytes }
}

/// Records that become durable at once.
fn keep<const N: usize>(folder: &mut Folder, store: &mut Store, records: [Record; N]) {
    for record in records {
        let _ = store.record(|| record);
    }
    folder.settle(store);
}

/// A snapshot of the state after this entry becomes durable, and is named.
fn keep_state(folder: &mut Folder, store: &mut Store, last: EntryId) {
    let mut encoder = Encoder::new(Snapshot { last, ..state(last.index.0) });
    store.begin_snapshot(encoder.last());
    while !encoder.is_done() {
        store.push_snapshot(encoder.next(4000).expect("nothing is wrong with it"));
        folder.settle(store);
    }
    store.end_snapshot();
    folder.settle(store);
}

/// The directory of a node of three, killed. The log is in several segments, and with a snapshot begins behind that.
fn directory(snapshot: Option<u64>) -> Folder {
    let mut folder = Folder::default();
    let mut store = folder.open(origin(), Duration::MAX);
    store.set_cluster(FORMER);
    let _ = store.record(|| Record::Ballot { term: Term(1), vote: None });
    write(&mut folder, &mut store, 1..=snapshot.unwrap_or(LAST));
    if let Some(last) = snapshot {
        keep_state(&mut folder, &mut store, EntryId::new(last, 1));
        write(&mut folder, &mut store, last + 1..=LAST);
    }
    folder
}

fn state(entries: u64) -> Snapshot {
    let mut machine = Machine::default();
    for index in 1..=entries {
        machine.apply(Index(index), payload(index));
    }
    let (last, configuration) = (EntryId::new(entries, 1), EntryId::new(1, 1));
    Snapshot { last, genesis: genesis(), configuration, machine }
}

/// Carries out at most so many operations. Tells what it has found, and how many there were.
fn recover(folder: &mut Folder, most: usize) -> (Result<Option<Recovery>, NoRecovery>, usize) {
    recover_within(folder, most, |_| true)
}

/// The same, on a disk that has room for these operations only.
fn recover_within(
    folder: &mut Folder,
    most: usize,
    has_room: impl Fn(&DiskOp) -> bool,
) -> (Result<Option<Recovery>, NoRecovery>, usize) {
    let mut recoverer = Recoverer::new(Seed::from_u64(3));
    let (mut count, mut is_accepted) = (0, false);
    loop {
        let ops = recoverer.take_ops();
        if ops.is_empty() && !is_accepted {
            recoverer.accept_data_loss();
            is_accepted = true;
            continue;
        }
        if ops.is_empty() {
            assert!(recoverer.set_aside().is_some(), "it comes to an end");
            return (Ok(recoverer.found().cloned()), count);
        }
        for (op, what) in ops {
            if count == most {
                return (Ok(None), count);
            }
            count += 1;
            let result = if has_room(&what) { folder.perform(&what) } else { Err(DiskError::Full) };
            if let Err(why) = recoverer.done(op, result) {
                return (Err(why), count);
            }
        }
    }
}

/// What a node comes to that is started there, with the peers that it had, and is left alone for a while; or that it is
/// damaged.
fn start(folder: &mut Folder, most: usize) -> Option<Engine> {
    let config = Config::new("n1").and_then(|config| config.peer("n2", "n2", 1)?.peer("n3", "n3", 1));
    let settings = config.expect("good names").persist("its disk").validate().expect("good");
    let mut node = Node::new(settings, core::mem::take(folder), 11);
    node.left = most;
    node.settle();
    for _ in 0..100 {
        if node.is_damaged() || (node.engine.is_leader() && node.engine.is_ready()) {
            break;
        }
        node.advance(Duration::from_millis(20));
    }
    assert_eq!(node.halted, None);
    let is_damaged = node.is_damaged();
    *folder = node.folder;
    (!is_damaged).then_some(node.engine)
}

fn view(engine: &mut Engine) -> View {
    let mut turn = engine.turn(Instant::ZERO);
    turn.input(Input::Ask { ticket: Ticket(1), request: Request::View, budget: Duration::ZERO });
    let view = turn.end().find_map(|effect| match effect {
        Effect::Answer { answer: Answer::View(view), .. } => Some(view),
        _ => None,
    });
    view.expect("it is always answered")
}

/// It leads alone, as another life in another cluster, with everything up to this entry and nothing behind.
fn goes_on_alone(folder: &mut Folder, kept: u64) {
    let mut engine = start(folder, usize::MAX).expect("nothing is wrong with it");
    let view = view(&mut engine);
    let status = engine.status();
    assert!(engine.is_leader() && engine.is_ready(), "{status:?}");
    assert!(status.cluster_id.is_some_and(|cluster| cluster != FORMER) && status.incarnation != OWN);
    assert!(status.last_index > Index(kept + (1 << 40)));
    for index in 3..=LAST {
        let found = view.get(alloc::format!("k{index}").as_bytes());
        let revision = (index <= kept).then_some(index);
        assert_eq!(found.map(|found| found.revision), revision, "k{index}, kept up to {kept}");
    }
}

fn files_of(folder: &Folder) -> BTreeMap<FileName, Vec<u8>> {
    let files = folder.files.iter().filter(|(file, _)| **file != FileName::Superblock);
    files.map(|(file, bytes)| (*file, bytes.clone())).collect()
}

#[test]
fn a_whole_directory_is_gone_on_from_to_its_last_entry_and_nothing_is_removed() {
    for snapshot in [None, Some(9)] {
        let mut folder = directory(snapshot);
        let before = files_of(&folder);
        assert!(before.len() > 2, "{:?}", before.keys());
        let report = recover(&mut folder, usize::MAX).0.expect("it can be").expect("all of it was done");
        assert_eq!((report.node, report.former), (id("n1"), FORMER));
        assert_eq!((report.committed, report.kept), (Index(snapshot.unwrap_or(0)), Index(LAST)));
        assert_eq!((report.seen, report.left_out), (Index(LAST), Vec::new()));
        assert_eq!(report.revision, LAST + (1 << 40));
        assert_eq!(folder.aside.iter().cloned().collect::<BTreeMap<_, _>>(), before, "as they were");
        goes_on_alone(&mut folder, LAST);
        goes_on_alone(&mut folder, LAST);
        // Once is enough.
        let again = recover(&mut folder, usize::MAX).0.expect_err("it is alone");
        assert!(matches!(&again, NoRecovery::Nothing { why, .. } if why.contains("only voter")), "{again}");
    }
}

#[test]
fn before_the_loss_is_accepted_nothing_is_written() {
    let mut folder = directory(Some(9));
    let before = folder.clone();
    let mut recoverer = Recoverer::new(Seed::from_u64(3));
    loop {
        let ops = recoverer.take_ops();
        if ops.is_empty() {
            break;
        }
        for (op, what) in ops {
            recoverer.done(op, folder.perform(&what)).expect("nothing is wrong with it");
        }
    }
    assert!(recoverer.found().is_some() && recoverer.set_aside().is_none());
    assert_eq!(folder, before);
}

/// A crash behind each operation, and another within the start that follows. It is the former node with all that
/// it had, or the next, and of the former files none is gone.
#[test]
fn a_crash_at_any_operation_leaves_the_former_cluster_or_the_next() {
    let whole = directory(Some(9));
    let count = recover(&mut whole.clone(), usize::MAX).1;
    let (mut former, mut next) = (0, 0);
    for most in 0..=count {
        let mut folder = whole.clone();
        let (cut, _) = recover(&mut folder, most);
        assert!(cut.is_ok());
        for again in (0..40).step_by(3) {
            let mut folder = folder.clone();
            start(&mut folder, again);
            let mut engine = start(&mut folder, usize::MAX).expect("nothing is wrong with it");
            let status = engine.status();
            if status.cluster_id == Some(FORMER) {
                former += 1;
                assert_eq!((status.incarnation, status.last_index), (OWN, Index(LAST)), "{most}, {again}");
            } else {
                next += 1;
                let aside: BTreeMap<_, _> = folder.aside.iter().cloned().collect();
                let is_there = |(file, bytes): (&FileName, &Vec<u8>)| aside.get(file) == Some(bytes);
                assert!(files_of(&whole).iter().all(is_there), "{most}, {again}");
                assert_eq!(folder.aside.len(), whole.files.len() - 1, "each once: {most}, {again}");
                assert!(engine.is_leader() && view(&mut engine).get(b"k20").is_some());
            }
        }
    }
    assert!(former > 50 && next > 50, "{former} times the former, {next} times the next");
}

/// Spoils the write of this index. Gives the file that it stands in.
fn spoil(folder: &mut Folder, index: u64) -> FileName {
    let key = alloc::format!("k{index}v");
    for (file, bytes) in &mut folder.files {
        let found = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        if let Some(at) = found.filter(|_| matches!(file, FileName::Segment(_))) {
            bytes[at + 1] ^= 1;
            return *file;
        }
    }
    panic!("entry {index} stands in no segment")
}

/// Each flush spoilt, one after the other: everything before it is kept, and the place is named.
#[test]
fn a_damaged_log_is_gone_on_from_up_to_the_first_thing_that_is_wrong() {
    let whole = directory(None);
    let mut kept_least = u64::MAX;
    for index in 3..=LAST {
        let mut folder = whole.clone();
        let spoilt = spoil(&mut folder, index);
        let is_damaged = start(&mut folder.clone(), usize::MAX).is_none();
        let (report, _) = recover(&mut folder, usize::MAX);
        let report = report.expect("something is left").expect("all of it was done");
        assert_eq!(report.kept, Index(index - 1), "entry {index} is spoilt");
        assert_eq!(report.left_out.is_empty(), !is_damaged, "{:?}", report.left_out);
        assert!(!is_damaged || report.left_out[0].file == spoilt, "{:?}", report.left_out);
        let seen = if index == LAST { LAST - 1 } else { LAST };
        assert_eq!(report.seen, Index(seen), "what is lost is told");
        kept_least = kept_least.min(report.kept.0);
        goes_on_alone(&mut folder, index - 1);
    }
    assert_eq!(kept_least, 2);
}

/// What a snapshot reflects needs no log.
#[test]
fn rot_before_the_end_of_the_snapshot_loses_nothing_and_rot_of_the_snapshot_loses_all() {
    let whole = directory(Some(9));
    let mut folder = whole.clone();
    let spoilt = spoil(&mut folder, 9);
    assert!(start(&mut folder.clone(), usize::MAX).is_none(), "{spoilt}");
    let report = recover(&mut folder, usize::MAX).0.expect("it can be").expect("all of it was done");
    assert_eq!((report.kept, report.left_out.len()), (Index(LAST), 1), "{:?}", report.left_out);
    goes_on_alone(&mut folder, LAST);

    let is_snapshot = |file: &&FileName| matches!(file, FileName::Snapshot(_));
    let snapshot = *whole.files.keys().find(is_snapshot).expect("a snapshot");
    let mut folder = whole.clone();
    folder.files.get_mut(&snapshot).expect("just seen")[300] ^= 1;
    let before = folder.clone();
    let why = recover(&mut folder, usize::MAX).0.expect_err("nothing is left").to_string();
    assert!(why.contains(&snapshot.to_string()), "{why}");
    assert_eq!(folder, before, "and nothing is touched");
}

/// Every file short, gone, or wrong at some byte: what is gone on from is what was written, up to some entry.
#[test]
fn whatever_is_spoilt_what_is_kept_is_what_was_written() {
    let whole = directory(Some(9));
    let mut outcomes = BTreeMap::<bool, usize>::new();
    for (file, bytes) in &whole.files {
        for harm in 0..bytes.len() / 1021 + 2 {
            let mut folder = whole.clone();
            let spoilt = folder.files.get_mut(file).expect("just seen");
            match harm {
                0 => _ = folder.files.remove(file),
                1 => spoilt.truncate(bytes.len() / 2),
                harm => spoilt[(harm - 2) * 1021] ^= 0x10,
            }
            let before = folder.clone();
            match recover(&mut folder, usize::MAX).0 {
                Ok(report) => {
                    let kept = report.expect("all of it was done").kept.0;
                    assert!((9..=LAST).contains(&kept), "{file}, harm {harm}");
                    goes_on_alone(&mut folder, kept);
                }
                Err(_) => assert_eq!(folder, before, "{file}, harm {harm}"),
            }
            *outcomes.entry(folder != before).or_default() += 1;
        }
    }
    assert!(outcomes.len() == 2, "{outcomes:?}");
}

#[test]
fn what_cannot_be_gone_on_from_is_said() {
    let why = |folder: &Folder| recover(&mut folder.clone(), usize::MAX).0.expect_err("nothing").to_string();
    assert!(why(&Folder::default()).contains("check the path"));
    let mut without = directory(None);
    without.files.remove(&FileName::Superblock);
    assert!(why(&without).contains("superblock is damaged"));
    let never_founded = Folder::of("n1", OWN, [Record::Ballot { term: Term(1), vote: None }]);
    assert!(why(&never_founded).contains("nothing of any cluster"));
    let genesis = Entry::new(Term(1), Payload::Genesis(genesis())).bytes;
    let not_yet = Folder::of("n1", OWN, [Record::Entry { index: Index(1), bytes: genesis }]);
    assert!(why(&not_yet).contains("nothing of any cluster"));
    let mut unreadable = directory(None);
    unreadable.files.get_mut(&FileName::Superblock).expect("one").fill(0xa5);
    assert!(why(&unreadable).contains("neither slot can be read"));
    // Cut short behind the first slot, it is its node that goes on.
    let given_up = (0..40).find_map(|most| {
        let mut folder = directory(None);
        let cut = recover(&mut folder, most).0;
        cut.is_ok().then(|| recover(&mut folder, usize::MAX).0.err())?
    });
    assert!(given_up.is_some_and(|why| why.to_string().contains("given up before")));
}

#[test]
fn what_was_given_up_in_good_order_is_not_called_lost() {
    let mut folder = Folder::default();
    let mut store = folder.open(origin(), Duration::MAX);
    write(&mut folder, &mut store, 1..=8);
    let _ = store.record(|| Record::Truncate { behind: Index(5) });
    folder.settle(&mut store);
    let report = recover(&mut folder, usize::MAX).0.expect("it can be").expect("all of it was done");
    assert_eq!((report.kept, report.seen, report.left_out), (Index(5), Index(5), Vec::new()));
    goes_on_alone(&mut folder, 5);
}

/// Who votes alone is another, which is lost.
#[test]
fn the_learner_of_an_only_voter_goes_on_alone() {
    let seat = |name, bound| Seat { id: id(name), bound: Some(bound), address: None };
    let mut members = Membership::of(alloc::vec![seat("n2", Incarnation(2))]);
    members.learners.push(seat("n1", OWN));
    let genesis = Genesis { members, ..genesis() };
    let payloads = [Payload::Genesis(genesis), payload(2), payload(3)];
    let records = (1..).zip(payloads).map(|(index, payload)| Record::Entry {
        index: Index(index),
        bytes: Entry::new(Term(1), payload).bytes,
    });
    let mut folder = Folder::of("n1", OWN, records);
    let report = recover(&mut folder, usize::MAX).0.expect("it can be").expect("all of it was done");
    assert_eq!(report.kept, Index(3));
    goes_on_alone(&mut folder, 3);
}

/// A disk that has no room for the state, at whatever part of it, or none for a segment behind it.
#[test]
fn a_full_disk_changes_nothing_or_is_left_to_the_node() {
    let whole = directory(Some(9));
    let is_at = |op: &DiskOp, least: u64| match op {
        DiskOp::Create { file: FileName::Snapshot(_), .. } => least == 0,
        DiskOp::Write { file: FileName::Snapshot(_), at, .. } => *at >= least,
        _ => false,
    };
    for least in [0, 1, 20_000] {
        let mut folder = whole.clone();
        let why = recover_within(&mut folder, usize::MAX, |op| !is_at(op, least)).0;
        let why = why.expect_err("there is no room");
        assert_eq!(why, NoRecovery::Full, "{why}");
        assert!(why.to_string().contains("make room"), "{why}");
        assert_eq!(folder, whole, "what was written of it takes no room");
        recover(&mut folder, usize::MAX).0.expect("now there is room");
        goes_on_alone(&mut folder, LAST);
    }

    let is_segment = |op: &DiskOp| matches!(op, DiskOp::Create { file: FileName::Segment(_), .. });
    let mut folder = whole.clone();
    let report = recover_within(&mut folder, usize::MAX, |op| !is_segment(op)).0;
    assert_eq!(report.expect("the rest is its node's").expect("all of it was done").kept, Index(LAST));
    assert_eq!(folder.aside.len(), whole.files.len() - 1);
    goes_on_alone(&mut folder, LAST);
}

/// One segment, so that nothing of it is given up.
fn one_segment() -> (Folder, Store) {
    let mut folder = Folder::default();
    let mut store = folder.open(Origin { segment_bytes: 1 << 20, ..origin() }, Duration::MAX);
    store.set_cluster(FORMER);
    (folder, store)
}

fn kept_of(folder: &mut Folder) -> Recovery {
    assert!(start(&mut folder.clone(), usize::MAX).is_none(), "it is damaged");
    let report = recover(folder, usize::MAX).0.expect("it can be").expect("all of it was done");
    goes_on_alone(folder, report.kept.0);
    report
}

/// The log was given up for a leader's state, or a part of it for what a leader had instead. What has rotted stands
/// before that.
#[test]
fn a_log_that_goes_on_within_the_state_needs_nothing_of_what_was_given_up() {
    let (mut folder, mut store) = one_segment();
    write(&mut folder, &mut store, 1..=5);
    keep_state(&mut folder, &mut store, EntryId::new(9, 1));
    keep(&mut folder, &mut store, [Record::Base { last: EntryId::new(9, 1) }]);
    write(&mut folder, &mut store, 10..=12);
    spoil(&mut folder, 5);
    let report = kept_of(&mut folder);
    assert_eq!((report.kept, report.seen), (Index(12), Index(12)));

    let (mut folder, mut store) = one_segment();
    write(&mut folder, &mut store, 1..=7);
    keep(&mut folder, &mut store, [Record::Truncate { behind: Index(5) }, entry(6, 2)]);
    keep(&mut folder, &mut store, [entry(7, 2), entry(8, 2), entry(9, 2)]);
    keep_state(&mut folder, &mut store, EntryId::new(8, 2));
    spoil(&mut folder, 7);
    let report = kept_of(&mut folder);
    assert_eq!((report.kept, report.seen), (Index(9), Index(9)));

    // The same, with something behind the rot that was given up as well.
    let (mut folder, mut store) = one_segment();
    write(&mut folder, &mut store, 1..=12);
    keep(&mut folder, &mut store, [Record::Truncate { behind: Index(5) }, entry(6, 2)]);
    keep(&mut folder, &mut store, [entry(7, 2), entry(8, 2), entry(9, 2)]);
    keep_state(&mut folder, &mut store, EntryId::new(8, 2));
    spoil(&mut folder, 11);
    let report = kept_of(&mut folder);
    assert_eq!((report.kept, report.seen), (Index(9), Index(9)));
}

/// A crash has come between a leader's state and the word that the log is given up for it, and that log has rotted up to
/// the end of the state: what is left of it stood behind another entry there, perhaps.
#[test]
fn what_may_have_stood_behind_another_entry_is_not_put_behind_the_state() {
    for (term, kept) in [(2, 10), (3, 9)] {
        let (mut folder, mut store) = one_segment();
        write(&mut folder, &mut store, 1..=8);
        keep(&mut folder, &mut store, [entry(9, term)]);
        keep(&mut folder, &mut store, [entry(10, term)]);
        keep_state(&mut folder, &mut store, EntryId::new(9, 2));
        spoil(&mut folder, 9);
        let report = kept_of(&mut folder);
        assert_eq!((report.kept, report.seen), (Index(kept), Index(10)), "in term {term}");
    }
}

/// What is lost is what stood in the log at its end, and what the state reflected.
#[test]
fn what_was_given_up_is_not_called_lost_where_something_else_is() {
    let (mut folder, mut store) = one_segment();
    write(&mut folder, &mut store, 1..=14);
    keep(&mut folder, &mut store, [Record::Truncate { behind: Index(5) }]);
    keep_state(&mut folder, &mut store, EntryId::new(4, 1));
    let is_snapshot = |file: &&FileName| matches!(file, FileName::Snapshot(_));
    let snapshot = *folder.files.keys().find(is_snapshot).expect("a snapshot");
    folder.files.get_mut(&snapshot).expect("just seen")[300] ^= 1;
    let report = kept_of(&mut folder);
    assert_eq!((report.kept, report.seen), (Index(5), Index(5)));

    let (mut folder, mut store) = one_segment();
    write(&mut folder, &mut store, 1..=5);
    keep_state(&mut folder, &mut store, EntryId::new(9, 1));
    let snapshot = *folder.files.keys().find(is_snapshot).expect("a snapshot");
    folder.files.get_mut(&snapshot).expect("just seen")[300] ^= 1;
    let report = kept_of(&mut folder);
    assert_eq!((report.kept, report.seen), (Index(5), Index(9)));
}

/// The superblock is one from before a segment was named: its node keeps out, and what that segment holds counts.
#[test]
fn a_superblock_that_has_lost_what_it_said_is_told_and_what_it_does_not_name_counts() {
    for others in [&[("n2", 2), ("n3", 3)][..], &[]] {
        let mut folder = Folder::default();
        let mut store = folder.open(origin(), Duration::MAX);
        let seat = |&(name, bound): &(&str, u128)| Seat {
            id: id(name),
            bound: Some(Incarnation(bound)),
            address: None,
        };
        let members = Membership::of([("n1", OWN.0)].iter().chain(others).map(seat).collect());
        let genesis = Genesis { members, ..genesis() };
        let bytes = Entry::new(Term(1), Payload::Genesis(genesis)).bytes;
        keep(&mut folder, &mut store, [Record::Entry { index: Index(1), bytes }]);
        let superblock = folder.files[&FileName::Superblock].clone();
        write(&mut folder, &mut store, 2..=LAST);
        assert_ne!(folder.files[&FileName::Superblock], superblock, "another segment was named");
        folder.files.insert(FileName::Superblock, superblock);
        let report = kept_of(&mut folder);
        assert_eq!((report.kept, report.seen), (Index(LAST), Index(LAST)));
        assert_eq!(report.left_out.len(), 1, "{:?}", report.left_out);
        assert_eq!(report.left_out[0].file, FileName::Superblock);
    }
}

fn described(folder: &Folder) -> crate::storage::Description {
    let files = folder.files.iter().map(|(file, bytes)| (*file, Bytes::copy_from_slice(bytes)));
    crate::storage::describe(&files.collect::<Vec<_>>())
}

/// Found by a fuzzer: records that are whole, and cannot be what a node has written, are damage to whoever looks as well.
#[test]
fn who_only_looks_finds_what_a_node_could_not_go_on_from() {
    assert_eq!(described(&directory(None)).fault, None);
    let at = |index| Record::Entry { index: Index(index), bytes: Entry::new(Term(1), Payload::Noop).bytes };
    let no_entry = Record::Entry { index: Index(LAST + 1), bytes: Bytes::from_static(b"none") };
    let another = Entry::new(Term(1), Payload::Genesis(Genesis { cluster: ClusterId(8), ..genesis() })).bytes;
    for wrong in [
        at(LAST + 2),
        Record::Truncate { behind: Index(LAST + 1) },
        no_entry,
        entry(LAST + 1, 2),
        Record::Entry { index: Index(LAST + 1), bytes: another },
        Record::Ballot { term: Term(u64::MAX), vote: None },
    ] {
        let mut folder = directory(None);
        let mut store = folder.open(origin(), Duration::MAX);
        keep(&mut folder, &mut store, [wrong.clone()]);
        let described = described(&folder);
        assert!(described.damage().is_some(), "{wrong:?}: {:?}", described.fault);
        assert!(start(&mut folder, usize::MAX).is_none(), "{wrong:?} keeps no node out");
    }
}

/// Found by a fuzzer: what was made of such a directory was no directory that can be opened.
#[test]
fn a_term_that_nobody_has_counted_to_is_not_gone_on_from() {
    let mut folder = directory(None);
    let mut store = folder.open(origin(), Duration::MAX);
    keep(&mut folder, &mut store, [Record::Ballot { term: Term(u64::MAX), vote: None }]);
    let told = recover(&mut folder, usize::MAX).0;
    assert!(told.as_ref().is_err_and(|why| why.to_string().contains("the last term")), "{told:?}");
}

/// Who looks into a directory that is half recovered is told whether the state is sound that its node goes on from.
#[test]
fn the_state_that_a_node_is_to_go_on_from_is_looked_into() {
    let is_void = |folder: &Folder| {
        recover(&mut folder.clone(), usize::MAX)
            .0
            .is_err_and(|why| why.to_string().contains("given up before"))
    };
    let half = |most| {
        let mut folder = directory(None);
        recover(&mut folder, most).0.is_ok().then_some(folder).filter(is_void)
    };
    let mut folder = (0..100).find_map(half).expect("one that is half done");
    let description = described(&folder);
    assert_eq!(description.fault, None);
    assert!(description.lines.iter().any(|(_, line)| line.contains("18 keys")), "{:?}", description.lines);
    let is_snapshot = |file: &&FileName| matches!(file, FileName::Snapshot(_));
    let snapshot = *folder.files.keys().find(is_snapshot).expect("a snapshot");
    folder.files.get_mut(&snapshot).expect("just seen")[300] ^= 1;
    assert_eq!(described(&folder).damage().map(|damage| damage.file), Some(snapshot));
}

/// An operation that finds no room, whichever it is, is the last that counts.
#[test]
fn an_operation_that_fails_leaves_the_former_cluster_or_the_next() {
    let whole = directory(Some(9));
    let count = recover(&mut whole.clone(), usize::MAX).1;
    let (mut former, mut next) = (0, 0);
    for failing in 0..count {
        let done = core::cell::Cell::new(0);
        let mut folder = whole.clone();
        let told = recover_within(&mut folder, usize::MAX, |_| done.replace(done.get() + 1) != failing).0;
        let mut engine = start(&mut folder, usize::MAX).expect("nothing is wrong with it");
        if engine.status().cluster_id == Some(FORMER) {
            former += 1;
            assert!(told.is_err(), "{failing}");
        } else {
            next += 1;
            assert!(engine.is_leader() && view(&mut engine).get(b"k20").is_some());
        }
    }
    assert!(former > 5 && next > 5, "{former} times the former, {next} times the next");
}
