//! Functions of the program that a node calls, on a thread of its own. What the async adapter has as well is tested by the suite.

use std::sync::mpsc;
use std::time::Duration;

use diskeyval_mio::{Cluster, Command};

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

#[test]
fn a_function_may_write_and_one_that_panics_harms_nobody() {
    let cluster = cluster(3);
    let node = cluster.node(0);
    let writer = node.clone();
    let (sender, receiver) = mpsc::channel();
    node.on(|_| panic!("on purpose")).expect("room for a function");
    let id = node.on(move |notice| {
        if notice.change().is_some_and(|change| change.key == "question") {
            sender.send(writer.set("answer", "42")).expect("the test still listens");
        }
    });
    let id = id.expect("room for a function");
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
