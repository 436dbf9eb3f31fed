//! The same world as the scripts', driven at random and checked for what must always hold.
//!
//! Small and short: links are cut, held and healed, nodes are frozen and thawed, while all of them write and
//! read. The simulator goes much further.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use core::time::Duration;

use super::world::{Seen, World, compare_and_set, delete, set};
use crate::error::Error;
use crate::id::{Term, Ticket};
use crate::io::{Answer, Event, Read, Request};
use crate::kv::{Command, Expect, Outcome};
use crate::prng::{Prng, Seed};

/// A cluster, what it was asked, and what must hold of it.
struct Soak {
    world: World,
    names: Vec<String>,
    prng: Prng,
    tokens: u64,
    writes: BTreeMap<Ticket, Asked>,
    /// Reads, with the highest revision of their key that was answered before they were asked for.
    reads: BTreeMap<Ticket, (String, u64)>,
    /// The highest revision of each key that was answered.
    answered: BTreeMap<String, u64>,
    leaders: BTreeMap<Term, String>,
    /// Per node: the values of all changes, and the revision of the last.
    changes: BTreeMap<String, Vec<(u64, String, Option<String>)>>,
    /// Per node: up to where it was told at last that changes were not told one by one.
    resynced: BTreeMap<String, u64>,
    highest: BTreeMap<String, (u64, u64)>,
    acked: usize,
}

struct Asked {
    key: String,
    token: String,
    result: Option<Result<Outcome, Error>>,
}

impl Soak {
    fn new(size: usize, seed: u64) -> Soak {
        Soak::with(size, seed, &[])
    }

    fn with(size: usize, seed: u64, options: &[(&str, &str)]) -> Soak {
        let mut world = World::default();
        world.cluster(size);
        options.iter().for_each(|(name, value)| world.set_option(name, value));
        world.seed(seed * 1_000);
        world.each(&[], World::start);
        world.each(&[], World::listen);
        let names = (1..=size).map(|n| format!("n{n}")).collect();
        let prng = Prng::new(Seed::from_u64(seed));
        Soak {
            world,
            names,
            prng,
            tokens: 0,
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            answered: BTreeMap::new(),
            leaders: BTreeMap::new(),
            changes: BTreeMap::new(),
            resynced: BTreeMap::new(),
            highest: BTreeMap::new(),
            acked: 0,
        }
    }

    fn any_node(&mut self) -> String {
        let at = self.prng.below(self.names.len() as u64);
        self.names[usize::try_from(at).expect("small")].clone()
    }

    fn any_key(&mut self) -> String {
        format!("k{}", self.prng.below(4))
    }

    fn advance(&mut self, millis: u64) {
        self.world.advance(Duration::from_millis(millis));
        self.check();
    }

    fn write(&mut self, node: &str, key: String) {
        self.tokens += 1;
        let token = format!("v{}", self.tokens);
        let command = match self.prng.below(4) {
            0 => delete(&key),
            1 => compare_and_set(&key, "-", &token),
            _ => set(&key, &token),
        };
        let token = match &command {
            Command::Delete { .. } => String::new(),
            Command::CompareAndSet { expect: Expect::Absent, .. } | Command::Set { .. } => token,
            other => unreachable!("{other:?}"),
        };
        let ticket = self.world.ask(node, Request::Write(command));
        self.writes.insert(ticket, Asked { key, token, result: None });
        self.check();
    }

    fn read(&mut self, node: &str, key: String) {
        let floor = self.answered.get(&key).copied().unwrap_or(0);
        let request = Request::Get { key: key.clone().into(), read: Read::Linearizable };
        let ticket = self.world.ask(node, request);
        self.reads.insert(ticket, (key, floor));
        self.check();
    }

