//! Whole clusters in one process: real sockets, real certificates, real time.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_mio::{
    Change, Cluster, Command, Doubt, Error, Event, Events, Expect, Hindrance, Node, NodeId, Notice, Read,
    Refusal, Swap,
};

/// How long anything may take on a busy machine. No test waits for it to pass.
const AGES: Duration = Duration::from_secs(60);

fn cluster(n: usize) -> Cluster {
    let cluster = Cluster::dev_with(n, |mut config| {
        config.proposal_timeout = AGES;
        config
    })
    .expect("a cluster");
    for node in cluster.nodes() {
        node.wait_ready(AGES).expect("in its seat");
    }
    cluster
}

fn set(key: impl Into<String>, value: impl Into<String>) -> Command {
    Command::Set { key: key.into().into(), value: value.into().into() }
}

/// The next `n` changes, whatever else happens in between.
fn changes(events: &mut Events, n: usize) -> Vec<Change> {
    let mut found = Vec::new();
    let end = Instant::now() + AGES;
    while found.len() < n {
        let left = end.saturating_duration_since(Instant::now());
        match events.next_timeout(left).expect("a change in time") {
            Notice::Event(Event::Change(change)) => found.push(change),
            Notice::Lagged { missed } => panic!("{missed} events missed"),
            _ => {}
        }
    }
    found
}

#[test]
fn what_one_node_writes_every_node_reads() {
    let cluster = cluster(3);
    for (number, writer) in cluster.nodes().iter().enumerate() {
        let key = format!("key-{number}");
        let commit = writer.set(key.clone(), "value").expect("committed");
        let own = writer.get_with(key.clone(), Read::Local).expect("read").expect("there");
        assert_eq!(own.revision, commit.revision, "a local read sees one's own write");
        for reader in cluster.nodes() {
            assert_eq!(reader.get(key.clone()).expect("read").as_deref(), Some(&b"value"[..]));
        }
    }
    assert_eq!(cluster.node(0).get("absent").expect("read"), None);
    cluster.end();
}

#[test]
fn compare_and_set_and_delete_say_what_they_found() {
    let cluster = cluster(3);
    let (a, b) = (cluster.node(0), cluster.node(1));
    let Swap::Swapped { revision } = a.compare_and_set("k", Expect::Absent, "1").expect("decided") else {
        panic!("it was absent")
    };
    let again = b.compare_and_set("k", Expect::Absent, "2").expect("decided");
    assert!(matches!(again, Swap::Mismatch { actual: Some(actual), .. } if actual == revision), "{again:?}");
    assert!(b.compare_and_set("k", Expect::Revision(revision), "2").expect("decided").swapped());
    assert!(a.compare_and_set("k", Expect::Value("2".into()), "3").expect("decided").swapped());
    assert!(a.delete("k").expect("decided").found);
    assert!(!b.delete("k").expect("decided").found);
    let gone = a.compare_and_set("k", Expect::Revision(revision), "4").expect("decided");
    assert!(matches!(gone, Swap::Mismatch { actual: None, .. }), "{gone:?}");
    cluster.end();
}

#[test]
fn typed_values_come_back_as_they_were() {
    let cluster = cluster(1);
    let typed = cluster.node(0).typed::<(u32, String)>();
    let value = (7, "seven".to_string());
    typed.set("k", &value).expect("committed");
    assert_eq!(typed.get("k").expect("read"), Some(value.clone()));
    assert!(typed.compare_and_set("k", Some(&value), &(8, "eight".into())).expect("decided").swapped());
    cluster.node(0).set("k", "\u{1}\u{1}x, and more than belongs to it").expect("committed");
    assert!(matches!(typed.get("k"), Err(Error::Refused(Refusal::Codec { .. }))));
    cluster.end();
}

