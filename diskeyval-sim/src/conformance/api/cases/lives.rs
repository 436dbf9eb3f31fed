//! Directories, from one life of a node to the next.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use diskeyval_core::host::{Notice, RecoverError, StartError};
use diskeyval_core::storage::NoRecovery;
use diskeyval_core::{Error, Fault, MemberChange, Part, Read, Refusal, Standing};

use super::super::AGES;
use super::super::calls::Node;
use super::super::town::{
    NAMES, Town, at, end_all, id, knowing, part, peer, refused, standing, until, value,
};

/// W8: the npm package told old writes again after a restart.
pub(super) fn restarted_as_a_whole(town: &Town<'_>) {
    const WRITES: usize = 100;
    let first = town.found(&NAMES, |name| town.durable(name));
    let ports = [0, 1, 2].map(|which: usize| first[which].local_addr().port());
    let mut last = 0;
    for number in 0..WRITES {
        let commit = first[number % 3].set(format!("k{}", number % 50), format!("v{number}"));
        last = commit.expect("committed").revision;
    }
    assert!(first[1].snapshot().expect("durable") > 50);
    first[0].delete("k49").expect("committed");
    let before = first[0].view().expect("it runs");
    let lives: Vec<_> = first.iter().map(|node| node.status().expect("it runs").incarnation).collect();
    end_all(&first);

    let again = |which: usize| {
        let others = (0..3).filter(|other| *other != which);
        let config =
            others.fold(town.durable(NAMES[which]), |config, other| peer(config, NAMES[other], ports[other]));
        town.start(config.listen("127.0.0.1", ports[which]))
    };
    let second = [0, 1, 2].map(again);
    let mut streams = second.each_ref().map(|node| node.events().expect("room for a reader"));
    for (node, life) in second.iter().zip(lives) {
        node.wait_ready(AGES).expect("it is in its seat");
        assert_eq!(node.status().expect("it runs").incarnation, life);
        for (key, versioned) in before.iter() {
            let found = node.get_with(key.clone(), Read::Linearizable).expect("read");
            assert_eq!(found.as_ref(), Some(versioned), "{key:?}");
        }
        assert_eq!(node.get("k49"), Ok(None));
        assert_eq!(node.view().expect("it runs").len(), before.len());
    }
    let new = second[1].set("new", "one").expect("committed").revision;
    assert!(new > last);
    for events in &mut streams {
        let mut resyncs = 0;
        loop {
            match events.next_timeout(AGES).expect("the new write is told") {
                Notice::Resync { .. } => resyncs += 1,
                notice => {
                    let Some(change) = notice.change() else { continue };
                    assert_eq!(
                        (change.key.as_ref(), change.revision),
                        (&b"new"[..], new),
                        "nothing old is told"
                    );
                    break;
                }
            }
        }
        assert!(resyncs <= 1, "{resyncs}");
    }
    end_all(&second);
}

/// W5: in the npm package the members after a restart were those of the options, until the log had been replayed.
pub(super) fn the_members_of_the_log(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| town.durable(name));
    let n4 = town.start(town.durable_joiner("n4", &nodes[0]));
    nodes[0].add_learner(at(&n4)).expect("announced");
    n4.promote(id("n4")).expect("promoted");
    nodes[0].remove(id("n3")).expect("removed");
    until("it knows it", || !nodes[2].ready());
    nodes[2].end();
    nodes[0].end();
    // Its options name n3, and not n4.
    let options = peer(town.durable("n1"), "n2", nodes[1].local_addr().port());
    let n1 = town.start(peer(options, "n3", 1));
    n1.wait_ready(AGES).expect("in its seat");
    let parts = ["n1", "n2", "n3", "n4"].map(|name| part(&n1, name));
    assert_eq!(parts, [Some(Part::Voter), Some(Part::Voter), None, Some(Part::Voter)]);
    end_all(&[n1, nodes[1].clone(), n4]);
}

