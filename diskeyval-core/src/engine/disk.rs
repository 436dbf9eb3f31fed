//! The engine and its directory: how a node comes to what it has kept, and what it does when that cannot be used.

use alloc::boxed::Box;

use super::Engine;
use super::damaged::NextLife;
use crate::error::{Fault, StorageFault};
use crate::id::OpId;
use crate::io::{DiskDone, DiskError, Effect, Event};
use crate::kv::{Decoder, Snapshot};
use crate::raft::Base;
use crate::store::Opening;

/// Storage on its way to being open, and the state that comes out of its snapshot.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) opening: Opening,
    pub(super) next_life: Box<NextLife>,
    decoder: Option<Decoder>,
    snapshot: Option<Snapshot>,
}

impl Opener {
    pub(super) fn new(opening: Opening, next_life: impl Into<Box<NextLife>>) -> Opener {
        Opener { opening, next_life: next_life.into(), decoder: None, snapshot: None }
    }

    fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) -> Result<(), StorageFault> {
        self.opening.done(op, result)?;
        for piece in self.opening.take_pieces() {
            let decoder = self.decoder.get_or_insert_default();
            decoder.push(&piece).map_err(|why| self.opening.snapshot_is_wrong(&alloc::format!("{why}")))?;
        }
        if self.opening.has_read_snapshot()
            && let Some(decoder) = self.decoder.take()
        {
            let decoded = decoder.finish();
            let snapshot = decoded.map_err(|why| self.opening.snapshot_is_wrong(&alloc::format!("{why}")))?;
            self.snapshot = Some(snapshot);
        }
        Ok(())
    }

    /// What the log begins behind.
    fn base(&self) -> Option<Base> {
        let Snapshot { last, genesis, configuration, machine } = self.snapshot.as_ref()?;
        let members = machine.members()?.clone();
        Some(Base { last: *last, genesis: genesis.clone(), configuration: *configuration, members })
    }
}

impl Engine {
    /// Time begins for everything but the disk.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        self.raft.begin(self.now);
        self.founding.begin(self.now);
        #[cfg(any(test, feature = "inspect"))]
        self.kept.get_or_insert_with(|| self.raft.kept());
    }

    /// An operation was carried out.
    pub(super) fn disk_done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) {
        match &mut self.opening {
            None => self.raft.store_mut().done(op, result),
            Some(opener) => match opener.done(op, result) {
                Ok(()) => {
                    self.tell_begun();
                    self.go_on_opening();
                }
                Err(fault) => self.storage_is_unusable(fault),
            },
        }
    }

    /// The node is open once everything that it has kept is durable in its present life.
    fn go_on_opening(&mut self) {
        let Some(opener) = &mut self.opening else { return };
        let base = opener.base();
        match self.raft.open(&mut opener.opening, base) {
            None => {}
            Some(Ok(recalled)) => {
                #[cfg(any(test, feature = "inspect"))]
                {
                    self.kept = Some(self.raft.kept());
                }
                if let Some(snapshot) = self.opening.take().and_then(|opener| opener.snapshot) {
                    self.kv = snapshot.machine;
                    self.owes_resync = true;
                }
                self.incarnation = recalled.incarnation;
                self.is_anew = recalled.is_anew;
                self.recall_snapshot();
                // Whoever is met in the first turn has to hear of the cluster.
                self.note_cluster();
                self.mesh.speak(recalled.incarnation);
                self.members_applied();
                self.begin();
            }
            Some(Err(what)) => {
                let fault = opener.opening.log_is_wrong(what);
                self.storage_is_unusable(fault);
            }
        }
    }

    /// What was kept cannot be relied on: the node keeps out, or ends.
    fn storage_is_unusable(&mut self, fault: StorageFault) {
        let Some(opener) = self.opening.take() else { return };
        self.incarnation = opener.opening.incarnation().unwrap_or(self.incarnation);
        match fault {
            StorageFault::Damaged(damage) => self.keep_out(damage, *opener),
            fault => self.halt(Fault::Storage(fault)),
        }
    }

    /// What has rotted on the disk is written anew.
    fn heal(&mut self) {
        if let Some(rot) = self.raft.store_mut().take_rot() {
            self.effects.push_back(Effect::Event(Event::Rotten(rot)));
        }
        if self.raft.store().needs_rewriting() {
            self.raft.rewrite_log();
        }
    }

    /// Passes on what is to be done to the directory.
    pub(super) fn take_disk_ops(&mut self) {
        let is_open = self.opening.is_none() && !self.is_damaged();
        if is_open {
            self.heal();
        }
        let ops = match (&mut self.opening, &mut self.salvaging) {
            (Some(opener), _) => opener.opening.take_ops(),
            (None, Some(recoverer)) => recoverer.take_ops(),
            (None, None) if is_open => self.raft.store_mut().take_ops(),
            (None, None) => return,
        };
        self.next_op = ops.last().map_or(self.next_op, |(op, _)| op.0 + 1);
        self.effects.extend(ops.into_iter().map(|(op, what)| Effect::Disk { op, what }));
    }
}

#[cfg(test)]
mod tests;
