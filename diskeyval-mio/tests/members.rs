//! Members come, are promoted, move and go: real nodes, real sockets, real files.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{
    Address, CloseReason, Config, Error, Event, Member, MemberChange, MemberStatus, Node, NodeId, Notice,
    Obstacle, Part, Refusal, Standing,
};

/// How long anything may take on a busy machine. No test waits for it to pass.
const AGES: Duration = Duration::from_secs(60);

/// Directories of nodes, which are gone at the end, and who signs for them.
struct Town {
    authority: Authority,
    dir: PathBuf,
}

impl Town {
    fn new() -> Town {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diskeyval-members-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        Town { authority: Authority::new("test").expect("a CA"), dir }
    }

    /// A node that is found at any free port.
    fn config(&self, name: &str) -> Config {
        let issued = self.authority.issue_node(&id(name)).expect("a certificate");
        let config = Config::new(name).expect("a good name");
        let mut config = config.tls(&issued.cert_pem, &issued.key_pem, self.authority.cert_pem());
        config.proposal_timeout = AGES;
        config
    }

    /// The same, with a directory.
    fn durable(&self, name: &str) -> Config {
        self.config(name).persist(self.dir.join(name).to_str().expect("text"))
    }

    /// One that joins the cluster of this node, and knows nobody else there.
    fn joiner(&self, name: &str, member: &Node) -> Config {
        peer(self.config(name), member.id().as_str(), member.local_addr().port()).join()
    }

    /// The same, with a directory.
    fn durable_joiner(&self, name: &str, member: &Node) -> Config {
        let dir = self.dir.join(name);
        self.joiner(name, member).persist(dir.to_str().expect("text"))
    }

