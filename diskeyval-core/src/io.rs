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
use crate::error::{CloseReason, DialError, Error, Fault};
use crate::id::{ConnId, DialId, NodeId, Term, Ticket};
use crate::identity::Identity;
use crate::kv::{Command, Outcome, Versioned, View};
use crate::status::Status;
use crate::store::Record;

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
    /// So many of the bytes of [`Effect::Send`] have left for the socket (counted before TLS).
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
    /// What [`Effect::Store`] wanted to be kept is durable: every record up to this number.
    Stored {
        /// The number of the last.
        up_to: u64,
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
    /// Keep these records, behind all that were to be kept before, and report when they are durable
    /// ([`Input::Stored`]). Only of a node that was opened with [`Engine::open_on_disk`](crate::Engine::open_on_disk).
    Store {
        /// The number of the last of them: records are counted from 1, at each opening anew.
        number: u64,
        /// The records, in their order.
        records: Vec<Record>,
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
    /// To [`Request::Stop`].
    Stopped,
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
    /// This node serves from now on: its incarnation is in its seat, by a committed entry.
    Admitted,
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
