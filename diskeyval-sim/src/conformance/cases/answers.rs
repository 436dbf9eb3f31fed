//! What is asked of nodes, and what they answer.

use std::thread;
use std::time::Duration;

use diskeyval_core::Outcome;

use crate::conformance::cluster::{BUDGET, Certificates, Cluster, Plan};
use crate::conformance::words::{Ask, Found, Told, Trouble};

pub(super) fn every_node_serves(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    cluster.leader();
    for which in 0..3 {
        let key = format!("k{which}");
        let node = cluster.node(which);
        let revision = cluster.set(which, &key, "first");
        let own = node.ask(Ask::GetLocal { key: key.clone() }, BUDGET);
        assert_eq!(own, Ok(Told::Read(Ok(Some(Found { value: "first".into(), revision })))));

        let write = |ask| match node.ask(ask, BUDGET) {
            Ok(Told::Written(Ok(outcome))) => outcome,
            other => panic!("a write is answered by {other:?}"),
        };
        let absent = write(Ask::SetIfAbsent { key: key.clone(), value: "second".into() });
        assert!(matches!(absent, Outcome::Mismatch { actual, .. } if actual == revision), "{absent:?}");
        let equal = Ask::SetIfValue { key: key.clone(), expect: "first".into(), value: "third".into() };
        let Outcome::Swapped { revision } = write(equal) else { panic!("it had that value") };
        let at = Ask::SetIfRevision { key: key.clone(), expect: revision, value: "fourth".into() };
        assert!(matches!(write(at), Outcome::Swapped { .. }));
        for reader in 0..3 {
            assert_eq!(cluster.value(reader, &key).as_deref(), Some("fourth"));
        }
        let lease = node.ask(Ask::GetByLease { key: key.clone() }, BUDGET);
        assert!(matches!(&lease, Ok(Told::Read(Ok(Some(found)))) if found.value == "fourth"), "{lease:?}");
        assert!(matches!(write(Ask::Delete { key: key.clone() }), Outcome::Deleted { found: true, .. }));
        assert!(matches!(write(Ask::Delete { key: key.clone() }), Outcome::Deleted { found: false, .. }));
        assert_eq!(cluster.value((which + 1) % 3, &key), None);
        // In memory there is nothing to be written: the log is released at once.
        let snapshot = node.ask(Ask::Snapshot, BUDGET);
        assert!(matches!(snapshot, Ok(Told::Snapshot(Ok(_)))), "{snapshot:?}");
    }
    for asked in 0..3 {
        let to = (asked + 1) % 3;
        let ask = Ask::Transfer { to: Some(format!("node-{to}")) };
        let moved = cluster.node(asked).ask(ask, Duration::from_secs(30));
        assert_eq!(moved, Ok(Told::Transferred(Ok(()))));
    }
    cluster.serves("still");
    cluster.wait_until_equal();
}

pub(super) fn each_answer_to_its_request(certificates: Certificates<'_>) {
    const THREADS: usize = 24;
    const EACH: usize = 25;
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    cluster.leader();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let cluster = &cluster;
            scope.spawn(move || {
                let which = thread % 3;
                let mut last = 0;
                for number in 0..EACH {
                    let key = format!("k-{thread}-{number}");
                    let revision = cluster.set(which, &key, &key);
                    assert!(revision > last, "one after the other");
                    last = revision;
                    let found = cluster.get(which, &key).expect("just written");
                    assert_eq!((found.value, found.revision), (key, revision));
                }
            });
        }
    });
    for which in 0..3 {
        assert_eq!(cluster.view(which).len(), THREADS * EACH);
    }
    cluster.wait_until_equal();
}

pub(super) fn large_values(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::in_memory(3));
    let limit = cluster.configs[0].limits.max_value;
    for which in 0..3 {
        let letter = char::from(b'a' + u8::try_from(which).expect("small"));
        for size in [limit, limit - 1, 16 << 10, (16 << 10) + 1, 0] {
            let value = letter.to_string().repeat(size);
            let key = format!("large-{which}-{size}");
            cluster.set(which, &key, &value);
            for reader in 0..3 {
                let found = cluster.value(reader, &key).expect("just written");
                assert!(found == value, "{} bytes of {size} come back, or others", found.len());
            }
        }
        let ask = Ask::Set { key: "too large".into(), value: "x".repeat(limit + 1) };
        let refused = cluster.node(which).ask(ask, BUDGET);
        assert!(matches!(refused, Ok(Told::Written(Err(Trouble::Refused(_))))), "{refused:?}");
    }
    cluster.wait_until_equal();
}

pub(super) fn a_quorum_is_lost(certificates: Certificates<'_>) {
    let cluster = Cluster::start(certificates, &Plan::on_disk(3));
    let (leader, others) = cluster.split();
    cluster.set(leader, "before", "1");
    for &other in &others {
        cluster.kill(other);
    }
    // Nothing arrives any more that could wake the node: it has to wake by itself, when the engine wants to.
    let node = cluster.node(leader);
    let short = Duration::from_millis(300);
    let write = node.ask(Ask::Set { key: "alone".into(), value: "1".into() }, short);
    assert!(matches!(write, Ok(Told::Written(Err(_)))), "{write:?}");
    let read = node.ask(Ask::Get { key: "before".into() }, short);
    assert!(matches!(read, Ok(Told::Read(Err(Trouble::Refused(_))))), "{read:?}");
    let local = node.ask(Ask::GetLocal { key: "before".into() }, short);
    assert!(matches!(&local, Ok(Told::Read(Ok(Some(found)))) if found.value == "1"), "{local:?}");
    for &other in &others {
        cluster.run(other);
    }
    cluster.serves("after");
    assert_eq!(cluster.value(others[0], "before").as_deref(), Some("1"));
    if matches!(write, Ok(Told::Written(Err(Trouble::Refused(_))))) {
        assert_eq!(cluster.value(leader, "alone"), None, "it was refused");
    }
}
