//! What can go wrong before a node runs: each error names the guilty and the remedy.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::process;
use std::time::Duration;

use diskeyval_core::host::{RenewalError, StartError};
use diskeyval_core::{Config, ConfigError, Error, Event, Refusal, StorageFault, Tls};

use super::super::AGES;
use super::super::names;
use super::super::town::{
    self, NAMES, Town, end_all, free, hears, id, knowing, known, peer, port_of, refused, until, value,
};

pub(super) fn the_same_names(town: &Town<'_>) {
    let (found, wanted) = (names::found(town.product), names::wanted(town.product.name()));
    let missing: Vec<_> = wanted.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&wanted).collect();
    assert!(missing.is_empty(), "{} lacks {missing:?}", town.product.name());
    assert!(unknown.is_empty(), "no case calls {unknown:?}: see `calls.rs`, or `ALONE` in `names.rs`");
}

pub(super) fn what_is_wrong_with_a_configuration(town: &Town<'_>) {
    let good = || town.durable("n1");
    let wrong = |adjust: &dyn Fn(&mut Config)| {
        let mut config = good();
        adjust(&mut config);
        match town.refusal(config) {
            StartError::Config(error) => error,
            other => panic!("it is not the configuration: {other:?}"),
        }
    };
    let peers = |names: &[&str]| {
        let with = names.iter().zip(1..).fold(good(), |config, (name, port)| peer(config, name, port));
        wrong(&|config| config.peers = with.peers.clone())
    };
    assert_eq!(peers(&["n2", "n1"]), ConfigError::PeerIsSelf { id: id("n1") });
    assert_eq!(peers(&["n2", "n2"]), ConfigError::DuplicatePeer { id: id("n2") });
    let many = peers(&["n2", "n3", "n4", "n5", "n6", "n7", "n8"]);
    assert_eq!(many, ConfigError::TooManyMembers { given: 8, limit: 7 });
    let nowhere = wrong(&|config| *config = peer(config.clone(), "n2", 0));
    assert!(matches!(nowhere, ConfigError::BadAddress { .. }), "{nowhere:?}");
    let no_host = wrong(&|config| config.host = "no host".into());
    assert!(matches!(no_host, ConfigError::BadAddress { .. }), "{no_host:?}");
    assert_eq!(wrong(&|config| config.join = true), ConfigError::NobodyToJoin);
    assert_eq!(wrong(&|config| config.cluster.clear()), ConfigError::BadClusterName { limit: 63 });
    assert_eq!(wrong(&|config| config.max_clock_drift = Some(0)), ConfigError::BadDrift { given: 0 });

    type Wrong<'a> = (&'a str, &'a dyn Fn(&mut Config));
    let times: [Wrong<'_>; 5] = [
        ("electionTimeoutMs", &|config| config.election_timeout = Duration::ZERO),
        ("heartbeatMs", &|config| config.heartbeat = config.election_timeout / 2),
        ("proposalTimeoutMs", &|config| config.proposal_timeout = Duration::MAX),
        ("rpcTimeoutMs", &|config| config.rpc_timeout = config.election_timeout / 2),
        ("foundingGraceMs", &|config| config.founding_grace = Duration::ZERO),
    ];
    for (name, adjust) in times {
        let error = wrong(adjust);
        assert!(matches!(&error, ConfigError::BadTiming { option, .. } if *option == name), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let limits: [Wrong<'_>; 14] = [
        ("maxKey", &|config| config.limits.max_key = 0),
        ("maxValue", &|config| config.limits.max_value = 0),
        ("maxWrites", &|config| config.limits.max_writes = 0),
        ("maxReads", &|config| config.limits.max_reads = 0),
        ("maxStrangers", &|config| config.limits.max_strangers = 0),
        ("maxConnections", &|config| config.limits.max_connections = 100),
        ("maxPerIdentity", &|config| config.limits.max_per_identity = 1),
        ("maxWatchers", &|config| config.limits.max_watchers = 0),
        ("logBytes", &|config| config.limits.log_bytes = 0),
        ("maxWriteBytes", &|config| config.limits.max_write_bytes = 0),
        ("maxUncommitted", &|config| config.limits.max_uncommitted = 0),
        ("appendWindow", &|config| config.limits.append_window = 0),
        ("sendBuffer", &|config| config.limits.send_buffer = 0),
        ("compactEvery", &|config| config.persistence.as_mut().expect("it has one").compact_every = 0),
    ];
    for (name, adjust) in limits {
        let error = wrong(adjust);
        assert!(matches!(&error, ConfigError::BadLimit { limit, .. } if *limit == name), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }

    let bare = wrong(&|config| config.tls = None);
    assert!(matches!(bare, ConfigError::BadTls { part: "cert", .. }), "{bare:?}");
    assert!(bare.to_string().contains("Config::tls"), "{bare}");
    for (part, spoil) in [
        (
            "cert",
            &(|config: &mut Config| config.tls.as_mut().expect("it has some").cert = "?".into())
                as &dyn Fn(&mut Config),
        ),
        ("key", &|config| config.tls.as_mut().expect("it has some").key = "?".into()),
        ("ca", &|config| config.tls.as_mut().expect("it has some").ca = "?".into()),
    ] {
        let error = wrong(spoil);
        assert!(
            matches!(&error, ConfigError::BadTls { part: found, .. } if *found == part),
            "{part}: {error:?}"
        );
    }
    assert!(!town.is_there("n1"), "no directory was made");
}

pub(super) fn where_it_cannot_listen(town: &Town<'_>) {
    let other = free();
    let error = town.refusal(town.config("n1").listen("127.0.0.1", port_of(&other)));
    assert!(matches!(error, StartError::Bind { .. }), "{error:?}");
    let (text, place) = (error.to_string(), format!("127.0.0.1:{}", port_of(&other)));
    assert!(text.contains(&place) && text.contains("another port"), "{text}");
    // Reserved for documentation: no machine has it.
    let error = town.refusal(town.config("n1").listen("192.0.2.1", 0));
    assert!(matches!(error, StartError::Bind { .. }), "{error:?}");
    assert!(error.to_string().contains("no such address"), "{error}");
}

pub(super) fn where_it_listens(town: &Town<'_>) {
    let node = town.start(peer(town.config("n1"), "n2", 1));
    assert_ne!(node.local_addr().port(), 0);
    assert_eq!(node.id(), id("n1"));
    let peers = node.peers();
    assert_eq!((peers.len(), &peers[0].node_id, peers[0].port), (1, &id("n2"), 1));
    node.end();
    let listener = free();
    let address = listener.local_addr().expect("bound");
    let node = town.start_on(listener, town.config("n1"));
    assert_eq!(node.local_addr(), address);
    node.end();
    // Not every machine has IPv6.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let node = town.start(town.config("n1").listen("::1", 0));
        assert!(matches!(node.local_addr(), SocketAddr::V6(_)));
        node.end();
    }
}

pub(super) fn directories_that_cannot_be_used(town: &Town<'_>) {
    let path = town.dir("file");
    fs::write(&path, "no directory").expect("a file");
    let error = town.refusal(town.config("n1").persist(&path));
    assert!(matches!(error, StartError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains(&path) && error.to_string().contains("another directory"), "{error}");

    let dir = town.dir("below/n1");
    let ours = || town.config("n1").persist(&dir);
    let node = town.alone(ours());
    node.set("k", "v").expect("committed");
    let error = town.refusal(ours());
    assert!(
        matches!(&error, StartError::DirectoryInUse { path, holder }
            if path.ends_with("below/n1") && holder.is_none_or(|holder| holder == process::id())),
        "{error:?}"
    );
    assert!(error.to_string().contains(&dir) && error.to_string().contains("its own"), "{error}");
    node.end();

    let error = town.refusal(town.config("n2").persist(&dir));
    let StartError::Storage(StorageFault::OtherNode { ours: own, theirs }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((own, theirs), (&id("n2"), &id("n1")));
    let mut elsewhere = ours();
    elsewhere.cluster = "another".into();
    let error = town.refusal(elsewhere);
    assert!(matches!(&error, StartError::Storage(StorageFault::OtherCluster { .. })), "{error:?}");
    // Each of them has let it go.
    let node = town.alone(ours());
    assert_eq!(value(&node, "k").as_deref(), Some("v"));
    node.end();
}

pub(super) fn driven_by_the_program(town: &Town<'_>) {
    let listener = free();
    let port = port_of(&listener);
    let (first, drives_first) = town.drive(Some(listener), peer(town.durable("n1"), "n2", port_of(&free())));
    let (second, drives_second) = town.drive(None, knowing(town.durable("n2"), &first));
    assert_eq!(first.local_addr().port(), port);
    for node in [&first, &second] {
        assert_eq!(node.wait_open(), Ok(()));
    }
    first.stop();
    drives_first.join().expect("it ends");
    assert_eq!(refused(first.set("k", "v")), Refusal::Stopped);
    // The other waits for it in vain.
    second.stop();
    second.stop();
    drives_second.join().expect("it ends");

    let (alone, drives_alone) = town.drive(None, town.durable("n3"));
    assert_eq!(alone.wait_open(), Ok(()));
    alone.set("k", "v").expect("committed");
    alone.end();
    drives_alone.join().expect("it ends");
    let (wrong, drives_wrong) = town.drive(None, town.config("n4").persist(&town.dir("n3")));
    let why = wrong.wait_open().expect_err("it is another node's");
    assert!(matches!(why, StorageFault::OtherNode { .. }), "{why:?}");
    drives_wrong.join().expect("it ends");
    // In memory there is nothing to be read.
    let (nothing, drives_nothing) = town.drive(None, town.config("n5"));
    assert_eq!(nothing.wait_open(), Ok(()));
    drop(nothing);
    drives_nothing.join().expect("it ends");
}

pub(super) fn certificates(town: &Town<'_>) {
    let mut config = town.config("n1");
    config.tls = town.config("n2").tls;
    let error = town.refusal(config);
    assert!(matches!(error, StartError::Config(ConfigError::BadTls { .. })), "{error:?}");
    assert!(error.to_string().contains("n2"), "{error}");

    // Two of three are right, and the third is signed by somebody else.
    let listeners = NAMES.map(|_| free());
    let ports = listeners.each_ref().map(port_of);
    let foreign = town::certificates(town.product);
    let nodes: Vec<_> = NAMES
        .iter()
        .zip(listeners)
        .map(|(name, listener)| {
            let others = NAMES.iter().zip(ports).filter(|(other, _)| *other != name);
            let mut config =
                others.fold(town.config(name), |config, (other, port)| peer(config, other, port));
            config.founding_grace = Duration::from_millis(100);
            if *name == "n3" {
                config.tls = foreign.get(&id(name)).cloned();
            }
            town.start_on(listener, config)
        })
        .collect();
    let mut events = nodes[2].events().expect("room for a reader");
    for node in &nodes[..2] {
        node.set("k", "v").expect("two are a majority");
        let trouble = || known(node, "n3").and_then(|n3| n3.trouble).unwrap_or_default();
        until("it says what is wrong with the third", || trouble().contains("certificate"));
        assert!(known(node, "n3").is_some_and(|n3| !n3.linked));
    }
    hears(&mut events, "that nobody lets it in", |event| {
        matches!(event, Event::Unreachable { .. } | Event::LinkDown { .. })
    });
    let why = refused(nodes[2].wait_ready(Duration::from_millis(300)));
    assert!(matches!(why, Refusal::NotAdmitted { .. }), "{why:?}");
    let why = refused(nodes[2].wait_leader(Duration::ZERO));
    assert!(matches!(why, Refusal::NoQuorum { .. }), "{why:?}");
    assert!(!nodes[2].ready() && nodes[2].fault().is_none());
    end_all(&nodes);
}

pub(super) fn certificates_are_renewed(town: &Town<'_>) {
    let nodes = town.three();
    let mut events = nodes[0].events().expect("room for a reader");
    nodes[0].status().expect("it listens now");
    let own = |name: &str| town.config(name).tls.expect("it has some");
    let bad = |tls: Tls| nodes[0].reload_tls(tls).expect_err("it must not be taken");
    let error = bad(own("n2"));
    assert!(matches!(&error, RenewalError::Bad(why) if why.to_string().contains("n2")), "{error:?}");
    let error = bad(Tls { key: own("n2").key, ..own("n1") });
    assert!(matches!(&error, RenewalError::Bad(ConfigError::BadTls { part: "key", .. })), "{error:?}");
    hears(&mut events, "that they were refused", |event| matches!(event, Event::CertsRefused { .. }));
    assert!(matches!(nodes[0].reload(), Err(RenewalError::NoFiles)));
    nodes[0].set("k", "before").expect("what was in force stays in force");

    // Another authority is trusted as well from now on, by all; then this one has a certificate of that one.
    let foreign = town::certificates(town.product);
    let theirs = |name: &str| foreign[&id(name)].clone();
    for node in &nodes {
        let own = own(node.id().as_str());
        let ca = [&own.ca[..], &theirs("n1").ca].concat();
        node.reload_tls(Tls { ca, ..own }).expect("both are trusted");
    }
    let ca = [&own("n1").ca[..], &theirs("n1").ca].concat();
    nodes[0].reload_tls(Tls { ca, ..theirs("n1") }).expect("it is for this node");
    hears(&mut events, "that they were renewed", |event| *event == Event::CertsRenewed);
    until("all are linked", || nodes[0].members().expect("it runs").iter().all(|member| member.linked));
    for node in &nodes {
        node.set("k", "after").expect("committed");
    }
    let certificates = nodes[0].status().expect("it runs").certificates.expect("a driver tells");
    assert_eq!(certificates.ca.len(), 2);
    end_all(&nodes);
    assert!(matches!(nodes[0].reload_tls(own("n1")), Err(RenewalError::Ended(_))));
}

pub(super) fn a_cluster_for_development(town: &Town<'_>) {
    let cluster = town.dev(3);
    let names: Vec<_> = cluster.nodes().iter().map(|node| node.id().to_string()).collect();
    assert_eq!(names, ["node-1", "node-2", "node-3"]);
    let leader = cluster.leader(AGES).expect("a leader");
    until("it says so itself", || cluster.nodes().iter().any(|node| node.is_leader()));
    leader.set("k", "v").expect("committed");
    assert_eq!(value(&cluster.node(0usize), "k").as_deref(), Some("v"));
    cluster.end();
    assert!(matches!(cluster.leader(AGES).map(|_| ()), Err(Error::Refused(Refusal::Stopped))));

    let alone = town.dev_with(2, |config| match config.node_id.as_str() {
        "node-1" => config,
        _ => config.listen("127.0.0.1", 0).persist("\0"),
    });
    let why = alone.map(|_| ()).expect_err("it must not start");
    assert!(why.contains("directory"), "{why}");
    let alone = town.dev_with(2, |mut config| {
        config.cluster = config.node_id.to_string();
        config
    });
    let alone = alone.expect("they refuse each other only once they meet");
    let why = refused(alone.leader(Duration::from_millis(300)).map(|_| ()));
    assert!(matches!(why, Refusal::NoQuorum { .. }), "{why:?}");
    alone.end();
}
