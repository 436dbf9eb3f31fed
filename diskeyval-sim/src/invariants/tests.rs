//! Real engines, connected by hand: what they do by the rules raises nothing, and what is falsified is found.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::{Ear, Vitals, Word, forge};
use diskeyval_core::{
    Answer, CloseReason, Command, Config, ConnId, DialError, Effect, Event, Expect, Index, Input, Instant,
    Origin, Outcome, Read, Seed, Term,
};

use super::*;
use crate::choice::Choices;
use crate::world::disk::Disk;

/// What a checker is shown of one turn.
struct Shown {
    vitals: Vitals,
    records: Vec<Record>,
    recorded: u64,
    words: Vec<(usize, Word)>,
    answers: Vec<(Ticket, Answer)>,
    events: Vec<Event>,
}

struct World {
    invariants: Invariants,
    names: Vec<NodeId>,
    nodes: Vec<Node>,
    now: Instant,
    conns: u64,
    tickets: u64,
    starts: u64,
    /// Disks complete nothing while they are slow.
    slow: Vec<usize>,
    /// Nothing that a node says, or is told, arrives for now.
    held: Option<usize>,
    found: Option<Violation>,
    answers: BTreeMap<Ticket, Answer>,
}

#[derive(Default)]
struct Node {
    engine: Option<Engine>,
    inbox: VecDeque<Input>,
    pipes: BTreeMap<ConnId, Pipe>,
    disk: Disk,
    opened: bool,
    durable: u64,
}

/// The outgoing half of a connection.
struct Pipe {
    to: usize,
    remote: ConnId,
    sent: VecDeque<Bytes>,
    ear: Ear,
}

impl World {
    fn new(nodes: usize, seed: u64) -> World {
        let names: Vec<NodeId> =
            (0..nodes).map(|node| NodeId::new(&name(node)).expect("a good name")).collect();
        World {
            invariants: Invariants::new(&names, names.len(), Limits::default()),
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            names,
            now: Instant::ZERO,
            conns: 0,
            tickets: 0,
            starts: seed * 1_000,
            slow: Vec::new(),
            held: None,
            found: None,
            answers: BTreeMap::new(),
        }
    }

    /// A cluster that has founded itself, and has opened the sessions of all.
    fn founded(nodes: usize, seed: u64) -> World {
        let mut world = World::new(nodes, seed);
        (0..nodes).for_each(|node| world.start(node));
        world.advance(4_000);
        assert!(world.nodes.iter().all(|node| node.engine.as_ref().is_some_and(Engine::is_member)));
        world
    }

    fn note(&mut self, result: Result<(), Violation>) {
        if let (Err(violation), None) = (result, &self.found) {
            self.found = Some(violation);
        }
    }

    fn start(&mut self, at: usize) {
        self.starts += 1;
        let mut config = Config::new(self.names[at].as_str()).expect("a good name");
        for peer in self.names.iter().enumerate().filter(|(peer, _)| *peer != at).map(|(_, name)| name) {
            config = config.peer(peer.as_str(), peer.as_str(), 1).expect("a good name");
        }
        let settings = config.persist("disk").validate().expect("a good configuration");
        let node = &mut self.nodes[at];
        (node.opened, node.durable) = (false, 0);
        node.engine = Some(Engine::open(settings, Seed::from_u64(self.starts)));
        node.inbox.push_back(Input::Listen { changes: true });
        self.turn(at);
    }

    /// What was not synced is lost, or a part of it.
    fn crash(&mut self, at: usize, luck: u64) {
        self.end(at, luck, false);
    }

    fn wipe(&mut self, at: usize) {
        self.end(at, 0, true);
        self.nodes[at].disk.wipe();
    }

