//! Elections: who leads, by whose votes, and with which log.

use diskeyval_core::{Incarnation, NodeId};

use super::super::findings::Findings;
use super::super::tree::Place;
use super::{EMPTY, Facts};
use crate::notes::name;

/// The time for which a node leads a term.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) node: usize,
    pub(super) storage: usize,
    /// Its first own entry.
    pub(super) first: u64,
    /// The end of its log. It never gives anything up.
    pub(super) last: Place,
    /// It was elected by names, to found a cluster.
    by_name: bool,
}

impl Facts {
    /// The reign of a storage in a term.
    pub(super) fn reign(&self, term: u64, storage: Option<usize>) -> Option<&Reign> {
        self.reigns.get(&term)?.iter().find(|reign| Some(reign.storage) == storage)
    }

    /// Whether this life of the node leads, or led, its present term.
    pub(super) fn has_reign(&self, at: usize) -> bool {
        self.reign(self.nodes[at].now.term, self.nodes[at].storage).is_some()
    }

    /// A node says that it leads its present term.
    pub(super) fn leads(&mut self, at: usize, findings: &mut Findings) {
        if !self.has_reign(at) {
            self.enthrone(at, findings);
        }
    }

    /// A node becomes leader of its present term. It has put nothing into its log yet.
    pub(super) fn enthrone(&mut self, at: usize, findings: &mut Findings) {
        let now = self.nodes[at].now;
        let Some(storage) = self.nodes[at].storage else {
            return findings
                .broken("S1", || format!("{} leads term {} without an incarnation", name(at), now.term));
        };
        self.comparisons.elections += 1;
        let by_name = self.tree.entry(now.last).configuration == EMPTY;
        self.check_alone(at, now.term, by_name, findings);
        self.check_part(at, findings);
        self.check_elected(at, findings);
        self.check_complete(at, findings);
        let first = self.tree.index(now.last) + 1;
        let reign = Reign { node: at, storage, first, last: now.last, by_name };
        self.reigns.entry(now.term).or_default().push(reign);
    }

    /// A term has one leader. The exception is a founding: a node that loses its disk before anything was founded
    /// may vote anew, by its name, and two may be elected to found. Their two clusters never mix (see S12).
    fn check_alone(&self, at: usize, term: u64, by_name: bool, findings: &mut Findings) {
        let others = self.reigns.get(&term).map_or(&[][..], Vec::as_slice);
        let wiped = self.storages.iter().any(|storage| {
            self.nodes[storage.node]
                .storage
                .is_none_or(|of| self.storages[of].incarnation != storage.incarnation)
        });
        for other in others {
            if !(by_name && other.by_name && wiped) {
                findings
                    .broken("S1", || format!("{} and {} both lead term {term}", name(other.node), name(at)));
            }
        }
    }

    /// A learner leads nothing; but who voted by the members before those of its log may still be needed.
    fn check_part(&self, at: usize, findings: &mut Findings) {
        let configuration = self.tree.entry(self.nodes[at].now.last).configuration;
        let before = self.tree.entry(self.tree.parent(configuration)).configuration;
        let is_it = |(id, _): &(NodeId, Option<Incarnation>)| *id == self.names[at];
        let votes = |place| {
            let members = self.members(place);
            members.is_some_and(|members| members.halves().flatten().any(is_it))
        };
        let learns = self.members(configuration).is_some_and(|members| members.learners().iter().any(is_it));
        if learns && !votes(configuration) && !votes(before) {
            findings.broken("S1", || {
                let (node, term) = (name(at), self.nodes[at].now.term);
                format!("{node} leads term {term}, and is a learner by its own log")
            });
        }
    }

    /// A majority of the seats of its own configuration has voted for it, durably, in this very term.
    fn check_elected(&self, at: usize, findings: &mut Findings) {
        let now = self.nodes[at].now;
        let candidate = self.namesake(at);
        let voted = |storage: usize| self.votes.get(&(storage, now.term)) == Some(&candidate);
        let configuration = self.tree.entry(now.last).configuration;
        let is_elected = if configuration == EMPTY {
            let has_voted = |node: &usize| {
                (0..self.storages.len()).any(|of| self.storages[of].node == *node && voted(of))
            };
            (0..self.founders).filter(has_voted).count() > self.founders / 2
        } else {
            self.majority(configuration, voted)
        };
        if !is_elected {
            findings.broken("S1", || {
                format!("{} leads term {} without the durable votes of a majority", name(at), now.term)
            });
        }
    }

    /// It has everything that was committed in earlier terms.
    fn check_complete(&self, at: usize, findings: &mut Findings) {
        let now = self.nodes[at].now;
        // A leader that was elected late may miss what a later one has committed meanwhile.
        let earlier = match self.committed.last() {
            Some((_, term)) if *term < now.term => self.committed.len(),
            _ => self.committed.partition_point(|(_, term)| *term < now.term),
        };
        let Some((place, _)) = earlier.checked_sub(1).and_then(|at| self.committed.get(at)) else { return };
        if !self.tree.holds(now.last, *place) {
            findings.broken("S8", || {
                let (node, term, index) = (name(at), now.term, self.tree.index(*place));
                format!("{node} leads term {term} without what is committed up to {index}")
            });
        }
    }
}
