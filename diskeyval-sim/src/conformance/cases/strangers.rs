//! Who does not belong, and who is not the one that was meant.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::conformance::AGES;
use crate::conformance::cluster::{Certificates, Cluster, Plan, member, name, until};
use crate::conformance::proxy::Passage;

pub(super) fn strangers(certificates: Certificates<'_>) {
    let plan = Plan::in_memory(3).with(|config| {
        config.limits.max_strangers = 8;
        config.rpc_timeout = Duration::from_millis(600);
    });
    let cluster = Cluster::start(certificates, &plan);
    cluster.serves("before");
    // The first bytes of a handshake, and garbage behind them.
    let garbage: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let hello = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03][..], &garbage].concat();
    let knock = |which: usize| {
        let stream = TcpStream::connect(cluster.addresses[which]).expect("it listens");
        stream.set_read_timeout(Some(AGES)).expect("a timeout");
        stream
    };
    let mut silent = Vec::new();
    for which in 0..3 {
        // Many more than may be there at once, and they stay.
        for _ in 0..24 {
            silent.push(knock(which));
        }
        for length in 0..64 {
            let mut stream = knock(which);
            // It may be closed before all is said.
            let _ = stream.write_all(&hello[..length]);
        }
        for words in [&garbage[..], &hello[..], b"GET / HTTP/1.1\r\n\r\n"] {
            let mut stream = knock(which);
            let _ = stream.write_all(words);
            let _ = stream.shutdown(Shutdown::Write);
            // However it ends, it does end.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    cluster.serves("meanwhile");
    // Nodes find each other although strangers crowd the door.
    cluster.proxies.cut_all();
    cluster.serves("again");
    for mut stream in silent {
        let ended = stream.read_to_end(&mut Vec::new());
        let timed_out = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        };
        assert!(!ended.is_err_and(|error| timed_out(&error)), "who never says a word is not kept for ever");
    }
    cluster.serves("after");
}

pub(super) fn another_authority(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(certificates, &Plan::in_memory(3));
    let names: Vec<_> = (0..3).map(name).collect();
    let others = certificates(&names).unwrap_or_else(|why| panic!("no certificates: {why}"));
    let mut stranger = cluster.configs[2].clone();
    stranger.tls = others.into_iter().nth(2);
    cluster.run(0);
    cluster.run(1);
    cluster.try_to_run(2, &stranger).unwrap_or_else(|why| panic!("its own certificate fits it: {why}"));
    until("two of three serve", || (0..2).all(|which| cluster.standing(which) == "member"));
    cluster.set(0, "k", "v");
    until("all are told what is wrong", || {
        [(0, 2), (1, 2), (2, 0), (2, 1)].iter().all(|&(which, other)| {
            member(&cluster.status(which), other)
                .is_some_and(|other| other["linked"] == false && other["trouble"].is_string())
        })
    });
    assert_eq!(cluster.standing(2), "founding", "it belongs nowhere");
    cluster.stop(2);
    cluster.run(2);
    cluster.serves("let in");
    assert_eq!(cluster.value(2, "k").as_deref(), Some("v"));
}

pub(super) fn not_whom_it_dialled(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(certificates, &Plan::in_memory(3));
    let lead = |right: bool| {
        for from in 0..3 {
            let others: Vec<_> = (0..3).filter(|other| *other != from).collect();
            for (to, wrong) in [(others[0], others[1]), (others[1], others[0])] {
                cluster.proxies.lead(from, to, cluster.addresses[if right { to } else { wrong }]);
            }
        }
    };
    lead(false);
    for which in 0..3 {
        cluster.run(which);
    }
    // Each of them reaches a member, and not the one that it dialled.
    until("all are told what is wrong", || {
        (0..3).all(|which| {
            let status = cluster.status(which);
            (0..3).filter(|other| *other != which).all(|other| {
                member(&status, other).is_some_and(|other| {
                    other["linked"] == false
                        && other["trouble"].as_str().is_some_and(|why| why.contains("certificate"))
                })
            })
        })
    });
    lead(true);
    cluster.proxies.cut_all();
    cluster.proxies.set_all(Passage::Open);
    cluster.serves("right");
    cluster.wait_until_equal();
}
