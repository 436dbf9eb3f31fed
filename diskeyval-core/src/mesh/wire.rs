//! What stands in a frame: a postcard head, and behind it raw bytes where there are any.
//!
//! Kinds are only ever added, at the end; the pair of versions that two nodes agree on in their hello
//! says which of them both understand.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::config::Address;
use crate::entry::{read_batch, write_batch, write_head};
use crate::few::few;
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId};
use crate::members::{MAX_KNOWN, Member, MemberChange, StorageKind};
use crate::mesh::frame;
use crate::raft::{Directive, Kept, Outgoing, Piece, Pledge, Received, Unchanged};

/// The versions of the protocol that this code speaks, from and to.
pub(crate) const VERSIONS: (u16, u16) = (1, 1);

/// The longest reason in a goodbye, in bytes.
const MAX_REASON: usize = 512;

/// The head of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Head {
    Hello(Hello),
    Welcome { version: u16, hello: Hello },
    Confirm,
    Goodbye { reason: String },
    Ping,
    Directive(Directive),
    Pledge(Pledge),
    Service(Service),
    Removed { by: Index },
}

/// What an end of a connection says of itself before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The versions of the protocol that it speaks, from and to.
    pub(crate) versions: (u16, u16),
    /// The name of its cluster.
    pub(crate) cluster_name: String,
    /// The id of its cluster, once that is founded.
    pub(crate) cluster: Option<ClusterId>,
    /// Its name, which its certificate must carry too.
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Drawn at each start.
    pub(crate) boot: u128,
    pub(crate) storage: StorageKind,
    /// A hash of the ids of the initial members; compared only between two unfounded nodes. `None` if it is none of them,
    /// and is to join.
    pub(crate) initial_members: Option<u64>,
    /// The entry of the last membership that it has applied, if this life of it is in its seat there.
    pub(crate) seated: Option<Index>,
    /// The entry of the last members in its log, applied or not; zero if there are none.
    pub(crate) configuration: EntryId,
    /// The last entry of its log, applied or not, that names this life of it as a member.
    pub(crate) named: Option<Index>,
    /// Where it is reached, if it knows.
    pub(crate) address: Option<Address>,
    /// How much it should rather lead than others.
    pub(crate) leader_priority: u8,
    /// A file of it is damaged: it keeps out of everything.
    pub(crate) damaged: bool,
    /// How often its certificates were renewed since its start. It stands behind the rest, and not at all while it is zero.
    #[serde(skip)]
    pub(crate) renewals: u32,
}

/// What a node asks of a leader, and is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Service {
    /// Open a session for me. Answered by the log.
    OpenSession,
    /// Put the write that stands behind into the log. Answered by the log, or by `Refused`.
    Write { seq: u64, attempt: u32 },
    /// That attempt was not put into the log.
    Refused { seq: u64, attempt: u32, why: Turned },
    /// Tell me an index that reflects everything acknowledged before now; by your lease, if you have one.
    Read { question: u64, by_lease: bool },
    /// Read there, once you have applied it.
    ReadAt { question: u64, index: Index },
    /// I do not lead.
    ReadRefused { question: u64 },
    /// Hand leadership over to this member, or to the most advanced. Answered by the next election, or by `Kept`.
    Transfer { question: u64, to: Option<NodeId> },
    /// Leadership was not handed over.
    Kept { question: u64, why: Kept },
    /// Change the members, within so many milliseconds. Answered by `Changed`, or by `Unchanged`.
    ChangeMembers { question: u64, change: MemberChange, within: u64 },
    /// The members are as they were wanted, by this entry at the latest.
    Changed { question: u64, at: Index },
    /// The members were not changed.
    Unchanged { question: u64, why: Unchanged, detail: String },
    /// These are members that you may want to meet, since you are not in your seat.
    Members {
        #[serde(deserialize_with = "few::<MAX_KNOWN, _, _>")]
        known: Vec<Member>,
    },
}

impl Service {
    /// Whether this is a question, and not an answer or news.
    pub(crate) fn is_asked_of_a_leader(&self) -> bool {
        match self {
            Service::OpenSession
            | Service::Write { .. }
            | Service::Read { .. }
            | Service::Transfer { .. }
            | Service::ChangeMembers { .. } => true,
            Service::Refused { .. }
            | Service::ReadAt { .. }
            | Service::ReadRefused { .. }
            | Service::Kept { .. }
            | Service::Changed { .. }
            | Service::Unchanged { .. }
            | Service::Members { .. } => false,
        }
    }
}

/// Why a leader turned a write away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Turned {
    /// It does not lead, or hands over.
    NotLeader,
    /// Too much is uncommitted.
    Overloaded,
    /// The log is full.
    LogFull,
    /// The write is not what an honest node sends.
    Invalid,
    /// Its disk is full.
    DiskFull,
}

