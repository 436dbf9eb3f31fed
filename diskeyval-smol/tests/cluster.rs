//! Whole clusters in one process: real sockets, real certificates, real time.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use diskeyval_smol::{
    Change, Cluster, Command, Doubt, Error, Event, Events, Expect, Hindrance, Node, NodeId, Notice, Read,
    Refusal, Swap,
};
use smol::{block_on, unblock};

/// How long anything may take on a busy machine. No test waits for it to pass.
const AGES: Duration = Duration::from_secs(60);

async fn cluster(n: usize) -> Cluster {
    let cluster = Cluster::dev_with(n, |mut config| {
        config.proposal_timeout = AGES;
        config
    });
    let cluster = cluster.await.expect("a cluster");
    for node in cluster.nodes() {
        node.wait_ready(AGES).await.expect("in its seat");
    }
    cluster
}

fn set(key: impl Into<String>, value: impl Into<String>) -> Command {
    Command::Set { key: key.into().into(), value: value.into().into() }
}

/// The next `n` changes, whatever else happens in between.
async fn changes(events: &mut Events, n: usize) -> Vec<Change> {
    let mut found = Vec::new();
    while found.len() < n {
        match events.next_timeout(AGES).await.expect("a change in time") {
            Notice::Event(Event::Change(change)) => found.push(change),
            Notice::Lagged { missed } => panic!("{missed} events missed"),
            _ => {}
        }
    }
    found
}

#[test]
fn what_one_node_writes_every_node_reads() {
    block_on(async {
        let cluster = cluster(3).await;
        for (number, writer) in cluster.nodes().iter().enumerate() {
            let key = format!("key-{number}");
            let commit = writer.set(key.clone(), "value").await.expect("committed");
            let own = writer.get_with(key.clone(), Read::Local).await.expect("read").expect("there");
            assert_eq!(own.revision, commit.revision, "a local read sees one's own write");
            for reader in cluster.nodes() {
                assert_eq!(reader.get(key.clone()).await.expect("read").as_deref(), Some(&b"value"[..]));
            }
        }
        assert_eq!(cluster.node(0).get("absent").await.expect("read"), None);
        let view = cluster.node(1).view().await.expect("it runs");
        assert!(view.get(b"key-1").is_some());
        assert!(cluster.node(2).metrics() != Default::default());
        cluster.end().await;
    });
}

#[test]
fn compare_and_set_and_delete_say_what_they_found() {
    block_on(async {
        let cluster = cluster(3).await;
        let (a, b) = (cluster.node(0), cluster.node(1));
        let swap = a.compare_and_set("k", Expect::Absent, "1").await.expect("decided");
        let Swap::Swapped { revision } = swap else { panic!("it was absent") };
        let again = b.compare_and_set("k", Expect::Absent, "2").await.expect("decided");
        assert!(
            matches!(again, Swap::Mismatch { actual: Some(actual), .. } if actual == revision),
            "{again:?}"
        );
        assert!(b.compare_and_set("k", Expect::Revision(revision), "2").await.expect("decided").swapped());
        assert!(a.compare_and_set("k", Expect::Value("2".into()), "3").await.expect("decided").swapped());
        assert!(a.delete("k").await.expect("decided").found);
        assert!(!b.delete("k").await.expect("decided").found);
        cluster.end().await;
    });
}

#[test]
fn typed_values_come_back_as_they_were() {
    block_on(async {
        let cluster = cluster(1).await;
        let typed = cluster.node(0).typed::<(u32, String)>();
        let value = (7, "seven".to_string());
        typed.set("k", &value).await.expect("committed");
        assert_eq!(typed.get("k").await.expect("read"), Some(value.clone()));
        let swap = typed.compare_and_set("k", Some(&value), &(8, "eight".into())).await;
        assert!(swap.expect("decided").swapped());
        cluster.node(0).set("k", "\u{1}\u{1}x, and more than belongs to it").await.expect("committed");
        assert!(matches!(typed.get("k").await, Err(Error::Refused(Refusal::Codec { .. }))));
        assert!(typed.delete("k").await.expect("committed").found);
        cluster.end().await;
    });
}

