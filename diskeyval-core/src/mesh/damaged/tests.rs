//! A link of which one end is damaged.

use alloc::string::ToString;

use super::super::tests::{carry, connect, end, id};
use super::super::{Delivery, Heard, Service};
use super::*;
use crate::id::{Index, Term};
use crate::mesh::tests::End;
use crate::raft::Pledge;

fn offer() -> Outgoing {
    Outgoing::Directive(Directive::Offer { term: Term(3) }, Vec::new())
}

fn commit() -> Outgoing {
    Outgoing::Directive(Directive::Commit { term: Term(3), commit: Index(1) }, Vec::new())
}

/// A link between `a` and `b`, of whom `b` is damaged.
fn linked(cluster: Option<ClusterId>) -> (End, End) {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    b.mesh.speak_as_damaged(Incarnation(2), cluster);
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    (a, b)
}

fn heard(end: &End) -> (bool, Option<&str>, Heard) {
    let peer = end.mesh.peers().next().expect("one peer");
    (peer.linked, peer.trouble, peer.heard)
}

#[test]
fn who_is_damaged_is_met_and_takes_no_part() {
    let (mut a, b) = linked(Some(ClusterId(7)));
    let deliveries: Vec<Delivery> = core::iter::from_fn(|| a.mesh.next_delivery()).collect();
    assert!(matches!(&deliveries[..], [Delivery::UpDamaged(peer)] if *peer == id("b")), "{deliveries:?}");
    assert_eq!(heard(&a), (false, Some(DAMAGED), Heard::Founded(ClusterId(7))));
    assert!(!a.mesh.is_linked(&id("b")) && b.mesh.is_linked(&id("a")));
}

/// It may have belonged to a cluster, and does not know.
#[test]
fn who_is_damaged_and_knows_no_cluster_is_not_taken_for_unfounded() {
    let (a, _) = linked(None);
    assert_eq!(heard(&a).2, Heard::Silence);
}

#[test]
fn nothing_but_an_offer_is_said_to_who_is_damaged() {
    let (mut a, mut b) = linked(None);
    while b.mesh.next_delivery().is_some() {}
    a.mesh.send_raft(&id("b"), commit());
    assert!(!a.mesh.send_service(&id("b"), Service::Read { question: 1, by_lease: false }, &[]));
    a.mesh.send_raft(&id("b"), offer());
    carry(&mut a, &mut b, ConnId(1));
    let deliveries: Vec<Delivery> = core::iter::from_fn(|| b.mesh.next_delivery()).collect();
    let [Delivery::Raft(from, message)] = &deliveries[..] else { panic!("{deliveries:?}") };
    assert!(*from == id("a") && crate::raft::is_offer(message), "{message:?}");
    // And nobody takes another for damaged.
    b.mesh.send_raft(&id("a"), offer());
    assert!(b.sent_on(ConnId(1)).is_empty());
}

#[test]
fn nothing_is_heard_of_who_is_damaged() {
    let (mut a, mut b) = linked(None);
    b.mesh.send_raft(&id("a"), Outgoing::Pledge(Pledge::Appended { term: Term(1), matched: Index(1) }));
    let said = b.sent_on(ConnId(1));
    assert!(!said.is_empty(), "a mesh knows nothing of what is promised");
    said.into_iter().for_each(|bytes| a.mesh.received(ConnId(1), bytes));
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::OutOfPlace));
}

#[test]
fn who_begins_anew_is_silent_first_and_somebody_else_then() {
    let (mut a, mut b) = linked(Some(ClusterId(7)));
    b.mesh.fall_silent(9, CloseReason::Starting);
    carry(&mut b, &mut a, ConnId(1));
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::Goodbye(CloseReason::Starting.to_string())));
    assert_eq!(b.mesh.deadline(), None);
    b.mesh.speak(Incarnation(5));
    let hello = &b.mesh.hello;
    assert_eq!(
        (hello.incarnation, hello.boot, hello.cluster, hello.damaged),
        (Incarnation(5), 9, None, false)
    );
    a.mesh.wake(crate::time::Instant::ZERO + core::time::Duration::from_secs(12));
    a.effects.clear();
    connect(&mut a, &mut b, ConnId(2));
    carry(&mut a, &mut b, ConnId(2));
    assert!(a.mesh.is_linked(&id("b")) && b.mesh.is_linked(&id("a")));
}
