//! What a node knows.

use std::net::SocketAddr;
use std::time::Duration;

use diskeyval_core::{Answer, Error, Fault, Metrics, NodeId, Peer, Refusal, Request, Status, StorageFault};

use super::Node;
use crate::queue::End;

/// # What this node knows
impl Node {
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

    /// Whether this node leads, as far as it knows.
    #[doc(alias = "isLeader")]
    pub fn is_leader(&self) -> bool {
        self.inner.shared.board.read(|news| news.is_leader)
    }

    /// The leader, if this node knows one.
    #[doc(alias = "leaderId")]
    pub fn leader_id(&self) -> Option<NodeId> {
        self.inner.shared.board.read(|news| news.leader.clone())
    }

    /// The counters of this node, as of its last turn.
    #[doc(alias = "getMetrics")]
    pub fn metrics(&self) -> Metrics {
        self.inner.shared.board.read(|news| news.metrics)
    }

    /// What this node knows of itself and its peers.
    ///
    /// # Errors
    /// [`Error::Refused`] if the node has ended.
    ///
    /// # Cancellation
    /// It only looks.
    pub async fn status(&self) -> Result<Status, Error> {
        let status = |answer| if let Answer::Status(status) = answer { Some(Ok(*status)) } else { None };
        self.ask(Request::Status, status).await
    }

    /// Whether this node is in its seat of the membership, a learner's perhaps, and serves, and no change of the
    /// members is open.
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

    /// Waits until the node has read what it had kept, which [`start`](Node::start) does by itself. In memory-only mode that
    /// is so at once. How it fares afterwards, and whatever else may go wrong, is told by [`fault`](Node::fault).
    ///
    /// # Errors
    /// What lies in the directory is not for this node, or cannot be read: the node has ended.
    ///
    /// # Cancellation
    /// It only waits.
    pub async fn wait_open(&self) -> Result<(), StorageFault> {
        if !self.inner.is_kept {
            return Ok(());
        }
        let opened = self.inner.shared.board.wait(None, |news| match &news.end {
            Some(End::Halted(Fault::Storage(fault))) => Some(Err(fault.clone())),
            Some(_) => Some(Ok(())),
            None => news.is_open.then_some(Ok(())),
        });
        opened.await.unwrap_or(Ok(()))
    }

    /// Waits until this node knows a leader.
    ///
    /// # Errors
    /// [`Refusal::NoQuorum`] if there is none in time, and what stood in the way.
    ///
    /// # Cancellation
    /// It only waits.
    pub async fn wait_leader(&self, timeout: Duration) -> Result<NodeId, Error> {
        let known = self.inner.shared.board.wait(Some(timeout), |news| {
            news.end.as_ref().map(|end| Err(end.refusal().into())).or_else(|| news.leader.clone().map(Ok))
        });
        match known.await {
            Some(known) => known,
            None => Err(Refusal::NoQuorum { why: self.obstacles().await }.into()),
        }
    }

    /// Waits until this node is in its seat ([`ready`](Node::ready)). Rolling restarts wait for this
    /// before they go on to the next node. One that joins is there once somebody has announced it
    /// ([`add_learner`](Node::add_learner)).
    ///
    /// # Errors
    /// [`Refusal::NotAdmitted`] if it is not in time, and what it waits for.
    ///
    /// # Cancellation
    /// It only waits.
    pub async fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        let ready = self.inner.shared.board.wait(Some(timeout), |news| {
            news.end
                .as_ref()
                .map(|end| Err(end.refusal().into()))
                .or_else(|| news.is_member.then_some(Ok(())))
        });
        match ready.await {
            Some(ready) => ready,
            None => Err(Refusal::NotAdmitted { why: self.obstacles().await }.into()),
        }
    }

    /// Whether everything of this node is closed.
    #[cfg(feature = "dev-certs")]
    pub(crate) fn has_ended(&self) -> bool {
        self.inner.shared.board.read(|news| news.end.is_some())
    }

    /// Whether this node leads within `span`.
    #[cfg(feature = "dev-certs")]
    pub(crate) async fn wait_to_lead(&self, span: Duration) -> bool {
        self.inner.shared.board.wait(Some(span), |news| news.is_leader.then_some(())).await.is_some()
    }
}
