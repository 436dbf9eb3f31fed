//! What is bounded: sizes, what waits, the log, and the time of a call.

use std::time::{Duration, Instant};

use diskeyval_core::{Command, Doubt, Error, Expect, MemberChange, Read, Refusal};

use super::super::AGES;
use super::super::calls::Node;
use super::super::town::{NAMES, Town, end_all, id, refused, set, split, until, value};

pub(super) fn too_large(town: &Town<'_>) {
    let mut config = town.config("n1");
    (config.limits.max_key, config.limits.max_value) = (100, 1000);
    let node = town.alone(config);
    let (key, value) = ("k".repeat(100), "v".repeat(1000));
    node.set(key.clone(), value.clone()).expect("both fit");
    let found = node.get(key.clone()).expect("read").expect("there");
    assert_eq!(found, value);
    let (long_key, long_value) = ("k".repeat(101), "v".repeat(1001));
    let over_key = Refusal::TooLarge { what: "key", size: 101, limit: 100 };
    let over_value = Refusal::TooLarge { what: "value", size: 1001, limit: 1000 };
    assert_eq!(refused(node.set(long_key.clone(), "v")), over_key);
    assert_eq!(refused(node.delete(long_key.clone())), over_key);
    assert_eq!(refused(node.compare_and_set(long_key.clone(), Expect::Absent, "v")), over_key);
    assert_eq!(refused(node.submit(Command::Delete { key: long_key.into() }).wait()), over_key);
    assert_eq!(refused(node.set("k", long_value.clone())), over_value);
    assert_eq!(refused(node.compare_and_set("k", Expect::Absent, long_value.clone())), over_value);
    assert_eq!(refused(node.compare_and_set("k", Expect::Value(long_value.into()), "v")), over_value);
    let error = Error::Refused(over_value);
    assert!(!error.is_retryable() && error.to_string().contains("1001"), "{error}");
    assert_eq!(node.view().expect("it runs").len(), 1);
    node.end();
}

pub(super) fn too_much_at_once(town: &Town<'_>) {
    let nodes = town.found(&["n1", "n2"], |name| {
        let mut config = town.config(name);
        let limits = &mut config.limits;
        (limits.max_key, limits.max_value) = (100, 1000);
        (limits.max_writes, limits.max_reads, limits.max_write_bytes) = (5, 3, 4000);
        config
    });
    // Nothing is decided without the other.
    nodes[1].end();
    let node = &nodes[0];
    let settled = || drop(node.status().expect("what was asked before is taken"));
    let over = |limit| Refusal::Overloaded { limit };
    let mut writes: Vec<_> = (0..3).map(|_| node.submit(set("k", "v".repeat(1000)))).collect();
    settled();
    assert_eq!(refused(node.submit(set("k", "v".repeat(1000))).wait()), over("maxWriteBytes"));
    writes.extend((0..2).map(|_| node.submit(set("k", "v"))));
    settled();
    assert_eq!(refused(node.submit(set("k", "v")).wait()), over("maxWrites"));
    let mut reads: Vec<_> = (0..3).map(|_| node.submit_get("k", Read::Linearizable)).collect();
    settled();
    let why = refused(node.submit_get("k", Read::Linearizable).wait());
    assert_eq!(why, over("maxReads"));
    assert!(Error::Refused(why).is_retryable());
    // Nothing of it was given up for that, and to end is always possible.
    assert!(writes.iter_mut().all(|write| write.try_take().is_none()));
    assert!(reads.iter_mut().all(|read| read.try_take().is_none()));
    node.end();
    for write in writes {
        assert!(matches!(
            write.wait(),
            Err(Error::Refused(Refusal::Stopped) | Error::Unknown(Doubt::Stopped))
        ));
    }
    for read in reads {
        assert_eq!(refused(read.wait()), Refusal::Stopped);
    }
}

pub(super) fn a_full_log(town: &Town<'_>) {
    let mut config = town.config("n1");
    config.limits.log_bytes = 64 << 10;
    let node = town.alone(config);
    let mut full = None;
    until("the log is full", || {
        full = node.set("k", "v".repeat(1000)).err();
        full.is_some()
    });
    let why = Refusal::LogFull { limit: 64 << 10 };
    assert_eq!(full, Some(Error::Refused(why.clone())));
    assert_eq!(value(&node, "k").map(|value| value.len()), Some(1000), "reads go on");
    assert_eq!(refused(node.set("k", "v".repeat(1000))), why);
    assert!(node.metrics().writes_refused >= 2);
    node.snapshot().expect("the log is released");
    node.set("k", "w").expect("there is room again");
    assert_eq!(value(&node, "k").as_deref(), Some("w"));
    node.end();
}

