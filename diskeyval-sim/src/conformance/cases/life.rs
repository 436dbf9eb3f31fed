//! Nodes start, stop, die and come back.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use diskeyval_core::{Member, MemberChange};

use crate::conformance::cluster::{BUDGET, Certificates, Cluster, Plan, is_gone, member, name, until};
use crate::conformance::load::{Load, Reins};
use crate::conformance::remote;
use crate::conformance::words::{Ask, Told};

pub(super) fn one_alone(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(1));
    cluster.set(0, "k", "v");
    assert_eq!(cluster.value(0, "k").as_deref(), Some("v"));
    assert_eq!(cluster.value(0, "absent"), None);
    cluster.stop(0);
    // What was in memory is gone, and the address is free.
    cluster.run(0);
    cluster.wait_until_seated();
    assert_eq!(cluster.value(0, "k"), None);
    cluster.stop(0);
}

pub(super) fn nothing_is_left(certificates: Certificates<'_>) {
    for plan in [Plan::in_memory(1), Plan::on_disk(1)] {
        let cluster = Cluster::plan(certificates, &plan);
        let log = cluster.path().join("cycle.log");
        remote::cycle(&cluster.configs[0], &log).unwrap_or_else(|why| panic!("{why}"));
    }
    // And with links to others.
    let cluster = Cluster::plan(certificates, &Plan::on_disk(3));
    cluster.run(1);
    cluster.run(2);
    cluster.serves("two");
    let log = cluster.path().join("cycle.log");
    remote::cycle(&cluster.configs[0], &log).unwrap_or_else(|why| panic!("{why}"));
    cluster.serves("still");
}

pub(super) fn an_address_in_use(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(certificates, &Plan::in_memory(1));
    let other = TcpListener::bind(cluster.addresses[0]).expect("a free address");
    let why = cluster.try_to_run(0, &cluster.configs[0]).expect_err("its address is taken");
    assert!(!why.is_empty());
    let none = remote::lock(&remote::STARTING);
    drop(other);
    drop(none);
    cluster.run(0);
    cluster.serves("free");
}

pub(super) fn the_leader_stops(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    cluster.serves("before");
    let (former, others) = cluster.split();
    cluster.stop(former);
    let leader = cluster.leader_of(&others);
    assert_ne!(leader, former);
    // Nobody has to find out by silence: the link is closed in order, and another leads at once.
    cluster.set(others[0], "meanwhile", "1");
    assert_eq!(cluster.value(others[1], "meanwhile").as_deref(), Some("1"));
    cluster.run(former);
    cluster.serves("after");
    assert_eq!(cluster.value(former, "meanwhile").as_deref(), Some("1"));
    cluster.wait_until_equal();
}

pub(super) fn the_leader_is_killed(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    cluster.serves("before");
    let (former, others) = cluster.split();
    let life = cluster.status(former)["incarnation"].clone();
    let revision = cluster.set(former, "last", "words");
    cluster.kill(former);
    cluster.leader_of(&others);
    let found = cluster.get(others[0], "last").expect("it was acknowledged");
    assert_eq!((found.value.as_str(), found.revision), ("words", revision));
    cluster.set(others[1], "meanwhile", "1");
    cluster.run(former);
    cluster.serves("after");
    assert_eq!(cluster.value(former, "meanwhile").as_deref(), Some("1"));
    let status = cluster.status(former);
    assert_ne!(status["incarnation"], life, "what has lost its memory is another life");
    assert_eq!(member(&status, former).expect("a member")["seat"], status["incarnation"]);
    cluster.wait_until_equal();
}

pub(super) fn members_come_and_go(certificates: Certificates<'_>) {
    let mut cluster = Cluster::plan(certificates, &Plan::on_disk(4));
    let (newcomer, address) = (name(3), cluster.addresses[3].to_string());
    for config in &mut cluster.configs[..3] {
        config.peers.retain(|peer| peer.node_id != newcomer);
    }
    // It is found where it says, and there alone: nobody was told of it at the start.
    cluster.configs[3].advertise = address.parse().ok();
    cluster.configs[3].join = true;
    for which in 0..3 {
        cluster.run(which);
    }
    cluster.serves("three");
    let change = |which: usize, change: MemberChange| {
        until("the members change", || {
            match cluster.node(which).ask(Ask::Change { change: change.clone() }, BUDGET) {
                Ok(Told::MembersChanged(Ok(_))) => true,
                Ok(Told::MembersChanged(Err(_))) => false,
                other => panic!("a change of the members is answered by {other:?}"),
            }
        });
    };
    cluster.run(3);
    let member = Member { node: newcomer.clone(), address: address.parse().ok() };
    change(0, MemberChange::AddLearner { member });
    until("it is brought up to date", || cluster.standing(3) == "learner");
    assert_eq!(cluster.value(3, "three-0").as_deref(), Some("three"));
    change(1, MemberChange::Promote { node: newcomer.clone() });
    cluster.serves("four");
    // It is a node like the others, and is dialled where it was said to be.
    cluster.kill(3);
    cluster.run(3);
    cluster.serves("again");
    change(3, MemberChange::Remove { node: name(0) });
    until("who was removed is told so", || cluster.standing(0) == "removed");
    cluster.stop(0);
    cluster.serves("three others");
    cluster.wait_until_equal();
}

pub(super) fn stopped_with_a_full_desk(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    let (leader, others) = cluster.split();
    // Nothing can be committed any more, so all of them wait.
    for &other in &others {
        cluster.kill(other);
    }
    let node = cluster.node(leader);
    let long = Duration::from_secs(600);
    let begun: Vec<_> = (0..100)
        .map(|number| match number % 3 {
            0 => node.begin(Ask::Get { key: "k".into() }, long),
            1 => node.begin(Ask::Transfer { to: None }, long),
            _ => node.begin(Ask::Set { key: format!("k{number}"), value: "v".into() }, long),
        })
        .collect();
    cluster.stop(leader);
    for answer in begun {
        // They were all read before the request to stop was, and the process ends behind the answers.
        let answer = answer.recv().map_err(|_| remote::Gone);
        assert!(!is_gone(&answer), "a request was never answered");
    }
}

pub(super) fn stopped_under_load(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    let reins = Reins::default();
    thread::scope(|scope| {
        let load = Load::begin(scope, &reins, &cluster, &[0, 1, 2], 4);
        for round in 0..3 {
            load.wait_for(50);
            // Once it is the leader that goes, whoever that is.
            let which = if round == 0 { cluster.leader() } else { round };
            cluster.stop(which);
            load.wait_for(50);
            cluster.run(which);
            cluster.wait_until_seated();
        }
        load.end().check(&cluster);
    });
    cluster.wait_until_equal();
    // All at once: none can count on another.
    thread::scope(|scope| {
        for which in cluster.running() {
            let cluster = &cluster;
            scope.spawn(move || cluster.stop(which));
        }
    });
    assert!(cluster.running().is_empty());
    // And with nobody left to ask.
    cluster.run(0);
    let status = cluster.node(0).ask(Ask::Status, BUDGET);
    assert!(!is_gone(&status));
    cluster.stop(0);
}
