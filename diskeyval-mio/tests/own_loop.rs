//! Nodes that a loop of the program's own drives.

#[path = "../examples/own_mio_loop.rs"]
#[cfg(unix)]
mod own_mio_loop;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Command, Config, Doubt, Driver, Error, Node, Refusal};

/// One that founds a cluster by itself, or waits for a peer that never comes.
fn node(authority: &Authority, peer: Option<&str>) -> (Node, Driver) {
    let mut config = Config::new("n1").expect("a good name").listen("127.0.0.1", 0);
    config.proposal_timeout = Duration::from_secs(300);
    if let Some(peer) = peer {
        // Nobody listens there.
        config = config.peer(peer, "127.0.0.1", 1).expect("a good name");
    }
    let issued = authority.issue_node(&config.node_id).expect("a certificate");
    let config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
    Node::with_driver(config).expect("it starts")
}

fn set(node: &Node) -> diskeyval_mio::Pending<diskeyval_mio::Outcome> {
    node.submit(Command::Set { key: "k".into(), value: "v".into() })
}

#[cfg(unix)]
#[test]
fn one_thread_drives_three_nodes_at_its_own_poll() {
    own_mio_loop::main().expect("it shows what it says");
}

#[test]
fn a_loop_without_a_poll_waits_by_the_driver_itself() {
    let (node, mut driver) = node(&Authority::new("test").expect("a CA"), None);
    let program = thread::spawn({
        let node = node.clone();
        move || {
            // It is another thread that drives, so this one may wait.
            let written = node.set("k", "v").and_then(|_| node.get("k"));
            node.stop();
            written
        }
    });
    while driver.turn_within(Duration::from_secs(300)).is_continue() {}
    assert!(driver.turn().is_break(), "an end is an end");
    assert_eq!(driver.timeout(), None);
    let read = program.join().expect("no panic").expect("committed");
    assert_eq!(read.as_deref(), Some(&b"v"[..]));
    node.end();
}

#[test]
fn whoever_drops_the_driver_ends_the_node_and_is_not_lied_to() {
    let (node, mut driver) = node(&Authority::new("test").expect("a CA"), Some("n2"));
    let address = node.local_addr();
    let handed_over = set(&node);
    assert!(driver.turn().is_continue());
    let waiting = set(&node);
    drop(driver);
    assert_eq!(handed_over.wait().map(drop), Err(Error::Unknown(Doubt::Stopped)));
    assert_eq!(waiting.wait().map(drop), Err(Error::Refused(Refusal::Stopped)));
    assert_eq!(set(&node).wait().map(drop), Err(Error::Refused(Refusal::Stopped)));
    node.end();
    TcpListener::bind(address).expect("its address is free");
}

#[test]
fn what_is_wrong_with_a_directory_is_told_to_whoever_asks() {
    let authority = Authority::new("test").expect("a CA");
    let scratch = std::env::temp_dir().join(format!("diskeyval-own-loop-{}", std::process::id()));
    let start = |name: &str| {
        let mut config = Config::new(name).expect("a good name").listen("127.0.0.1", 0);
        let issued = authority.issue_node(&config.node_id).expect("a certificate");
        config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
        Node::with_driver(config.persist(&scratch.to_string_lossy())).expect("it starts")
    };
    let drive = |mut driver: Driver| {
        thread::spawn(move || while driver.turn_within(Duration::from_secs(300)).is_continue() {})
    };
    let (first, driver) = start("n1");
    let driving = drive(driver);
    assert_eq!(first.wait_open(), Ok(()));
    first.set("k", "v").expect("committed");
    first.end();
    driving.join().expect("no panic");

    let (second, driver) = start("n2");
    let driving = drive(driver);
    let why = second.wait_open().expect_err("it is not its own").to_string();
    assert!(why.contains("n1"), "{why}");
    driving.join().expect("no panic");
    std::fs::remove_dir_all(&scratch).expect("removed");
}
