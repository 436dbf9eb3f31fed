//! How connections end, and why peers are not reached.

use alloc::string::String;
use core::fmt;

use crate::id::{ClusterId, Incarnation, Index, NodeId};

/// Why a connection or an attempt at one came to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The certificate at the other end is not that of the node that was dialled.
    WrongPeer {
        /// The node that was dialled.
        wanted: NodeId,
        /// Whose certificate it was.
        found: String,
    },
    /// The hello names another node than its certificate.
    HelloMismatch {
        /// The name in the hello.
        claimed: NodeId,
    },
    /// The other end is a client, and speaks as a node.
    NotANode,
    /// The other end carries this node's own name.
    OwnName,
    /// The other end is not a member.
    NotAMember,
    /// The other end belongs to a cluster of another name.
    ClusterName {
        /// That name.
        theirs: String,
    },
    /// The other end belongs to another cluster, founded apart from ours.
    OtherCluster {
        /// The id of that cluster.
        theirs: ClusterId,
        /// The id of ours.
        ours: ClusterId,
    },
    /// The other end was started with other initial members, and no cluster is founded yet.
    MembersDisagree,
    /// One of the two ends is to join a cluster, and the other belongs to none yet.
    Unfounded,
    /// The other end keeps its log in memory and this node on a disk, or the other way round.
    OtherStorage {
        /// Whether it is the other end that has the disk.
        on_disk: bool,
    },
    /// The name is in use by a living process of another incarnation.
    NameInUse {
        /// The incarnation that is heard under this name.
        holder: Incarnation,
    },
    /// No version of the protocol is spoken by both.
    Version {
        /// The versions that the other end speaks, from and to.
        theirs: (u16, u16),
    },
    /// The other end was in the seat of its name, and another life of it is there now.
    Superseded,
    /// The other end was a member, and is none any more.
    Removed,
    /// Another connection to the same node is kept instead.
    Replaced,
    /// Certificates were renewed, and this link stood by the former ones.
    Renewed,
    /// A frame is larger than the limit.
    FrameTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame cannot be understood.
    Malformed,
    /// A frame came that has no place here: before the hello, say, or after a goodbye.
    OutOfPlace,
    /// There are too many connections already on which no hello has come.
    Crowded {
        /// How many there may be: `maxStrangers`.
        limit: usize,
    },
    /// One node has made too many connections already.
    CrowdedByOne {
        /// How many it may have at a time: `maxPerIdentity`.
        limit: usize,
    },
    /// The other end no longer holds what it has acknowledged.
    WentBack {
        /// Up to where it had acknowledged our log.
        acknowledged: Index,
    },
    /// Nothing was heard for too long.
    Silent,
    /// The other end does not read what is sent to it.
    NotReading,
    /// This node is not ready to meet anybody yet.
    Starting,
    /// This node stops.
    Stopping,
    /// The other end gave this reason and closed.
    Goodbye(String),
    /// The connection broke.
    Broken(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::WrongPeer { wanted, found } => {
                write!(f, "dialled {wanted}, but the certificate there is that of {found}")
            }
            CloseReason::HelloMismatch { claimed } => {
                write!(f, "its hello says {claimed}, its certificate does not")
            }
            CloseReason::NotANode => f.write_str("its certificate is that of a client, not of a node"),
            CloseReason::OwnName => f.write_str("its certificate carries this node's own name"),
            CloseReason::NotAMember => f.write_str(
                "it is not a member of this cluster, and was not announced there (`add ID=HOST:PORT`, at a member)",
            ),
            CloseReason::ClusterName { theirs } => write!(f, "it belongs to a cluster named {theirs:?}"),
            CloseReason::OtherCluster { theirs, ours } => {
                write!(f, "it belongs to cluster {theirs}, and this node to {ours}: they were founded apart")
            }
            CloseReason::MembersDisagree => f.write_str(
                "it was started with other initial members: give every node the same set of ids, then restart",
            ),
            CloseReason::Unfounded => f.write_str(
                "no cluster is founded yet, as far as these two know: a node can join one once there is one",
            ),
            CloseReason::OtherStorage { on_disk } => {
                let (its, ours) = if *on_disk { ("on a disk", "in memory") } else { ("in memory", "on a disk") };
                write!(f, "it keeps its log {its}, and this node {ours}: start all members of a cluster alike")
            }
            CloseReason::NameInUse { holder } => {
                write!(f, "its name is in use by a living process (incarnation {holder})")
            }
            CloseReason::Version { theirs } => {
                write!(f, "it speaks versions {} to {} of the protocol, and this node none of them", theirs.0, theirs.1)
            }
            CloseReason::Removed => f.write_str("it was removed from this cluster"),
            CloseReason::Superseded => f.write_str("another life of it was given its seat meanwhile"),
            CloseReason::Renewed => {
                f.write_str("certificates were renewed, and this link stood by the former ones")
            }
            CloseReason::Replaced => f.write_str("another connection to the same node is kept"),
            CloseReason::FrameTooLarge { size, limit } => {
                write!(f, "a frame of {size} bytes, over the limit of {limit}")
            }
            CloseReason::Malformed => f.write_str("a frame that cannot be understood"),
            CloseReason::OutOfPlace => f.write_str("a frame that has no place here"),
            CloseReason::Crowded { limit } => {
                write!(f, "{limit} connections have not said hello yet, and no more are let in (maxStrangers)")
            }
            CloseReason::CrowdedByOne { limit } => {
                write!(f, "{limit} connections of this node are open already, and no more are let in (maxPerIdentity)")
            }
            CloseReason::WentBack { acknowledged } => write!(
                f,
                "it has acknowledged the log up to {acknowledged} and no longer holds it: its storage was put back or lost"
            ),
            CloseReason::Silent => f.write_str("nothing was heard for too long"),
            CloseReason::NotReading => f.write_str("it does not read what is sent to it"),
            CloseReason::Starting => f.write_str("the node is only just starting"),
            CloseReason::Stopping => f.write_str("the node stops"),
            CloseReason::Goodbye(why) => write!(f, "it closed: {why}"),
            CloseReason::Broken(why) => write!(f, "the connection broke: {why}"),
        }
    }
}

/// Why a peer could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// The other machine says that nobody listens there.
    Refused,
    /// No answer came in time: the machine is frozen, cut off, or not there.
    Silent,
    /// The name of the host could not be resolved.
    Unresolved(String),
    /// TLS could not be set up; says which side refused what, and what to do.
    Tls(String),
    /// Something else.
    Other(String),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Refused => f.write_str("connection refused"),
            DialError::Silent => f.write_str("no answer"),
            DialError::Unresolved(why) => write!(f, "the host name cannot be resolved: {why}"),
            DialError::Tls(why) => write!(f, "TLS: {why}"),
            DialError::Other(why) => f.write_str(why),
        }
    }
}
