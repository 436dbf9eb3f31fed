//! How a node comes into being: with nothing, or with what it has kept.

use alloc::collections::VecDeque;
use alloc::string::ToString;

use super::compaction::Compaction;
use super::transfers::Transfers;
use super::{Engine, Phase};
use crate::config::Settings;
use crate::desk::Desk;
use crate::error::NotKept;
use crate::founding::Founding;
use crate::id::{Incarnation, Term};
use crate::kv::Machine;
use crate::members::StorageKind;
use crate::mesh::Mesh;
use crate::prng::{Prng, Seed};
use crate::raft::Raft;
use crate::store::Record;
use crate::time::Instant;

impl Engine {
    /// Opens a node. All its chance is drawn from `seed`, which must not be the same at two starts of a
    /// real node: its incarnation comes from it. Its time begins with the first turn, which is wanted at
    /// once.
    pub fn open(settings: Settings, seed: Seed) -> Engine {
        let mut prng = Prng::new(seed);
        let incarnation = Incarnation(prng.next_u128());
        Engine::with(&settings, StorageKind::Memory, incarnation, prng)
    }

    /// Opens a node that keeps its log on a disk: [`Effect::Store`](crate::Effect::Store) says what is to be kept, and
    /// [`Input::Stored`](crate::Input::Stored) reports what is. `kept` is everything that earlier runs of the node were told to
    /// keep and that is still there, in its order; at its first start there is nothing. What was reported as
    /// stored must be there, and of what was not, any beginning may.
    ///
    /// The disk is a logical one: a simulator's. How records become bytes and files is not decided here.
    ///
    /// # Errors
    /// [`NotKept`] if that cannot be what a node was told to keep.
    pub fn open_on_disk(
        settings: Settings,
        seed: Seed,
        kept: impl IntoIterator<Item = Record>,
    ) -> Result<Engine, NotKept> {
        let mut prng = Prng::new(seed);
        let drawn = Incarnation(prng.next_u128());
        let mut kept = kept.into_iter();
        match kept.next() {
            None => {
                let mut engine = Engine::with(&settings, StorageKind::Disk, drawn, prng);
                // Nothing is promised by it before it is durable: until then the mesh is mute.
                engine.raft.keep_incarnation();
                engine.mesh.be_mute();
                Ok(engine)
            }
            Some(Record::Incarnation(incarnation)) => {
                let mut engine = Engine::with(&settings, StorageKind::Disk, incarnation, prng);
                kept.try_for_each(|record| engine.raft.recall(record))?;
                // Whoever is met in the first turn has to hear of it.
                engine.note_cluster();
                Ok(engine)
            }
            Some(
                Record::Ballot { .. } | Record::Entry { .. } | Record::Truncate { .. } | Record::Base { .. },
            ) => Err(NotKept),
        }
    }

    fn with(settings: &Settings, storage: StorageKind, incarnation: Incarnation, mut prng: Prng) -> Engine {
        let boot = prng.next_u128();
        let mut fork = || {
            let mut seed = [0; 32];
            seed.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&prng.next_u64().to_le_bytes()));
            Prng::new(Seed(seed))
        };
        Engine {
            id: settings.node_id.clone(),
            incarnation,
            boot,
            own_address: settings.own_address.to_string(),
            limits: settings.limits.clone(),
            now: Instant::ZERO,
            begun: false,
            raft: Raft::new(settings, incarnation, fork(), storage),
            mesh: Mesh::new(settings, storage, incarnation, boot, fork()),
            kv: Machine::default(),
            desk: Desk::new(settings),
            founding: Founding::new(settings.founding_grace),
            compaction: Compaction::new(settings.compact_every),
            transfers: Transfers::new(settings),
            owes_resync: false,
            admitted: false,
            told_not_admitted: false,
            listening: false,
            told_leader: (None, Term(0)),
            phase: Phase::Running,
            effects: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests;
