//! Certificates that are replaced while nodes run and are written to.

#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{NAMES, Node, PATIENCE, Scratch, diskeyval, ports, text, until};
use diskeyval_mio::certs::{Authority, Issued};
use diskeyval_mio::{Config, Event, Events, Node as Member, NodeId, RenewalError};
use rustix::process::Signal;

// ---- Processes ----------------------------------------------------------------------------------------

/// What is to be done with a node between two writes.
type Job = Box<dyn FnOnce(&mut Node) + Send>;

/// Writes to a node, one after the other, each of which must be acknowledged.
struct Writer {
    jobs: Sender<Job>,
    done: JoinHandle<Node>,
}

impl Writer {
    fn start(mut node: Node) -> Writer {
        let (jobs, todo): (Sender<Job>, Receiver<Job>) = mpsc::channel();
        let done = thread::spawn(move || {
            for count in 0.. {
                let answer = node.ask(format!("set count {count}"));
                assert!(answer.starts_with("ok "), "write {count}: {answer}");
                match todo.try_recv() {
                    Ok(job) => job(&mut node),
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => break,
                }
            }
            node
        });
        Writer { jobs, done }
    }

    fn with_node(&self, job: impl FnOnce(&mut Node) + Send + 'static) {
        let (sender, done) = mpsc::channel();
        let job: Job = Box::new(move |node| {
            job(node);
            let _ = sender.send(());
        });
        self.jobs.send(job).expect("it writes");
        done.recv_timeout(PATIENCE).expect("it was done");
    }

    fn end(self) -> Node {
        drop(self.jobs);
        self.done.join().expect("every write was acknowledged")
    }
}

fn links_up(node: &mut Node) -> u64 {
    node.json("metrics")["linksUp"].as_u64().expect("a number")
}

/// Has a node look at its files, and waits until both its links were made anew.
fn reload(node: &mut Node) {
    let before = links_up(node);
    assert_eq!(node.ask("reload"), "ok");
    until("both links are made anew", || links_up(node) >= before + 2 && is_linked(node));
}

fn is_linked(node: &mut Node) -> bool {
    let members = node.json("members");
    members.as_array().expect("a list").iter().all(|member| member["linked"] == true)
}

fn trusted(node: &mut Node) -> usize {
    node.json("status")["certificates"]["ca"].as_array().expect("CAs").len()
}

/// Puts a file in place as a whole, as one does.
fn put(dir: &Scratch, name: &str, text: &[u8]) {
    let (half, whole) = (dir.0.join(format!("{name}.new")), dir.0.join(name));
    fs::write(&half, text).and_then(|()| fs::rename(&half, whole)).expect(name);
}

fn get(dir: &Scratch, name: &str) -> Vec<u8> {
    fs::read(dir.0.join(name)).expect(name)
}

/// The steps of the guide ("Replacing the CA"), one node after the other, under load.
#[test]
fn a_ca_is_replaced_in_three_steps_and_every_write_is_acknowledged() {
    let (old, new) = (Scratch::with_certs(&NAMES), Scratch::with_certs(&NAMES));
    let own = NAMES.map(|name| {
        let dir = Scratch::new();
        for file in ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}-key.pem")] {
            put(&dir, &file, &get(&old, &file));
        }
        dir
    });
    let ports: [u16; 3] = ports();
    // However slow the machine is: no write is refused unless the others are gone.
    let mut calm =
        vec!["--election-timeout-ms", "3000", "--rpc-timeout-ms", "20000", "--proposal-timeout-ms", "50000"];
    // And files are looked at when that is asked for.
    let seldom = r#"{"nodeId": "n1", "tlsFiles": {"cert": "", "key": "", "ca": "", "lookEveryMs": 3600000}}"#;
    put(&old, "node.json", seldom.as_bytes());
    let config = old.0.join("node.json");
    calm.extend(["--config", config.to_str().expect("text")]);
    let mut nodes = [0, 1, 2].map(|which| {
        let peers: Vec<_> = NAMES.into_iter().zip(ports).filter(|(name, _)| *name != NAMES[which]).collect();
        Node::start(&own[which], NAMES[which], ports[which], &peers, &calm)
    });
    for node in &mut nodes {
        until("every seat is filled", || node.is_member());
    }
    let [n1, mut n2, mut n3] = nodes;
    let writer = Writer::start(n1);

    // 1. Both CAs are trusted everywhere. One is told by a signal.
    let both = [get(&old, "ca.pem"), get(&new, "ca.pem")].concat();
    own.iter().for_each(|dir| put(dir, "ca.pem", &both));
    n2.signal(Signal::HUP);
    until("it trusts both", || trusted(&mut n2) == 2);
    reload(&mut n3);
    writer.with_node(reload);

    // 2. Every node gets a certificate of the new one. A pair that is half replaced changes nothing.
    for (dir, name) in own.iter().zip(NAMES) {
        put(dir, &format!("{name}.pem"), &get(&new, &format!("{name}.pem")));
    }
    let refused = n2.ask("reload");
    assert!(refused.starts_with("refused: ") && refused.contains("does not belong"), "{refused}");
    for (dir, name) in own.iter().zip(NAMES) {
        put(dir, &format!("{name}-key.pem"), &get(&new, &format!("{name}-key.pem")));
    }
    writer.with_node(reload);
    reload(&mut n2);
    reload(&mut n3);

    // 3. The old one is trusted no more.
    own.iter().for_each(|dir| put(dir, "ca.pem", &get(&new, "ca.pem")));
    reload(&mut n3);
    reload(&mut n2);
    writer.with_node(reload);
    writer.with_node(|n1| assert!(trusted(n1) == 1 && is_linked(n1)));
    let mut n1 = writer.end();
    assert_eq!(trusted(&mut n2), 1);

    // Whoever has nothing but its old certificate is refused, and the others go on.
    assert_eq!(n3.ask("quit"), "bye");
    n3.ended();
    put(&old, "ca.pem", &both);
    let peers = [(NAMES[0], ports[0]), (NAMES[1], ports[1])];
    let mut n3 = Node::start(&old, NAMES[2], ports[2], &peers, &calm);
    until("it is told why", || {
        let status = n3.json("status").to_string();
        status.contains("does not know the CA")
    });
    assert!(n1.ask("set after all").starts_with("ok "));
    assert_eq!(n2.ask("get after"), "value all");
}

