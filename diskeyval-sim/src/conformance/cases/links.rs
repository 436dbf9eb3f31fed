//! Links that tear, break, hold and fill up.

use std::thread;
use std::time::Duration;

use diskeyval_core::{Config, DialError};

use crate::conformance::AGES;
use crate::conformance::cluster::{Certificates, Cluster, Plan, member, until};
use crate::conformance::load::{Load, Reins};
use crate::conformance::proxy::Passage;
use crate::conformance::words::{Ask, Told, Trouble};

pub(super) fn torn_at_every_byte(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(certificates, &Plan::in_memory(3));
    cluster.proxies.set_all(Passage::Torn);
    for which in 0..3 {
        cluster.run(which);
    }
    cluster.serves("torn");
    let long = "0123456789abcdef".repeat(512);
    for which in 0..3 {
        cluster.set(which, "long", &long);
        assert_eq!(cluster.value((which + 1) % 3, "long").as_deref(), Some(long.as_str()));
    }
    cluster.wait_until_equal();
}

pub(super) fn cut_anywhere(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    let reins = Reins::default();
    thread::scope(|scope| {
        let load = Load::begin(scope, &reins, &cluster, &[0, 1, 2], 2);
        load.wait_for(20);
        cluster.proxies.set_all(Passage::Brittle);
        // A link that was up breaks within some bytes, and then each that is made in its place.
        let before = cluster.proxies.connections();
        until("many links have broken", || cluster.proxies.connections() >= before + 30);
        cluster.proxies.set_all(Passage::Open);
        cluster.wait_until_seated();
        load.wait_for(20);
        load.end().check(&cluster);
    });
    cluster.serves("whole");
    cluster.wait_until_equal();
}

pub(super) fn cut_again_and_again(certificates: Certificates<'_>) {
    let plan = Plan::in_memory(3).with(|config| {
        // That a connection is gone has to be told: nobody finds it out by silence.
        config.rpc_timeout = AGES * 2;
    });
    let cluster = Cluster::start(certificates, &plan);
    let reins = Reins::default();
    thread::scope(|scope| {
        let load = Load::begin(scope, &reins, &cluster, &[0, 1, 2], 3);
        for _ in 0..8 {
            load.wait_for(20);
            cluster.proxies.cut_all();
        }
        load.wait_for(20);
        load.end().check(&cluster);
    });
    cluster.serves("whole");
    cluster.wait_until_equal();
}

pub(super) fn the_leader_is_cut_off(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    is_replaced_and_comes_back(&cluster, Passage::Severed);
}

pub(super) fn silence(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    is_replaced_and_comes_back(&cluster, Passage::Held);
}

fn is_replaced_and_comes_back(cluster: &Cluster, passage: Passage) {
    cluster.serves("before");
    let (former, others) = cluster.split();
    cluster.proxies.set(former, passage);
    let short = Duration::from_millis(500);
    let alone = cluster.node(former).ask(Ask::Set { key: "alone".into(), value: "1".into() }, short);
    assert!(matches!(alone, Ok(Told::Written(Err(_)))), "{alone:?}");
    cluster.leader_of(&others);
    let revision = cluster.set(others[0], "meanwhile", "1");
    // It has noticed that it leads nobody, and says nothing that may be old.
    until("the former leader gives up", || cluster.status(former)["leader"] != format!("node-{former}"));
    let read = cluster.node(former).ask(Ask::Get { key: "meanwhile".into() }, short);
    assert!(matches!(read, Ok(Told::Read(Err(Trouble::Refused(_))))), "{read:?}");
    until("the others see that the link is down", || {
        others.iter().all(|&other| {
            member(&cluster.status(other), former).is_some_and(|former| former["linked"] == false)
        })
    });
    cluster.proxies.set(former, Passage::Open);
    cluster.wait_until_seated();
    let found = cluster.get(former, "meanwhile").expect("it was acknowledged");
    assert_eq!(found.revision, revision);
    if matches!(alone, Ok(Told::Written(Err(Trouble::Refused(_))))) {
        assert_eq!(cluster.value(others[0], "alone"), None, "it was refused");
    }
    cluster.serves("after");
    cluster.wait_until_equal();
}

