//! The cluster that was founded, and those of the nodes that go on alone since its quorum is said to be lost: each is one by
//! itself, with a log, leaders and clients of its own.

use diskeyval_core::{ClusterId, EntryId, NodeId, Record};

use super::clients::Clients;
use super::facts::{Facts, LEAP};
use super::findings::Findings;
use crate::notes::name;
use crate::observe::{Turn, incarnation};

/// What is true of one cluster, and what it has told.
#[derive(Clone, Debug)]
pub(super) struct Era {
    pub(super) facts: Facts,
    pub(super) clients: Clients,
    /// As its nodes say.
    cluster: Option<ClusterId>,
}

/// All of them, and who belongs to which.
#[derive(Clone, Debug)]
pub(super) struct Eras {
    eras: Vec<Era>,
    of: Vec<usize>,
    /// Who was told to go on alone.
    told: Vec<bool>,
}

impl Eras {
    pub(super) fn new(names: &[NodeId], founders: usize) -> Eras {
        let (facts, clients) = (Facts::new(names, founders), Clients::new(names));
        let nodes = names.len();
        Eras {
            eras: vec![Era { facts, clients, cluster: None }],
            of: vec![0; nodes],
            told: vec![false; nodes],
        }
    }

    /// The one that was founded.
    pub(super) fn first(&self) -> &Era {
        &self.eras[0]
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Era> {
        self.eras.iter_mut()
    }

    /// The one that a node belongs to.
    pub(super) fn of(&mut self, node: usize) -> &mut Era {
        &mut self.eras[self.of[node]]
    }

    pub(super) fn tell(&mut self, node: usize) {
        self.told[node] = true;
    }

    pub(super) fn is_refused(&mut self, node: usize) {
        self.told[node] = false;
    }

    /// A node that runs has a state in place of its log: perhaps it goes on alone with that.
    pub(super) fn goes_on(&mut self, node: usize, base: EntryId, findings: &mut Findings) {
        let facts = &self.eras[self.of[node]].facts;
        let is_alone = self.told[node] && facts.committed_at(base).is_none();
        let Some(life) = facts.life(node).filter(|_| is_alone) else { return };
        let (held, next) = (facts.held(node, base, findings), facts.gone_on(node, base, life));
        self.begin(node, base, next, held);
    }

    /// A node opens. Tells whether it goes on alone, for the first time.
    pub(super) fn opens(&mut self, node: usize, kept: &[Record], findings: &mut Findings) -> bool {
        let base = kept.iter().rev().find_map(|record| match record {
            Record::Base { last } => Some(*last),
            _ => None,
        });
        let knows = |era: &Era| base.is_some_and(|base| era.facts.committed_at(base).is_some());
        let life = incarnation(kept).filter(|_| self.told[node]);
        let is_alone = |base: &EntryId| base.index.0 > LEAP && !self.eras.iter().any(knows);
        if let (Some(base), Some(life)) = (base.filter(is_alone), life) {
            let facts = &self.of(node).facts;
            let held = facts.held(node, base, findings);
            let mut next = facts.gone_on(node, base, life);
            next.begins_with(node, kept, findings);
            self.begin(node, base, next, held);
            return true;
        }
        // It was told to go on alone, and has died before that was durable: it is who it was.
        let era = self.eras.iter().rposition(knows).unwrap_or(0);
        if era != self.of[node] && self.of(node).facts.is_bound_to(node) {
            findings.broken("S15", || format!("{} goes on alone, and finds its former cluster", name(node)));
        }
        self.of[node] = era;
        false
    }

    fn begin(&mut self, node: usize, base: EntryId, facts: Facts, held: super::tree::Place) {
        let former = &mut self.eras[self.of[node]];
        let log = former.facts.log(held);
        let life = facts.life(node).unwrap_or_default();
        let clients = former.clients.gone_on(node, life, &log, base.index.0);
        former.facts.crashed(node, false);
        former.clients.crashed(node);
        self.told[node] = false;
        self.of[node] = self.eras.len();
        self.eras.push(Era { facts, clients, cluster: None });
    }

    /// A node has taken a turn. No other cluster has the id of its own.
    pub(super) fn check_cluster(&mut self, turn: &Turn<'_>, findings: &mut Findings) {
        let era = self.of[turn.node];
        if era == 0 || self.eras[era].cluster.is_some() || !self.eras[era].facts.is_up(turn.node) {
            return;
        }
        let cluster = turn.engine.status().cluster_id;
        let mut others = self.eras.iter().map(|other| other.facts.cluster().or(other.cluster));
        if cluster.is_none() || others.any(|other| other == cluster) {
            findings.broken("S12", || format!("{} goes on alone, and as the same cluster", name(turn.node)));
        }
        self.eras[era].cluster = cluster;
    }

    pub(super) fn crashed(&mut self, node: usize, wiped: bool) {
        for era in &mut self.eras {
            era.facts.crashed(node, wiped);
            era.clients.crashed(node);
        }
        if wiped {
            self.of[node] = 0;
        }
    }
}
