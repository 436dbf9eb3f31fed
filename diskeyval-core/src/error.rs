//! What can go wrong, and who is to blame: the configuration, the caller, a peer, or us.

mod doubt;
mod hindrance;
mod obstacle;

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::id::{ClusterId, Incarnation, Index, NodeId};
use crate::store::FileName;
pub use doubt::Doubt;
pub use hindrance::Hindrance;
pub use obstacle::Obstacle;

/// How a request of the embedding program failed.
///
/// A write ends as an answer, as `Refused`, or as `Unknown`. A read never ends as `Unknown`: it has no
/// effect that could be in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Certain to have no effect, neither now nor later.
    Refused(Refusal),
    /// It may have had its effect, or may have it later. Read to find out.
    Unknown(Doubt),
}

impl Error {
    /// Whether the same call may well succeed when it is made again later, and cannot do harm then:
    /// true for refusals that pass. An unknown outcome is not among them: the first call may have
    /// had its effect.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Refused(
                Refusal::Overloaded { .. } | Refusal::NoQuorum { .. } | Refusal::MembershipBusy { .. },
            ) => true,
            Error::Refused(Refusal::NotChanged { why }) => matches!(
                why,
                Obstacle::NotReached { .. }
                    | Obstacle::NotCaughtUp { .. }
                    | Obstacle::NoMajority { .. }
                    | Obstacle::Undone { .. }
            ),
            Error::Refused(Refusal::NotTransferred { why }) => !matches!(why, Hindrance::NotAMember { .. }),
            Error::Refused(_) | Error::Unknown(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(why) => write!(f, "refused: {why}"),
            Error::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(why: Refusal) -> Error {
        Error::Refused(why)
    }
}

/// Why a request was turned away without any effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Too much is in flight. Slow down and try again.
    Overloaded {
        /// Which limit was met, by its name in [`Limits`](crate::Limits).
        limit: &'static str,
    },
    /// A key or a value is larger than the limit.
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No majority could be asked within the time that the call had.
    NoQuorum {
        /// What stood in the way, member by member.
        why: String,
    },
    /// The log holds as many bytes as `log_bytes` allows; only reads are served.
    LogFull {
        /// The limit in bytes.
        limit: usize,
    },
    /// This process is not in its seat of the membership, and so cannot serve.
    NotAdmitted {
        /// What it waits for.
        why: String,
    },
    /// The disk of the leader is full; only reads are served, until there is room again.
    DiskFull,
    /// A file of this node is damaged: it keeps out of everything.
    Damaged(Damage),
    /// The session of this node was ended by the cluster before the write was applied.
    SessionEnded,
    /// Leadership was not handed over.
    NotTransferred {
        /// Who is in the way, and how.
        why: Hindrance,
    },
    /// The members were not changed, since another change is under way.
    MembershipBusy {
        /// That change, in words.
        under_way: String,
    },
    /// The members were not changed.
    NotChanged {
        /// What is in the way.
        why: Obstacle,
    },
    /// There is nothing to recover from, or no need to.
    NothingToRecover {
        /// Why.
        why: String,
    },
    /// This node was stopped.
    Stopped,
    /// This node halted by itself.
    Halted(Fault),
    /// A value could not be turned into bytes, or bytes into a value (typed access only).
    Codec {
        /// What the codec said.
        why: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Overloaded { limit } => {
                write!(f, "overloaded (limit `{limit}`): slow down and try again")
            }
            Refusal::TooLarge { what, size, limit } => {
                write!(f, "the {what} has {size} bytes, and the limit is {limit}")
            }
            Refusal::NoQuorum { why } => write!(f, "no quorum: {why}"),
            Refusal::LogFull { limit } => {
                write!(f, "the log holds all the {limit} bytes that `log_bytes` allows; reads go on")
            }
            Refusal::NotAdmitted { why } => write!(f, "not admitted: {why}"),
            Refusal::DiskFull => f.write_str("the disk of the leader is full; reads go on"),
            Refusal::Damaged(damage) => write!(f, "this node keeps out of everything: {damage}"),
            Refusal::SessionEnded => f.write_str("the cluster has ended this node's session"),
            Refusal::NotTransferred { why } => write!(f, "leadership was not handed over: {why}"),
            Refusal::MembershipBusy { under_way } => {
                write!(f, "another change of the members is under way ({under_way}): wait for its end")
            }
            Refusal::NotChanged { why } => write!(f, "the members were not changed: {why}"),
            Refusal::NothingToRecover { why } => write!(f, "nothing is recovered: {why}"),
            Refusal::Stopped => f.write_str("the node was stopped"),
            Refusal::Halted(fault) => write!(f, "the node has halted: {fault}"),
            Refusal::Codec { why } => write!(f, "the value does not fit its type: {why}"),
        }
    }
}

