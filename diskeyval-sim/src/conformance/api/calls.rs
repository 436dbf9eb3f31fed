//! The methods of a product, one by one, and a note of each that was called.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::host::{
    Commit, Deleted, Notice, RecoverError, Recovered, RenewalError, Swap, TooManyWatchers,
};
use diskeyval_core::{
    Address, Command, Error, Expect, Fault, Member, MemberChange, MemberStatus, Metrics, NodeId, Outcome,
    Peer, Read, Recovery, Status, StorageFault, Tls, Versioned, View,
};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use super::super::remote::lock;

/// What was called so far.
static CALLED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

pub(super) fn called(method: &'static str) {
    let mut all = lock(&CALLED);
    if method.starts_with("Typed::") {
        // A typed view is made for each call.
        all.insert("Node::typed");
    }
    all.insert(method);
}

/// What nobody has called yet.
pub(super) fn missed() -> Vec<&'static str> {
    let called = lock(&CALLED);
    METHODS.iter().copied().filter(|method| !called.contains(method)).collect()
}

/// A trait with the methods of a product, and a handle that notes each call.
macro_rules! calls {
    (
        $(#[$about:meta])* trait $calls:ident: $($bound:path),+; $(#[$doc:meta])* struct $handle:ident; const $table:ident;
        $($method:literal fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*
    ) => {
        $(#[$about])*
        pub trait $calls: $($bound +)+ 'static {
            $(
                #[doc = concat!("`", $method, "`.")]
                fn $name(&self $(, $arg: $type)*) -> $result;
            )*
        }

        impl $handle {
            $(
                pub(super) fn $name(&self $(, $arg: impl Into<$type>)*) -> $result {
                    called($method);
                    self.0.$name($($arg.into()),*)
                }
            )*
        }

        const $table: &[&str] = &[$($method),*];
    };
}

calls! {
    /// A node.
    ///
    /// An error of a method is the product's.
    #[allow(clippy::missing_errors_doc, reason = "each is the one of the product")]
    trait Calls: Send, Sync, Another;
    /// A handle of a node.
    struct Node;
    const OF_NODES;
    "Node::with_timeout" fn with_timeout(budget: Duration) -> Node;
    "Node::set" fn set(key: Bytes, value: Bytes) -> Result<Commit, Error>;
    "Node::delete" fn delete(key: Bytes) -> Result<Deleted, Error>;
    "Node::compare_and_set" fn compare_and_set(key: Bytes, expect: Expect, value: Bytes) -> Result<Swap, Error>;
    "Node::submit" fn submit(command: Command) -> Pending<Outcome>;
    "Node::get" fn get(key: Bytes) -> Result<Option<Bytes>, Error>;
    "Node::get_with" fn get_with(key: Bytes, read: Read) -> Result<Option<Versioned>, Error>;
    "Node::submit_get" fn submit_get(key: Bytes, read: Read) -> Pending<Option<Versioned>>;
    "Node::view" fn view() -> Result<View, Error>;
    "Node::snapshot" fn snapshot() -> Result<u64, Error>;
    "Typed::set" fn typed_set(key: Bytes, value: Parcel) -> Result<Commit, Error>;
    "Typed::get" fn typed_get(key: Bytes) -> Result<Option<Parcel>, Error>;
    "Typed::get_with" fn typed_get_with(key: Bytes, read: Read) -> Result<Option<Parcel>, Error>;
    "Typed::compare_and_set" fn typed_swap(key: Bytes, expect: Option<Parcel>, value: Parcel) -> Result<Swap, Error>;
    "Typed::delete" fn typed_delete(key: Bytes) -> Result<Deleted, Error>;
    "Node::events" fn events() -> Result<Events, TooManyWatchers>;
    "Node::id" fn id() -> NodeId;
    "Node::local_addr" fn local_addr() -> SocketAddr;
    "Node::peers" fn peers() -> Vec<Peer>;
    "Node::is_leader" fn is_leader() -> bool;
    "Node::leader_id" fn leader_id() -> Option<NodeId>;
    "Node::metrics" fn metrics() -> Metrics;
    "Node::status" fn status() -> Result<Status, Error>;
    "Node::ready" fn ready() -> bool;
    "Node::fault" fn fault() -> Option<Fault>;
    "Node::wait_leader" fn wait_leader(timeout: Duration) -> Result<NodeId, Error>;
    "Node::wait_ready" fn wait_ready(timeout: Duration) -> Result<(), Error>;
    "Node::transfer_leadership" fn transfer_leadership(to: Option<NodeId>, timeout: Duration) -> Result<(), Error>;
    "Node::reconfigure" fn reconfigure(members: Vec<Member>) -> Result<u64, Error>;
    "Node::add_learner" fn add_learner(member: Member) -> Result<u64, Error>;
    "Node::promote" fn promote(node: NodeId) -> Result<u64, Error>;
    "Node::remove" fn remove(node: NodeId) -> Result<u64, Error>;
    "Node::update_address" fn update_address(node: NodeId, address: Address) -> Result<u64, Error>;
    "Node::submit_change" fn submit_change(change: MemberChange) -> Pending<u64>;
    "Node::members" fn members() -> Result<Vec<MemberStatus>, Error>;
    "Node::recover_accepting_data_loss" fn recover(timeout: Duration) -> Result<Recovery, Error>;
    "Node::reload_tls" fn reload_tls(tls: Tls) -> Result<(), RenewalError>;
    "Node::reload" fn reload() -> Result<(), RenewalError>;
    "Node::end" fn end() -> ();
    "Node::stop" fn stop() -> ();
    "Node::wait_open" fn wait_open() -> Result<(), StorageFault>;
}

calls! {
    /// A cluster for development.
    #[allow(clippy::missing_errors_doc, reason = "each is the one of the product")]
    trait Group: Send, Sync;
    /// A cluster for development.
    struct Cluster;
    const OF_CLUSTERS;
    "Cluster::node" fn node(number: usize) -> Node;
    "Cluster::nodes" fn nodes() -> Vec<Node>;
    "Cluster::leader" fn leader(timeout: Duration) -> Result<Node, Error>;
    "Cluster::end" fn end() -> ();
}

/// What is no method with `&self`.
const OF_OTHERS: &[&str] = &[
    "Node::start",
    "Node::start_on",
    "Node::with_driver",
    "Node::with_driver_on",
    "Node::typed",
    "Cluster::dev",
    "Cluster::dev_with",
    "Pending::wait",
    "Pending::wait_timeout",
    "Pending::try_take",
    "Events::next",
    "Events::next_timeout",
    "Events::try_next",
    "Events::is_over",
    "Recoverable::open",
    "Recoverable::report",
    "Recoverable::accept_data_loss",
];

/// What a whole run calls.
pub static METHODS: std::sync::LazyLock<Vec<&'static str>> =
    std::sync::LazyLock::new(|| [OF_NODES, OF_CLUSTERS, OF_OTHERS].concat());

/// A node that can give out another handle of itself.
pub trait Another {
    /// `Node::clone`.
    fn another(&self) -> Node;
}

/// A handle of a node.
pub struct Node(Box<dyn Calls>);

impl Node {
    /// A handle of the product.
    pub fn new(calls: impl Calls) -> Node {
        Node(Box::new(calls))
    }
}

impl Clone for Node {
    fn clone(&self) -> Node {
        self.0.another()
    }
}

/// What drives a node until it has ended, on whichever thread it is called.
pub type Drive = Box<dyn FnOnce() + Send>;

/// A cluster for development.
pub struct Cluster(Box<dyn Group>);

impl Cluster {
    /// A cluster of the product.
    pub fn new(group: impl Group) -> Cluster {
        Cluster(Box::new(group))
    }
}

/// An answer that is on its way.
#[allow(clippy::missing_errors_doc, reason = "each is the one of the product")]
pub trait Awaited<T>: Send {
    /// `Pending::wait`, or `.await`.
    fn wait(self: Box<Self>) -> Result<T, Error>;
    /// `Pending::wait_timeout`.
    fn wait_timeout(&mut self, span: Duration) -> Option<Result<T, Error>>;
    /// `Pending::try_take`.
    fn try_take(&mut self) -> Option<Result<T, Error>>;
}

/// An answer that is on its way.
#[must_use = "the request has been made"]
pub struct Pending<T>(Box<dyn Awaited<T>>);

impl<T> Pending<T> {
    /// One of the product.
    pub fn new(awaited: impl Awaited<T> + 'static) -> Pending<T> {
        Pending(Box::new(awaited))
    }

    pub(super) fn wait(self) -> Result<T, Error> {
        called("Pending::wait");
        self.0.wait()
    }

    pub(super) fn wait_timeout(&mut self, span: Duration) -> Option<Result<T, Error>> {
        called("Pending::wait_timeout");
        self.0.wait_timeout(span)
    }

    pub(super) fn try_take(&mut self) -> Option<Result<T, Error>> {
        called("Pending::try_take");
        self.0.try_take()
    }
}

/// What happens on a node.
pub trait Told: Send {
    /// The next, of an iterator or a stream.
    fn next(&mut self) -> Option<Notice>;
    /// `Events::next_timeout`.
    fn next_timeout(&mut self, span: Duration) -> Option<Notice>;
    /// `Events::try_next`.
    fn try_next(&mut self) -> Option<Notice>;
    /// `Events::is_over`.
    fn is_over(&self) -> bool;
}

/// What happens on a node.
pub struct Events(Box<dyn Told>);

impl Events {
    /// Those of the product.
    pub fn new(told: impl Told + 'static) -> Events {
        Events(Box::new(told))
    }

    pub(super) fn next_timeout(&mut self, span: Duration) -> Option<Notice> {
        called("Events::next_timeout");
        self.0.next_timeout(span)
    }

    pub(super) fn try_next(&mut self) -> Option<Notice> {
        called("Events::try_next");
        self.0.try_next()
    }

    pub(super) fn is_over(&self) -> bool {
        called("Events::is_over");
        self.0.is_over()
    }
}

impl Iterator for Events {
    type Item = Notice;

    fn next(&mut self) -> Option<Notice> {
        called("Events::next");
        self.0.next()
    }
}

/// A directory that could be gone on from.
#[allow(clippy::missing_errors_doc, reason = "each is the one of the product")]
pub trait Lost {
    /// `Recoverable::report`.
    fn report(&self) -> Recovery;
    /// `Recoverable::accept_data_loss`.
    fn accept_data_loss(self: Box<Self>) -> Result<Recovered, RecoverError>;
}

/// A directory that could be gone on from.
pub struct Recoverable(Box<dyn Lost>);

impl Recoverable {
    /// One of the product.
    pub fn new(lost: impl Lost + 'static) -> Recoverable {
        Recoverable(Box::new(lost))
    }

    pub(super) fn report(&self) -> Recovery {
        called("Recoverable::report");
        self.0.report()
    }

    pub(super) fn accept_data_loss(self) -> Result<Recovered, RecoverError> {
        called("Recoverable::accept_data_loss");
        self.0.accept_data_loss()
    }
}

/// A value of a program's own type, some of which cannot be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// A number.
    pub number: u32,
    /// A word.
    pub word: String,
    /// If so, it cannot be written.
    #[serde(serialize_with = "whole")]
    pub is_broken: bool,
}

fn whole<S: Serializer>(is_broken: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    if *is_broken { Err(S::Error::custom("it is broken")) } else { serializer.serialize_bool(false) }
}
