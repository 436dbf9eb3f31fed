//! Words that no honest node would say, as bytes for a wire.
//!
//! None that gives directions claims a configuration newer than the listener's: who holds a node certificate of the
//! cluster and does that is believed (a node that lags behind has no other way to learn who replaced its peers), so it
//! could lead by lies. Node certificates are trusted so far, and no further.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use crate::entry::{Entry, Payload, Write};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::kv::Command;
use crate::members::{MemberChange, StorageKind};
use crate::mesh::wire::{self, Hello, Service, VERSIONS};
use crate::raft::{Append, Directive, Heartbeat, Outgoing, Pledge, VoteRequest};

/// What a liar says of itself.
#[derive(Clone, Debug)]
pub struct Mask {
    /// The name that it claims.
    pub node: NodeId,
    /// The name of the cluster that it claims.
    pub cluster_name: alloc::string::String,
    /// The id of the cluster that it claims.
    pub cluster: Option<ClusterId>,
    /// Its life, or whose it claims to be.
    pub incarnation: Incarnation,
    /// Whether it keeps its log on a disk.
    pub on_disk: bool,
    /// The last entry about the members that it claims to know.
    pub configuration: EntryId,
}

fn bytes(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

fn pledge(pledge: Pledge) -> Bytes {
    bytes(|out| wire::write_raft(out, Outgoing::Pledge(pledge)))
}

fn directive(directive: Directive, entries: Vec<Bytes>) -> Bytes {
    bytes(|out| wire::write_raft(out, Outgoing::Directive(directive, entries)))
}

/// A hello.
pub fn hello(mask: &Mask) -> Bytes {
    let hello = Hello {
        versions: VERSIONS,
        cluster_name: mask.cluster_name.clone(),
        cluster: mask.cluster,
        node: mask.node.clone(),
        incarnation: mask.incarnation,
        boot: mask.incarnation.0,
        storage: if mask.on_disk { StorageKind::Disk } else { StorageKind::Memory },
        initial_members: None,
        seated: None,
        configuration: mask.configuration,
        named: None,
        address: None,
        leader_priority: 0,
        damaged: false,
        renewals: 0,
    };
    bytes(|out| wire::write_hello(out, hello))
}

/// The last word of the three that bring a link up.
pub fn confirm() -> Bytes {
    bytes(wire::write_confirm)
}

/// A vote that was perhaps never asked for.
pub fn vote(term: Term, pre: bool) -> Bytes {
    pledge(Pledge::VoteReply { term, pre, granted: true })
}

/// A request for a vote.
pub fn vote_request(term: Term, last: EntryId) -> Bytes {
    let configuration = EntryId::default();
    pledge(Pledge::VoteRequest(VoteRequest { term, pre: false, last, handed_over: true, configuration }))
}

/// An acknowledgement of what was perhaps never received.
pub fn appended(term: Term, matched: Index) -> Bytes {
    pledge(Pledge::Appended { term, matched })
}

/// A confirmation of a round that was perhaps never asked for.
pub fn confirmed(term: Term, round: u64) -> Bytes {
    pledge(Pledge::Confirmed { term, round, compared: Some((Index(1), 0)) })
}

/// An append of one empty entry of a term, behind a place.
pub fn append(term: Term, log: ClusterId, prev: EntryId, of_term: Term) -> Bytes {
    let configuration = EntryId::default();
    let append = Append { term, log, configuration, prev, commit: Index(u64::MAX) };
    directive(Directive::Append(append), alloc::vec![Entry::new(of_term, Payload::Noop).bytes])
}

/// A heartbeat that says that everything is committed.
pub fn heartbeat(term: Term, round: u64) -> Bytes {
    let heartbeat = Heartbeat {
        term,
        configuration: EntryId::default(),
        commit: Index(u64::MAX),
        round,
        compare_at: Index(1),
        verdict: None,
    };
    directive(Directive::Heartbeat(heartbeat), Vec::new())
}

/// An answer to a question, perhaps to none.
pub fn read_at(question: u64, index: Index) -> Bytes {
    bytes(|out| wire::write_service(out, Service::ReadAt { question, index }, &[]))
}

/// The refusal of a write, perhaps of one that was taken.
pub fn refused(seq: u64, attempt: u32) -> Bytes {
    bytes(|out| {
        wire::write_service(out, Service::Refused { seq, attempt, why: wire::Turned::Overloaded }, &[])
    })
}

fn question(service: Service, payload: &[u8]) -> Bytes {
    bytes(|out| wire::write_service(out, service, payload))
}

/// A session is asked for.
pub fn open_session() -> Bytes {
    question(Service::OpenSession, &[])
}

/// A write is asked for, the first of a session.
pub fn write(session: u64, command: &Command) -> Bytes {
    let write = Write { session, seq: 1, floor: 1, command: command.clone() };
    let entry = Entry::new(Term(0), Payload::Write(write)).bytes;
    question(Service::Write { seq: 1, attempt: 1 }, &entry)
}

/// It is asked where to read.
pub fn read(id: u64) -> Bytes {
    question(Service::Read { question: id, by_lease: false }, &[])
}

/// It is asked that another leads.
pub fn transfer(id: u64, to: Option<NodeId>) -> Bytes {
    question(Service::Transfer { question: id, to }, &[])
}

/// It is asked that the members change.
pub fn change(id: u64, change: MemberChange) -> Bytes {
    question(Service::ChangeMembers { question: id, change, within: 60_000 }, &[])
}

/// A frame that says that it is so large, and a few bytes of it.
pub fn bomb(size: u32) -> Bytes {
    bytes(|out| {
        out.put_u32_le(size);
        out.put_bytes(0, 16);
    })
}

/// A sign of life.
pub fn ping() -> Bytes {
    bytes(wire::write_ping)
}

/// A frame that is none.
pub fn noise(seed: u64) -> Bytes {
    bytes(|out| {
        out.put_u32_le(8);
        out.put_u64_le(seed);
    })
}

/// A goodbye.
pub fn goodbye(reason: &str) -> Bytes {
    bytes(|out| wire::write_goodbye(out, reason))
}
