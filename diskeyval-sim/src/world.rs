//! Real engines, with everything around them simulated: time, wires, disks, processes.
//!
//! One thread, one queue of what is due. Whatever is left to chance is drawn from one source, so that the same plan
//! gives the same run, event by event.

mod clock;
mod deeds;
pub(crate) mod disk;
pub(crate) mod disks;
mod liar;
mod lives;
mod members;
mod net;
mod programs;
mod quorums;
mod recoveries;
mod turn;
mod wires;

use core::cmp::Ordering;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use diskeyval_core::inspect::Vitals;
use diskeyval_core::{
    Answer, Config, DialId, Engine, EntryId, Incarnation, Input, Instant, Limits, NodeId, Persistence,
    Request, RoleName, Settings, Standing, Term, Ticket,
};
use xxhash_rust::xxh3::Xxh3;

use crate::choice::Choices;
use crate::coverage::Coverage;
use crate::notes::{Note, What};
use crate::observe::{Checker, Time, Violation};
use crate::plan::{Deed, Setting};
use crate::program::{Program, Wish};
use clock::Clock;
use disk::Disk;
use disks::Log;
use liar::Liar;
use net::{Conn, Routes, node_id};

/// What looks on while a world goes round.
pub(crate) struct Watchers<'w> {
    pub(crate) checkers: Vec<&'w mut dyn Checker>,
    /// Where to tell what happens, if anybody reads it.
    pub(crate) notes: Option<crate::run::Tell<'w>>,
    /// How far the world has come: known even if it ends in a panic.
    pub(crate) now: Time,
}

impl<'w> Watchers<'w> {
    pub(crate) fn new(
        checkers: Vec<&'w mut dyn Checker>,
        notes: Option<crate::run::Tell<'w>>,
    ) -> Watchers<'w> {
        Watchers { checkers, notes, now: Time(0) }
    }

    /// Tells what happens, if anybody reads it.
    pub(crate) fn tell(&mut self, what: What) {
        if let Some(tell) = &mut self.notes {
            tell(Note { at: self.now, what });
        }
    }
}

/// A cluster and everything around it.
pub(crate) struct World<'w, 'k, 'c> {
    pub(crate) setting: Setting,
    pub(crate) now: Time,
    pub(crate) coverage: Coverage,
    noise: Choices<'c>,
    queue: BinaryHeap<Entry>,
    order: u64,
    nodes: Vec<Node>,
    names: Vec<NodeId>,
    up: Vec<bool>,
    conns: Vec<Option<Conn>>,
    routes: Routes,
    liars: Vec<Liar>,
    deeds: Vec<Deed>,
    /// Everything that was scheduled to end in an earlier phase has ended.
    phase: u32,
    /// Nodes that have something to be given to, as bits.
    ready: u64,
    program: &'w mut dyn Program,
    /// The program has done what it had to do, and does nothing more.
    program_rests: bool,
    wishes: Vec<Wish>,
    /// The voters that were asked for, and until when they may come about.
    asked_for: Vec<(Time, Vec<NodeId>)>,
    next_ticket: u64,
    watchers: &'w mut Watchers<'k>,
    words: u64,
    violation: Option<Violation>,
    hash: Xxh3,
    scratch: turn::Scratch,
    /// What the run itself has asked, and what it was answered.
    own_answers: BTreeMap<Ticket, Option<Answer>>,
}

/// Tickets of requests that no client has made.
const OWN_TICKETS: u64 = 1_000_000_000;