    fn disturb(&mut self) {
        let (one, other) = (self.any_node(), self.any_node());
        match self.prng.below(12) {
            0 => self.world.cut(&one, None),
            1 | 2 if one != other => self.world.cut(&one, Some(&other)),
            3 => self.world.heal(),
            4 | 5 if one != other => self.world.hold(&one, &other, true),
            6 => self.world.release_all(),
            7 => self.world.freeze(&one),
            8 => {
                let names = self.names.clone();
                names.iter().for_each(|name| self.world.thaw(name));
            }
            _ => {}
        }
        self.world.run();
        self.check();
    }

    fn heal_everything(&mut self) {
        self.world.heal();
        self.world.release_all();
        let names = self.names.clone();
        names.iter().for_each(|name| self.world.thaw(name));
        self.advance(15_000);
    }

    /// What has happened since the last look.
    fn check(&mut self) {
        for (node, seen) in core::mem::take(&mut self.world.seen) {
            match seen {
                Seen::Halt(fault) => panic!("{node} halts: {fault}"),
                Seen::Event(Event::Leader { leader: Some(leader), term }) => {
                    let known = self.leaders.entry(term).or_insert_with(|| leader.to_string());
                    assert_eq!(*known, leader.to_string(), "two leaders in term {term}");
                }
                Seen::Event(Event::Change(change)) => {
                    let key = String::from_utf8_lossy(&change.key).into_owned();
                    let value = change.value.map(|value| String::from_utf8_lossy(&value).into_owned());
                    self.changes.entry(node).or_default().push((change.revision, key, value));
                }
                Seen::Event(Event::Resync { revision }) => {
                    let told = self.changes.get(&node).and_then(|changes| changes.last());
                    let told = told.map_or(0, |(revision, ..)| *revision);
                    let former = self.resynced.insert(node, revision).unwrap_or(0);
                    assert!(revision > told.max(former), "resynced at {revision}, behind {told}");
                }
                Seen::Event(_) => {}
                Seen::Answer(ticket, answer) => self.answered(ticket, answer),
            }
        }
        for name in &self.names {
            let Some(engine) = self.world.engine(name) else { continue };
            let status = engine.status();
            let (commit, applied) = (status.commit_index.0, status.last_applied.0);
            assert!(applied <= commit, "{name} has applied {applied} and committed {commit}");
            let (former_commit, former_applied) =
                self.highest.insert(name.clone(), (commit, applied)).unwrap_or_default();
            assert!(commit >= former_commit && applied >= former_applied, "{name} goes back");
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Written(result) => {
                let asked = self.writes.get_mut(&ticket).expect("it was asked for");
                assert!(asked.result.is_none(), "answered twice");
                if let Ok(outcome) = &result {
                    self.acked += 1;
                    let takes_effect = matches!(
                        outcome,
                        Outcome::Set { .. } | Outcome::Swapped { .. } | Outcome::Deleted { found: true, .. }
                    );
                    let highest = self.answered.entry(asked.key.clone()).or_default();
                    *highest = (*highest).max(if takes_effect { outcome.revision() } else { 0 });
                }
                asked.result = Some(result);
            }
            Answer::Read(result) => {
                let (key, floor) = self.reads.remove(&ticket).expect("it was asked for");
                if let Ok(Some(found)) = result {
                    assert!(found.revision >= floor, "{key} was read at {}, behind {floor}", found.revision);
                    let highest = self.answered.entry(key).or_default();
                    *highest = (*highest).max(found.revision);
                }
            }
            Answer::View(_)
            | Answer::Status(_)
            | Answer::Snapshot(_)
            | Answer::Transferred(_)
            | Answer::MembersChanged(_)
            | Answer::Recovered(_)
            | Answer::LinksRenewed
            | Answer::Stopped => {}
        }
    }

