//! The replicated state: keys, sessions, membership. It changes by applied entries and by nothing else.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128, xxh3_128_with_seed};

use crate::entry::{Payload, Write};
use crate::id::{ClusterId, Index};
use crate::io::Change;
use crate::kv::map::Map;
use crate::kv::sessions::{Sessions, Verdict};
use crate::kv::{Command, Expect, Outcome, Owner, SessionId, Versioned, View};
use crate::members::Membership;
use crate::mutants::{Mutant, is};

/// How many entries lie between two indexes at which states are compared.
pub(crate) const CHECKPOINT_EVERY: u64 = 1024;

/// The state of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    applied: Index,
    map: Map,
    /// Sum of the hashes of all keys with their values and revisions.
    map_hash: u128,
    sessions: Sessions,
    cluster: Option<ClusterId>,
    members: Option<Membership>,
}

/// The hash of the state at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) at: Index,
    pub(crate) hash: u128,
}

/// What applying an entry came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Nothing that anybody waits for.
    Nothing,
    /// The cluster was founded, or its membership changed.
    Members,
    /// A session is open under this id. `None`: the asker is not a member in this incarnation.
    Session { owner: Owner, id: Option<SessionId> },
    /// A write was decided.
    Write { session: SessionId, seq: u64, decision: Decision, change: Option<Change> },
}

/// What was decided of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It took effect now, and came to this.
    First(Outcome),
    /// It was decided before, and had come to this.
    Repeated(Outcome),
    /// It had ended for its owner before: without effect.
    Stale,
    /// Its session is not (or no longer) open: without effect.
    NoSession,
}

impl Machine {
    /// Applies the next entry.
    pub(crate) fn apply(&mut self, at: Index, payload: Payload) -> Applied {
        assert_eq!(at, self.applied.next(), "entries are applied one after the other");
        self.applied = at;
        match payload {
            Payload::Noop => Applied::Nothing,
            Payload::Genesis(genesis) => {
                self.cluster = Some(genesis.cluster);
                self.members = Some(genesis.members);
                Applied::Members
            }
            Payload::Members(members) => {
                self.members = Some(members);
                Applied::Members
            }
            Payload::OpenSession(owner) => {
                let named = self.members.as_ref().is_some_and(|m| m.names(&owner.node, owner.incarnation));
                let id = named.then(|| self.sessions.open(at.0, owner.clone()));
                Applied::Session { owner, id }
            }
            Payload::Write(write) => self.write(at, write),
        }
    }

    fn write(&mut self, at: Index, write: Write) -> Applied {
        let Write { session, seq, floor, command } = write;
        let (decision, change) = match self.sessions.judge(session, seq, floor) {
            Verdict::New => {
                let (outcome, change) = self.execute(at.0, command);
                self.sessions.record(session, seq, outcome);
                (Decision::First(outcome), change)
            }
            Verdict::Applied(outcome) if is(Mutant::RepeatedWriteEmits) => {
                (Decision::Repeated(outcome), change_of(command, outcome.revision()))
            }
            Verdict::Applied(outcome) => (Decision::Repeated(outcome), None),
            Verdict::Stale => (Decision::Stale, None),
            Verdict::NoSession | Verdict::TooFar => (Decision::NoSession, None),
        };
        Applied::Write { session, seq, decision, change }
    }

    fn execute(&mut self, revision: u64, command: Command) -> (Outcome, Option<Change>) {
        match command {
            Command::Set { key, value } => {
                self.put(key.clone(), value.clone(), revision);
                (Outcome::Set { revision }, Some(Change { key, value: Some(value), revision }))
            }
            Command::Delete { key } => match self.map.remove(&key) {
                Some(former) => {
                    self.map_hash = self.map_hash.wrapping_sub(pair_hash(&key, &former));
                    let change = Change { key, value: None, revision };
                    (
                        Outcome::Deleted { revision, found: true },
                        Some(change).filter(|_| !is(Mutant::DeleteEmitsNothing)),
                    )
                }
                None => (Outcome::Deleted { revision, found: false }, None),
            },
            Command::CompareAndSet { key, expect, value } => {
                let current = self.map.get(&key);
                let fits = match (&expect, current) {
                    (Expect::Absent, None) => true,
                    (Expect::Value(expected), Some(current)) => *expected == current.value,
                    (Expect::Revision(expected), Some(current)) => *expected == current.revision,
                    (Expect::Absent, Some(_)) | (Expect::Value(_) | Expect::Revision(_), None) => false,
                };
                if !fits {
                    let actual = current.map_or(0, |current| current.revision);
                    return (Outcome::Mismatch { revision, actual }, None);
                }
                self.put(key.clone(), value.clone(), revision);
                (Outcome::Swapped { revision }, Some(Change { key, value: Some(value), revision }))
            }
        }
    }

