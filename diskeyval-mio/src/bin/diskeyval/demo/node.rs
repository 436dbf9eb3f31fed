//! A node of either adapter, asked in the same way.

use std::net::TcpListener;
use std::time::Duration;

use diskeyval_mio::{
    Commit, Config, Deleted, Error, Expect, Fault, MemberChange, Metrics, NodeId, Notice, Read, StartError,
    Status, Swap, TooManyWatchers, Versioned,
};
use serde::{Deserialize, Serialize};
#[cfg(feature = "smol")]
use smol::block_on;

/// Who drives a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Adapter {
    Mio,
    #[cfg(feature = "smol")]
    Smol,
}

/// A running node.
#[derive(Clone)]
pub(super) enum Node {
    Mio(diskeyval_mio::Node),
    #[cfg(feature = "smol")]
    Smol(diskeyval_smol::Node),
}

/// What happens there.
pub(super) enum Events {
    Mio(diskeyval_mio::Events),
    #[cfg(feature = "smol")]
    Smol(diskeyval_smol::Events),
}

impl Adapter {
    /// Those of a cluster, node by node.
    #[cfg(feature = "smol")]
    pub(super) fn of(node: usize, mixed: bool) -> Adapter {
        if mixed && node % 2 == 1 { Adapter::Smol } else { Adapter::Mio }
    }

    #[cfg(not(feature = "smol"))]
    pub(super) fn of(_node: usize, _mixed: bool) -> Adapter {
        Adapter::Mio
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Adapter::Mio => "mio",
            #[cfg(feature = "smol")]
            Adapter::Smol => "smol",
        }
    }

    pub(super) fn start_on(self, listener: TcpListener, config: Config) -> Result<Node, StartError> {
        match self {
            Adapter::Mio => diskeyval_mio::Node::start_on(listener, config).map(Node::Mio),
            #[cfg(feature = "smol")]
            Adapter::Smol => block_on(diskeyval_smol::Node::start_on(listener, config)).map(Node::Smol),
        }
    }
}

/// The same call on whichever it is; what is a future is waited for.
macro_rules! ask {
    ($node:expr, $name:ident($($given:expr),*) waits) => {
        match $node {
            Node::Mio(node) => node.$name($($given),*),
            #[cfg(feature = "smol")]
            Node::Smol(node) => block_on(node.$name($($given),*)),
        }
    };
    ($node:expr, $name:ident($($given:expr),*)) => {
        match $node {
            Node::Mio(node) => node.$name($($given),*),
            #[cfg(feature = "smol")]
            Node::Smol(node) => node.$name($($given),*),
        }
    };
}

impl Node {
    pub(super) fn id(&self) -> &NodeId {
        ask!(self, id())
    }

    pub(super) fn ready(&self) -> bool {
        ask!(self, ready())
    }

    pub(super) fn metrics(&self) -> Metrics {
        ask!(self, metrics())
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        ask!(self, fault())
    }

    pub(super) fn status(&self) -> Result<Status, Error> {
        ask!(self, status() waits)
    }

    pub(super) fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        ask!(self, wait_ready(timeout) waits)
    }

    pub(super) fn set(&self, key: String, value: String) -> Result<Commit, Error> {
        ask!(self, set(key, value) waits)
    }

    pub(super) fn get_with(&self, key: String, read: Read) -> Result<Option<Versioned>, Error> {
        ask!(self, get_with(key, read) waits)
    }

    pub(super) fn delete(&self, key: String) -> Result<Deleted, Error> {
        ask!(self, delete(key) waits)
    }

    pub(super) fn compare_and_set(&self, key: String, expect: Expect, value: String) -> Result<Swap, Error> {
        ask!(self, compare_and_set(key, expect, value) waits)
    }

    /// Changes the members, within this time.
    pub(super) fn change(&self, change: MemberChange, within: Duration) -> Result<u64, Error> {
        match self {
            Node::Mio(node) => node.with_timeout(within).submit_change(change).wait(),
            #[cfg(feature = "smol")]
            Node::Smol(node) => block_on(node.with_timeout(within).submit_change(change)),
        }
    }

    pub(super) fn end(&self) {
        ask!(self, end() waits);
    }

    pub(super) fn events(&self) -> Result<Events, TooManyWatchers> {
        match self {
            Node::Mio(node) => node.events().map(Events::Mio),
            #[cfg(feature = "smol")]
            Node::Smol(node) => node.events().map(Events::Smol),
        }
    }
}

impl Iterator for Events {
    type Item = Notice;

    /// Waits for the next; there is none once the node has ended.
    fn next(&mut self) -> Option<Notice> {
        match self {
            Events::Mio(events) => events.next(),
            #[cfg(feature = "smol")]
            Events::Smol(events) => block_on(smol::stream::StreamExt::next(events)),
        }
    }
}
