//! Certificates that are replaced while nodes run.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use diskeyval_smol::certs::{Authority, Issued};
use diskeyval_smol::{Config, Event, Events, Node, NodeId, RenewalError};
use futures_lite::future::block_on;

/// Nothing here takes nearly as long; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn issue(authority: &Authority, name: &str) -> Issued {
    authority.issue_node(&id(name)).expect("a certificate")
}

/// Three nodes in this process, each with a certificate of this CA.
async fn three(authority: &Authority) -> Vec<Node> {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    let ports = [0, 1, 2].map(|which: usize| listeners[which].local_addr().expect("it has one").port());
    let mut nodes = Vec::new();
    for (listener, own) in listeners.into_iter().zip(NAMES) {
        let issued = issue(authority, own);
        let mut config = Config::new(own).expect("a good name");
        config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
        for (name, port) in NAMES.into_iter().zip(ports).filter(|(name, _)| *name != own) {
            config = config.peer(name, "127.0.0.1", port).expect("a good name");
        }
        nodes.push(Node::start_on(listener, config).await.expect("it starts"));
    }
    for node in &nodes {
        node.wait_ready(PATIENCE).await.expect("every seat is filled");
    }
    nodes
}

async fn wait_for(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let notice = events.next_timeout(Duration::from_millis(100)).await;
        if notice.as_ref().and_then(|notice| notice.event()).is_some_and(&is_it) {
            return;
        }
    }
    panic!("in vain: {what}");
}

async fn reload(node: &Node, issued: &Issued, ca: &str) -> Result<(), RenewalError> {
    node.reload_tls(&issued.cert_pem, &issued.key_pem, ca).await
}

/// The three steps of the guide, without a process.
#[test]
fn a_ca_is_replaced_in_three_steps() {
    block_on(async {
        let (old, new) = (Authority::new("old").expect("a CA"), Authority::new("new").expect("a CA"));
        let nodes = three(&old).await;
        let both = [old.cert_pem(), new.cert_pem()].concat();
        for (issuer, ca) in [(&old, &both[..]), (&new, &both), (&new, new.cert_pem())] {
            for (node, name) in nodes.iter().zip(NAMES) {
                let before = node.metrics().links_up;
                let mut events = node.events().expect("room for a reader");
                reload(node, &issue(issuer, name), ca).await.expect("it is good");
                wait_for(&mut events, "both links are made anew", |_| node.metrics().links_up >= before + 2)
                    .await;
                node.with_timeout(PATIENCE).set("step", name).await.expect("a quorum");
            }
        }
        for node in &nodes {
            let certificates = node.status().await.expect("a status").certificates.expect("it has some");
            assert_eq!(certificates.ca.len(), 1);
            assert!(certificates.ca[0].name.contains("new"), "{certificates:?}");
            assert!(certificates.own.days_left >= 729 && certificates.peers.len() == 2, "{certificates:?}");
            assert!(node.members().await.expect("members").iter().all(|member| member.linked));
        }
    });
}

#[test]
fn who_is_not_trusted_any_more_loses_its_link_at_once_and_what_is_bad_changes_nothing() {
    block_on(async {
        let (ours, other) = (Authority::new("ours").expect("a CA"), Authority::new("other").expect("a CA"));
        let nodes = three(&ours).await;
        let mut events = nodes[0].events().expect("room for a reader");
        let before = nodes[0].status().await.expect("a status").certificates;
        let refused =
            reload(&nodes[0], &issue(&ours, "n2"), ours.cert_pem()).await.expect_err("of another node");
        assert!(refused.to_string().contains("n2"), "{refused}");
        wait_for(&mut events, "it is told", |event| matches!(event, Event::CertsRefused { .. })).await;
        assert_eq!(nodes[0].status().await.expect("a status").certificates, before);
        assert_eq!(nodes[0].reload().await, Err(RenewalError::NoFiles));

        reload(&nodes[0], &issue(&other, "n1"), other.cert_pem()).await.expect("it is good");
        let (mut cut, end) = (BTreeSet::new(), Instant::now() + PATIENCE);
        while cut.len() < 2 {
            assert!(Instant::now() < end, "in vain: both links are cut: {cut:?}");
            let notice = events.next_timeout(Duration::from_millis(100)).await;
            if let Some(Event::LinkDown { peer, why }) = notice.as_ref().and_then(|notice| notice.event())
                && why.to_string().contains("this end refuses the certificate")
            {
                cut.insert(peer.to_string());
            }
        }
        nodes[1].with_timeout(PATIENCE).set("k", "v").await.expect("the others go on");
    });
}

#[test]
fn files_that_change_are_noticed() {
    block_on(async {
        let (ours, other) = (Authority::new("ours").expect("a CA"), Authority::new("other").expect("a CA"));
        let dir = std::env::temp_dir().join(format!("diskeyval-smol-rotation-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = |name: &str| dir.join(name).to_str().expect("text").to_owned();
        let place = |authority: &Authority| {
            let issued = issue(authority, "solo");
            let files = [
                ("ca.pem", authority.cert_pem()),
                ("cert.pem", &issued.cert_pem),
                ("key.pem", &issued.key_pem),
            ];
            for (name, text) in files {
                fs::write(path(name), text).expect(name);
            }
        };
        place(&ours);
        let mut config = Config::new("solo").expect("a good name");
        config = config.tls_files(&path("cert.pem"), &path("key.pem"), &path("ca.pem"));
        config.tls_files.as_mut().expect("just set").look_every = Duration::from_millis(20);
        let node = Node::start(config).await.expect("it starts");
        let mut events = node.events().expect("room for a reader");
        fs::write(path("key.pem"), "half").expect("a file");
        wait_for(&mut events, "it is told", |event| matches!(event, Event::CertsRefused { .. })).await;
        place(&other);
        wait_for(&mut events, "it is noticed", |event| *event == Event::CertsRenewed).await;
        let certificates = node.status().await.expect("a status").certificates.expect("it has some");
        assert!(certificates.ca[0].name.contains("other"), "{certificates:?}");
        node.end().await;
        fs::remove_dir_all(&dir).expect("it is ours");
    });
}