/// A frame that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello(Hello),
    Welcome { version: u16, hello: Hello },
    Confirm,
    Goodbye { reason: String },
    Ping,
    Raft(Received),
    Service(Service, Bytes),
    Removed { by: Index },
}

/// This is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Frame {
    /// Reads the body of a frame. The bytes may come from anywhere.
    pub(crate) fn parse(body: &Bytes) -> Result<Frame, Malformed> {
        let (head, rest): (Head, &[u8]) = postcard::take_from_bytes(body).map_err(|_| Malformed)?;
        let frame = match head {
            Head::Directive(directive @ Directive::Append(_)) => {
                let entries = read_batch(rest).map_err(|_| Malformed)?;
                return Ok(Frame::Raft(Received::Directive(directive, entries)));
            }
            Head::Directive(Directive::Snapshot(piece)) => {
                let directive = Directive::Snapshot(Piece { bytes: behind(body, rest), ..piece });
                return Ok(Frame::Raft(Received::Directive(directive, Vec::new())));
            }
            Head::Service(service @ Service::Write { .. }) => {
                return Ok(Frame::Service(service, behind(body, rest)));
            }
            Head::Directive(directive) => Frame::Raft(Received::Directive(directive, Vec::new())),
            Head::Pledge(pledge) => Frame::Raft(Received::Pledge(pledge)),
            Head::Service(service) => Frame::Service(service, Bytes::new()),
            Head::Hello(hello) => return Ok(Frame::Hello(with_renewals(hello, rest)?)),
            Head::Welcome { version, hello } => {
                return Ok(Frame::Welcome { version, hello: with_renewals(hello, rest)? });
            }
            Head::Confirm => Frame::Confirm,
            Head::Goodbye { reason } if reason.len() > MAX_REASON => return Err(Malformed),
            Head::Goodbye { reason } => Frame::Goodbye { reason },
            Head::Ping => Frame::Ping,
            Head::Removed { by } => Frame::Removed { by },
        };
        if rest.is_empty() { Ok(frame) } else { Err(Malformed) }
    }
}

fn with_renewals(hello: Hello, rest: &[u8]) -> Result<Hello, Malformed> {
    if rest.is_empty() {
        return Ok(hello);
    }
    match postcard::take_from_bytes(rest) {
        Ok((renewals @ 1.., [])) => Ok(Hello { renewals, ..hello }),
        _ => Err(Malformed),
    }
}

/// What stands behind the head of a frame, without a copy.
fn behind(body: &Bytes, rest: &[u8]) -> Bytes {
    body.slice(body.len() - rest.len()..)
}

pub(crate) fn write_hello(out: &mut BytesMut, hello: Hello) {
    let renewals = hello.renewals;
    write_introduction(out, &Head::Hello(hello), renewals);
}

pub(crate) fn write_welcome(out: &mut BytesMut, version: u16, hello: Hello) {
    let renewals = hello.renewals;
    write_introduction(out, &Head::Welcome { version, hello }, renewals);
}

fn write_introduction(out: &mut BytesMut, head: &Head, renewals: u32) {
    frame::write(out, |out| {
        write_head(out, head);
        if renewals > 0 {
            write_head(out, &renewals);
        }
    });
}

pub(crate) fn write_confirm(out: &mut BytesMut) {
    write_frame(out, &Head::Confirm, &[]);
}

pub(crate) fn write_ping(out: &mut BytesMut) {
    write_frame(out, &Head::Ping, &[]);
}

/// The other end is no member, by this entry. A goodbye follows.
pub(crate) fn write_removed(out: &mut BytesMut, by: Index) {
    write_frame(out, &Head::Removed { by }, &[]);
}

pub(crate) fn write_goodbye(out: &mut BytesMut, reason: &str) {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    write_frame(out, &Head::Goodbye { reason: reason[..end].into() }, &[]);
}

pub(crate) fn write_raft(out: &mut BytesMut, message: Outgoing) {
    match message {
        Outgoing::Directive(Directive::Snapshot(piece), _) => {
            let bytes = piece.bytes.clone();
            write_frame(out, &Head::Directive(Directive::Snapshot(piece)), &bytes);
        }
        Outgoing::Directive(directive, entries) => frame::write(out, |out| {
            write_head(out, &Head::Directive(directive));
            write_batch(out, &entries);
        }),
        Outgoing::Pledge(pledge) => write_frame(out, &Head::Pledge(pledge), &[]),
    }
}

pub(crate) fn write_service(out: &mut BytesMut, service: Service, payload: &[u8]) {
    write_frame(out, &Head::Service(service), payload);
}