#[test]
fn a_node_tells_how_many_days_are_left() {
    let dir = Scratch::with_certs(&["solo"]);
    let mut node = Node::start(&dir, "solo", 0, &[], &[]);
    let certificates = node.json("status")["certificates"].clone();
    let days = |which: &serde_json::Value| which["daysLeft"].as_i64().expect("a number");
    assert_eq!(certificates["own"]["name"], "solo");
    // All of them only within the second in which they were issued.
    assert!((729..=730).contains(&days(&certificates["own"])), "{certificates}");
    assert!((3649..=3650).contains(&days(&certificates["ca"][0])), "{certificates}");
    assert_eq!(node.ask("reload"), "ok", "there is nothing new");
}

/// The signal is sent by a terminal that is closed, too, and does not end a node any more: that nobody types does.
#[cfg(target_os = "linux")]
#[test]
fn a_node_whose_terminal_is_closed_ends() {
    use std::fs::File;
    use std::io::Read;

    use rustix::process::{Pid, kill_process};
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    let dir = Scratch::with_certs(&["solo"]);
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    // It must not become the terminal of this process, and our end of it is not for the node.
    let end = || ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    let mut command = diskeyval();
    command.args(["node", "--id", "solo", "--listen", "127.0.0.1:0", "--certs", dir.path()]);
    let mut child =
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().expect("it runs");
    // It holds the other ends of the terminal.
    drop(command);
    let mut ours = File::from(ours);
    let mut screen = String::new();
    while !screen.contains("solo> ") {
        let mut chunk = [0; 4096];
        let count = ours.read(&mut chunk).expect("a terminal");
        screen += &text(&chunk[..count]);
    }
    kill_process(Pid::from_child(&child), Signal::HUP).expect("a process that runs");
    drop(ours);
    assert_eq!(child.wait().expect("a child").code(), Some(0));
}

// ---- The API ------------------------------------------------------------------------------------------

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn issue(authority: &Authority, name: &str) -> Issued {
    authority.issue_node(&id(name)).expect("a certificate")
}

/// Three nodes in this process, each with a certificate of this CA.
fn three(authority: &Authority) -> [Member; 3] {
    let ports: [u16; 3] = ports();
    let nodes = [0, 1, 2].map(|which| {
        let issued = issue(authority, NAMES[which]);
        let config = Config::new(NAMES[which]).expect("a good name");
        let mut config = config.listen("127.0.0.1", ports[which]).tls(
            &issued.cert_pem,
            &issued.key_pem,
            authority.cert_pem(),
        );
        for (name, port) in NAMES.into_iter().zip(ports).filter(|(name, _)| *name != NAMES[which]) {
            config = config.peer(name, "127.0.0.1", port).expect("a good name");
        }
        Member::start(config).expect("it starts")
    });
    for node in &nodes {
        node.wait_ready(PATIENCE).expect("every seat is filled");
    }
    nodes
}

fn wait_for(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) {
    until(what, || {
        let notice = events.next_timeout(Duration::from_millis(100));
        notice.as_ref().and_then(|notice| notice.event()).is_some_and(&is_it)
    });
}

