//! Three nodes in lock-step: in each step of a millisecond every disk carries out one operation, what was sent in the
//! step before arrives, and whoever has something to do takes a turn. Nothing is left to chance.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::{
    Answer, CloseReason, Command, Config, ConnId, DialError, DialId, DiskOp, Effect, Engine, Event, Fault,
    Input, Instant, NodeId, OpId, Origin, Persistence, Record, Request, Seed, Settings, Ticket,
};

use super::directory::Directory;

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// The smallest that is allowed: segments are of 16 KiB.
const COMPACT_EVERY: u64 = 64 << 10;

/// What looks on.
pub(super) trait Witness {
    /// A node is about to carry out an operation.
    fn op(&mut self, node: usize, op: &DiskOp);
    /// A node has taken a turn.
    fn turn(&mut self, node: usize, engine: &Engine);
}

pub(super) struct Trio<W> {
    pub(super) witness: W,
    pub(super) nodes: Vec<Node>,
    conns: Vec<Conn>,
    now: u64,
    seed: u64,
    tickets: u64,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) engine: Option<Engine>,
    pub(super) directory: Directory,
    pub(super) answers: BTreeMap<u64, Answer>,
    pub(super) events: Vec<Event>,
    pub(super) halted: Option<Fault>,
    queue: VecDeque<(OpId, DiskOp)>,
    inbox: Vec<Input>,
    began: u64,
    is_cut: bool,
    /// Its disk does nothing.
    pub(super) is_stalled: bool,
}

impl Node {
    /// It takes no part: it has ended, or keeps out and has not begun anew.
    pub(super) fn is_out(&self) -> bool {
        self.halted.is_some() || (self.was_damaged() && !self.has_begun_anew())
    }

    /// It has found damage in this life.
    pub(super) fn was_damaged(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Damaged(_)))
    }

    /// It has set aside what was damaged.
    pub(super) fn has_begun_anew(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::BegunAnew { .. }))
    }
}

struct Conn {
    ends: [usize; 2],
    open: bool,
    /// What is on its way to each end, and since when.
    pipes: [VecDeque<(u64, Bytes)>; 2],
}

/// The settings of a node.
pub(super) fn settings(node: usize) -> Settings {
    let name = |node: usize| format!("n{}", node + 1);
    let mut config = Config::new(&name(node)).expect("a good name").listen(&name(node), 1);
    for peer in (0..NODES).filter(|peer| *peer != node) {
        config = config.peer(&name(peer), &name(peer), 1).expect("a good name");
    }
    // Segments have room for the largest entry twice.
    (config.limits.max_key, config.limits.max_value) = (64, 4_000);
    config.founding_grace = Duration::from_millis(200);
    let mut persistence = Persistence::in_dir("disk");
    persistence.compact_every = COMPACT_EVERY;
    config.persistence = Some(persistence);
    config.validate().expect("a good configuration")
}

fn node_id(node: usize) -> NodeId {
    NodeId::new(&format!("n{}", node + 1)).expect("a good name")
}

fn conn_id(conn: usize, end: usize) -> ConnId {
    ConnId(2 * conn as u64 + end as u64)
}

impl<W: Witness> Trio<W> {
    /// Every life of it is drawn from a seed behind this one.
    pub(super) fn new(witness: W, seed: u64) -> Trio<W> {
        let nodes = (0..NODES).map(|_| Node::default()).collect();
        Trio { witness, nodes, conns: Vec::new(), now: 0, seed, tickets: 0 }
    }

    // Lives.

    pub(super) fn start(&mut self, node: usize) {
        self.seed += 1;
        let this = &mut self.nodes[node];
        this.engine = Some(Engine::open(settings(node), Seed::from_u64(self.seed)));
        this.began = self.now;
        this.halted = None;
        this.events.clear();
    }

    /// Its process ends. What it has written is in the cache of the machine, and what it has asked for is not done.
    pub(super) fn kill(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.engine = None;
        this.queue.clear();
        this.inbox.clear();
        this.answers.clear();
        for conn in 0..self.conns.len() {
            if self.conns[conn].ends.contains(&node) {
                self.close(conn, node);
            }
        }
    }

    /// A node is cut off from the others, or is so no more.
    pub(super) fn cut(&mut self, node: usize, is_cut: bool) {
        self.nodes[node].is_cut = is_cut;
        for conn in 0..self.conns.len() {
            if is_cut && self.conns[conn].ends.contains(&node) {
                self.close(conn, NODES);
            }
        }
    }

    /// A connection is gone: all ends but `by` are told.
    fn close(&mut self, conn: usize, by: usize) {
        let this = &mut self.conns[conn];
        if !core::mem::take(&mut this.open) {
            return;
        }
        for (end, node) in this.ends.into_iter().enumerate() {
            if node != by && self.nodes[node].engine.is_some() {
                let conn = conn_id(conn, end);
                self.nodes[node].inbox.push(Input::Closed { conn, why: CloseReason::Broken("reset".into()) });
            }
        }
    }

    // Time.

    pub(super) fn run(&mut self, steps: u64) {
        (0..steps).for_each(|_| self.step());
    }

