//! Nodes that were damaged and begin anew: what they held before has to be had without them.

use super::super::findings::Findings;
use super::{Facts, NOTHING};
use crate::notes::name;

impl Facts {
    /// A leader offers a node to begin anew. What it has committed stands on the disks of a majority of all seats, without
    /// the seat of that node.
    pub(super) fn offers(&mut self, at: usize, to: usize, findings: &mut Findings) {
        self.nodes[to].is_offered = true;
        let commit = self.nodes[at].vitals.commit.0;
        let Some(entry) = self.committed_entry(commit) else { return };
        let configuration = self.tree.entry(self.nodes[at].now.last).configuration;
        let Some(members) = self.members(configuration) else { return };
        let holds = |storage: usize| self.tree.holds(self.storages[storage].durable.last, entry);
        let is_held =
            self.majority(configuration, |storage| self.storages[storage].node != to && holds(storage));
        if !is_held || members.seats.len() < 3 {
            findings.broken("D3", || {
                let (leader, node) = (name(at), name(to));
                format!("{leader} offers {node} to begin anew, and no majority holds all up to {commit} without it")
            });
        }
    }

    /// A node has set aside what its disk held. What that had promised stands as it was, and whatever follows is another
    /// storage.
    pub(crate) fn began_anew(&mut self, at: usize, findings: &mut Findings) {
        if !self.nodes[at].is_offered {
            findings.broken("D3", || format!("{} begins anew, and nobody has offered it that", name(at)));
        }
        let node = &mut self.nodes[at];
        node.storage = None;
        node.is_damaged = false;
        node.pending.clear();
        node.now = NOTHING;
    }
}