    /// Nodes that know each other, as `adjust` makes them, each in its seat.
    fn found(&self, names: &[&str], adjust: impl Fn(&str) -> Config) -> Vec<Node> {
        let listeners: Vec<TcpListener> = names.iter().map(|_| free()).collect();
        let ports: Vec<u16> = listeners.iter().map(port_of).collect();
        let nodes: Vec<Node> = names
            .iter()
            .zip(listeners)
            .map(|(name, listener)| {
                let others = names.iter().zip(&ports).filter(|(other, _)| *other != name);
                let config = others.fold(adjust(name), |config, (other, port)| peer(config, other, *port));
                Node::start_on(listener, config).expect("it starts")
            })
            .collect();
        for node in &nodes {
            node.wait_ready(AGES).expect("it takes its seat");
        }
        nodes
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn member(text: &str) -> Member {
    text.parse().expect(text)
}

/// At a port that can be had again later: none of those that systems give to whoever dials.
fn free() -> TcpListener {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another run of these tests begins elsewhere.
        let place = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(place % 20_000).expect("small");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
}

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

fn peer(config: Config, name: &str, port: u16) -> Config {
    config.peer(name, "127.0.0.1", port).expect("a good name")
}

/// A node where it listens.
fn at(node: &Node) -> Member {
    Member { node: node.id().clone(), address: node.local_addr().to_string().parse().ok() }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What one node knows of another, or of itself.
fn known(by: &Node, name: &str) -> Option<MemberStatus> {
    by.members().expect("it runs").into_iter().find(|member| member.node_id.as_str() == name)
}

fn part(by: &Node, name: &str) -> Option<Part> {
    known(by, name).map(|member| member.part)
}

fn standing(node: &Node) -> Standing {
    node.status().expect("it runs").standing
}

/// The leader, by its place, once all of them know it.
fn leader(nodes: &[Node]) -> usize {
    let mut leader = None;
    until("all know the same leader", || {
        let first = nodes[0].leader_id();
        leader = nodes.iter().position(|node| Some(node.id()) == first.as_ref());
        leader.is_some() && nodes.iter().all(|node| node.leader_id() == first)
    });
    leader.expect("just found")
}

fn end_all(nodes: &[Node]) {
    thread::scope(|scope| {
        for node in nodes {
            scope.spawn(|| node.end());
        }
    });
}

fn obstacle(result: Result<u64, Error>) -> Obstacle {
    match result {
        Err(Error::Refused(Refusal::NotChanged { why })) => why,
        other => panic!("no obstacle: {other:?}"),
    }
}

#[test]
fn one_joins_is_promoted_and_is_removed() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
    nodes[0].set("k", "before").expect("committed");
    let n4 = Node::start(town.joiner("n4", &nodes[0])).expect("it starts");
    let mut events = n4.events();
    assert_eq!(n4.members(), Ok(Vec::new()), "it belongs to nobody yet");
    let waiting = n4.wait_ready(Duration::ZERO);
    assert!(matches!(waiting, Err(Error::Refused(Refusal::NotAdmitted { .. }))), "{waiting:?}");

    // Announced at any node, by its name alone: its real port, which it has drawn, it tells by itself.
    let added = nodes[1].add_learner(member("n4")).expect("announced");
    n4.wait_ready(AGES).expect("a learner serves");
    assert_eq!(standing(&n4), Standing::Learner);
    assert!(events.any(|notice| notice.event() == Some(&Event::Admitted)));
    assert_eq!(n4.get("k").expect("read").as_deref(), Some(&b"before"[..]));
    n4.set("k", "by a learner").expect("committed");
    let address = n4.local_addr().to_string();
    for node in &nodes {
        until("all know where it is", || known(node, "n4").is_some_and(|n4| n4.address == address));
        assert_eq!(part(node, "n4"), Some(Part::Learner));
    }

    let promoted = n4.promote(&id("n4")).expect("promoted");
    assert!(promoted > added);
    n4.wait_ready(AGES).expect("no change is open");
    assert_eq!(standing(&n4), Standing::Member);
    assert_eq!(part(&n4, "n4"), Some(Part::Voter));
    // Asking for what is so changes nothing.
    assert!(nodes[0].promote(&id("n4")).expect("it is one") > promoted);
    assert!(nodes[0].add_learner(member("n4")).expect("it is a member") > promoted);
    assert_eq!(part(&nodes[0], "n4"), Some(Part::Voter));

    let removed = nodes[2].remove(&id("n4")).expect("removed");
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
    assert_eq!(n4.get("k").expect("read").as_deref(), Some(&b"after"[..]));
    end_all(&[n4, nodes[0].clone(), nodes[1].clone(), nodes[2].clone()]);
}

/// All in one call, which returns when the newcomers have caught up and those who go are gone.
#[test]
fn a_cluster_is_replaced_but_for_one_by_one_call() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
    nodes[0].set("k", "v").expect("committed");
    let new = ["n4", "n5"].map(|name| Node::start(town.joiner(name, &nodes[0])).expect("it starts"));
    let wanted = [member("n1"), at(&new[0]), at(&new[1])];
    nodes[1].reconfigure(wanted).expect("reconfigured");
    until("those who go know it", || nodes[1..].iter().all(|node| !node.ready()));
    let rest = [nodes[0].clone(), new[0].clone(), new[1].clone()];
    for node in &rest {
        node.wait_ready(AGES).expect("in its seat");
        let names: Vec<String> =
            node.members().expect("it runs").iter().map(|one| one.node_id.to_string()).collect();
        assert_eq!(names, ["n1", "n4", "n5"]);
        assert_eq!(node.get("k").expect("read").as_deref(), Some(&b"v"[..]));
    }
    end_all(&rest);
    end_all(&nodes);
}

/// The leader of the npm package could not remove itself.
#[test]
fn w5_the_leader_removes_itself_and_another_takes_over() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
    let which = leader(&nodes);
    let (gone, rest): (Vec<_>, Vec<_>) =
        nodes.into_iter().enumerate().partition(|(number, _)| *number == which);
    let (gone, rest) = (&gone[0].1, rest.into_iter().map(|(_, node)| node).collect::<Vec<_>>());
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

/// In the npm package it timed out, bumped the term, and came to lead the cluster that it was removed from.
#[test]
fn w5_a_removed_node_that_does_not_know_it_disturbs_nobody() {
    let town = Town::new();
    let patient = |name: &str| {
        let mut config = town.durable(name);
        config.election_timeout = Duration::from_secs(2);
        config.heartbeat = Duration::from_millis(100);
        config
    };
    let nodes = town.found(&["n1", "n2", "n3"], patient);
    let which = leader(&nodes);
    nodes[which].set("k", "v").expect("committed");
    let (victim, rest) = ((which + 1) % 3, [nodes[which].clone(), nodes[(which + 2) % 3].clone()]);
    let name = nodes[victim].id().to_string();
    nodes[victim].end();
    rest[1].remove(&id(&name)).expect("removed while it is away");
    let term = rest[0].status().expect("it runs").term;

    // It comes back from its disk, as a voter, as far as it knows, and is in a hurry.
    let mut hasty = rest.iter().fold(town.durable(&name), |config, other| {
        peer(config, other.id().as_str(), other.local_addr().port())
    });
    hasty.election_timeout = Duration::from_millis(50);
    hasty.heartbeat = Duration::from_millis(10);
    let back = Node::start(hasty).expect("it starts");
    until("it has asked in vain, again and again", || back.metrics().pre_votes_started >= 10);
    until("it was turned away by both", || rest.iter().all(|node| node.metrics().links_refused >= 2));
    let why = standing(&back);
    assert!(matches!(&why, Standing::Removed(_)), "{why:?}");
    assert_eq!(back.metrics().elections_started, 0);
    assert!(!back.is_leader() && !back.ready());
    for node in &rest {
        let status = node.status().expect("it runs");
        assert_eq!(status.term, term, "nobody had to be elected");
        assert_eq!(status.leader.as_ref(), Some(rest[0].id()));
        assert_eq!(part(node, &name), None);
    }
    rest[1].set("k", "on").expect("committed");
    // Announced anew, it is taken in with what it has kept, and with an empty directory as well.
    rest[0].add_learner(at(&back)).expect("announced");
    back.wait_ready(AGES).expect("taken in");
    assert_eq!(back.get("k").expect("read").as_deref(), Some(&b"on"[..]));
    rest[0].remove(back.id()).expect("removed");
    back.end();
    fs::remove_dir_all(town.dir.join(&name)).expect("removed");
    let anew = Node::start(town.durable_joiner(&name, &rest[0])).expect("it starts");
    rest[0].add_learner(at(&anew)).expect("announced");
    anew.wait_ready(AGES).expect("taken in");
    assert_eq!(anew.get("k").expect("read").as_deref(), Some(&b"on"[..]));
    end_all(&[anew, rest[0].clone(), rest[1].clone()]);
}

/// In the npm package a joiner was a voter with an election timer before anybody had admitted it.
#[test]
fn w5_who_joins_stands_for_no_election_before_it_votes() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
    let mut config = town.joiner("n4", &nodes[0]);
    config.election_timeout = Duration::from_millis(30);
    config.heartbeat = Duration::from_millis(10);
    let n4 = Node::start(config).expect("it starts");
    let mut events = n4.events();
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

/// In the npm package the members after a restart were those of the options, until the log had been replayed.
#[test]
fn w5_the_members_after_a_restart_are_those_of_the_log() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.durable(name));
    let n4 = Node::start(town.durable_joiner("n4", &nodes[0])).expect("it starts");
    nodes[0].add_learner(at(&n4)).expect("announced");
    n4.promote(&id("n4")).expect("promoted");
    nodes[0].remove(&id("n3")).expect("removed");
    until("it knows it", || !nodes[2].ready());
    nodes[2].end();
    nodes[0].end();
    // Its options name n3, and not n4.
    let options = peer(town.durable("n1"), "n2", nodes[1].local_addr().port());
    let n1 = Node::start(peer(options, "n3", 1)).expect("it starts again");
    n1.wait_ready(AGES).expect("in its seat");
    let parts = ["n1", "n2", "n3", "n4"].map(|name| part(&n1, name));
    assert_eq!(parts, [Some(Part::Voter), Some(Part::Voter), None, Some(Part::Voter)]);
    end_all(&[n1, nodes[1].clone(), n4]);
}

