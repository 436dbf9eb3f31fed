//! The replicated state against a model: a map, and for each number of a session what it came to.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use diskeyval_core::inspect::state::{Decided, State};
use diskeyval_core::{Change, Command, Expect, Incarnation, NodeId, Outcome};

/// How far a number may be ahead of what has ended.
const WINDOW: u64 = 1 << 20;

/// Entries until the bytes end: each is applied to both, and now and then the state goes through a snapshot.
pub fn run(bytes: &[u8]) {
    let mut both = Both {
        state: State::founded(NodeId::new("n1").expect("a good name")),
        model: Model { applied: 1, ..Model::default() },
    };
    let mut chance = Unstructured::new(bytes);
    while !chance.is_empty() && both.step(&mut chance).is_ok() {}
    both.compare();
    both.copy(&mut Unstructured::new(&[])).expect("bytes that are not there are zeros");
}

struct Both {
    state: State,
    model: Model,
}

#[derive(Default)]
struct Model {
    applied: u64,
    keys: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    session: Option<Session>,
}

struct Session {
    id: u64,
    boot: u128,
    floor: u64,
    answers: BTreeMap<u64, Outcome>,
}

impl Both {
    fn step(&mut self, chance: &mut Unstructured<'_>) -> Result<()> {
        match chance.int_in_range(0..=15u8)? {
            0 => {
                self.state.pass();
                self.model.applied += 1;
            }
            1 => self.open(chance)?,
            2 => self.copy(chance)?,
            3 => self.compare(),
            _ => self.write(chance)?,
        }
        assert_eq!(self.state.applied(), self.model.applied);
        Ok(())
    }

    fn open(&mut self, chance: &mut Unstructured<'_>) -> Result<()> {
        let (is_other_life, boot) = (chance.ratio(1u8, 8u8)?, chance.int_in_range(0..=2u128)?);
        let opened = self.state.open_session(Incarnation(if is_other_life { 2 } else { 1 }), boot);
        self.model.applied += 1;
        let expected = match &self.model.session {
            _ if is_other_life => None,
            Some(session) if session.boot == boot => Some(session.id),
            Some(_) | None => {
                let id = self.model.applied;
                self.model.session = Some(Session { id, boot, floor: 1, answers: BTreeMap::new() });
                Some(id)
            }
        };
        assert_eq!(opened, expected, "the session of boot {boot}");
        Ok(())
    }

    fn write(&mut self, chance: &mut Unstructured<'_>) -> Result<()> {
        let present = self.model.session.as_ref();
        let (id, floor) = present.map_or((0, 1), |session| (session.id, session.floor));
        let session = if chance.ratio(1u8, 16u8)? { chance.arbitrary()? } else { id };
        // (A number just within the window makes a table of a million answers: there would be few runs.)
        let ahead = match chance.int_in_range(0..=20u8)? {
            0 => 300,
            1 => WINDOW + 8,
            few => u64::from(few) - 2,
        };
        let seq = floor.saturating_add(ahead).saturating_sub(u64::from(chance.int_in_range(0..=2u8)?)).max(1);
        let floor = floor.saturating_add(u64::from(chance.int_in_range(0..=3u8)?)).min(seq);
        let command = command(chance)?;
        let decided = self.state.write(session, seq, floor, command.clone());
        self.model.applied += 1;
        let expected = self.model.write(session, seq, floor, command.clone());
        assert_eq!(decided, expected, "{session}.{seq} behind {floor}: {command:?}");
        Ok(())
    }

    /// All keys are the same.
    fn compare(&self) {
        let view = self.state.view();
        assert_eq!(view.len(), self.model.keys.len());
        let keys = view.iter().map(|(key, found)| (key.to_vec(), (found.value.to_vec(), found.revision)));
        assert!(keys.eq(self.model.keys.iter().map(|(key, found)| (key.clone(), found.clone()))));
    }

