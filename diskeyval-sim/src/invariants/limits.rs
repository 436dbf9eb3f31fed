//! V7: what a node holds stays within its limits, at every step.

use diskeyval_core::inspect::{Belief, Burden, Vitals};
use diskeyval_core::{Limits, RoleName};

use super::findings::Findings;
use crate::notes::name;

/// What an entry takes beside keys and values, rounded up. The door of the log counts less of it.
const ENTRY: usize = 256;

/// The most that are cut into one frame unless a single entry is larger, and what stands around them.
const FRAME: usize = (256 << 10) + (8 << 10);

#[derive(Clone, Debug)]
pub(crate) struct Caps {
    limits: Limits,
    /// The term in which each node led in its last turn, and what was uncommitted then.
    led: Vec<Option<(u64, usize)>>,
}

impl Caps {
    pub(crate) fn new(nodes: usize, limits: Limits) -> Caps {
        Caps { limits, led: vec![None; nodes] }
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
        ];
        for (what, held, cap) in held {
            if held > cap {
                findings
                    .broken("V7", || format!("{} holds {held} {what}, and {cap} are allowed", name(node)));
            }
        }
        self.check_uncommitted(node, vitals, burden, findings);
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

    /// A leader lets its uncommitted entries grow up to the limit. What it has inherited may be more, and so may be
    /// what a follower holds, which learns late what is committed.
    fn check_uncommitted(&mut self, node: usize, vitals: &Vitals, burden: &Burden, findings: &mut Findings) {
        if vitals.role != RoleName::Leader {
            self.led[node] = None;
            return;
        }
        let term = vitals.term.0;
        if let Some((_, inherited)) = self.led[node].filter(|(led, _)| *led == term) {
            let cap = self.limits.max_uncommitted.max(inherited) + 16 * ENTRY;
            if burden.uncommitted > cap {
                findings.broken("V7", || {
                    format!(
                        "{} leads, and has {} bytes uncommitted; {cap} are allowed",
                        name(node),
                        burden.uncommitted
                    )
                });
            }
        }
        self.led[node] = Some((term, burden.uncommitted));
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
        let vitals =
            Vitals { role, term: Term(1), last: EntryId::default(), commit: Index(0), applied: Index(0) };
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
        assert!(broken(Burden { log: 30_000, ..nothing }, role));
        assert!(broken(Burden { unsent: 1_001, ..nothing }, role));
        assert!(broken(Burden { unread: 1 << 20, ..nothing }, role));
        assert!(broken(Burden { writes: 5, ..nothing }, role));
        assert!(broken(Burden { reads: 6, ..nothing }, role));
        assert!(broken(Burden { uncommitted: 10_000, ..nothing }, role));
        assert!(!broken(Burden { uncommitted: 10_000, ..nothing }, RoleName::Follower));
    }
}