    /// Everybody has the same state and was told the same changes; what was answered is in them exactly once,
    /// and what was refused is not.
    fn check_convergence(&mut self) {
        let states: BTreeSet<(u64, u128)> = self
            .names
            .iter()
            .filter_map(|name| self.world.engine(name))
            .map(|engine| (engine.status().last_applied.0, engine.status().state_hash))
            .collect();
        assert_eq!(states.len(), 1, "the states differ: {states:?}");
        let all: BTreeSet<_> = self.changes.values().flatten().cloned().collect();
        let changes: Vec<_> = all.into_iter().collect();
        assert!(changes.windows(2).all(|pair| pair[0].0 < pair[1].0), "one change for each revision");
        for (name, own) in &self.changes {
            assert!(own.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}: revisions go up");
            let resynced = self.resynced.get(name).copied().unwrap_or(0);
            let behind = |list: &[(u64, String, Option<String>)]| -> Vec<_> {
                list.iter().filter(|(revision, ..)| *revision > resynced).cloned().collect()
            };
            assert_eq!(behind(own), behind(&changes), "{name} was told other changes");
        }
        for (ticket, asked) in &self.writes {
            let result = asked.result.as_ref().unwrap_or_else(|| panic!("{ticket} was never answered"));
            if asked.token.is_empty() {
                continue;
            }
            let told: Vec<u64> = changes
                .iter()
                .filter(|(_, _, value)| value.as_ref() == Some(&asked.token))
                .map(|(revision, _, _)| *revision)
                .collect();
            match result {
                Ok(Outcome::Set { revision } | Outcome::Swapped { revision }) => {
                    assert_eq!(told, [*revision], "{} was answered at {revision}", asked.token);
                }
                Ok(_) => assert!(told.is_empty(), "{} did not match, and is there", asked.token),
                Err(Error::Refused(_)) => {
                    assert!(told.is_empty(), "{} was refused, and is there", asked.token)
                }
                Err(Error::Unknown(_)) => assert!(told.len() <= 1, "{} is there twice", asked.token),
            }
        }
    }
}

/// `SOAK_SEEDS=2000 cargo test --release -p diskeyval-core soak` goes further.
fn seeds() -> u64 {
    std::env::var("SOAK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30)
}

/// Scenarios: no dual leaders in a term, commit index monotonic, applied at most committed, delay, drops.
#[test]
fn what_must_hold_holds_under_random_disturbance() {
    let mut acked = 0;
    let mut reigns = 0;
    for seed in 1..=seeds() {
        let mut soak = Soak::new([3, 4, 5][usize::try_from(seed % 3).expect("small")], seed);
        // Every other cluster is disturbed from the beginning, while it is founded.
        if seed % 2 == 0 {
            soak.advance(1_500);
        }
        for _ in 0..80 {
            let (node, key) = (soak.any_node(), soak.any_key());
            match soak.prng.below(6) {
                0 | 1 => soak.disturb(),
                2 | 3 => soak.write(&node, key),
                4 => soak.read(&node, key),
                _ => {
                    let millis = soak.prng.below(400);
                    soak.advance(millis);
                }
            }
        }
        soak.heal_everything();
        soak.check_convergence();
        acked += soak.acked;
        reigns += soak.leaders.len();
    }
    // A test that disturbs so much that nothing happens would pass as well.
    assert!(acked > 300, "only {acked} writes were acknowledged");
    assert!(reigns > 40, "only {reigns} reigns");
}

/// The same with a log that is released all the time, so that whoever was away is sent the state, in many pieces.
#[test]
fn any_trouble_ends_in_one_state_though_the_log_is_released() {
    const OPTIONS: &[(&str, &str)] =
        &[("compact_every", "600"), ("max_key", "64"), ("max_value", "100"), ("append_window", "1300")];
    let (mut acked, mut installed, mut pieces) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut soak = Soak::with(3 + 2 * usize::from(seed % 3 == 0), 1_000 + seed, OPTIONS);
        soak.advance(1_500);
        for _ in 0..120 {
            let (node, key) = (soak.any_node(), soak.any_key());
            match soak.prng.below(6) {
                0..=2 => soak.write(&node, key),
                3 => soak.read(&node, key),
                4 => soak.disturb(),
                _ => {
                    let millis = soak.prng.below(300);
                    soak.advance(millis);
                }
            }
        }
        soak.heal_everything();
        soak.check_convergence();
        acked += soak.acked;
        for name in &soak.names {
            let Some(metrics) = soak.world.engine(name).map(|engine| engine.metrics()) else { continue };
            installed += metrics.snapshots_installed;
            pieces += metrics.snapshot_pieces_sent;
        }
    }
    assert!(acked > 300, "only {acked} writes were acknowledged");
    assert!(installed > 20 && pieces > 2 * installed, "only {installed} snapshots in {pieces} pieces");
}

