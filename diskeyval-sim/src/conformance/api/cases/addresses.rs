//! Where nodes are, as they say and as others know.

use diskeyval_core::Address;

use super::super::AGES;
use super::super::calls::Node;
use super::super::town::{
    NAMES, Town, at, end_all, everywhere, free, id, knowing, known, member, port_of, until, value,
};

/// The port is 0 in the configuration, and another in truth.
pub(super) fn a_node_announces_where_it_listens(town: &Town<'_>) {
    let nodes = town.found(&["n1"], |name| town.config(name));
    let own = |node: &Node| known(node, node.id().as_str()).map(|member| member.address);
    let announced = |name: &str| known(&nodes[0], name).map(|member| member.address).unwrap_or_default();
    until("it is kept", || own(&nodes[0]) == Some(nodes[0].local_addr().to_string()));

    // Who listens everywhere cannot know where others reach it.
    let n2 = town.start_on(everywhere(), town.joiner("n2", &nodes[0]));
    nodes[0].add_learner(member("n2")).expect("announced");
    n2.wait_ready(AGES).expect("it comes by itself");
    assert_eq!(announced("n2"), "");
    let there = Address::new("127.0.0.1", n2.local_addr().port()).expect("a good address");
    nodes[0].update_address(id("n2"), there.clone()).expect("moved");
    assert_eq!(announced("n2"), there.to_string());

    // Or it is told.
    let mut told = town.joiner("n3", &nodes[0]);
    let listener = everywhere();
    told.advertise = Address::new("127.0.0.1", port_of(&listener)).ok();
    let advertised = told.advertise.as_ref().map(ToString::to_string);
    let n3 = town.start_on(listener, told);
    nodes[0].add_learner(member("n3")).expect("announced");
    n3.wait_ready(AGES).expect("taken in");
    until("it is kept", || Some(announced("n3")) == advertised);
    end_all(&[n2, n3, nodes[0].clone()]);
}

/// The two would have taken turns for ever.
pub(super) fn its_own_word_goes_first(town: &Town<'_>) {
    let nodes = town.found(&["n1", "n2"], |name| town.config(name));
    let wrong = Address::new("localhost", 1).expect("a good address");
    nodes[0].update_address(id("n2"), wrong).expect("it comes to an end");
    let n3 = town.start(town.joiner("n3", &nodes[0]));
    nodes[0].reconfigure(["n1", "n2", "n3=localhost:1"].map(member)).expect("so does this");
    n3.wait_ready(AGES).expect("in its seat");
    for node in [&nodes[0], &nodes[1], &n3] {
        let own = || known(&n3, node.id().as_str()).map(|member| member.address);
        until("its own word is kept", || own() == Some(node.local_addr().to_string()));
    }
    end_all(&[n3, nodes[0].clone(), nodes[1].clone()]);
}

pub(super) fn back_elsewhere(town: &Town<'_>) {
    let nodes = town.found(&NAMES, |name| town.durable(name));
    // It knows where n3 is from the cluster alone.
    let n4 = town.start(town.durable_joiner("n4", &nodes[0]));
    nodes[0].add_learner(at(&n4)).expect("announced");
    n4.wait_ready(AGES).expect("taken in");
    let former = nodes[2].local_addr().to_string();
    until("it knows the former address", || known(&n4, "n3").is_some_and(|n3| n3.address == former));
    nodes[2].end();
    let elsewhere = free();
    let config = nodes[..2].iter().fold(town.durable("n3"), knowing);
    let n3 = town.start_on(elsewhere, config);
    n3.wait_ready(AGES).expect("in its seat");
    let address = n3.local_addr().to_string();
    assert_ne!(address, former);
    for node in [&n3, &n4] {
        until("the cluster has kept it", || known(node, "n3").is_some_and(|n3| n3.address == address));
    }
    until("n4 is linked with it there", || known(&n4, "n3").is_some_and(|n3| n3.linked));
    end_all(&[n3, n4, nodes[0].clone(), nodes[1].clone()]);
}

/// The members keep their names and their disks, and all of them are told at their start where the others are now.
pub(super) fn moved_as_a_whole(town: &Town<'_>) {
    let first = town.found(&NAMES, |name| town.durable(name));
    first[0].set("k", "v").expect("committed");
    end_all(&first);
    let second = town.found(&NAMES, |name| town.durable(name));
    for node in &second {
        assert_eq!(value(node, "k").as_deref(), Some("v"));
        let own = || known(node, node.id().as_str()).map(|member| member.address);
        until("its new address is kept", || own() == Some(node.local_addr().to_string()));
    }
    let last = second[0].set("k", "w").expect("committed").revision;
    until("all have it", || {
        second.iter().all(|node| node.status().is_ok_and(|status| status.last_applied.0 >= last))
    });
    end_all(&second);

    // Nobody is told where the others are any more: what was kept is enough.
    let listening: Vec<u16> = second.iter().map(|node| node.local_addr().port()).collect();
    let third: Vec<Node> = NAMES
        .iter()
        .zip(&listening)
        .map(|(name, port)| town.start(town.durable(name).listen("127.0.0.1", *port)))
        .collect();
    for node in &third {
        node.wait_ready(AGES).expect("in its seat");
        assert_eq!(value(node, "k").as_deref(), Some("w"));
    }
    end_all(&third);
}
