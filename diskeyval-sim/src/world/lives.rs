//! Lives of nodes: how they begin and end, and when they are woken.

use diskeyval_core::{Engine, Input, Seed};

use super::{Due, Time, World};
use crate::notes::What;
use crate::observe::Violation;

impl World<'_, '_, '_> {
    /// A node begins a life with what its disk has kept.
    pub(crate) fn start(&mut self, node: usize) {
        if self.up[node] {
            return;
        }
        let (now, name) = (self.now, node);
        let seed = Seed::from_u64(self.noise.below(u64::MAX));
        let this = &mut self.nodes[node];
        this.life += 1;
        this.silent = false;
        this.frozen = false;
        let life = this.life;
        let kept = this.disk.kept();
        let opened = Engine::open_on_disk(this.settings.clone(), seed, kept.iter().cloned());
        for checker in &mut self.watchers.checkers {
            if let Err(violation) = checker.started(now, node, kept) {
                self.violation.get_or_insert(violation);
            }
        }
        match opened {
            Ok(engine) => this.engine = Some(engine),
            Err(error) => {
                let what = format!("{} cannot be opened on what it kept: {error}", self.names[name]);
                return self.blame(Violation { rule: "S15", what });
            }
        }
        this.last = None;
        this.recorded = 0;
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

    /// A node dies. With `silent`, nobody is told that its connections are gone.
    pub(crate) fn kill(&mut self, node: usize, silent: bool, wipe: bool) {
        if !self.up[node] {
            return;
        }
        self.up[node] = false;
        let this = &mut self.nodes[node];
        this.engine = None;
        this.frozen = false;
        this.silent = silent;
        this.stopping = false;
        this.dials.clear();
        this.waiting = 0;
        this.inbox.clear();
        this.wakes_at = None;
        self.ready &= !(1 << node);
        let pending = this.disk.pending();
        let lucky = self.noise.place(pending + 1);
        let this = &mut self.nodes[node];
        let mut survive = Some(this.disk.crash(lucky));
        self.coverage.count_crash(pending, lucky);
        if wipe {
            this.disk.wipe();
            this.was_member = false;
            survive = None;
        }
        self.hash_event(3, node as u64, lucky as u64);
        self.note(What::Crash { node, wiped: wipe });
        self.drop_connections(node, silent);
        let now = self.now;
        self.check(|checker| checker.crashed(now, node, survive));
        self.with_program(|program, hands| program.down(hands, node));
    }

    pub(super) fn disk_completes(&mut self, node: usize, life: u32) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.life != life || this.engine.is_none() {
            return;
        }
        if let Some(up_to) = this.disk.complete(now) {
            self.check(|checker| checker.stored(now, node, up_to));
            self.note(What::Durable { node, record: up_to });
            self.give(node, Input::Stored { up_to });
        }
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
                self.mark_ready(node);
            }
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
