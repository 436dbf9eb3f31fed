//! All connections of a node: what comes in on them becomes inputs of the engine, and what the engine wants becomes bytes.
//! No decision about the protocol is taken here, nothing is tried again, and the only clocks are the deadlines of single
//! sockets.
//!
//! Each connection is a task that owns its stream. What it and the driver have for each other, they leave on a desk:
//!
//! ```text
//! accept.rs: accepted ─┐                                      ┌─ orders: bytes to send, to close ── driver
//!                      ├─> handshake.rs ─> link.rs <─ desk.rs ┤
//! dial.rs: dialled ────┘                                      └─ news: inputs for the engine ─────> driver
//! ```

mod accept;
mod desk;
mod dial;
mod handshake;
mod inbound;
mod link;
mod names;
mod renewal;
#[cfg(all(test, feature = "dev-certs", any(feature = "ring", feature = "aws-lc-rs")))]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_rustls::{TlsAcceptor, TlsConnector};
use bytes::Bytes;
use diskeyval_core::host::Visitors;
use diskeyval_core::identity::Identity;
use diskeyval_core::tls::Policy;
use diskeyval_core::{Address, CloseReason, ConnId, DialId, Input, Limits, Metrics, NodeId, Origin};
use rustls::pki_types::CertificateDer;
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer};
use tracing::debug;

use self::accept::Door;
use self::desk::{Desk, Mail, News};
use self::names::Names;
use crate::bell::Bell;
use crate::lock;

/// How long a connection that is being closed may take to deliver what was sent on it.
const CLOSING: Duration = Duration::from_secs(1);

/// The driver's end of all connections.
pub(crate) struct Net {
    common: Arc<Common>,
    door: Door,
    /// The next number of a connection, which is its [`ConnId`] once it is open.
    next: u64,
    connections: BTreeMap<u64, Connection>,
    /// Accepted connections that have not shown a certificate; the lowest number is the oldest.
    strangers: BTreeSet<u64>,
}

/// What the tasks of a node share.
struct Common {
    node: NodeId,
    /// By what connections are made; it may be replaced.
    policy: Mutex<Policy>,
    /// How long a handshake may take.
    handshake: Duration,
    names: Names,
    mail: Arc<Mail>,
    visitors: Mutex<Visitors>,
}

struct Connection {
    desk: Arc<Desk>,
    stage: Stage,
    remote: Option<SocketAddr>,
    /// If we have made it.
    dial: Option<DialId>,
    /// The certificates at the other end, once they were shown.
    shown: Vec<CertificateDer<'static>>,
    /// Dropping it cuts the connection off.
    _task: Task<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The engine has not been told of it yet.
    Coming,
    Open,
    /// The engine is done with it.
    Going,
}

impl Net {
    pub(crate) fn new(
        listener: TcpListener,
        node: NodeId,
        policy: &Policy,
        handshake: Duration,
        limits: &Limits,
        bell: Arc<Bell>,
        executor: &Executor<'static>,
    ) -> Net {
        let common = Common {
            policy: Mutex::new(policy.clone()),
            handshake,
            names: Names::default(),
            mail: Arc::new(Mail::new(bell.clone())),
            visitors: Mutex::new(Visitors::new(node.clone(), limits)),
            node: node.clone(),
        };
        Net {
            common: Arc::new(common),
            door: Door::open(listener, node, bell, executor),
            next: 1,
            connections: BTreeMap::new(),
            strangers: BTreeSet::new(),
        }
    }

