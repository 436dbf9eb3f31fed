//! Futures that are dropped, and drivers that are: no later operation is lost, and nobody waits in vain.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use common::{AGES, Scratch, members, until};
use diskeyval_smol::{
    Address, Command, Doubt, Error, Event, Expect, Member, MemberChange, Node, NodeId, Read, RecoverError,
    Recoverable, Refusal,
};
use smol::{Executor, block_on};

/// A future that is given up after so many polls: `None` if it was not done by then.
struct Polled<F> {
    future: F,
    left: usize,
}

impl<F: Future + Unpin> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match Pin::new(&mut self.future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

type Call<'n> = Pin<Box<dyn Future<Output = ()> + Send + 'n>>;

/// Makes a call again and again, and drops it after no poll, after one, after two, and so on until it comes to its end. After
/// each, `check` must hold.
async fn dropped_everywhere<'n, C: Future<Output = ()>>(
    what: &str,
    mut call: impl FnMut() -> Call<'n>,
    mut check: impl FnMut() -> C,
) {
    for polls in 0.. {
        let done = Polled { future: call(), left: polls }.await.is_some();
        check().await;
        if done {
            return;
        }
        assert!(polls < 1_000, "{what} does not come to an end");
    }
}

#[test]
fn a_call_that_is_dropped_anywhere_loses_no_later_one() {
    block_on(async {
        let mut nodes = Vec::new();
        for (listener, config) in members(3, |config| config) {
            nodes.push(Node::start_on(listener, config).await.expect("it starts"));
        }
        for node in &nodes {
            node.wait_ready(AGES).await.expect("in its seat");
        }
        // One that leads, and one that has to ask it.
        let leader = nodes[0].wait_leader(AGES).await.expect("a leader");
        for node in [true, false].map(|leads| nodes.iter().find(|node| (*node.id() == leader) == leads)) {
            let node = node.expect("there are both");
            let mut serial = 0;
            let mut check = || {
                serial += 1;
                let value = serial.to_string();
                async move {
                    node.set("check", value.clone()).await.expect("committed");
                    let found = node.get("check").await.expect("read");
                    assert_eq!(found.as_deref(), Some(value.as_bytes()));
                }
            };
            macro_rules! dropped {
                ($($call:tt)*) => {
                    dropped_everywhere(
                        stringify!($($call)*),
                        || Box::pin(async { let _ = node.$($call)*.await; }),
                        &mut check,
                    )
                    .await;
                };
            }
            dropped!(set("k", "v"));
            dropped!(delete("k"));
            dropped!(compare_and_set("k", Expect::Absent, "w"));
            dropped!(submit(Command::Delete { key: "k".into() }));
            dropped!(get("k"));
            dropped!(get_with("k", Read::Local));
            dropped!(submit_get("k", Read::Linearizable));
            dropped!(view());
            dropped!(snapshot());
            dropped!(status());
            dropped!(members());
            dropped!(wait_open());
            dropped!(wait_leader(AGES));
            dropped!(wait_ready(AGES));
            dropped!(typed::<u32>().set("typed", &7));
            dropped!(typed::<u32>().get("typed"));
            dropped!(transfer_leadership(None, AGES));
            let n9 = NodeId::new("n9").expect("a good name");
            let newcomer = || Member { node: n9.clone(), address: None };
            let address = || Address::new("127.0.0.1", 1).expect("a good address");
            dropped!(add_learner(newcomer()));
            dropped!(update_address(&n9, address()));
            dropped!(remove(&n9));
            dropped!(submit_change(MemberChange::Remove { node: n9.clone() }));
        }
        for node in &nodes {
            dropped_everywhere("end", || Box::pin(node.end()), || async {}).await;
        }
    });
}

#[test]
fn a_write_that_was_polled_once_takes_its_course() {
    block_on(async {
        let (listener, config) = members(1, |config| config).remove(0);
        let node = Node::start_on(listener, config).await.expect("it starts");
        let mut events = node.events().expect("room for a reader");
        for n in 0..100 {
            let write = Box::pin(node.set(format!("k{n}"), "v"));
            assert!(Polled { future: write, left: usize::from(n % 2 == 0) }.await.is_none() || n % 2 == 0);
        }
        node.set("last", "v").await.expect("committed");
        let mut told = Vec::new();
        while let Some(notice) = events.next_timeout(AGES).await {
            if let Some(change) = notice.change() {
                told.push(change.key.clone());
                if change.key == "last" {
                    break;
                }
            }
        }
        // Those that were polled, and no others. The node has one queue, so they come before the last one.
        assert_eq!(told.len(), 51, "{told:?}");
        assert!(told.iter().all(|key| key == "last" || (key[key.len() - 1] - b'0').is_multiple_of(2)));
        node.end().await;
    });
}

