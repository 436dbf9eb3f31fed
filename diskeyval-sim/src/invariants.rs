//! What must never happen, looked for at every step and outside of the nodes.
//!
//! [`Invariants`] bundles the checkers. What is true of the cluster as a whole is kept in `facts.rs`, as Raft on
//! sets of facts; what a log of committed entries comes to, in `store.rs`; what clients may be told, in `clients.rs`;
//! how much a node may hold, in `limits.rs`.

mod clients;
mod eras;
mod facts;
mod findings;
mod limits;
mod promises;
mod store;
#[cfg(test)]
mod tests;
mod tree;

use core::time::Duration;

use diskeyval_core::{
    Answer, Engine, Error, Event, Fault, Limits, NodeId, Record, Request, RoleName, Ticket,
};

use crate::notes::name;
use crate::observe::{Checker, Time, Turn, Violation, Wrong};
use eras::{Era, Eras};
pub use facts::Comparisons;
pub(crate) use facts::LEAP;
use findings::Findings;
use limits::Caps;
use promises::Promises;

/// Every rule, with what it says. Those that only a simulator's schedule can judge (how soon a leader is elected,
/// say) are not here.
pub const RULES: &[(&str, &str)] = &[
    (
        "S1",
        "a term has one leader, whom a majority of the seats of its own configuration has elected durably, and no learner stands",
    ),
    ("S2", "an incarnation votes once in a term, across restarts, and grants only the vote that it has cast"),
    ("S3", "term, commit index and applied index never go back, and a restart finds the last durable ballot"),
    ("S4", "nothing is promised before it is durable, and what is in memory is on its way to the disk"),
    ("S5", "one term and index, one entry with one past, payload included"),
    (
        "S6",
        "a leader only appends, a follower takes only what was proposed, and only a conflict gives entries up",
    ),
    ("S7", "what is committed first anywhere, by a leader, is committed everywhere and for ever"),
    ("S8", "a new leader has everything that was committed in earlier terms"),
    ("S9", "a leader commits by an entry of its own term that a majority of all seats holds durably"),
    ("S10", "what a follower says of its log is true, and what a leader believes of it"),
    ("S11", "equal logs make equal states"),
    (
        "S12",
        "there is one cluster; members change one step at a time, after a commit of the leader's own term",
    ),
    ("S13", "applied, committed and last index are in this order"),
    ("S15", "a restart finds what was durable, or more of what was on its way, and nothing else"),
    (
        "S16",
        "whoever has confirmed a leader's round votes for nobody else as long as that is good for a lease",
    ),
    ("D1", "a disk that did nothing wrong is not said to have failed, or to be damaged"),
    ("D2", "a node whose disk was damaged says so, or still has everything that it promised"),
    (
        "D3",
        "a damaged node begins anew only when a leader offers it that, while a majority of all seats without it holds what is committed",
    ),
    ("E1", "reads and writes are linearizable, with the log as the order"),
    ("E2", "a write takes effect once at the most"),
    ("E3", "a write is answered with what its own entry came to, once that is committed"),
    ("E4", "in the end every member has everything that is committed"),
    ("E5", "a write that was refused, or found a mismatch, has no effect, neither before nor later"),
    ("E6", "a node reports every committed change, in order and once"),
    ("E7", "a node answers from its own state, which never goes back"),
    ("E8", "a linearizable read reflects, and a write follows, all that was committed when it was asked for"),
    ("V2", "every question gets one answer"),
    ("V7", "a node holds no more than its limits allow"),
];

/// All checkers, in order: facts first, since the others rest on what is committed.
#[derive(Clone, Debug)]
pub struct Invariants {
    eras: Eras,
    caps: Caps,
    promises: Option<Promises>,
    /// What the disk of each node did wrong.
    disks: Vec<Disk>,
    findings: Findings,
}

#[derive(Clone, Copy, Debug, Default)]
struct Disk {
    /// In this life of the node.
    failed: bool,
    full: bool,
    damaged: bool,
    /// It has said so in this life, and keeps out.
    told: bool,
}

impl Invariants {
    /// For nodes with these names, in the order of their numbers, of which the first so many are the initial members, and
    /// these limits.
    pub fn new(names: &[NodeId], founders: usize, limits: Limits) -> Invariants {
        Invariants {
            eras: Eras::new(names, founders),
            caps: Caps::new(names.len(), limits),
            promises: None,
            disks: vec![Disk::default(); names.len()],
            findings: Findings::default(),
        }
    }

    /// Leaders may rely for so long on a round that is confirmed, and clocks run evenly enough for that.
    #[must_use]
    pub fn with_leases(mut self, lease: Duration) -> Invariants {
        self.promises = Some(Promises::new(self.disks.len(), lease));
        self
    }

