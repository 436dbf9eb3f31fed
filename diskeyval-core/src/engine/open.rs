//! How a node comes into being: with nothing, or with what it has kept.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString;

use super::compaction::Compaction;
use super::damaged::NextLife;
use super::disk::Opener;
use super::transfers::Transfers;
use super::wishes::Wishes;
use super::{Engine, Phase};
use crate::config::{Limits, Settings};
use crate::desk::Desk;
use crate::error::CloseReason;
use crate::founding::Founding;
use crate::id::{EntryId, Incarnation, Term};
use crate::kv::Machine;
use crate::members::StorageKind;
use crate::mesh::Mesh;
use crate::prng::{Prng, Seed};
use crate::raft::Raft;
use crate::store::{Opening, Origin};
use crate::time::Instant;

impl Engine {
    /// Opens a node. All its chance is drawn from `seed`, which must not be the same at two starts of a
    /// real node: its incarnation comes from it. Its time begins with the first turn, which is wanted at
    /// once.
    ///
    /// If its configuration has `persistence`, it first asks for what its directory holds
    /// ([`Effect::Disk`](crate::Effect::Disk)), and says nothing to anybody before it has read that and is sure of it
    /// ([`Standing::Opening`](crate::Standing::Opening)).
    pub fn open(settings: Settings, seed: Seed) -> Engine {
        let mut prng = Prng::new(seed);
        let incarnation = Incarnation(prng.next_u128());
        let mut engine = Engine::with(&settings, incarnation, &mut prng);
        if settings.storage == StorageKind::Disk {
            engine.mesh.be_mute(CloseReason::Starting);
            let opening = Opening::new(origin(&settings, incarnation, &mut prng));
            engine.opening = Some(Box::new(Opener::new(opening, NextLife { settings, prng })));
        }
        engine
    }

    fn with(settings: &Settings, incarnation: Incarnation, prng: &mut Prng) -> Engine {
        let boot = prng.next_u128();
        Engine {
            id: settings.node_id.clone(),
            incarnation,
            boot,
            own_address: settings.own_address.to_string(),
            limits: settings.limits.clone(),
            election_timeout: settings.election_timeout,
            heartbeat: settings.heartbeat,
            now: Instant::ZERO,
            begun: false,
            raft: Raft::new(settings, incarnation, fork(prng)),
            mesh: Mesh::new(settings, incarnation, boot, fork(prng)),
            kv: Machine::default(),
            desk: Desk::new(settings),
            founding: Founding::new(settings.founding_grace),
            compaction: Compaction::new(settings.compact_every),
            transfers: Transfers::new(settings),
            wishes: Wishes::default(),
            recovering: None,
            salvaging: None,
            known: EntryId::default(),
            owes_resync: false,
            admitted: false,
            is_anew: false,
            joins: settings.joins,
            next_op: 0,
            told_not_admitted: false,
            removed_by: None,
            listening: false,
            told_leader: (None, Term(0)),
            phase: Phase::Running,
            opening: None,
            #[cfg(any(test, feature = "inspect"))]
            kept: None,
            effects: VecDeque::new(),
        }
    }
}

/// Who a storage would be of that comes into being now.
pub(super) fn origin(settings: &Settings, incarnation: Incarnation, prng: &mut Prng) -> Origin {
    Origin {
        node: settings.node_id.clone(),
        cluster_name: settings.cluster.clone(),
        incarnation,
        salt: prng.next_u64(),
        segment_bytes: segment_bytes(settings.compact_every, &settings.limits),
    }
}

/// Chance of its own for a part.
pub(super) fn fork(prng: &mut Prng) -> Prng {
    let mut seed = [0; 32];
    seed.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&prng.next_u64().to_le_bytes()));
    Prng::new(Seed(seed))
}

/// Four segments make up what is compacted at once, within bounds. Each has room for the largest write: the one that is
/// made before it is needed must do, when the disk is full.
fn segment_bytes(compact_every: u64, limits: &Limits) -> u64 {
    const BLOCK: u64 = 4096;
    let largest = (limits.max_key + 2 * limits.max_value) as u64 + 2 * BLOCK;
    let wanted = (compact_every / 4).clamp(16 << 10, 16 << 20).max(largest);
    wanted.next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests;
