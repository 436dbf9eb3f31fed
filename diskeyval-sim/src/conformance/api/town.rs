//! Nodes of one case: who signs for them, where they keep what they keep, and what is waited for.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_core::host::StartError;
use diskeyval_core::{
    Command, Config, Error, Event, Member, MemberStatus, NodeId, Obstacle, Part, Refusal, Standing, Tls,
};

use super::super::cluster::free_address;
use super::super::scratch::Scratch;
use super::calls::{Cluster, Events, Node, Recoverable, called};
use super::{AGES, Product};

pub(super) struct Town<'p> {
    pub(super) product: &'p dyn Product,
    scratch: Scratch,
    tls: BTreeMap<NodeId, Tls>,
}

impl<'p> Town<'p> {
    pub(super) fn new(product: &'p dyn Product) -> Town<'p> {
        Town { product, scratch: Scratch::new(), tls: certificates(product) }
    }

    // ---- Configurations ---------------------------------------------------------------------------

    /// A node that is found at any free port, with a certificate of this town.
    pub(super) fn config(&self, name: &str) -> Config {
        let mut config = Config::new(name).expect("a good name");
        config.tls = self.tls.get(&config.node_id).cloned();
        assert!(config.tls.is_some(), "a name of this town: {name}");
        config.proposal_timeout = AGES;
        config
    }

    /// The same, with a directory.
    pub(super) fn durable(&self, name: &str) -> Config {
        self.config(name).persist(&self.dir(name))
    }

    /// One that joins the cluster of this node, and knows nobody else there.
    pub(super) fn joiner(&self, name: &str, member: &Node) -> Config {
        knowing(self.config(name), member).join()
    }

    /// The same, with a directory.
    pub(super) fn durable_joiner(&self, name: &str, member: &Node) -> Config {
        knowing(self.durable(name), member).join()
    }

    /// A place for a directory, as text.
    pub(super) fn dir(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().expect("text").to_owned()
    }

    // ---- What is no method of a node --------------------------------------------------------------

    pub(super) fn try_to_start(&self, config: Config) -> Result<Node, StartError> {
        called("Node::start");
        self.product.start(config)
    }

    pub(super) fn start(&self, config: Config) -> Node {
        self.try_to_start(config).expect("it starts")
    }

    /// Why it does not start.
    pub(super) fn refusal(&self, config: Config) -> StartError {
        match self.try_to_start(config) {
            Ok(_) => panic!("it must not start"),
            Err(error) => error,
        }
    }

    pub(super) fn start_on(&self, listener: TcpListener, config: Config) -> Node {
        called("Node::start_on");
        self.product.start_on(listener, config).expect("it starts")
    }

    /// Nodes that a thread of the case drives, until they have ended.
    pub(super) fn drive(
        &self,
        listener: Option<TcpListener>,
        config: Config,
    ) -> (Node, thread::JoinHandle<()>) {
        let driven = match listener {
            Some(listener) => {
                called("Node::with_driver_on");
                self.product.with_driver_on(listener, config)
            }
            None => {
                called("Node::with_driver");
                self.product.with_driver(config)
            }
        };
        let (node, drive) = driven.expect("it starts");
        (node, thread::spawn(drive))
    }

    pub(super) fn dev(&self, nodes: usize) -> Cluster {
        called("Cluster::dev");
        self.product.dev(nodes).expect("a cluster")
    }

    pub(super) fn dev_with(
        &self,
        nodes: usize,
        adjust: impl Fn(Config) -> Config,
    ) -> Result<Cluster, String> {
        called("Cluster::dev_with");
        self.product.dev_with(nodes, &adjust)
    }

    pub(super) fn recoverable(&self, dir: &str) -> Result<Recoverable, diskeyval_core::host::RecoverError> {
        called("Recoverable::open");
        self.product.recoverable(dir.as_ref())
    }

    // ---- Clusters ---------------------------------------------------------------------------------

    /// Nodes that know each other, as `adjust` makes them, each in its seat.
    pub(super) fn found(&self, names: &[&str], adjust: impl Fn(&str) -> Config) -> Vec<Node> {
        let listeners: Vec<TcpListener> = names.iter().map(|_| free()).collect();
        let ports: Vec<u16> = listeners.iter().map(port_of).collect();
        let started = names.iter().zip(listeners).map(|(name, listener)| {
            let others = names.iter().zip(&ports).filter(|(other, _)| *other != name);
            let config = others.fold(adjust(name), |config, (other, port)| peer(config, other, *port));
            self.start_on(listener, config)
        });
        let nodes: Vec<Node> = started.collect();
        for node in &nodes {
            node.wait_ready(AGES).expect("it takes its seat");
        }
        nodes
    }

    /// Three of them in memory, with nothing unusual.
    pub(super) fn three(&self) -> Vec<Node> {
        self.found(&NAMES, |name| self.config(name))
    }

    /// One node without peers, in its seat.
    pub(super) fn alone(&self, config: Config) -> Node {
        let node = self.start(config);
        node.wait_ready(AGES).expect("it takes its seat");
        node
    }

    pub(super) fn is_there(&self, name: &str) -> bool {
        fs::exists(self.dir(name)).expect("it can be looked at")
    }
}

pub(super) const NAMES: [&str; 3] = ["n1", "n2", "n3"];

/// Certificates of `n1` to `n9`, by an authority of their own.
pub(super) fn certificates(product: &dyn Product) -> BTreeMap<NodeId, Tls> {
    let names: Vec<NodeId> = (1..=9).map(|number| id(&format!("n{number}"))).collect();
    let tls = product.certificates(&names).unwrap_or_else(|why| panic!("no certificates: {why}"));
    names.into_iter().zip(tls).collect()
}

pub(super) fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

pub(super) fn member(text: &str) -> Member {
    text.parse().expect(text)
}

/// A node where it listens.
pub(super) fn at(node: &Node) -> Member {
    Member { node: node.id(), address: node.local_addr().to_string().parse().ok() }
}

pub(super) fn set(key: impl Into<String>, value: impl Into<String>) -> Command {
    Command::Set { key: key.into().into(), value: value.into().into() }
}

/// At a port that can be had again later.
pub(super) fn free() -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(free_address()) {
            return listener;
        }
    }
}