#[test]
fn what_cannot_be_used_is_refused_by_name_and_changes_nothing() {
    let (ours, other) = (Authority::new("ours").expect("a CA"), Authority::new("other").expect("a CA"));
    let [node, _n2, _n3] = three(&ours);
    let mut events = node.events().expect("room for a reader");
    let before = node.status().expect("a status").certificates;
    let (good, again) = (issue(&ours, "n1"), issue(&ours, "n1"));
    let (stranger, foreign) = (issue(&ours, "n2"), issue(&other, "n1"));
    let ca = ours.cert_pem();
    for (cert, key, ca, said) in [
        (&stranger.cert_pem[..], &stranger.key_pem[..], ca, "n2"),
        (&good.cert_pem, &again.key_pem, ca, "does not belong"),
        (&foreign.cert_pem, &foreign.key_pem, ca, "signed by no CA"),
        (&good.cert_pem, &good.key_pem, "", "empty"),
        ("nonsense", &good.key_pem, ca, "no PEM text"),
    ] {
        let refused = node.reload_tls(cert, key, ca).expect_err(said);
        assert!(matches!(refused, RenewalError::Bad(_)) && refused.to_string().contains(said), "{refused}");
        wait_for(
            &mut events,
            said,
            |event| matches!(event, Event::CertsRefused { why } if why.contains(said)),
        );
    }
    assert_eq!(node.status().expect("a status").certificates, before);
    assert_eq!(node.reload(), Err(RenewalError::NoFiles));
    node.reload_tls(&good.cert_pem, &good.key_pem, ca).expect("it is good");
    wait_for(&mut events, "it is told", |event| *event == Event::CertsRenewed);
    node.with_timeout(PATIENCE).set("k", "v").expect("links move over");
    node.end();
    assert!(matches!(node.reload_tls(&good.cert_pem, &good.key_pem, ca), Err(RenewalError::Ended(_))));
}

#[test]
fn who_is_not_trusted_any_more_loses_its_link_at_once() {
    let (ours, other) = (Authority::new("ours").expect("a CA"), Authority::new("other").expect("a CA"));
    let [n1, n2, n3] = three(&ours);
    let both = [ours.cert_pem(), other.cert_pem()].concat();
    let mut events = n1.events().expect("room for a reader");
    let moved = issue(&other, "n1");
    for (node, name) in [(&n2, "n2"), (&n3, "n3")] {
        let issued = issue(&ours, name);
        node.reload_tls(&issued.cert_pem, &issued.key_pem, &both).expect("it is good");
    }
    // It moves alone, and its former CA is gone: that is no way to do it.
    n1.reload_tls(&moved.cert_pem, &moved.key_pem, other.cert_pem()).expect("it is good");
    let mut cut = BTreeSet::new();
    until("both links are cut", || {
        let notice = events.next_timeout(Duration::from_millis(100));
        if let Some(Event::LinkDown { peer, why }) = notice.as_ref().and_then(|notice| notice.event())
            && why.to_string().contains("this end refuses the certificate")
        {
            cut.insert(peer.to_string());
        }
        cut.len() == 2
    });
    n2.with_timeout(PATIENCE).set("k", "v").expect("the others go on");
    // Nobody that it does not trust comes back, and those that it does trust do.
    let issued = issue(&other, "n2");
    n2.reload_tls(&issued.cert_pem, &issued.key_pem, &both).expect("it is good");
    until("n1 has a link to n2", || {
        let members = n1.members().expect("members");
        members.iter().any(|member| member.node_id == id("n2") && member.linked)
    });
    let members = n1.members().expect("members");
    assert!(members.iter().all(|member| member.node_id != id("n3") || !member.linked), "{members:?}");
}

#[test]
fn files_that_change_are_noticed() {
    let (ours, other) = (Authority::new("ours").expect("a CA"), Authority::new("other").expect("a CA"));
    let dir = Scratch::new();
    let path = |name: &str| dir.0.join(name).to_str().expect("text").to_owned();
    let place = |authority: &Authority| {
        let issued = issue(authority, "solo");
        put(&dir, "ca.pem", authority.cert_pem().as_bytes());
        put(&dir, "cert.pem", issued.cert_pem.as_bytes());
        put(&dir, "key.pem", issued.key_pem.as_bytes());
    };
    place(&ours);
    let mut config = Config::new("solo").expect("a good name");
    config = config.tls_files(&path("cert.pem"), &path("key.pem"), &path("ca.pem"));
    config.tls_files.as_mut().expect("just set").look_every = Duration::from_millis(20);
    let node = Member::start(config).expect("it starts");
    let mut events = node.events().expect("room for a reader");
    let ca = || node.status().expect("a status").certificates.expect("it has some").ca[0].name.clone();
    let former = ca();
    put(&dir, "key.pem", b"half");
    wait_for(&mut events, "it is told", |event| matches!(event, Event::CertsRefused { .. }));
    assert_eq!(ca(), former);
    place(&other);
    wait_for(&mut events, "it is noticed", |event| *event == Event::CertsRenewed);
    assert_ne!(ca(), former);
}