    fn end(&mut self, at: usize, luck: u64, wiped: bool) {
        let node = &mut self.nodes[at];
        node.engine = None;
        node.opened = false;
        node.inbox.clear();
        node.disk.crash(Time::default(), true, &mut Choices::from_seed(luck));
        let conns: Vec<ConnId> = node.pipes.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.close(at, conn));
        let result = self.invariants.crashed(Time::default(), at, wiped);
        self.note(result);
    }

    fn close(&mut self, at: usize, conn: ConnId) {
        let Some(pipe) = self.nodes[at].pipes.remove(&conn) else { return };
        self.nodes[pipe.to].pipes.remove(&pipe.remote);
        for (node, conn) in [(at, conn), (pipe.to, pipe.remote)] {
            let why = CloseReason::Broken("reset".into());
            self.nodes[node].inbox.push_back(Input::Closed { conn, why });
        }
    }

    fn cut(&mut self, at: usize) {
        let conns: Vec<ConnId> = self.nodes[at].pipes.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.close(at, conn));
    }

    fn ask(&mut self, at: usize, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let result = self.invariants.asked(Time::default(), at, ticket, &request);
        self.note(result);
        let budget = Duration::from_secs(2);
        self.nodes[at].inbox.push_back(Input::Ask { ticket, request, budget });
        ticket
    }

    fn set(&mut self, at: usize, key: &str, value: &str) -> Ticket {
        let (key, value) = (key.to_owned().into(), value.to_owned().into());
        self.ask(at, Request::Write(Command::Set { key, value }))
    }

    fn get(&mut self, at: usize, key: &str, read: Read) -> Ticket {
        self.ask(at, Request::Get { key: key.to_owned().into(), read })
    }

    fn turn(&mut self, at: usize) {
        self.turn_shown(at, |_| {});
    }

    /// One turn, of which the checkers are shown something else.
    fn turn_shown(&mut self, at: usize, falsify: impl FnOnce(&mut Shown)) {
        let node = &mut self.nodes[at];
        let Some(engine) = &mut node.engine else { return node.inbox.clear() };
        let mut turn = engine.turn(self.now);
        node.inbox.drain(..).for_each(|input| turn.input(input));
        let effects: Vec<Effect> = turn.end().collect();
        let vitals = engine.vitals();
        let (records, recorded) = (engine.journal().0.to_vec(), engine.journal().1);
        let mut shown = Shown { vitals, records, recorded, words: vec![], answers: vec![], events: vec![] };
        self.see_what_is_durable(at);
        for effect in effects {
            self.perform(at, effect, &mut shown);
        }
        falsify(&mut shown);
        let node = &mut self.nodes[at];
        let turn = Turn {
            at: Time::default(),
            node: at,
            engine: node.engine.as_ref().expect("it has just taken a turn"),
            vitals: shown.vitals,
            records: &shown.records,
            recorded: shown.recorded,
            words: &shown.words,
            answers: &shown.answers,
            events: &shown.events,
            halted: None,
        };
        let result = self.invariants.turn(&turn);
        self.note(result);
        self.answers.extend(shown.answers);
        if !self.slow.contains(&at) {
            self.store(at);
        }
    }

    fn see_what_is_durable(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let engine = node.engine.as_ref().expect("it has just taken a turn");
        let durable = engine.journal_durable();
        let result = if !node.opened {
            let Some(kept) = engine.found().map(<[Record]>::to_vec) else { return };
            (node.opened, node.durable) = (true, durable);
            self.invariants.started(Time::default(), at, &kept)
        } else if core::mem::replace(&mut node.durable, durable) < durable {
            self.invariants.stored(Time::default(), at, durable)
        } else {
            return;
        };
        self.note(result);
    }

    fn store(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        for completed in node.disk.complete(Time(u64::MAX), &mut Choices::from_seed(0)) {
            let (op, result) = (completed.op, completed.result);
            node.inbox.push_back(Input::Disk { op, result });
        }
    }

    fn perform(&mut self, at: usize, effect: Effect, shown: &mut Shown) {
        match effect {
            Effect::Dial { dial, peer, .. } => {
                let to = self.names.iter().position(|name| *name == peer).expect("a node");
                if self.nodes[to].engine.is_none() {
                    let failed = Input::DialFailed { dial, why: DialError::Refused };
                    return self.nodes[at].inbox.push_back(failed);
                }
                let (ours, theirs) = (ConnId(self.conns), ConnId(self.conns + 1));
                self.conns += 2;
                let ends =
                    [(at, ours, to, theirs, Origin::Dialled(dial)), (to, theirs, at, ours, Origin::Accepted)];
                for (from, conn, to, remote, origin) in ends {
                    let pipe = Pipe { to, remote, sent: VecDeque::new(), ear: Ear::default() };
                    self.nodes[from].pipes.insert(conn, pipe);
                    let who = Identity::Node(self.names[to].clone());
                    self.nodes[from].inbox.push_back(Input::Opened { conn, who, origin });
                }
            }
            Effect::Send { conn, bytes } => {
                let Some(pipe) = self.nodes[at].pipes.get_mut(&conn) else { return };
                pipe.ear.push(bytes.clone());
                while let Some(word) = pipe.ear.next_word() {
                    shown.words.push((pipe.to, word));
                }
                pipe.sent.push_back(bytes);
            }
            Effect::Close { conn, .. } => self.close(at, conn),
            Effect::Disk { op, what } => {
                self.nodes[at].disk.ask(Time::default(), Duration::ZERO, op, what);
            }
            Effect::Answer { ticket, answer } => shown.answers.push((ticket, answer)),
            Effect::Event(event) => shown.events.push(event),
            Effect::Halt { fault } => panic!("{} halts: {fault}", name(at)),
            other => panic!("unknown: {other:?}"),
        }
    }

    fn deliver(&mut self, at: usize) {
        let conns: Vec<ConnId> = self.nodes[at].pipes.keys().copied().collect();
        for conn in conns {
            while let Some(pipe) = self.nodes[at].pipes.get_mut(&conn) {
                let (to, remote) = (pipe.to, pipe.remote);
                if [Some(at), Some(to)].contains(&self.held) {
                    break;
                }
                let Some(bytes) = pipe.sent.pop_front() else { break };
                self.nodes[at].inbox.push_back(Input::Drained { conn, bytes: bytes.len() });
                self.nodes[to].inbox.push_back(Input::Received { conn: remote, bytes });
            }
        }
    }

    /// Delivers and takes turns until nothing moves any more.
    fn run(&mut self) {
        while self.nodes.iter().any(|node| !node.inbox.is_empty()) {
            for at in 0..self.nodes.len() {
                if !self.nodes[at].inbox.is_empty() {
                    self.turn(at);
                }
                self.deliver(at);
            }
        }
    }

    fn advance(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.run();
            self.now = self.now + Duration::from_millis(10);
            for at in 0..self.nodes.len() {
                let deadline = self.nodes[at].engine.as_ref().and_then(Engine::deadline);
                if deadline.is_some_and(|deadline| deadline.at <= self.now) {
                    self.turn(at);
                    self.deliver(at);
                }
            }
        }
        self.run();
    }

    fn leader(&self) -> usize {
        let leads = |node: &Node| node.engine.as_ref().is_some_and(Engine::is_leader);
        self.nodes.iter().position(leads).expect("somebody leads")
    }

    fn finish(&mut self) {
        let World { invariants, nodes, .. } = self;
        let alive = nodes.iter().enumerate().filter_map(|(at, node)| Some((at, node.engine.as_ref()?)));
        let alive: Vec<(usize, &Engine)> = alive.collect();
        let result = invariants.finished(Time::default(), &alive);
        self.note(result);
    }

    /// The rule that was found broken first.
    fn rule(&self) -> &'static str {
        self.found.as_ref().map_or("none", |violation| violation.rule)
    }
}

