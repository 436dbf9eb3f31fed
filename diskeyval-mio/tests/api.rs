//! The level of the suite that is about what programs are offered.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use diskeyval_mio::{
    Address, Cluster, Command, Commit, Config, Deleted, Error, Events, Expect, Fault, Member, MemberChange,
    MemberStatus, Metrics, Node, NodeId, Notice, Outcome, Peer, Pending, Read, RecoverError, Recoverable,
    Recovered, Recovery, RenewalError, StartError, Status, StorageFault, Swap, Tls, TooManyWatchers,
    Versioned, View,
};
use diskeyval_sim::conformance::Adapter;
use diskeyval_sim::conformance::api::{self, Parcel, Product};

#[path = "conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod adapter;

struct Mio;

struct Handle(Node);

struct Waiting<T>(Pending<T>);

struct Telling(Events);

struct Group(Cluster);

struct Left(Recoverable);

impl Product for Mio {
    fn name(&self) -> &'static str {
        "mio"
    }

    fn sources(&self) -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        vec![root.join("src"), root.join("../diskeyval-core/src/host/recover.rs")]
    }

    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> {
        adapter::Mio.certificates(nodes)
    }

    fn is_of_the_process(&self, thread: &str) -> bool {
        adapter::Mio.is_of_the_process(thread)
    }

    fn start(&self, config: Config) -> Result<api::Node, StartError> {
        Node::start(config).map(|node| api::Node::new(Handle(node)))
    }

    fn start_on(&self, listener: TcpListener, config: Config) -> Result<api::Node, StartError> {
        Node::start_on(listener, config).map(|node| api::Node::new(Handle(node)))
    }

    fn with_driver(&self, config: Config) -> Result<(api::Node, api::Drive), StartError> {
        Node::with_driver(config).map(|(node, mut driver)| {
            let drive = move || while driver.turn_within(Duration::MAX).is_continue() {};
            (api::Node::new(Handle(node)), Box::new(drive) as api::Drive)
        })
    }

    fn with_driver_on(
        &self,
        listener: TcpListener,
        config: Config,
    ) -> Result<(api::Node, api::Drive), StartError> {
        Node::with_driver_on(listener, config).map(|(node, mut driver)| {
            let drive = move || while driver.turn_within(Duration::MAX).is_continue() {};
            (api::Node::new(Handle(node)), Box::new(drive) as api::Drive)
        })
    }

    fn dev(&self, nodes: usize) -> Result<api::Cluster, String> {
        let cluster = Cluster::dev(nodes);
        cluster.map(|cluster| api::Cluster::new(Group(cluster))).map_err(|error| error.to_string())
    }

    fn dev_with(&self, nodes: usize, adjust: &dyn Fn(Config) -> Config) -> Result<api::Cluster, String> {
        let cluster = Cluster::dev_with(nodes, adjust);
        cluster.map(|cluster| api::Cluster::new(Group(cluster))).map_err(|error| error.to_string())
    }

    fn recoverable(&self, dir: &Path) -> Result<api::Recoverable, RecoverError> {
        Recoverable::open(dir).map(|left| api::Recoverable::new(Left(left)))
    }
}

impl api::Another for Handle {
    fn another(&self) -> api::Node {
        api::Node::new(Handle(self.0.clone()))
    }
}

impl api::Calls for Handle {
    fn with_timeout(&self, budget: Duration) -> api::Node {
        api::Node::new(Handle(self.0.with_timeout(budget)))
    }

    fn set(&self, key: Bytes, value: Bytes) -> Result<Commit, Error> {
        self.0.set(key, value)
    }

    fn delete(&self, key: Bytes) -> Result<Deleted, Error> {
        self.0.delete(key)
    }

    fn compare_and_set(&self, key: Bytes, expect: Expect, value: Bytes) -> Result<Swap, Error> {
        self.0.compare_and_set(key, expect, value)
    }

    fn submit(&self, command: Command) -> api::Pending<Outcome> {
        api::Pending::new(Waiting(self.0.submit(command)))
    }

    fn get(&self, key: Bytes) -> Result<Option<Bytes>, Error> {
        self.0.get(key)
    }

    fn get_with(&self, key: Bytes, read: Read) -> Result<Option<Versioned>, Error> {
        self.0.get_with(key, read)
    }

    fn submit_get(&self, key: Bytes, read: Read) -> api::Pending<Option<Versioned>> {
        api::Pending::new(Waiting(self.0.submit_get(key, read)))
    }

    fn view(&self) -> Result<View, Error> {
        self.0.view()
    }

    fn snapshot(&self) -> Result<u64, Error> {
        self.0.snapshot()
    }

    fn typed_set(&self, key: Bytes, value: Parcel) -> Result<Commit, Error> {
        self.0.typed().set(key, &value)
    }