pub(super) fn by_name(certificates: Certificates<'_>) {
    let plan = Plan::in_memory(3).with(|config| {
        // Where that is ::1 as well, nobody listens there, and the next is tried.
        for peer in &mut config.peers {
            peer.host = "localhost".to_owned();
        }
    });
    let cluster = Cluster::start(certificates, &plan);
    cluster.serves("by name");
    cluster.proxies.cut_all();
    cluster.serves("again");
}

pub(super) fn nobody_listens(certificates: Certificates<'_>) {
    let mut cluster = Cluster::plan(certificates, &Plan::in_memory(3));
    // Past the proxies, which would accept in its stead.
    for config in &mut cluster.configs[..2] {
        let third = config.peers.iter_mut().find(|peer| peer.node_id.as_str() == "node-2").expect("a peer");
        third.port = cluster.addresses[2].port();
    }
    two_of_three(&cluster, &DialError::Refused);
}

pub(super) fn nobody_answers(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(
        certificates,
        &Plan::in_memory(3).with(|config| {
            // It is waited for ten times as long where nobody refuses.
            config.founding_grace = Duration::from_millis(50);
            config.rpc_timeout = Duration::from_millis(600);
        }),
    );
    cluster.proxies.set(2, Passage::Held);
    two_of_three(&cluster, &DialError::Silent);
}

/// The third is not there, and comes later. That makes a difference to the engine: who refuses is not there, who is
/// silent may be.
fn two_of_three(cluster: &Cluster, why: &DialError) {
    cluster.run(0);
    cluster.run(1);
    cluster.serves("two");
    for which in 0..2 {
        let status = cluster.status(which);
        let third = member(&status, 2).expect("it has a seat");
        assert!(third["seat"].is_null() && third["linked"] == false, "{third}");
        until("it is told what is wrong", || {
            let status = cluster.status(which);
            let trouble = member(&status, 2).and_then(|third| third["trouble"].as_str());
            trouble.is_some_and(|trouble| trouble.contains(&why.to_string()))
        });
    }
    cluster.run(2);
    cluster.proxies.set(2, Passage::Open);
    cluster.serves("three");
    cluster.wait_until_equal();
}

/// Small, so that little fills it.
fn narrow(config: &mut Config) {
    config.limits.max_key = 1 << 10;
    config.limits.max_value = 32 << 10;
    config.limits.append_window = 128 << 10;
    config.limits.send_buffer = 512 << 10;
}

pub(super) fn who_does_not_read(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3).with(narrow));
    let (leader, others) = cluster.split();
    let (busy, held) = (others[0], others[1]);
    cluster.proxies.set(held, Passage::Held);
    // More than all buffers on the way hold together: those of the engine, of two sockets each and of the proxy.
    let value = "x".repeat(32 << 10);
    for number in 0..512 {
        let which = if number % 2 == 0 { leader } else { busy };
        cluster.set(which, &format!("k{}", number % 16), &format!("{number}{}", &value[16..]));
    }
    cluster.proxies.set(held, Passage::Open);
    cluster.wait_until_seated();
    cluster.wait_until_equal();
    assert!(cluster.value(held, "k15").expect("written").starts_with("511"));
    cluster.serves("after");
}

pub(super) fn credit_comes_back(certificates: Certificates<'_>) {
    let plan = Plan::in_memory(3).with(|config| {
        narrow(config);
        // A link that stands still is not given up, nor made anew: it would stand still until the end of this case.
        config.rpc_timeout = AGES * 2;
    });
    let cluster = Cluster::start(certificates, &plan);
    let (leader, others) = cluster.split();
    // Of the two that are left, each needs the other.
    cluster.kill(others[1]);
    let value = "x".repeat(32 << 10);
    for number in 0..256 {
        // Both ways: what the follower writes is forwarded, and comes back as an entry.
        for which in [leader, others[0]] {
            cluster.set(which, &format!("k{}", number % 16), &value);
        }
    }
}
