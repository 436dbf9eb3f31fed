//! What calls answer when all is well.

use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::host::Swap;
use diskeyval_core::{Command, Expect, MemberChange, Outcome, Read, Refusal};

use super::super::AGES;
use super::super::calls::{Node, Parcel};
use super::super::town::{NAMES, Town, end_all, id, knowing, leader, refused, set, until, value};

pub(super) fn every_kind_of_write(town: &Town<'_>) {
    let nodes = town.three();
    let mut last = 0;
    let mut grows = |revision: u64| {
        assert!(revision > last, "{revision} behind {last}");
        last = revision;
        revision
    };
    for (which, node) in nodes.iter().enumerate() {
        let other = &nodes[(which + 1) % 3];
        let key = Bytes::from(format!("k{which}"));
        let swap = |node: &Node, expect: Expect, value: &'static str| {
            node.compare_and_set(key.clone(), expect, value).expect("decided")
        };
        let Swap::Swapped { revision } = swap(node, Expect::Absent, "1") else { panic!("it was absent") };
        grows(revision);
        let Swap::Mismatch { revision: found_at, actual } = swap(other, Expect::Absent, "2") else {
            panic!("it is there")
        };
        assert_eq!(actual, Some(revision));
        grows(found_at);
        let Swap::Swapped { revision } = swap(other, Expect::Revision(revision), "2") else {
            panic!("it has this revision")
        };
        grows(revision);
        let Swap::Swapped { revision } = swap(node, Expect::Value("2".into()), "3") else {
            panic!("it has this value")
        };
        grows(revision);
        assert!(!swap(node, Expect::Value("2".into()), "4").swapped());
        let set = grows(other.set(key.clone(), "5").expect("committed").revision);
        let own = other
            .get_with(key.clone(), Read::Local)
            .expect("read")
            .expect("a local read sees one's own write");
        assert_eq!((&own.value[..], own.revision), (&b"5"[..], set));
        let gone = node.delete(key.clone()).expect("decided");
        assert!(gone.found && gone.revision > set);
        assert!(!other.delete(key.clone()).expect("decided").found);
        assert!(matches!(swap(node, Expect::Revision(set), "6"), Swap::Mismatch { actual: None, .. }));
    }
    // Handed over, a command tells the same.
    let outcome = |command| nodes[0].submit(command).wait().expect("decided");
    assert!(matches!(outcome(set("k", "v")), Outcome::Set { .. }));
    assert!(matches!(outcome(Command::Delete { key: "k".into() }), Outcome::Deleted { found: true, .. }));
    let absent = Command::CompareAndSet { key: "k".into(), expect: Expect::Revision(1), value: "v".into() };
    assert!(matches!(outcome(absent), Outcome::Mismatch { actual: 0, .. }));
    end_all(&nodes);
}

pub(super) fn every_kind_of_read(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| {
        let mut config = town.config(name);
        config.max_clock_drift = Some(100);
        config
    });
    let revision = nodes[0].set("k", "v").expect("committed").revision;
    for node in &nodes {
        for read in [Read::Linearizable, Read::Lease] {
            let found = node.get_with("k", read).expect("read").expect("there");
            assert_eq!((&found.value[..], found.revision), (&b"v"[..], revision));
            assert_eq!(node.get_with("absent", read), Ok(None));
            let later = node.submit_get("k", read).wait().expect("read").expect("there");
            assert_eq!(later, found);
        }
        // It has read linearizably, so it has applied it.
        assert_eq!(
            node.get_with("k", Read::Local).expect("read").map(|found| found.revision),
            Some(revision)
        );
        assert_eq!(value(node, "k").as_deref(), Some("v"));
        let view = node.view().expect("it runs");
        assert_eq!(view.get(b"k").map(|found| found.revision), Some(revision));
        let status = node.status().expect("it runs");
        assert_eq!((status.keys, status.leader), (1, node.leader_id()));
        assert!(status.last_applied.0 >= revision && node.metrics().commits_applied >= 1);
    }
    let view = nodes[1].view().expect("it runs");
    nodes[1].set("k", "w").expect("committed");
    assert_eq!(view.get(b"k").map(|found| &found.value[..]), Some(&b"v"[..]), "a view is frozen");
    assert_eq!(nodes[1].view().expect("it runs").len(), 1);
    let kept = nodes[1].snapshot().expect("its log is released");
    assert!(kept > revision, "{kept}");
    until("a lease answers without a round", || {
        let node = &nodes[leader(&nodes)];
        node.get_with("k", Read::Lease).expect("read");
        node.metrics().lease_reads > 0
    });
    end_all(&nodes);
}