/// The npm package had no such rule.
#[test]
fn w5_one_change_at_a_time() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
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
    assert!(busy(nodes[0].promote(&id("n8"))), "the node that was asked knows it at once");
    until("the others are told by the leader", || {
        let told = nodes[1..].iter().all(|node| busy(node.promote(&id("n8"))));
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
    nodes[1].remove(&id("n3")).expect("another change is carried out now");
    end_all(&nodes);
}

#[test]
fn what_cannot_be_is_refused_by_a_typed_error() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.config(name));
    let asked = &nodes[1];
    assert_eq!(obstacle(asked.reconfigure([])), Obstacle::NobodyLeft);
    let twice = asked.reconfigure([member("n1"), member("n2"), member("n1")]);
    assert_eq!(obstacle(twice), Obstacle::NamedTwice { node: id("n1") });
    let many = (1..=8).map(|number| member(&format!("n{number}")));
    assert_eq!(obstacle(asked.reconfigure(many)), Obstacle::TooMany { limit: 7 });
    let stranger = Obstacle::NotAMember { node: id("n9") };
    assert_eq!(obstacle(asked.promote(&id("n9"))), stranger);
    let address = Address::new("127.0.0.1", 1).expect("a good address");
    assert_eq!(obstacle(asked.update_address(&id("n9"), address)), stranger);
    let error = asked.promote(&id("n9")).expect_err("a stranger");
    assert!(!error.is_retryable() && error.to_string().contains("`add n9=HOST:PORT`"), "{error}");
    // Who is gone already need not go.
    asked.remove(&id("n9")).expect("it is no member");
    for node in &nodes {
        assert_eq!(node.members().expect("it runs").len(), 3);
    }
    // Without a majority nothing is begun.
    end_all(&[nodes[0].clone(), nodes[2].clone()]);
    let refused = asked.with_timeout(Duration::from_secs(1)).remove(&id("n1"));
    let alone = matches!(refused, Err(Error::Refused(Refusal::NoQuorum { .. }) | Error::Unknown(_)));
    assert!(alone, "{refused:?}");
    asked.end();
    assert_eq!(asked.remove(&id("n1")), Err(Error::Refused(Refusal::Stopped)));
    assert_eq!(asked.members(), Err(Error::Refused(Refusal::Stopped)));
}