/// At whatever address others may come by.
pub(super) fn everywhere() -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port")
}

pub(super) fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

pub(super) fn peer(config: Config, name: &str, port: u16) -> Config {
    config.peer(name, "127.0.0.1", port).expect("a good name")
}

/// It is told where this node is.
pub(super) fn knowing(config: Config, node: &Node) -> Config {
    peer(config, node.id().as_str(), node.local_addr().port())
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What one node knows of another, or of itself.
pub(super) fn known(by: &Node, name: &str) -> Option<MemberStatus> {
    by.members().expect("it runs").into_iter().find(|member| member.node_id.as_str() == name)
}

pub(super) fn part(by: &Node, name: &str) -> Option<Part> {
    known(by, name).map(|member| member.part)
}

pub(super) fn standing(node: &Node) -> Standing {
    node.status().expect("it runs").standing
}

/// What a node has under a key, as text.
pub(super) fn value(node: &Node, key: &str) -> Option<String> {
    let found = node.get(key.to_owned()).expect("read");
    found.map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// The leader, by its place, once all of them know it.
pub(super) fn leader(nodes: &[Node]) -> usize {
    let mut leader = None;
    until("all know the same leader", || {
        let first = nodes[0].leader_id();
        leader = nodes.iter().position(|node| Some(node.id()) == first);
        leader.is_some() && nodes.iter().all(|node| node.leader_id() == first)
    });
    leader.expect("just found")
}

/// The leader, and the others.
pub(super) fn split(nodes: Vec<Node>) -> (Node, Vec<Node>) {
    let mut nodes = nodes;
    let leader = leader(&nodes);
    (nodes.remove(leader), nodes)
}

pub(super) fn end_all(nodes: &[Node]) {
    thread::scope(|scope| {
        for node in nodes {
            scope.spawn(|| node.end());
        }
    });
}

pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(why)) => why,
        other => panic!("it is not refused: {other:?}"),
    }
}

pub(super) fn obstacle(result: Result<u64, Error>) -> Obstacle {
    match refused(result) {
        Refusal::NotChanged { why } => why,
        other => panic!("no obstacle: {other:?}"),
    }
}

/// Reads on until an event is as wanted.
pub(super) fn hears(events: &mut Events, what: &str, is_wanted: impl Fn(&Event) -> bool) {
    let end = Instant::now() + AGES;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let notice = events.next_timeout(left).unwrap_or_else(|| panic!("in vain: it is told {what}"));
        if notice.event().is_some_and(&is_wanted) {
            return;
        }
    }
}