pub(super) fn typed_values(town: &Town<'_>) {
    let node = town.alone(town.config("n1"));
    let parcel = |number, word: &str| Parcel { number, word: word.into(), is_broken: false };
    let (seven, eight) = (parcel(7, "seven"), parcel(8, "eight"));
    assert_eq!(node.typed_get("k"), Ok(None));
    node.typed_set("k", seven.clone()).expect("committed");
    assert_eq!(node.typed_get("k"), Ok(Some(seven.clone())));
    assert!(node.typed_swap("k", Some(seven.clone()), eight.clone()).expect("decided").swapped());
    assert!(!node.typed_swap("k", Some(seven.clone()), eight.clone()).expect("decided").swapped());
    assert!(!node.typed_swap("k", None::<Parcel>, seven.clone()).expect("decided").swapped());
    assert_eq!(node.typed_get_with("k", Read::Local), Ok(Some(eight.clone())));
    assert!(node.typed_delete("k").expect("committed").found);
    assert!(node.typed_swap("k", None::<Parcel>, seven.clone()).expect("decided").swapped());

    let broken = Parcel { is_broken: true, ..seven.clone() };
    let before = node.status().expect("it runs").last_index;
    for why in [
        refused(node.typed_set("k", broken.clone())),
        refused(node.typed_swap("k", Some(broken.clone()), seven.clone())),
        refused(node.typed_swap("k", Some(seven.clone()), broken)),
    ] {
        assert!(matches!(&why, Refusal::Codec { why } if !why.is_empty()), "{why:?}");
    }
    assert_eq!(node.status().expect("it runs").last_index, before, "nothing was written");
    assert_eq!(node.typed_get("k"), Ok(Some(seven)));
    for other in ["", "\u{1}", "\u{1}\u{1}x\0, and more than belongs to it"] {
        node.set("k", other).expect("committed");
        assert!(matches!(refused(node.typed_get("k")), Refusal::Codec { .. }), "{other:?}");
        assert!(matches!(refused(node.typed_get_with("k", Read::Local)), Refusal::Codec { .. }), "{other:?}");
    }
    node.end();
}

pub(super) fn an_answer_on_its_way(town: &Town<'_>) {
    let nodes = town.found(&["n1", "n2"], |name| town.durable(name));
    let (one, other) = (&nodes[0], &nodes[1]);
    // Without the other nothing is decided.
    let address = other.local_addr();
    other.end();
    let mut write = one.submit(set("k", "v"));
    assert_eq!(write.try_take(), None);
    assert_eq!(write.wait_timeout(Duration::ZERO), None);
    assert_eq!(write.wait_timeout(Duration::from_millis(50)), None);
    drop(one.submit(set("dropped", "v")));
    let read = one.submit_get("k", Read::Linearizable);
    let listed = knowing(town.durable("n2"), one);
    let back = town.start(listed.listen("127.0.0.1", address.port()));
    let mut write = Some(write);
    until("it is decided", || {
        let outcome = write.as_mut().expect("not yet taken").wait_timeout(Duration::from_millis(20));
        outcome.is_some_and(|outcome| {
            outcome.expect("committed");
            true
        })
    });
    let mut write = write.take().expect("still here");
    assert_eq!((write.try_take(), write.wait_timeout(Duration::ZERO)), (None, None), "it is given out once");
    read.wait().expect("read");
    until("what was dropped is withdrawn by nobody", || value(one, "dropped").is_some());

    let mut write = back.submit(set("k", "w"));
    assert!(write.wait_timeout(Duration::MAX).expect("a span without an end").is_ok());
    let mut write = back.submit(set("k", "x"));
    until("it can be looked after", || write.try_take().is_some_and(|outcome| outcome.is_ok()));
    let mut change = back.submit_change(MemberChange::Remove { node: id("n9") });
    assert!(change.wait_timeout(AGES).expect("it comes").is_ok(), "who is no member need not go");
    end_all(&[back, one.clone()]);
}
