//! Drives one engine, and holds it to the contract: what may come out, in which order, and how much it may hold.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::decode::{Format, Frames};
use diskeyval_core::{
    Answer, CloseReason, Config, ConnId, DialError, DialId, DiskDone, DiskError, DiskOp, Effect, Engine,
    Input, Instant, Limits, NodeId, OpId, Origin, Persistence, Request, Seed, Ticket,
};
use diskeyval_sim::images::Directory;

/// What an entry takes beside its bytes, and what entries that no limit keeps out may take.
const BESIDE: usize = 64 << 10;

/// The largest frame that any member may send.
const MAX_FRAME: usize = 33_886_208;

/// No turn that is wanted at once is followed by more than these that are.
const MOST_TURNS: usize = 200;

pub(super) struct Driver {
    engine: Engine,
    own: NodeId,
    is_on_disk: bool,
    directory: Directory,
    now: Instant,
    /// What has come since the last turn.
    inputs: Vec<Input>,
    /// What the engine has asked for and nobody has done.
    dials: Vec<(DialId, NodeId)>,
    ops: VecDeque<(OpId, DiskOp)>,
    /// Connections that stand, and what was sent on each and has not left.
    conns: BTreeMap<ConnId, Wire>,
    /// Connections that were reported as closed in this turn: what the engine had to say on them before is for nobody.
    gone: BTreeSet<ConnId>,
    unanswered: BTreeMap<Ticket, &'static str>,
    next_conn: u64,
    next_ticket: u64,
    next_op: Option<u64>,
    last_dial: Option<DialId>,
    has_halted: bool,
    /// That was in an earlier turn.
    is_over: bool,
}

struct Wire {
    unsent: usize,
    heard: Frames,
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.max_key, limits.max_value) = (64, 1024);
    (limits.max_writes, limits.max_write_bytes, limits.max_reads) = (8, 8 << 10, 8);
    (limits.max_uncommitted, limits.append_window) = (16 << 10, 8 << 10);
    (limits.send_buffer, limits.max_strangers, limits.log_bytes) = (64 << 10, 4, 64 << 10);
    limits
}

impl Driver {
    /// A node of this name, the first, with these as its peers.
    pub(super) fn new(names: &[&str], is_on_disk: bool) -> Driver {
        let own = names.first().expect("a name");
        let mut config = Config::new(own).expect("a good name").listen("own", 1);
        for (port, peer) in (1..).zip(&names[1..]) {
            config = config.peer(peer, "host", port).expect("a good name");
        }
        if is_on_disk {
            let mut persistence = Persistence::in_dir("data");
            persistence.compact_every = 64 << 10;
            config.persistence = Some(persistence);
        }
        config.max_clock_drift = Some(100);
        config.limits = limits();
        let mut driver = Driver {
            engine: Engine::open(config.validate().expect("a good configuration"), Seed::from_u64(1)),
            own: config.node_id,
            is_on_disk,
            directory: Directory::default(),
            now: Instant::ZERO,
            inputs: Vec::new(),
            dials: Vec::new(),
            ops: VecDeque::new(),
            conns: BTreeMap::new(),
            gone: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            next_conn: 1,
            next_ticket: 1,
            next_op: None,
            last_dial: None,
            has_halted: false,
            is_over: false,
        };
        driver.turn();
        while driver.is_on_disk && !driver.ops.is_empty() {
            driver.work();
            driver.turn();
        }
        driver
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn is_on_disk(&self) -> bool {
        self.is_on_disk
    }

    pub(super) fn dials(&self) -> &[(DialId, NodeId)] {
        &self.dials
    }

    /// One of the connections that stand.
    pub(super) fn conn(&self, at: usize) -> Option<ConnId> {
        let count = self.conns.len().max(1);
        self.conns.keys().nth(at % count).copied()
    }

    pub(super) fn give(&mut self, input: Input) {
        self.inputs.push(input);
    }

    pub(super) fn open(&mut self, who: Identity, origin: Origin) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        if let Origin::Dialled(dial) = origin {
            self.dials.retain(|(open, _)| *open != dial);
        }
        self.conns.insert(conn, Wire { unsent: 0, heard: Frames::up_to(MAX_FRAME) });
        self.give(Input::Opened { conn, who, origin });
        conn
    }

    pub(super) fn fail_dial(&mut self, dial: DialId, why: DialError) {
        self.dials.retain(|(open, _)| *open != dial);
        self.give(Input::DialFailed { dial, why });
    }

    pub(super) fn close(&mut self, conn: ConnId, why: CloseReason) {
        self.conns.remove(&conn);
        self.gone.insert(conn);
        self.give(Input::Closed { conn, why });
    }

    /// Some of what was sent, or all of it, has left.
    pub(super) fn drain(&mut self, at: usize, all: bool) {
        let Some(conn) = self.conn(at) else { return };
        let Some(wire) = self.conns.get_mut(&conn) else { return };
        let bytes = if all { wire.unsent } else { wire.unsent / 2 };
        wire.unsent -= bytes;
        self.give(Input::Drained { conn, bytes });
    }

