//! A reference model of the store: what a log of committed entries comes to. Written from the rules, simply, and
//! without looking at how the core does it.
//!
//! 1. Entries are applied one after the other, each once.
//! 2. A session is opened by an entry that names a life which is in its seat, and its id is the index of that entry.
//!    The same boot gets the same session; the next boot of a node ends the former's.
//! 3. A write takes effect if its session is open and its number was not applied before, and is not below the floor
//!    of the session. Repeated, it comes to what it came to first. Each write raises the floor to the one it names.

use std::collections::BTreeMap;

use bytes::Bytes;
use diskeyval_core::inspect::What;
use diskeyval_core::{Change, Command, Expect, Incarnation, NodeId, Outcome, Versioned};

/// How far the number of a write may be ahead of the floor of its session.
const WINDOW: u64 = 1 << 20;

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    applied: u64,
    /// Of all members, learners among them.
    seats: Vec<(NodeId, Option<Incarnation>)>,
    sessions: BTreeMap<u64, Session>,
    /// All that every key ever was: revisions, and values or their absence.
    keys: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// What was decided, by index.
    decisions: BTreeMap<u64, Decision>,
    changes: Vec<Change>,
    /// The value of the last entry, if its owner had declared it as ended before.
    ended: Option<Bytes>,
}

#[derive(Clone, Debug)]
struct Session {
    node: NodeId,
    incarnation: Incarnation,
    boot: u128,
    floor: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

/// A write that was decided for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// Whose session it is of.
    pub(crate) owner: NodeId,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
    /// Whether anybody was told.
    pub(crate) told: bool,
}

impl Store {
    /// Applies the next entry. Tells the value that took effect, if any did.
    pub(crate) fn apply(&mut self, what: &What) -> Option<Bytes> {
        self.applied += 1;
        self.ended = None;
        let decision = match what {
            What::Noop => None,
            What::Genesis { seats, .. } => {
                self.seats.clone_from(seats);
                None
            }
            What::Members { seats, outgoing, learners } => {
                self.seats = [&seats[..], outgoing, learners].concat();
                None
            }
            What::OpenSession { node, incarnation, boot } => {
                self.open(node, *incarnation, *boot);
                None
            }
            What::Write { session, seq, floor, command } => self.write(*session, *seq, *floor, command),
        };
        let took = decision.as_ref().and_then(|decision| value_set(&decision.command, &decision.outcome));
        self.decisions.extend(decision.map(|decision| (self.applied, decision)));
        took
    }

    /// One goes on alone with all of this, as of another revision.
    pub(crate) fn leap(&mut self, revision: u64, alone: (NodeId, Option<Incarnation>)) {
        self.applied = revision;
        self.seats = vec![alone];
    }

    /// The value of the last entry, if that was without effect because its owner had declared it as ended.
    pub(crate) fn ended(&self) -> Option<&Bytes> {
        self.ended.as_ref()
    }

    fn open(&mut self, node: &NodeId, incarnation: Incarnation, boot: u128) {
        if !self.seats.iter().any(|(id, bound)| id == node && *bound == Some(incarnation)) {
            return;
        }
        let same_boot = |session: &Session| session.incarnation == incarnation && session.boot == boot;
        if self.sessions.values().any(|session| session.node == *node && same_boot(session)) {
            return;
        }
        self.sessions.retain(|_, session| session.node != *node);
        let (node, outcomes) = (node.clone(), BTreeMap::new());
        self.sessions.insert(self.applied, Session { node, incarnation, boot, floor: 1, outcomes });
    }

    fn write(&mut self, session: u64, seq: u64, floor: u64, command: &Command) -> Option<Decision> {
        let session_of = self.sessions.get_mut(&session)?;
        session_of.floor = session_of.floor.max(floor);
        session_of.outcomes = session_of.outcomes.split_off(&session_of.floor);
        let is_new = !session_of.outcomes.contains_key(&seq);
        if seq < session_of.floor {
            self.ended = value_of(command).cloned();
        }
        if seq < session_of.floor || seq - session_of.floor >= WINDOW || !is_new {
            return None;
        }
        let owner = session_of.node.clone();
        let outcome = self.execute(command);
        if let Some(session) = self.sessions.get_mut(&session) {
            session.outcomes.insert(seq, outcome);
        }
        Some(Decision { owner, command: command.clone(), outcome, told: false })
    }

    fn execute(&mut self, command: &Command) -> Outcome {
        let revision = self.applied;
        let current = self.now(command.key());
        match command {
            Command::Set { key, value } => {
                self.change(key, Some(value.clone()));
                Outcome::Set { revision }
            }
            Command::Delete { key } => {
                let found = current.is_some();
                if found {
                    self.change(key, None);
                }
                Outcome::Deleted { revision, found }
            }
            Command::CompareAndSet { key, expect, value } => {
                let is_as_expected = match expect {
                    Expect::Absent => current.is_none(),
                    Expect::Value(expected) => current.as_ref().is_some_and(|(_, value)| value == expected),
                    Expect::Revision(expected) => current.as_ref().is_some_and(|(at, _)| at == expected),
                };
                if !is_as_expected {
                    return Outcome::Mismatch { revision, actual: current.map_or(0, |(at, _)| at) };
                }
                self.change(key, Some(value.clone()));
                Outcome::Swapped { revision }
            }
            // The simulator has to learn new commands before nodes are given any.
            other => unreachable!("an unknown command: {other:?}"),
        }
    }

    fn now(&self, key: &Bytes) -> Option<(u64, Bytes)> {
        let (revision, value) = self.keys.get(key)?.last()?;
        Some((*revision, value.clone()?))
    }

