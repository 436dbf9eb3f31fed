//! A whole cluster in one process, for development and tests.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use diskeyval_core::host::StartError;
use diskeyval_core::host::certs::{Authority, CertsError};
use diskeyval_core::{Config, ConfigError, Error, Refusal};

use crate::node::Node;

/// A cluster of nodes named `node-1`, `node-2` and so on in this process: on loopback, over mutual TLS
/// by a certificate authority that is forgotten with it, in memory.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts `n` nodes.
    ///
    /// # Errors
    /// What keeps one of them from starting; the others are ended.
    ///
    /// # Cancellation
    /// Dropping the future ends the nodes that run.
    pub async fn dev(n: usize) -> Result<Cluster, ClusterError> {
        Cluster::dev_with(n, |config| config).await
    }

    /// Starts `n` nodes, each with what `adjust` makes of its configuration.
    ///
    /// # Errors
    /// What keeps one of them from starting; the others are ended.
    ///
    /// # Cancellation
    /// As [`dev`](Cluster::dev).
    pub async fn dev_with(n: usize, adjust: impl Fn(Config) -> Config) -> Result<Cluster, ClusterError> {
        let authority = Authority::new("diskeyval dev")?;
        // All ports must be known before the first node starts, so the listeners come first.
        let listeners: Vec<_> =
            (0..n).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
        let ports: Vec<_> =
            listeners.iter().map(|l| l.local_addr().map(|a| a.port())).collect::<io::Result<_>>()?;
        let mut cluster = Cluster { nodes: Vec::with_capacity(n) };
        for (own, listener) in listeners.into_iter().enumerate() {
            let mut config = Config::new(&name(own))?.listen("127.0.0.1", ports[own]);
            for (other, port) in ports.iter().enumerate().filter(|(other, _)| *other != own) {
                config = config.peer(&name(other), "127.0.0.1", *port)?;
            }
            let issued = authority.issue_node(&config.node_id)?;
            config = adjust(config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem()));
            // Should this fail, dropping the cluster ends those that run.
            cluster.nodes.push(Node::start_on(listener, config).await?);
        }
        Ok(cluster)
    }

    /// The node with this number, from 0.
    ///
    /// # Panics
    /// If there is none.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Waits for a node that leads.
    ///
    /// # Errors
    /// [`Refusal::NoQuorum`] if there is none in time.
    ///
    /// # Cancellation
    /// It only looks.
    pub async fn leader(&self, timeout: Duration) -> Result<&Node, Error> {
        let end = Instant::now().checked_add(timeout);
        loop {
            if let Some(leader) = self.nodes.iter().find(|node| node.is_leader()) {
                return Ok(leader);
            }
            let left = end.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
            let Some(asked) = self.nodes.iter().find(|node| !node.has_ended()) else {
                return Err(Refusal::Stopped.into());
            };
            let known = asked.wait_leader(left).await?;
            // It may not know it yet, or be gone already: then another comes to be known.
            let soon = left.min(Duration::from_millis(20));
            if let Some(leader) = self.nodes.iter().find(|node| *node.id() == known)
                && leader.wait_to_lead(soon).await
            {
                return Ok(leader);
            }
            if left.is_zero() {
                return Err(Refusal::NoQuorum { why: format!("{known} does not lead (any more)") }.into());
            }
        }
    }

    /// Ends all nodes, at once.
    ///
    /// # Cancellation
    /// Once polled it takes its course; only nobody waits for it.
    pub async fn end(&self) {
        // Each is told before the first is waited for.
        for node in &self.nodes {
            node.stop();
        }
        for node in &self.nodes {
            node.end().await;
        }
    }
}

fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

/// Why a development cluster does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClusterError {
    /// Certificates cannot be made.
    Certs(CertsError),
    /// A listener cannot be made.
    Io(io::Error),
    /// A node does not start.
    Start(StartError),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::Certs(error) => write!(f, "cannot make certificates: {error}"),
            ClusterError::Io(error) => write!(f, "cannot listen on loopback: {error}"),
            ClusterError::Start(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClusterError::Certs(error) => Some(error),
            ClusterError::Io(error) => Some(error),
            ClusterError::Start(error) => Some(error),
        }
    }
}

impl From<CertsError> for ClusterError {
    fn from(error: CertsError) -> ClusterError {
        ClusterError::Certs(error)
    }
}

impl From<io::Error> for ClusterError {
    fn from(error: io::Error) -> ClusterError {
        ClusterError::Io(error)
    }
}

impl From<StartError> for ClusterError {
    fn from(error: StartError) -> ClusterError {
        ClusterError::Start(error)
    }
}

impl From<ConfigError> for ClusterError {
    fn from(error: ConfigError) -> ClusterError {
        ClusterError::Start(error.into())
    }
}
