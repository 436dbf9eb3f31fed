//! Lives of nodes: how they begin and end, and when they are woken.

use core::time::Duration;

use diskeyval_core::{Engine, Input, Seed};

use super::disk::Survived;
use super::disks::Log;
use super::{Due, Time, World};
use crate::notes::{What, name};
use crate::observe::Violation;

/// How a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its process ends. What it has written is in the cache of the machine, where its next life reads it.
    Process,
    /// Its process ends, and perhaps the machine goes down.
    Crash,
    /// The machine goes down: what was not synced is lost, or not, or in part.
    PowerCut,
    /// The same, and nobody is told that its connections are gone.
    Vanish,
    /// Its disk is lost with it.
    Wipe,
}

/// More often than this no node has a reason to be woken within so short a time.
const WAKES: u32 = 1_000;
const WAKES_WITHIN: Duration = Duration::from_millis(1);

impl World<'_, '_, '_> {
    /// A node begins a life with what its disk has kept.
    pub(crate) fn start(&mut self, node: usize) {
        if self.up[node] {
            return;
        }
        let now = self.now;
        let seed = Seed::from_u64(self.noise.below(u64::MAX));
        let this = &mut self.nodes[node];
        if self.setting.ruin {
            this.disk.keep_copy();
        }
        this.life += 1;
        this.clock.begin();
        this.silent = false;
        this.frozen = false;
        let life = this.life;
        this.engine = Some(Engine::open(this.settings.clone(), seed));
        this.last = None;
        this.opened = false;
        this.durable = 0;
        self.up[node] = true;
        self.note(What::Start { node, life });
        if self.program.listens() {
            self.give(node, Input::Listen { changes: true });
        }
        self.mark_ready(node);
        self.schedule(now, Due::Wake(node));
        self.nodes[node].wakes_at = Some(now);
        self.with_program(|program, hands| program.up(hands, node));
    }

    /// A node dies.
    pub(crate) fn kill(&mut self, node: usize, death: Death) {
        if !self.up[node] {
            return;
        }
        self.up[node] = false;
        let now = self.now;
        let this = &mut self.nodes[node];
        if !this.opened {
            self.coverage.count("disk: a node dies before it has opened");
        }
        this.engine = None;
        this.hands_over = None;
        this.opened = false;
        this.frozen = false;
        this.silent = death == Death::Vanish;
        this.stopping = false;
        this.dials.clear();
        this.heard.fill(None);
        this.arrived = 0;
        this.leads_since = None;
        this.waiting = 0;
        this.inbox.clear();
        this.wakes_at = None;
        self.ready &= !(1 << node);
        let power = match death {
            Death::Process => false,
            Death::Crash => self.noise.chance(3, 4),
            Death::PowerCut | Death::Vanish | Death::Wipe => true,
        };
        let this = &mut self.nodes[node];
        let Survived { pending, kept } = this.disk.crash(now, power, &mut self.noise);
        if power {
            self.coverage.count_crash(pending, kept);
        } else if pending > 0 {
            self.coverage.count("crash: what was pending is still in the cache");
        }
        this.was_torn = power && kept < pending;
        let wiped = death == Death::Wipe || self.setting.memory;
        if wiped {
            this.disk.wipe();
            this.log = Log::default();
            this.was_member = false;
            this.was_damaged = false;
            this.goes_on_alone = false;
        }
        self.hash_event(3, node as u64, kept as u64);
        self.note(What::Crash { node, wiped });
        self.drop_connections(node, death == Death::Vanish);
        self.check(|checker| checker.crashed(now, node, wiped));
        self.with_program(|program, hands| program.down(hands, node));
    }

    /// A node has halted since its disk has failed it: its process ends, and somebody starts it again.
    pub(super) fn has_halted(&mut self, node: usize) {
        self.coverage.count("disk: a node halts");
        let lasting = Duration::from_millis(self.noise.between(50, 1_500));
        self.end(node, Death::Crash, lasting);
    }

    /// A node has found damage where there is none: somebody ends its process, and starts it again.
    pub(super) fn was_misled(&mut self, node: usize) {
        let lasting = Duration::from_millis(self.noise.between(50, 1_500));
        self.end(node, Death::Process, lasting);
    }

    /// Gives a node something, which it sees in its next turn; that is now, unless it is frozen.
    pub(super) fn give(&mut self, node: usize, input: Input) {
        self.nodes[node].inbox.push(input);
        self.mark_ready(node);
    }

    pub(super) fn mark_ready(&mut self, node: usize) {
        if !self.nodes[node].frozen {
            self.ready |= 1 << node;
        }
    }

    pub(super) fn wake(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.wakes_at == Some(now) {
            this.wakes_at = None;
            if this.inbox.is_empty() && this.life > 0 && this.last.is_some() && !self.is_due(node) {
                return self.set_alarm(node);
            }
            if self.up[node] {
                self.check_rest(node);
                self.mark_ready(node);
            }
        }
    }

    /// A node that wants to be woken at a moment that has passed is woken at once, and must not want that for ever:
    /// nothing else would come to pass on its machine.
    fn check_rest(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if now.since(this.woken.0) >= WAKES_WITHIN {
            this.woken = (now, 0);
        }
        this.woken.1 += 1;
        if this.woken.1 > WAKES {
            let why = this.engine.as_ref().and_then(Engine::deadline).map(|deadline| deadline.why);
            let node = name(node);
            let what = format!("{node} wants to be woken {WAKES} times within {WAKES_WITHIN:?}, for {why:?}");
            self.blame(Violation { rule: "V7", what });
        }
    }

    /// Whether a node lives and is not paused, and its clock runs.
    pub(super) fn is_awake(&self, node: usize) -> bool {
        let this = &self.nodes[node];
        self.up[node] && !this.frozen && this.clock.runs()
    }

    pub(super) fn is_due(&self, node: usize) -> bool {
        let this = &self.nodes[node];
        let deadline = this.engine.as_ref().and_then(Engine::deadline);
        deadline.is_some_and(|deadline| deadline.at <= this.clock.read(self.now))
    }

    /// Schedules the next wake of a node, unless an earlier one is scheduled already.
    pub(super) fn set_alarm(&mut self, node: usize) {
        let this = &self.nodes[node];
        let deadline = this.engine.as_ref().and_then(Engine::deadline);
        let Some(at) = deadline.and_then(|deadline| this.clock.when(deadline.at)) else { return };
        let at = at.max(Time(self.now.0 + 1));
        if this.wakes_at.is_none_or(|scheduled| scheduled > at) {
            self.nodes[node].wakes_at = Some(at);
            self.schedule(at, Due::Wake(node));
        }
    }
}
