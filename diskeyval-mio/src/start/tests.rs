//! Nodes on disks that do what a test says.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use diskeyval_core::{DiskDone, DiskError, DiskOp, Read, RoleName};

use super::*;
use crate::certs::Authority;
use crate::lock;
use crate::node::Node;

/// No test waits for this to pass.
const AGES: Duration = Duration::from_secs(60);

/// Holds up every operation of a disk, from when a test says so until it says otherwise.
#[derive(Default)]
struct Stall {
    holds: Mutex<bool>,
    changed: Condvar,
}

impl Stall {
    fn set(&self, holds: bool) {
        *lock(&self.holds) = holds;
        self.changed.notify_all();
    }
}

/// A disk that stalls.
struct Stalling<P> {
    stall: Arc<Stall>,
    beneath: P,
}

impl<P: Perform> Perform for Stalling<P> {
    fn perform(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
        let holds = lock(&self.stall.holds);
        drop(self.stall.changed.wait_while(holds, |holds| *holds).expect("no panic"));
        self.beneath.perform(what)
    }
}

/// A disk that fails whatever it is asked for.
struct Failing(#[expect(dead_code, reason = "it holds the directory")] Directory);

impl Perform for Failing {
    fn perform(&mut self, _: DiskOp) -> Result<DiskDone, DiskError> {
        Err(DiskError::Failed("the disk is made of cheese".to_owned()))
    }
}

/// A place for directories that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diskeyval-stall-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Three nodes, each with its disk.
struct Three {
    nodes: Vec<Node>,
    stalls: [Arc<Stall>; 3],
    _scratch: Scratch,
}

impl Three {
    fn new() -> Three {
        let scratch = Scratch::new();
        let authority = Authority::new("test").expect("a CA");
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("bound").port());
        let stalls: [Arc<Stall>; 3] = Default::default();
        let mut nodes = Vec::new();
        for (own, listener) in listeners.into_iter().enumerate() {
            let mut config = config(&authority, &format!("n{own}"), &scratch);
            for other in (0..3).filter(|other| *other != own) {
                config = config.peer(&format!("n{other}"), "127.0.0.1", ports[other]).expect("a good name");
            }
            let stall = stalls[own].clone();
            let on = |directory| Stalling { stall, beneath: Files::new(directory) };
            let started = start_with(listener, &mut config, on).expect("it starts");
            nodes.push(Node::of(started, config));
        }
        for node in &nodes {
            node.wait_ready(AGES).expect("it takes its seat");
        }
        Three { nodes, stalls, _scratch: scratch }
    }

    fn leader(&self) -> usize {
        let mut leader = None;
        until("one leads", || {
            leader = self.nodes.iter().position(Node::is_leader);
            leader.is_some()
        });
        leader.expect("just found")
    }

    fn end(self) {
        thread::scope(|scope| {
            for node in &self.nodes {
                scope.spawn(|| node.end());
            }
        });
    }
}

fn config(authority: &Authority, name: &str, scratch: &Scratch) -> Config {
    let config = Config::new(name).expect("a good name");
    let issued = authority.issue_node(&config.node_id).expect("a certificate");
    let config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
    config.persist(scratch.0.join(name).to_str().expect("text"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn local(node: &Node, key: &'static str) -> Option<bytes::Bytes> {
    node.get_with(key, Read::Local).expect("it runs").map(|found| found.value)
}

#[test]
fn a_follower_whose_disk_stalls_holds_up_nobody() {
    let three = Three::new();
    let leader = three.leader();
    let follower = (leader + 1) % 3;
    three.nodes[leader].set("k", "before").expect("committed");
    let term = three.nodes[leader].status().expect("it runs").term;
    three.stalls[follower].set(true);
    let begin = Instant::now();
    let mut writes = 0;
    // Long enough for anybody who hears nothing to stand for election.
    while begin.elapsed() < Duration::from_secs(2) {
        three.nodes[leader].set("k", "after").expect("committed by the others");
        writes += 1;
        // It says how it stands all the while.
        assert_eq!(three.nodes[follower].status().expect("it answers").role, RoleName::Follower);
    }
    assert!(writes > 20, "{writes}");
    assert_eq!(three.nodes[leader].status().expect("it runs").term, term, "nobody stood for election");
    three.stalls[follower].set(false);
    until("it has caught up", || local(&three.nodes[follower], "k").as_deref() == Some(b"after"));
    three.end();
}

#[test]
fn a_leader_whose_disk_stalls_is_replaced_and_comes_back() {
    let three = Three::new();
    let old = three.leader();
    three.nodes[old].set("k", "before").expect("committed");
    three.stalls[old].set(true);
    let other = &three.nodes[(old + 1) % 3];
    // The others commit without it, and it hears itself being silent.
    until("writes go on", || other.set("k", "between").is_ok());
    until("it steps down", || !three.nodes[old].is_leader());
    until("another is written to", || other.set("k", "after").is_ok());
    three.nodes[old].status().expect("it answers");
    three.stalls[old].set(false);
    until("it has caught up", || local(&three.nodes[old], "k").as_deref() == Some(b"after"));
    three.end();
}

#[test]
fn a_node_ends_although_its_disk_hangs() {
    let three = Three::new();
    let follower = (three.leader() + 1) % 3;
    three.stalls[follower].set(true);
    let begin = Instant::now();
    three.nodes[follower].end();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    // Its directory is in use until the disk answers.
    three.stalls[follower].set(false);
    three.end();
}

#[test]
fn a_disk_that_fails_at_the_start_refuses_the_node() {
    let scratch = Scratch::new();
    let authority = Authority::new("test").expect("a CA");
    let mut config = config(&authority, "n1", &scratch);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let refused = start_with(listener, &mut config, Failing).map(|_| ()).expect_err("no disk");
    assert!(
        matches!(&refused, StartError::Storage(StorageFault::Failed { why, .. }) if why.contains("cheese")),
        "{refused:?}"
    );
    // And has let go of the directory.
    drop(Directory::open(scratch.0.join("n1").to_str().expect("text")).expect("it is free"));
}