/// W10: the log grew for ever. A thousand times what it may hold goes through it, though a member is away.
#[test]
fn w10_a_cluster_under_constant_load_never_fills_its_log() {
    const OPTIONS: &[(&str, &str)] = &[
        ("log_bytes", "65536"),
        // The two are as far apart as the defaults.
        ("compact_every", "4096"),
        ("max_key", "64"),
        ("max_value", "1024"),
        ("append_window", "4096"),
    ];
    let mut soak = Soak::with(3, 10, OPTIONS);
    soak.advance(1_500);
    soak.world.cut("n3", None);
    soak.advance(1_500);
    let value = "x".repeat(1_000);
    for n in 0..2_000 {
        soak.world.write("n1", set(&format!("k{}", n % 20), &value));
        let most = ["n1", "n2"].map(|name| soak.world.engine(name).map_or(0, |e| e.status().log_bytes));
        assert!(most.iter().all(|bytes| *bytes < 16 << 10), "{most:?}");
    }
    let ok = |seen: &(String, Seen)| matches!(seen, (_, Seen::Answer(_, Answer::Written(Ok(_)))));
    assert_eq!(soak.world.seen.iter().filter(|seen| ok(seen)).count(), 2_000);
    soak.world.seen.clear();
    soak.heal_everything();
    soak.check_convergence();
}

/// Scenario: 5-node burst of 120 writes converges.
#[test]
fn a_burst_of_120_writes_on_five_nodes_converges() {
    let mut soak = Soak::new(5, 7);
    soak.advance(1_500);
    for _ in 0..120 {
        let (node, key) = (soak.any_node(), soak.any_key());
        soak.write(&node, key);
    }
    soak.advance(200);
    assert_eq!(soak.acked, 120);
    soak.check_convergence();
}

/// Scenario: 8 partition/heal cycles, with 50 writes under churn.
#[test]
fn eight_partitions_and_fifty_writes_under_churn_converge() {
    let mut soak = Soak::new(5, 8);
    soak.advance(1_500);
    for cycle in 0..8 {
        let (one, other) = (format!("n{}", cycle % 5 + 1), format!("n{}", (cycle + 1) % 5 + 1));
        soak.world.cut(&one, None);
        soak.world.cut(&other, None);
        for _ in 0..6 {
            let (node, key) = (soak.any_node(), soak.any_key());
            soak.write(&node, key);
            soak.advance(100);
        }
        soak.world.heal();
        soak.advance(1_500);
    }
    soak.advance(8_000);
    assert!(soak.acked >= 20, "only {} writes were acknowledged", soak.acked);
    soak.check_convergence();
}

/// A comparison that never happens would find nothing.
#[test]
fn states_are_compared_by_their_hash_and_agree() {
    let mut soak = Soak::new(3, 9);
    soak.advance(1_500);
    for n in 0..1_100u64 {
        soak.write(&format!("n{}", n % 3 + 1), format!("k{}", n % 50));
    }
    soak.advance(500);
    soak.check_convergence();
    let compared =
        |name: &String| soak.world.engine(name).map_or(0, |engine| engine.metrics().hashes_compared);
    assert!(soak.names.iter().map(compared).sum::<u64>() > 0, "no comparison took place");
}