    /// Goes on until something holds. It has to, within so many steps.
    pub(super) fn until(&mut self, what: &str, steps: u64, holds: impl Fn(&Trio<W>) -> bool) {
        for _ in 0..steps {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("in {steps} ms it has not come about that {what}");
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        for conn in 0..self.conns.len() {
            for end in 0..2 {
                let this = &mut self.conns[conn];
                let to = this.ends[end];
                while let Some((_, bytes)) = this.pipes[end].pop_front_if(|(at, _)| *at < self.now) {
                    if this.open {
                        self.nodes[to].inbox.push(Input::Received { conn: conn_id(conn, end), bytes });
                    }
                }
            }
        }
        for node in 0..NODES {
            let this = &mut self.nodes[node];
            if !this.is_stalled
                && let Some((op, what)) = this.queue.pop_front()
            {
                self.witness.op(node, &what);
                let result = this.directory.perform(&what);
                this.inbox.push(Input::Disk { op, result });
            }
            self.turn(node);
        }
    }

    fn turn(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(engine) = &mut this.engine else { return };
        let now = Instant::from_nanos((self.now - this.began) * 1_000_000);
        if this.inbox.is_empty() && engine.deadline().is_none_or(|deadline| deadline.at > now) {
            return;
        }
        let mut turn = engine.turn(now);
        this.inbox.drain(..).for_each(|input| turn.input(input));
        let effects: Vec<Effect> = turn.end().collect();
        self.witness.turn(node, engine);
        for effect in effects {
            self.perform(node, effect);
        }
    }

    fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Dial { dial, peer, .. } => self.dial(node, dial, &peer),
            Effect::Send { conn, bytes } => {
                let place = usize::try_from(conn.0 / 2).expect("few connections");
                let end = usize::from(conn.0 % 2 == 0);
                self.nodes[node].inbox.push(Input::Drained { conn, bytes: bytes.len() });
                self.conns[place].pipes[end].push_back((self.now, bytes));
            }
            Effect::Close { conn, .. } => {
                self.close(usize::try_from(conn.0 / 2).expect("few connections"), node);
            }
            Effect::Disk { op, what } => self.nodes[node].queue.push_back((op, what)),
            Effect::Answer { ticket, answer } => _ = self.nodes[node].answers.insert(ticket.0, answer),
            Effect::Event(event) => self.nodes[node].events.push(event),
            Effect::Halt { fault } => self.nodes[node].halted = Some(fault),
            _ => unreachable!("an effect that this driver does not know"),
        }
    }

    fn dial(&mut self, node: usize, dial: DialId, peer: &NodeId) {
        let to = (0..NODES).find(|to| node_id(*to) == *peer).expect("nobody else is named");
        if self.nodes[to].engine.is_none() || self.nodes[to].is_cut || self.nodes[node].is_cut {
            return self.nodes[node].inbox.push(Input::DialFailed { dial, why: DialError::Refused });
        }
        let conn = self.conns.len();
        self.conns.push(Conn { ends: [node, to], open: true, pipes: Default::default() });
        let opened = |end, of, origin| Input::Opened {
            conn: conn_id(conn, end),
            who: Identity::Node(node_id(of)),
            origin,
        };
        self.nodes[node].inbox.push(opened(0, to, Origin::Dialled(dial)));
        self.nodes[to].inbox.push(opened(1, node, Origin::Accepted));
    }

    // Requests.

    pub(super) fn ask(&mut self, node: usize, request: Request) -> u64 {
        self.tickets += 1;
        let ask = Input::Ask { ticket: Ticket(self.tickets), request, budget: Duration::from_millis(2_000) };
        self.nodes[node].inbox.push(ask);
        self.tickets
    }

    /// Asks for a value of so many bytes, each of them another.
    pub(super) fn set(&mut self, node: usize, key: u64, len: usize) -> u64 {
        let mut state = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let value: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3] | 1
            })
            .collect();
        let key = format!("key-{:02}", key % 40).into_bytes().into();
        self.ask(node, Request::Write(Command::Set { key, value: value.into() }))
    }

    /// Writes, and waits until it is told that it is done.
    pub(super) fn write(&mut self, node: usize, key: u64, len: usize) {
        let ticket = self.set(node, key, len);
        self.until("a write is done", 3_000, |trio| trio.nodes[node].answers.contains_key(&ticket));
        let answer = self.nodes[node].answers.remove(&ticket);
        assert!(matches!(answer, Some(Answer::Written(Ok(_)))), "a write comes to {answer:?}");
    }

    pub(super) fn leads(&self, node: usize) -> bool {
        self.nodes[node].engine.as_ref().is_some_and(Engine::is_leader)
    }

    pub(super) fn is_member(&self, node: usize) -> bool {
        self.nodes[node].engine.as_ref().is_some_and(Engine::is_member)
    }

    /// How far a node has applied the log.
    pub(super) fn applied(&self, node: usize) -> u64 {
        self.nodes[node].engine.as_ref().map_or(0, |engine| engine.vitals().applied.0)
    }

    /// Waits until a node leads. Others that do are cut off for a while, as often as it takes.
    pub(super) fn have_lead(&mut self, node: usize) {
        for _ in 0..200 {
            let Some(leader) = (0..NODES).find(|leader| self.leads(*leader)) else {
                self.run(20);
                continue;
            };
            if leader == node {
                return self.run(100);
            }
            self.cut(leader, true);
            self.run(900);
            self.cut(leader, false);
            self.run(300);
        }
        panic!("n{} never comes to lead", node + 1);
    }

    /// Waits until all nodes that are up have applied the same.
    pub(super) fn settle(&mut self) {
        self.until("all are equally far", 20_000, |trio| {
            let ups = || (0..NODES).filter(|node| trio.nodes[*node].engine.is_some());
            let most = ups().map(|node| trio.applied(node)).max();
            ups().any(|node| trio.leads(node))
                && ups().all(|node| Some(trio.applied(node)) == most && trio.is_member(node))
        });
        self.run(50);
    }
}

/// The entries of a list of records, with their places.
pub(super) fn entry_of(record: &Record) -> Option<(u64, &Bytes)> {
    match record {
        Record::Entry { index, bytes } => Some((index.0, bytes)),
        _ => None,
    }
}