// ---- Addresses ----------------------------------------------------------------------------------------

/// The port is 0 in the configuration, and another in truth.
#[test]
fn a_node_announces_where_it_really_listens() {
    let town = Town::new();
    let nodes = town.found(&["n1"], |name| town.config(name));
    let own = |node: &Node| known(node, node.id().as_str()).map(|member| member.address);
    let announced = |name: &str| known(&nodes[0], name).map(|member| member.address).unwrap_or_default();
    until("it is kept", || own(&nodes[0]) == Some(nodes[0].local_addr().to_string()));

    // Who listens everywhere cannot know where others reach it.
    let everywhere = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let n2 = Node::start_on(everywhere(), town.joiner("n2", &nodes[0])).expect("it starts");
    nodes[0].add_learner(member("n2")).expect("announced");
    n2.wait_ready(AGES).expect("it comes by itself");
    assert_eq!(announced("n2"), "");
    let there = Address::new("127.0.0.1", n2.local_addr().port()).expect("a good address");
    nodes[0].update_address(&id("n2"), there.clone()).expect("moved");
    assert_eq!(announced("n2"), there.to_string());

    // Or it is told.
    let mut told = town.joiner("n3", &nodes[0]);
    let listener = everywhere();
    told.advertise = Address::new("127.0.0.1", port_of(&listener)).ok();
    let advertised = told.advertise.as_ref().map(ToString::to_string);
    let n3 = Node::start_on(listener, told).expect("it starts");
    nodes[0].add_learner(member("n3")).expect("announced");
    n3.wait_ready(AGES).expect("taken in");
    until("it is kept", || Some(announced("n3")) == advertised);
    end_all(&[n2, n3, nodes[0].clone()]);
}

/// The two would have taken turns for ever.
#[test]
fn what_a_node_says_of_its_address_goes_before_what_others_say() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2"], |name| town.config(name));
    let wrong = Address::new("localhost", 1).expect("a good address");
    nodes[0].update_address(&id("n2"), wrong).expect("it comes to an end");
    let n3 = Node::start(town.joiner("n3", &nodes[0])).expect("it starts");
    nodes[0].reconfigure(["n1", "n2", "n3=localhost:1"].map(member)).expect("so does this");
    n3.wait_ready(AGES).expect("in its seat");
    for node in [&nodes[0], &nodes[1], &n3] {
        let own = || known(&n3, node.id().as_str()).map(|member| member.address);
        until("its own word is kept", || own() == Some(node.local_addr().to_string()));
    }
    end_all(&[n3, nodes[0].clone(), nodes[1].clone()]);
}

#[test]
fn a_node_that_comes_back_elsewhere_says_so() {
    let town = Town::new();
    let nodes = town.found(&["n1", "n2", "n3"], |name| town.durable(name));
    // It knows where n3 is from the cluster alone.
    let n4 = Node::start(town.durable_joiner("n4", &nodes[0])).expect("it starts");
    nodes[0].add_learner(at(&n4)).expect("announced");
    n4.wait_ready(AGES).expect("taken in");
    let former = nodes[2].local_addr().to_string();
    until("it knows the former address", || known(&n4, "n3").is_some_and(|n3| n3.address == former));
    nodes[2].end();
    let elsewhere = free();
    let config = nodes[..2].iter().fold(town.durable("n3"), |config, other| {
        peer(config, other.id().as_str(), other.local_addr().port())
    });
    let n3 = Node::start_on(elsewhere, config).expect("it starts again");
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
#[test]
fn a_cluster_moves_as_a_whole_and_keeps_its_new_addresses() {
    let town = Town::new();
    let names = ["n1", "n2", "n3"];
    let first = town.found(&names, |name| town.durable(name));
    first[0].set("k", "v").expect("committed");
    end_all(&first);
    let second = town.found(&names, |name| town.durable(name));
    for node in &second {
        assert_eq!(node.get("k").expect("read").as_deref(), Some(&b"v"[..]));
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
    let third: Vec<Node> = names
        .iter()
        .zip(&listening)
        .map(|(name, port)| {
            Node::start(town.durable(name).listen("127.0.0.1", *port)).expect("its port is free again")
        })
        .collect();
    for node in &third {
        node.wait_ready(AGES).expect("in its seat");
        assert_eq!(node.get("k").expect("read").as_deref(), Some(&b"w"[..]));
    }
    end_all(&third);
}