    pub(super) fn ask(&mut self, request: Request, budget: Duration) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.unanswered.insert(ticket, kind_of(&request));
        self.give(Input::Ask { ticket, request, budget });
    }

    /// Does what the disk was told next.
    pub(super) fn work(&mut self) {
        if let Some((op, what)) = self.ops.pop_front() {
            let result = self.directory.perform(&what);
            self.give(Input::Disk { op, result });
        }
    }

    /// Says something else of what the disk was told next.
    pub(super) fn lie_about_disk(&mut self, result: Result<DiskDone, DiskError>) {
        if let Some((op, _)) = self.ops.pop_front() {
            self.give(Input::Disk { op, result });
        }
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Lets time pass up to when the engine wants to be woken, as a driver does.
    pub(super) fn wake(&mut self) {
        if let Some(deadline) = self.engine.deadline() {
            self.now = self.now.max(deadline.at);
        }
        self.turn();
        let mut turns = 0;
        while self.inputs.is_empty() && self.engine.deadline().is_some_and(|due| due.at <= self.now) {
            turns += 1;
            let due = self.engine.deadline();
            assert!(turns < MOST_TURNS, "it wants to be woken at once, again and again: {due:?}");
            self.turn();
        }
    }

    pub(super) fn turn(&mut self) {
        let inputs = std::mem::take(&mut self.inputs);
        let mut turn = self.engine.turn(self.now);
        inputs.into_iter().for_each(|input| turn.input(input));
        let effects: Vec<Effect> = turn.end().collect();
        effects.into_iter().for_each(|effect| self.take(effect));
        self.is_over = self.has_halted;
        self.gone.clear();
        self.check_burden();
    }

    fn take(&mut self, effect: Effect) {
        // (What was to be done in the same turn still comes, behind that.)
        assert!(
            !self.is_over || matches!(effect, Effect::Answer { .. }),
            "it goes on although it has halted: {effect:?}"
        );
        match effect {
            Effect::Dial { dial, peer, within, .. } => {
                assert!(self.last_dial.is_none_or(|last| last < dial), "dial {dial} comes twice");
                assert!(peer != self.own && !within.is_zero());
                self.last_dial = Some(dial);
                self.dials.push((dial, peer));
            }
            Effect::Send { conn, .. } | Effect::Close { conn, .. } if self.gone.contains(&conn) => {}
            Effect::Send { conn, bytes } => {
                let wire = self.conns.get_mut(&conn).unwrap_or_else(|| panic!("{conn} does not stand"));
                wire.unsent += bytes.len();
                wire.heard.push(bytes);
                while let Some(frame) = wire.heard.next_frame().expect("no frame is too large") {
                    assert!(Format::Frame.decode(&frame).is_some(), "nobody understands {frame:x?}");
                }
                assert_eq!(wire.heard.unread(), 0, "a part of a frame is sent");
            }
            Effect::Close { conn, .. } => {
                assert!(self.conns.remove(&conn).is_some(), "{conn} does not stand, and is to be closed");
            }
            Effect::Disk { op, what } => {
                assert!(self.is_on_disk, "it has no disk: {what:?}");
                assert!(self.next_op.is_none_or(|next| op.0 == next), "{op}, and {:?} is next", self.next_op);
                self.next_op = Some(op.0 + 1);
                self.ops.push_back((op, what));
            }
            Effect::Answer { ticket, answer } => {
                let asked = self.unanswered.remove(&ticket);
                let asked = asked.unwrap_or_else(|| panic!("nobody asked {ticket}: {answer:?}"));
                assert_eq!(kind_of_answer(&answer), asked, "{answer:?}");
            }
            Effect::Halt { .. } => self.has_halted = true,
            // Of what happened nothing is demanded, but that it can be told.
            other => drop(format!("{other:?}")),
        }
    }

    fn check_burden(&self) {
        let (held, limits) = (self.engine.burden(), limits());
        let unread = MAX_FRAME + (1 << 20);
        // A request that was answered, and whose answer a log may still hold, takes no place.
        for (what, held, limit) in [
            ("bytes of log", held.log, 2 * limits.log_bytes + BESIDE),
            ("bytes unsent", held.unsent, limits.send_buffer),
            ("bytes unread", held.unread, unread),
            ("strangers", held.strangers, limits.max_strangers),
            ("writes", held.writes, limits.max_writes),
            ("bytes of writes", held.write_bytes, limits.max_write_bytes),
            ("reads", held.reads, limits.max_reads),
        ] {
            assert!(held <= limit, "it holds {held} {what}, and {limit} are allowed");
        }
    }

    /// The disk does all that it is told, and time passes: every request is answered, whatever was lied.
    pub(super) fn end(&mut self) {
        self.turn();
        for _ in 0..400 {
            (0..self.ops.len()).for_each(|_| self.work());
            self.pass(Duration::from_millis(50));
            self.turn();
            if self.unanswered.is_empty() && self.ops.is_empty() {
                break;
            }
        }
        let open: BTreeSet<&str> = self.unanswered.values().copied().collect();
        let standing = self.engine.status().standing;
        assert!(open.is_empty(), "these are never answered: {open:?}, and it is {standing:?}");
        self.wake();
    }
}

fn kind_of(request: &Request) -> &'static str {
    match request {
        Request::Write(_) => "write",
        Request::Get { .. } => "read",
        Request::View => "view",
        Request::Status => "status",
        Request::Snapshot => "snapshot",
        Request::TransferLeadership { .. } => "transfer",
        Request::ChangeMembers { .. } => "change",
        Request::Recover => "recover",
        Request::Stop => "stop",
        _ => "another",
    }
}

fn kind_of_answer(answer: &Answer) -> &'static str {
    match answer {
        Answer::Written(_) => "write",
        Answer::Read(_) => "read",
        Answer::View(_) => "view",
        Answer::Status(_) => "status",
        Answer::Snapshot(_) => "snapshot",
        Answer::Transferred(_) => "transfer",
        Answer::MembersChanged(_) => "change",
        Answer::Recovered(_) => "recover",
        Answer::Stopped => "stop",
        _ => "another",
    }
}
