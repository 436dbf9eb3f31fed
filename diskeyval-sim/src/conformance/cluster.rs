//! A cluster of nodes in processes of their own, with a proxy between any two, and what a case does with it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{process, thread};

use diskeyval_core::{Address, Config, NodeId, Outcome, Tls};
use serde_json::Value;

use super::AGES;
use super::proxy::{Passage, Proxies};
use super::remote::{Gone, Remote, STARTING, lock, tail};
use super::scratch::Scratch;
use super::words::{Ask, Found, Told, Trouble};

/// What makes certificates.
pub(super) type Certificates<'a> = &'a (dyn Fn(&[NodeId]) -> Result<Vec<Tls>, String> + Sync);

/// Nobody listens there. What a node announces is dialled too, and would lead past the proxies.
const NOWHERE: (&str, u16) = ("127.0.0.1", 1);

/// How long a request may take that is tried again if it fails.
pub(super) const BUDGET: Duration = Duration::from_secs(5);

/// What a cluster is to be.
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// Whether each node has a directory.
    pub(super) disk: bool,
    /// What is different from the usual.
    pub(super) adjust: fn(&mut Config),
}

impl Plan {
    pub(super) fn in_memory(nodes: usize) -> Plan {
        Plan { nodes, disk: false, adjust: |_| {} }
    }

    pub(super) fn on_disk(nodes: usize) -> Plan {
        Plan { nodes, disk: true, adjust: |_| {} }
    }

    pub(super) fn with(self, adjust: fn(&mut Config)) -> Plan {
        Plan { adjust, ..self }
    }
}

pub(super) struct Cluster {
    pub(super) proxies: Proxies,
    pub(super) configs: Vec<Config>,
    /// Where each listens.
    pub(super) addresses: Vec<SocketAddr>,
    nodes: Mutex<Vec<Option<Arc<Remote>>>>,
    scratch: Scratch,
}

impl Cluster {
    /// Plans a cluster. Nobody runs yet.
    pub(super) fn plan(certificates: Certificates<'_>, plan: &Plan) -> Cluster {
        let names: Vec<_> = (0..plan.nodes).map(name).collect();
        let tls =
            certificates(&names).unwrap_or_else(|why| panic!("the adapter makes no certificates: {why}"));
        assert_eq!(tls.len(), names.len(), "a certificate for each node");
        let addresses: Vec<_> = names.iter().map(|_| free_address()).collect();
        let proxies = Proxies::new(&addresses).expect("proxies on loopback");
        let scratch = Scratch::new();
        let mut configs = Vec::new();
        for (own, tls) in tls.into_iter().enumerate() {
            let mut config = Config::new(names[own].as_str()).expect("a good name");
            config = config.listen("127.0.0.1", addresses[own].port());
            config.tls = Some(tls);
            config.advertise = Address::new(NOWHERE.0, NOWHERE.1).ok();
            config.election_timeout = Duration::from_millis(500);
            config.heartbeat = Duration::from_millis(100);
            config.rpc_timeout = Duration::from_secs(2);
            config.founding_grace = Duration::from_millis(200);
            for other in (0..plan.nodes).filter(|other| *other != own) {
                let address = proxies.address(own, other).expect("a proxy for each pair");
                config =
                    config.peer(names[other].as_str(), "127.0.0.1", address.port()).expect("a good name");
            }
            if plan.disk {
                config = config.persist(scratch.path().join(names[own].as_str()).to_str().expect("text"));
            }
            (plan.adjust)(&mut config);
            configs.push(config);
        }
        let nodes = Mutex::new(names.iter().map(|_| None).collect());
        Cluster { proxies, configs, addresses, nodes, scratch }
    }

    /// A cluster that runs, with every node in its seat.
    pub(super) fn start(certificates: Certificates<'_>, plan: &Plan) -> Cluster {
        let cluster = Cluster::plan(certificates, plan);
        for which in 0..plan.nodes {
            cluster.run(which);
        }
        cluster.wait_until_seated();
        cluster
    }

