//! The handle of a node.

mod members;
mod recovery;
mod tls;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::host::{Commit, Deleted, Notice, Renewal, StartError, Swap, TooManyWatchers, bind};
use diskeyval_core::{
    Command, Config, Error, Expect, Fault, Metrics, NodeId, Outcome, Peer, Read, Refusal, Request, Status,
    StorageFault, Versioned, View, explain,
};

use crate::driver::Shared;
use crate::events::Events;
use crate::lock;
use crate::notifier::SubscriptionId;
use crate::own_loop::Driver;
use crate::pending::{Pending, Promise};
use crate::queue::{Ask, End, Reply};
use crate::start::{self, Started};
use crate::typed::Typed;

/// A running node: a linearizable map of bytes to bytes, shared with its peers.
///
/// A handle is cheap to clone, and every clone means the same node. All methods take `&self` and can be
/// called from any thread; those that wait do so for the `proposal_timeout` of the configuration at the
/// most ([`with_timeout`](Node::with_timeout) makes a handle with another one).
///
/// Two threads live for each node: `dkv-<id>-io` drives it (unless a loop of the program's does:
/// [`with_driver`](Node::with_driver)), and `dkv-<id>-events` runs the functions that
/// were given to [`on`](Node::on) and [`Pending::on_complete`]. With `persistence` there is a third,
/// `dkv-<id>-disk`, which alone waits for the disk; with `tls_files` there is `dkv-<id>-certs`, which looks at them.
///
/// The node ends with [`end`](Node::end), or when the last handle is dropped. Its directory is free for another
/// node once `end` has returned.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
    budget: Duration,
}

/// One for all handles: the last one that is dropped ends the node.
struct Inner {
    shared: Arc<Shared>,
    node_id: NodeId,
    peers: Vec<Peer>,
    /// It joins a cluster: before that has taken it in, it knows no members.
    joins: bool,
    local_addr: SocketAddr,
    /// Where its certificates come from.
    renewal: Arc<Mutex<Renewal>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopping: AtomicBool,
    subscriptions: AtomicU64,
    /// How many want to hear of changes.
    listeners: Arc<Listeners>,
}

impl Node {
    /// Starts a node: it listens, dials its peers, and takes part, until it is told to end.
    ///
    /// It does not wait for the others ([`wait_ready`](Node::wait_ready) does): a call that needs them
    /// waits for them itself. With `persistence` it waits until the node has read what it had kept. A node that finds
    /// a file of its own damaged starts, and keeps out of everything ([`Notice::Damaged`], [`Standing::Damaged`](crate::Standing::Damaged))
    /// until a leader offers to take it in again.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why the address or the directory cannot be used.
    #[doc(alias = "diskeyval")]
    pub fn start(config: Config) -> Result<Node, StartError> {
        Node::start_on(bind(&config)?, config)
    }

    /// Starts a node behind a listener that is bound already. For those who must know the port before the node
    /// runs. The listener's port goes before that of the configuration, and so does its address, unless the
    /// configuration has the name of a host: others are told what is so.
    ///
    /// # Errors
    /// As [`start`](Node::start).
    pub fn start_on(listener: TcpListener, mut config: Config) -> Result<Node, StartError> {
        let started = start::start_on(listener, &mut config)?;
        Ok(Node::of(started, config))
    }

    /// Makes a node, and what drives it, for those who do that in a loop of their own: the node has no thread
    /// `dkv-<id>-io`. It listens from now on, and lives by the [turns](Driver::turn) that are taken.
    ///
    /// With `persistence`, [`wait_open`](Node::wait_open) tells whether it could read what it had kept.
    ///
    /// # Errors
    /// As [`start`](Node::start), but for what lies in the directory.
    pub fn with_driver(config: Config) -> Result<(Node, Driver), StartError> {
        Node::with_driver_on(bind(&config)?, config)
    }

    /// As [`with_driver`](Node::with_driver), behind a listener that is bound already ([`start_on`](Node::start_on)).
    ///
    /// # Errors
    /// As [`with_driver`](Node::with_driver).
    pub fn with_driver_on(listener: TcpListener, mut config: Config) -> Result<(Node, Driver), StartError> {
        let (started, driving) = start::make_on(listener, &mut config)?;
        Ok((Node::of(started, config), Driver::new(driving)))
    }

    /// The handle of a node that has been started with this configuration.
    pub(crate) fn of(started: Started, config: Config) -> Node {
        let Started { shared, local_addr, renewal, threads } = started;
        let inner = Inner {
            listeners: Arc::new(Listeners { count: Mutex::new(0), shared: shared.clone() }),
            shared,
            node_id: config.node_id,
            peers: config.peers,
            joins: config.join,
            local_addr,
            renewal,
            threads: Mutex::new(threads),
            stopping: AtomicBool::new(false),
            subscriptions: AtomicU64::new(1),
        };
        Node { inner: Arc::new(inner), budget: config.proposal_timeout }
    }

