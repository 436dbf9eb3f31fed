//! What a simulator and its checkers see of nodes: their vital signs, and the words on their wires. Looking
//! changes nothing. With the feature `inspect` only.
//!
//! [`forge`] makes words that no honest node would say, for liars in a simulation; [`decode`] reads by itself whatever comes
//! from elsewhere, and [`state`] has the replicated state alone, for fuzzers.

pub mod decode;
pub mod forge;
mod print;
pub mod state;

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::config::MAX_FRAME;
use crate::engine::Engine;
use crate::entry::{Entry, Payload};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::kv::Command;
use crate::members::{Configuration, Seat};
use crate::mesh::{Cutter, Frame, Service};
use crate::raft::{Directive, Pledge, Received};
use crate::status::RoleName;
use crate::store::Record;

/// Where a node stands in consensus, cheap enough to be asked for after every turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Its part.
    pub role: RoleName,
    /// The reign it is in.
    pub term: Term,
    /// The last entry of its log.
    pub last: EntryId,
    /// Up to where it knows the log to be committed.
    pub commit: Index,
    /// Up to where it has applied the log.
    pub applied: Index,
    /// Whether it leads, and hands that over: it takes in nothing meanwhile.
    pub hands_over: bool,
}

/// What a leader believes of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief<'e> {
    /// The follower.
    pub peer: &'e NodeId,
    /// The life of it that is linked.
    pub incarnation: Incarnation,
    /// Its log equals the leader's up to here.
    pub matched: Index,
    /// The next entry to be sent.
    pub next: Index,
    /// Bytes of entries that are not acknowledged, and were on their way already when the last append was sent.
    pub before_last_append: usize,
}

/// What a node holds that its limits bound, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Burden {
    /// In the log.
    pub log: usize,
    /// In the log, and not applied yet.
    pub uncommitted: usize,
    /// The most that was sent on one link and has not left yet.
    pub unsent: usize,
    /// The most that has come in on one connection and is no whole frame yet.
    pub unread: usize,
    /// Connections without a hello. Not bytes, as the rest below.
    pub strangers: usize,
    /// The most connections that one node has made.
    pub by_one: usize,
    /// Links from which nothing has left for as long as the node is patient.
    pub stuck: usize,
    /// Writes that wait for an answer.
    pub writes: usize,
    /// As how many bytes they are counted.
    pub write_bytes: usize,
    /// Reads that wait for an answer.
    pub reads: usize,
    /// Whether no room can be made on the disk for what programs write.
    pub disk_full: bool,
}

impl Engine {
    /// Where it stands.
    pub fn vitals(&self) -> Vitals {
        let (raft, kv) = (self.raft(), self.kv());
        Vitals {
            role: raft.role(),
            term: raft.term(),
            last: raft.log().last(),
            commit: raft.commit(),
            applied: kv.applied(),
            hands_over: raft.is_handing_over() && !self.is_over(),
        }
    }

    /// The members that are in force here, as they stand in the log; `None` before there are any.
    pub fn members(&self) -> Option<Members> {
        match self.raft().configuration() {
            Configuration::ByName(_) => None,
            Configuration::Seats(_, members) => Some(Members {
                seats: seats(&members.seats),
                outgoing: seats(&members.outgoing),
                learners: seats(&members.learners),
            }),
        }
    }

    /// The entry that has brought them in.
    pub fn members_at(&self) -> EntryId {
        self.raft().configuration().entry()
    }

    /// The hash of all replicated state, at [`Vitals::applied`].
    pub fn state_hash(&self) -> u128 {
        self.kv().hash()
    }

    /// What it has wanted to be kept in its last turn, and the number of the last record. Records are counted from 1,
    /// at each opening anew; the first is the incarnation, which is told at the very first opening only.
    pub fn journal(&self) -> (&[Record], u64) {
        let store = self.raft().store();
        (store.journal(), store.journal_numbers().0)
    }