/// One node: a process that may be dead, its disk, its clock.
pub(crate) struct Node {
    engine: Option<Engine>,
    settings: Settings,
    life: u32,
    disk: Disk,
    log: Log,
    /// It knows what its disk has kept, and takes part.
    opened: bool,
    /// A part of what it had written last is lost.
    was_torn: bool,
    clock: Clock,
    frozen: bool,
    /// When it was paused last, or went on.
    thawed_at: Time,
    /// The machine is down, not only the process: nobody says that nobody listens.
    silent: bool,
    /// Its disk was damaged: nothing is expected of what it knows. If it finds out, it is to begin anew.
    is_out: bool,
    /// It was told to go on alone, and is of another cluster, or will be, or perhaps not.
    goes_on_alone: bool,
    /// It has lost its disk, or has set aside what was damaged, and was to be given a seat anew.
    began_anew: bool,
    /// It has set aside what was damaged, and is not in its seat yet.
    was_damaged: bool,
    /// The life in which it has found damage last.
    found_damage: u32,
    /// It was asked to stop, and what its clock showed then.
    stopping: bool,
    /// It has stopped, and only its process is still there.
    stopped: bool,
    asked_to_stop_at: Instant,
    /// Since when, by its clock, it hands leadership over, and the how manieth time that is.
    hands_over: Option<(Instant, u64)>,
    /// Its dials of late, by its own clock.
    dials: VecDeque<(Instant, usize)>,
    /// From which nodes something has arrived that it has not looked at, as bits.
    arrived: u64,
    /// Since when it leads, by its own clock.
    leads_since: Option<Instant>,
    /// When it has looked at something from each, by its own clock.
    heard: Vec<Option<Instant>>,
    /// It was in its seat, by a committed entry, and knows that in this incarnation for ever.
    was_member: bool,
    /// The members that its log names, by which entry, and which life of it has said so.
    members: Option<diskeyval_core::inspect::Members>,
    members_at: EntryId,
    incarnation: Option<Incarnation>,
    /// How many requests it has not answered.
    waiting: usize,
    inbox: Vec<Input>,
    /// When it is woken at the latest.
    wakes_at: Option<Time>,
    /// How often it was woken of late, and since when.
    woken: (Time, u32),
    last: Option<Vitals>,
    /// The number of the last record of this life that it knows to be durable.
    durable: u64,
    /// Connections that it has open.
    conns: Vec<usize>,
}

impl Node {
    /// Whether it is in its seat, and has forgotten nothing.
    fn is_whole(&self) -> bool {
        self.was_member && !self.is_out && !self.goes_on_alone
    }
}

/// Something that is due.
struct Entry {
    at: Time,
    order: u64,
    due: Due,
}

enum Due {
    /// The engine's deadline.
    Wake(usize),
    /// Pieces arrive that this side has sent.
    Arrive {
        conn: usize,
        side: usize,
    },
    /// This side learns that the connection broke.
    Broken {
        conn: usize,
        side: usize,
    },
    Dialled {
        node: usize,
        life: u32,
        dial: DialId,
        to: usize,
    },
    DialSilent {
        node: usize,
        life: u32,
        dial: DialId,
    },
    Disk {
        node: usize,
        life: u32,
    },
    Deed(usize),
    Undo(u32, Undo),
    Lie(usize),
    Program(u64),
    /// The same in a process of the program, if that still lives.
    ProgramOf {
        node: usize,
        life: u32,
        tag: u64,
    },
}