    /// A handle of the same node whose calls wait for `budget` at the most.
    #[must_use]
    pub fn with_timeout(&self, budget: Duration) -> Node {
        Node { inner: self.inner.clone(), budget }
    }

    // ---- Writes -----------------------------------------------------------------------------------

    /// Gives a key a value. When this returns `Ok`, the write is committed on a majority, a local read
    /// on this node sees it, and it was applied once, however often the leader changed in between.
    ///
    /// # Errors
    /// [`Error::Refused`]: certain to have no effect. [`Error::Unknown`]: it may have its effect, or not;
    /// read to find out.
    pub fn set(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<Commit, Error> {
        let command = Command::Set { key: key.into(), value: value.into() };
        self.submit(command).wait().map(Commit::from)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`set`](Node::set).
    pub fn delete(&self, key: impl Into<Bytes>) -> Result<Deleted, Error> {
        self.submit(Command::Delete { key: key.into() }).wait().map(Deleted::from)
    }

    /// Gives a key a value if it is as expected (absent, of a value, of a revision), else does nothing.
    ///
    /// One that does not match is an entry of the log all the same, and the log is bounded: wait for a change
    /// ([`events`](Node::events)) before trying again, rather than polling.
    ///
    /// # Errors
    /// As [`set`](Node::set).
    #[doc(alias = "cas")]
    pub fn compare_and_set(
        &self,
        key: impl Into<Bytes>,
        expect: Expect,
        value: impl Into<Bytes>,
    ) -> Result<Swap, Error> {
        let command = Command::CompareAndSet { key: key.into(), expect, value: value.into() };
        self.submit(command).wait().map(Swap::from)
    }

    /// Hands a write over without waiting for it. Writes that were handed over by one thread before the
    /// first of them is done may be committed in another order.
    pub fn submit(&self, command: Command) -> Pending<Outcome> {
        self.ask(Request::Write(command), Reply::Write)
    }

    // ---- Reads ------------------------------------------------------------------------------------

    /// The value of a key, if there is one. It reflects every write that was acknowledged anywhere
    /// before this call, whichever node is asked.
    ///
    /// # Errors
    /// [`Error::Refused`]: no majority could be asked in time, or this node does not serve.
    pub fn get(&self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        Ok(self.get_with(key, Read::Linearizable)?.map(|versioned| versioned.value))
    }

    /// The value of a key with its revision, as fresh as is asked for: [`Read::Local`] answers at once
    /// with what this node has applied, which may be behind.
    ///
    /// # Errors
    /// As [`get`](Node::get).
    pub fn get_with(&self, key: impl Into<Bytes>, read: Read) -> Result<Option<Versioned>, Error> {
        self.submit_get(key, read).wait()
    }

    /// Hands a read over without waiting for it.
    pub fn submit_get(&self, key: impl Into<Bytes>, read: Read) -> Pending<Option<Versioned>> {
        self.ask(Request::Get { key: key.into(), read }, Reply::Read)
    }

    /// All keys and values that this node has applied, frozen at one moment.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has ended.
    #[doc(alias = "state")]
    pub fn view(&self) -> Result<View, Error> {
        self.ask(Request::View, Reply::View).wait()
    }

    /// Has this node write a snapshot of its state now, however little its log has grown, and waits until that is
    /// durable. Gives the revision that it reflects. Writes go on meanwhile. In memory-only mode there is nothing to
    /// be written: the log is released at once.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no state yet, or the node has ended. [`Error::Unknown`] if it is still being
    /// written when the time is over: it goes on.
    #[doc(alias = "compact")]
    pub fn snapshot(&self) -> Result<u64, Error> {
        self.ask(Request::Snapshot, Reply::Snapshot).wait()
    }

    /// Keys as bytes, values as a type of yours, by postcard.
    pub fn typed<T>(&self) -> Typed<'_, T> {
        Typed::new(self)
    }

    // ---- Events -----------------------------------------------------------------------------------

    /// Calls `function` for everything that happens from now on: every committed update once, in the
    /// order of revisions, every change of leadership, every link. It runs on the thread
    /// `dkv-<id>-events`, and may call the node, [`off`](Node::off) included. If it panics, its
    /// subscription ends, with an error in the log.
    ///
    /// A function that holds a handle of its own node keeps it alive until [`end`](Node::end).
    ///
    /// # Errors
    /// There are too many of them and of [`events`](Node::events) already ([`Limits::max_watchers`](crate::Limits)).
    pub fn on(
        &self,
        mut function: impl FnMut(&Notice) + Send + 'static,
    ) -> Result<SubscriptionId, TooManyWatchers> {
        let id = SubscriptionId(self.inner.subscriptions.fetch_add(1, Ordering::Relaxed));
        let guard = self.inner.listeners.clone().join();
        self.inner.shared.hub.add_function(
            id,
            Box::new(move |notice| {
                let _listening = &guard;
                function(notice);
            }),
        )?;
        Ok(id)
    }

