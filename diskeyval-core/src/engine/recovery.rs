//! A cluster whose quorum is lost for good: one survivor goes on alone, as another cluster, with what it holds.
//!
//! 1. What it goes on from is its whole log, committed or not, on top of its state: any of that may have been acknowledged.
//! 2. That is a state like one that a leader sends, of a new cluster with this node as its only voter, and it is taken in
//!    place of state and log in the same way: once it is durable. A crash before leaves everything as it was, and so does
//!    a disk that has no room for it.
//! 3. Its revision lies so far behind all that the former cluster can have decided that none is ever given twice.
//! 4. Meanwhile the node meets nobody. Afterwards the others belong to another cluster, and are refused.

use alloc::string::ToString;
use alloc::vec::Vec;

use xxhash_rust::xxh3::xxh3_128;

use super::{Engine, Phase};
use crate::entry::Entry;
use crate::error::{CloseReason, Doubt, Error, Fault, Refusal};
use crate::id::{ClusterId, EntryId, Index, Ticket};
use crate::io::{Answer, Recovery};
use crate::kv::Snapshot;
use crate::mutants::{Mutant, is};
use crate::storage::NoRecovery;
use crate::time::{Deadline, Instant, Timer};

/// A recovery that is under way.
#[derive(Clone, Debug)]
pub(super) struct Recovering {
    pub(super) ticket: Option<Ticket>,
    pub(super) deadline: Instant,
    /// `None` while a damaged node still looks for what it holds.
    pub(super) report: Option<Recovery>,
}

impl Engine {
    pub(super) fn recover(&mut self, ticket: Ticket, deadline: Instant) {
        let prepared = self.may_recover().and_then(|()| self.all_that_is_held(self.next_cluster()));
        let (snapshot, report) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => return self.desk.answer(ticket, Answer::Recovered(Err(refusal.into()))),
        };
        self.mesh.retire(&CloseReason::Starting);
        self.deliver_all();
        // They were about the former cluster.
        let why = "this node goes on alone, and that was about its former cluster".into();
        self.give_wishes_up(&Refusal::NoQuorum { why });
        self.recovering = Some(Recovering { ticket: Some(ticket), deadline, report: Some(report) });
        self.keep_and_install(snapshot);
    }

    fn may_recover(&self) -> Result<(), Refusal> {
        let nothing = |why: &str| Err(nothing(why));
        match (&self.phase, self.raft.leader()) {
            (Phase::Running, _) if self.opening.is_some() => nothing("it still reads what it has kept"),
            (Phase::Running, _) if self.recovering.is_some() => nothing("it is being done already"),
            (Phase::Running, _) if !self.raft.is_founded() => {
                nothing("this node holds nothing of any cluster")
            }
            (Phase::Running, _) if self.is_alone() => nothing("this node is the only voter already"),
            (Phase::Running, Some(leader)) => {
                nothing(&alloc::format!("{leader} leads, so there is a quorum"))
            }
            (Phase::Running, None) if self.transfers.is_installing() => {
                nothing("a state that a leader has sent is not kept yet; try again")
            }
            (Phase::Running, None) => Ok(()),
            _ => Err(Refusal::Stopped),
        }
    }

    /// A name that nobody else comes to: of this boot, which was drawn, and of what its log holds.
    fn next_cluster(&self) -> ClusterId {
        let last = u128::from(self.raft.log().last().index.0);
        let words = [self.boot, self.incarnation.0, last].map(u128::to_le_bytes);
        ClusterId(xxh3_128(words.as_flattened()))
    }

    fn is_alone(&self) -> bool {
        self.raft.configuration().is_majority(0, |id| *id == self.id)
    }

    /// The state after everything that is in the log, as that of a cluster of this node alone.
    fn all_that_is_held(&self, cluster: ClusterId) -> Result<(Snapshot, Recovery), Refusal> {
        let unreadable = |at: Index| Refusal::Halted(Fault::Unreadable { at });
        let former = self.raft.log().genesis().cloned().ok_or(Refusal::Stopped)?;
        let mut machine = self.kv.clone();
        for bytes in self.raft.log().batch(machine.applied().next(), usize::MAX) {
            if is(Mutant::RecoveredLosesTail) {
                break;
            }
            let at = machine.applied().next();
            let entry = Entry::parse(bytes).map_err(|_| unreadable(at))?;
            machine.apply(at, entry.payload);
        }
        let last = EntryId { term: self.raft.term(), ..self.raft.log().last() };
        // Who brought the members in is not asked any more.
        let held = Snapshot { last, genesis: former.clone(), configuration: last, machine };
        let next = held.alone(&self.id, self.incarnation, cluster);
        // Whoever has sent such an index has lied.
        let next = next.ok_or_else(|| nothing("its log has come to the last revision that there is"))?;
        let report = Recovery {
            node: self.id.clone(),
            former: former.cluster,
            cluster,
            committed: self.raft.commit(),
            kept: last.index,
            revision: next.last.index.0,
            left_out: Vec::new(),
            seen: last.index,
        };
        Ok((next, report))
    }

    /// The state has taken the place of the log: the node is met again, as one of its new cluster.
    pub(super) fn finish_recovery(&mut self) {
        let revision = |recovering: &Recovering| recovering.report.as_ref().map(|report| report.revision);
        let is_done = |recovering: &mut Recovering| {
            revision(recovering).is_some_and(|revision| revision <= self.kv.applied().0)
        };
        let Some(Recovering { ticket, report, .. }) = self.recovering.take_if(is_done) else { return };
        self.mesh.speak(self.incarnation);
        self.raft.stand_alone();
        if let (Some(ticket), Some(report)) = (ticket, report) {
            self.desk.answer(ticket, Answer::Recovered(Ok(report)));
        }
    }

    /// Nothing names the state, and nothing is left of it: the node is what it was, and meets the others again. Who has
    /// it go on alone is to decide that anew once there is room: by then the others may be back.
    pub(super) fn recovery_has_no_room(&mut self) {
        let Some(Recovering { ticket, .. }) = self.recovering.take() else { return };
        self.transfers.give_installing_up();
        self.mesh.speak(self.incarnation);
        if let Some(ticket) = ticket {
            let refusal = nothing(&NoRecovery::Full.to_string());
            self.desk.answer(ticket, Answer::Recovered(Err(refusal.into())));
        }
    }

    pub(super) fn recovery_deadline(&self) -> Option<Deadline> {
        let recovering = self.recovering.as_ref().filter(|recovering| recovering.ticket.is_some())?;
        Some(Deadline { at: recovering.deadline, why: Timer::Request })
    }

    /// Its time has run out: it goes on all the same.
    pub(super) fn expire_recovery(&mut self) {
        let now = self.now;
        let late = self.recovering.as_mut().filter(|recovering| now >= recovering.deadline);
        let ticket = late.and_then(|recovering| recovering.ticket.take());
        if let Some(ticket) = ticket {
            let why = "what was recovered is still being written".into();
            self.desk.answer(ticket, Answer::Recovered(Err(Error::Unknown(Doubt::Deadline { why }))));
        }
    }

    /// The node goes no further.
    pub(super) fn give_recovery_up(&mut self, doubt: Doubt) {
        if let Some(ticket) = self.recovering.take().and_then(|recovering| recovering.ticket) {
            self.desk.answer(ticket, Answer::Recovered(Err(Error::Unknown(doubt))));
        }
    }
}

pub(super) fn nothing(why: &str) -> Refusal {
    Refusal::NothingToRecover { why: why.to_string() }
}

#[cfg(test)]
mod tests;