    fn typed_get(&self, key: Bytes) -> Result<Option<Parcel>, Error> {
        self.0.typed().get(key)
    }

    fn typed_get_with(&self, key: Bytes, read: Read) -> Result<Option<Parcel>, Error> {
        self.0.typed().get_with(key, read)
    }

    fn typed_swap(&self, key: Bytes, expect: Option<Parcel>, value: Parcel) -> Result<Swap, Error> {
        self.0.typed().compare_and_set(key, expect.as_ref(), &value)
    }

    fn typed_delete(&self, key: Bytes) -> Result<Deleted, Error> {
        self.0.typed::<Parcel>().delete(key)
    }

    fn events(&self) -> Result<api::Events, TooManyWatchers> {
        self.0.events().map(|events| api::Events::new(Telling(events)))
    }

    fn id(&self) -> NodeId {
        self.0.id().clone()
    }

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    fn peers(&self) -> Vec<Peer> {
        self.0.peers()
    }

    fn is_leader(&self) -> bool {
        self.0.is_leader()
    }

    fn leader_id(&self) -> Option<NodeId> {
        self.0.leader_id()
    }

    fn metrics(&self) -> Metrics {
        self.0.metrics()
    }

    fn status(&self) -> Result<Status, Error> {
        self.0.status()
    }

    fn ready(&self) -> bool {
        self.0.ready()
    }

    fn fault(&self) -> Option<Fault> {
        self.0.fault()
    }

    fn wait_leader(&self, timeout: Duration) -> Result<NodeId, Error> {
        self.0.wait_leader(timeout)
    }

    fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        self.0.wait_ready(timeout)
    }

    fn transfer_leadership(&self, to: Option<NodeId>, timeout: Duration) -> Result<(), Error> {
        self.0.transfer_leadership(to.as_ref(), timeout)
    }

    fn reconfigure(&self, members: Vec<Member>) -> Result<u64, Error> {
        self.0.reconfigure(members)
    }

    fn add_learner(&self, member: Member) -> Result<u64, Error> {
        self.0.add_learner(member)
    }

    fn promote(&self, node: NodeId) -> Result<u64, Error> {
        self.0.promote(&node)
    }

    fn remove(&self, node: NodeId) -> Result<u64, Error> {
        self.0.remove(&node)
    }

    fn update_address(&self, node: NodeId, address: Address) -> Result<u64, Error> {
        self.0.update_address(&node, address)
    }

    fn submit_change(&self, change: MemberChange) -> api::Pending<u64> {
        api::Pending::new(Waiting(self.0.submit_change(change)))
    }

    fn members(&self) -> Result<Vec<MemberStatus>, Error> {
        self.0.members()
    }

    fn recover(&self, timeout: Duration) -> Result<Recovery, Error> {
        self.0.recover_accepting_data_loss(timeout)
    }

    fn end(&self) {
        self.0.end()
    }

    fn reload_tls(&self, tls: Tls) -> Result<(), RenewalError> {
        self.0.reload_tls(&tls.cert, &tls.key, &tls.ca)
    }

    fn reload(&self) -> Result<(), RenewalError> {
        self.0.reload()
    }

    fn stop(&self) {
        self.0.stop()
    }

    fn wait_open(&self) -> Result<(), StorageFault> {
        self.0.wait_open()
    }
}

impl<T: Send + 'static> api::Awaited<T> for Waiting<T> {
    fn wait(self: Box<Self>) -> Result<T, Error> {
        self.0.wait()
    }

    fn wait_timeout(&mut self, span: Duration) -> Option<Result<T, Error>> {
        self.0.wait_timeout(span)
    }

    fn try_take(&mut self) -> Option<Result<T, Error>> {
        self.0.try_take()
    }
}

impl api::Told for Telling {
    fn next(&mut self) -> Option<Notice> {
        self.0.next()
    }

    fn next_timeout(&mut self, span: Duration) -> Option<Notice> {
        self.0.next_timeout(span)
    }

    fn try_next(&mut self) -> Option<Notice> {
        self.0.try_next()
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl api::Group for Group {
    fn node(&self, number: usize) -> api::Node {
        api::Node::new(Handle(self.0.node(number).clone()))
    }

    fn nodes(&self) -> Vec<api::Node> {
        self.0.nodes().iter().map(|node| api::Node::new(Handle(node.clone()))).collect()
    }

    fn leader(&self, timeout: Duration) -> Result<api::Node, Error> {
        self.0.leader(timeout).map(|node| api::Node::new(Handle(node.clone())))
    }

    fn end(&self) {
        self.0.end()
    }
}

impl api::Lost for Left {
    fn report(&self) -> Recovery {
        self.0.report().clone()
    }

    fn accept_data_loss(self: Box<Self>) -> Result<Recovered, RecoverError> {
        self.0.accept_data_loss()
    }
}

fn main() -> ExitCode {
    api::main(&Mio)
}