    fn change(&mut self, key: &Bytes, value: Option<Bytes>) {
        let revision = self.applied;
        self.keys.entry(key.clone()).or_default().push((revision, value.clone()));
        self.changes.push(Change { key: key.clone(), value, revision });
    }

    /// How many entries were applied.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    /// At which index behind `from`, and up to `to`, the write of a value was decided; values are unique.
    pub(crate) fn decided_at(&self, value: &Bytes, from: u64, to: u64) -> Option<u64> {
        let mut between = self.decisions.range(from + 1..=to.max(from + 1));
        let is_it = |(index, decision): &(&u64, &Decision)| {
            **index <= to && value_of(&decision.command) == Some(value)
        };
        between.find(is_it).map(|(index, _)| *index)
    }

    /// What was decided first at an index.
    pub(crate) fn decision(&mut self, index: u64) -> Option<&mut Decision> {
        self.decisions.get_mut(&index)
    }

    /// Every change, in order.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The lowest index within bounds at which a key is as it was found.
    pub(crate) fn found_at(&self, key: &Bytes, found: Option<&Versioned>, from: u64, to: u64) -> Option<u64> {
        let versions = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        let (at, until) = match found {
            Some(found) => {
                let place = versions.partition_point(|(revision, _)| *revision < found.revision);
                let (revision, value) = versions.get(place)?;
                if *revision != found.revision || value.as_ref() != Some(&found.value) {
                    return None;
                }
                (from.max(*revision), versions.get(place + 1).map_or(u64::MAX, |(revision, _)| *revision))
            }
            None => {
                let behind = versions.partition_point(|(revision, _)| *revision <= from);
                let is_absent = behind.checked_sub(1).is_none_or(|last| versions[last].1.is_none());
                let later = || versions[behind..].iter().find(|(_, value)| value.is_none());
                (if is_absent { from } else { later()?.0 }, u64::MAX)
            }
        };
        (at < until && at <= to).then_some(at)
    }
}

/// The value that a command gives a key.
pub(crate) fn value_of(command: &Command) -> Option<&Bytes> {
    match command {
        Command::Set { value, .. } | Command::CompareAndSet { value, .. } => Some(value),
        _ => None,
    }
}

/// The same, if it came to that.
fn value_set(command: &Command, outcome: &Outcome) -> Option<Bytes> {
    match outcome {
        Outcome::Set { .. } | Outcome::Swapped { .. } => value_of(command).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn set(key: &'static str, value: &'static str) -> Command {
        Command::Set { key: bytes(key), value: bytes(value) }
    }

    /// A store in which `n1` has opened the session 2.
    fn store() -> Store {
        let mut store = Store::default();
        let n1 = NodeId::new("n1").expect("a good name");
        let seats = vec![(n1.clone(), Some(Incarnation(1)))];
        store.apply(&What::Genesis { cluster: diskeyval_core::ClusterId(1), seats });
        store.apply(&What::OpenSession { node: n1, incarnation: Incarnation(1), boot: 1 });
        store
    }

    fn write(store: &mut Store, seq: u64, floor: u64, command: Command) -> Option<Outcome> {
        store.apply(&What::Write { session: 2, seq, floor, command });
        let at = store.applied();
        store.decision(at).map(|decision| decision.outcome)
    }

    #[test]
    fn a_write_happens_once_and_not_below_the_floor() {
        let mut store = store();
        assert_eq!(write(&mut store, 1, 1, set("k", "a")), Some(Outcome::Set { revision: 3 }));
        assert_eq!(write(&mut store, 1, 1, set("k", "a")), None, "a copy");
        assert_eq!(write(&mut store, 5, 5, set("k", "b")), Some(Outcome::Set { revision: 5 }));
        assert_eq!(write(&mut store, 4, 1, set("k", "c")), None, "it had ended");
        assert_eq!(write(&mut store, 5 + WINDOW, 5, set("k", "d")), None, "too far ahead");
        assert_eq!(store.changes().len(), 2);
    }

    #[test]
    fn only_who_is_in_a_seat_opens_a_session_and_a_later_boot_ends_it() {
        let mut store = store();
        let open = |node: &str, incarnation, boot| {
            let node = NodeId::new(node).expect("a good name");
            What::OpenSession { node, incarnation: Incarnation(incarnation), boot }
        };
        store.apply(&open("n1", 7, 1));
        store.apply(&open("n2", 1, 1));
        assert_eq!(store.sessions.len(), 1, "neither is in a seat");
        store.apply(&open("n1", 1, 1));
        assert!(write(&mut store, 1, 1, set("k", "a")).is_some(), "asked for again, it is the same");
        store.apply(&open("n1", 1, 2));
        assert_eq!(write(&mut store, 2, 1, set("k", "b")), None, "the session has ended");
    }

    #[test]
    fn a_key_is_found_where_it_was_so() {
        let mut store = store();
        write(&mut store, 1, 1, set("k", "a"));
        write(&mut store, 2, 1, Command::Delete { key: bytes("k") });
        write(&mut store, 3, 1, set("k", "b"));
        let found = |revision, value| Some(Versioned { value: bytes(value), revision });
        let at = |found: Option<Versioned>, from, to| store.found_at(&bytes("k"), found.as_ref(), from, to);
        assert_eq!(at(None, 0, 9), Some(0));
        assert_eq!(at(found(3, "a"), 0, 9), Some(3));
        assert_eq!(at(found(3, "a"), 4, 9), None, "it was deleted by then");
        assert_eq!(at(None, 3, 9), Some(4));
        assert_eq!(at(None, 3, 3), None, "not deleted yet");
        assert_eq!(at(None, 5, 9), None, "set again");
        assert_eq!(at(found(5, "b"), 7, 9), Some(7));
        assert_eq!(at(found(5, "x"), 0, 9), None, "nobody wrote that");
    }
}