/// Why the engine refuses to go on. Nothing more comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The state of this node differs from that of an agreeing majority.
    Diverged {
        /// The index at which the states were compared.
        at: Index,
    },
    /// The states of the members differ, and no majority agrees.
    NoAgreement {
        /// The index at which the states were compared.
        at: Index,
    },
    /// A leader asked to give up an entry that is committed here. Either a member has lost what it
    /// promised, or one of us has a bug.
    CommittedOverwritten {
        /// The entry.
        at: Index,
    },
    /// A committed entry cannot be understood.
    Unreadable {
        /// The entry.
        at: Index,
    },
    /// The node's directory cannot be used.
    Storage(StorageFault),
    /// Another life of this node is in its seat: this one has nothing to do any more.
    Superseded,
    /// The keys of this node do not add up to the hash that was kept of them from change to change: its memory has
    /// failed, or we have a bug.
    Corrupted {
        /// The index of the last entry that the state reflects.
        at: Index,
    },
}

/// Why a node's directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageFault {
    /// It belongs to another node.
    OtherNode {
        /// This node.
        ours: NodeId,
        /// The node that it belongs to.
        theirs: NodeId,
    },
    /// It belongs to a cluster of another name.
    OtherCluster {
        /// The name of this node's cluster.
        ours: String,
        /// The name of the cluster that it belongs to.
        theirs: String,
    },
    /// It was written by a later version.
    Newer {
        /// The file that says so.
        file: FileName,
        /// The version of its format.
        format: u16,
    },
    /// A file is not what was written to it, and what this node promised may be gone.
    Damaged(Damage),
    /// The operating system refused an operation. What has reached the disk is not known.
    Failed {
        /// What was to be done.
        what: String,
        /// What came of it.
        why: String,
    },
}

/// A file that is not what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: FileName,
    /// The place in it, in bytes from its beginning.
    pub at: u64,
    /// What was found there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.file, self.at, self.what)
    }
}