    /// Looks away where these rules are broken. Names that are none are passed over.
    #[must_use]
    pub fn without(mut self, rules: &[&str]) -> Invariants {
        for (rule, _) in RULES.iter().filter(|(rule, _)| rules.contains(rule)) {
            self.findings.turn_off(rule);
        }
        self
    }

    /// Up to where the log is committed, of the cluster that was founded.
    pub fn committed(&self) -> u64 {
        self.eras.first().facts.committed_up_to()
    }

    /// What was compared up to now.
    pub fn comparisons(&self) -> Comparisons {
        self.eras.first().facts.comparisons
    }

    fn check_facts(&mut self, turn: &Turn<'_>) {
        let Invariants { eras, findings, caps, .. } = self;
        if !turn.records.is_empty() {
            eras.of(turn.node).facts.begin_turn(turn.node);
            let first = turn.recorded + 1 - turn.records.len() as u64;
            for (place, record) in turn.records.iter().enumerate() {
                if let Record::Base { last } = record {
                    eras.goes_on(turn.node, *last, findings);
                }
                let facts = &mut eras.of(turn.node).facts;
                let next = turn.records.get(place + 1);
                let number = first + place as u64;
                facts.recorded(turn.node, number, record, next, findings);
                // In memory that is durable at once: a node alone votes and leads in one turn.
                if number <= turn.engine.journal_durable() {
                    facts.stored(turn.node, number, findings);
                }
            }
        }
        let facts = &mut eras.of(turn.node).facts;
        facts.stored(turn.node, turn.engine.journal_durable(), findings);
        let before = facts.vitals(turn.node);
        if turn.vitals != before || !turn.records.is_empty() {
            facts.stands(turn.node, turn.vitals, findings);
            facts.goes_by(turn.node, turn.engine.members_at(), || turn.engine.members(), findings);
        }
        for (to, word) in turn.words {
            facts.says(turn.node, *to, &word.claim(), findings);
        }
        if turn.vitals.role == RoleName::Leader {
            for (nth, belief) in turn.engine.beliefs().enumerate() {
                facts.believes(turn.node, nth, &belief, findings);
                caps.check_window(turn.node, &belief, findings);
            }
            let told = turn.engine.beliefs().map(|belief| (belief.incarnation, belief.matched.0));
            facts.remember(turn.node, told);
        } else if before.role == RoleName::Leader {
            facts.remember(turn.node, core::iter::empty());
        }
        if turn.vitals.applied != before.applied {
            facts.applied(turn.node, turn.vitals.applied.0, turn.engine.state_hash(), findings);
        }
    }

    /// Whoever is told that a file is damaged may throw a node away.
    fn check_damage(&mut self, node: usize, events: &[Event]) {
        let Disk { failed, damaged, .. } = self.disks[node];
        for event in events {
            match event {
                Event::Damaged(damage) => {
                    self.disks[node].told = true;
                    if !(failed || damaged) {
                        self.findings
                            .broken("D1", || format!("{} says that {damage}, and it is not", name(node)));
                    }
                }
                Event::Removed if !self.eras.of(node).facts.was_removed(node) => {
                    self.findings
                        .broken("S12", || format!("{} says that it was removed, and was not", name(node)));
                }
                Event::BegunAnew { .. } => {
                    self.promises.iter_mut().for_each(|promises| promises.begins_anew(node));
                    (self.disks[node].told, self.disks[node].damaged) = (false, false);
                    self.eras.of(node).facts.began_anew(node, &mut self.findings);
                }
                _ => {}
            }
        }
    }

    /// A node that has not opened knows nothing, and says nothing to others, but that it is not there yet. One that is
    /// damaged says who it is.
    fn check_opening(&mut self, turn: &Turn<'_>) {
        let Invariants { eras, findings, .. } = self;
        let Era { facts, clients, .. } = eras.of(turn.node);
        let told = self.disks[turn.node].told;
        let may_be_said = |kind: &str| match kind {
            "goodbye" => true,
            "hello" | "welcome" | "confirm" | "ping" => told,
            _ => false,
        };
        if let Some((to, word)) = turn.words.iter().find(|(_, word)| !may_be_said(word.kind())) {
            let node = name(turn.node);
            findings.broken("S4", || format!("{node} has not opened, and says to {}: {word}", name(*to)));
        }
        if !turn.records.is_empty() {
            findings.broken("S4", || format!("{} has not opened, and keeps something", name(turn.node)));
        }
        for (ticket, answer) in turn.answers {
            clients.answered(turn.node, *ticket, answer, &mut facts.comparisons, findings);
        }
    }

    fn check_clients(&mut self, turn: &Turn<'_>) {
        let Invariants { eras, findings, .. } = self;
        let Era { facts, clients, .. } = eras.of(turn.node);
        while let Some(place) = facts.committed_entry(clients.store.applied() + 1) {
            clients.committed(&facts.tree.entry(place).what, findings);
        }
        clients.applied(turn.node, turn.vitals.applied.0);
        for (ticket, answer) in turn.answers {
            clients.answered(turn.node, *ticket, answer, &mut facts.comparisons, findings);
        }
        clients.check_waiting(turn.node, findings);
        let is_member = turn.engine.is_member();
        clients.reported(turn.node, is_member, turn.events, &mut facts.comparisons, findings);
    }

