//! The engine and its directory: how a node comes to what it has kept, and what it does when that cannot be used.

use super::{Engine, Phase};
use crate::error::{CloseReason, Fault, StorageFault};
use crate::id::OpId;
use crate::io::{DiskDone, DiskError, Effect, Event};

impl Engine {
    /// Time begins for everything but the disk.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        self.raft.begin(self.now);
        self.founding.begin(self.now);
    }

    /// An operation was carried out.
    pub(super) fn disk_done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) {
        let Some(opening) = &mut self.opening else { return self.raft.store_mut().done(op, result) };
        if let Err(fault) = opening.done(op, result) {
            return self.storage_is_unusable(fault);
        }
        match self.raft.open(opening) {
            None => {}
            Some(Ok(recalled)) => {
                self.opening = None;
                #[cfg(any(test, feature = "inspect"))]
                {
                    self.kept = Some(self.raft.kept());
                }
                self.incarnation = recalled.incarnation;
                // Whoever is met in the first turn has to hear of the cluster.
                self.note_cluster();
                self.mesh.speak(recalled.incarnation);
                self.begin();
            }
            Some(Err(what)) => {
                let damage = self.opening.as_ref().map(|opening| opening.log_is_wrong(what));
                damage.into_iter().for_each(|fault| self.storage_is_unusable(fault));
            }
        }
    }

    /// What was kept cannot be relied on: the node keeps out, or ends.
    fn storage_is_unusable(&mut self, fault: StorageFault) {
        self.opening = None;
        let StorageFault::Damaged(damage) = fault else { return self.halt(Fault::Storage(fault)) };
        self.desk.close(Some(&Fault::Storage(StorageFault::Damaged(damage.clone()))));
        self.mesh.be_mute(CloseReason::Damaged);
        self.effects.push_back(Effect::Event(Event::Damaged(damage.clone())));
        self.phase = Phase::Damaged(damage);
    }

    /// Passes on what is to be done to the directory.
    pub(super) fn take_disk_ops(&mut self) {
        let ops = match &mut self.opening {
            Some(opening) => opening.take_ops(),
            None => self.raft.store_mut().take_ops(),
        };
        self.effects.extend(ops.into_iter().map(|(op, what)| Effect::Disk { op, what }));
    }
}
