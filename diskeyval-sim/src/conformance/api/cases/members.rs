//! Who belongs to the cluster.

use std::fs;
use std::time::Duration;

use diskeyval_core::host::Notice;
use diskeyval_core::{Address, CloseReason, Error, Event, MemberChange, Obstacle, Part, Refusal, Standing};

use super::super::AGES;
use super::super::town::{
    NAMES, Town, at, end_all, id, knowing, known, leader, member, obstacle, part, split, standing, until,
    value,
};

pub(super) fn one_joins_is_promoted_and_is_removed(town: &Town<'_>) {
    let nodes = town.three();
    nodes[0].set("k", "before").expect("committed");
    let n4 = town.start(town.joiner("n4", &nodes[0]));
    let mut events = n4.events().expect("room for a reader");
    assert_eq!(n4.members(), Ok(Vec::new()), "it belongs to nobody yet");
    let waiting = n4.wait_ready(Duration::ZERO);
    assert!(matches!(waiting, Err(Error::Refused(Refusal::NotAdmitted { .. }))), "{waiting:?}");

    // Announced at any node, by its name alone: its real port, which it has drawn, it tells by itself.
    let added = nodes[1].add_learner(member("n4")).expect("announced");
    n4.wait_ready(AGES).expect("a learner serves");
    assert_eq!(standing(&n4), Standing::Learner);
    assert!(events.any(|notice| notice.event() == Some(&Event::Admitted)));
    assert_eq!(value(&n4, "k").as_deref(), Some("before"));
    n4.set("k", "by a learner").expect("committed");
    let address = n4.local_addr().to_string();
    for node in &nodes {
        until("all know where it is", || known(node, "n4").is_some_and(|n4| n4.address == address));
        assert_eq!(part(node, "n4"), Some(Part::Learner));
    }

    let promoted = n4.promote(id("n4")).expect("promoted");
    assert!(promoted > added);
    n4.wait_ready(AGES).expect("no change is open");
    assert_eq!(standing(&n4), Standing::Member);
    assert_eq!(part(&n4, "n4"), Some(Part::Voter));
    // Asking for what is so changes nothing.
    assert!(nodes[0].promote(id("n4")).expect("it is one") > promoted);
    assert!(nodes[0].add_learner(member("n4")).expect("it is a member") > promoted);
    assert_eq!(part(&nodes[0], "n4"), Some(Part::Voter));

    let removed = nodes[2].remove(id("n4")).expect("removed");
    assert!(removed > promoted);
    assert!(events.any(|notice| notice.event() == Some(&Event::Removed)), "it is told");
    assert!(!n4.ready() && n4.fault().is_none());
    let soon = n4.with_timeout(Duration::from_millis(100));
    let waits = soon.wait_ready(Duration::ZERO);
    let is_named = |why: &str| why.contains("removed from");
    assert!(
        matches!(&waits, Err(Error::Refused(Refusal::NotAdmitted { why })) if is_named(why)),
        "{waits:?}"
    );
    assert!(matches!(soon.set("k", "late"), Err(Error::Refused(_))), "it serves nobody");
    assert_eq!(part(&nodes[2], "n4"), None);
    nodes[0].set("k", "after").expect("the others go on");

    // Announced anew, it is taken in with what it has.
    nodes[1].add_learner(member("n4")).expect("announced");
    n4.wait_ready(AGES).expect("a learner serves");
    assert_eq!(value(&n4, "k").as_deref(), Some("after"));
    end_all(&[n4, nodes[0].clone(), nodes[1].clone(), nodes[2].clone()]);
}

/// All in one call, which returns when the newcomers have caught up and those who go are gone.
pub(super) fn all_but_one_by_one_call(town: &Town<'_>) {
    let nodes = town.three();
    nodes[0].set("k", "v").expect("committed");
    let new = ["n4", "n5"].map(|name| town.start(town.joiner(name, &nodes[0])));
    let wanted = [member("n1"), at(&new[0]), at(&new[1])];
    nodes[1].reconfigure(wanted).expect("reconfigured");
    until("those who go know it", || nodes[1..].iter().all(|node| !node.ready()));
    let rest = [nodes[0].clone(), new[0].clone(), new[1].clone()];
    for node in &rest {
        node.wait_ready(AGES).expect("in its seat");
        let names: Vec<String> =
            node.members().expect("it runs").iter().map(|one| one.node_id.to_string()).collect();
        assert_eq!(names, ["n1", "n4", "n5"]);
        assert_eq!(value(node, "k").as_deref(), Some("v"));
    }
    end_all(&rest);
    end_all(&nodes);
}

