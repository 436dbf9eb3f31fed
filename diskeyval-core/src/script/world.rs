//! A few nodes, the links between them, and a clock that moves when it is told to.

mod links;
mod lives;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use core::time::Duration;

use super::disk::Disk;
use super::print;
use crate::engine::Engine;
use crate::error::{DialError, Fault};
use crate::id::{ConnId, DialId, NodeId, Ticket};
use crate::io::{Answer, Effect, Event, Input};
use crate::time::Instant;
use links::Pipe;
pub(super) use requests::{compare_and_set, delete, set};

#[derive(Default)]
pub(super) struct World {
    nodes: BTreeMap<String, Node>,
    options: Vec<(String, usize)>,
    now: Instant,
    /// Ordered pairs that cannot reach each other.
    cuts: BTreeSet<(String, String)>,
    held: BTreeSet<(String, String)>,
    /// Dials into silence, by when they fail.
    silent: Vec<(Instant, String, DialId)>,
    /// Whom those dials are for, and how long they may take.
    dialled: BTreeMap<(String, DialId), (String, Duration)>,
    next_conn: u64,
    next_ticket: u64,
    starts: u64,
    all: bool,
    lines: Vec<String>,
    /// Everything that was answered and that happened, for tests that are no scripts.
    pub(super) seen: Vec<(String, Seen)>,
}

/// What a node has brought forth.
pub(super) enum Seen {
    Answer(Ticket, Answer),
    Event(Event),
    Halt(Fault),
}

#[derive(Default)]
struct Node {
    engine: Option<Engine>,
    members: Vec<String>,
    leader_priority: u8,
    joins: bool,
    port: u16,
    frozen: bool,
    /// What has arrived and was not given to the engine yet.
    inbox: VecDeque<Input>,
    conns: BTreeMap<ConnId, Pipe>,
    /// Whether it keeps its log on its disk, which outlives the engine.
    on_disk: bool,
    disk: Disk,
}

impl Node {
    fn is_opening(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::is_opening)
    }
}

/// What stands behind the name of a node for the second process under it.
const TWIN: char = '+';

/// The name that a process has for others.
fn own_name(process: &str) -> &str {
    process.trim_end_matches(TWIN)
}

impl World {
    pub(super) fn cluster(&mut self, size: usize) {
        let names: Vec<String> = (1..=size).map(|n| format!("n{n}")).collect();
        for name in &names {
            self.nodes.insert(name.clone(), Node { members: names.clone(), port: 1, ..Node::default() });
        }
    }

    pub(super) fn joins(&mut self, name: &str, members: &[&str]) {
        let members = members.iter().map(ToString::to_string).collect();
        self.nodes.insert(name.into(), Node { members, joins: true, port: 1, ..Node::default() });
    }

    pub(super) fn set_port(&mut self, node: &str, port: u16) {
        self.node(node).port = port;
    }

    pub(super) fn set_option(&mut self, name: &str, value: &str) {
        self.options.push((name.into(), value.parse().expect("a number")));
    }

    pub(super) fn set_members(&mut self, node: &str, members: &[&str]) {
        self.node(node).members = members.iter().map(ToString::to_string).collect();
    }

    pub(super) fn set_priority(&mut self, node: &str, priority: u8) {
        self.node(node).leader_priority = priority;
    }

    /// Another process under the name of a node, with no memory and no disk of its own. Nobody dials it.
    pub(super) fn twin(&mut self, name: &str) {
        let twin = Node { members: self.node(name).members.clone(), port: 1, ..Node::default() };
        self.nodes.insert(format!("{name}{TWIN}"), twin);
    }

    pub(super) fn show_all(&mut self, all: bool) {
        self.all = all;
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        core::mem::take(&mut self.lines)
    }

    /// Calls something for the named nodes, or for all.
    pub(super) fn each(&mut self, nodes: &[&str], mut what: impl FnMut(&mut World, &str)) {
        let nodes: Vec<String> = if nodes.is_empty() {
            self.nodes.keys().cloned().collect()
        } else {
            nodes.iter().map(ToString::to_string).collect()
        };
        for node in nodes {
            what(self, &node);
        }
    }

    pub(super) fn engine(&self, name: &str) -> Option<&Engine> {
        self.nodes.get(name)?.engine.as_ref()
    }