#[test]
fn a_founding_writes_and_reads_raise_nothing() {
    let mut world = World::founded(3, 1);
    for round in 0..20 {
        for node in 0..3 {
            world.set(node, &format!("k{}", round % 3), &format!("v{round}.{node}"));
            world.get(node, "k1", Read::Linearizable);
            world.get(node, "k2", Read::Local);
            let delete = Command::Delete { key: "k2".into() };
            world.ask(node, Request::Write(delete));
            let swap = Command::CompareAndSet {
                key: "k1".into(),
                expect: Expect::Absent,
                value: format!("s{round}.{node}").into(),
            };
            world.ask(node, Request::Write(swap));
            world.ask(node, Request::View);
        }
        world.advance(20);
    }
    world.advance(1_000);
    world.finish();
    assert_eq!(world.found, None);
    let Comparisons { hashes, elections, commits, promises, beliefs, writes, reads, events, .. } =
        world.invariants.comparisons();
    assert!([hashes, elections, commits, promises, beliefs, writes, reads, events].iter().all(|n| *n > 0));
    assert!(world.invariants.committed() > 180);
}

/// Crashes at every moment, with records lost that were not durable, restarts, slow disks, broken connections.
fn disturbed(nodes: usize, seed: u64, rounds: u64) -> World {
    let mut world = World::founded(nodes, seed);
    let mut chance = seed;
    for round in 0..rounds {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = |bits: u32, below: u64| (chance >> bits) % below;
        let node = usize::try_from(draw(20, nodes as u64)).expect("small");
        for at in 0..nodes {
            world.set(at, &format!("k{}", round % 4), &format!("v{round}.{at}"));
            world.get(at, &format!("k{}", round % 4), Read::Linearizable);
        }
        let leads = |node: &Node| node.engine.as_ref().is_some_and(Engine::is_leader);
        match draw(30, 10) {
            0 | 1 => {
                let at = world.nodes.iter().position(leads).unwrap_or(node);
                world.turn(at);
                world.crash(at, draw(40, 5));
                world.advance(draw(45, 1_200));
                world.start(at);
            }
            2 => world.slow = vec![node],
            3 => world.slow = world.nodes.iter().position(leads).into_iter().collect(),
            4 => world.cut(node),
            5 => {
                world.crash(node, 0);
                world.advance(30);
                world.start(node);
            }
            6 => world.held = Some(node),
            7 => world.held = world.nodes.iter().position(leads),
            _ => {
                world.held = None;
                for at in core::mem::take(&mut world.slow) {
                    world.store(at);
                }
            }
        }
        world.advance(draw(50, 700));
        assert_eq!(world.found, None, "seed {seed}, round {round}");
    }
    world.held = None;
    for at in core::mem::take(&mut world.slow) {
        world.store(at);
    }
    world.advance(8_000);
    world.finish();
    assert_eq!(world.found, None, "seed {seed}");
    world
}

