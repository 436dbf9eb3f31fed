//! What is done to the nodes: disturbances, and their ends.

use core::time::Duration;

use diskeyval_core::{Request, RoleName, Standing};

use super::clock::PROPER;
use super::disk::Harm;
use super::lives::Death;
use super::{Due, Time, Undo, World};
use crate::faults::Fault;
use crate::notes::{What as Noted, name};
use crate::observe::Violation;
use crate::plan::{Disturbance, Rest, Target, What};

/// How long a node may take to stop in good order before its process is ended.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// How long a snapshot may take.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(2);

/// How long a node may take, at the most, to have another lead.
const WISH_WITHIN: Duration = Duration::from_secs(2);

impl World<'_, '_, '_> {
    pub(super) fn do_deed(&mut self, deed: usize) {
        if self.phase > 0 {
            return;
        }
        match self.deeds[deed].what.clone() {
            What::Ask(ask) => self.with_program(|program, hands| program.planned(hands, &ask)),
            What::Disturb(disturbance) => self.disturb(&disturbance),
        }
    }

    fn resolve(&self, target: Target, strength: u64) -> usize {
        let fallback = usize::try_from(strength).unwrap_or(0) % self.nodes.len();
        match target {
            Target::Node(node) => node,
            Target::Leader => self.leader().map_or(fallback, |(node, _)| node),
            Target::Candidate => {
                let stands = |node: &usize| {
                    let role = self.vitals(*node).map(|vitals| vitals.role);
                    matches!(role, Some(RoleName::PreCandidate | RoleName::Candidate))
                };
                let candidate = (0..self.nodes.len()).find(stands);
                candidate.or_else(|| self.leader().map(|(node, _)| node)).unwrap_or(fallback)
            }
        }
    }

    fn disturb(&mut self, disturbance: &Disturbance) {
        let Disturbance { fault, nodes, lasting, strength } = *disturbance;
        let one = self.resolve(nodes.one, strength);
        let other = self.resolve(nodes.other, strength >> 8);
        let group: Vec<usize> = (0..self.nodes.len()).filter(|node| nodes.group & (1 << node) != 0).collect();
        let millis = |most: u64| Duration::from_millis(strength % most);
        self.coverage.count_fault(fault);
        match fault {
            Fault::Crash => self.die(one, Death::Crash, lasting),
            Fault::Vanish => self.die(one, Death::Vanish, lasting),
            Fault::PowerCut => {
                for node in group {
                    self.die(node, Death::PowerCut, lasting + millis(300));
                }
            }
            Fault::Wipe => self.wipe(one, lasting),
            Fault::Stop => self.stop(one, lasting),
            Fault::Freeze => self.freeze(one, lasting),
            Fault::Partition => {
                let pairs = self.pairs(|from, to| group.contains(&from) != group.contains(&to));
                self.block_for(pairs, lasting);
            }
            Fault::OneWay => {
                let pairs = self.pairs(|from, to| group.contains(&from) && !group.contains(&to));
                self.block_for(pairs, lasting);
            }
            Fault::Mute => {
                let pairs = self.pairs(|from, _| from == one);
                self.block_for(pairs, lasting);
            }
            Fault::Bridge => {
                let split = |from: usize, to: usize| group.contains(&from) != group.contains(&to);
                let pairs = self.pairs(|from, to| from != one && to != one && split(from, to));
                self.block_for(pairs, lasting);
            }
            Fault::Isolate => {
                let pairs = self.pairs(|from, to| (from == one) != (to == one));
                self.block_for(pairs, lasting);
            }
            Fault::CutLink if one != other => self.cut(one, other),
            Fault::FlappingLink if one != other => {
                for time in 1..=8 {
                    self.undo_in(lasting * time / 8, Undo::Cut(one, other));
                }
            }
            Fault::CutLink | Fault::FlappingLink => {}
            Fault::SlowLink if one != other => {
                self.say(&[one, other], || {
                    format!("the link from {} to {} gets slow", name(one), name(other))
                });
                self.routes.set_slower(one, other, millis(400));
                self.undo_in(lasting, Undo::LinkSpeed(one, other));
            }
            Fault::SlowLink => {}
            Fault::SlowDisk => {
                self.say(&[one], || format!("the disk of {} gets slow", name(one)));
                self.nodes[one].disk.set_slower(millis(500));
                self.undo_in(lasting, Undo::DiskSpeed(one));
            }
            Fault::StalledDisk => self.stall_disk(one, lasting),
            Fault::FullDisk => self.fill_disk(one, lasting),
            Fault::FailedSync => self.nodes[one].disk.fail_next_sync(),
            Fault::FailedWrite => self.nodes[one].disk.fail_next_write(),
            Fault::FailedRead => self.nodes[one].disk.fail_next_read(strength & 1 == 1),
            Fault::BitFlip => self.damage(one, Harm::Flip, lasting, strength),
            Fault::ZeroedSector => self.damage(one, Harm::Zero, lasting, strength),
            Fault::MisdirectedWrite => self.damage(one, Harm::Misdirect, lasting, strength),
            Fault::LostFile => self.damage(one, Harm::Lose, lasting, strength),
            Fault::SwappedFile => self.swap_files(one, other, lasting, strength),
            Fault::PutBack => self.put_back(one, lasting),
            Fault::ClockRate => {
                let rate = PROPER / 2 + strength % (PROPER + PROPER / 2 + 1);
                self.set_clock_rate(one, rate, lasting);
            }
            Fault::ClockStop => self.set_clock_rate(one, 0, lasting),
            Fault::ClockStep => self.step_clock(one, strength),
            Fault::Liar => self.let_somebody_lie(one, other, strength),
            Fault::Snapshot => {
                for node in group.into_iter().filter(|node| self.up[*node]).collect::<Vec<_>>() {
                    self.ask(node, Request::Snapshot, SNAPSHOT_WITHIN);
                }
            }
            Fault::Recover => self.let_go_on_alone(one, lasting, strength),
            Fault::Reshape => self.reshape(one, other, &group, lasting, strength),
            Fault::Transfer => self.wish_for_leader(one, other, lasting, strength),
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Restart(node) => self.start(node),
            Undo::Thaw(node) => self.thaw(node),
            Undo::Unblock(pairs) => self.unblock(&pairs),
            Undo::LinkSpeed(from, to) => self.routes.set_slower(from, to, Duration::ZERO),
            Undo::DiskRoom(node) => self.nodes[node].disk.set_full(false),
            Undo::DiskSpeed(node) => self.nodes[node].disk.set_slower(Duration::ZERO),
            Undo::ClockRate(node) => self.change_clock(node, |clock, at| clock.set_rate(at, PROPER)),
            Undo::Cut(one, other) => self.cut(one, other),
            Undo::MustHaveStopped(node) => self.must_have_stopped(node),
            Undo::Exit { node, life, lasting } if self.nodes[node].life == life => {
                self.end(node, Death::Process, lasting);
            }
            Undo::Interrupt { node, life, lasting } if self.nodes[node].life == life => {
                self.end(node, Death::Crash, lasting);
            }
            // It has ended otherwise, and is another process.
            Undo::Exit { .. } | Undo::Interrupt { .. } => {}
        }
    }

    pub(super) fn undo_in(&mut self, after: Duration, undo: Undo) {
        let phase = self.phase;
        self.schedule_in(after, Due::Undo(phase, undo));
    }

    pub(super) fn say(&mut self, nodes: &[usize], text: impl FnOnce() -> String) {
        if self.watchers.notes.is_some() {
            self.note(Noted::Disturb { nodes: nodes.to_vec(), text: text() });
        }
    }

    fn pairs(&self, which: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
        let nodes = self.nodes.len();
        let all = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        all.filter(|(from, to)| from != to && which(*from, *to)).collect()
    }

    fn block_for(&mut self, pairs: Vec<(usize, usize)>, lasting: Duration) {
        self.block(&pairs);
        self.undo_in(lasting, Undo::Unblock(pairs));
    }

    // Processes.

    /// A node dies, if it may, and is started again later.
    pub(super) fn die(&mut self, node: usize, death: Death, lasting: Duration) {
        if !self.setting.memory || self.may_forget(node) || self.is_unbound(node) {
            self.end(node, death, lasting);
        }
    }

    /// A node dies, and is started again later.
    pub(super) fn end(&mut self, node: usize, death: Death, lasting: Duration) {
        if self.up[node] {
            if self.setting.memory {
                self.nodes[node].began_anew = true;
            }
            self.kill(node, death);
            self.undo_in(lasting, Undo::Restart(node));
        }
    }

    /// A node dies, and its disk with it, if it can be spared; else it only dies.
    fn wipe(&mut self, node: usize, lasting: Duration) {
        let unbound = self.is_unbound(node);
        if !(self.setting.doomed || unbound || self.may_forget(node)) {
            return self.die(node, Death::Crash, lasting);
        }
        if self.up[node] {
            let again = self.nodes[node].began_anew && self.nodes[node].was_member;
            self.coverage.count(match (unbound, again) {
                (true, _) => "wiped before it had a seat",
                (false, false) => "wiped",
                (false, true) => "wiped after it was taken in again",
            });
            self.kill(node, Death::Wipe);
            self.nodes[node].began_anew = true;
            self.undo_in(lasting, Undo::Restart(node));
        }
    }

    /// Whether the cluster can do without all that a node knows. A node that has lost it is given its seat anew by a
    /// majority of those who have not; so there has to be one without it.
    pub(super) fn may_forget(&self, node: usize) -> bool {
        if self.setting.reshape.is_some() {
            return self.may_forget_while_members_change(node);
        }
        let whole = |other: &usize| {
            let this = &self.nodes[*other];
            *other != node && this.is_whole() && !(self.setting.memory && this.stopping)
        };
        !self.nodes[node].is_out && (0..self.nodes.len()).filter(whole).count() > self.nodes.len() / 2
    }

    /// Whether a founded cluster knows a node, and none of its lives. Then it can lose its disk without harm.
    fn is_unbound(&self, node: usize) -> bool {
        // While the members change, who is dead may know of a seat.
        if self.setting.reshape.is_some() {
            return false;
        }
        let others = self.nodes.iter().filter(|this| !this.goes_on_alone);
        let engines: Vec<_> = others.filter_map(|this| this.engine.as_ref()).collect();
        let founded = engines.iter().filter(|engine| engine.is_member()).count() > self.nodes.len() / 2;
        let seats = |engine: &diskeyval_core::Engine| engine.status().members;
        let empty = |engine: &&diskeyval_core::Engine| {
            seats(engine).iter().all(|seat| seat.node_id != self.names[node] || seat.seat.is_none())
        };
        founded && engines.iter().all(empty)
    }

    fn stop(&mut self, node: usize, lasting: Duration) {
        if !self.up[node] || self.setting.memory && !self.may_forget(node) {
            return;
        }
        self.say(&[node], || format!("{} is asked to stop", name(node)));
        self.nodes[node].stopping = true;
        self.nodes[node].stopped = false;
        self.nodes[node].asked_to_stop_at = self.nodes[node].clock.reckon(self.now);
        self.ask(node, Request::Stop, STOP_WITHIN);
        self.undo_in(self.setting.election_timeout * 5 / 2, Undo::MustHaveStopped(node));
        let life = self.nodes[node].life;
        self.undo_in(STOP_WITHIN, Undo::Exit { node, life, lasting });
    }

    /// A node is asked to have another lead than the one that does, if there is another.
    fn wish_for_leader(&mut self, asked: usize, other: usize, lasting: Duration, strength: u64) {
        if !self.up[asked] {
            return;
        }
        let leader = self.leader().map(|(node, _)| node);
        let wanted = if Some(other) == leader { (other + 1) % self.nodes.len() } else { other };
        let to = (strength & 7 > 0).then(|| self.names[wanted].clone());
        self.coverage.count(match leader {
            Some(leader) if leader == asked => "transfer: the leader is asked",
            _ => "transfer: another node is asked",
        });
        self.ask(asked, Request::TransferLeadership { to }, lasting.min(WISH_WITHIN));
    }

    /// A node that was asked to stop does so within an election timeout, whoever may take over.
    fn must_have_stopped(&mut self, node: usize) {
        let this = &self.nodes[node];
        let waited = this.clock.reckon(self.now).since(this.asked_to_stop_at);
        let awake = self.is_awake(node) && this.thawed_at < self.now;
        if this.stopping && !this.stopped && awake && waited > self.setting.election_timeout * 3 / 2 {
            let what = format!("{} was asked to stop {waited:?} ago, and has not", name(node));
            self.blame(Violation { rule: "V2", what });
        }
    }

    /// A node has stopped in good order: its process ends.
    pub(super) fn has_stopped(&mut self, node: usize) {
        self.coverage.count("stopped in good order");
        self.nodes[node].stopped = true;
        let (life, lasting) = (self.nodes[node].life, Duration::from_millis(200));
        self.undo_in(Duration::from_millis(1), Undo::Exit { node, life, lasting });
    }

    fn freeze(&mut self, node: usize, lasting: Duration) {
        if self.up[node] && !self.nodes[node].frozen {
            self.nodes[node].frozen = true;
            self.nodes[node].thawed_at = Time(u64::MAX);
            self.ready &= !(1 << node);
            self.note(Noted::Freeze { node });
            self.undo_in(lasting, Undo::Thaw(node));
        }
    }

    fn thaw(&mut self, node: usize) {
        if self.nodes[node].frozen {
            self.nodes[node].frozen = false;
            self.nodes[node].thawed_at = self.now + Duration::from_secs(1);
            self.note(Noted::Thaw { node });
            self.nodes[node].wakes_at = None;
            self.mark_ready(node);
        }
    }

    // Clocks.

    fn set_clock_rate(&mut self, node: usize, rate: u64, lasting: Duration) {
        self.say(&[node], || format!("the clock of {} runs at {rate} of 1000", name(node)));
        self.change_clock(node, |clock, at| clock.set_rate(at, rate));
        self.undo_in(lasting, Undo::ClockRate(node));
    }

    fn step_clock(&mut self, node: usize, strength: u64) {
        let scale: i64 = [1, 50, 1_000, 60_000, 3_600_000][usize::try_from(strength >> 1).unwrap_or(0) % 5];
        let nanos = scale * if strength & 1 == 0 { 1_000_000 } else { -1_000_000 };
        self.say(&[node], || format!("the clock of {} jumps by {} ms", name(node), nanos / 1_000_000));
        self.change_clock(node, |clock, at| clock.step(at, nanos));
    }

    /// A clock is set: what it will show, it shows at other times than before.
    fn change_clock(&mut self, node: usize, change: impl FnOnce(&mut super::Clock, Time)) {
        let now = self.now;
        let this = &mut self.nodes[node];
        change(&mut this.clock, now);
        if !this.inbox.is_empty() {
            // What it was asked at this moment it hears in its next turn, by its new clock.
            this.asked_to_stop_at = this.clock.reckon(now);
        }
        this.wakes_at = None;
        self.set_alarm(node);
    }

    // The second phase.

    /// From now on nothing is disturbed any more, but for the nodes outside of the core. Gives the core: it is
    /// the planned one if that can go on by itself, and else everybody whose disk was not lost.
    pub(crate) fn turn_friendly(&mut self) -> Vec<usize> {
        self.phase += 1;
        self.note(Noted::Phase { text: "from now on the core is left alone".into() });
        let free = self.routes.blocked();
        self.routes.heal();
        for (from, to) in free {
            self.resume(from, to);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.heal(self.now);
            let life = self.nodes[node].life;
            self.schedule(self.now, Due::Disk { node, life });
            self.change_clock(node, |clock, at| clock.heal(at));
            self.thaw(node);
        }
        for node in 0..self.nodes.len() {
            // A read that came short looks like damage, and is none at the next start.
            let this = &self.nodes[node];
            let is_misled = this.engine.as_ref().is_some_and(|engine| {
                !this.opened && matches!(engine.status().standing, Standing::Damaged(_))
            });
            // And who is a member in the end finds out at once that its disk is damaged, and not when it leads in peace.
            let finds_out = self.setting.reshape.is_some() && this.is_out;
            if this.stopping || finds_out || is_misled && !this.is_out {
                self.kill(node, Death::Process);
            }
        }
        // A leader may have given the seat to the life that was lost, before it learned that it was. Two have no majority
        // without one of them.
        let heals = self.nodes.len() > 2;
        for node in (0..self.nodes.len()).filter(|_| !heals) {
            let seated = self.nodes[node].was_member;
            self.nodes[node].is_out |= self.nodes[node].began_anew && !seated && !self.is_unbound(node);
        }
        if self.setting.reshape.is_some() {
            // Who they are by now is known when somebody leads.
            let all: Vec<usize> = (0..self.nodes.len()).collect();
            all.iter().for_each(|node| self.start(*node));
            return all;
        }
        let is_left = |node: &usize| !self.nodes[*node].is_out && !self.nodes[*node].goes_on_alone;
        let can_go_on = self.setting.core.iter().all(|node| {
            let admitted = self.engine(*node).is_some_and(diskeyval_core::Engine::is_member);
            (admitted || self.nodes[*node].was_member) && is_left(node)
        });
        let core = match can_go_on {
            true => self.setting.core.clone(),
            false => (0..self.nodes.len()).filter(is_left).collect(),
        };
        for node in &core {
            self.start(*node);
        }
        let rest: Vec<usize> = (0..self.nodes.len()).filter(|node| !core.contains(node)).collect();
        if !can_go_on {
            self.setting.rest = Rest::Fine;
        }
        self.coverage.count_rest(self.setting.rest, !rest.is_empty());
        for node in rest {
            self.treat_rest(node, &core);
        }
        core
    }

    fn treat_rest(&mut self, node: usize, core: &[usize]) {
        let inward: Vec<_> = core.iter().map(|peer| (*peer, node)).collect();
        let outward: Vec<_> = core.iter().map(|peer| (node, *peer)).collect();
        match self.setting.rest {
            Rest::Dead => return self.kill(node, Death::Process),
            Rest::Fine => {}
            // Who flaps does so later, when the core has a leader of its own.
            Rest::CutOff | Rest::Flapping => {
                self.block(&inward);
                self.block(&outward);
            }
            Rest::Deaf => self.block(&inward),
            Rest::Mute => self.block(&outward),
        }
        self.start(node);
    }

    /// Nodes outside of the core come back, with clocks that are wrong where that may be, and their connections break again and again.
    pub(crate) fn let_flap(&mut self, core: &[usize]) {
        let blocked = self.routes.blocked();
        self.unblock(&blocked);
        for node in (0..self.nodes.len()).filter(|node| !core.contains(node)) {
            let rate = self.noise.between(PROPER / 2, 2 * PROPER);
            if !self.setting.lease {
                self.change_clock(node, |clock, at| clock.set_rate(at, rate));
            }
            for time in 1..200 {
                let after = Duration::from_millis(time * 397 + self.noise.below(300));
                let peer = core[self.noise.place(core.len())];
                self.undo_in(after, Undo::Cut(node, peer));
            }
        }
    }
}
