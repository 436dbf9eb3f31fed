//! What is committed, and what leaders believe of their followers.

use diskeyval_core::RoleName;
use diskeyval_core::inspect::{Belief, Vitals};

use super::super::findings::Findings;
use super::super::tree::Place;
use super::Facts;
use crate::notes::name;

impl Facts {
    /// The commit index of a node has moved.
    pub(super) fn commits(&mut self, at: usize, vitals: &Vitals, findings: &mut Findings) {
        let Some(place) = self.tree.at(self.nodes[at].now.last, vitals.commit.0) else { return };
        // Whoever commits that it is removed leads no more when its turn ends.
        let before = self.nodes[at].vitals;
        let has_led = before.role == RoleName::Leader && before.term == vitals.term && self.is_out(at);
        let leads = vitals.role == RoleName::Leader || has_led;
        if leads {
            self.comparisons.commits += 1;
            self.check_majority(at, place, findings);
        }
        let (known, index) = (self.committed_up_to(), vitals.commit.0);
        if index > known {
            if leads {
                self.extend(at, place, vitals.term.0, findings);
            } else {
                findings.broken("S7", || {
                    let (node, commit) = (name(at), vitals.commit);
                    format!("{node} takes {commit} for committed; no leader has committed beyond {known}")
                });
            }
        } else if index > 0 && self.committed_entry(index) != Some(place) {
            findings.broken("S7", || {
                format!(
                    "{} has committed another entry {index}, or others before it, than was committed",
                    name(at)
                )
            });
        }
    }

    /// A leader commits by an entry of its own term, which a majority of all seats holds durably.
    fn check_majority(&self, at: usize, place: Place, findings: &mut Findings) {
        let now = self.nodes[at].now;
        let entry = self.tree.entry(place);
        if entry.term != now.term {
            findings.broken("S9", || {
                let (node, term) = (name(at), now.term);
                format!("{node} leads term {term}, and commits by entry {}@{}", entry.index, entry.term)
            });
        }
        let configuration = self.tree.entry(now.last).configuration;
        // What was committed in this turn may have been counted before another membership was proposed in it.
        let held = self.majority_holds(configuration, place)
            || (configuration != self.configuration_before
                && self.majority_holds(self.configuration_before, place));
        if !held {
            findings.broken("S9", || {
                let node = name(at);
                format!("{node} commits {}@{}, which no majority holds durably", entry.index, entry.term)
            });
        }
    }

    /// A leader is the first to commit up to here.
    fn extend(&mut self, at: usize, place: Place, term: u64, findings: &mut Findings) {
        let known = self.committed_up_to();
        let mut fresh = Vec::new();
        let mut next = place;
        while self.tree.index(next) > known {
            fresh.push((next, term));
            next = self.tree.parent(next);
        }
        if let Some((last, _)) = self.committed.last()
            && *last != next
        {
            return findings.broken("S7", || {
                let index = self.tree.index(place);
                format!(
                    "{} commits up to {index} over another log, which is committed up to {known}",
                    name(at)
                )
            });
        }
        self.committed.extend(fresh.into_iter().rev());
    }

    /// What a leader believes of a follower, the `nth` that it tells of. Only what has changed is looked at.
    pub(crate) fn believes(&mut self, at: usize, nth: usize, belief: &Belief<'_>, findings: &mut Findings) {
        let seen = (belief.incarnation, belief.matched.0);
        let node = &mut self.nodes[at];
        if node.beliefs.get(nth) == Some(&seen) && belief.next > belief.matched {
            return;
        }
        if belief.next <= belief.matched {
            findings.broken("S10", || {
                let (leader, peer, next, matched) = (name(at), belief.peer, belief.next, belief.matched);
                format!("{leader} would send {next} to {peer}, which is known to match up to {matched}")
            });
        }
        let former = node.beliefs.iter().find(|(incarnation, _)| *incarnation == belief.incarnation);
        if former.is_some_and(|(_, matched)| *matched > belief.matched.0) {
            findings.broken("S10", || {
                format!(
                    "{} believes that {} matches less than before: {}",
                    name(at),
                    belief.peer,
                    belief.matched
                )
            });
        }
        let now = node.now;
        self.comparisons.beliefs += 1;
        // Whoever was never a node is a liar, and counts for nothing.
        if let Some(storage) = self.storage_of(belief.incarnation)
            && !self.has_agreed(storage, now.term, now.last, belief.matched.0)
        {
            findings.broken("S10", || {
                let (leader, peer, matched) = (name(at), belief.peer, belief.matched);
                format!("{leader} believes that {peer} matches up to {matched}, which is not durable there")
            });
        }
    }

    /// All that a leader has told of its followers, to be compared with what it tells next.
    pub(crate) fn remember(
        &mut self,
        at: usize,
        told: impl Iterator<Item = (diskeyval_core::Incarnation, u64)>,
    ) {
        let beliefs = &mut self.nodes[at].beliefs;
        beliefs.clear();
        beliefs.extend(told);
    }

    /// Whether a durable log equals another up to an index, or did so when its node left that term: what it said
    /// then may arrive late.
    pub(super) fn has_agreed(&self, storage: usize, term: u64, log: Place, matched: u64) -> bool {
        let storage = &self.storages[storage];
        let durable = if storage.durable.term > term {
            storage.left.get(&term).copied()
        } else {
            Some(storage.durable.last)
        };
        match (durable, self.tree.at(log, matched)) {
            (_, Some(place)) if self.tree.index(place) == 0 => true,
            (Some(durable), Some(place)) => self.tree.holds(durable, place),
            (None, _) | (_, None) => false,
        }
    }
}
