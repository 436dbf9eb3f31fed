//! A node is told to go on alone, as if the quorum were lost for good: while it runs, or by its directory when it is dead.
//!
//! From then on it is another cluster, and nothing is expected of it but that it serves what it holds. The others go on
//! without it. So only one is told so that they can spare, and one in a run.

use core::time::Duration;

use diskeyval_core::storage::Recoverer;
use diskeyval_core::{Answer, Error, Request, Seed};

use super::World;
use super::disks::Log;
use super::lives::Death;
use crate::invariants::LEAP;
use crate::notes::name;

/// How long it may take to write the state.
const GO_ON_WITHIN: Duration = Duration::from_secs(2);

/// Operations after which it is perhaps cut short.
const MOST_OPS: u64 = 40;

impl World<'_, '_, '_> {
    /// With an odd `strength` the node dies for it.
    pub(super) fn let_go_on_alone(&mut self, node: usize, lasting: Duration, strength: u64) {
        let is_twin = |other: usize| other != node && self.names[other] == self.names[node];
        let another = (0..self.nodes.len()).any(|other| is_twin(other) || self.nodes[other].goes_on_alone);
        if another || !self.nodes[node].was_member || !self.may_forget(node) {
            return;
        }
        let by_directory = strength & 1 == 1 && !self.setting.memory;
        if !by_directory && self.up[node] {
            self.nodes[node].goes_on_alone = true;
            self.say(&[node], || format!("{} is told to go on alone", name(node)));
            self.ask(node, Request::Recover, GO_ON_WITHIN);
        } else if by_directory {
            self.nodes[node].goes_on_alone = true;
            self.end(node, Death::Crash, lasting);
            self.recover_directory(node);
        }
    }

    fn recover_directory(&mut self, node: usize) {
        let seed = Seed::from_u64(self.noise.below(u64::MAX));
        let most = if self.noise.chance(1, 3) { self.noise.below(MOST_OPS) } else { u64::MAX };
        let mut recoverer = Recoverer::new(seed);
        let (now, mut done) = (self.now, 0);
        self.check(|checker| checker.recovered(now, node));
        loop {
            let ops = recoverer.take_ops();
            for (op, what) in &ops {
                self.nodes[node].disk.ask(now, Duration::ZERO, *op, what.clone());
            }
            let completed = self.nodes[node].disk.complete(now, &mut self.noise);
            done += completed.len() as u64;
            let is_cut_short = done > most || completed.is_empty() && !ops.is_empty();
            let mut results = completed.into_iter();
            let has_failed = results.any(|it| recoverer.done(it.op, it.result).is_err());
            if is_cut_short || has_failed {
                self.coverage.count("recovery: of a directory, cut short");
                self.nodes[node].disk.crash(now, true, &mut self.noise);
                break;
            }
            if recoverer.found().is_some() {
                recoverer.accept_data_loss();
            }
            if recoverer.set_aside().is_some() {
                self.coverage.count("recovery: of a directory");
                self.say(&[node], || format!("{} is to go on alone, by its directory", name(node)));
                break;
            }
            if ops.is_empty() {
                break;
            }
        }
        let this = &mut self.nodes[node];
        this.log = Log::default();
        if recoverer.set_aside().is_some() {
            this.is_out = false;
            this.disk.begins_anew();
        }
    }

    /// A node has answered, perhaps that it goes on alone.
    pub(super) fn has_gone_on(&mut self, node: usize, answer: &Answer) {
        let Answer::Recovered(result) = answer else { return };
        match result {
            Ok(_) => self.coverage.count("recovery: of a node that runs"),
            Err(Error::Refused(_)) => {
                self.coverage.count("recovery: refused");
                self.nodes[node].goes_on_alone = false;
            }
            Err(Error::Unknown(_)) => {}
        }
    }

    /// Whether a node that lives belongs to a cluster of its own.
    pub(crate) fn is_alone(&self, node: usize) -> bool {
        self.vitals(node).is_some_and(|vitals| vitals.last.index.0 >= LEAP)
    }

    /// Those that live, and belong to a cluster of their own.
    pub(crate) fn the_alone(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_alone(*node)).collect()
    }
}
