//! What nodes say to each other: nothing that is not true, and no promise before the disk has it.

use diskeyval_core::EntryId;
use diskeyval_core::inspect::Claim;

use super::super::findings::Findings;
use super::super::tree::Place;
use super::seats::Seats;
use super::{Facts, Image, voted};
use crate::notes::name;

impl Facts {
    /// A node says something to another. All records of the turn were made before.
    pub(crate) fn says(&mut self, at: usize, to: usize, claim: &Claim, findings: &mut Findings) {
        let durable = match self.nodes[at].storage {
            Some(storage) if self.storages[storage].durable.is_named => self.storages[storage].durable,
            _ => {
                return findings
                    .broken("S4", || format!("{} speaks before its incarnation is durable", name(at)));
            }
        };
        match *claim {
            Claim::VoteRequest { term, pre, last, .. } => {
                self.asks_for_votes(at, last, findings);
                if !pre {
                    self.promises_vote(at, at, term.0, findings);
                }
            }
            Claim::VoteReply { term, pre: false, granted: true } => {
                self.promises_vote(at, to, term.0, findings);
            }
            Claim::VoteReply { term, pre: false, granted: false } | Claim::Confirmed { term, .. } => {
                self.promises_term(at, &durable, term.0, findings);
            }
            Claim::Appended { term, matched } => {
                self.promises_term(at, &durable, term.0, findings);
                self.promises_log(at, term.0, matched.0, findings);
            }
            Claim::Conflict { term, probed } => {
                self.promises_term(at, &durable, term.0, findings);
                self.denies(at, term.0, probed.0, findings);
            }
            Claim::Append { term, commit, .. }
            | Claim::Commit { term, commit }
            | Claim::Heartbeat { term, commit, .. } => self.directs(at, term.0, commit.0, findings),
            Claim::Snapshot { term, last, .. } => {
                self.directs(at, term.0, last.index.0, findings);
                self.sends_state(at, last, findings);
            }
            Claim::Received { term, .. } => self.promises_term(at, &durable, term.0, findings),
            Claim::TimeoutNow { term } => self.directs(at, term.0, 0, findings),
            Claim::Offer { term } => {
                self.directs(at, term.0, 0, findings);
                self.offers(at, to, findings);
            }
            // A leader sends what it has applied, so it calls that committed.
            // A pre-vote promises nothing, and services are judged by what clients see.
            Claim::VoteReply { pre: true, .. }
            | Claim::Write { .. }
            | Claim::Refused { .. }
            | Claim::Read { .. }
            | Claim::ReadAt { .. }
            | Claim::Other => {}
        }
    }

    /// Whoever asks for votes votes itself, by the log that it had then, or did so by the members before: it may be the only
    /// one who knows better.
    fn asks_for_votes(&self, at: usize, last: EntryId, findings: &mut Findings) {
        let then = self.tree.at(self.nodes[at].now.last, last.index.0);
        let Some(then) = then.filter(|place| self.tree.entry(*place).term == last.term.0) else { return };
        let configuration = self.tree.entry(then).configuration;
        let before = self.tree.entry(self.tree.parent(configuration)).configuration;
        let is_among = |seats: &Seats| seats.iter().any(|(id, _)| *id == self.names[at]);
        let learns = self.members(configuration).is_some_and(|members| is_among(members.learners()));
        let voted = self.members(before).is_some_and(|members| members.halves().any(is_among));
        if learns && !voted {
            findings.broken("S1", || format!("{} is a learner, and stands for election", name(at)));
        }
    }

    /// The state that a leader sends is that after a committed entry.
    fn sends_state(&self, at: usize, last: EntryId, findings: &mut Findings) {
        if self.committed_at(last).is_none() {
            findings.broken("S13", || {
                format!("{} sends a snapshot up to {last}, and that is not committed", name(at))
            });
        }
    }

