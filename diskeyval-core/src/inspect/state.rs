//! The replicated state without consensus around it: entries go in one after the other, as if they were committed.

use bytes::Bytes;

use crate::entry::{Genesis, Payload, Write};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::io::Change;
use crate::kv::{Applied, Command, Decision, Decoder, Encoder, Machine, Outcome, Owner, Snapshot, View};
use crate::members::{Membership, Seat, StorageKind};

/// The state of a cluster of one.
#[derive(Clone, Debug)]
pub struct State {
    machine: Machine,
    genesis: Genesis,
    member: NodeId,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It took effect, and came to this; and this has changed.
    First(Outcome, Option<Change>),
    /// It had taken effect before, and had come to this.
    Repeated(Outcome),
    /// It had ended for its owner before.
    Stale,
    /// There is no such session, or not any more; or the number is too far ahead.
    NoSession,
}

impl State {
    /// A cluster that was just founded, by this node.
    pub fn founded(member: NodeId) -> State {
        let seat = Seat { id: member.clone(), bound: Some(Incarnation(1)), address: None };
        let genesis = Genesis {
            cluster: ClusterId(1),
            storage: StorageKind::Memory,
            members: Membership::of(alloc::vec![seat]),
        };
        let mut machine = Machine::default();
        machine.apply(Index(1), Payload::Genesis(genesis.clone()));
        State { machine, genesis, member }
    }

    /// An entry that changes nothing.
    pub fn pass(&mut self) {
        self.machine.apply(self.machine.applied().next(), Payload::Noop);
    }

    /// The member asks for a session, in this run of it. Tells the id of the session; `None` to another life, which is no
    /// member.
    pub fn open_session(&mut self, incarnation: Incarnation, boot: u128) -> Option<u64> {
        let owner = Owner { node: self.member.clone(), incarnation, boot };
        match self.machine.apply(self.machine.applied().next(), Payload::OpenSession(owner)) {
            Applied::Session { id, .. } => id,
            Applied::Nothing | Applied::Members | Applied::Write { .. } => None,
        }
    }

    /// A write, with the number that makes it happen once. All numbers below `floor` have ended.
    pub fn write(&mut self, session: u64, seq: u64, floor: u64, command: Command) -> Decided {
        let write = Payload::Write(Write { session, seq, floor, command });
        match self.machine.apply(self.machine.applied().next(), write) {
            Applied::Write { decision: Decision::First(outcome), change, .. } => {
                Decided::First(outcome, change)
            }
            Applied::Write { decision: Decision::Repeated(outcome), .. } => Decided::Repeated(outcome),
            Applied::Write { decision: Decision::Stale, .. } => Decided::Stale,
            Applied::Write { decision: Decision::NoSession, .. }
            | Applied::Nothing
            | Applied::Members
            | Applied::Session { .. } => Decided::NoSession,
        }
    }

    /// Up to where entries were applied.
    pub fn applied(&self) -> u64 {
        self.machine.applied().0
    }

    /// All keys.
    pub fn view(&self) -> View {
        self.machine.view()
    }

    /// The hash of all of it.
    pub fn hash(&self) -> u128 {
        self.machine.hash()
    }

    /// The bytes of a snapshot of it, made in pieces of this size. `None` if its keys do not add up to the hash that was
    /// kept of them.
    pub fn snapshot(&self, piece: usize) -> Option<Bytes> {
        let last = EntryId { index: self.machine.applied(), term: Term(1) };
        let configuration = EntryId { index: Index(1), term: Term(1) };
        let (genesis, machine) = (self.genesis.clone(), self.machine.clone());
        let mut encoder = Encoder::new(Snapshot { last, genesis, configuration, machine });
        let mut bytes = alloc::vec::Vec::new();
        while !encoder.is_done() {
            bytes.extend_from_slice(&encoder.next(piece.max(1)).ok()?);
        }
        Some(bytes.into())
    }

    /// The state that a snapshot of it holds, which comes in pieces.
    pub fn restored<'p>(&self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<State> {
        let mut decoder = Decoder::default();
        for piece in pieces {
            decoder.push(piece).ok()?;
        }
        let snapshot = decoder.finish().ok()?;
        Some(State { machine: snapshot.machine, genesis: snapshot.genesis, member: self.member.clone() })
    }
}
