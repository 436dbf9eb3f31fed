//! A node whose files are damaged, and whose cluster has lost its quorum for good: it goes on alone from what of them can be
//! verified.
//!
//! 1. Its directory becomes that of the next cluster as `storage/recover.rs` has it. Cut short, the next start finds it
//!    damaged as it was, or that.
//! 2. Meanwhile the node meets nobody, so no leader offers it to begin anew.
//! 3. Then it opens its directory, like a node that is started there.

use alloc::boxed::Box;
use alloc::string::ToString;

use super::recovery::{Recovering, nothing};
use super::{Engine, Phase};
use crate::error::{CloseReason, Fault, Refusal, StorageFault};
use crate::id::{OpId, Ticket};
use crate::io::{Answer, DiskDone, DiskError};
use crate::storage::{NoRecovery, Recoverer};
use crate::store::Opening;
use crate::time::Instant;

impl Engine {
    pub(super) fn recover_damaged(&mut self, ticket: Ticket, deadline: Instant) {
        let Phase::Damaged(_, next_life) = &mut self.phase else { return };
        if self.salvaging.is_some() {
            let refusal = nothing("it is being done already");
            return self.desk.answer(ticket, Answer::Recovered(Err(refusal.into())));
        }
        let recoverer = Recoverer::behind(self.next_op, &mut next_life.prng);
        self.salvaging = Some(Box::new(recoverer));
        self.recovering = Some(Recovering { ticket: Some(ticket), deadline, report: None });
        self.mesh.retire(&CloseReason::Starting);
    }

    /// An operation on the directory of a damaged node was carried out.
    pub(super) fn salvage_done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) {
        // What was on its way when the damage was found says nothing any more.
        let Some(recoverer) = &mut self.salvaging else { return };
        if let Err(why) = recoverer.done(op, result) {
            return self.salvage_failed(why);
        }
        if let Some(recovering) = self.recovering.as_mut().filter(|recovering| recovering.report.is_none()) {
            recovering.report = recoverer.found().cloned();
            recoverer.accept_data_loss();
        }
        if recoverer.set_aside().is_some() {
            self.salvaging = None;
            self.become_another(Opening::resumed);
        }
    }

    fn salvage_failed(&mut self, why: NoRecovery) {
        self.salvaging = None;
        let refusal: Refusal = match why {
            NoRecovery::Storage(fault @ StorageFault::Failed { .. }) => {
                return self.halt(Fault::Storage(fault));
            }
            full_or_unverified @ (NoRecovery::Full | NoRecovery::Storage(_)) => {
                nothing(&full_or_unverified.to_string())
            }
            NoRecovery::Nothing { why, left_out } => {
                let damages = left_out.iter().map(|damage| alloc::format!("; {damage}"));
                nothing(&damages.fold(why, |why, damage| why + &damage))
            }
        };
        if let Some(ticket) = self.recovering.take().and_then(|recovering| recovering.ticket) {
            self.desk.answer(ticket, Answer::Recovered(Err(refusal.into())));
        }
        self.mesh.speak(self.incarnation);
    }
}

#[cfg(test)]
mod tests;