#[test]
fn every_node_tells_of_every_update_once_and_in_order() {
    let cluster = cluster(3);
    let mut subscriptions: Vec<_> = cluster.nodes().iter().map(Node::events).collect();
    // What a handle says to its node keeps its order: once this is answered, every node listens.
    for node in cluster.nodes() {
        node.status().expect("it runs");
    }
    let writes = 300;
    let pending: Vec<_> =
        (0..writes).map(|n| cluster.node(n % 3).submit(set(format!("k{n}"), format!("v{n}")))).collect();
    let revisions: BTreeSet<_> =
        pending.into_iter().map(|p| p.wait().expect("committed").revision()).collect();
    assert_eq!(revisions.len(), writes);
    for events in &mut subscriptions {
        let told = changes(events, writes);
        let order = told.iter().map(|change| change.revision);
        assert!(order.eq(revisions.iter().copied()), "each once, in the order of revisions");
    }
    cluster.end();
    for mut events in subscriptions {
        assert!(!events.any(|notice| notice.change().is_some()), "nothing is told twice");
    }
}

#[test]
fn a_function_may_write_and_one_that_panics_harms_nobody() {
    let cluster = cluster(3);
    let node = cluster.node(0);
    let writer = node.clone();
    let (sender, receiver) = mpsc::channel();
    node.on(|_| panic!("on purpose"));
    let id = node.on(move |notice| {
        if notice.change().is_some_and(|change| change.key == "question") {
            sender.send(writer.set("answer", "42")).expect("the test still listens");
        }
    });
    node.set("question", "?").expect("committed");
    receiver.recv_timeout(AGES).expect("it was called").expect("committed");
    assert_eq!(cluster.node(1).get("answer").expect("read").as_deref(), Some(&b"42"[..]));
    node.off(id);
    node.off(id);
    node.set("question", "again").expect("committed");
    assert!(receiver.try_recv().is_err());
    cluster.end();
}

#[test]
fn completions_run_for_all_that_was_submitted() {
    let cluster = cluster(3);
    let leader = cluster.leader(AGES).expect("a leader");
    let (sender, receiver) = mpsc::channel();
    for n in 0..2_000 {
        let sender = sender.clone();
        let pending = leader.submit(set(format!("k{}", n % 100), format!("{n}")));
        pending.on_complete(move |outcome| sender.send(outcome).expect("the test still listens"));
    }
    for _ in 0..2_000 {
        receiver.recv_timeout(AGES).expect("an answer").expect("committed");
    }
    assert_eq!(leader.view().expect("it runs").len(), 100);
    cluster.end();
}

#[test]
fn many_threads_that_wait_are_all_answered() {
    let cluster = cluster(3);
    thread::scope(|scope| {
        for thread in 0..24 {
            let node = cluster.node(thread % 3);
            scope.spawn(move || {
                let key = format!("counter-{}", thread % 4);
                for _ in 0..50 {
                    node.set(key.clone(), "value").expect("committed");
                    assert_eq!(node.get(key.clone()).expect("read").as_deref(), Some(&b"value"[..]));
                }
            });
        }
    });
    cluster.end();
}

#[test]
fn leadership_goes_to_whom_it_is_wished_for_whoever_is_asked() {
    let cluster = cluster(3);
    cluster.leader(AGES).expect("a leader");
    for wanted in cluster.nodes() {
        for asked in cluster.nodes() {
            asked.transfer_leadership(Some(wanted.id()), AGES).expect("it leads");
        }
    }
    let leader = cluster.leader(AGES).expect("a leader");
    let former = leader.id().clone();
    leader.transfer_leadership(None, AGES).expect("another leads");
    let stranger = NodeId::new("stranger").expect("a name");
    let refused = cluster.node(0).transfer_leadership(Some(&stranger), AGES);
    let why = Hindrance::NotAMember { node: stranger };
    assert_eq!(refused, Err(Error::Refused(Refusal::NotTransferred { why })));
    // Writes go on, and none is lost.
    for node in cluster.nodes() {
        node.set(former.as_str().to_owned(), "led").expect("committed");
    }
    cluster.node(0).end();
    let ended = cluster.node(0).transfer_leadership(None, AGES);
    assert_eq!(ended, Err(Error::Refused(Refusal::Stopped)));
    cluster.end();
}

