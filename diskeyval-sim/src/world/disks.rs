//! What nodes ask of their disks, what comes of it, and what is done to the disks.

use core::time::Duration;

use diskeyval_core::{DiskDone, DiskError, DiskOp, Event, FileName, Input, OpId};

use super::disk::{Completed, Harm};
use super::lives::Death;
use super::{Due, Undo, World};
use crate::notes::{What, name};
use crate::observe::{Violation, Wrong};

/// What is known of the log of a node from the operations that it asks for: an independent witness of what it says
/// is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The number of its last record when it wrote last.
    written: u64,
    /// The syncs that are on their way, and up to which record each can make the log durable.
    syncs: Vec<(OpId, u64)>,
    /// Up to which record syncs that are done can have made it durable.
    reached: u64,
    /// The segment that was written last.
    segment: u64,
    /// There was nothing new in the last flush that is durable.
    pub(super) is_sealed: bool,
    /// What was written last had nothing new.
    was_empty: bool,
}

impl Log {
    /// A life begins that has opened, with so many records durable.
    pub(super) fn open(&mut self, durable: u64) {
        (self.written, self.reached) = (durable, durable);
        self.syncs.clear();
    }

    /// Up to which record the log can be durable.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }
}

impl World<'_, '_, '_> {
    /// A node asks for operations, all in one turn.
    pub(super) fn ask_disk(&mut self, node: usize, ops: &mut Vec<(OpId, DiskOp)>) {
        let last = self.nodes[node].engine.as_ref().map_or(0, |engine| engine.journal().1);
        let mut ops = ops.drain(..).peekable();
        while let Some((op, what)) = ops.next() {
            self.look_at_op(node, op, &what, last);
            // What only goes into a cache takes no time of a disk.
            let takes = match &what {
                DiskOp::Write { .. } => Duration::ZERO,
                DiskOp::List | DiskOp::Read { .. } => self.draw_span(self.setting.disk) / 4,
                _ => self.draw_span(self.setting.disk),
            };
            let is_awaited = !matches!((&what, ops.peek()), (DiskOp::Write { .. }, Some(_)));
            let now = self.now;
            let this = &mut self.nodes[node];
            let at = this.disk.ask(now, takes, op, what);
            if is_awaited {
                let life = this.life;
                self.schedule(at, Due::Disk { node, life });
            }
        }
    }

    fn look_at_op(&mut self, node: usize, op: OpId, what: &DiskOp, last: u64) {
        if self.watchers.notes.is_some() {
            self.note(What::Disk { node, text: format!("asks its disk to {} ({op})", describe(what)) });
        }
        let this = &mut self.nodes[node];
        match what {
            DiskOp::Write { file: FileName::Segment(number), .. } => {
                let log = &mut this.log;
                if this.opened && core::mem::replace(&mut log.segment, *number) < *number {
                    self.coverage.count("disk: a segment is full, and the next is written to");
                }
                log.was_empty = this.opened && last == log.written;
                log.is_sealed = false;
                log.written = last;
                log.segment = *number;
            }
            DiskOp::Sync { file: FileName::Segment(_) } => {
                let up_to = this.log.written;
                this.log.syncs.push((op, up_to));
            }
            DiskOp::List if this.found_damage == this.life => self.may_interrupt(node),
            DiskOp::Create { file: FileName::Snapshot(_), .. } => {
                self.coverage.count("disk: a snapshot is written");
            }
            DiskOp::Remove { file: FileName::Snapshot(_) } => {
                self.coverage.count("disk: a snapshot is removed");
            }
            DiskOp::Remove { file: FileName::Segment(_) } => {
                self.coverage.count("disk: a segment is removed");
            }
            _ => {}
        }
    }

    pub(super) fn disk_completes(&mut self, node: usize, life: u32) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.life != life || this.engine.is_none() {
            return;
        }
        for completed in this.disk.complete(now, &mut self.noise) {
            self.report(node, completed);
        }
    }

    fn report(&mut self, node: usize, completed: Completed) {
        let Completed { op, result, is_wrong, .. } = completed;
        let log = &mut self.nodes[node].log;
        if let Some(place) = log.syncs.iter().position(|(sync, _)| *sync == op) {
            let (_, up_to) = log.syncs.remove(place);
            if result == Ok(DiskDone::Done) {
                log.reached = log.reached.max(up_to);
                log.is_sealed = log.was_empty;
                if log.is_sealed {
                    self.coverage.count("disk: a seal is written");
                }
            }
        }
        if let Err(error) = &result {
            self.coverage.count(match error {
                DiskError::Full => "disk: there is no room",
                _ => "disk: an operation fails",
            });
            if self.watchers.notes.is_some() {
                let text = format!("is told by its disk that {op} came to nothing: {error:?}");
                self.note(What::Disk { node, text });
            }
        } else if is_wrong {
            self.coverage.count("disk: a read comes short");
            if self.watchers.notes.is_some() {
                self.note(What::Disk { node, text: format!("gets too little for {op}") });
            }
        }
        let wrong = match &result {
            Err(DiskError::Full) => Some(Wrong::Full),
            _ => is_wrong.then_some(Wrong::Failed),
        };
        if let Some(wrong) = wrong {
            let now = self.now;
            self.check(|checker| checker.harmed(now, node, wrong));
        }
        self.give(node, Input::Disk { op, result });
    }

    /// What a node calls durable was synced.
    pub(super) fn check_synced(&mut self, node: usize, durable: u64) {
        let reached = self.nodes[node].log.reached();
        if durable > reached {
            let node = name(node);
            let what =
                format!("{node} takes all up to r{durable} for durable, and has synced up to r{reached}");
            self.blame(Violation { rule: "S4", what });
        }
    }

    // What is done to disks.

    pub(super) fn stall_disk(&mut self, node: usize, lasting: Duration) {
        self.say(&[node], || format!("the disk of {} stalls", name(node)));
        let until = self.now + lasting;
        self.nodes[node].disk.stall(until);
        let life = self.nodes[node].life;
        self.schedule(until, Due::Disk { node, life });
    }

    pub(super) fn fill_disk(&mut self, node: usize, lasting: Duration) {
        self.say(&[node], || format!("the disk of {} is full", name(node)));
        self.nodes[node].disk.set_full(true);
        self.undo_in(lasting, Undo::DiskRoom(node));
    }

    /// Whether the disk of a node may be damaged. Who finds damage is taken in again by a majority of the others. So none
    /// of the core is, and nobody before all of the core are in their seats. Nor is who is about to begin anew: what is
    /// done to it then would not be told from what was done before. And nobody would take in who is alone.
    fn may_be_damaged(&self, node: usize) -> bool {
        let this = &self.nodes[node];
        if self.up[node] && !this.opened && this.is_out || this.goes_on_alone {
            return false;
        }
        let seated = self.setting.core.iter().all(|node| self.nodes[*node].was_member);
        // Where the members change, or one has gone, the core is not who is left in the end.
        let is_core_left =
            self.setting.reshape.is_none() && self.nodes.iter().all(|this| !this.goes_on_alone);
        let can_be_spared = match is_core_left {
            true => !self.setting.core.contains(&node) && seated,
            false => self.may_forget(node),
        };
        self.setting.ruin || can_be_spared
    }

    /// Damage befalls the disk of a node, or of the next one that can be spared. With an odd `strength` that node dies
    /// at this moment, and so finds out soon.
    pub(super) fn damage(&mut self, node: usize, harm: Harm, lasting: Duration, strength: u64) {
        let Some(node) = self.spare(node) else { return };
        let sealed = self.nodes[node].log.is_sealed;
        let Some(what) = self.nodes[node].disk.strike(harm, sealed, &mut self.noise) else { return };
        self.coverage.count(match harm {
            Harm::Flip => "damage: a bit",
            Harm::Zero => "damage: a sector of zeros",
            Harm::Misdirect => "damage: a sector in another place",
            Harm::Lose => "damage: a file is lost",
        });
        self.is_damaged(node, &what);
        if strength & 1 == 1 {
            self.die(node, Death::Crash, lasting);
        }
    }

    /// A file of one node gets into the place of that of another.
    pub(super) fn swap_files(&mut self, node: usize, other: usize, lasting: Duration, strength: u64) {
        let Some(node) = self.spare(node) else { return };
        let other = if other == node { (node + 1) % self.nodes.len() } else { other };
        if other == node {
            return;
        }
        // Of two at once both have to be spared.
        let was_out = core::mem::replace(&mut self.nodes[node].is_out, true);
        let both = self.may_be_damaged(other);
        self.nodes[node].is_out = was_out;
        let mut theirs = core::mem::take(&mut self.nodes[other].disk);
        let swapped = self.nodes[node].disk.swap(&mut theirs, both, &mut self.noise);
        self.nodes[other].disk = theirs;
        let Some(what) = swapped else { return };
        self.coverage.count("damage: a file of another node");
        self.is_damaged(node, &what);
        if both {
            self.is_damaged(other, &what);
        }
        if strength & 1 == 1 {
            self.die(node, Death::Crash, lasting);
        }
    }

    fn spare(&self, node: usize) -> Option<usize> {
        let nodes = self.nodes.len();
        (node..node + nodes).map(|node| node % nodes).find(|node| self.may_be_damaged(*node))
    }

    fn is_damaged(&mut self, node: usize, what: &str) {
        self.say(&[node], || format!("on the disk of {}, {what}", name(node)));
        self.nodes[node].is_out = true;
        let now = self.now;
        self.check(|checker| checker.harmed(now, node, Wrong::Damaged));
    }

    // What a node says of it.

    /// A node may have found damage, or have set aside what was damaged. Tells whether it has found some where there is
    /// none, and the others cannot do without it.
    pub(super) fn see_damage(&mut self, node: usize, events: &[Event]) -> bool {
        for event in events {
            if matches!(event, Event::Damaged(_)) {
                self.nodes[node].found_damage = self.nodes[node].life;
            }
            match event {
                Event::Damaged(_) if self.nodes[node].is_out => self.coverage.count("disk: damage is found"),
                Event::Damaged(_) => {
                    // A read of a snapshot came short. It may begin anew for that, and is as good as one that is wiped.
                    if !self.may_forget(node) {
                        return true;
                    }
                    self.nodes[node].was_member = false;
                }
                Event::BegunAnew { .. } => self.has_begun_anew(node),
                _ => {}
            }
        }
        false
    }

    /// A node begins to give up what it holds. That takes a moment, which hardly any crash would meet by chance.
    fn may_interrupt(&mut self, node: usize) {
        if self.phase == 0 && self.noise.chance(1, 3) {
            let steps = u32::try_from(self.noise.between(1, 16)).unwrap_or(1);
            let after = self.draw_span(self.setting.disk) * steps;
            let lasting = Duration::from_millis(self.noise.between(50, 1_500));
            let life = self.nodes[node].life;
            self.undo_in(after, Undo::Interrupt { node, life, lasting });
        }
    }

    fn has_begun_anew(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        self.coverage.count(match this.found_damage == this.life {
            true => "disk: a damaged node begins anew",
            false => "disk: a damaged node goes on beginning anew",
        });
        (this.is_out, this.was_member) = (false, false);
        (this.began_anew, this.was_damaged) = (true, true);
        this.goes_on_alone = false;
        this.log = Log::default();
        this.disk.begins_anew();
    }

    /// The directory of a node is put back as it was when a former life began: it knows nothing of what it has promised
    /// since. Nobody can know that. So it is done only where nothing is expected.
    pub(super) fn put_back(&mut self, node: usize, lasting: Duration) {
        if !self.setting.ruin || !self.up[node] {
            return self.die(node, Death::Crash, lasting);
        }
        self.die(node, Death::PowerCut, lasting);
        if self.nodes[node].disk.put_back() {
            self.coverage.count("damage: a directory is put back");
            self.is_damaged(node, "everything is as it was once");
        }
    }
}

/// An operation, in words.
pub(crate) fn describe(what: &DiskOp) -> String {
    match what {
        DiskOp::List => "list its files".into(),
        DiskOp::Create { file, size } => format!("create {file} of {size} bytes"),
        DiskOp::Write { file, at, parts } => {
            let size: usize = parts.iter().map(bytes::Bytes::len).sum();
            format!("write {size} bytes at {at} of {file}")
        }
        DiskOp::Sync { file } => format!("sync {file}"),
        DiskOp::Read { file, at, len } => format!("read {len} bytes at {at} of {file}"),
        DiskOp::Remove { file } => format!("remove {file}"),
        DiskOp::SetAside { file, under } => format!("set {file} aside as number {under}"),
    }
}
