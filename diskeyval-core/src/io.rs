//! The whole contract between the engine and whoever drives it, on one page.
//!
//! A driver opens a turn at a time, gives it every [`Input`] that has arrived, ends it, performs the
//! [`Effect`]s that come out, and reports what became of them in a later turn. **An effect that is handed
//! out is safe to perform at once**: whatever must wait is held inside. Effects keep their order within
//! one connection; between connections there is no order to respect.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::config::Address;
use crate::error::{CloseReason, Damage, DialError, Error, Fault};
use crate::id::{ClusterId, ConnId, DialId, Index, NodeId, OpId, Term, Ticket};
use crate::identity::Identity;
use crate::kv::{Command, Outcome, Versioned, View};
use crate::members::MemberChange;
use crate::status::Status;
use crate::store::FileName;

/// What a driver tells the engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A connection stands: TLS is done on our side, and the certificate at the other end names `who`.
    Opened {
        /// A number that this driver has never used before.
        conn: ConnId,
        /// Who is at the other end, by its certificate.
        who: Identity,
        /// Who dialled.
        origin: Origin,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Why.
        why: DialError,
    },
    /// Bytes came in, cut anywhere. Nothing is expected of the cuts.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes, in their order.
        bytes: Bytes,
    },
    /// So many of the bytes of [`Effect::Send`] have left for the socket (counted before TLS). It may wait for the next turn,
    /// and no longer: a link from which nothing leaves for as long as its node is patient is cut.
    Drained {
        /// The connection.
        conn: ConnId,
        /// How many, since the last report.
        bytes: usize,
    },
    /// A connection is gone, and not because the engine asked for it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: CloseReason,
    },
    /// The embedding program asks for something. Exactly one [`Effect::Answer`] will come for the ticket.
    Ask {
        /// A number that this driver has never used before.
        ticket: Ticket,
        /// What is wanted.
        request: Request,
        /// How long it may take, counted from this turn.
        budget: Duration,
    },
    /// What became of [`Effect::Disk`]. Operations are carried out, and reported, in their order.
    Disk {
        /// The operation.
        op: OpId,
        /// What it came to.
        result: Result<DiskDone, DiskError>,
    },
    /// From now on [`Event::Change`] is wanted, or no more.
    Listen {
        /// Whether it is wanted.
        changes: bool,
    },
}

/// Who dialled a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The other end did.
    Accepted,
    /// We did, when the engine asked for it.
    Dialled(DialId),
}

/// What the embedding program may ask for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Change the store, exactly once. Answered by [`Answer::Written`].
    Write(Command),
    /// Read one key. Answered by [`Answer::Read`].
    Get {
        /// The key.
        key: Bytes,
        /// How fresh the answer must be.
        read: Read,
    },
    /// All keys, as this node knows them now. Answered at once by [`Answer::View`].
    View,
    /// What this node knows of itself and its peers. Answered at once by [`Answer::Status`].
    Status,
    /// Take a snapshot of the state as it is now, so that the log before it can be given up. Answered by
    /// [`Answer::Snapshot`] when it is durable.
    Snapshot,
    /// Have another node lead, whichever node is asked. The leader takes in nothing new meanwhile, which is for an
    /// election timeout at the most. Answered by [`Answer::Transferred`].
    TransferLeadership {
        /// The node that is to lead; `None`: whoever is most advanced, but not the one that leads now.
        to: Option<NodeId>,
    },
    /// Change the members, whichever node is asked. Answered by [`Answer::MembersChanged`].
    ChangeMembers {
        /// How.
        change: MemberChange,
    },
    /// Go on alone, as another cluster, with whatever this node holds: **for a cluster whose quorum is lost for good, and
    /// nothing else.** What the others had acknowledged and this node does not hold is lost. The others must never come
    /// back with what they have; they are refused. Answered by [`Answer::Recovered`].
    Recover,
    /// Make every link anew, for connections are made by other certificates from now on: each peer is dialled while its
    /// link goes on, which ends when the new one is up, or when the time for that is over. No [`Input::Opened`] may follow
    /// of a connection whose handshake had begun before; the driver breaks such handshakes off. Answered at once by
    /// [`Answer::LinksRenewed`].
    RenewLinks,
    /// Stop: hand leadership over if this node leads, refuse what is new, end what is pending. Answered
    /// by [`Answer::Stopped`], within an election timeout; the driver then closes everything.
    Stop,
}