#[test]
fn the_others_go_on_when_the_leader_ends() {
    let cluster = cluster(3);
    let leader = cluster.leader(AGES).expect("a leader");
    leader.set("k", "before").expect("committed");
    leader.end();
    assert!(!leader.is_leader());
    assert_eq!(leader.set("k", "too late"), Err(Error::Refused(Refusal::Stopped)));
    let other = cluster.nodes().iter().find(|node| node.id() != leader.id()).expect("two are left");
    assert_eq!(other.get("k").expect("read").as_deref(), Some(&b"before"[..]));
    other.set("k", "after").expect("committed");
    cluster.end();
}

#[test]
fn ending_twice_and_at_once_from_several_threads_does_no_harm() {
    let cluster = cluster(1);
    let node = cluster.node(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| node.end());
        }
    });
    node.end();
    assert!(matches!(node.get("k"), Err(Error::Refused(Refusal::Stopped))));
    assert!(matches!(node.status(), Err(Error::Refused(Refusal::Stopped))));
    assert!(matches!(node.wait_leader(AGES), Err(Error::Refused(Refusal::Stopped))));
    assert_eq!(node.events().next(), None);
}

#[test]
fn a_function_may_end_its_node() {
    let cluster = cluster(1);
    let node = cluster.node(0).clone();
    let (sender, receiver) = mpsc::channel();
    let pending = node.submit(set("k", "v"));
    pending.on_complete(move |outcome| {
        node.end();
        sender.send(outcome).expect("the test still listens");
    });
    receiver.recv_timeout(AGES).expect("it was called").expect("committed");
}

/// No majority, no answer: what is pending when the node ends must say whether it may have happened.
#[test]
fn what_is_pending_at_the_end_ends_honestly() {
    let cluster = cluster(3);
    let node = cluster.node(0);
    cluster.node(1).end();
    cluster.node(2).end();
    let write = node.submit(set("k", "v"));
    let read = node.submit_get("k", Read::Linearizable);
    node.end();
    let write = write.wait();
    assert!(
        matches!(write, Err(Error::Refused(Refusal::Stopped) | Error::Unknown(Doubt::Stopped))),
        "{write:?}"
    );
    let read = read.wait();
    assert!(matches!(read, Err(Error::Refused(Refusal::Stopped))), "{read:?}");
}

#[test]
fn dropping_the_last_handle_ends_the_node() {
    let cluster = cluster(1);
    let address = cluster.node(0).local_addr();
    let events = cluster.node(0).events();
    drop(cluster);
    // The iterator holds no handle, and ends when the node has.
    for _ in events {}
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_call_uses_its_budget() {
    let cluster = cluster(3);
    let node = cluster.node(0);
    cluster.node(1).end();
    cluster.node(2).end();
    let budget = Duration::from_millis(300);
    let before = Instant::now();
    let write = node.with_timeout(budget).set("k", "v");
    assert!(
        matches!(
            write,
            Err(Error::Refused(Refusal::NoQuorum { .. }) | Error::Unknown(Doubt::Deadline { .. }))
        ),
        "{write:?}"
    );
    assert!(before.elapsed() >= budget, "the budget was not used");
    let read = node.with_timeout(budget).get("k");
    assert!(matches!(read, Err(Error::Refused(Refusal::NoQuorum { .. }))), "{read:?}");
    cluster.end();
}

#[test]
fn strangers_at_the_door_disturb_nobody() {
    let cluster = cluster(3);
    let mut strangers = Vec::new();
    for node in cluster.nodes() {
        strangers.push(TcpStream::connect(node.local_addr()).expect("connected"));
        let mut loud = TcpStream::connect(node.local_addr()).expect("connected");
        loud.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it fits");
        strangers.push(loud);
    }
    for node in cluster.nodes() {
        node.set("k", "v").expect("committed");
        assert_eq!(node.get("k").expect("read").as_deref(), Some(&b"v"[..]));
    }
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(AGES)).expect("an option");
        // An alert, a close or a reset: it is over in any case.
        let error = stranger.read_to_end(&mut Vec::new()).err();
        assert!(error.is_none_or(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    }
    cluster.end();
}
