//! S16: what leases rest on. Whoever has confirmed a round of a leader votes for nobody else as long as that is good for a
//! lease.
//!
//! It counts from when the leader asked the round: the follower has heard it later, and waits for longer. Clocks have to run
//! evenly, so this is looked at only where leases are in use.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use diskeyval_core::inspect::Claim;

use super::findings::Findings;
use crate::notes::name;
use crate::observe::{Time, Turn};

#[derive(Clone, Debug)]
pub(crate) struct Promises {
    lease: Duration,
    /// When a leader asked a round of its term for the first time.
    asked: BTreeMap<(usize, u64, u64), Time>,
    /// Who stands for election in a term since its leader has told it to: that need not be waited for.
    handed_over: BTreeSet<(usize, u64)>,
    /// When the last round was asked that this life of each node has confirmed, and in which term.
    promised: Vec<Option<(Time, u64)>>,
}

impl Promises {
    pub(crate) fn new(nodes: usize, lease: Duration) -> Promises {
        Promises { lease, asked: BTreeMap::new(), handed_over: BTreeSet::new(), promised: vec![None; nodes] }
    }

    pub(crate) fn check(&mut self, turn: &Turn<'_>, findings: &mut Findings) {
        for (to, word) in turn.words {
            self.says(turn.at, turn.node, *to, &word.claim(), findings);
        }
    }

    fn says(&mut self, at: Time, node: usize, to: usize, claim: &Claim, findings: &mut Findings) {
        match *claim {
            Claim::Heartbeat { term, round, .. } if round > 0 => {
                self.asked.entry((node, term.0, round)).or_insert(at);
            }
            Claim::Confirmed { term, round } => {
                let asked = self.asked.get(&(to, term.0, round)).copied();
                self.promised[node] = self.promised[node].max(asked.map(|asked| (asked, term.0)));
            }
            Claim::VoteRequest { term, pre: false, handed_over: true, .. } => {
                self.handed_over.insert((node, term.0));
            }
            Claim::VoteReply { term, pre: false, granted: true } => {
                // A vote of an earlier term was waiting for the disk, and elects nobody against that leader.
                let Some((asked, _)) = self.promised[node].filter(|(_, of)| *of < term.0) else { return };
                if at.since(asked) < self.lease && !self.handed_over.contains(&(to, term.0)) {
                    findings.broken("S16", || {
                        let (node, to, lease) = (name(node), name(to), self.lease);
                        format!(
                            "{node} votes for {to} in term {term}, within {lease:?} of the round of {asked} that it has confirmed"
                        )
                    });
                }
            }
            _ => {}
        }
    }

    /// A life of a node is over, and with it what that has promised.
    pub(crate) fn begins_anew(&mut self, node: usize) {
        self.promised[node] = None;
    }
}

#[cfg(test)]
mod tests {
    use diskeyval_core::{EntryId, Index, Term};

    use super::*;

    const LEASE: Duration = Duration::from_millis(270);

    /// `n2` confirms a round of `n1`, and later votes for `n3`.
    fn votes(asked: u64, heard: u64, voted: u64, handed_over: bool) -> bool {
        let (mut promises, mut findings) = (Promises::new(3, LEASE), Findings::default());
        let at = |millis| Time(0) + Duration::from_millis(millis);
        let (term, next) = (Term(1), Term(2));
        let heartbeat = Claim::Heartbeat { term, commit: Index(0), round: 5 };
        let request = Claim::VoteRequest { term: next, pre: false, last: EntryId::default(), handed_over };
        let reply = Claim::VoteReply { term: next, pre: false, granted: true };
        promises.says(at(asked), 0, 1, &heartbeat, &mut findings);
        promises.says(at(heard), 0, 1, &heartbeat, &mut findings);
        promises.says(at(heard), 1, 0, &Claim::Confirmed { term, round: 5 }, &mut findings);
        promises.says(at(voted), 2, 1, &request, &mut findings);
        promises.says(at(voted), 1, 2, &reply, &mut findings);
        findings.take().is_err()
    }

    #[test]
    fn s16_who_has_confirmed_a_round_votes_for_nobody_as_long_as_that_is_good() {
        assert!(votes(100, 120, 369, false));
        // It counts from the asking.
        assert!(!votes(100, 120, 370, false));
        assert!(!votes(100, 120, 200, true), "it was told to stand for election");
    }

    #[test]
    fn s16_a_new_life_has_promised_nothing() {
        let (mut promises, mut findings) = (Promises::new(2, LEASE), Findings::default());
        let (term, round) = (Term(1), 1);
        promises.says(Time(0), 0, 1, &Claim::Heartbeat { term, commit: Index(0), round }, &mut findings);
        promises.says(Time(0), 1, 0, &Claim::Confirmed { term, round }, &mut findings);
        promises.begins_anew(1);
        let reply = Claim::VoteReply { term: Term(2), pre: false, granted: true };
        promises.says(Time(0), 1, 0, &reply, &mut findings);
        assert!(findings.take().is_ok());
    }
}
