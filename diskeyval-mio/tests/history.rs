//! A real-socket cluster under concurrent clients, judged by its history: nothing lost, doubled or stale.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_mio::{Cluster, Error, Event, Events, Expect, Node, Notice, Read, Swap};
use diskeyval_sim::history::{Action, Event as Told, History, Operation, Outcome, Record};

const AGES: Duration = Duration::from_secs(60);
const CLIENTS: u64 = 9;
const OPERATIONS: u64 = 150;

/// What all clients and all readers of events write down.
#[derive(Clone)]
struct Recorder {
    records: Arc<Mutex<Vec<Record>>>,
    zero: Instant,
}

impl Recorder {
    fn now(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).expect("a short test")
    }

    fn write(&self, record: Record) {
        self.records.lock().expect("no writer has panicked").push(record);
    }
}

fn outcome<T>(result: Result<T, Error>) -> Outcome<T> {
    match result {
        Ok(answer) => Outcome::Ok(answer),
        Err(Error::Refused(_)) => Outcome::Refused,
        Err(Error::Unknown(_)) => Outcome::Unknown,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("this test writes text")
}

/// One client: its choices depend on its number alone.
fn client(number: u64, node: &Node, recorder: &Recorder) {
    let mut choice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for serial in 0..OPERATIONS {
        choice ^= choice << 13;
        choice ^= choice >> 7;
        choice ^= choice << 17;
        let key = format!("k{}", choice % 7);
        let value = format!("c{number}-{serial}");
        let call = recorder.now();
        let (action, revision) = match choice / 7 % 8 {
            0..=2 => {
                let result = node.set(key.clone(), value.clone());
                let revision = result.as_ref().ok().map(|commit| commit.revision);
                (Action::Set { value, outcome: outcome(result.map(drop)) }, revision)
            }
            3..=5 => {
                let result = node.get_with(key.clone(), Read::Linearizable);
                let revision =
                    result.as_ref().ok().and_then(|found| found.as_ref().map(|found| found.revision));
                let result = result.map(|found| found.map(|found| text(&found.value)));
                (Action::Get { outcome: outcome(result) }, revision)
            }
            6 => {
                let result = node.delete(key.clone());
                let revision =
                    result.as_ref().ok().filter(|deleted| deleted.found).map(|deleted| deleted.revision);
                (Action::Delete { outcome: outcome(result.map(|deleted| deleted.found)) }, revision)
            }
            _ => {
                let result = node.compare_and_set(key.clone(), Expect::Absent, value.clone());
                let (result, revision) = match result {
                    Ok(Swap::Swapped { revision }) => (Ok(true), Some(revision)),
                    Ok(Swap::Mismatch { .. }) => (Ok(false), None),
                    Err(error) => (Err(error), None),
                };
                let outcome = outcome(result);
                (Action::CompareAndSet { expect: None, value: Some(value), outcome }, revision)
            }
        };
        let returned = Some(recorder.now());
        recorder.write(Record::Operation(Operation {
            client: number,
            key,
            action,
            call,
            returned,
            revision,
        }));
    }
}

/// Writes down what a node tells, until the node has ended.
fn read_events(node: &Node, mut events: Events, recorder: &Recorder) {
    let name = node.id().to_string();
    while !events.is_over() {
        match events.next_timeout(AGES) {
            Some(Notice::Event(Event::Change(change))) => recorder.write(Record::Event(Told {
                node: name.clone(),
                key: text(&change.key),
                value: change.value.as_deref().map(text),
                revision: change.revision,
                at: recorder.now(),
            })),
            Some(Notice::Lagged { missed }) => panic!("{missed} events missed"),
            Some(_) => {}
            None => break,
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_stale_while_the_leader_is_stopped_in_order() {
    let cluster = Cluster::dev(3).expect("a cluster");
    let recorder = Recorder { records: Arc::default(), zero: Instant::now() };
    for node in cluster.nodes() {
        node.wait_ready(AGES).expect("in its seat");
    }
    thread::scope(|scope| {
        for node in cluster.nodes() {
            let (events, recorder) = (node.events().expect("room for a reader"), &recorder);
            scope.spawn(move || read_events(node, events, recorder));
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let node = &cluster.nodes()[usize::try_from(number % 3).expect("small")];
                let recorder = &recorder;
                scope.spawn(move || client(number, node, recorder))
            })
            .collect();
        let leader = cluster.node(0).wait_leader(AGES).expect("a leader");
        let leader = cluster.nodes().iter().find(|node| *node.id() == leader).expect("one of them");
        // In the middle of it: when a good part of the operations is done.
        while recorder.records.lock().expect("no writer has panicked").len() < 500 {
            thread::yield_now();
        }
        leader.end();
        for client in clients {
            client.join().expect("no client panics");
        }
        cluster.end();
    });
    let records =
        Arc::into_inner(recorder.records).expect("all are done").into_inner().expect("nobody has panicked");
    let history: History = records.into_iter().collect();
    let report = diskeyval_sim::check(&history);
    assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
    assert_eq!(report.operations as u64, CLIENTS * OPERATIONS);
    assert!(report.ok > 500 && report.events > 500, "{report}");
}
