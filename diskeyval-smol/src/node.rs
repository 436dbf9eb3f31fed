//! The handle of a node.

mod knowledge;
mod members;
mod recovery;
mod tls;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::host::{Commit, Deleted, Renewal, StartError, Swap, TooManyWatchers};
use diskeyval_core::{
    Answer, Command, Config, Error, Expect, NodeId, Outcome, Peer, Read, Request, Versioned, View, explain,
};

use crate::driver::{Driver, Shared};
use crate::events::Events;
use crate::lock;
use crate::pending::{Pending, Promise, ReadAnswer};
use crate::queue::Ask;
use crate::start::{self, Started};
use crate::typed::Typed;

/// A running node: a linearizable map of bytes to bytes, shared with its peers.
///
/// A handle is cheap to clone, and every clone means the same node. All methods take `&self`, and their futures can be
/// awaited in any runtime. Those that wait do so for the `proposal_timeout` of the configuration at the most
/// ([`with_timeout`](Node::with_timeout) makes a handle with another one).
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
    /// It has a directory.
    is_kept: bool,
    local_addr: SocketAddr,
    /// Where its certificates come from.
    renewal: Arc<Mutex<Renewal>>,
    stopping: AtomicBool,
    /// How many want to hear of changes.
    listeners: Arc<Listeners>,
}

impl Node {
    /// Starts a node: it listens, dials its peers, and takes part, until it is told to end. Its [`Driver`] is spawned on
    /// smol's own executor, which has threads of its own; [`with_driver`](Node::with_driver) leaves that to the caller.
    ///
    /// It does not wait for the others ([`wait_ready`](Node::wait_ready) does): a call that needs them
    /// waits for them itself. With `persistence` it waits until the node has read what it had kept. A node that finds
    /// a file of its own damaged starts, and keeps out of everything ([`Notice::Damaged`](crate::Notice::Damaged),
    /// [`Standing::Damaged`](crate::Standing::Damaged)) until a leader offers to take it in again.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why the address or the directory cannot be used.
    ///
    /// # Cancellation
    /// Dropping the future leaves no node behind: one that runs already ends.
    #[doc(alias = "diskeyval")]
    pub async fn start(config: Config) -> Result<Node, StartError> {
        Node::spawn(Node::with_driver(config).await?).await
    }

    /// Starts a node behind a listener that is bound already. For those who must know the port before the node
    /// runs. The listener's port goes before that of the configuration, and so does its address, unless the
    /// configuration has the name of a host: others are told what is so.
    ///
    /// # Errors
    /// As [`start`](Node::start).
    ///
    /// # Cancellation
    /// As [`start`](Node::start).
    pub async fn start_on(listener: TcpListener, config: Config) -> Result<Node, StartError> {
        Node::spawn(Node::with_driver_on(listener, config).await?).await
    }

    /// Makes a node, and the future that drives it, for those who spawn that themselves: on smol's executor, or unchanged on
    /// any other. It listens from now on, and lives from the first poll on.
    ///
    /// With `persistence`, [`wait_open`](Node::wait_open) tells whether it could read what it had kept.
    ///
    /// # Errors
    /// As [`start`](Node::start).
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind.
    pub async fn with_driver(config: Config) -> Result<(Node, Driver), StartError> {
        let (started, driver) = start::start(None, config).await?;
        Ok((Node::of(started), driver))
    }

    /// As [`with_driver`](Node::with_driver), behind a listener that is bound already ([`start_on`](Node::start_on)).
    ///
    /// # Errors
    /// As [`start`](Node::start).
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind.
    pub async fn with_driver_on(listener: TcpListener, config: Config) -> Result<(Node, Driver), StartError> {
        let (started, driver) = start::start(Some(listener), config).await?;
        Ok((Node::of(started), driver))
    }

    async fn spawn((node, driver): (Node, Driver)) -> Result<Node, StartError> {
        smol::spawn(driver).detach();
        match node.wait_open().await {
            Ok(()) => Ok(node),
            Err(fault) => {
                // Its directory is to be free when this returns.
                node.end().await;
                Err(fault.into())
            }
        }
    }

