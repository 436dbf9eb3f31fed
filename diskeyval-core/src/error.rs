//! What can go wrong, and who is to blame: the configuration, the caller, a peer, or us.

mod doubt;
mod hindrance;
mod link;
mod obstacle;

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::id::{Index, NodeId};
use crate::store::FileName;
pub use doubt::Doubt;
pub use hindrance::Hindrance;
pub use link::{CloseReason, DialError};
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
