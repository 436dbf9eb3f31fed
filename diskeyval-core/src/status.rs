//! What a node knows of itself and its peers: plain data, for people, programs and tests.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::Serialize;

use crate::id::{ClusterId, Incarnation, Index, NodeId, Term};

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Status {
    /// Its name.
    pub node_id: NodeId,
    /// The life of its storage.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    /// The cluster it belongs to, once that is founded.
    #[serde(serialize_with = "as_optional_text")]
    pub cluster_id: Option<ClusterId>,
    /// Where it stands on its way to serving.
    pub standing: Standing,
    /// Its part in consensus.
    pub role: RoleName,
    /// The reign it is in.
    pub term: Term,
    /// The leader of that reign, if it knows one.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last_index: Index,
    /// The term of that entry.
    pub last_term: Term,
    /// Up to where it knows the log to be committed.
    pub commit_index: Index,
    /// Up to where the log has been applied to its state.
    pub last_applied: Index,
    /// How many keys there are.
    pub keys: usize,
    /// Up to here the log is released: a snapshot holds what its entries came to.
    pub released_index: Index,
    /// Bytes of the log behind that.
    pub log_bytes: usize,
    /// A 128-bit hash of the whole replicated state, at `last_applied`.
    #[serde(serialize_with = "as_hex")]
    pub state_hash: u128,
    /// The members as it knows them, this node included.
    pub members: Vec<MemberStatus>,
    /// Until when certificates are good. Told by drivers: the engine knows of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
}

/// Until when the certificates are good that a node speaks by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificates {
    /// Its own.
    pub own: CertificateStatus,
    /// The CAs that it trusts.
    pub ca: Vec<CertificateStatus>,
    /// Those that were shown by peers on the connections that there are.
    pub peers: Vec<CertificateStatus>,
}

/// Until when one certificate is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The node that it names, or the subject of a CA.
    pub name: String,
    /// When it ends, in seconds since 1970.
    pub not_after: u64,
    /// Whole days that are left, rounded down: 0 on its last day, -1 on the day after.
    pub days_left: i64,
}

/// Where a node stands on its way to serving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is", content = "why")]
#[non_exhaustive]
pub enum Standing {
    /// It reads what it has kept.
    Opening,
    /// A file of it is damaged, and it keeps out of everything. Says which, and where.
    Damaged(String),
    /// The cluster is not founded yet. Says what it waits for.
    Founding(String),
    /// The cluster is founded, and this node's incarnation is not (yet) in its seat. Says what to do.
    Waiting(String),
    /// It was a member, and is none any more. Says what to do.
    Removed(String),
    /// In its seat.
    Member,
    /// In the seat of a learner: it serves, and does not vote.
    Learner,
    /// It is on its way out.
    Stopping,
    /// It stopped by itself. Says why.
    Halted(String),
}

/// A node's part in consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election would be won.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleName::Follower => "follower",
            RoleName::PreCandidate => "pre-candidate",
            RoleName::Candidate => "candidate",
            RoleName::Leader => "leader",
        })
    }
}

/// The part of a node in the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Part {
    /// It votes, and what it acknowledges counts.
    Voter,
    /// The voters change, and it becomes one: it votes in the half that comes.
    Coming,
    /// The voters change, and it is none any more: it votes in the half that goes.
    Going,
    /// It is brought up to date, and does not vote.
    Learner,
    /// It is no member, as far as is known here.
    Stranger,
}

impl Part {
    /// Whether its vote counts.
    pub fn votes(self) -> bool {
        matches!(self, Part::Voter | Part::Coming | Part::Going)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Voter => "voter",
            Part::Coming => "coming",
            Part::Going => "going",
            Part::Learner => "learner",
            Part::Stranger => "stranger",
        })
    }
}

/// One member, as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MemberStatus {
    /// Its name.
    pub node_id: NodeId,
    /// Its part in the membership.
    pub part: Part,
    /// Where it is dialled; empty if it has to come by itself.
    pub address: String,
    /// The incarnation that is bound to its seat; none while the seat is empty.
    #[serde(serialize_with = "as_optional_text")]
    pub seat: Option<Incarnation>,
    /// Whether a link to it is up (true for the node itself).
    pub linked: bool,
    /// What was wrong at the last attempt to reach it, while no link is up.
    pub trouble: Option<String>,
    /// Leader only: up to where its log is known to equal ours.
    pub matched: Option<Index>,
    /// Leader only: how long ago it was heard, in milliseconds.
    #[serde(rename = "heardMs", serialize_with = "as_millis")]
    pub heard: Option<Duration>,
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_optional_text<S: serde::Serializer, T: fmt::Display>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