/// All files of a directory, by name.
fn contents(dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

pub(super) fn a_damaged_file(town: &Town<'_>) {
    let node = town.alone(town.durable("n1"));
    for number in 0..20 {
        node.set(format!("k{number}"), "v".repeat(1000)).expect("committed");
    }
    node.end();
    // The log, in the middle of what was written.
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wal-"));
    let (path, mut bytes) =
        contents(&town.dir("n1")).into_iter().find(|(path, _)| is_log(path)).expect("a log");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("it was written to");
    bytes[end / 2 / 4096 * 4096 + 100] ^= 255;
    fs::write(&path, bytes).expect("written");
    let name = path.file_name().expect("it has one").to_str().expect("text").to_owned();

    let node = town.start(town.durable("n1"));
    let is_named = |why: &str| why.contains(&name);
    assert!(matches!(standing(&node), Standing::Damaged(why) if is_named(&why)));
    let soon = node.with_timeout(Duration::from_millis(100));
    for why in
        [refused(soon.set("k", "v")), refused(soon.get("k1")), refused(soon.get_with("k1", Read::Local))]
    {
        assert!(matches!(&why, Refusal::Damaged(damage) if is_named(&damage.to_string())), "{why:?}");
    }
    assert!(!node.ready() && node.fault().is_none());
    let why = refused(soon.wait_ready(Duration::ZERO));
    assert!(matches!(&why, Refusal::NotAdmitted { why } if is_named(why)), "{why:?}");

    // Nobody can take it in again, so somebody has to decide.
    let done = node.recover(AGES).expect("it goes on from what can be verified");
    assert!(done.node == id("n1") && !done.left_out.is_empty() && done.seen >= done.kept, "{done:?}");
    node.wait_ready(AGES).expect("it serves");
    assert!(value(&node, "k0").is_some() && value(&node, "k19").is_none());
    node.set("k19", "again").expect("committed");
    node.end();
    assert!(
        contents(&town.dir("n1")).keys().any(|path| path.to_string_lossy().ends_with(&format!("-{name}")))
    );
}

pub(super) fn another_life_in_its_seat(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| town.durable(name));
    nodes[0].set("k", "v").expect("committed");
    nodes[2].end();
    fs::rename(town.dir("n3"), town.dir("former")).expect("moved");
    let told = || nodes[..2].iter().fold(town.config("n3"), knowing);
    let anew = town.start(told().persist(&town.dir("n3")));
    anew.wait_ready(AGES).expect("it is taken in");
    assert_eq!(value(&anew, "k").as_deref(), Some("v"));

    anew.end();
    let former = town.start(told().persist(&town.dir("former")));
    let mut events = former.events().expect("room for a reader");
    until("it halts", || former.fault() == Some(Fault::Superseded));
    let halted = Refusal::Halted(Fault::Superseded);
    assert_eq!(refused(former.set("k", "w")), halted);
    assert_eq!(refused(former.get_with("k", Read::Local)), halted);
    assert_eq!(refused(former.status()), halted);
    assert_eq!(refused(former.wait_leader(AGES)), halted);
    assert_eq!(refused(former.wait_ready(AGES)), halted);
    assert!(!former.ready() && !former.is_leader());
    assert!(Error::Refused(halted).to_string().contains("stop the other process"));
    while events.next().is_some() {}
    assert!(events.is_over());
    former.end();
    let anew = town.start(told().persist(&town.dir("n3")));
    anew.wait_ready(AGES).expect("in its seat");
    end_all(&[anew, nodes[0].clone(), nodes[1].clone()]);
}

fn nothing_to_recover(node: &Node) -> String {
    match refused(node.recover(AGES)) {
        Refusal::NothingToRecover { why } => why,
        other => panic!("it has a reason: {other:?}"),
    }
}