    /// It has voted for a node in a term, and its disk knows.
    fn promises_vote(&mut self, at: usize, candidate: usize, term: u64, findings: &mut Findings) {
        self.comparisons.promises += 1;
        let storage = self.nodes[at].storage.expect("who speaks has a storage");
        let now = self.nodes[at].now;
        if let Some(life) = self.nodes[candidate].storage {
            let first = *self.granted.entry((storage, term)).or_insert(life);
            if first != life {
                findings.broken("S2", || {
                    format!("{} grants its vote in term {term} to two lives of {}", name(at), name(candidate))
                });
            }
        }
        let candidate = self.namesake(candidate);
        match self.votes.get(&(storage, term)) {
            Some(vote) if *vote == candidate => {}
            None if (now.term, now.vote) == (term, Some(candidate)) => findings.broken("S4", || {
                let (node, candidate) = (name(at), name(candidate));
                format!("{node} promises {candidate} its vote in term {term} before it is durable")
            }),
            vote => findings.broken("S2", || {
                let (node, candidate, vote) = (name(at), name(candidate), voted(vote.copied()));
                format!("{node} grants {candidate} its vote in term {term}, in which it has voted for {vote}")
            }),
        }
    }

    /// It is in this term, or a later one, and will be after a restart.
    fn promises_term(&mut self, at: usize, durable: &Image, term: u64, findings: &mut Findings) {
        self.comparisons.promises += 1;
        if durable.term < term {
            findings.broken("S4", || {
                format!(
                    "{} speaks in term {term}, and its disk knows of term {} only",
                    name(at),
                    durable.term
                )
            });
        }
    }

    /// Its log equals that of the leader of a term.
    fn promises_log(&mut self, at: usize, term: u64, matched: u64, findings: &mut Findings) {
        let storage = self.nodes[at].storage.expect("who speaks has a storage");
        if matched == 0 || self.leaders_logs(term).any(|log| self.has_agreed(storage, term, log, matched)) {
            return;
        }
        let agrees = |log: Place| {
            self.tree.at(log, matched).is_some_and(|place| self.tree.holds(self.nodes[at].now.last, place))
        };
        if self.leaders_logs(term).any(agrees) {
            findings.broken("S4", || {
                format!("{} acknowledges up to {matched} in term {term} before that is durable", name(at))
            });
        } else {
            findings.broken("S10", || {
                format!(
                    "{} says that it matches the leader of term {term} up to {matched}, and does not",
                    name(at)
                )
            });
        }
    }

    /// Its log does not hold the leader's entry at an index.
    fn denies(&self, at: usize, term: u64, probed: u64, findings: &mut Findings) {
        let now = self.nodes[at].now;
        if now.term != term || probed == 0 {
            // What waited for a disk may speak of what was before.
            return;
        }
        // It may have waited for the ballot to become durable, and have got the entry since.
        let entered = self.nodes[at].entered;
        let holds = |log: Place| {
            let place = self.tree.at(log, probed);
            place.is_some_and(|place| self.tree.holds(now.last, place) && self.tree.holds(entered, place))
        };
        if self.leaders_logs(term).any(holds) {
            findings.broken("S10", || {
                format!(
                    "{} says that it lacks entry {probed} of the leader of term {term}, and holds it",
                    name(at)
                )
            });
        }
    }

    fn leaders_logs(&self, term: u64) -> impl Iterator<Item = Place> {
        self.reigns.get(&term).into_iter().flatten().map(|reign| reign.last)
    }

    /// Only a leader gives directions, and calls nothing committed that it has not committed.
    fn directs(&self, at: usize, term: u64, commit: u64, findings: &mut Findings) {
        if self.reign(term, self.nodes[at].storage).is_none() {
            findings.broken("S1", || format!("{} speaks as the leader of term {term}, and is not", name(at)));
        }
        if commit > self.nodes[at].vitals.commit.0 {
            findings.broken("S7", || {
                format!(
                    "{} calls {commit} committed, and has committed {}",
                    name(at),
                    self.nodes[at].vitals.commit
                )
            });
        }
    }
}