#[test]
fn events_that_were_waited_for_in_vain_are_told_later() {
    block_on(async {
        let (listener, config) = members(1, |config| config).remove(0);
        let node = Node::start_on(listener, config).await.expect("it starts");
        let mut events = node.events().expect("room for a reader");
        for n in 0..50 {
            node.set(format!("k{n}"), "v").await.expect("committed");
            for polls in 0..3 {
                let _ = Polled { future: Box::pin(async {}), left: polls }.await;
            }
        }
        let mut next = 0;
        while next < 50 {
            // Given up before it was polled, and given up when it has waited.
            assert!(Polled { future: Box::pin(events.next()), left: 0 }.await.is_none());
            if let Some(Some(notice)) = (Polled { future: Box::pin(events.next()), left: 1 }).await
                && let Some(Event::Change(change)) = notice.event()
            {
                assert_eq!(change.key, format!("k{next}"));
                next += 1;
            }
        }
        node.end().await;
    });
}

#[test]
fn a_start_that_is_dropped_anywhere_leaves_address_and_directory_free() {
    let scratch = Scratch::new();
    block_on(async {
        let (listener, config) = members(1, |config| config.persist(&scratch.path("n1"))).remove(0);
        drop(listener);
        for polls in 0.. {
            let started = Polled { future: Box::pin(Node::start(config.clone())), left: polls }.await;
            if let Some(node) = started {
                match node {
                    Ok(node) => {
                        node.set("k", "v").await.expect("committed");
                        node.end().await;
                        break;
                    }
                    // The one before was dropped a moment ago, and has not ended yet. It does, or this never ends.
                    Err(error) => assert!(polls < 10_000, "{error}"),
                }
            }
            assert!(polls < 20_000, "a start does not come to an end");
        }
        let dir = scratch.path("n1");
        let open = Polled { future: Box::pin(Recoverable::open(&dir)), left: 1 };
        let _ = open.await;
        // It is read to its end, and let go: an opening waits for half a second.
        let found = Recoverable::open(&dir).await;
        assert!(!matches!(found, Err(RecoverError::Directory(_))), "{found:?}");
    });
}

#[test]
fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    block_on(async {
        // Alone, it can never commit anything.
        let (listener, config) = members(3, |config| config).remove(0);
        let executor = Executor::new();
        let (node, driver) = Node::with_driver_on(listener, config).await.expect("it starts");
        let driven = executor.spawn(driver);
        let mut events = node.events().expect("room for a reader");
        let early = node.submit(Command::Delete { key: "k".into() });
        executor.run(async { node.status().await.expect("it has had a turn") }).await;
        let late = node.submit(Command::Delete { key: "k".into() });
        drop(driven);
        drop(executor);
        assert_eq!(early.await, Err(Error::Unknown(Doubt::Stopped)), "the engine had it");
        assert_eq!(late.await, Err(Error::Refused(Refusal::Stopped)), "the engine had not");
        assert_eq!(node.get("k").await, Err(Error::Refused(Refusal::Stopped)));
        assert_eq!(node.wait_leader(AGES).await, Err(Error::Refused(Refusal::Stopped)));
        while events.next().await.is_some() {}
        node.end().await;
        let refused = std::net::TcpStream::connect(node.local_addr());
        assert!(refused.is_err(), "nobody listens any more");
    });
}

#[test]
fn a_driver_that_was_never_polled_can_be_dropped() {
    block_on(async {
        let (listener, config) = members(1, |config| config).remove(0);
        let (node, driver) = Node::with_driver_on(listener, config).await.expect("it starts");
        let write = node.submit(Command::Delete { key: "k".into() });
        drop(driver);
        assert_eq!(write.await, Err(Error::Refused(Refusal::Stopped)));
        node.end().await;
        until("nobody listens", || std::net::TcpStream::connect(node.local_addr()).is_err()).await;
    });
}

/// The drivers are dropped: no goodbye, no last flush. As if the process had been killed.
#[test]
fn what_was_acknowledged_is_there_after_all_drivers_were_dropped() {
    let scratch = Scratch::new();
    block_on(async {
        let members = members(3, |config| {
            let dir = scratch.path(config.node_id.as_str());
            config.persist(&dir)
        });
        let configs: Vec<_> = members.into_iter().map(|(_, config)| config).collect();
        for life in 0..4 {
            let executor = Executor::new();
            let driven = async {
                let mut nodes = Vec::new();
                for config in &configs {
                    let (node, driver) = Node::with_driver(config.clone()).await.expect("it starts");
                    executor.spawn(driver).detach();
                    node.wait_open().await.expect("it can read what it had kept");
                    nodes.push(node);
                }
                for life in 0..life {
                    let found = nodes[life % 3].get(format!("life-{life}")).await.expect("read");
                    assert_eq!(found.as_deref(), Some(&b"lived"[..]));
                }
                nodes[life % 3].set(format!("life-{life}"), "lived").await.expect("committed");
                nodes
            };
            let nodes = executor.run(driven).await;

            drop(executor);
            for node in &nodes {
                assert_eq!(node.set("k", "v").await, Err(Error::Refused(Refusal::Stopped)));
                node.end().await;
            }
        }
    });
}