pub(super) fn a_quorum_lost_for_good(town: &Town<'_>) {
    let nodes = town.three();
    let survivor = &nodes[0];
    survivor.set("k", "v").expect("committed");
    nodes[1].wait_leader(AGES).expect("a leader");
    assert!(nothing_to_recover(&nodes[1]).contains("leads"));
    let joiner = town.start(town.joiner("n4", survivor));
    assert!(nothing_to_recover(&joiner).contains("holds nothing"));
    joiner.end();

    let mut events = survivor.events().expect("room for a reader");
    survivor.status().expect("it listens now");
    end_all(&nodes[1..]);
    until("it knows no leader", || survivor.leader_id().is_none());
    let change = survivor.submit_change(MemberChange::Remove { node: id("n2") });
    let former = survivor.status().expect("it runs").cluster_id;
    let done = survivor.recover(AGES).expect("it goes on alone");
    assert_eq!((&done.node, Some(done.former)), (&id("n1"), former));
    assert!(done.kept >= done.committed && done.left_out.is_empty(), "{done:?}");
    let why = refused(change.wait());
    assert!(matches!(&why, Refusal::NoQuorum { why } if why.contains("goes on alone")), "{why:?}");
    survivor.wait_ready(AGES).expect("it serves");
    assert_eq!(survivor.status().expect("it runs").cluster_id, Some(done.cluster));
    assert_eq!(value(survivor, "k").as_deref(), Some("v"));
    assert!(survivor.set("k", "alone").expect("committed").revision > done.revision);
    let mut told = None;
    until("it is told to look at the state anew", || {
        told = told.take().or_else(|| match events.next_timeout(AGES) {
            Some(Notice::Resync { revision }) => Some(revision),
            _ => None,
        });
        told.is_some()
    });
    assert_eq!(told, Some(done.revision));
    assert!(nothing_to_recover(survivor).contains("only voter"));

    // Others are taken in as in any cluster.
    let n4 = town.start(town.joiner("n4", survivor));
    survivor.add_learner(at(&n4)).expect("announced");
    n4.wait_ready(AGES).expect("taken in");
    assert_eq!(value(&n4, "k").as_deref(), Some("alone"));
    end_all(&[n4, survivor.clone()]);
}

pub(super) fn a_directory_that_is_left(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| town.durable(name));
    for number in 0..10 {
        nodes[0].set(format!("k{number}"), "v").expect("committed");
    }
    let revision = nodes[0].get_with("k9", Read::Local).expect("read").expect("its own write").revision;
    let dir = town.dir("n1");
    let used = town.recoverable(&dir).map(|_| ()).expect_err("a node is at work there");
    assert!(matches!(used, RecoverError::Directory(StartError::DirectoryInUse { .. })), "{used:?}");
    end_all(&nodes);

    // Who only asks changes nothing.
    let before = contents(&dir);
    let found = town.recoverable(&dir).expect("it can go on");
    assert_eq!(found.report().node, id("n1"));
    assert!(found.report().kept.0 >= revision && found.report().left_out.is_empty(), "{:?}", found.report());
    let held = town.refusal(town.durable("n1"));
    assert!(matches!(held, StartError::DirectoryInUse { .. }), "{held:?}");
    drop(found);
    assert_eq!(contents(&dir), before);

    let done = town.recoverable(&dir).expect("it is free").accept_data_loss().expect("done");
    let aside = contents(&dir).keys().filter(|path| path.to_string_lossy().contains(&done.prefix)).count();
    assert!(aside > 0 && aside == done.set_aside, "{aside}: {done:?}");
    let alone = town.alone(town.durable("n1"));
    assert_eq!(value(&alone, "k9").as_deref(), Some("v"));
    assert_eq!(alone.status().expect("it runs").cluster_id, Some(done.report.cluster));
    assert!(alone.set("k", "alone").expect("it leads alone").revision > done.report.revision);
    alone.end();

    let again = town.recoverable(&dir).map(|_| ()).expect_err("it was done");
    let is_alone = |why: &str| why.contains("only voter");
    assert!(
        matches!(&again, RecoverError::Recovery(NoRecovery::Nothing { why, .. }) if is_alone(why)),
        "{again:?}"
    );
    let nowhere = town.dir("nowhere");
    let missing = town.recoverable(&nowhere).map(|_| ()).expect_err("there is none");
    assert!(matches!(missing, RecoverError::Directory(StartError::Directory { .. })), "{missing:?}");
    assert!(!town.is_there("nowhere"));
    fs::create_dir(&nowhere).expect("made");
    let empty = town.recoverable(&nowhere).map(|_| ()).expect_err("there is nothing");
    assert!(matches!(&empty, RecoverError::Recovery(NoRecovery::Nothing { .. })), "{empty:?}");
}
