//! Histories of a simulated store that is as it should be: the material of tests and of the timing example.
#![allow(dead_code)] // Each user needs a part of it.

use std::collections::BTreeMap;

use diskeyval_sim::history::{Action, Event, Operation, Outcome, Record};

/// A small seeded generator (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True so many times out of a thousand.
    pub(crate) fn permille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }
}

/// What to generate.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) clients: u64,
    pub(crate) keys: u64,
    pub(crate) operations: u64,
    /// Of a thousand operations, so many end unknown (half of these take effect) and so many are refused.
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
    /// Of a thousand operations, so many are gets, deletes and compare-and-sets; the rest are sets.
    pub(crate) gets: u64,
    pub(crate) deletes: u64,
    pub(crate) swaps: u64,
    /// The longest that each half of an operation, before and after its effect, can last, and the longest
    /// pause between two of a client's.
    pub(crate) half: u64,
    pub(crate) pause: u64,
    /// How many nodes report events.
    pub(crate) nodes: u64,
    /// Whether operations carry revisions.
    pub(crate) revisions: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            seed: 1,
            clients: 16,
            keys: 100,
            operations: 10_000,
            unknown: 10,
            refused: 10,
            gets: 400,
            deletes: 100,
            swaps: 200,
            half: 1_000_000,
            pause: 100_000,
            nodes: 3,
            revisions: true,
        }
    }
}

/// What a store that is one register for each key would show.
pub(crate) fn history(plan: &Plan) -> Vec<Record> {
    let mut chance = Chance::new(plan.seed);
    let mut clock = vec![0; usize::try_from(plan.clients).expect("few clients")];
    // When each takes effect, the operation, and whether it does.
    let mut asked: Vec<(u64, Operation, bool)> = Vec::new();
    for number in 0..plan.operations {
        let client = chance.below(plan.clients);
        let now = &mut clock[usize::try_from(client).expect("few clients")];
        let call = *now + chance.below(plan.pause) + 1;
        let mut effect = call + chance.below(plan.half);
        let mut returned = Some(effect + chance.below(plan.half));
        *now = returned.unwrap_or(call) + 1;
        let fate = chance.below(1000);
        let (unknown, refused) =
            (fate < plan.unknown, (plan.unknown..plan.unknown + plan.refused).contains(&fate));
        let takes_effect = !(refused || unknown && chance.permille(500));
        if unknown {
            effect += chance.below(20 * plan.half);
            returned = returned.filter(|_| chance.permille(500));
        }
        let key = format!("k{}", chance.below(plan.keys));
        let value = format!("v{number}");
        let kind = chance.below(1000);
        let action = if kind < plan.gets {
            Action::Get { outcome: ended(unknown, refused, None) }
        } else if kind < plan.gets + plan.deletes {
            Action::Delete { outcome: ended(unknown, refused, false) }
        } else if kind < plan.gets + plan.deletes + plan.swaps {
            // What it expects is decided when it takes effect: a guess that is right every other time.
            let expect = chance.permille(500).then(|| format!("v{}", chance.below(number + 1)));
            let outcome = ended(unknown, refused, chance.permille(500));
            Action::CompareAndSet { expect, value: Some(value), outcome }
        } else {
            Action::Set { value, outcome: ended(unknown, refused, ()) }
        };
        asked.push((effect, Operation { client, key, action, call, returned, revision: None }, takes_effect));
    }
    asked.sort_by_key(|(effect, ..)| *effect);
    let mut store = Store { map: BTreeMap::new(), revision: 10, changes: Vec::new() };
    let mut records: Vec<(u64, Record)> = Vec::new();
    for (effect, mut operation, takes_effect) in asked {
        if takes_effect {
            store.perform(effect, &mut operation);
        }
        if !plan.revisions {
            operation.revision = None;
        }
        records.push((operation.call, Record::Operation(operation)));
    }
    for node in 0..plan.nodes {
        let mut at = 0;
        for (effect, key, value, revision) in &store.changes {
            at = at.max(effect + chance.below(plan.half));
            let event = Event {
                node: format!("n{node}"),
                key: key.clone(),
                value: value.clone(),
                revision: *revision,
                at,
            };
            records.push((at, Record::Event(event)));
        }
    }
    records.sort_by_key(|(at, _)| *at);
    records.into_iter().map(|(_, record)| record).collect()
}

fn ended<T>(unknown: bool, refused: bool, told: T) -> Outcome<T> {
    match (unknown, refused) {
        (true, _) => Outcome::Unknown,
        (_, true) => Outcome::Refused,
        _ => Outcome::Ok(told),
    }
}

struct Store {
    map: BTreeMap<String, (String, u64)>,
    revision: u64,
    changes: Vec<(u64, String, Option<String>, u64)>,
}

impl Store {
    fn perform(&mut self, at: u64, operation: &mut Operation) {
        let now = self.map.get(&operation.key).cloned();
        let key = operation.key.clone();
        let mut change = |value: Option<&String>| {
            self.revision += 1;
            self.changes.push((at, key.clone(), value.cloned(), self.revision));
            match value {
                Some(value) => self.map.insert(key.clone(), (value.clone(), self.revision)),
                None => self.map.remove(&key),
            };
            Some(self.revision)
        };
        let revision = match &mut operation.action {
            Action::Set { value, .. } => change(Some(value)),
            Action::Get { outcome } => {
                let (value, revision) = now.unzip();
                if let Outcome::Ok(read) = outcome {
                    *read = value;
                }
                revision
            }
            Action::Delete { outcome } => {
                if let Outcome::Ok(found) = outcome {
                    *found = now.is_some();
                }
                if now.is_some() { change(None) } else { None }
            }
            Action::CompareAndSet { expect, value, outcome } => {
                if *outcome == Outcome::Ok(true) {
                    *expect = now.as_ref().map(|(value, _)| value.clone());
                }
                let fits = *expect == now.map(|(value, _)| value);
                if let Outcome::Ok(swapped) = outcome {
                    *swapped = fits;
                }
                if fits { change(value.as_ref()) } else { None }
            }
        };
        // A client that got no answer was told no revision.
        let answered = match &operation.action {
            Action::Set { outcome, .. } => *outcome == Outcome::Ok(()),
            Action::Get { outcome } => !matches!(outcome, Outcome::Unknown | Outcome::Refused),
            Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => {
                !matches!(outcome, Outcome::Unknown | Outcome::Refused)
            }
        };
        operation.revision = revision.filter(|_| answered);
    }
}
