//! The state of a cluster whose quorum is lost for good, as that of one node that goes on alone.
//!
//! Its revision lies so far behind all that the former cluster can have decided that none is ever given twice.

use super::Snapshot;
use crate::entry::Genesis;
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId};
use crate::members::{Membership, Seat};
use crate::mutants::{Mutant, is};

/// No cluster decides so much while one of its nodes is cut off, or after what of its log can be read.
const LEAP: u64 = 1 << 40;

impl Snapshot {
    /// The same keys and sessions, in a cluster of this node alone. `None`: there is no revision left.
    pub(crate) fn alone(
        self,
        node: &NodeId,
        incarnation: Incarnation,
        cluster: ClusterId,
    ) -> Option<Snapshot> {
        let leap = if is(Mutant::RecoveredKeepsRevisions) { 1 } else { LEAP };
        let cluster = if is(Mutant::RecoveredKeepsCluster) { self.genesis.cluster } else { cluster };
        let last = EntryId { index: Index(self.last.index.0.checked_add(leap)?), ..self.last };
        let address = self.machine.members().and_then(|members| members.member(node)?.address.clone());
        let seat = Seat { id: node.clone(), bound: Some(incarnation), address };
        let members = Membership::of(alloc::vec![seat]);
        let genesis = Genesis { cluster, storage: self.genesis.storage, members: members.clone() };
        let machine = self.machine.recovered(last.index, cluster, members);
        Some(Snapshot { last, genesis, configuration: last, machine })
    }
}
