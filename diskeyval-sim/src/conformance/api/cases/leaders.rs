//! Who leads, and how a node ends.

use std::net::TcpStream;
use std::thread;

use diskeyval_core::{Address, Command, Expect, Hindrance, MemberChange, Read, Refusal};

use super::super::AGES;
use super::super::calls::{Node, Parcel};
use super::super::town::{NAMES, Town, end_all, id, leader, member, refused, set, split, until, value};

fn hindrance(asked: &Node, to: Option<&str>) -> Hindrance {
    match refused(asked.transfer_leadership(to.map(id), AGES)) {
        Refusal::NotTransferred { why } => why,
        other => panic!("nobody is in the way: {other:?}"),
    }
}

pub(super) fn leadership_goes_where_it_is_wanted(town: &Town<'_>) {
    let nodes = town.three();
    for wanted in &nodes {
        for asked in &nodes {
            asked.transfer_leadership(Some(wanted.id()), AGES).expect("it leads");
            assert_eq!(asked.leader_id(), Some(wanted.id()), "the one that was asked sees it");
        }
    }
    let former = nodes[leader(&nodes)].id();
    nodes[0].transfer_leadership(None::<_>, AGES).expect("another leads");
    assert_ne!(nodes[leader(&nodes)].id(), former);
    assert_eq!(hindrance(&nodes[0], Some("n9")), Hindrance::NotAMember { node: id("n9") });
    // Writes go on, and none is lost.
    for node in &nodes {
        node.set("k", node.id().to_string()).expect("committed");
    }
    nodes[1].add_learner(member("n4")).expect("announced");
    let why = hindrance(&nodes[0], Some("n4"));
    assert!(matches!(&why, Hindrance::NotLinked { node, .. } if *node == id("n4")), "{why:?}");
    let n4 = town.start(town.joiner("n4", &nodes[0]));
    n4.wait_ready(AGES).expect("a learner serves");
    assert_eq!(hindrance(&nodes[0], Some("n4")), Hindrance::NotInItsSeat { node: id("n4") });
    n4.end();
    let (leader, others) = split(nodes);
    others[0].end();
    let gone = others[0].id();
    until("the leader knows that one is gone", || {
        leader.members().expect("it runs").iter().any(|one| one.node_id == gone && !one.linked)
    });
    let why = hindrance(&others[1], Some(gone.as_str()));
    assert!(matches!(&why, Hindrance::NotLinked { node, .. } if *node == gone), "{why:?}");
    end_all(&[leader, others[1].clone()]);

    let alone = town.alone(town.config("n1"));
    assert_eq!(hindrance(&alone, None), Hindrance::NobodyElse { leader: id("n1") });
    alone.end();

    // And to whom it is preferred, without being asked for.
    let nodes = town.found(&NAMES, |name| {
        let mut config = town.config(name);
        config.leader_priority = u8::from(name == "n2");
        config
    });
    until("the preferred one leads", || nodes[1].is_leader());
    end_all(&nodes);
}

pub(super) fn the_leader_ends(town: &Town<'_>) {
    let (leader, others) = split(town.three());
    leader.set("k", "before").expect("committed");
    leader.end();
    assert!(!leader.is_leader());
    assert_eq!(leader.metrics().transfers_started, 1, "it hands over");
    assert_eq!(refused(leader.set("k", "too late")), Refusal::Stopped);
    for node in &others {
        assert_eq!(value(node, "k").as_deref(), Some("before"));
    }
    assert!(others[0].wait_leader(AGES).is_ok_and(|known| known != leader.id()));
    others[0].set("k", "after").expect("committed");
    end_all(&others);
}

pub(super) fn everything_after_the_end(town: &Town<'_>) {
    let node = town.alone(town.config("n1"));
    let (address, kept) = (node.local_addr(), node.with_timeout(AGES));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| node.end());
        }
    });
    node.end();
    let stopped = |why: Refusal| assert_eq!(why, Refusal::Stopped);
    stopped(refused(node.set("k", "v")));
    stopped(refused(node.delete("k")));
    stopped(refused(node.compare_and_set("k", Expect::Absent, "v")));
    stopped(refused(node.submit(set("k", "v")).wait()));
    stopped(refused(node.submit(Command::Delete { key: "k".into() }).wait_timeout(AGES).expect("at once")));
    stopped(refused(node.submit_get("k", Read::Local).try_take().expect("at once")));
    for read in [Read::Linearizable, Read::Lease, Read::Local] {
        stopped(refused(kept.get_with("k", read)));
    }
    stopped(refused(node.get("k")));
    stopped(refused(node.view().map(|view| view.len())));
    stopped(refused(node.snapshot()));
    stopped(refused(node.status()));
    stopped(refused(node.members()));
    stopped(refused(node.typed_set("k", Parcel::default())));
    stopped(refused(node.typed_get("k")));
    stopped(refused(node.typed_get_with("k", Read::Local)));
    stopped(refused(node.typed_swap("k", None::<Parcel>, Parcel::default())));
    stopped(refused(node.typed_delete("k")));
    stopped(refused(node.wait_leader(AGES)));
    stopped(refused(node.wait_ready(AGES)));
    stopped(refused(node.transfer_leadership(None::<_>, AGES)));
    stopped(refused(node.reconfigure(vec![member("n1")])));
    stopped(refused(node.add_learner(member("n2"))));
    stopped(refused(node.promote(id("n2"))));
    stopped(refused(node.remove(id("n2"))));
    stopped(refused(node.update_address(id("n1"), Address::new("127.0.0.1", 1).expect("a good address"))));
    stopped(refused(node.submit_change(MemberChange::Remove { node: id("n2") }).wait()));
    stopped(refused(node.recover(AGES)));
    assert_eq!(node.events().expect("room for a reader").next(), None);
    assert_eq!((node.is_leader(), node.leader_id(), node.ready(), node.fault()), (false, None, false, None));
    assert_eq!((node.id(), node.local_addr(), node.peers()), (id("n1"), address, Vec::new()));
    assert!(node.metrics().commits_applied > 0, "what it counted stays");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

pub(super) fn the_last_handle(town: &Town<'_>) {
    let node = town.alone(town.config("n1"));
    let (other, soon, address) = (node.clone(), node.with_timeout(AGES), node.local_addr());
    let mut events = node.events().expect("room for a reader");
    drop(node);
    other.set("k", "v").expect("it lives");
    drop(other);
    soon.set("k", "w").expect("it lives");
    let pending = soon.submit(set("k", "x"));
    drop(soon);
    // Neither holds a handle, and both end when the node has.
    until("the events end", || {
        while events.try_next().is_some() {}
        events.is_over()
    });
    pending.wait().expect("it was handed over before the end");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