/// W5: the leader of the npm package could not remove itself.
pub(super) fn the_leader_removes_itself(town: &Town<'_>) {
    let nodes = town.three();
    let (gone, rest) = split(nodes);
    let revision = gone.remove(gone.id()).expect("removed");
    until("it knows it", || !gone.is_leader() && !gone.ready());
    let after = rest[0].set("k", "v").expect("committed");
    assert!(after.revision > revision);
    assert_ne!(rest[leader(&rest)].id(), gone.id());
    // Two are left, and both are needed: the second can go nowhere.
    rest[0].remove(rest[1].id()).expect("removed");
    rest[0].set("k", "alone").expect("committed");
    assert_eq!(obstacle(rest[0].remove(rest[0].id())), Obstacle::NobodyLeft);
    end_all(&rest);
    gone.end();
}

/// W5: in the npm package it timed out, bumped the term, and came to lead the cluster that it was removed from.
pub(super) fn removed_while_it_was_away(town: &Town<'_>) {
    let patient = |name: &str| {
        let mut config = town.durable(name);
        config.election_timeout = Duration::from_secs(2);
        config.heartbeat = Duration::from_millis(100);
        config
    };
    let nodes = town.found(&NAMES, patient);
    let which = leader(&nodes);
    nodes[which].set("k", "v").expect("committed");
    let (victim, rest) = ((which + 1) % 3, [nodes[which].clone(), nodes[(which + 2) % 3].clone()]);
    let name = nodes[victim].id().to_string();
    nodes[victim].end();
    rest[1].remove(id(&name)).expect("removed while it is away");
    let term = rest[0].status().expect("it runs").term;

    // It comes back from its disk, as a voter, as far as it knows, and is in a hurry.
    let mut hasty = rest.iter().fold(town.durable(&name), knowing);
    hasty.election_timeout = Duration::from_millis(50);
    hasty.heartbeat = Duration::from_millis(10);
    let back = town.start(hasty);
    until("it has asked in vain, again and again", || back.metrics().pre_votes_started >= 10);
    until("it was turned away by both", || rest.iter().all(|node| node.metrics().links_refused >= 2));
    let why = standing(&back);
    assert!(matches!(&why, Standing::Removed(_)), "{why:?}");
    assert_eq!(back.metrics().elections_started, 0);
    assert!(!back.is_leader() && !back.ready());
    for node in &rest {
        let status = node.status().expect("it runs");
        assert_eq!(status.term, term, "nobody had to be elected");
        assert_eq!(status.leader, Some(rest[0].id()));
        assert_eq!(part(node, &name), None);
    }
    rest[1].set("k", "on").expect("committed");
    // Announced anew, it is taken in with what it has kept, and with an empty directory as well.
    rest[0].add_learner(at(&back)).expect("announced");
    back.wait_ready(AGES).expect("taken in");
    assert_eq!(value(&back, "k").as_deref(), Some("on"));
    rest[0].remove(back.id()).expect("removed");
    back.end();
    fs::remove_dir_all(town.dir(&name)).expect("removed");
    let anew = town.start(town.durable_joiner(&name, &rest[0]));
    rest[0].add_learner(at(&anew)).expect("announced");
    anew.wait_ready(AGES).expect("taken in");
    assert_eq!(value(&anew, "k").as_deref(), Some("on"));
    end_all(&[anew, rest[0].clone(), rest[1].clone()]);
}