    /// Ends a subscription. A call of its function that is under way is not waited for. A subscription
    /// that has ended already is no error.
    pub fn off(&self, id: SubscriptionId) {
        self.inner.shared.hub.remove_function(id);
    }

    /// Everything that happens from now on, as an iterator that waits.
    ///
    /// # Errors
    /// There are too many of them and of functions ([`on`](Node::on)) already ([`Limits::max_watchers`](crate::Limits)).
    #[doc(alias = "watch")]
    pub fn events(&self) -> Result<Events, TooManyWatchers> {
        let guard = self.inner.listeners.clone().join();
        let shared = self.inner.shared.clone();
        let mailbox = shared.hub.add_mailbox()?;
        Ok(Events::new(mailbox.clone(), move || {
            shared.hub.remove_mailbox(&mailbox);
            drop(guard);
        }))
    }

    // ---- What this node knows ---------------------------------------------------------------------

    /// The name of this node.
    #[doc(alias = "nodeId")]
    pub fn id(&self) -> &NodeId {
        &self.inner.node_id
    }

    /// Where it listens. With port 0 in the configuration, this tells the real one.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// The other nodes that it was told of at its start, and where they were said to be. Who is a member now is told
    /// by [`members`](Node::members).
    #[doc(alias = "getPeers")]
    pub fn peers(&self) -> Vec<Peer> {
        self.inner.peers.clone()
    }

    /// Whether this node leads, as far as it knows. Never waits.
    #[doc(alias = "isLeader")]
    pub fn is_leader(&self) -> bool {
        self.inner.shared.board.read(|news| news.is_leader)
    }

    /// The leader, if this node knows one. Never waits.
    #[doc(alias = "leaderId")]
    pub fn leader_id(&self) -> Option<NodeId> {
        self.inner.shared.board.read(|news| news.leader.clone())
    }

    /// The counters of this node, as of its last turn. Never waits.
    #[doc(alias = "getMetrics")]
    pub fn metrics(&self) -> Metrics {
        self.inner.shared.board.read(|news| news.metrics)
    }

    /// What this node knows of itself and its peers.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has ended.
    pub fn status(&self) -> Result<Status, Error> {
        self.ask(Request::Status, Reply::Status).wait()
    }

    /// Whether this node is in its seat of the membership, a learner's perhaps, and serves, and no change of the
    /// members is open. Never waits.
    pub fn ready(&self) -> bool {
        self.inner.shared.board.read(|news| news.is_member)
    }

    /// Why the node has halted by itself, if it has.
    pub fn fault(&self) -> Option<Fault> {
        self.inner.shared.board.read(|news| match &news.end {
            Some(End::Halted(fault)) => Some(fault.clone()),
            _ => None,
        })
    }

    /// Waits until this node knows a leader.
    ///
    /// # Errors
    /// [`Refusal::NoQuorum`] if there is none in time, and what stood in the way.
    pub fn wait_leader(&self, timeout: Duration) -> Result<NodeId, Error> {
        let known = self.inner.shared.board.wait(Some(timeout), |news| {
            news.end.as_ref().map(|end| Err(end.refusal().into())).or_else(|| news.leader.clone().map(Ok))
        });
        known.unwrap_or_else(|| Err(Refusal::NoQuorum { why: self.obstacles() }.into()))
    }

    /// Waits until the node has read what it had kept, which [`start`](Node::start) does by itself. In memory-only mode that
    /// is so at once. How it fares afterwards, and whatever else may go wrong, is told by [`fault`](Node::fault).
    ///
    /// # Errors
    /// What lies in the directory is not for this node, or cannot be read: the node has ended.
    pub fn wait_open(&self) -> Result<(), StorageFault> {
        start::wait_until_open(&self.inner.shared)
    }

