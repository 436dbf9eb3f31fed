//! A few nodes, the links between them, and a clock that moves when it is told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use core::time::Duration;

use super::disk::Disk;
use super::print;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{CloseReason, DialError, Fault};
use crate::id::{ConnId, DialId, NodeId, Ticket};
use crate::identity::Identity;
use crate::inspect::Ear;
use crate::io::{Answer, Effect, Event, Input, Origin, Read, Request};
use crate::kv::{Command, Expect};
use crate::members::MemberChange;
use crate::prng::Seed;
use crate::status::MemberStatus;
use crate::time::Instant;

/// How long a request of a script may take.
const BUDGET: Duration = Duration::from_secs(2);

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

/// The outgoing half of a connection.
struct Pipe {
    to: String,
    remote: ConnId,
    sent: VecDeque<Bytes>,
    ear: Ear,
}

pub(super) fn set(key: &str, value: &str) -> Command {
    Command::Set { key: key.to_string().into(), value: value.to_string().into() }
}

pub(super) fn delete(key: &str) -> Command {
    Command::Delete { key: key.to_string().into() }
}

pub(super) fn compare_and_set(key: &str, old: &str, new: &str) -> Command {
    let expect = if old == "-" { Expect::Absent } else { Expect::Value(old.to_string().into()) };
    Command::CompareAndSet { key: key.to_string().into(), expect, value: new.to_string().into() }
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

    fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).expect("a node of this name")
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    // Lives of nodes.

    pub(super) fn start(&mut self, name: &str) {
        let own = own_name(name);
        let mut config = Config::new(own).expect("a good name").listen(own, self.node(name).port);
        config.join = self.node(name).joins;
        for member in self.node(name).members.clone() {
            if member != own {
                config = config.peer(&member, &member, 1).expect("a good name");
            }
        }
        config.leader_priority = self.node(name).leader_priority;
        let mut compact_every = None;
        for (option, value) in &self.options {
            match option.as_str() {
                // As small as a script needs it.
                "compact_every" => compact_every = Some(*value as u64),
                "append_window" => config.limits.append_window = *value,
                "max_uncommitted" => config.limits.max_uncommitted = *value,
                "log_bytes" => config.limits.log_bytes = *value,
                "max_writes" => config.limits.max_writes = *value,
                "max_value" => config.limits.max_value = *value,
                "max_clock_drift" => config.max_clock_drift = Some(u32::try_from(*value).expect("small")),
                "max_key" => config.limits.max_key = *value,
                other => panic!("no such option: {other}"),
            }
        }
        self.starts += 1;
        if self.node(name).on_disk {
            config = config.persist("its disk");
        }
        let mut settings = config.validate().expect("a good configuration");
        settings.compact_every = compact_every.unwrap_or(settings.compact_every);
        let seed = Seed::from_u64(self.starts);
        let node = self.node(name);
        node.engine = Some(Engine::open(settings, seed));
        node.frozen = false;
        self.turn(name);
        // What its disk holds is read at once.
        while self.node(name).is_opening() && !self.node(name).inbox.is_empty() {
            self.turn(name);
        }
    }

    pub(super) fn crash(&mut self, name: &str) {
        let node = self.node(name);
        let durable = node.engine.take().map_or(0, |engine| engine.journal_durable());
        node.inbox.clear();
        if let Some(lost) = node.disk.crash(durable) {
            self.say(format!("{name} loses {lost}"));
        }
        let node = self.node(name);
        let conns: Vec<ConnId> = node.conns.keys().copied().collect();
        for conn in conns {
            self.close(name, conn, "reset");
        }
    }

    // Disks.

    pub(super) fn use_disk(&mut self, name: &str) {
        self.node(name).on_disk = true;
    }

    pub(super) fn hold_disk(&mut self, name: &str) {
        self.node(name).disk.hold();
    }

    /// What was held is durable now, and the node is told in its next turn.
    pub(super) fn release_disk(&mut self, name: &str) {
        let node = self.node(name);
        let durable = node.engine.as_ref().map_or(0, |engine| engine.journal_durable());
        let (stored, inputs) = node.disk.release(durable);
        node.inbox.extend(inputs);
        self.say(format!("{name} stores {stored}"));
    }

    pub(super) fn fill_disk(&mut self, name: &str) {
        self.node(name).disk.set_full(true);
    }

    pub(super) fn free_disk(&mut self, name: &str) {
        self.node(name).disk.set_full(false);
    }

    pub(super) fn spoil(&mut self, name: &str, file: &str, at: usize) {
        let node = self.node(name);
        assert!(node.engine.is_none(), "only the disk of a dead node is spoilt");
        node.disk.spoil(file, at);
    }

    pub(super) fn wipe(&mut self, name: &str) {
        let node = self.node(name);
        assert!(node.engine.is_none(), "only the disk of a dead node is wiped");
        node.disk = Disk::default();
    }

    pub(super) fn freeze(&mut self, name: &str) {
        self.node(name).frozen = true;
    }

    pub(super) fn thaw(&mut self, name: &str) {
        self.node(name).frozen = false;
        self.turn(name);
    }

    // Links.

    pub(super) fn cut(&mut self, node: &str, other: Option<&str>) {
        let others: Vec<String> = match other {
            Some(other) => vec![other.to_string()],
            None => self.nodes.keys().filter(|name| *name != node).cloned().collect(),
        };
        for other in others {
            self.cuts.insert((node.into(), other.clone()));
            self.cuts.insert((other.clone(), node.into()));
            let conns: Vec<ConnId> = self
                .node(node)
                .conns
                .iter()
                .filter(|(_, pipe)| pipe.to == other)
                .map(|(conn, _)| *conn)
                .collect();
            for conn in conns {
                self.close(node, conn, "cut");
            }
        }
    }

    /// Dials that are on their way into silence get through after all.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        for (_, name, dial) in core::mem::take(&mut self.silent) {
            let (peer, within) = self.dialled.remove(&(name.clone(), dial)).expect("a dial");
            self.dial(&name, dial, &peer, within);
        }
    }

    pub(super) fn hold(&mut self, from: &str, to: &str, hold: bool) {
        let pair = (from.to_string(), to.to_string());
        if hold {
            self.held.insert(pair);
        } else {
            self.held.remove(&pair);
        }
    }

    /// Breaks a connection; both ends notice, and what was on its way is lost.
    fn close(&mut self, name: &str, conn: ConnId, why: &str) {
        let Some(mut pipe) = self.node(name).conns.remove(&conn) else { return };
        self.lose(name, &mut pipe);
        let to = pipe.to.clone();
        if let Some(mut back) = self.node(&to).conns.remove(&pipe.remote) {
            self.lose(&to, &mut back);
        }
        for (name, conn) in [(name, conn), (&to, pipe.remote)] {
            let why = CloseReason::Broken(why.into());
            self.node(name).inbox.push_back(Input::Closed { conn, why });
        }
    }

    fn lose(&mut self, from: &str, pipe: &mut Pipe) {
        while let Some(bytes) = pipe.sent.pop_front() {
            self.say_frames(from, &pipe.to, &mut pipe.ear, bytes, "-x");
        }
    }

    fn say_frames(&mut self, from: &str, to: &str, ear: &mut Ear, bytes: Bytes, arrow: &str) {
        ear.push(bytes);
        while let Some(word) = ear.next_word() {
            if self.all || !word.is_routine() {
                self.say(format!("{from} {arrow} {to}  {word}"));
            }
        }
    }

    // Requests.

    /// Asks a node, and lets it and everybody else do what can be done without time.
    pub(super) fn ask(&mut self, name: &str, request: Request) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.node(name).inbox.push_back(Input::Ask { ticket, request, budget: BUDGET });
        self.run();
        ticket
    }

    pub(super) fn engine(&self, name: &str) -> Option<&Engine> {
        self.nodes.get(name)?.engine.as_ref()
    }

    /// The next nodes that are started draw their chance from here.
    pub(super) fn seed(&mut self, seed: u64) {
        self.starts = seed;
    }

    pub(super) fn release_all(&mut self) {
        self.held.clear();
    }

    pub(super) fn write(&mut self, name: &str, command: Command) {
        self.ask(name, Request::Write(command));
    }

    pub(super) fn get(&mut self, name: &str, key: &str, read: Read) {
        self.ask(name, Request::Get { key: key.to_string().into(), read });
    }

    pub(super) fn snapshot(&mut self, name: &str) {
        self.ask(name, Request::Snapshot);
    }

    pub(super) fn transfer(&mut self, name: &str, to: &str) {
        let to = (to != "-").then(|| NodeId::new(to).expect("a good name"));
        self.ask(name, Request::TransferLeadership { to });
    }

    pub(super) fn change(&mut self, name: &str, what: &[&str]) {
        let member = |text: &&str| text.parse().expect("a member");
        let node = |text: &&str| NodeId::new(text).expect("a good name");
        let change = match what {
            ["reconfigure", members @ ..] => {
                MemberChange::Reconfigure { members: members.iter().map(member).collect() }
            }
            ["add", new] => MemberChange::AddLearner { member: member(new) },
            ["promote", who] => MemberChange::Promote { node: node(who) },
            ["remove", who] => MemberChange::Remove { node: node(who) },
            ["address", who, at] => {
                MemberChange::UpdateAddress { node: node(who), address: at.parse().expect("an address") }
            }
            other => panic!("no such change: {other:?}"),
        };
        self.ask(name, Request::ChangeMembers { change });
    }

    pub(super) fn recover(&mut self, name: &str) {
        self.ask(name, Request::Recover);
    }

    pub(super) fn stop(&mut self, name: &str) {
        self.ask(name, Request::Stop);
    }

    pub(super) fn listen(&mut self, name: &str) {
        self.node(name).inbox.push_back(Input::Listen { changes: true });
    }

    pub(super) fn status(&mut self, name: &str) {
        let line = match &self.node(name).engine {
            Some(engine) => print::status(&engine.status()),
            None => format!("{name} is down"),
        };
        self.say(line);
    }

    pub(super) fn membership(&mut self, name: &str) {
        let status = self.node(name).engine.as_ref().expect("a node that runs").status();
        let member = |member: &MemberStatus| {
            let seat = if member.seat.is_some() { "" } else { ", empty" };
            format!("{}={} ({}{seat})", member.node_id, member.address, member.part)
        };
        let members: Vec<String> = status.members.iter().map(member).collect();
        self.say(format!("{name} knows {}", members.join(" ")));
    }

    pub(super) fn standing(&mut self, name: &str) {
        let line = match &self.node(name).engine {
            Some(engine) => format!("{name} {:?}", engine.status().standing),
            None => format!("{name} is down"),
        };
        self.say(line);
    }

    pub(super) fn explain(&mut self, nodes: &[&str]) {
        let mut statuses = Vec::new();
        self.each(nodes, |world, name| statuses.extend(world.node(name).engine.as_ref().map(Engine::status)));
        self.say(crate::explain::explain(&statuses).to_string());
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

    fn fail_silent_dials(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.silent.drain(..).partition(|(at, _, _)| *at <= now);
        self.silent = later;
        for (_, name, dial) in due {
            self.node(&name).inbox.push_back(Input::DialFailed { dial, why: DialError::Silent });
        }
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

    /// Delivers everything that a node has sent and that may travel.
    fn deliver_from(&mut self, name: &str) -> bool {
        let mut moved = false;
        let conns: Vec<ConnId> = self.node(name).conns.keys().copied().collect();
        for conn in conns {
            loop {
                let Some(mut pipe) = self.node(name).conns.remove(&conn) else { break };
                let pair = (name.to_string(), pipe.to.clone());
                let next = if self.held.contains(&pair) { None } else { pipe.sent.pop_front() };
                if let Some(bytes) = next.clone() {
                    self.say_frames(name, &pair.1, &mut pipe.ear, bytes.clone(), "->");
                    let size = bytes.len();
                    let remote = pipe.remote;
                    self.node(&pair.1).inbox.push_back(Input::Received { conn: remote, bytes });
                    self.node(name).inbox.push_back(Input::Drained { conn, bytes: size });
                }
                self.node(name).conns.insert(conn, pipe);
                if next.is_none() {
                    break;
                }
                moved = true;
            }
        }
        moved
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

    fn hang_up(&mut self, name: &str, conn: ConnId) {
        let Some(mut pipe) = self.node(name).conns.remove(&conn) else { return };
        self.lose(name, &mut pipe);
        let remote = pipe.remote;
        let other = self.node(&pipe.to);
        other.conns.remove(&remote);
        other
            .inbox
            .push_back(Input::Closed { conn: remote, why: CloseReason::Broken("end of stream".into()) });
    }

    fn dial(&mut self, name: &str, dial: DialId, peer: &str, within: Duration) {
        if self.cuts.contains(&(name.to_string(), peer.to_string())) {
            self.silent.push((self.now + within, name.into(), dial));
            self.dialled.insert((name.into(), dial), (peer.into(), within));
            return;
        }
        if self.node(peer).engine.is_none() {
            self.node(name).inbox.push_back(Input::DialFailed { dial, why: DialError::Refused });
            return;
        }
        let (ours, theirs) = (ConnId(self.next_conn), ConnId(self.next_conn + 1));
        self.next_conn += 2;
        for (from, conn, to, remote, origin) in
            [(name, ours, peer, theirs, Origin::Dialled(dial)), (peer, theirs, name, ours, Origin::Accepted)]
        {
            let pipe = Pipe { to: to.into(), remote, sent: VecDeque::new(), ear: Ear::default() };
            let who = Identity::Node(NodeId::new(own_name(to)).expect("a good name"));
            let node = self.node(from);
            node.conns.insert(conn, pipe);
            node.inbox.push_back(Input::Opened { conn, who, origin });
        }
    }
}