#[test]
fn every_node_tells_of_every_update_once_and_in_order() {
    block_on(async {
        let cluster = cluster(3).await;
        let mut subscriptions: Vec<_> = cluster.nodes().iter().map(Node::events).collect();
        // What a handle says to its node keeps its order: once this is answered, every node listens.
        for node in cluster.nodes() {
            node.status().await.expect("it runs");
        }
        let writes = 300;
        let pending: Vec<_> =
            (0..writes).map(|n| cluster.node(n % 3).submit(set(format!("k{n}"), format!("v{n}")))).collect();
        let mut revisions = BTreeSet::new();
        for pending in pending {
            revisions.insert(pending.await.expect("committed").revision());
        }
        assert_eq!(revisions.len(), writes);
        for events in &mut subscriptions {
            let told = changes(events, writes).await;
            let order = told.iter().map(|change| change.revision);
            assert!(order.eq(revisions.iter().copied()), "each once, in the order of revisions");
        }
        cluster.end().await;
        for mut events in subscriptions {
            while let Some(notice) = events.next().await {
                assert!(notice.change().is_none(), "nothing is told twice");
            }
        }
    });
}

#[test]
fn large_values_cross_in_both_directions_at_once() {
    block_on(async {
        let cluster = cluster(3).await;
        let value = |node: usize| vec![b'a' + u8::try_from(node).expect("few"); 900 << 10];
        let pending: Vec<_> = (0..12)
            .map(|n| {
                let command = Command::Set { key: format!("k{n}").into(), value: value(n % 3).into() };
                cluster.node(n % 3).submit(command)
            })
            .collect();
        for pending in pending {
            pending.await.expect("committed");
        }
        for n in 0..12 {
            let found = cluster.node((n + 1) % 3).get(format!("k{n}")).await.expect("read");
            assert!(found.is_some_and(|found| found == value(n % 3)), "k{n}");
        }
        cluster.end().await;
    });
}

#[test]
fn the_others_go_on_when_the_leader_ends() {
    block_on(async {
        let cluster = cluster(3).await;
        let leader = cluster.leader(AGES).await.expect("a leader");
        leader.set("k", "before").await.expect("committed");
        leader.end().await;
        assert!(!leader.is_leader());
        assert_eq!(leader.set("k", "too late").await, Err(Error::Refused(Refusal::Stopped)));
        let other = cluster.nodes().iter().find(|node| node.id() != leader.id()).expect("two are left");
        assert_eq!(other.get("k").await.expect("read").as_deref(), Some(&b"before"[..]));
        other.set("k", "after").await.expect("committed");
        cluster.end().await;
    });
}

#[test]
fn leadership_goes_where_it_is_wanted() {
    block_on(async {
        let cluster = cluster(3).await;
        let leader = cluster.leader(AGES).await.expect("a leader");
        let wanted = cluster.nodes().iter().find(|node| node.id() != leader.id()).expect("two others");
        leader.transfer_leadership(Some(wanted.id()), AGES).await.expect("it leads");
        assert_eq!(leader.leader_id().as_ref(), Some(wanted.id()));
        let stranger = NodeId::new("nobody").expect("a good name");
        let refused = leader.transfer_leadership(Some(&stranger), AGES).await;
        let Err(Error::Refused(Refusal::NotTransferred { why })) = &refused else { panic!("{refused:?}") };
        assert!(matches!(why, Hindrance::NotAMember { .. }), "{why:?}");
        cluster.end().await;
    });
}