/// How fresh the answer to a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Read {
    /// It reflects every write that was acknowledged anywhere before the read was asked for. Costs a
    /// round trip from the leader to a majority, shared by all reads that wait.
    #[default]
    Linearizable,
    /// The same, without a round: while a leader can be sure that nobody else leads, if clocks run as evenly as the
    /// configuration says (`maxClockDriftPermille`). Where that is not set, or not enough was confirmed lately, a
    /// round is made. **If clocks run further apart, it may be stale.**
    Lease,
    /// It reflects what this node has applied, which may be behind. Costs nothing, never waits.
    Local,
}

/// What the engine asks of its driver.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// Connect to a peer, and answer with [`Input::Opened`] or [`Input::DialFailed`].
    Dial {
        /// To be named in the answer.
        dial: DialId,
        /// The node that should be there.
        peer: NodeId,
        /// Where it should be.
        address: Address,
        /// How long it may take.
        within: Duration,
    },
    /// Write these bytes to a connection, behind all that was sent on it before.
    Send {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Close a connection once what was sent on it has left, without waiting for long. Nothing that
    /// comes in on it from now on is of interest.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why, for the log.
        why: CloseReason,
    },
    /// Do this to the node's directory, behind all that was to be done before, and report it
    /// ([`Input::Disk`]). Only of a node whose configuration has `persistence`.
    Disk {
        /// To be named in the report. The numbers of one opening ascend by one.
        op: OpId,
        /// What is to be done.
        what: DiskOp,
    },
    /// The one answer to a request.
    Answer {
        /// The request.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Something happened that the embedding program may want to know.
    Event(Event),
    /// The engine goes no further: close everything and say why. Pending requests have been answered.
    Halt {
        /// What is wrong.
        fault: Fault,
    },
}

/// What is to be done to a node's directory. That is a flat set of files with the names of [`FileName`]; whatever
/// else lies there is nobody's business.
///
/// Operations are carried out one after the other. One that has failed does not keep those behind it from being
/// tried: what a failure means is decided by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Say which files there are, and how long each is.
    List,
    /// Make a file of so many bytes, all of them zero, with the blocks that it needs. There is none of this name.
    /// When it is done, the name and the size are durable. (Should it fail, the file may be there or not.)
    Create {
        /// The file.
        file: FileName,
        /// Its size in bytes.
        size: u64,
    },
    /// Write these parts, one behind the other, into a file that is there. What goes beyond its end makes it longer.
    /// Durable, and so is the new size, only once a later [`DiskOp::Sync`] is done.
    Write {
        /// The file.
        file: FileName,
        /// Where the first byte goes.
        at: u64,
        /// The bytes.
        parts: Vec<Bytes>,
    },
    /// Make durable all that was written to a file.
    Sync {
        /// The file.
        file: FileName,
    },
    /// Read so many bytes; fewer come where the file ends.
    Read {
        /// The file.
        file: FileName,
        /// Where the first byte stands.
        at: u64,
        /// How many.
        len: usize,
    },
    /// Remove a file. When it is done, that is durable. One that is not there is no error.
    Remove {
        /// The file.
        file: FileName,
    },
    /// Move a file out of the way, to be found by people: `under` becomes a part of its new name, which is none of
    /// [`FileName`]. When it is done, that is durable. One that is not there is no error: it was moved before.
    SetAside {
        /// The file.
        file: FileName,
        /// What tells it from others that were set aside.
        under: u64,
    },
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// It is done. To all but the two below.
    Done,
    /// To [`DiskOp::List`]: files and their sizes, in any order.
    Listed(Vec<(FileName, u64)>),
    /// To [`DiskOp::Read`]. For the driver: one piece of memory that nobody else has, so that it can be kept.
    Read(Bytes),
}

/// Why an operation was not carried out, or not wholly. It may have been in part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskError {
    /// There is no room left.
    Full,
    /// There is no such file.
    Missing,
    /// Anything else, in the words of the operating system.
    Failed(String),
}