pub(super) fn a_call_uses_its_budget(town: &Town<'_>) {
    let nodes = town.three();
    nodes[0].set("k", "v").expect("committed");
    end_all(&nodes[1..]);
    until("it knows no leader", || nodes[0].leader_id().is_none());
    let budget = Duration::from_millis(150);
    let node = nodes[0].with_timeout(budget);
    let waits = |what: &str, call: &dyn Fn(&Node) -> Refusal| {
        let before = Instant::now();
        let why = call(&node);
        assert!(matches!(&why, Refusal::NoQuorum { why } if why.contains("n2")), "{what}: {why:?}");
        assert!(Error::Refused(why).is_retryable());
        assert!(before.elapsed() >= budget, "{what}: the budget was not used");
        assert!(before.elapsed() < AGES, "{what}: it has used that of the configuration");
    };
    waits("set", &|node| refused(node.set("k", "w")));
    waits("delete", &|node| refused(node.delete("k")));
    waits("compare_and_set", &|node| refused(node.compare_and_set("k", Expect::Absent, "w")));
    waits("submit", &|node| refused(node.submit(set("k", "w")).wait()));
    waits("get", &|node| refused(node.get("k")));
    waits("get_with", &|node| refused(node.get_with("k", Read::Lease)));
    waits("submit_get", &|node| refused(node.submit_get("k", Read::Linearizable).wait()));
    waits("typed", &|node| refused(node.typed_get("k")));
    waits("transfer_leadership", &|node| refused(node.transfer_leadership(Some(id("n1")), budget)));
    waits("wait_leader", &|node| refused(node.wait_leader(budget)));
    waits("reconfigure", &|node| refused(node.reconfigure(vec!["n1".parse().expect("a name")])));
    waits("remove", &|node| refused(node.remove(id("n2"))));
    waits("submit_change", &|node| {
        refused(node.submit_change(MemberChange::Remove { node: id("n2") }).wait())
    });
    // No time at all is some, too.
    assert!(matches!(refused(node.with_timeout(Duration::ZERO).set("k", "w")), Refusal::NoQuorum { .. }));
    // What asks nobody is answered at once, with any budget.
    let node = nodes[0].with_timeout(Duration::MAX);
    assert!(node.get_with("k", Read::Local).expect("it only looks").is_some());
    assert_eq!(node.view().expect("it only looks").len(), 1);
    assert_eq!(node.status().expect("it only looks").leader, None);
    assert_eq!(node.members().expect("it only looks").len(), 3);
    let metrics = node.metrics();
    assert!(metrics.proposal_timeouts >= 4 && metrics.read_barriers_failed >= 3, "{metrics:?}");
    node.end();
}

pub(super) fn what_is_not_known(town: &Town<'_>) {
    let patient = |name: &str| {
        let mut config = town.config(name);
        config.election_timeout = Duration::from_secs(1);
        config
    };
    // A leader learns within an election timeout that the others are gone, and a machine may be slow.
    until("a leader takes writes that it cannot decide", || {
        let (leader, others) = split(town.found(&NAMES, patient));
        leader.set("k", "v").expect("committed");
        end_all(&others);
        let late = leader.with_timeout(Duration::from_millis(100)).set("k", "w");
        let pending = leader.submit(set("k", "x"));
        let change = leader.submit_change(MemberChange::Remove { node: others[0].id() });
        let read = leader.submit_get("k", Read::Linearizable);
        leader.status().expect("it runs");
        leader.end();
        let (write, change) = (pending.wait(), change.wait());
        assert_eq!(refused(read.wait()), Refusal::Stopped, "a read has no effect that could be in doubt");
        for error in [late.as_ref().err(), write.as_ref().err(), change.as_ref().err()] {
            let error = error.expect("nothing is decided without a majority");
            match error {
                Error::Unknown(_) => assert!(!error.is_retryable()),
                Error::Refused(Refusal::NoQuorum { .. } | Refusal::Stopped) => {}
                Error::Refused(other) => panic!("{other:?}"),
            }
        }
        matches!(late, Err(Error::Unknown(Doubt::Deadline { why })) if why.contains(others[0].id().as_str()))
            && write == Err(Error::Unknown(Doubt::Stopped))
            && change == Err(Error::Unknown(Doubt::Stopped))
    });
}