    fn of(started: Started) -> Node {
        let Started { config, shared, local_addr, renewal } = started;
        let inner = Inner {
            listeners: Arc::new(Listeners { count: Mutex::new(0), shared: shared.clone() }),
            shared,
            node_id: config.node_id,
            peers: config.peers,
            joins: config.join,
            is_kept: config.persistence.is_some(),
            local_addr,
            renewal,
            stopping: AtomicBool::new(false),
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
    ///
    /// # Cancellation
    /// Nothing is written before the first poll. Once polled, the write is never withdrawn: it takes its course, and its
    /// outcome is unknown to whoever has dropped the future. Read to find out.
    pub async fn set(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<Commit, Error> {
        let command = Command::Set { key: key.into(), value: value.into() };
        self.submit(command).await.map(Commit::from)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`set`](Node::set).
    ///
    /// # Cancellation
    /// As [`set`](Node::set).
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<Deleted, Error> {
        self.submit(Command::Delete { key: key.into() }).await.map(Deleted::from)
    }

    /// Gives a key a value if it is as expected (absent, of a value, of a revision), else does nothing.
    ///
    /// One that does not match is an entry of the log all the same, and the log is bounded: wait for a change
    /// ([`events`](Node::events)) before trying again, rather than polling.
    ///
    /// # Errors
    /// As [`set`](Node::set).
    ///
    /// # Cancellation
    /// As [`set`](Node::set).
    #[doc(alias = "cas")]
    pub async fn compare_and_set(
        &self,
        key: impl Into<Bytes>,
        expect: Expect,
        value: impl Into<Bytes>,
    ) -> Result<Swap, Error> {
        let command = Command::CompareAndSet { key: key.into(), expect, value: value.into() };
        self.submit(command).await.map(Swap::from)
    }

    /// Hands a write over, here and now. Writes that were handed over by one task before the first of them is done may be
    /// committed in another order.
    pub fn submit(&self, command: Command) -> Pending<Outcome> {
        self.ask(Request::Write(command), |answer| match answer {
            Answer::Written(result) => Some(result),
            _ => None,
        })
    }

    // ---- Reads ------------------------------------------------------------------------------------

    /// The value of a key, if there is one. It reflects every write that was acknowledged anywhere
    /// before this call, whichever node is asked.
    ///
    /// # Errors
    /// [`Error::Refused`]: no majority could be asked in time, or this node does not serve.
    ///
    /// # Cancellation
    /// It only looks: dropping the future has no effect on anything.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Option<Bytes>, Error> {
        Ok(self.get_with(key, Read::Linearizable).await?.map(|versioned| versioned.value))
    }

    /// The value of a key with its revision, as fresh as is asked for: [`Read::Local`] answers at once
    /// with what this node has applied, which may be behind.
    ///
    /// # Errors
    /// As [`get`](Node::get).
    ///
    /// # Cancellation
    /// As [`get`](Node::get).
    pub async fn get_with(&self, key: impl Into<Bytes>, read: Read) -> Result<Option<Versioned>, Error> {
        self.submit_get(key, read).await
    }

    /// Hands a read over, here and now.
    pub fn submit_get(&self, key: impl Into<Bytes>, read: Read) -> Pending<Option<Versioned>> {
        self.ask(Request::Get { key: key.into(), read }, |answer| match answer {
            Answer::Read(result) => Some(result),
            _ => None,
        })
    }

    /// All keys and values that this node has applied, frozen at one moment.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has ended.
    ///
    /// # Cancellation
    /// As [`get`](Node::get).
    #[doc(alias = "state")]
    pub async fn view(&self) -> Result<View, Error> {
        let view = |answer| if let Answer::View(view) = answer { Some(Ok(view)) } else { None };
        self.ask(Request::View, view).await
    }

    /// Has this node write a snapshot of its state now, however little its log has grown, and waits until that is
    /// durable. Gives the revision that it reflects. Writes go on meanwhile. In memory-only mode there is nothing to
    /// be written: the log is released at once.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no state yet, or the node has ended. [`Error::Unknown`] if it is still being
    /// written when the time is over: it goes on.
    ///
    /// # Cancellation
    /// Once polled, the snapshot is written, whoever waits for it.
    #[doc(alias = "compact")]
    pub async fn snapshot(&self) -> Result<u64, Error> {
        let done = |answer| if let Answer::Snapshot(result) = answer { Some(result) } else { None };
        self.ask(Request::Snapshot, done).await
    }

    /// Keys as bytes, values as a type of yours, by postcard.
    pub fn typed<T>(&self) -> Typed<'_, T> {
        Typed::new(self)
    }

    // ---- Events -----------------------------------------------------------------------------------

    /// Everything that happens from now on, as a stream: every committed update once, in the order of revisions, every
    /// change of leadership, every link.
    ///
    /// # Errors
    /// There are too many already ([`Limits::max_watchers`](crate::Limits)).
    #[doc(alias = "watch")]
    pub fn events(&self) -> Result<Events, TooManyWatchers> {
        let guard = self.inner.listeners.clone().join();
        let shared = self.inner.shared.clone();
        let mailbox = shared.hub.add()?;
        Ok(Events::new(mailbox.clone(), move || {
            shared.hub.remove(&mailbox);
            drop(guard);
        }))
    }

    // ---- Leadership -------------------------------------------------------------------------------

    /// Has another node lead, and waits until this one sees it lead; at once if it does. `None` stands for whoever is most
    /// advanced, but not for the present leader. Any node can be asked. Writes wait meanwhile, for an election timeout at
    /// the most; then the leader gives up, and goes on.
    ///
    /// # Errors
    /// [`Refusal::NotTransferred`](crate::Refusal::NotTransferred) names who is in the way: the wanted node is no member, is
    /// not in its seat, is not linked to the leader or has not caught up, or leadership is being handed over already.
    /// [`Refusal::NoQuorum`](crate::Refusal::NoQuorum): no leader was known in all the time. [`Error::Unknown`]: the leader
    /// was asked, or the wanted node even told, and nothing came of it in time; leadership may still move. It is no write:
    /// to ask again does no harm.
    ///
    /// # Cancellation
    /// Nothing is asked for before the first poll. Once polled, leadership may move, whoever waits for it.
    #[doc(alias = "step_down")]
    pub async fn transfer_leadership(&self, to: Option<&NodeId>, timeout: Duration) -> Result<(), Error> {
        let request = Request::TransferLeadership { to: to.cloned() };
        let done = |answer| if let Answer::Transferred(result) = answer { Some(result) } else { None };
        self.with_timeout(timeout).ask(request, done).await
    }

    // ---- The end ----------------------------------------------------------------------------------

    /// Ends the node: leadership is handed over, pending calls end as [`Refusal::Stopped`](crate::Refusal::Stopped) or
    /// [`Doubt::Stopped`](crate::Doubt::Stopped), connections are closed in order. Returns when all is done, which takes two
    /// election timeouts and two seconds at the most, five more if the disk does not answer. Calling it again, or from
    /// several tasks, does no harm. It needs its driver: where nobody polls that, it waits for it to be dropped.
    ///
    /// # Cancellation
    /// Once polled, the node ends; only nobody waits for it.
    #[doc(alias = "shutdown")]
    #[doc(alias = "close")]
    pub async fn end(&self) {
        self.stop();
        self.inner.shared.board.wait(None, |news| news.end.clone()).await;
    }

    /// Has the node end, as [`end`](Node::end) does, and does not wait for that.
    pub fn stop(&self) {
        self.inner.stop();
    }

    fn ask<T>(&self, request: Request, read: ReadAnswer<T>) -> Pending<T> {
        let (promise, pending) = Promise::new(read);
        self.inner.shared.queue.push(Ask::Request { request, budget: self.budget, promise });
        pending
    }

    /// What stands in the way, as far as this node knows.
    async fn obstacles(&self) -> String {
        match self.status().await {
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
            let (promise, _pending) = Promise::new::<()>(|_| None);
            let budget = Duration::from_secs(3600);
            self.shared.queue.push(Ask::Request { request: Request::Stop, budget, promise });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The driver goes on until the node has ended in order; nobody waits for it.
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
    fn sent<T: Send + 'static>(_: T) {}
    fn futures_are_sent(node: &'static Node) {
        sent(node.set("k", "v"));
        sent(node.end());
    }
    let _ = futures_are_sent;
    fn are_sent<T: Send + 'static>() {}
    are_sent::<Pending<Outcome>>();
    are_sent::<Events>();
    are_sent::<Driver>();
};
