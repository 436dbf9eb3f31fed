//! A node whose files are damaged: it keeps out of everything, says so to whom it meets, and begins anew when a leader
//! offers that.
//!
//! 1. It neither votes nor acknowledges nor founds: of all that the others say it hears the offer alone.
//! 2. It keeps its files, and who it was, until then. What it may have promised stands in them.
//! 3. With the offer it becomes another life of its node, which has promised nothing, and counts for nothing before it
//!    is in its seat: see [`Leader::offer`](crate::raft) and `raft/seats.rs`.

use alloc::boxed::Box;

use super::compaction::Compaction;
use super::disk::Opener;
use super::open::{fork, origin};
use super::transfers::Transfers;
use super::{Engine, Phase};
use crate::config::Settings;
use crate::desk::Desk;
use crate::error::{CloseReason, Damage, Doubt, Fault, Refusal, StorageFault};
use crate::founding::Founding;
use crate::id::{Incarnation, Term};
use crate::io::{Effect, Event, Input, Request};
use crate::kv::Machine;
use crate::mesh::Delivery;
use crate::mutants::{Mutant, is};
use crate::prng::Prng;
use crate::raft::{Raft, is_offer};
use crate::store::{Opening, Origin};

/// What a node needs to become another life of itself.
#[derive(Clone, Debug)]
pub(super) struct NextLife {
    pub(super) settings: Settings,
    pub(super) prng: Prng,
}

impl Engine {
    /// It keeps out of everything from now on. The cluster is the one that its superblock names.
    pub(super) fn keep_out(&mut self, damage: Damage, opener: Opener) {
        self.desk.close(Some(&Fault::Storage(StorageFault::Damaged(damage.clone()))));
        self.give_wishes_up(&Refusal::Damaged(damage.clone()));
        self.give_recovery_up(Doubt::Halted(Fault::Storage(StorageFault::Damaged(damage.clone()))));
        self.effects.push_back(Effect::Event(Event::Damaged(damage.clone())));
        if self.answer_stops() {
            self.mesh.stop();
            self.phase = Phase::Stopped;
            return;
        }
        self.mesh.speak_as_damaged(self.incarnation, opener.opening.cluster());
        self.phase = Phase::Damaged(damage, opener.next_life);
        if is(Mutant::BeginsAnewUnasked) {
            self.begin_anew();
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        matches!(self.phase, Phase::Damaged(..))
    }

    /// What it is given while it keeps out.
    pub(super) fn take_damaged(&mut self, input: Input) {
        match input {
            Input::Listen { changes } => self.listening = changes,
            Input::Ask { ticket, request: Request::Recover, budget } => {
                self.recover_damaged(ticket, self.now + budget);
            }
            Input::Ask { ticket, request: Request::RenewLinks, .. } => self.renew_links(ticket),
            Input::Ask { .. } => self.turn_away(input),
            Input::Disk { op, result } => self.salvage_done(op, result),
            of_a_link => self.take_of_link(of_a_link),
        }
        self.hear_offer();
    }

    /// The end of a turn in which it keeps out.
    pub(super) fn finish_damaged_turn(&mut self) {
        self.mesh.tick();
        // That raises no link, so nothing was said on any.
        while self.mesh.next_delivery().is_some() {}
        self.expire_recovery();
        self.take_disk_ops();
    }

    fn hear_offer(&mut self) {
        let mut is_offered = false;
        while let Some(delivery) = self.mesh.next_delivery() {
            is_offered |= matches!(&delivery, Delivery::Raft(_, message) if is_offer(message));
        }
        if is_offered && self.salvaging.is_none() {
            self.begin_anew();
        }
    }

    /// Becomes the next life of its node: with no files but those that are set aside, and with nothing promised.
    fn begin_anew(&mut self) {
        self.become_another(Opening::anew);
    }

    /// Becomes another life of its node, in another boot, on a directory that is opened so.
    pub(super) fn become_another(&mut self, open: fn(Origin, u64) -> Opening) {
        let Phase::Damaged(_, next_life) = &mut self.phase else { return };
        let mut next_life = next_life.clone();
        let incarnation = Incarnation(next_life.prng.next_u128());
        let origin = origin(&next_life.settings, incarnation, &mut next_life.prng);
        self.boot = next_life.prng.next_u128();
        // What was answered up to here is told all the same.
        while let Some((ticket, answer)) = self.desk.next_answer() {
            self.effects.push_back(Effect::Answer { ticket, answer });
        }
        let settings = &next_life.settings;
        let counted = self.desk.metrics;
        self.incarnation = origin.incarnation;
        self.raft = Raft::new(settings, origin.incarnation, fork(&mut next_life.prng));
        self.kv = Machine::default();
        self.desk = Desk::new(settings);
        self.desk.metrics = counted;
        self.desk.wake(self.now);
        self.founding = Founding::new(settings.founding_grace);
        self.compaction = Compaction::new(settings.compact_every);
        self.transfers = Transfers::new(settings);
        self.owes_resync = false;
        self.told_not_admitted = false;
        self.removed_by = None;
        self.told_leader = (None, Term(0));
        #[cfg(any(test, feature = "inspect"))]
        {
            self.kept = None;
        }
        self.mesh.fall_silent(self.boot, CloseReason::Starting);
        let mut opening = open(origin, self.next_op);
        opening.wake(self.now);
        self.opening = Some(Box::new(Opener::new(opening, next_life)));
        self.phase = Phase::Running;
    }

    /// Its former life was given up, and its files were moved.
    pub(super) fn tell_begun(&mut self) {
        let Some(opener) = &mut self.opening else { return };
        // Whoever has it go on from them knows that.
        if let Some(begun) = opener.opening.take_begun().filter(|begun| !begun.goes_on) {
            let set_aside = begun.set_aside;
            self.effects.push_back(Effect::Event(Event::BegunAnew { set_aside, under: begun.under }));
        }
    }
}