/// The answer to a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// To [`Request::Write`].
    Written(Result<Outcome, Error>),
    /// To [`Request::Get`]; `None` if there is no such key. The error is never [`Error::Unknown`].
    Read(Result<Option<Versioned>, Error>),
    /// To [`Request::View`].
    View(View),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Snapshot`]: the revision that the snapshot reflects. After an [`Error::Unknown`] there may be
    /// one all the same.
    Snapshot(Result<u64, Error>),
    /// To [`Request::TransferLeadership`]: the node that was asked has seen the wanted one lead, at once if it did
    /// already. After an [`Error::Unknown`] leadership may still move.
    Transferred(Result<(), Error>),
    /// To [`Request::ChangeMembers`]: the members are as they were wanted, by the entry of this revision at the latest,
    /// which this node has applied (or it is no member any more). After an [`Error::Unknown`] they may still change, and
    /// the same may be asked for again.
    MembersChanged(Result<u64, Error>),
    /// To [`Request::Recover`]. After an [`Error::Unknown`] it may have been done, or be done yet.
    Recovered(Result<Recovery, Error>),
    /// To [`Request::RenewLinks`]: peers are being dialled.
    LinksRenewed,
    /// To [`Request::Stop`].
    Stopped,
}

/// What a node goes on with alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// This node.
    pub node: NodeId,
    /// The cluster that is given up.
    pub former: ClusterId,
    /// The one that this node is now.
    pub cluster: ClusterId,
    /// Up to here this node knew the log to be committed. Whatever the others had committed beyond `kept` is lost.
    pub committed: Index,
    /// The last entry of the log, which is kept whole: what stands behind `committed` may never have been acknowledged.
    pub kept: Index,
    /// The revision that the state has from now on. It is far beyond any that was given before.
    pub revision: u64,
    /// What of a damaged storage is left out: the first thing that is wrong, and what cannot be told without it.
    pub left_out: Vec<Damage>,
    /// The highest entry that was seen, in what is kept or in what is left out. Those behind `kept` are lost.
    pub seen: Index,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A committed update took effect here: once for each, on every node, in the order of revisions.
    /// Comes only while it is wanted ([`Input::Listen`]).
    Change(Change),
    /// This node follows another leader now, or none, or leads itself.
    Leader {
        /// The leader, if one is known.
        leader: Option<NodeId>,
        /// The reign.
        term: Term,
    },
    /// A link to a peer came up: hello and its answer have crossed.
    LinkUp {
        /// The peer.
        peer: NodeId,
    },
    /// A link to a peer is gone, or was refused before it was up.
    LinkDown {
        /// Who is at the other end.
        peer: Identity,
        /// Why.
        why: CloseReason,
    },
    /// A dial to a peer came to nothing.
    Unreachable {
        /// The peer.
        peer: NodeId,
        /// Why.
        why: DialError,
    },
    /// The state has moved up to this revision at once, without an [`Event::Change`] for each update: this node was
    /// started anew and knows its log again, or was sent a snapshot. [`Request::View`] tells what it is now.
    Resync {
        /// The revision that the state reflects.
        revision: u64,
    },
    /// A file of this node has rotted, and is written anew from what is in memory; the old one is set aside.
    Rotten(Damage),
    /// A file of this node is damaged: it keeps out of everything, and keeps its files, until a leader offers to take it
    /// in again.
    Damaged(Damage),
    /// A link to a peer came up that says that a file of it is damaged: it keeps out of everything.
    PeerDamaged {
        /// The peer.
        peer: NodeId,
    },
    /// This node was damaged, and a leader has offered to take it in again: it has set its files aside, and is another
    /// life of its node from now on, without a log. Told by every start that has a part in it.
    BegunAnew {
        /// How many files this start has set aside. None is removed.
        set_aside: usize,
        /// The number under which they were.
        under: u64,
    },
    /// This node makes connections by other certificates from now on, and its links are made anew.
    CertsRenewed,
    /// Other certificates were found or given, and cannot be used: the former ones stay in force. Told by drivers, which
    /// alone know of certificates.
    CertsRefused {
        /// What is wrong, and what to do.
        why: String,
    },
    /// A certificate ends soon, or has ended: told once when less than 30 days are left, 7, 1, and none. Told by drivers, as
    /// well.
    CertExpires {
        /// Whose: the name of a node, or `CA` and its subject.
        whose: String,
        /// Whole days that are left, rounded down: -1 on the day after.
        days_left: i64,
    },
    /// This node serves from now on: its incarnation is in its seat, a learner's perhaps, by a committed entry.
    Admitted,
    /// This node was removed from its cluster, as a member says. It serves no more and disturbs nobody, until it is
    /// stopped, or announced there anew ([`Event::Admitted`] follows then).
    Removed,
    /// This node does not serve, and will not by itself: its seat is bound to another life of it. Told once.
    NotAdmitted {
        /// What has happened, and what to do.
        why: String,
    },
}

/// One committed update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Bytes,
    /// Its new value, or `None` if it was deleted.
    pub value: Option<Bytes>,
    /// The revision of the update: the index of its entry in the log.
    pub revision: u64,
}