    // ---- Lives ------------------------------------------------------------------------------------

    /// Starts a node; the error is what the adapter says.
    pub(super) fn try_to_run(&self, which: usize, config: &Config) -> Result<(), String> {
        let node = Remote::start(config, &self.log(which))?;
        lock(&self.nodes)[which] = Some(Arc::new(node));
        Ok(())
    }

    pub(super) fn run(&self, which: usize) {
        let started = self.try_to_run(which, &self.configs[which]);
        started.unwrap_or_else(|why| panic!("{} does not start: {why}", name(which)));
    }

    /// Stops a node in order, and checks that it is.
    pub(super) fn stop(&self, which: usize) {
        let node = self.node(which);
        // Two election timeouts, a second for what is being sent, and some for the disk: far less than this.
        assert_eq!(node.ask(Ask::Stop, BUDGET), Ok(Told::Stopped), "{} stops in order", name(which));
        assert!(node.ended(), "the process of {} ends in order: {}", name(which), tail(&self.log(which)));
        lock(&self.nodes)[which] = None;
    }

    /// Kills a node: no word to anybody.
    pub(super) fn kill(&self, which: usize) {
        let node = lock(&self.nodes)[which].take().expect("it runs");
        node.kill();
    }

    /// A node that runs.
    pub(super) fn node(&self, which: usize) -> Arc<Remote> {
        lock(&self.nodes)[which].clone().unwrap_or_else(|| panic!("{} runs", name(which)))
    }

    pub(super) fn node_if_it_runs(&self, which: usize) -> Option<Arc<Remote>> {
        lock(&self.nodes)[which].clone()
    }

    /// Who runs.
    pub(super) fn running(&self) -> Vec<usize> {
        let nodes = lock(&self.nodes);
        nodes.iter().enumerate().filter_map(|(which, node)| node.as_ref().map(|_| which)).collect()
    }

    pub(super) fn directory(&self, which: usize) -> PathBuf {
        self.scratch.path().join(name(which).as_str())
    }

    pub(super) fn path(&self) -> &Path {
        self.scratch.path()
    }

    fn log(&self, which: usize) -> PathBuf {
        self.scratch.path().join(format!("{}.log", name(which)))
    }

    // ---- What nodes say of themselves -------------------------------------------------------------

    pub(super) fn status(&self, which: usize) -> Value {
        match self.node(which).ask(Ask::Status, BUDGET) {
            Ok(Told::Status(status)) => status,
            other => panic!("{} tells no status: {other:?}: {}", name(which), tail(&self.log(which))),
        }
    }

