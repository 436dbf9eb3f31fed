//! What is put into logs, and what is given up.

use bytes::Bytes;
use diskeyval_core::inspect::{Said, What};

use super::super::findings::Findings;
use super::super::tree::Place;
use super::Facts;
use crate::notes::name;

/// What stands behind a truncation, in the same turn.
pub(crate) enum Follows<'r> {
    /// An entry in the place of the first that was given up.
    Entry(&'r Bytes),
    Nothing,
}

impl Facts {
    /// A node puts an entry at the end of its log.
    pub(super) fn appended(&mut self, at: usize, index: u64, bytes: &Bytes, findings: &mut Findings) {
        let now = self.nodes[at].now;
        let last = self.tree.index(now.last);
        if index != last + 1 {
            findings.broken("S6", || format!("{} puts entry {index} behind entry {last}", name(at)));
        }
        let place = match self.tree.find(now.last, bytes) {
            Some(place) => place,
            None => self.proposed_by(at, bytes, findings),
        };
        let term = self.tree.entry(place).term;
        if term > now.term || term < self.tree.entry(now.last).term {
            findings.broken("S5", || {
                let (node, former) = (name(at), self.tree.entry(now.last).term);
                format!("{node}, in term {}, puts entry {index}@{term} behind one of term {former}", now.term)
            });
        }
        if term != now.term && self.has_reign(at) {
            findings.broken("S6", || {
                format!("{} leads term {}, and appends entry {index}@{term}", name(at), now.term)
            });
        }
        self.nodes[at].now.last = place;
    }

    /// An entry that nobody had before: its leader proposes it, or it must not be.
    fn proposed_by(&mut self, at: usize, bytes: &Bytes, findings: &mut Findings) -> Place {
        let now = self.nodes[at].now;
        let index = self.tree.index(now.last) + 1;
        let said = Said::parse(bytes.clone());
        if said.is_none() {
            findings.broken("S5", || format!("entry {index} of {} cannot be understood", name(at)));
        }
        let said = said.unwrap_or(Said { term: diskeyval_core::Term(now.term), what: What::Noop });
        let term = said.term.0;
        // Who has voted for itself may have been elected in this turn: its first entry tells.
        let leads = term == now.term && (self.has_reign(at) || now.vote == Some(self.namesake(at)));
        if leads {
            self.leads(at, findings);
            self.check_own(at, index, findings);
        } else {
            self.check_foreign(at, index, term, findings);
        }
        let place = self.tree.grow(now.last, term, said.what, bytes.clone());
        if leads {
            let storage = self.nodes[at].storage;
            let reigns = self.reigns.get_mut(&term);
            let reign =
                reigns.and_then(|reigns| reigns.iter_mut().find(|reign| Some(reign.storage) == storage));
            if let Some(reign) = reign {
                reign.last = place;
            }
            self.judge_proposal(at, place, findings);
        }
        place
    }

    /// A leader only appends, behind the last that it has appended.
    fn check_own(&self, at: usize, index: u64, findings: &mut Findings) {
        let now = self.nodes[at].now;
        let Some(reign) = self.reign(now.term, self.nodes[at].storage) else { return };
        if reign.last != now.last {
            findings.broken("S6", || {
                let last = self.tree.index(reign.last);
                format!(
                    "{} leads term {}, has appended up to {last}, and now writes {index} anew",
                    name(at),
                    now.term
                )
            });
        }
    }

    fn check_foreign(&self, at: usize, index: u64, term: u64, findings: &mut Findings) {
        let reigns = self.reigns.get(&term).map_or(&[][..], Vec::as_slice);
        let proposed =
            reigns.iter().find(|reign| self.tree.index(reign.last) >= index && reign.first <= index);
        match proposed {
            Some(reign) => findings.broken("S5", || {
                let leader = name(reign.node);
                format!("entry {index}@{term} of {} is not the one that {leader} has proposed", name(at))
            }),
            None => findings.broken("S6", || {
                format!("{} appends entry {index}@{term}, which nobody has proposed", name(at))
            }),
        }
    }

    /// A node gives up the entries behind an index.
    pub(super) fn truncated(
        &mut self,
        at: usize,
        behind: u64,
        follows: Follows<'_>,
        findings: &mut Findings,
    ) {
        let (now, commit) = (self.nodes[at].now, self.nodes[at].vitals.commit.0);
        self.comparisons.conflicts += 1;
        if behind < commit {
            findings.broken("S7", || {
                format!("{} gives up what is behind {behind}, and has committed up to {commit}", name(at))
            });
        }
        let Some(kept) = self.tree.at(now.last, behind) else { return };
        // A founding that came to nothing may be given up, even by its leader.
        let is_founding = behind == 0 && commit == 0 && self.tree.entry(now.last).is_unfounded;
        if !is_founding {
            self.check_conflict(at, kept, follows, findings);
        }
        self.nodes[at].now.last = kept;
    }

    /// Only a proven conflict gives up entries, and never a leader's own.
    fn check_conflict(&self, at: usize, kept: Place, follows: Follows<'_>, findings: &mut Findings) {
        let (now, behind) = (self.nodes[at].now, self.tree.index(kept));
        if self.has_reign(at) {
            findings.broken("S6", || {
                format!("{} leads term {}, and gives up what is behind {behind}", name(at), now.term)
            });
        }
        let given_up = self.tree.at(now.last, behind + 1).map(|place| self.tree.entry(place));
        let replaced = match follows {
            Follows::Entry(bytes) => Said::parse(bytes.clone()),
            Follows::Nothing => None,
        };
        let (Some(given_up), Some(replaced)) = (given_up, &replaced) else {
            return findings.broken("S6", || {
                format!("{} gives up what is behind {behind}, and puts nothing in its place", name(at))
            });
        };
        if given_up.term == replaced.term.0 && behind > 0 {
            findings.broken("S6", || {
                let (index, term) = (given_up.index, given_up.term);
                format!("{} gives up entry {index}@{term} for one of the same term", name(at))
            });
        }
    }
}