#[test]
fn crashes_and_changes_of_leaders_raise_nothing() {
    for seed in 1..12 {
        let world = disturbed(3, seed, 40);
        let Comparisons { recoveries, elections, .. } = world.invariants.comparisons();
        assert!(recoveries > 0 && elections > 1);
    }
    disturbed(5, 1, 40);
}

#[test]
fn a_lost_disk_raises_nothing_and_its_new_life_counts_for_nothing() {
    let mut world = World::founded(3, 7);
    let follower = (world.leader() + 1) % 3;
    world.set(follower, "k", "v1");
    world.advance(100);
    world.wipe(follower);
    world.advance(100);
    world.start(follower);
    for round in 0..5 {
        world.set(world.leader(), "k", &format!("w{round}"));
        world.advance(300);
    }
    world.advance(3_000);
    world.finish();
    assert_eq!(world.found, None);
}

/// What is seen when a checker is shown something else than what a node has done, in a turn of the leader and in
/// one of a follower.
fn falsified(of_leader: bool, falsify: impl FnOnce(&mut Shown)) -> &'static str {
    let mut world = World::founded(3, 3);
    let at = if of_leader { world.leader() } else { (world.leader() + 1) % 3 };
    world.set(at, "k", "v");
    world.get(at, "k", Read::Local);
    world.turn_shown(at, falsify);
    world.rule()
}

fn word(bytes: Bytes) -> Word {
    let mut ear = Ear::default();
    ear.push(bytes);
    ear.next_word().expect("a whole word")
}

#[test]
fn what_is_falsified_is_found() {
    assert_eq!(falsified(true, |_| {}), "none");
    assert_eq!(falsified(false, |_| {}), "none");
    assert_eq!(falsified(false, |shown| shown.vitals.role = RoleName::Leader), "S1");
    assert_eq!(falsified(false, |shown| shown.words.push((0, word(forge::vote(Term(9), false))))), "S2");
    assert_eq!(falsified(false, |shown| shown.words.push((0, word(forge::vote(Term(9), true))))), "none");
    assert_eq!(falsified(false, |shown| shown.words.push((0, word(forge::heartbeat(Term(1), 1))))), "S1");
    let claim = |term, matched| word(forge::appended(Term(term), Index(matched)));
    assert_eq!(falsified(false, |shown| shown.words.push((0, claim(1, 99)))), "S10");
    assert_eq!(falsified(false, |shown| shown.words.push((0, claim(9, 1)))), "S4");
    assert_eq!(falsified(true, |shown| shown.vitals.commit = Index(1)), "S3");
    assert_eq!(falsified(true, |shown| shown.vitals.commit = shown.vitals.last.index), "S9");
    assert_eq!(falsified(true, |shown| shown.records.clear()), "S4");
    assert_eq!(falsified(true, |shown| shown.vitals.applied = Index(99)), "S13");
    let early = |shown: &mut Shown| {
        shown.answers.push((Ticket(1), Answer::Written(Ok(Outcome::Set { revision: 99 }))));
    };
    assert_eq!(falsified(true, early), "E3");
    assert_eq!(falsified(true, |shown| shown.answers.push((Ticket(9), Answer::Read(Ok(None))))), "V2");
}

#[test]
fn a_rule_that_is_off_finds_nothing_and_the_others_go_on() {
    let look = |off: &[&str]| {
        let mut world = World::founded(3, 3);
        let follower = (world.leader() + 1) % 3;
        world.invariants = world.invariants.clone().without(off);
        world.set(follower, "k", "v");
        world.turn_shown(follower, |shown| {
            shown.words.push((0, word(forge::vote(Term(9), false))));
            shown.answers.push((Ticket(9), Answer::Read(Ok(None))));
        });
        world.rule()
    };
    assert_eq!(look(&[]), "S2");
    assert_eq!(look(&["S2"]), "V2");
    assert_eq!(look(&["S2", "V2", "no such rule"]), "none");
}

#[test]
fn e4_in_the_end_everybody_has_everything() {
    let mut world = World::founded(3, 5);
    let leader = world.leader();
    let follower = (leader + 1) % 3;
    world.cut(follower);
    world.nodes[follower].inbox.clear();
    world.set(leader, "k", "v");
    for _ in 0..6 {
        for at in [leader, (leader + 2) % 3] {
            world.turn(at);
            world.deliver(at);
        }
    }
    assert_eq!(world.found, None);
    world.finish();
    assert_eq!(world.rule(), "E4");
}

/// Rules have one name each, and all that is reported has one of them.
#[test]
fn every_rule_is_named_once() {
    for (place, (rule, what)) in RULES.iter().enumerate() {
        assert!(!what.is_empty() && !RULES[..place].iter().any(|(other, _)| other == rule), "{rule}");
    }
}