/// The end of a disturbance.
enum Undo {
    Restart(usize),
    Thaw(usize),
    Unblock(Vec<(usize, usize)>),
    LinkSpeed(usize, usize),
    DiskSpeed(usize),
    DiskRoom(usize),
    ClockRate(usize),
    Cut(usize, usize),
    /// A node dies that was about to begin anew.
    Interrupt {
        node: usize,
        life: u32,
        lasting: Duration,
    },
    /// A node that was asked to stop has done so.
    MustHaveStopped(usize),
    /// A node that was asked to stop ends now, whether it has stopped or not.
    Exit {
        node: usize,
        life: u32,
        lasting: Duration,
    },
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, and of two at the same time the one that was scheduled first.
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// By how much clocks may run apart where there are leases, in thousandths.
pub(crate) const DRIFT: u32 = 100;

/// The limits that simulated nodes have: small enough to be reached.
pub(crate) fn limits(log_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.max_key = 64;
    limits.max_value = 32 << 10;
    limits.max_writes = 64;
    limits.max_reads = 64;
    limits.max_write_bytes = 128 << 10;
    limits.max_uncommitted = 128 << 10;
    limits.append_window = 96 << 10;
    limits.send_buffer = 384 << 10;
    limits.max_strangers = 8;
    limits.max_per_identity = 5;
    limits.log_bytes = log_bytes;
    limits
}

/// Where a node is, as others are told.
fn address_of(node: usize) -> String {
    format!("{}:1", host_of(node))
}

fn host_of(node: usize) -> String {
    format!("host-{}", node + 1)
}

fn settings(setting: &Setting, node: usize) -> Settings {
    let founders = setting.founders();
    let own = node_id(setting.namesake(node));
    let mut config = Config::new(own.as_str()).expect("a good name").listen(&host_of(node), 1);
    for peer in (0..founders).filter(|peer| node_id(*peer) != own) {
        config = config.peer(node_id(peer).as_str(), &host_of(peer), 1).expect("a good name");
    }
    config.join = node >= founders;
    config.election_timeout = setting.election_timeout;
    config.heartbeat = setting.heartbeat;
    config.max_clock_drift = setting.lease.then_some(DRIFT);
    config.limits = limits(setting.log_bytes);
    let mut persistence = Persistence::in_dir("disk");
    persistence.compact_every = setting.compact_every;
    config.persistence = Some(persistence).filter(|_| !setting.memory);
    config.validate().expect("a setting that was checked")
}

impl<'w, 'k, 'c> World<'w, 'k, 'c> {
    /// A world in which nothing has happened yet. `setting` was checked.
    pub(crate) fn new(
        setting: Setting,
        deeds: Vec<Deed>,
        mut noise: Choices<'c>,
        program: &'w mut dyn Program,
        watchers: &'w mut Watchers<'k>,
    ) -> World<'w, 'k, 'c> {
        let nodes = setting.nodes;
        let clock = |noise: &mut Choices<'_>| {
            let mut clock = Clock::new(noise.below(1 << 42));
            if setting.lease {
                // The fastest and the slowest are still within what leases allow for.
                clock.set_rate(Time(0), noise.between(960, 1040));
            }
            clock
        };
        let node = |node| Node {
            engine: None,
            settings: settings(&setting, node),
            life: 0,
            disk: Disk::default(),
            log: Log::default(),
            opened: false,
            was_torn: false,
            clock: clock(&mut noise),
            frozen: false,
            thawed_at: Time(0),
            silent: false,
            is_out: false,
            goes_on_alone: false,
            began_anew: false,
            was_damaged: false,
            found_damage: 0,
            stopping: false,
            stopped: false,
            asked_to_stop_at: Instant::ZERO,
            hands_over: None,
            dials: VecDeque::new(),
            arrived: 0,
            leads_since: None,
            heard: vec![None; nodes],
            was_member: false,
            members: None,
            members_at: EntryId::default(),
            incarnation: None,
            waiting: 0,
            inbox: Vec::new(),
            wakes_at: None,
            woken: (Time(0), 0),
            last: None,
            durable: 0,
            conns: Vec::new(),
        };
        World {
            nodes: (0..nodes).map(node).collect(),
            names: (0..nodes).map(|node| node_id(setting.namesake(node))).collect(),
            up: vec![false; nodes],
            routes: Routes::new(nodes),
            setting,
            now: Time(0),
            coverage: Coverage::default(),
            noise,
            queue: BinaryHeap::new(),
            order: 0,
            conns: Vec::new(),
            liars: Vec::new(),
            deeds,
            phase: 0,
            ready: 0,
            program,
            program_rests: false,
            wishes: Vec::new(),
            asked_for: Vec::new(),
            next_ticket: 0,
            watchers,
            words: 0,
            violation: None,
            hash: Xxh3::new(),
            scratch: turn::Scratch::default(),
            own_answers: BTreeMap::new(),
        }
    }

    /// Everything begins: nodes start, and what is planned is scheduled.
    pub(crate) fn begin(&mut self) {
        for deed in 0..self.deeds.len() {
            let at = Time(0) + self.deeds[deed].at;
            self.schedule(at, Due::Deed(deed));
        }
        self.with_program(|program, hands| program.begin(hands));
        for node in 0..self.nodes.len() {
            match self.setting.late.iter().find(|(late, _)| *late == node) {
                Some((_, at)) => self.schedule(Time(0) + *at, Due::Undo(0, Undo::Restart(node))),
                None => self.start(node),
            }
        }
    }

    /// Goes on until a moment, or until a goal is reached. Tells whether that was the goal.
    ///
    /// # Errors
    /// What must never happen and did.
    pub(crate) fn run(
        &mut self,
        until: Time,
        mut goal: impl FnMut(&World<'w, 'k, 'c>) -> bool,
    ) -> Result<bool, Violation> {
        loop {
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            if goal(self) {
                return Ok(true);
            }
            let Some(next) = self.queue.peek().map(|entry| entry.at).filter(|at| *at <= until) else {
                self.now = until;
                return Ok(false);
            };
            self.now = next;
            self.watchers.now = next;
            while self.queue.peek().is_some_and(|entry| entry.at == next) {
                let Some(entry) = self.queue.pop() else { break };
                self.happen(entry.due);
            }
            let ready = core::mem::take(&mut self.ready);
            for node in (0..self.nodes.len()).filter(|node| ready & (1 << node) != 0) {
                self.take_turn(node);
            }
            self.grant_wishes();
            if let Err(violation) = self.program.check() {
                self.blame(violation);
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Wake(node) => self.wake(node),
            Due::Arrive { conn, side } => self.arrive(conn, side),
            Due::Broken { conn, side } => self.tell_broken(conn, side),
            Due::Dialled { node, life, dial, to } => self.dialled(node, life, dial, to),
            Due::DialSilent { node, life, dial } => self.dial_silent(node, life, dial),
            Due::Disk { node, life } => self.disk_completes(node, life),
            Due::Deed(deed) => self.do_deed(deed),
            Due::Undo(phase, undo) if phase == self.phase => self.undo(undo),
            Due::Undo(..) => {}
            Due::Lie(liar) => self.lie(liar),
            Due::Program(..) | Due::ProgramOf { .. } if self.program_rests => {}
            Due::Program(tag) => self.with_program(|program, hands| program.wake(hands, tag)),
            Due::ProgramOf { node, life, tag } => self.wake_program(node, life, tag),
        }
    }

    fn schedule(&mut self, at: Time, due: Due) {
        self.order += 1;
        self.queue.push(Entry { at, order: self.order, due });
    }

    fn schedule_in(&mut self, after: Duration, due: Due) {
        self.schedule(self.now + after, due);
    }

    fn draw_span(&mut self, (from, to): (Duration, Duration)) -> Duration {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).expect("a setting that was checked");
        Duration::from_nanos(self.noise.between(nanos(from), nanos(to)))
    }

    /// The run is over, and these nodes were left alone.
    ///
    /// # Errors
    /// What must hold in the end and does not.
    pub(crate) fn finish(&mut self, core: &[usize]) -> Result<(), Violation> {
        let alive: Vec<(usize, &Engine)> =
            core.iter().filter_map(|node| Some((*node, self.nodes[*node].engine.as_ref()?))).collect();
        for checker in &mut self.watchers.checkers {
            checker.finished(self.now, &alive)?;
        }
        self.program.finish()
    }

    // Looking.

    /// Who leads, as far as anybody knows: the living leader of the highest term. Who is alone leads nobody.
    pub(crate) fn leader(&self) -> Option<(usize, Term)> {
        let leads = |(node, this): (usize, &Node)| {
            let vitals = this.engine.as_ref()?.vitals();
            (!self.is_alone(node) && vitals.role == RoleName::Leader).then_some((node, vitals.term))
        };
        self.nodes.iter().enumerate().filter_map(leads).max_by_key(|(_, term)| *term)
    }

    /// The name of a node.
    pub(crate) fn id(&self, node: usize) -> NodeId {
        self.names[node].clone()
    }

    pub(crate) fn engine(&self, node: usize) -> Option<&Engine> {
        self.nodes[node].engine.as_ref()
    }

    /// Whether everything that these nodes were asked is answered.
    pub(crate) fn has_answered(&self, nodes: &[usize]) -> bool {
        nodes.iter().all(|node| self.nodes[*node].waiting == 0)
    }

    /// Whether a node has been in its seat.
    pub(crate) fn was_member(&self, node: usize) -> bool {
        self.nodes[node].was_member
    }

    /// Whether everybody is in its seat: but who cannot live with what was done to its disk.
    pub(crate) fn all_are_seated(&self) -> bool {
        let mut others = self.nodes.iter().filter(|node| !node.goes_on_alone);
        others.all(|node| match &node.engine {
            None => node.is_out,
            Some(engine) => {
                let is_over = || matches!(engine.status().standing, Standing::Halted(_) | Standing::Stopping);
                engine.is_member() || (node.is_out && is_over())
            }
        })
    }

    /// Asks a node something in the name of the run itself.
    pub(crate) fn ask(&mut self, node: usize, request: Request, budget: Duration) -> Ticket {
        self.order += 1;
        let ticket = Ticket(OWN_TICKETS + self.order);
        self.own_answers.insert(ticket, None);
        self.wishes.push(Wish::Ask { client: 0, node, ticket, request, budget });
        self.grant_wishes();
        ticket
    }

    /// What came of that.
    pub(crate) fn own_answer(&self, ticket: Ticket) -> Option<&Answer> {
        self.own_answers.get(&ticket)?.as_ref()
    }

    pub(crate) fn vitals(&self, node: usize) -> Option<Vitals> {
        self.engine(node).map(Engine::vitals)
    }

    /// What a run was, in one number.
    pub(crate) fn digest(&self) -> u128 {
        self.hash.digest128()
    }

    pub(crate) fn blame(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    pub(crate) fn check(&mut self, mut call: impl FnMut(&mut dyn Checker) -> Result<(), Violation>) {
        for checker in &mut self.watchers.checkers {
            if let Err(violation) = call(&mut **checker) {
                self.violation.get_or_insert(violation);
            }
        }
    }

    /// Tells what happens, if anybody reads it. Building `what` must be cheap, or be asked for first.
    pub(crate) fn note(&mut self, what: What) {
        self.watchers.now = self.now;
        self.watchers.tell(what);
    }

    fn hash_event(&mut self, kind: u64, one: u64, other: u64) {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip([self.now.0, kind, one, other]) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        self.hash.update(&bytes);
    }
}