    /// What has arrived since the last time, in its order.
    pub(crate) fn collect(&mut self, inputs: &mut Vec<Input>, executor: &Executor<'static>) {
        for news in self.common.mail.take() {
            match news {
                News::Ended(id) => {
                    self.strangers.remove(&id);
                    self.connections.remove(&id);
                }
                News::Failed(input) => inputs.push(input),
                News::Shown(id, certificates) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.shown = certificates;
                    }
                }
                News::Of(id, input) => {
                    let Some(connection) = self.connections.get_mut(&id) else { continue };
                    if let Input::Received { bytes, .. } = &input {
                        connection.desk.taken(bytes.len());
                    }
                    match (&input, connection.stage) {
                        (Input::Opened { .. }, _) => {
                            connection.stage = Stage::Open;
                            self.strangers.remove(&id);
                        }
                        (Input::Closed { .. }, Stage::Open) => connection.stage = Stage::Going,
                        (_, Stage::Open) => {}
                        // The engine has closed it, and wants to hear no more of it.
                        (_, Stage::Coming | Stage::Going) => continue,
                    }
                    inputs.push(input);
                }
            }
        }
        // Behind the mail: whoever has shown a certificate by now is no stranger who would have to make room.
        while let Some((stream, remote)) = self.door.next() {
            self.let_in(stream, remote, executor);
        }
    }

    /// Begins to connect.
    pub(crate) fn dial(
        &mut self,
        dial: DialId,
        peer: &NodeId,
        address: Address,
        within: Duration,
        executor: &Executor<'static>,
    ) {
        debug!(node = %self.common.node, %peer, %address, "dialling");
        let (common, desk, id) = (self.common.clone(), Arc::new(Desk::default()), self.next_id());
        let task = executor.spawn(dial::dialled(common, desk.clone(), id, dial, address, within));
        let connection = Connection::new(desk, None, Some(dial), task);
        self.connections.insert(id, connection);
    }

    /// Sends bytes on a connection, if it is still there.
    pub(crate) fn send(&self, to: ConnId, bytes: Bytes) {
        if let Some(connection) = self.connections.get(&to.0)
            && connection.stage == Stage::Open
            && !bytes.is_empty()
        {
            connection.desk.send(bytes);
        }
    }

    /// Closes a connection once what was sent on it has left.
    pub(crate) fn close(&mut self, which: ConnId, why: &CloseReason) {
        if let Some(connection) = self.connections.get_mut(&which.0) {
            debug!(node = %self.common.node, conn = %which, %why, "closing a connection");
            connection.stage = Stage::Going;
            connection.desk.close();
        }
    }

    /// Has the tasks of connections see what was ordered: once a turn for each, so that what belongs together leaves
    /// together.
    pub(crate) fn flush(&self) {
        for connection in self.connections.values() {
            connection.desk.flush();
        }
    }

    /// Closes everything in order, waits for that as long as a close may take, and lets go.
    pub(crate) async fn shut_down(&mut self, bell: &Bell) {
        self.door.close();
        self.connections.retain(|_, connection| connection.stage != Stage::Coming);
        for connection in self.connections.values_mut() {
            connection.stage = Stage::Going;
            connection.desk.close();
            connection.desk.flush();
        }
        let all_gone = async {
            while !self.connections.is_empty() {
                for news in self.common.mail.take() {
                    if let News::Ended(id) = news {
                        self.connections.remove(&id);
                    }
                }
                if !self.connections.is_empty() {
                    bell.heard().await;
                }
            }
        };
        let late = async {
            // Each of them ends itself after this; one that is not given the time to is cut off.
            Timer::after(CLOSING + CLOSING / 4).await;
        };
        futures_lite::future::or(all_gone, late).await;
        self.connections.clear();
    }

    /// Adds what became of connections to the counters of the engine.
    pub(crate) fn add_to(&self, metrics: &mut Metrics) {
        lock(&self.common.visitors).add_to(metrics);
    }

    fn let_in(&mut self, stream: TcpStream, remote: SocketAddr, executor: &Executor<'static>) {
        self.make_room(remote);
        let mut present = self.connections.values().filter(|connection| connection.remote.is_some()).count();
        if present >= lock(&self.common.visitors).max_connections() && self.cut_oldest_goner() {
            present -= 1;
        }
        if !lock(&self.common.visitors).lets_in(remote, present) {
            return;
        }
        let (common, desk, id) = (self.common.clone(), Arc::new(Desk::default()), self.next_id());
        let task = executor.spawn(handshake::accepted(common, desk.clone(), id, stream, remote));
        let connection = Connection::new(desk, Some(remote), None, task);
        self.connections.insert(id, connection);
        self.strangers.insert(id);
    }

    /// Who is on its way out must not keep others from coming in.
    fn cut_oldest_goner(&mut self) -> bool {
        let is_going =
            |connection: &Connection| connection.remote.is_some() && connection.stage == Stage::Going;
        let oldest = self.connections.iter().find(|(_, connection)| is_going(connection)).map(|(id, _)| *id);
        oldest.and_then(|id| self.connections.remove(&id)).is_some()
    }

    /// Strangers are few at a time. The oldest has had its chance.
    fn make_room(&mut self, newcomer: SocketAddr) {
        let mut visitors = lock(&self.common.visitors);
        while self.strangers.len() >= visitors.max_strangers() {
            let Some(oldest) = self.strangers.pop_first() else { return };
            let Some(from) = self.connections.remove(&oldest).and_then(|connection| connection.remote) else {
                continue;
            };
            visitors.cut(from, newcomer);
        }
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }
}

impl Connection {
    fn new(desk: Arc<Desk>, remote: Option<SocketAddr>, dial: Option<DialId>, task: Task<()>) -> Connection {
        Connection { desk, stage: Stage::Coming, remote, dial, shown: Vec::new(), _task: task }
    }
}

impl Common {
    fn acceptor(&self) -> TlsAcceptor {
        lock(&self.policy).server_config().into()
    }

    fn connector(&self) -> TlsConnector {
        lock(&self.policy).client_config().into()
    }

    /// A connection that has shown its certificate is the engine's from now on.
    fn opened(&self, id: u64, who: Identity, shown: Vec<CertificateDer<'static>>, origin: Origin) {
        debug!(node = %self.node, conn = %ConnId(id), %who, "a connection is open");
        self.mail.post_for_later(News::Shown(id, shown));
        self.mail.post(News::Of(id, Input::Opened { conn: ConnId(id), who, origin }));
    }
}