    /// The next nodes that are started draw their chance from here.
    pub(super) fn seed(&mut self, seed: u64) {
        self.starts = seed;
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).expect("a node of this name")
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    // Time.

    pub(super) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.run();
            let deadlines = self.nodes.values().filter(|node| !node.frozen).filter_map(|node| {
                let deadline = node.engine.as_ref()?.deadline()?;
                Some(deadline.at)
            });
            let next = deadlines.chain(self.silent.iter().map(|(at, _, _)| *at)).min();
            match next {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.fail_silent_dials();
            let due: Vec<String> = self
                .nodes
                .iter()
                .filter(|(_, node)| !node.frozen)
                .filter(|(_, node)| {
                    node.engine
                        .as_ref()
                        .and_then(Engine::deadline)
                        .is_some_and(|deadline| deadline.at <= self.now)
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in due {
                self.turn(&name);
            }
        }
        self.now = end;
        self.run();
    }

    /// Lets time pass, unseen, until a node leads and everybody follows and is admitted.
    pub(super) fn elect(&mut self, name: &str) {
        let seen = self.lines.len();
        for _ in 0..2_000 {
            let leader = NodeId::new(name).expect("a good name");
            let follows = |node: &Node| match &node.engine {
                Some(engine) if !node.frozen => engine.leader() == Some(&leader) && engine.is_member(),
                _ => true,
            };
            if self.nodes.values().all(follows) {
                self.lines.truncate(seen);
                return;
            }
            self.advance(Duration::from_millis(5));
        }
        panic!("{name} was not elected; choose another, or other seeds");
    }

    /// Delivers and takes turns until nothing moves any more; no time passes.
    pub(super) fn run(&mut self) {
        loop {
            let names: Vec<String> = self.nodes.keys().cloned().collect();
            let mut moved = false;
            for name in names {
                moved |= self.deliver_from(&name);
                if !self.node(&name).inbox.is_empty() && !self.node(&name).frozen {
                    self.turn(&name);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Delivers what is on its way, then lets everybody take a turn.
    pub(super) fn step(&mut self) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in &names {
            self.deliver_from(name);
        }
        for name in &names {
            if !self.node(name).frozen {
                self.turn(name);
            }
        }
    }

    /// One turn of one node, with all that has arrived.
    fn turn(&mut self, name: &str) {
        let now = self.now;
        let node = self.node(name);
        let Some(engine) = &mut node.engine else {
            node.inbox.clear();
            return;
        };
        let mut turn = engine.turn(now);
        for input in node.inbox.drain(..) {
            turn.input(input);
        }
        let effects: Vec<Effect> = turn.end().collect();
        let (records, last) = engine.journal();
        node.disk.note(records, last);
        for effect in effects {
            self.perform(name, effect);
        }
    }

    fn perform(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Dial { dial, peer, address, within }
                if self.node(peer.as_str()).port == address.port() =>
            {
                self.dial(name, dial, peer.as_str(), within);
            }
            Effect::Dial { dial, .. } => {
                let why = DialError::Refused;
                self.node(name).inbox.push_back(Input::DialFailed { dial, why });
            }
            Effect::Send { conn, bytes } => {
                if let Some(pipe) = self.node(name).conns.get_mut(&conn) {
                    pipe.sent.push_back(bytes);
                }
            }
            Effect::Close { conn, .. } => {
                // What was sent before still arrives.
                self.deliver_from(name);
                self.hang_up(name, conn);
            }
            Effect::Disk { op, what } => {
                let node = self.node(name);
                assert!(node.on_disk, "a memory-only node has nothing to keep");
                let inputs = node.disk.ask(op, what);
                node.inbox.extend(inputs);
            }
            Effect::Answer { ticket, answer } => {
                if !matches!(answer, Answer::Status(_) | Answer::View(_)) {
                    self.say(format!("{name} answers {}: {}", ticket.0, print::answer(&answer)));
                }
                self.seen.push((name.into(), Seen::Answer(ticket, answer)));
            }
            Effect::Event(event) => {
                if let Some(line) = print::event(&event) {
                    self.say(format!("{name} {line}"));
                }
                self.seen.push((name.into(), Seen::Event(event)));
            }
            Effect::Halt { fault } => {
                self.say(format!("{name} halts: {fault}"));
                self.seen.push((name.into(), Seen::Halt(fault)));
            }
        }
    }
}
