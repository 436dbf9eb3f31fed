//! What nodes say to each other about consensus: one variant for each intention.
//!
//! No message carries its sender: the receiver knows it from the connection. There are two families,
//! and the type says which rule holds. A [`Directive`] is a leader's word and leaves at once. A
//! [`Pledge`] promises something, and leaves when what it promises is durable. *Only a leader speaks
//! before its disk.*

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::id::{ClusterId, EntryId, Index, Term};

/// What only a leader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Directive {
    /// Put the entries that follow behind `prev`, which your log must hold.
    Append(Append),
    /// All up to here is committed; your log holds it.
    Commit { term: Term, commit: Index },
    /// I still lead. Answer with the round.
    Heartbeat(Heartbeat),
    /// Stand for election at once: I hand over.
    TimeoutNow { term: Term },
    /// A piece of the state, in place of entries that are released here.
    Snapshot(Piece),
    /// A file of you is damaged, and everything that is committed is held by a majority without you: begin anew.
    Offer { term: Term },
}

/// The words of an append; its entries stand behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Append {
    pub(crate) term: Term,
    /// The id of the cluster whose log this is.
    pub(crate) log: ClusterId,
    /// The entry of the sender's configuration.
    pub(crate) configuration: EntryId,
    pub(crate) prev: EntryId,
    pub(crate) commit: Index,
}

/// Some bytes of a snapshot, and where they belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) term: Term,
    /// The id of the cluster whose state this is.
    pub(crate) log: ClusterId,
    /// The entry of the sender's configuration.
    pub(crate) configuration: EntryId,
    /// The last entry that the snapshot reflects. The sender has applied it.
    pub(crate) last: EntryId,
    /// The number of the row of pieces that are sent one after the other on one link. An answer names it.
    pub(crate) row: u64,
    /// How many bytes of the snapshot come before.
    pub(crate) offset: u64,
    /// Whether these are the last. If not, there may be none: then it is only asked what the receiver has.
    pub(crate) done: bool,
    /// They stand behind the head, and not in it.
    #[serde(skip)]
    pub(crate) bytes: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) term: Term,
    /// The entry of the sender's configuration.
    pub(crate) configuration: EntryId,
    /// No higher than what the receiver is known to hold.
    pub(crate) commit: Index,
    /// The number of the round on its way, 0 if there is none; see `read.rs`.
    pub(crate) round: u64,
    /// The index at which the leader wants to compare states; 0 for none.
    pub(crate) compare_at: Index,
    /// What the last comparison came to.
    pub(crate) verdict: Option<HashVerdict>,
}

/// What a comparison of states came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HashVerdict {
    pub(crate) at: Index,
    /// The hash of an agreeing majority; `None` if all have reported and no majority agrees.
    pub(crate) agreed: Option<u128>,
}

/// What promises something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pledge {
    /// Would you vote for me (`pre`), or: do vote for me.
    VoteRequest(VoteRequest),
    /// The answer to a vote request, in the term that it asked for if granted, else in mine.
    VoteReply { term: Term, pre: bool, granted: bool },
    /// My log equals yours up to here.
    Appended { term: Term, matched: Index },
    /// My log does not hold the entry that your append named. It may equal yours up to `hint`.
    Conflict { term: Term, probed: Index, hint: EntryId },
    /// I took you for the leader when I was asked in this round.
    Confirmed { term: Term, round: u64, compared: Option<(Index, u128)> },
    /// Of your snapshot up to `last` I have the first `offset` bytes, after the piece of this row. That of another
    /// leader, or none, has a `last` of zero.
    Received { term: Term, row: u64, last: EntryId, offset: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteRequest {
    /// The term that the candidate stands in, or would stand in.
    pub(crate) term: Term,
    pub(crate) pre: bool,
    /// The end of the candidate's log.
    pub(crate) last: EntryId,
    /// Whether the leader itself asked for this election.
    pub(crate) handed_over: bool,
    /// The entry of the candidate's configuration.
    pub(crate) configuration: EntryId,
}

/// A message, with the entries of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Directive(Directive, Vec<Entry>),
    Pledge(Pledge),
}

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Directive(Directive, Vec<Bytes>),
    Pledge(Pledge),
}

impl Received {
    /// The term that it speaks of.
    pub(crate) fn term(&self) -> Term {
        match self {
            Received::Directive(directive, _) => directive.term(),
            Received::Pledge(pledge) => pledge.term(),
        }
    }
}

impl Pledge {
    pub(crate) fn term(&self) -> Term {
        match self {
            Pledge::VoteRequest(request) => request.term,
            Pledge::VoteReply { term, .. }
            | Pledge::Appended { term, .. }
            | Pledge::Conflict { term, .. }
            | Pledge::Confirmed { term, .. }
            | Pledge::Received { term, .. } => *term,
        }
    }
}

impl Directive {
    pub(crate) fn term(&self) -> Term {
        match self {
            Directive::Append(append) => append.term,
            Directive::Heartbeat(heartbeat) => heartbeat.term,
            Directive::Snapshot(piece) => piece.term,
            Directive::Commit { term, .. } | Directive::TimeoutNow { term } | Directive::Offer { term } => {
                *term
            }
        }
    }
}
