//! What is kept in directories, over many lives.

use std::fs;
use std::path::Path;
use std::thread;

use diskeyval_core::{Config, FileName};

use crate::conformance::cluster::{BUDGET, Certificates, Cluster, Plan, until};
use crate::conformance::load::{Load, Reins};
use crate::conformance::words::{Ask, Told};

pub(super) fn killed_all_at_once(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    let revisions: Vec<_> =
        (0..30).map(|number| cluster.set(number % 3, &format!("k{number}"), &format!("v{number}"))).collect();
    for _ in 0..2 {
        for which in 0..3 {
            cluster.kill(which);
        }
        for which in 0..3 {
            cluster.run(which);
        }
        for (number, revision) in revisions.iter().enumerate() {
            let found = cluster.get((number + 1) % 3, &format!("k{number}")).expect("it was acknowledged");
            assert_eq!((found.value, found.revision), (format!("v{number}"), *revision));
        }
    }
    cluster.serves("after");
    cluster.wait_until_equal();
}

pub(super) fn killed_under_load(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3).with(eager));
    let reins = Reins::default();
    thread::scope(|scope| {
        let load = Load::begin(scope, &reins, &cluster, &[0, 1, 2], 4);
        for round in 0..4 {
            load.wait_for(60);
            let victims = match round {
                0 => vec![cluster.leader()],
                1 => vec![0, 1, 2],
                _ => vec![round % 3, (round + 1) % 3],
            };
            for &victim in &victims {
                cluster.kill(victim);
            }
            for &victim in &victims {
                cluster.run(victim);
            }
            cluster.wait_until_seated();
        }
        load.wait_for(20);
        load.end().check(&cluster);
    });
    cluster.wait_until_equal();
}

pub(super) fn restarted_in_order(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    cluster.serves("before");
    for which in 0..3 {
        let life = cluster.status(which)["incarnation"].clone();
        cluster.set(which, "last", &format!("{which}"));
        cluster.stop(which);
        cluster.run(which);
        cluster.wait_until_seated();
        assert_eq!(cluster.status(which)["incarnation"], life, "it has forgotten nothing");
        assert_eq!(cluster.value(which, "last"), Some(format!("{which}")));
    }
    let view = cluster.view(0);
    for which in 0..3 {
        cluster.stop(which);
    }
    for which in 0..3 {
        cluster.run(which);
    }
    for which in 0..3 {
        assert_eq!(cluster.view(which), view);
    }
    cluster.serves("after");
}

/// The log is given up early, and cut into small files, so that files come and go.
fn eager(config: &mut Config) {
    config.limits.max_key = 1 << 10;
    config.limits.max_value = 16 << 10;
    if let Some(kept) = &mut config.persistence {
        kept.compact_every = 64 << 10;
    }
}

/// The files of a directory that are a node's own, with their sizes.
fn own_files(directory: &Path) -> Vec<(FileName, u64)> {
    let entries = fs::read_dir(directory).expect("a directory").filter_map(Result::ok);
    let own = entries.filter_map(|entry| {
        let file = FileName::parse(entry.file_name().to_str()?)?;
        Some((file, entry.metadata().ok()?.len()))
    });
    own.collect()
}

pub(super) fn files_come_and_go(certificates: Certificates<'_>) {
    const WRITES: usize = 1000;
    const SIZE: usize = 8 << 10;
    let cluster = Cluster::start(certificates, &Plan::on_disk(3).with(eager));
    let (leader, _) = cluster.split();
    let value = "x".repeat(SIZE);
    thread::scope(|scope| {
        for writer in 0..8 {
            let (cluster, value) = (&cluster, &value);
            scope.spawn(move || {
                for number in 0..WRITES / 8 {
                    cluster.set(leader, &format!("k{writer}-{}", number % 4), &format!("{number}-{value}"));
                }
            });
        }
    });
    cluster.wait_until_equal();
    for which in 0..3 {
        until("a snapshot is durable, and what lies before it is given up", || {
            let files = own_files(&cluster.directory(which));
            let snapshots = files.iter().filter(|(file, _)| matches!(file, FileName::Snapshot(_))).count();
            let all: u64 = files.iter().map(|(_, size)| size).sum();
            snapshots > 0 && all < (WRITES * SIZE) as u64 / 2
        });
        let snapshot = cluster.node(which).ask(Ask::Snapshot, BUDGET * 4);
        assert!(matches!(snapshot, Ok(Told::Snapshot(Ok(_)))), "{snapshot:?}");
    }
    let view = cluster.view(0);
    for which in 0..3 {
        cluster.kill(which);
    }
    for which in 0..3 {
        cluster.run(which);
    }
    for which in 0..3 {
        assert_eq!(cluster.view(which), view);
    }
    cluster.serves("after");
}

pub(super) fn far_behind(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3).with(eager));
    cluster.serves("before");
    let (leader, others) = cluster.split();
    let away = others[0];
    cluster.stop(away);
    let value = "x".repeat(8 << 10);
    let behind = || cluster.status(leader)["releasedIndex"].as_u64().unwrap_or(0);
    let last = cluster.set(leader, "k", "now");
    let mut number = 0;
    until("the log is given up beyond what the other has", || {
        for _ in 0..20 {
            cluster.set(leader, &format!("k{}", number % 40), &format!("{number}-{value}"));
            number += 1;
        }
        behind() > last
    });
    cluster.run(away);
    cluster.wait_until_seated();
    assert_eq!(cluster.view(away), cluster.view(leader));
    cluster.wait_until_equal();
    // What it was sent it has kept.
    cluster.kill(away);
    cluster.run(away);
    cluster.wait_until_seated();
    assert_eq!(cluster.view(away), cluster.view(leader));
    cluster.serves("after");
}