fn as_hex<S: serde::Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:032x}"))
}

fn as_millis<S: serde::Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(span) => serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        None => serializer.serialize_none(),
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one node since its start. The first seventeen are those of the npm package.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Metrics {
            /// The sum of two sets of counters, one by one.
            pub(crate) fn plus(self, other: Metrics) -> Metrics {
                Metrics { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

metrics! {
    /// Elections for which this node stood.
    elections_started,
    /// Elections that it won.
    leaderships_won,
    /// Vote requests sent, one for each voter and round, those of the round before an election included.
    request_vote_sent,
    /// Vote requests that could not be sent because there was no link.
    request_vote_failed,
    /// Appends sent, heartbeats included.
    append_entries_sent,
    /// Appends that a follower could not take because its log did not fit.
    append_entries_failed,
    /// Appends sent again from an earlier place, after a refusal or a new link.
    append_entries_retries,
    /// Writes that the embedding program asked for.
    proposals_received,
    /// Writes that ended because their time ran out.
    proposal_timeouts,
    /// Writes that ended with an answer from the log.
    proposals_committed,
    /// Linearizable reads that the embedding program asked for.
    read_barriers_requested,
    /// Linearizable reads that ended without an answer.
    read_barriers_failed,
    /// Entries applied.
    commits_applied,
    /// Flushes of the log that were synced (none in memory-only mode).
    persistence_saves,
    /// Operations on the disk that failed; a full disk is among them.
    persistence_save_failures,
    /// Reads from disk at start.
    persistence_loads,
    /// Files that were found damaged.
    persistence_load_failures,
    /// Bytes written to disk: the log, and snapshots.
    persistence_bytes_written,
    /// Pre-vote rounds that this node began.
    pre_votes_started,
    /// Times that this node gave leadership up because no majority answered.
    quorum_lost,
    /// Times that this node handed leadership over.
    transfers_started,
    /// Rounds in which a leader let a majority confirm it, for reads.
    read_rounds,
    /// Reads, or questions of other nodes, that a lease has answered without a round.
    lease_reads,
    /// Writes that were turned away at the door.
    writes_refused,
    /// Writes that ended with an unknown outcome.
    writes_unknown,
    /// Writes handed to a leader once more, under the same number.
    write_retries,
    /// Copies of a write that were met in the log and not applied again.
    duplicates_skipped,
    /// Links that came up.
    links_up,
    /// Links that went down.
    links_down,
    /// Connections that were refused or cut because of what the other end said.
    links_refused,
    /// Connections among those for which there was no room: too many were without a hello (`maxStrangers`), or of one node
    /// (`maxPerIdentity`).
    links_crowded,
    /// Connections given up because nothing whole came in time, a hello or a frame.
    links_silent,
    /// Connections given up because what was sent on them did not leave (`sendBuffer`), or too slowly.
    links_not_reading,
    /// Connections that others have made. This and the next four are counted by drivers.
    connections_accepted,
    /// Connections for which there was no room at the door (`maxConnections`).
    connections_turned_away,
    /// Connections cut in the midst of their handshake, to make room for newer ones (`maxStrangers`).
    handshakes_cut,
    /// Connections cut because their handshake was not over in time.
    handshakes_late,
    /// Connections refused in their handshake, or right behind it: certificates that are no good, or no TLS at all.
    handshakes_refused,
    /// Readers of events that were refused (`maxWatchers`). Counted by drivers.
    watchers_refused,
    /// Dials that came to nothing.
    dials_failed,
    /// States compared with the other members' by their hash.
    hashes_compared,
    /// Snapshots of its own state that became durable.
    snapshots_taken,
    /// Snapshots of a leader that took the place of what this node had.
    snapshots_installed,
    /// Pieces of snapshots sent to followers that lag behind.
    snapshot_pieces_sent,
}