impl fmt::Display for StorageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageFault::OtherNode { ours, theirs } => {
                write!(
                    f,
                    "the directory belongs to node {theirs}, and this is {ours}: give each node its own"
                )
            }
            StorageFault::OtherCluster { ours, theirs } => {
                write!(
                    f,
                    "the directory belongs to a node of the cluster {theirs:?}, and this one is of {ours:?}"
                )
            }
            StorageFault::Newer { file, format } => {
                write!(f, "{file} is of format {format}, which this version does not know: use a later one")
            }
            StorageFault::Damaged(damage) => damage.fmt(f),
            StorageFault::Failed { what, why } => {
                write!(f, "the disk has failed: {what}: {why}; what has reached it is not known")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Diverged { at } => {
                write!(
                    f,
                    "the state of this node differs from the majority's at index {at}: restart it empty"
                )
            }
            Fault::NoAgreement { at } => {
                write!(f, "the states of the members differ at index {at}, and no majority agrees")
            }
            Fault::CommittedOverwritten { at } => {
                write!(
                    f,
                    "a leader asked to overwrite the committed entry {at}: a member lost what it had promised"
                )
            }
            Fault::Superseded => f.write_str(
                "another life of this node was given its seat while this one was away, so this one is over: \
                 stop the other process under this name, or, if that is the one you want, leave this one stopped",
            ),
            Fault::Unreadable { at } => write!(f, "the committed entry {at} cannot be understood"),
            Fault::Corrupted { at } => write!(
                f,
                "the keys at index {at} do not add up to the hash that was kept of them: this machine's memory has failed, or this is a bug"
            ),
            Fault::Storage(why) => why.fmt(f),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A node id is not 1 to 63 of `A-Z a-z 0-9 _ . -`, or is the reserved word `client`.
    BadNodeId {
        /// What was given, cut to 80 characters.
        given: String,
    },
    /// An address is not `HOST:PORT`.
    BadAddress {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The peer list names this node.
    PeerIsSelf {
        /// The node.
        id: NodeId,
    },
    /// The peer list names a node twice.
    DuplicatePeer {
        /// The node.
        id: NodeId,
    },
    /// There are more members than a cluster can have.
    TooManyMembers {
        /// How many were given, this node included.
        given: usize,
        /// How many there can be.
        limit: usize,
    },
    /// `maxClockDriftPermille` is out of range: 1 to 500.
    BadDrift {
        /// What was given, in thousandths.
        given: u32,
    },
    /// A time is out of its range, or two times do not fit each other.
    BadTiming {
        /// The name of the option.
        option: &'static str,
        /// The time that was given.
        given: Duration,
        /// What it has to be.
        must: &'static str,
    },
    /// A limit is out of its range, or two limits do not fit each other.
    BadLimit {
        /// The name of the limit.
        limit: &'static str,
        /// What was given.
        given: usize,
        /// What it has to be.
        must: &'static str,
    },
    /// A node is to join a cluster, and no member of it is named.
    NobodyToJoin,
    /// The name of the cluster is empty or too long.
    BadClusterName {
        /// How long a name may be, in bytes.
        limit: usize,
    },
    /// A certificate, a key or a CA bundle is missing or unusable.
    BadTls {
        /// Which part: `cert`, `key` or `ca`.
        part: &'static str,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::BadNodeId { given } => write!(
                f,
                "{given:?} is no node id: use 1 to 63 of A-Z a-z 0-9 _ . - and not the reserved word `client`"
            ),
            ConfigError::BadAddress { given, why } => {
                write!(
                    f,
                    "the address {given:?} cannot be used: {why} (HOST:PORT is wanted, [HOST]:PORT for IPv6)"
                )
            }
            ConfigError::PeerIsSelf { id } => {
                write!(f, "the peer list names {id}, which is this node: list only the others")
            }
            ConfigError::DuplicatePeer { id } => write!(f, "the peer list names {id} twice"),
            ConfigError::TooManyMembers { given, limit } => {
                write!(f, "{given} members were given, and a cluster has at most {limit}")
            }
            ConfigError::NobodyToJoin => f.write_str(
                "a node that joins a cluster needs to know a member of it: list one among the peers",
            ),
            ConfigError::BadDrift { given } => {
                write!(f, "maxClockDriftPermille is {given}: it must be 1 to 500, or not there at all")
            }
            ConfigError::BadTiming { option, given, must } => {
                write!(f, "`{option}` is {given:?}, and must be {must}")
            }
            ConfigError::BadLimit { limit, given, must } => {
                write!(f, "the limit `{limit}` is {given}, and must be {must}")
            }
            ConfigError::BadClusterName { limit } => {
                write!(f, "the name of a cluster has 1 to {limit} bytes")
            }
            ConfigError::BadTls { part, why } => write!(f, "TLS `{part}`: {why}"),
        }
    }
}

impl core::error::Error for ConfigError {}

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
            CloseReason::Replaced => f.write_str("another connection to the same node is kept"),
            CloseReason::FrameTooLarge { size, limit } => {
                write!(f, "a frame of {size} bytes, over the limit of {limit}")
            }
            CloseReason::Malformed => f.write_str("a frame that cannot be understood"),
            CloseReason::OutOfPlace => f.write_str("a frame that has no place here"),
            CloseReason::Crowded { limit } => {
                write!(f, "{limit} connections have not said hello yet, and no more are let in (maxStrangers)")
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