    /// Waits until this node is in its seat ([`ready`](Node::ready)). Rolling restarts wait for this
    /// before they go on to the next node. One that joins is there once somebody has announced it
    /// ([`add_learner`](Node::add_learner)).
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`] if it is not in time, and what it waits for.
    pub fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        let ready = self.inner.shared.board.wait(Some(timeout), |news| {
            news.end
                .as_ref()
                .map(|end| Err(end.refusal().into()))
                .or_else(|| news.is_member.then_some(Ok(())))
        });
        ready.unwrap_or_else(|| Err(Refusal::NotAdmitted { why: self.obstacles() }.into()))
    }

    // ---- Leadership -------------------------------------------------------------------------------

    /// Has another node lead, and waits until this one sees it lead; at once if it does. `None` stands for whoever is most
    /// advanced, but not for the present leader. Any node can be asked. Writes wait meanwhile, for an election timeout at
    /// the most; then the leader gives up, and goes on.
    ///
    /// # Errors
    /// [`Refusal::NotTransferred`] names who is in the way: the wanted node is no member, is not in its seat, is not
    /// linked to the leader or has not caught up, or leadership is being handed over already. [`Refusal::NoQuorum`]: no
    /// leader was known in all the time. [`Error::Unknown`]: the leader was asked, or the wanted node even told, and
    /// nothing came of it in time; leadership may still move. It is no write: to ask again does no harm.
    #[doc(alias = "step_down")]
    pub fn transfer_leadership(&self, to: Option<&NodeId>, timeout: Duration) -> Result<(), Error> {
        let request = Request::TransferLeadership { to: to.cloned() };
        self.with_timeout(timeout).ask(request, Reply::Transfer).wait()
    }

    // ---- The end ----------------------------------------------------------------------------------

    /// Ends the node: leadership is handed over, pending calls end as [`Refusal::Stopped`] or
    /// [`Doubt::Stopped`](crate::Doubt::Stopped), connections are closed in order. Returns when all is
    /// done, which takes two election timeouts and two seconds at the most, five more if the disk does not answer, and
    /// as long as functions of the program still run on the thread `dkv-<id>-events`. Calling it again, or from several threads
    /// or from such a function, does no harm.
    #[doc(alias = "shutdown")]
    #[doc(alias = "close")]
    pub fn end(&self) {
        self.inner.stop();
        self.inner.shared.board.wait(None, |news| news.end.clone());
        let threads = std::mem::take(&mut *lock(&self.inner.threads));
        for thread in threads {
            // A function on the notifier's thread may end the node: it does not wait for itself.
            if thread.thread().id() != thread::current().id() {
                // Both threads catch what panics in them.
                let _ = thread.join();
            }
        }
    }

    /// Has the node end, as [`end`](Node::end) does, and does not wait for that.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Whether everything of this node is closed.
    #[cfg(feature = "dev-certs")]
    pub(crate) fn has_ended(&self) -> bool {
        self.inner.shared.board.read(|news| news.end.is_some())
    }

    /// Whether this node leads within `span`.
    #[cfg(feature = "dev-certs")]
    pub(crate) fn wait_to_lead(&self, span: Duration) -> bool {
        self.inner.shared.board.wait(Some(span), |news| news.is_leader.then_some(())).is_some()
    }

    fn ask<T>(&self, request: Request, reply: impl FnOnce(Promise<T>) -> Reply) -> Pending<T> {
        let shared = &self.inner.shared;
        let (promise, pending) = Promise::new(&shared.hub);
        shared.queue.push(Ask::Request { request, budget: self.budget, reply: reply(promise) });
        pending
    }

    /// What stands in the way, as far as this node knows.
    fn obstacles(&self) -> String {
        match self.status() {
            Ok(status) => explain(&[status]).to_string(),
            Err(error) => error.to_string(),
        }
    }
}

impl Inner {
    /// Asks the driver to stop, once.
    fn stop(&self) {
        if !self.stopping.swap(true, Ordering::AcqRel) {
            // Nobody waits for this answer: the end stands on the board.
            let (promise, _pending) = Promise::new(&self.shared.hub);
            let budget = Duration::from_secs(3600);
            self.shared.queue.push(Ask::Request {
                request: Request::Stop,
                budget,
                reply: Reply::Stop(promise),
            });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The threads go on until the node has ended in order; nobody waits for them.
        self.stop();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.inner.node_id)
            .field("local_addr", &self.inner.local_addr)
            .finish_non_exhaustive()
    }
}

/// Counts who wants to hear of changes: the engine makes none up while nobody does.
struct Listeners {
    count: Mutex<usize>,
    shared: Arc<Shared>,
}

impl Listeners {
    fn join(self: Arc<Self>) -> Listening {
        let mut count = lock(&self.count);
        *count += 1;
        // Pushed under the lock: the last word to the engine must be the right one.
        if *count == 1 {
            self.shared.queue.push(Ask::Listen { changes: true });
        }
        drop(count);
        Listening(self)
    }
}

/// As long as this lives, somebody listens.
struct Listening(Arc<Listeners>);

impl Drop for Listening {
    fn drop(&mut self) {
        let mut count = lock(&self.0.count);
        *count -= 1;
        if *count == 0 {
            self.0.shared.queue.push(Ask::Listen { changes: false });
        }
    }
}

const _: fn() = || {
    fn shared_freely<T: Clone + Send + Sync + 'static>() {}
    shared_freely::<Node>();
    fn sent<T: Send + 'static>() {}
    sent::<Pending<Outcome>>();
    sent::<Events>();
};
