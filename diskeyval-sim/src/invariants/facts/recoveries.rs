//! Nodes that go on alone, as their operators say that the quorum is lost for good: each begins another cluster, with all
//! that it holds, at a revision that the former cluster never comes to.

use diskeyval_core::inspect::What;
use diskeyval_core::{ClusterId, EntryId, Incarnation, Record};

use super::super::findings::Findings;
use super::super::tree::Place;
use super::{EMPTY, Facts, Image, NOTHING, Storage};
use crate::notes::name;

/// So far ahead of its log a node goes on.
pub(crate) const LEAP: u64 = 1 << 40;

impl Facts {
    /// What a node holds that goes on alone behind `base`: all that is in its memory if it runs, and else what was durable,
    /// or more of what was on its way. Less only if its disk was damaged.
    pub(crate) fn held(&self, at: usize, base: EntryId, findings: &mut Findings) -> Place {
        let node = &self.nodes[at];
        let durable = node.storage.map_or(EMPTY, |storage| self.storages[storage].durable.last);
        let kept = base.index.0.saturating_sub(LEAP);
        let mut logs = core::iter::once(durable).chain(node.pending.iter().map(|(_, image)| image.last));
        let is_kept = |last: &Place| self.tree.index(*last) == kept;
        let place = if node.up {
            Some(node.now.last).filter(is_kept)
        } else if node.is_damaged {
            logs.filter_map(|last| self.tree.at(last, kept)).next_back()
        } else {
            // Or a leader's state has taken the place of the log, and nobody was told any more.
            let taken = self.committed_entry(kept).filter(|place| !self.tree.holds(durable, *place));
            logs.find(is_kept).or(taken)
        };
        place.unwrap_or_else(|| {
            findings.broken("S12", || {
                let (node, last) = (name(at), self.tree.index(node.now.last));
                format!("{node} goes on alone behind {base}, which is not {LEAP} behind its log up to {last}")
            });
            durable
        })
    }

    /// Which life a node lives.
    pub(crate) fn life(&self, at: usize) -> Option<Incarnation> {
        self.nodes[at].storage.map(|storage| self.storages[storage].incarnation)
    }

    /// The entries of the log that ends here, in order.
    pub(crate) fn log(&self, last: Place) -> Vec<&What> {
        let places = core::iter::successors(Some(last), |place| Some(self.tree.parent(*place)));
        let mut log: Vec<&What> =
            places.take_while(|place| *place != EMPTY).map(|place| &self.tree.entry(place).what).collect();
        log.reverse();
        log
    }

    /// The cluster of a node that goes on alone, as the life `incarnation`. What of it is durable is not known yet.
    pub(crate) fn gone_on(&self, at: usize, base: EntryId, incarnation: Incarnation) -> Facts {
        let mut next = Facts::new(&self.names, self.founders);
        next.origin = base.index.0.saturating_sub(1);
        let seats = vec![(self.names[at].clone(), Some(incarnation))];
        // Which one it is, its node says.
        let genesis = What::Genesis { cluster: ClusterId::default(), seats };
        let root = next.tree.root(base.index.0, base.term.0, genesis);
        next.committed.push((root, base.term.0));
        let former = self.nodes[at].storage.map(|storage| self.storages[storage].durable);
        let durable = Image { is_named: true, last: EMPTY, ..former.unwrap_or(NOTHING) };
        next.storages.push(Storage { node: at, incarnation, durable, left: Default::default() });
        let now = Image { last: EMPTY, ..self.nodes[at].now };
        let vitals = self.nodes[at].vitals;
        let node = &mut next.nodes[at];
        (node.up, node.storage, node.now, node.vitals) = (self.nodes[at].up, Some(0), now, vitals);
        next
    }

    /// What such a node has found at its first start, it holds.
    pub(crate) fn begins_with(&mut self, at: usize, kept: &[Record], findings: &mut Findings) {
        let found = self.found(at, kept, "S15", findings);
        if let Some(storage) = self.nodes[at].storage {
            self.storages[storage].durable = found;
        }
    }

    /// Which cluster was founded.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        match &self.tree.entry(self.committed_entry(1)?).what {
            What::Genesis { cluster, .. } => Some(*cluster),
            _ => None,
        }
    }

    /// Whether a node has made durable that it goes on alone.
    pub(crate) fn is_bound_to(&self, at: usize) -> bool {
        self.nodes[at].storage.is_some_and(|storage| self.storages[storage].durable.last != EMPTY)
    }
}
