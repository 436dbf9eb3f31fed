//! V7: what a node holds stays within its limits, at every step.

use diskeyval_core::inspect::{Belief, Burden, Said, Vitals, What};
use diskeyval_core::{Limits, Record, RoleName};

use super::findings::Findings;
use crate::notes::name;
use crate::observe::Turn;

/// What an entry takes beside keys and values, rounded up. The door of the log counts less of it.
const ENTRY: usize = 256;

/// The most that are cut into one frame unless a single entry is larger, and what stands around them.
const FRAME: usize = (256 << 10) + (8 << 10);

#[derive(Clone, Debug)]
pub(crate) struct Caps {
    limits: Limits,
    /// In which each node led in its last turn.
    reigns: Vec<Option<Reign>>,
    /// Whether the disk of each node was full after its last turn.
    full: Vec<bool>,
}

/// What a leader may hold that is beyond the limits: its log may have been longer before it led.
#[derive(Clone, Copy, Debug)]
struct Reign {
    term: u64,
    log: usize,
    uncommitted: usize,
}

impl Caps {
    pub(crate) fn new(nodes: usize, limits: Limits) -> Caps {
        Caps { limits, reigns: vec![None; nodes], full: vec![false; nodes] }
    }

    pub(crate) fn check(&mut self, node: usize, vitals: &Vitals, burden: &Burden, findings: &mut Findings) {
        let limits = &self.limits;
        // The first entry of a reign, a genesis, and members are not kept out by a full log. And a leader lets in what its
        // own log has room for: that of a follower may reach back further, to its own last snapshot.
        let elections = usize::try_from(vitals.term.0).unwrap_or(usize::MAX);
        let beside = elections.saturating_add(16).saturating_mul(ENTRY);
        let log = limits.log_bytes.saturating_mul(2).saturating_add(beside);
        let unread = limits.max_key + 2 * limits.max_value + FRAME;
        let held = [
            ("bytes of its log", burden.log, log),
            ("bytes unsent", burden.unsent, limits.send_buffer),
            ("bytes unread", burden.unread, unread),
            ("writes", burden.writes, limits.max_writes),
            // What nobody waits for takes no room.
            (
                "bytes of writes",
                burden.write_bytes,
                if burden.writes == 0 { 0 } else { limits.max_write_bytes },
            ),
            ("reads", burden.reads, limits.max_reads),
            ("connections without a hello", burden.strangers, limits.max_strangers),
            ("connections that one node has made", burden.by_one, limits.max_per_identity),
            ("links from which nothing leaves", burden.stuck, 0),
        ];
        for (what, held, cap) in held {
            if held > cap {
                findings
                    .broken("V7", || format!("{} holds {held} {what}, and {cap} are allowed", name(node)));
            }
        }
        self.check_leader(node, vitals, burden, findings);
    }

    /// A leader sends entries without waiting as long as there is room in the window.
    pub(crate) fn check_window(&self, node: usize, belief: &Belief<'_>, findings: &mut Findings) {
        let cap = self.limits.append_window;
        if belief.before_last_append >= cap {
            findings.broken("V7", || {
                let (sent, peer) = (belief.before_last_append, belief.peer);
                format!(
                    "{} has sent to {peer} what {sent} bytes were on their way before; {cap} are allowed",
                    name(node)
                )
            });
        }
    }

    /// A leader lets its log, and what is uncommitted of it, grow up to the limits. What it has inherited may be more,
    /// and so may be what a follower holds, which learns late what is committed, and of the leader's log takes it all.
    fn check_leader(&mut self, node: usize, vitals: &Vitals, burden: &Burden, findings: &mut Findings) {
        let term = vitals.term.0;
        let present = Reign { term, log: burden.log, uncommitted: burden.uncommitted };
        let former = self.reigns[node].replace(present).filter(|reign| reign.term == term);
        if vitals.role != RoleName::Leader {
            self.reigns[node] = None;
        } else if let Some(former) = former {
            let held = [
                ("bytes of its log", burden.log, self.limits.log_bytes.max(former.log)),
                (
                    "bytes uncommitted",
                    burden.uncommitted,
                    self.limits.max_uncommitted.max(former.uncommitted),
                ),
            ];
            for (what, held, cap) in held {
                if held > cap.saturating_add(16 * ENTRY) {
                    findings.broken("V7", || {
                        format!("{} leads, and has {held} {what}; {cap} are allowed", name(node))
                    });
                }
            }
        }
    }

    /// What programs write is not taken in by a leader whose disk has no room for it.
    pub(crate) fn check_disk(&mut self, turn: &Turn<'_>, findings: &mut Findings) {
        let full = turn.engine.burden().disk_full;
        let was_full = core::mem::replace(&mut self.full[turn.node], full);
        if !full || !was_full || turn.vitals.role != RoleName::Leader {
            return;
        }
        let is_write = |record: &&Record| match record {
            Record::Entry { bytes, .. } => {
                Said::parse(bytes.clone()).is_some_and(|said| matches!(said.what, What::Write { .. }))
            }
            _ => false,
        };
        if let Some(Record::Entry { index, .. }) = turn.records.iter().find(is_write) {
            findings.broken("V7", || {
                format!("{} leads, its disk is full, and it takes in a write at {index}", name(turn.node))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskeyval_core::{EntryId, Index, Term};

    fn broken(burden: Burden, role: RoleName) -> bool {
        let mut limits = Limits::default();
        (limits.log_bytes, limits.max_writes, limits.max_reads) = (10_000, 4, 5);
        (limits.send_buffer, limits.max_value, limits.max_uncommitted) = (1_000, 10, 5_000);
        let mut caps = Caps::new(1, limits);
        let vitals = Vitals {
            role,
            term: Term(1),
            last: EntryId::default(),
            commit: Index(0),
            applied: Index(0),
            hands_over: false,
        };
        let mut findings = Findings::default();
        caps.check(0, &vitals, &Burden::default(), &mut findings);
        caps.check(0, &vitals, &burden, &mut findings);
        findings.take().is_err_and(|violation| violation.rule == "V7")
    }

    #[test]
    fn whatever_is_beyond_its_limit_is_found() {
        let nothing = Burden::default();
        let role = RoleName::Leader;
        assert!(!broken(Burden { log: 10_000, unsent: 1_000, writes: 4, reads: 5, ..nothing }, role));
        assert!(broken(Burden { log: 15_000, ..nothing }, role));
        assert!(!broken(Burden { log: 15_000, ..nothing }, RoleName::Follower));
        assert!(broken(Burden { log: 30_000, ..nothing }, RoleName::Follower));
        assert!(broken(Burden { unsent: 1_001, ..nothing }, role));
        assert!(broken(Burden { unread: 1 << 20, ..nothing }, role));
        assert!(broken(Burden { writes: 5, ..nothing }, role));
        assert!(broken(Burden { reads: 6, ..nothing }, role));
        assert!(broken(Burden { strangers: 65, ..nothing }, role));
        assert!(broken(Burden { by_one: 9, ..nothing }, role));
        assert!(broken(Burden { stuck: 1, ..nothing }, role));
        assert!(broken(Burden { uncommitted: 10_000, ..nothing }, role));
        assert!(!broken(Burden { uncommitted: 10_000, ..nothing }, RoleName::Follower));
    }
}