    fn put(&mut self, key: Bytes, value: Bytes, revision: u64) {
        let versioned = Versioned { value, revision };
        self.map_hash = self.map_hash.wrapping_add(pair_hash(&key, &versioned));
        if let Some(former) = self.map.insert(key.clone(), versioned) {
            self.map_hash = self.map_hash.wrapping_sub(pair_hash(&key, &former));
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Versioned> {
        self.map.get(key)
    }

    /// Up to where entries have been applied.
    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn keys(&self) -> usize {
        self.map.len()
    }

    /// The membership as applied; what counts in consensus is the one in the log.
    pub(crate) fn members(&self) -> Option<&Membership> {
        self.members.as_ref()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    #[cfg(test)]
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// All keys, when nothing else of the state is wanted any more.
    pub(super) fn into_map(self) -> Map {
        self.map
    }

    /// The hash of all keys, as it was kept from change to change.
    pub(super) fn map_hash(&self) -> u128 {
        self.map_hash
    }

    /// The state that a snapshot holds.
    pub(super) fn restored(
        applied: Index,
        (map, map_hash): (Map, u128),
        sessions: Sessions,
        cluster: ClusterId,
        members: Membership,
    ) -> Machine {
        Machine { applied, map, map_hash, sessions, cluster: Some(cluster), members: Some(members) }
    }

    /// The same keys and sessions, as the state at a later index of another cluster.
    pub(crate) fn recovered(self, at: Index, cluster: ClusterId, members: Membership) -> Machine {
        Machine { applied: at, cluster: Some(cluster), members: Some(members), ..self }
    }

    /// What only a mutant does.
    pub(super) fn forget_sessions(&mut self) {
        self.sessions = Sessions::default();
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.map.clone(), self.applied.0)
    }

    /// The hash of the whole state.
    pub(crate) fn hash(&self) -> u128 {
        let mut sum =
            self.map_hash.wrapping_add(self.sessions.hash()).wrapping_add(u128::from(self.applied.0));
        sum = sum.wrapping_add(self.cluster.map_or(0, |cluster| cluster.0));
        let members = self.members.as_ref().and_then(|members| postcard::to_allocvec(members).ok());
        sum.wrapping_add(members.map_or(0, |bytes| xxh3_128(&bytes)))
    }

    /// The hash of the whole state, if this is an index at which states are compared.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let due = self.applied.0 > 0 && self.applied.0.is_multiple_of(CHECKPOINT_EVERY);
        due.then(|| Checkpoint { at: self.applied, hash: self.hash() })
    }
}

/// What only a mutant tells.
fn change_of(command: Command, revision: u64) -> Option<Change> {
    match command {
        Command::Set { key, value } => Some(Change { key, value: Some(value), revision }),
        Command::Delete { key } => Some(Change { key, value: None, revision }),
        Command::CompareAndSet { .. } => None,
    }
}

pub(super) fn pair_hash(key: &[u8], versioned: &Versioned) -> u128 {
    xxh3_128_with_seed(&versioned.value, xxh3_64_with_seed(key, versioned.revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Genesis;
    use crate::id::{Incarnation, NodeId};
    use crate::members::{Seat, StorageKind};

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn founded() -> Machine {
        let id = NodeId::new("n1").expect("a good name");
        let mut machine = Machine::default();
        let members =
            Membership::of(alloc::vec![Seat { id: id.clone(), bound: Some(Incarnation(1)), address: None }]);
        let genesis = Genesis { cluster: ClusterId(9), storage: StorageKind::Memory, members };
        assert_eq!(machine.apply(Index(1), Payload::Genesis(genesis)), Applied::Members);
        let owner = Owner { node: id, incarnation: Incarnation(1), boot: 1 };
        let opened = machine.apply(Index(2), Payload::OpenSession(owner.clone()));
        assert_eq!(opened, Applied::Session { owner, id: Some(2) });
        machine
    }

    fn run(machine: &mut Machine, seq: u64, command: Command) -> (Decision, Option<Change>) {
        let payload = Payload::Write(Write { session: 2, seq, floor: 1, command });
        match machine.apply(machine.applied().next(), payload) {
            Applied::Write { decision, change, .. } => (decision, change),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_command_does_what_it_says() {
        let mut machine = founded();
        let swap = |expect, value| Command::CompareAndSet { key: bytes("k"), expect, value: bytes(value) };
        let mut step = |seq, command| match run(&mut machine, seq, command) {
            (Decision::First(outcome), change) => (outcome, change.map(|change| change.value)),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            step(1, swap(Expect::Value(bytes("x")), "a")),
            (Outcome::Mismatch { revision: 3, actual: 0 }, None)
        );
        assert_eq!(
            step(2, swap(Expect::Absent, "a")),
            (Outcome::Swapped { revision: 4 }, Some(Some(bytes("a"))))
        );
        assert_eq!(step(3, swap(Expect::Absent, "b")), (Outcome::Mismatch { revision: 5, actual: 4 }, None));
        assert_eq!(
            step(4, swap(Expect::Revision(4), "b")),
            (Outcome::Swapped { revision: 6 }, Some(Some(bytes("b"))))
        );
        assert_eq!(
            step(5, swap(Expect::Value(bytes("b")), "c")),
            (Outcome::Swapped { revision: 7 }, Some(Some(bytes("c"))))
        );
        assert_eq!(
            step(6, Command::Delete { key: bytes("k") }),
            (Outcome::Deleted { revision: 8, found: true }, Some(None))
        );
        assert_eq!(
            step(7, Command::Delete { key: bytes("k") }),
            (Outcome::Deleted { revision: 9, found: false }, None)
        );
        let set = Command::Set { key: bytes("k"), value: bytes("d") };
        assert_eq!(step(8, set), (Outcome::Set { revision: 10 }, Some(Some(bytes("d")))));
        assert_eq!(machine.get(b"k"), Some(&Versioned { value: bytes("d"), revision: 10 }));
    }

    /// W12: a retry of an acknowledged write is answered with the first answer and changes nothing.
    #[test]
    fn a_second_copy_of_a_write_changes_nothing_and_emits_nothing() {
        let mut machine = founded();
        let set = |value| Command::Set { key: bytes("k"), value: bytes(value) };
        run(&mut machine, 1, set("first"));
        run(&mut machine, 2, set("second"));
        let (decision, change) = run(&mut machine, 1, set("first"));
        assert_eq!((decision, change), (Decision::Repeated(Outcome::Set { revision: 3 }), None));
        assert_eq!(machine.get(b"k").map(|v| v.value.clone()), Some(bytes("second")));
    }

    /// W11: `get('toString')` returned a function, and `__proto__` could be written.
    #[test]
    fn w11_keys_are_bytes_and_nothing_else() {
        let mut machine = founded();
        for key in ["toString", "__proto__", "constructor", "", "\0"] {
            assert_eq!(machine.get(key.as_bytes()), None);
        }
        run(&mut machine, 1, Command::Set { key: bytes("__proto__"), value: bytes("v") });
        assert_eq!(machine.keys(), 1);
    }

    #[test]
    fn only_a_named_incarnation_opens_a_session() {
        let mut machine = founded();
        let stranger =
            Owner { node: NodeId::new("n1").expect("a good name"), incarnation: Incarnation(2), boot: 1 };
        let refused = machine.apply(Index(3), Payload::OpenSession(stranger.clone()));
        assert_eq!(refused, Applied::Session { owner: stranger, id: None });
    }

    #[test]
    fn equal_states_reached_by_different_ways_have_the_same_map_hash() {
        let (mut left, mut right) = (founded(), founded());
        let set = |key, value| Command::Set { key: bytes(key), value: bytes(value) };
        run(&mut left, 1, set("a", "1"));
        run(&mut left, 2, Command::Delete { key: bytes("a") });
        run(&mut right, 1, set("b", "1"));
        run(&mut right, 2, Command::Delete { key: bytes("b") });
        assert_eq!(left.map_hash, right.map_hash);
        run(&mut left, 3, set("a", "1"));
        run(&mut right, 3, set("a", "2"));
        assert_ne!(left.map_hash, right.map_hash);
    }

    #[test]
    fn states_are_compared_at_agreed_indexes_only() {
        let mut machine = founded();
        let mut found = alloc::vec::Vec::new();
        while machine.applied().0 < 2 * CHECKPOINT_EVERY + 5 {
            machine.apply(machine.applied().next(), Payload::Noop);
            found.extend(machine.checkpoint().map(|checkpoint| checkpoint.at.0));
        }
        assert_eq!(found, [CHECKPOINT_EVERY, 2 * CHECKPOINT_EVERY]);
    }
}