    /// The state goes on from what its own snapshot says, however that is cut.
    fn copy(&mut self, chance: &mut Unstructured<'_>) -> Result<()> {
        let (made, cut) = (usize::from(chance.arbitrary::<u8>()?), usize::from(chance.arbitrary::<u8>()?));
        let bytes = self.state.snapshot(made).expect("keys add up to their hash");
        let copy = self.state.restored(bytes.chunks(cut.max(1))).expect("a snapshot");
        assert_eq!(copy.hash(), self.state.hash());
        assert_eq!(copy.snapshot(1 + cut), Some(bytes), "the same state makes the same bytes");
        self.state = copy;
        Ok(())
    }
}

impl Model {
    fn write(&mut self, session: u64, seq: u64, floor: u64, command: Command) -> Decided {
        let Some(present) = self.session.as_mut().filter(|present| present.id == session) else {
            return Decided::NoSession;
        };
        present.floor = present.floor.max(floor);
        present.answers = present.answers.split_off(&present.floor);
        if seq < present.floor {
            return Decided::Stale;
        }
        if seq - present.floor >= WINDOW {
            return Decided::NoSession;
        }
        if let Some(outcome) = present.answers.get(&seq) {
            return Decided::Repeated(*outcome);
        }
        let (outcome, change) = self.execute(command);
        if let Some(present) = &mut self.session {
            present.answers.insert(seq, outcome);
        }
        Decided::First(outcome, change)
    }

    fn execute(&mut self, command: Command) -> (Outcome, Option<Change>) {
        let revision = self.applied;
        match command {
            Command::Set { key, value } => {
                self.keys.insert(key.to_vec(), (value.to_vec(), revision));
                (Outcome::Set { revision }, Some(Change { key, value: Some(value), revision }))
            }
            Command::Delete { key } => {
                let found = self.keys.remove(&key[..]).is_some();
                (Outcome::Deleted { revision, found }, found.then_some(Change { key, value: None, revision }))
            }
            Command::CompareAndSet { key, expect, value } => {
                let present = self.keys.get(&key[..]);
                let fits = match &expect {
                    Expect::Absent => present.is_none(),
                    Expect::Value(wanted) => present.is_some_and(|(value, _)| value[..] == wanted[..]),
                    Expect::Revision(wanted) => present.is_some_and(|(_, at)| at == wanted),
                };
                if !fits {
                    let actual = present.map_or(0, |(_, at)| *at);
                    return (Outcome::Mismatch { revision, actual }, None);
                }
                self.keys.insert(key.to_vec(), (value.to_vec(), revision));
                (Outcome::Swapped { revision }, Some(Change { key, value: Some(value), revision }))
            }
            other => panic!("a command that the model does not know: {other:?}"),
        }
    }
}

fn command(chance: &mut Unstructured<'_>) -> Result<Command> {
    // Many keys in few bytes, so that the map has several levels.
    let key = |chance: &mut Unstructured<'_>| -> Result<Bytes> {
        let (one, two): (u8, u8) = (chance.arbitrary()?, chance.int_in_range(0..=3)?);
        Ok(match two {
            0 => vec![one % 8].into(),
            1 => vec![one].into(),
            2 => vec![one, one].into(),
            _ => vec![b'k'; usize::from(one % 5)].into(),
        })
    };
    let value = |chance: &mut Unstructured<'_>| -> Result<Bytes> {
        let (byte, len): (u8, u8) = (chance.int_in_range(0..=2)?, chance.int_in_range(0..=3)?);
        Ok(vec![byte; usize::from(len)].into())
    };
    Ok(match chance.int_in_range(0..=6u8)? {
        0..=2 => Command::Set { key: key(chance)?, value: value(chance)? },
        3 | 4 => Command::Delete { key: key(chance)? },
        kind => {
            let expect = match (kind, chance.int_in_range(0..=2u8)?) {
                (5, 0) => Expect::Absent,
                (5, _) => Expect::Value(value(chance)?),
                _ => Expect::Revision(chance.int_in_range(0..=40u64)?),
            };
            Command::CompareAndSet { key: key(chance)?, expect, value: value(chance)? }
        }
    })
}