#[test]
fn members_are_told_and_one_that_goes_is_none_any_more() {
    block_on(async {
        let cluster = cluster(3).await;
        let leader = cluster.leader(AGES).await.expect("a leader");
        let gone = cluster.nodes().iter().find(|node| node.id() != leader.id()).expect("two others");
        leader.remove(gone.id()).await.expect("removed");
        let members = leader.members().await.expect("it runs");
        assert_eq!(members.len(), 2);
        assert!(members.iter().all(|member| member.node_id != *gone.id()));
        leader.set("k", "v").await.expect("committed by two");
        cluster.end().await;
    });
}

#[test]
fn ending_twice_and_at_once_does_no_harm() {
    block_on(async {
        let cluster = cluster(1).await;
        let node = cluster.node(0);
        futures_lite::future::zip(node.end(), futures_lite::future::zip(node.end(), node.end())).await;
        node.end().await;
        assert!(matches!(node.get("k").await, Err(Error::Refused(Refusal::Stopped))));
        assert!(matches!(node.status().await, Err(Error::Refused(Refusal::Stopped))));
        assert!(matches!(node.wait_leader(AGES).await, Err(Error::Refused(Refusal::Stopped))));
        assert_eq!(node.events().next().await, None);
    });
}

/// No majority, no answer: what is pending when the node ends must say whether it may have happened.
#[test]
fn what_is_pending_at_the_end_ends_honestly() {
    block_on(async {
        let cluster = cluster(3).await;
        let node = cluster.node(0);
        cluster.node(1).end().await;
        cluster.node(2).end().await;
        let write = node.submit(set("k", "v"));
        let read = node.submit_get("k", Read::Linearizable);
        node.end().await;
        let write = write.await;
        assert!(
            matches!(write, Err(Error::Refused(Refusal::Stopped) | Error::Unknown(Doubt::Stopped))),
            "{write:?}"
        );
        let read = read.await;
        assert!(matches!(read, Err(Error::Refused(Refusal::Stopped))), "{read:?}");
    });
}

#[test]
fn dropping_the_last_handle_ends_the_node() {
    block_on(async {
        let cluster = cluster(1).await;
        let address = cluster.node(0).local_addr();
        let mut events = cluster.node(0).events();
        drop(cluster);
        // The stream holds no handle, and ends when the node has.
        while events.next().await.is_some() {}
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    });
}

#[test]
fn without_a_quorum_a_call_uses_its_budget_and_says_so() {
    block_on(async {
        let cluster = cluster(3).await;
        let node = cluster.node(0);
        cluster.node(1).end().await;
        cluster.node(2).end().await;
        let budget = Duration::from_millis(300);
        let before = Instant::now();
        let write = node.with_timeout(budget).set("k", "v").await;
        assert!(
            matches!(
                write,
                Err(Error::Refused(Refusal::NoQuorum { .. }) | Error::Unknown(Doubt::Deadline { .. }))
            ),
            "{write:?}"
        );
        assert!(before.elapsed() >= budget, "the budget was not used");
        let read = node.with_timeout(budget).get("k").await;
        assert!(matches!(read, Err(Error::Refused(Refusal::NoQuorum { .. }))), "{read:?}");
        cluster.end().await;
    });
}

#[test]
fn strangers_at_the_door_disturb_nobody() {
    block_on(async {
        let cluster = cluster(3).await;
        let mut strangers = Vec::new();
        for node in cluster.nodes() {
            strangers.push(TcpStream::connect(node.local_addr()).expect("connected"));
            let mut loud = TcpStream::connect(node.local_addr()).expect("connected");
            loud.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it fits");
            strangers.push(loud);
        }
        for node in cluster.nodes() {
            node.set("k", "v").await.expect("committed");
            assert_eq!(node.get("k").await.expect("read").as_deref(), Some(&b"v"[..]));
        }
        for mut stranger in strangers {
            // An alert, a close or a reset: it is over in any case.
            let read = unblock(move || {
                stranger.set_read_timeout(Some(AGES))?;
                stranger.read_to_end(&mut Vec::new())
            });
            let error = read.await.err();
            assert!(error.is_none_or(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
        }
        cluster.end().await;
    });
}