    /// Halting is right where a disk has failed, or was damaged. Memory never is, here.
    fn check_fault(&mut self, node: usize, fault: &Fault) {
        let Disk { failed, full, damaged, .. } = self.disks[node];
        let rule = match fault {
            // Without room for its first files a node does not begin. Later a full disk is no reason to end.
            Fault::Storage(diskeyval_core::StorageFault::Failed { .. })
                if full && !self.eras.of(node).facts.is_up(node) =>
            {
                return;
            }
            // A read that comes short is like a file that is, and a file that is gone cannot be written to.
            Fault::Storage(_) if failed || damaged => return,
            Fault::Storage(_) => "D1",
            Fault::CommittedOverwritten { .. } => "S7",
            Fault::Superseded if self.eras.of(node).facts.was_superseded(node) => return,
            Fault::Superseded => "S12",
            _ => "S11",
        };
        self.findings.broken(rule, || format!("{} halts: {fault}", name(node)));
    }
}

impl Checker for Invariants {
    fn started(&mut self, _: Time, node: usize, kept: &[Record]) -> Result<(), Violation> {
        if self.eras.opens(node, kept, &mut self.findings) {
            (self.disks[node].told, self.disks[node].damaged) = (false, false);
        }
        self.eras.of(node).facts.started(node, kept, &mut self.findings);
        self.findings.take()
    }

    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), Violation> {
        self.check_damage(turn.node, turn.events);
        for (_, answer) in turn.answers {
            if matches!(answer, Answer::Recovered(Err(Error::Refused(_)))) {
                self.eras.is_refused(turn.node);
            }
        }
        if self.eras.of(turn.node).facts.is_up(turn.node) {
            self.check_facts(turn);
            self.check_clients(turn);
            self.eras.check_cluster(turn, &mut self.findings);
        } else {
            self.check_opening(turn);
        }
        if let Some(promises) = &mut self.promises {
            promises.check(turn, &mut self.findings);
        }
        self.caps.check(turn.node, &turn.vitals, &turn.engine.burden(), &mut self.findings);
        self.caps.check_disk(turn, &mut self.findings);
        if let Some(fault) = turn.halted {
            self.check_fault(turn.node, fault);
        }
        self.findings.take()
    }

    fn stored(&mut self, _: Time, node: usize, up_to: u64) -> Result<(), Violation> {
        self.eras.of(node).facts.stored(node, up_to, &mut self.findings);
        self.findings.take()
    }

    fn crashed(&mut self, _: Time, node: usize, wiped: bool) -> Result<(), Violation> {
        self.eras.crashed(node, wiped);
        if wiped {
            self.promises.iter_mut().for_each(|promises| promises.begins_anew(node));
        }
        let disk = &mut self.disks[node];
        (disk.failed, disk.full, disk.told) = (false, false, false);
        self.disks[node].damaged &= !wiped;
        self.findings.take()
    }

    fn harmed(&mut self, _: Time, node: usize, wrong: Wrong) -> Result<(), Violation> {
        match wrong {
            Wrong::Failed => self.disks[node].failed = true,
            Wrong::Full => self.disks[node].full = true,
            Wrong::Damaged => {
                self.disks[node].damaged = true;
                self.eras.of(node).facts.damaged(node);
            }
        }
        self.findings.take()
    }

    fn asked(&mut self, _: Time, node: usize, ticket: Ticket, request: &Request) -> Result<(), Violation> {
        if matches!(request, Request::Recover) {
            self.eras.tell(node);
        }
        self.eras.of(node).clients.asked(node, ticket, request);
        self.findings.take()
    }

    fn recovered(&mut self, _: Time, node: usize) -> Result<(), Violation> {
        self.eras.tell(node);
        self.findings.take()
    }

    fn finished(&mut self, _: Time, alive: &[(usize, &Engine)]) -> Result<(), Violation> {
        let Invariants { eras, findings, .. } = self;
        for Era { facts, clients, .. } in eras.all() {
            let alone: Vec<usize> = alive.iter().map(|(node, _)| *node).collect();
            facts.finished(findings);
            clients.finished(&alone, findings);
            let committed = facts.committed_up_to();
            for (node, engine) in alive.iter().filter(|(node, _)| facts.is_seated(*node)) {
                let applied = engine.vitals().applied;
                if applied.0 < committed {
                    findings.broken("E4", || {
                        format!(
                            "{} has applied {applied} in the end, and {committed} are committed",
                            name(*node)
                        )
                    });
                }
            }
        }
        self.findings.take()
    }
}