    /// The number of the last record that is durable; zero while what was kept is still being read.
    pub fn journal_durable(&self) -> u64 {
        self.raft().store().journal_numbers().1
    }

    /// What it has found when it was opened, as records: all of it is durable. `None` while that is still being read.
    pub fn found(&self) -> Option<&[Record]> {
        self.kept()
    }

    /// What it believes of its followers, if it leads.
    pub fn beliefs(&self) -> impl Iterator<Item = Belief<'_>> {
        self.raft().followers().map(|(peer, progress)| Belief {
            peer,
            incarnation: progress.incarnation,
            matched: progress.matched,
            next: progress.next(),
            before_last_append: progress.before_last_append(),
        })
    }

    /// What it holds.
    pub fn burden(&self) -> Burden {
        let links = self.mesh().burden();
        let (writes, write_bytes, reads) = self.desk().burden();
        let log = self.raft().log();
        Burden {
            log: log.bytes(),
            uncommitted: log.untaken_bytes(),
            writes,
            write_bytes,
            reads,
            disk_full: self.raft().store().is_full(),
            unsent: links.unsent,
            unread: links.unread,
            strangers: links.strangers,
            by_one: links.by_one,
            stuck: links.stuck,
        }
    }
}

/// Listens to one direction of a connection.
#[derive(Clone, Debug)]
pub struct Ear {
    cutter: Cutter,
}

impl Default for Ear {
    fn default() -> Ear {
        Ear { cutter: Cutter::new(MAX_FRAME) }
    }
}

impl Ear {
    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: Bytes) {
        self.cutter.push(piece);
    }

    /// The next whole word; `None` if there is none yet, or what follows is not understood.
    pub fn next_word(&mut self) -> Option<Word> {
        let body = self.cutter.next().ok().flatten()?;
        Frame::parse(&body).ok().map(|frame| Word { frame })
    }
}

/// One frame that was understood. Its text says all of it, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    frame: Frame,
}

/// What a word claims, as far as invariants speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are those of the protocol; `docs/src/protocol.md` explains them.
pub enum Claim {
    /// Would you vote for me (`pre`), or: do.
    VoteRequest { term: Term, pre: bool, last: EntryId, handed_over: bool },
    /// The answer to that.
    VoteReply { term: Term, pre: bool, granted: bool },
    /// Put so many entries behind `prev`.
    Append { term: Term, prev: EntryId, entries: u64, commit: Index },
    /// All up to here is committed.
    Commit { term: Term, commit: Index },
    /// I lead; answer with the round.
    Heartbeat { term: Term, commit: Index, round: u64 },
    /// Stand for election.
    TimeoutNow { term: Term },
    /// My log equals yours up to here.
    Appended { term: Term, matched: Index },
    /// My log does not hold what you named.
    Conflict { term: Term, probed: Index },
    /// I took you for the leader.
    Confirmed { term: Term, round: u64 },
    /// Put this write into the log.
    Write { seq: u64, attempt: u32 },
    /// That is in no log.
    Refused { seq: u64, attempt: u32 },
    /// Where may I read?
    Read { question: u64 },
    /// There.
    ReadAt { question: u64, index: Index },
    /// Some bytes of the state after an entry.
    Snapshot { term: Term, last: EntryId, offset: u64, done: bool },
    /// A file of you is damaged: begin anew.
    Offer { term: Term },
    /// So many bytes of that are here.
    Received { term: Term, last: EntryId, offset: u64 },
    /// Anything else.
    Other,
}