/// W5: in the npm package a joiner was a voter with an election timer before anybody had admitted it.
pub(super) fn who_joins_stands_for_no_election(town: &Town<'_>) {
    let nodes = town.three();
    let mut config = town.joiner("n4", &nodes[0]);
    config.election_timeout = Duration::from_millis(30);
    config.heartbeat = Duration::from_millis(10);
    let n4 = town.start(config);
    let mut events = n4.events().expect("room for a reader");
    until("it was turned away", || nodes[0].metrics().links_refused >= 3);
    assert_eq!(n4.metrics().pre_votes_started, 0, "not before it is announced");
    nodes[0].add_learner(at(&n4)).expect("announced");
    n4.wait_ready(AGES).expect("a learner");
    // Without a leader for as long as it likes, a learner waits.
    end_all(&nodes);
    let mut lost = 0;
    while lost < 3 {
        let notice = events.next_timeout(AGES).expect("it notices");
        lost +=
            u32::from(matches!(notice, Notice::Event(Event::LinkDown { why: CloseReason::Goodbye(_), .. })));
    }
    until("it knows no leader", || n4.leader_id().is_none());
    assert_eq!(n4.metrics().pre_votes_started, 0);
    n4.end();
}

/// W5: the npm package had no such rule.
pub(super) fn one_change_at_a_time(town: &Town<'_>) {
    let nodes = town.three();
    let members = ["n1", "n2", "n3", "n9=127.0.0.1:1"].map(member).into();
    let change = MemberChange::Reconfigure { members };
    // n9 is not there: the change waits for it.
    let ask = || nodes[0].with_timeout(Duration::from_secs(6)).submit_change(change.clone());
    let (mut first, mut ended) = (ask(), None);
    let busy = |result: Result<u64, Error>| match result {
        Err(Error::Refused(Refusal::MembershipBusy { under_way })) => {
            assert_eq!(under_way, change.to_string());
            true
        }
        other => {
            assert_eq!(obstacle(other), Obstacle::NotAMember { node: id("n8") });
            false
        }
    };
    assert!(busy(nodes[0].promote(id("n8"))), "the node that was asked knows it at once");
    until("the others are told by the leader", || {
        let told = nodes[1..].iter().all(|node| busy(node.promote(id("n8"))));
        ended = first.try_take();
        if !told && ended.is_some() {
            // The machine is slow: it was given up before anybody was asked.
            first = ask();
        }
        told
    });

    // It is given up in time, and leaves nothing behind.
    let Obstacle::NotReached { leader, node, why } = obstacle(ended.unwrap_or_else(|| first.wait())) else {
        panic!("it is not there")
    };
    assert_eq!((Some(leader), node), (nodes[0].leader_id(), id("n9")));
    assert!(why.contains("refused"), "{why}");
    until("the learner is out again", || nodes.iter().all(|node| part(node, "n9").is_none()));
    nodes[1].remove(id("n3")).expect("another change is carried out now");
    end_all(&nodes);
}

pub(super) fn what_is_in_the_way_of_a_change(town: &Town<'_>) {
    let nodes = town.three();
    let asked = &nodes[1];
    assert_eq!(obstacle(asked.reconfigure(Vec::new())), Obstacle::NobodyLeft);
    let twice = asked.reconfigure([member("n1"), member("n2"), member("n1")]);
    assert_eq!(obstacle(twice), Obstacle::NamedTwice { node: id("n1") });
    let many = (1..=8).map(|number| member(&format!("n{number}"))).collect::<Vec<_>>();
    assert_eq!(obstacle(asked.reconfigure(many)), Obstacle::TooMany { limit: 7 });
    let stranger = Obstacle::NotAMember { node: id("n9") };
    assert_eq!(obstacle(asked.promote(id("n9"))), stranger);
    let address = Address::new("127.0.0.1", 1).expect("a good address");
    assert_eq!(obstacle(asked.update_address(id("n9"), address)), stranger);
    let error = asked.promote(id("n9")).expect_err("a stranger");
    assert!(!error.is_retryable() && error.to_string().contains("`add n9=HOST:PORT`"), "{error}");
    // Who is gone already need not go.
    asked.remove(id("n9")).expect("it is no member");
    for node in &nodes {
        assert_eq!(node.members().expect("it runs").len(), 3);
    }
    // Without a majority nothing is begun.
    end_all(&[nodes[0].clone(), nodes[2].clone()]);
    let refused = asked.with_timeout(Duration::from_secs(1)).remove(id("n1"));
    let alone = matches!(refused, Err(Error::Refused(Refusal::NoQuorum { .. }) | Error::Unknown(_)));
    assert!(alone, "{refused:?}");
    asked.end();
    assert_eq!(asked.remove(id("n1")), Err(Error::Refused(Refusal::Stopped)));
    assert_eq!(asked.members(), Err(Error::Refused(Refusal::Stopped)));
}
