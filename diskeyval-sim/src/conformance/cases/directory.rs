//! Directories that are held, foreign, lost and damaged.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use diskeyval_core::FileName;

use crate::conformance::cluster::{BUDGET, Certificates, Cluster, Plan, until};
use crate::conformance::remote::Remote;
use crate::conformance::words::{Ask, Told, Trouble};

pub(super) fn a_directory_is_held(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(1));
    let mut second = cluster.configs[0].clone();
    // Another address, so that it is not that which is in its way.
    second.port = 0;
    let started = Remote::start(&second, &cluster.path().join("second.log"));
    let why = started.map(|_| ()).expect_err("the directory is in use");
    assert!(!why.is_empty());
    cluster.set(0, "k", "v");
    cluster.kill(0);
    cluster.run(0);
    assert_eq!(cluster.value(0, "k").as_deref(), Some("v"));
}

pub(super) fn another_nodes_directory(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    cluster.serves("before");
    cluster.stop(0);
    cluster.stop(1);
    let mut foreign = cluster.configs[0].clone();
    foreign.persistence.clone_from(&cluster.configs[1].persistence);
    let before = contents(&cluster.directory(1));
    // Either it does not start, or it starts and halts: then it says so to whoever asks.
    if cluster.try_to_run(0, &foreign).is_ok() {
        until("it serves nobody, for good", || {
            let ask = Ask::Set { key: "k".into(), value: "v".into() };
            match cluster.node(0).ask(ask, BUDGET) {
                Ok(Told::Written(Ok(_))) => panic!("it serves"),
                Ok(Told::Written(Err(Trouble::Refused(why)))) => {
                    why.contains("halted") || why.contains("stopped")
                }
                _ => false,
            }
        });
        until("it closes everything", || TcpStream::connect(cluster.addresses[0]).is_err());
        cluster.kill(0);
    }
    assert_eq!(contents(&cluster.directory(1)), before, "what is another's is not touched");
    cluster.run(0);
    cluster.run(1);
    cluster.serves("after");
}

pub(super) fn a_directory_is_lost(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    cluster.serves("before");
    let (_, others) = cluster.split();
    let lost = others[0];
    let life = cluster.status(lost)["incarnation"].clone();
    cluster.kill(lost);
    fs::remove_dir_all(cluster.directory(lost)).expect("removed");
    cluster.run(lost);
    cluster.serves("after");
    assert_ne!(cluster.status(lost)["incarnation"], life, "it is another life of its node");
    cluster.wait_until_equal();
    assert_eq!(cluster.view(lost), cluster.view(others[1]));
}

/// The files of a directory that are not empty, with what they hold.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("text"), entry.path()));
    named
        .filter(|(name, _)| FileName::parse(name).is_some())
        .map(|(name, path)| (name, fs::read(path).expect("a file")))
        .collect()
}

/// All that a file of another name holds.
fn set_aside(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let is_aside = |path: &Path| {
        path.is_file() && FileName::parse(&path.file_name().unwrap_or_default().to_string_lossy()).is_none()
    };
    entries.filter(|path| is_aside(path)).map(|path| fs::read(path).expect("a file")).collect()
}

/// A segment in which something stands, of a node that does not run.
fn a_segment(files: &BTreeMap<String, Vec<u8>>) -> &str {
    let written = |name: &&String| name.starts_with("wal-") && files[*name].iter().any(|byte| *byte != 0);
    files.keys().rfind(written).expect("a log")
}

pub(super) fn a_file_is_damaged(certificates: Certificates<'_>) {
    comes_back(certificates, |directory, name, mut bytes| {
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("something stands there");
        // In the middle of what was written: behind it, other flushes have followed.
        let at = end / 2 / 4096 * 4096 + 100;
        bytes[at] = !bytes[at];
        fs::write(directory.join(name), bytes).expect("written");
    });
}

pub(super) fn a_file_is_missing(certificates: Certificates<'_>) {
    comes_back(certificates, |directory, name, _| {
        fs::remove_file(directory.join(name)).expect("removed");
    });
}

/// With a majority beside it, a node that was harmed comes back by itself, and nothing that it had is gone.
fn comes_back(certificates: Certificates<'_>, harm: fn(&Path, &str, Vec<u8>)) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    let (leader, others) = cluster.split();
    let harmed = others[0];
    for number in 0..30 {
        cluster.set(leader, &format!("k{number}"), &format!("v{number}"));
    }
    cluster.wait_until_equal();
    let life = cluster.status(harmed)["incarnation"].clone();
    cluster.stop(harmed);
    cluster.set(leader, "meanwhile", "1");
    let directory = cluster.directory(harmed);
    let files = contents(&directory);
    let name = a_segment(&files);
    harm(&directory, name, files[name].clone());
    let left = contents(&directory);

    cluster.run(harmed);
    cluster.wait_until_seated();
    assert_ne!(cluster.status(harmed)["incarnation"], life, "it is another life of its node");
    let aside = set_aside(&directory);
    for (name, bytes) in left.iter().filter(|(name, _)| name.starts_with("wal-")) {
        assert!(aside.contains(bytes), "{name} is not set aside as it was");
    }
    assert_eq!(cluster.view(harmed), cluster.view(leader));
    cluster.serves("after");
    // It stays who it has become.
    let life = cluster.status(harmed)["incarnation"].clone();
    cluster.kill(harmed);
    cluster.run(harmed);
    cluster.serves("again");
    assert_eq!(cluster.status(harmed)["incarnation"], life);
}

pub(super) fn what_is_nobodys_business(certificates: Certificates<'_>) {
    let cluster = Cluster::plan(certificates, &Plan::on_disk(1));
    let directory = cluster.directory(0);
    fs::create_dir_all(directory.join("folder")).expect("made");
    let names =
        ["notes.txt", "wal-1", "WAL-0000000000000001", "snapshot-", "superblock.old", "folder/superblock"];
    for name in names {
        fs::write(directory.join(name), name).expect("written");
    }
    for round in 0..3 {
        cluster.run(0);
        cluster.serves(&format!("round-{round}"));
        cluster.stop(0);
    }
    for name in names {
        assert_eq!(fs::read_to_string(directory.join(name)).expect("still there"), name);
    }
}
