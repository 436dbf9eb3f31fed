//! What those are told who listen.

use std::collections::BTreeMap;

use bytes::Bytes;
use diskeyval_core::host::{Notice, TooManyWatchers};
use diskeyval_core::identity::Identity;
use diskeyval_core::{Change, CloseReason, Command, Event, Expect, Outcome};

use super::super::AGES;
use super::super::calls::{Events, Node};
use super::super::town::{NAMES, Town, end_all, hears, id, knowing, set, until};

/// The next `n` changes, whatever else happens in between.
fn changes(events: &mut Events, n: usize) -> Vec<Change> {
    let mut found = Vec::new();
    while found.len() < n {
        match events.next_timeout(AGES).expect("a change in time") {
            Notice::Event(Event::Change(change)) => found.push(change),
            other => assert!(!matches!(other, Notice::Lagged { .. } | Notice::Resync { .. }), "{other:?}"),
        }
    }
    found
}

pub(super) fn each_change_once_and_in_order(town: &Town<'_>) {
    const WRITES: usize = 300;
    let nodes = town.three();
    nodes[0].set("before", "nobody listens").expect("committed");
    until("all have it", || nodes.iter().all(|node| node.view().is_ok_and(|view| view.len() == 1)));
    let events = |node: &Node| node.events().expect("room for a reader");
    let mut subscriptions: Vec<Events> = nodes.iter().chain(&nodes).map(events).collect();
    // What a handle says to its node keeps its order: once this is answered, every node listens.
    for node in &nodes {
        node.status().expect("it runs");
    }
    let mut expected: BTreeMap<u64, (Bytes, Option<Bytes>)> = BTreeMap::new();
    for round in 0..3 {
        let pending: Vec<_> = (0..WRITES / 3)
            .map(|n| {
                let (key, value) = (Bytes::from(format!("k{}", n % 20)), Bytes::from(format!("{round}-{n}")));
                let command = match n % 7 {
                    6 => Command::Delete { key: key.clone() },
                    _ => Command::Set { key: key.clone(), value: value.clone() },
                };
                (key, value, nodes[n % 3].submit(command))
            })
            .collect();
        // Whatever waits, waits longer, and is told once all the same.
        nodes[round].transfer_leadership(Some(nodes[(round + 1) % 3].id()), AGES).expect("it leads");
        for (key, value, pending) in pending {
            match pending.wait().expect("committed") {
                Outcome::Set { revision } => assert_eq!(expected.insert(revision, (key, Some(value))), None),
                Outcome::Deleted { revision, found: true } => {
                    assert_eq!(expected.insert(revision, (key, None)), None);
                }
                // Nothing has changed.
                _ => {}
            }
        }
    }
    nodes[1].compare_and_set("k1", Expect::Revision(1), "never").map(drop).expect("decided");
    let last = nodes[2].set("last", "").expect("committed").revision;
    expected.insert(last, ("last".into(), Some(Bytes::new())));
    for events in &mut subscriptions {
        let told = changes(events, expected.len());
        let told = told.into_iter().map(|change| (change.revision, (change.key, change.value)));
        assert!(told.eq(expected.clone()), "each once, in the order of revisions");
    }
    end_all(&nodes);
    for mut events in subscriptions {
        assert!(!events.any(|notice| notice.change().is_some()), "nothing is told twice");
    }
}

pub(super) fn too_many_readers(town: &Town<'_>) {
    let mut config = town.config("n1");
    config.limits.max_watchers = 2;
    let node = town.alone(config);
    let (mut first, second) = (node.events().expect("one"), node.events().expect("two"));
    let error = node.events().err().expect("three are too many");
    assert_eq!(error, TooManyWatchers { limit: 2 });
    assert!(error.to_string().contains("maxWatchers"), "{error}");
    // Those that are there have lost nothing by that, and whoever leaves makes room.
    drop(second);
    let mut third = node.events().expect("two");
    let revision = node.set("k", "v").expect("committed").revision;
    assert_eq!(changes(&mut first, 1)[0].revision, revision);
    assert_eq!(changes(&mut third, 1)[0].revision, revision);
    until("it is counted", || node.metrics().watchers_refused == 1);
    node.end();
}