impl Word {
    /// The names of all kinds of words, in the terms of the protocol.
    pub const KINDS: &'static [&'static str] = &[
        "hello",
        "welcome",
        "confirm",
        "goodbye",
        "ping",
        "append",
        "commit",
        "heartbeat",
        "timeout-now",
        "pre-vote-request",
        "vote-request",
        "pre-vote",
        "vote",
        "appended",
        "conflict",
        "confirmed",
        "open-session",
        "write",
        "refused",
        "read-index",
        "read-at",
        "read-refused",
        "snapshot",
        "received",
        "transfer",
        "not-transferred",
        "offer",
        "change-members",
        "members-changed",
        "members-not-changed",
        "members",
        "removed",
    ];

    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.index()]
    }

    /// The place of its kind in [`Word::KINDS`].
    pub fn index(&self) -> usize {
        match &self.frame {
            Frame::Hello(_) => 0,
            Frame::Welcome { .. } => 1,
            Frame::Confirm => 2,
            Frame::Goodbye { .. } => 3,
            Frame::Ping => 4,
            Frame::Removed { .. } => 31,
            Frame::Raft(Received::Directive(directive, _)) => match directive {
                Directive::Append(_) => 5,
                Directive::Commit { .. } => 6,
                Directive::Heartbeat(_) => 7,
                Directive::TimeoutNow { .. } => 8,
                Directive::Snapshot(_) => 22,
                Directive::Offer { .. } => 26,
            },
            Frame::Raft(Received::Pledge(pledge)) => match pledge {
                Pledge::VoteRequest(request) if request.pre => 9,
                Pledge::VoteRequest(_) => 10,
                Pledge::VoteReply { pre: true, .. } => 11,
                Pledge::VoteReply { .. } => 12,
                Pledge::Appended { .. } => 13,
                Pledge::Conflict { .. } => 14,
                Pledge::Confirmed { .. } => 15,
                Pledge::Received { .. } => 23,
            },
            Frame::Service(service, _) => match service {
                Service::OpenSession => 16,
                Service::Write { .. } => 17,
                Service::Refused { .. } => 18,
                Service::Read { .. } => 19,
                Service::ReadAt { .. } => 20,
                Service::ReadRefused { .. } => 21,
                Service::Transfer { .. } => 24,
                Service::Kept { .. } => 25,
                Service::ChangeMembers { .. } => 27,
                Service::Changed { .. } => 28,
                Service::Unchanged { .. } => 29,
                Service::Members { .. } => 30,
            },
        }
    }

    /// Whether it is one of those that come all the time and say nothing new.
    pub fn is_routine(&self) -> bool {
        match &self.frame {
            Frame::Hello(_) | Frame::Welcome { .. } | Frame::Confirm | Frame::Ping => true,
            Frame::Raft(Received::Directive(Directive::Heartbeat(heartbeat), _)) => heartbeat.round == 0,
            Frame::Raft(Received::Pledge(Pledge::Confirmed { round, .. })) => *round == 0,
            Frame::Goodbye { .. } | Frame::Removed { .. } | Frame::Raft(_) | Frame::Service(..) => false,
        }
    }

    /// What it claims.
    pub fn claim(&self) -> Claim {
        match &self.frame {
            Frame::Raft(Received::Directive(directive, entries)) => match directive {
                Directive::Append(append) => Claim::Append {
                    term: append.term,
                    prev: append.prev,
                    entries: entries.len() as u64,
                    commit: append.commit,
                },
                Directive::Commit { term, commit } => Claim::Commit { term: *term, commit: *commit },
                Directive::Heartbeat(heartbeat) => Claim::Heartbeat {
                    term: heartbeat.term,
                    commit: heartbeat.commit,
                    round: heartbeat.round,
                },
                Directive::TimeoutNow { term } => Claim::TimeoutNow { term: *term },
                Directive::Offer { term } => Claim::Offer { term: *term },
                Directive::Snapshot(piece) => Claim::Snapshot {
                    term: piece.term,
                    last: piece.last,
                    offset: piece.offset,
                    done: piece.done,
                },
            },
            Frame::Raft(Received::Pledge(pledge)) => match *pledge {
                Pledge::VoteRequest(ref request) => Claim::VoteRequest {
                    term: request.term,
                    pre: request.pre,
                    last: request.last,
                    handed_over: request.handed_over,
                },
                Pledge::VoteReply { term, pre, granted } => Claim::VoteReply { term, pre, granted },
                Pledge::Appended { term, matched } => Claim::Appended { term, matched },
                Pledge::Conflict { term, probed, .. } => Claim::Conflict { term, probed },
                Pledge::Confirmed { term, round, .. } => Claim::Confirmed { term, round },
                Pledge::Received { term, last, offset, .. } => Claim::Received { term, last, offset },
            },
            Frame::Service(service, _) => match *service {
                Service::Write { seq, attempt } => Claim::Write { seq, attempt },
                Service::Refused { seq, attempt, .. } => Claim::Refused { seq, attempt },
                Service::Read { question, .. } => Claim::Read { question },
                Service::ReadAt { question, index } => Claim::ReadAt { question, index },
                Service::OpenSession
                | Service::ReadRefused { .. }
                | Service::Transfer { .. }
                | Service::Kept { .. }
                | Service::ChangeMembers { .. }
                | Service::Changed { .. }
                | Service::Members { .. }
                | Service::Unchanged { .. } => Claim::Other,
            },
            Frame::Hello(_)
            | Frame::Welcome { .. }
            | Frame::Confirm
            | Frame::Goodbye { .. }
            | Frame::Removed { .. }
            | Frame::Ping => Claim::Other,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::frame(f, &self.frame)
    }
}

