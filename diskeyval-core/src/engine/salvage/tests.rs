//! A damaged node that is to go on alone, on a disk that has no room.

use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Config;
use crate::engine::Engine;
use crate::entry::{Entry, Genesis, Payload};
use crate::error::{Error, Refusal};
use crate::id::{ClusterId, Incarnation, Index, NodeId, Term, Ticket};
use crate::io::{Answer, DiskError, DiskOp, Effect, Input, Request};
use crate::members::{Membership, Seat, StorageKind};
use crate::prng::Seed;
use crate::status::Standing;
use crate::store::folder::Folder;
use crate::store::{FileName, Origin, Record};
use crate::time::Instant;

const OWN: Incarnation = Incarnation(1);

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

/// The directory of a node of three. Its fourth flush has rotted, with a later one behind it.
fn damaged() -> Folder {
    let seat = |name, bound| Seat { id: id(name), bound: Some(Incarnation(bound)), address: None };
    let members = Membership::of(alloc::vec![seat("n1", OWN.0), seat("n2", 2), seat("n3", 3)]);
    let genesis = Genesis { cluster: ClusterId(7), storage: StorageKind::Disk, members };
    let entry =
        |index, payload| Record::Entry { index: Index(index), bytes: Entry::new(Term(1), payload).bytes };
    let ballot = |term| Record::Ballot { term: Term(term), vote: None };
    let records = [entry(1, Payload::Genesis(genesis)), entry(2, Payload::Noop), ballot(2), ballot(3)];
    let mut folder = Folder::default();
    let cluster_name = "diskeyval".into();
    let origin = Origin { node: id("n1"), cluster_name, incarnation: OWN, salt: 5, segment_bytes: 32 << 10 };
    let mut store = folder.open(origin, Duration::MAX);
    for record in records {
        let _ = store.record(|| record);
        folder.settle(&mut store);
    }
    folder.files.get_mut(&FileName::Segment(1)).expect("a log")[3 * 4096 + 85] ^= 1;
    folder
}

/// A node on a directory.
struct Turns {
    engine: Engine,
    folder: Folder,
    /// What there is no room for.
    is_full_for: fn(&DiskOp) -> bool,
    done: Vec<Input>,
    answers: Vec<Answer>,
    now: Instant,
}

impl Turns {
    fn start(folder: Folder) -> Turns {
        let config = Config::new("n1").and_then(|config| config.peer("n2", "n2", 1)?.peer("n3", "n3", 1));
        let config = config.expect("good names").persist("its disk");
        let engine = Engine::open(config.validate().expect("a good configuration"), Seed::from_u64(1));
        let (done, answers) = (Vec::new(), Vec::new());
        let mut turns = Turns { engine, folder, is_full_for: |_| false, done, answers, now: Instant::ZERO };
        turns.settle();
        turns
    }

    fn settle(&mut self) {
        loop {
            let mut turn = self.engine.turn(self.now);
            self.done.drain(..).for_each(|input| turn.input(input));
            for effect in turn.end() {
                match effect {
                    Effect::Disk { op, what } => {
                        let is_full = (self.is_full_for)(&what);
                        let result = if is_full { Err(DiskError::Full) } else { self.folder.perform(&what) };
                        self.done.push(Input::Disk { op, result });
                    }
                    Effect::Answer { answer, .. } => self.answers.push(answer),
                    Effect::Halt { fault } => panic!("{fault}"),
                    _ => {}
                }
            }
            if self.done.is_empty() {
                return;
            }
        }
    }

    fn until(&mut self, end: Duration) {
        let end = Instant::ZERO + end;
        while let Some(due) = self.engine.deadline().filter(|due| due.at <= end) {
            self.now = self.now.max(due.at);
            self.settle();
        }
        self.now = end;
    }

    fn recover(&mut self) -> Option<Answer> {
        let budget = Duration::from_secs(60);
        self.done.push(Input::Ask { ticket: Ticket(1), request: Request::Recover, budget });
        self.settle();
        self.answers.pop()
    }
}

#[test]
fn a_damaged_node_without_room_for_the_state_stays_what_it_was() {
    let before = damaged();
    let mut turns = Turns::start(before.clone());
    assert!(matches!(turns.engine.status().standing, Standing::Damaged(_)));
    turns.is_full_for = |op| matches!(op, DiskOp::Create { .. });
    let answer = turns.recover();
    let Some(Answer::Recovered(Err(Error::Refused(Refusal::NothingToRecover { why })))) = &answer else {
        panic!("{answer:?}");
    };
    assert!(why.contains("make room"), "{why}");
    assert!(matches!(turns.engine.status().standing, Standing::Damaged(_)));
    assert_eq!(turns.folder, before);
    turns.is_full_for = |_| false;
    turns.recover();
    turns.until(Duration::from_secs(6));
    assert!(turns.engine.is_leader(), "{:?}", turns.engine.status());
}

/// Its files are those of the next cluster by then: it goes on as a node that is started there would.
#[test]
fn a_node_that_goes_on_alone_waits_for_room_for_its_log() {
    let mut turns = Turns::start(damaged());
    turns.is_full_for = |op| matches!(op, DiskOp::Create { file: FileName::Segment(_), .. });
    assert!(turns.recover().is_none());
    turns.until(Duration::from_secs(6));
    assert_eq!(turns.engine.status().standing, Standing::Opening);
    turns.is_full_for = |_| false;
    turns.until(Duration::from_secs(12));
    assert!(turns.engine.is_leader(), "{:?}", turns.engine.status());
    assert!(matches!(turns.answers[..], [Answer::Recovered(Ok(_))]), "{:?}", turns.answers);
}