fn write_frame(out: &mut BytesMut, head: &Head, payload: &[u8]) {
    frame::write(out, |out| {
        write_head(out, head);
        out.put_slice(payload);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Payload};
    use crate::id::Term;
    use crate::raft::Append;
    use proptest::prelude::*;

    fn body(write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut out = BytesMut::new();
        write(&mut out);
        out.freeze().slice(frame::LENGTH..)
    }

    #[test]
    fn an_append_carries_its_entries() {
        let append = Append {
            term: Term(3),
            log: ClusterId(9),
            configuration: EntryId::new(1, 1),
            prev: EntryId::new(4, 2),
            commit: Index(4),
        };
        let entry = Entry::new(Term(3), Payload::Noop);
        let directive = Directive::Append(append);
        let out =
            Outgoing::Directive(directive.clone(), alloc::vec![entry.bytes.clone(), entry.bytes.clone()]);
        let parsed = Frame::parse(&body(|b| write_raft(b, out)));
        assert_eq!(
            parsed,
            Ok(Frame::Raft(Received::Directive(directive, alloc::vec![entry.clone(), entry])))
        );
    }

    fn piece() -> Piece {
        Piece {
            term: Term(3),
            log: ClusterId(9),
            configuration: EntryId::new(1, 1),
            last: EntryId::new(40, 2),
            row: 5,
            offset: 6,
            done: true,
            bytes: Bytes::from_static(b"state"),
        }
    }

    #[test]
    fn a_piece_of_a_snapshot_carries_its_bytes_behind() {
        let directive = Directive::Snapshot(piece());
        let out = Outgoing::Directive(directive.clone(), Vec::new());
        let parsed = Frame::parse(&body(|b| write_raft(b, out)));
        assert_eq!(parsed, Ok(Frame::Raft(Received::Directive(directive, Vec::new()))));
    }

    /// The examples of `docs/src/wire.md`.
    #[test]
    fn the_bytes_are_those_of_the_guide() {
        let mut out = BytesMut::new();
        write_ping(&mut out);
        let commit = Directive::Commit { term: Term(3), commit: Index(7) };
        write_raft(&mut out, Outgoing::Directive(commit, Vec::new()));
        assert_eq!(out[..], [1, 0, 0, 0, 4, 4, 0, 0, 0, 5, 1, 3, 7]);
        out.clear();
        write_raft(&mut out, Outgoing::Directive(Directive::Snapshot(piece()), Vec::new()));
        let head = [16, 0, 0, 0, 5, 4, 3, 9, 1, 1, 40, 2, 5, 6, 1];
        assert_eq!(out[..], [&head[..], b"state"].concat());
        assert_eq!(crate::config::MAX_FRAME, 33_886_208);
    }

    #[test]
    fn bytes_behind_a_frame_that_has_none_are_refused() {
        let mut longer = BytesMut::from(&body(write_ping)[..]);
        longer.put_u8(0);
        assert_eq!(Frame::parse(&longer.freeze()), Err(Malformed));
    }

    #[test]
    fn how_often_certificates_were_renewed_stands_behind_a_hello_unless_they_never_were() {
        let hello = |renewals| Hello {
            versions: VERSIONS,
            cluster_name: "diskeyval".into(),
            cluster: None,
            node: NodeId::new("n1").expect("a good name"),
            incarnation: Incarnation(1),
            boot: 2,
            storage: StorageKind::Memory,
            initial_members: None,
            seated: None,
            configuration: EntryId::default(),
            named: None,
            address: None,
            leader_priority: 0,
            damaged: false,
            renewals,
        };
        let never = body(|b| write_hello(b, hello(0)));
        for renewals in [0, 1, 127, 128, u32::MAX] {
            let written = body(|b| write_hello(b, hello(renewals)));
            assert_eq!(written[..never.len()], never[..], "in front of it stands the same");
            assert_eq!(Frame::parse(&written), Ok(Frame::Hello(hello(renewals))));
            let written = body(|b| write_welcome(b, 1, hello(renewals)));
            assert_eq!(Frame::parse(&written), Ok(Frame::Welcome { version: 1, hello: hello(renewals) }));
        }
        // Zero has one form, and nothing may follow.
        for behind in [&[0][..], &[1, 0], &[0x80], &[0xff; 6]] {
            let odd = [&never[..], behind].concat();
            assert_eq!(Frame::parse(&odd.into()), Err(Malformed), "{behind:?}");
        }
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let long = "é".repeat(400);
        let Ok(Frame::Goodbye { reason }) = Frame::parse(&body(|b| write_goodbye(b, &long))) else {
            panic!()
        };
        assert_eq!(reason, "é".repeat(256));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::parse(&Bytes::from(bytes));
        }
    }
}