    /// In one word, where it stands.
    pub(super) fn standing(&self, which: usize) -> String {
        self.status(which)["standing"]["is"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until every node that runs is in its seat, and is linked to every other that runs.
    pub(super) fn wait_until_seated(&self) {
        until("every node is in its seat, and linked to the others", || {
            let running = self.running();
            running.iter().all(|&which| {
                let status = self.status(which);
                let linked =
                    |other: usize| member(&status, other).is_some_and(|other| other["linked"] == true);
                status["standing"]["is"] == "member" && running.iter().all(|&other| linked(other))
            })
        });
    }

    /// Waits until all of these agree on a leader among them.
    pub(super) fn leader_of(&self, these: &[usize]) -> usize {
        let mut leader = None;
        until("there is a leader that all agree on", || {
            let known: Vec<_> = these.iter().map(|&which| self.status(which)["leader"].clone()).collect();
            leader = these.iter().copied().find(|&which| {
                known.iter().all(|known| *known == name(which).as_str())
                    && self.status(which)["role"] == "leader"
            });
            leader.is_some()
        });
        leader.expect("just found")
    }

    pub(super) fn leader(&self) -> usize {
        self.leader_of(&self.running())
    }

    /// The leader, and the others that run.
    pub(super) fn split(&self) -> (usize, Vec<usize>) {
        let leader = self.leader();
        (leader, self.running().into_iter().filter(|which| *which != leader).collect())
    }

    // ---- Reads and writes -------------------------------------------------------------------------

    /// Writes through a node until it is committed. Gives the revision.
    pub(super) fn set(&self, which: usize, key: &str, value: &str) -> u64 {
        let mut revision = 0;
        until(&format!("{} commits a write", name(which)), || {
            let ask = Ask::Set { key: key.to_owned(), value: value.to_owned() };
            match self.node(which).ask(ask, BUDGET) {
                Ok(Told::Written(Ok(Outcome::Set { revision: found }))) => {
                    revision = found;
                    true
                }
                Ok(Told::Written(Err(_))) => false,
                other => panic!("{} answers a write by {other:?}: {}", name(which), tail(&self.log(which))),
            }
        });
        revision
    }

    /// Reads from a node, linearizably, until there is an answer.
    pub(super) fn get(&self, which: usize, key: &str) -> Option<Found> {
        let mut answer = None;
        until(&format!("{} answers a read", name(which)), || {
            match self.node(which).ask(Ask::Get { key: key.to_owned() }, BUDGET) {
                Ok(Told::Read(Ok(found))) => {
                    answer = found;
                    true
                }
                Ok(Told::Read(Err(Trouble::Refused(_)))) => false,
                other => panic!("{} answers a read by {other:?}: {}", name(which), tail(&self.log(which))),
            }
        });
        answer
    }

    pub(super) fn value(&self, which: usize, key: &str) -> Option<String> {
        self.get(which, key).map(|found| found.value)
    }

    /// All that a node holds, once it has caught up with all that was acknowledged anywhere.
    pub(super) fn view(&self, which: usize) -> BTreeMap<String, Found> {
        self.get(which, "");
        match self.node(which).ask(Ask::View, BUDGET) {
            Ok(Told::View(view)) => view,
            other => panic!("{} shows no view: {other:?}", name(which)),
        }
    }

    /// Waits until all that run hold the same, to the byte: their hashes are equal at the same index.
    pub(super) fn wait_until_equal(&self) {
        until("all nodes hold the same", || {
            let statuses: Vec<_> = self.running().into_iter().map(|which| self.status(which)).collect();
            statuses.iter().all(|status| {
                ["lastApplied", "stateHash", "keys"].iter().all(|part| status[*part] == statuses[0][*part])
            })
        });
    }

    /// Everybody that runs is in its seat, writes, and reads what the others have written.
    pub(super) fn serves(&self, word: &str) {
        self.wait_until_seated();
        let running = self.running();
        for &writer in &running {
            let key = format!("{word}-{writer}");
            self.set(writer, &key, word);
            for &reader in &running {
                assert_eq!(self.value(reader, &key).as_deref(), Some(word), "{}", name(reader));
            }
        }
    }
}

/// The name of a node by its number.
pub(super) fn name(which: usize) -> NodeId {
    NodeId::new(&format!("node-{which}")).expect("a good name")
}

/// What a status says of another node.
pub(super) fn member(status: &Value, other: usize) -> Option<&Value> {
    status["members"].as_array()?.iter().find(|member| member["nodeId"] == name(other).as_str())
}

/// Waits for something to come about.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + AGES;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a node, asked by this, was gone before it answered.
pub(super) fn is_gone(answer: &Result<Told, Gone>) -> bool {
    *answer == Err(Gone)
}

/// A free address, given once. Its port is none of those that systems give to whoever dials (from 32768 on, or 49152):
/// such a one, once let go, could be taken by a connection before its node starts.
pub(super) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another run of the suite begins elsewhere.
        let place = process::id().wrapping_mul(67).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(place % 20_000).expect("small");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let _none = lock(&STARTING);
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            self.proxies.set_all(Passage::Severed);
            for which in 0..self.configs.len() {
                let log = tail(&self.log(which));
                if !log.is_empty() {
                    super::runner::say(&format!("---- {} said last:\n{log}", name(which)));
                }
            }
        }
    }
}