pub(super) fn who_is_too_slow(town: &Town<'_>) {
    const WRITES: usize = 17_000;
    let node = town.alone(town.config("n1"));
    let (mut slow, mut other) =
        (node.events().expect("room for a reader"), node.events().expect("room for a reader"));
    node.status().expect("it listens now");
    let mut revisions = Vec::new();
    while revisions.len() < WRITES {
        let batch: Vec<_> = (0..1000).map(|_| node.submit(set("k", "v"))).collect();
        let first = revisions.len();
        revisions.extend(batch.into_iter().map(|write| write.wait().expect("committed").revision()));
        let told = changes(&mut other, revisions.len() - first);
        assert!(told.iter().map(|change| change.revision).eq(revisions[first..].iter().copied()));
    }
    let mut read = 0;
    let missed = loop {
        match slow.try_next().expect("it has to say what it missed") {
            Notice::Lagged { missed } => break missed,
            notice => {
                // What came about before the writes may be told as well.
                let Some(change) = notice.change() else { continue };
                assert_eq!(change.revision, revisions[read]);
                read += 1;
            }
        }
    };
    assert!(missed > 0 && read + usize::try_from(missed).expect("few") == WRITES, "{read} and {missed}");
    // In its place: what comes next is told next.
    assert_eq!(slow.try_next(), None);
    let next = node.set("k", "w").expect("committed").revision;
    assert_eq!(changes(&mut slow, 1)[0].revision, next);
    node.end();
}

pub(super) fn what_else_is_told(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| town.durable(name));
    let mut events = nodes[0].events().expect("room for a reader");
    nodes[0].status().expect("it listens now");
    nodes[0].transfer_leadership(Some(id("n2")), AGES).expect("it leads");
    nodes[0].transfer_leadership(Some(id("n1")), AGES).expect("it leads");
    let term = nodes[0].status().expect("it runs").term;
    hears(
        &mut events,
        "that it leads",
        |event| matches!(event, Event::Leader { leader: Some(leader), term: reign } if *leader == id("n1") && *reign <= term),
    );
    let port = nodes[2].local_addr().port();
    nodes[2].end();
    let third = Identity::Node(id("n3"));
    hears(
        &mut events,
        "that n3 has said goodbye",
        |event| matches!(event, Event::LinkDown { peer, why: CloseReason::Goodbye(_) } if *peer == third),
    );
    hears(
        &mut events,
        "that n3 is not reached",
        |event| matches!(event, Event::Unreachable { peer, .. } if *peer == id("n3")),
    );
    let told = nodes[..2].iter().fold(town.durable("n3"), knowing).listen("127.0.0.1", port);
    let back = town.start(told);
    hears(
        &mut events,
        "that n3 is there again",
        |event| matches!(event, Event::LinkUp { peer } if *peer == id("n3")),
    );
    back.wait_ready(AGES).expect("in its seat");

    // The end ends them, once all was read.
    let mut unread = nodes[0].events().expect("room for a reader");
    nodes[0].status().expect("it listens now");
    let last = nodes[0].set("k", "v").expect("committed").revision;
    assert!(!unread.is_over());
    nodes[0].end();
    assert!(!unread.is_over(), "there is something to be read");
    assert!(unread.any(|notice| notice.change().is_some_and(|change| change.revision == last)));
    assert_eq!(unread.by_ref().find(|notice| notice.change().is_some()), None);
    assert!(unread.is_over());
    assert_eq!((unread.next(), unread.try_next(), unread.next_timeout(AGES)), (None, None, None));
    let mut late = nodes[0].events().expect("room for a reader");
    assert_eq!((late.next(), late.is_over()), (None, true));
    end_all(&[nodes[1].clone(), back]);
}