/// What an entry of a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its term.
    pub term: Term,
    /// What it says.
    pub what: What,
}

/// The members, as an entry says them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// The seats of those who vote, or, while they change, of those who come.
    pub seats: Seats,
    /// While they change: of those who go.
    pub outgoing: Seats,
    /// Those of the learners.
    pub learners: Seats,
}

fn seats(seats: &[Seat]) -> Seats {
    seats.iter().map(|seat| (seat.id.clone(), seat.bound)).collect()
}

/// Names, and who is in their seats.
pub type Seats = Vec<(NodeId, Option<Incarnation>)>;

/// The kinds of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The founding of a cluster.
    Genesis {
        /// Its id.
        cluster: ClusterId,
        /// Its seats.
        seats: Seats,
    },
    /// Nothing: a leader's first entry.
    Noop,
    /// The membership from here on.
    Members {
        /// The seats of those who vote, or, while they change, of those who come.
        seats: Seats,
        /// While they change: of those who go.
        outgoing: Seats,
        /// Those of the learners.
        learners: Seats,
    },
    /// A node asks for a session.
    OpenSession {
        /// The node.
        node: NodeId,
        /// Its life.
        incarnation: Incarnation,
        /// Its boot.
        boot: u128,
    },
    /// A change of the store.
    Write {
        /// The session: the index of the entry that opened it.
        session: u64,
        /// The number of the write in its session.
        seq: u64,
        /// All numbers below have ended for the owner.
        floor: u64,
        /// What is to be done.
        command: Command,
    },
}

impl Said {
    /// Reads the bytes of an entry; `None` if they are none.
    pub fn parse(bytes: Bytes) -> Option<Said> {
        let entry = Entry::parse(bytes).ok()?;
        let what = match entry.payload {
            Payload::Genesis(genesis) => {
                What::Genesis { cluster: genesis.cluster, seats: seats(&genesis.members.seats) }
            }
            Payload::Noop => What::Noop,
            Payload::Members(members) => What::Members {
                seats: seats(&members.seats),
                outgoing: seats(&members.outgoing),
                learners: seats(&members.learners),
            },
            Payload::OpenSession(owner) => {
                What::OpenSession { node: owner.node, incarnation: owner.incarnation, boot: owner.boot }
            }
            Payload::Write(write) => What::Write {
                session: write.session,
                seq: write.seq,
                floor: write.floor,
                command: write.command,
            },
        };
        Some(Said { term: entry.term, what })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{} ", self.term)?;
        print::what(f, &self.what)
    }
}
