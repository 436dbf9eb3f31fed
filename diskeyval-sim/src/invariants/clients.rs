//! What clients are told, against the reference model of the store.
//!
//! The order of the log is the witness: an answer is right if it fits some index between what had been seen
//! before the question and what is committed now.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use diskeyval_core::inspect::What;
use diskeyval_core::{
    Answer, Change, Command, Error, Event, Incarnation, NodeId, Outcome, Read, Request, Ticket, Versioned,
};

use super::facts::Comparisons;
use super::findings::Findings;
use super::store::{Store, value_of};
use crate::notes::name;

#[derive(Clone, Debug)]
pub(crate) struct Clients {
    names: Vec<NodeId>,
    pub(crate) store: Store,
    pending: BTreeMap<Ticket, Pending>,
    /// How often each value was asked to be written, was refused, and took effect.
    values: BTreeMap<Bytes, Fate>,
    /// The highest index that any answer up to now has shown.
    seen: u64,
    lives: Vec<Life>,
}

#[derive(Clone, Debug)]
struct Pending {
    node: usize,
    asked: Asked,
    then: Then,
}

/// How far the log was when something was asked.
#[derive(Clone, Copy, Debug)]
struct Then {
    /// The highest index that any answer had shown.
    seen: u64,
    /// What was committed, whether anybody knew or not.
    committed: u64,
}

#[derive(Clone, Debug)]
enum Asked {
    Write(Command),
    Get(Bytes, Read),
    /// Judged by being answered.
    Other,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    asked: u32,
    without_effect: u32,
    took_effect: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// Up to where it had applied the log before its present turn, and has now.
    before: u64,
    applied: u64,
    /// The next change that it has to report, once it has begun to.
    next_change: Option<usize>,
    /// Up to where it has said at last that it has moved on at once.
    resynced: u64,
}

impl Clients {
    pub(crate) fn new(names: &[NodeId]) -> Clients {
        Clients {
            names: names.to_vec(),
            store: Store::default(),
            pending: BTreeMap::new(),
            values: BTreeMap::new(),
            seen: 0,
            lives: vec![Life::default(); names.len()],
        }
    }

    /// The same, as a node takes it with it that goes on alone: what its log comes to, with all that it holds, and what it
    /// was asked and has not answered. Whatever is asked of it from now on follows from there.
    pub(crate) fn gone_on(
        &self,
        node: usize,
        incarnation: Incarnation,
        log: &[&What],
        revision: u64,
    ) -> Clients {
        let unborn = vec![Life::default(); self.lives.len()];
        let mut next =
            Clients { store: Store::default(), pending: BTreeMap::new(), lives: unborn, ..self.clone() };
        next.values.values_mut().for_each(|fate| fate.took_effect = 0);
        for value in log.iter().filter_map(|what| next.store.apply(what)) {
            next.values.entry(value).or_default().took_effect += 1;
        }
        next.seen = next.store.applied();
        next.store.leap(revision, (self.names[node].clone(), Some(incarnation)));
        let of_it = self.pending.iter().filter(|(_, pending)| pending.node == node);
        let then = Then { seen: 0, committed: 0 };
        next.pending =
            of_it.map(|(ticket, pending)| (*ticket, Pending { then, ..pending.clone() })).collect();
        next.lives[node] = self.lives[node];
        next
    }

    /// What was asked of the node is of unknown fate.
    pub(crate) fn crashed(&mut self, node: usize) {
        self.lives[node] = Life::default();
        self.pending.retain(|_, pending| pending.node != node);
    }

    pub(crate) fn asked(&mut self, node: usize, ticket: Ticket, request: &Request) {
        let asked = match request {
            Request::Write(command) => {
                if let Some(value) = value_of(command) {
                    self.values.entry(value.clone()).or_default().asked += 1;
                }
                Asked::Write(command.clone())
            }
            Request::Get { key, read } => Asked::Get(key.clone(), *read),
            _ => Asked::Other,
        };
        let then = Then { seen: self.seen, committed: self.store.applied() };
        self.pending.insert(ticket, Pending { node, asked, then });
    }

    /// The next entry is committed, somewhere.
    pub(crate) fn committed(&mut self, what: &What, findings: &mut Findings) {
        let took_effect = self.store.apply(what);
        self.check_ended(findings);
        let Some(value) = took_effect else { return };
        let fate = self.values.entry(value).or_default();
        fate.took_effect += 1;
        let fate = *fate;
        self.check_fate(fate, findings);
    }

    /// Nothing is declared as ended that somebody still waits for.
    fn check_ended(&self, findings: &mut Findings) {
        let Some(ended) = self.store.ended() else { return };
        let waits = |pending: &Pending| matches!(&pending.asked, Asked::Write(command) if value_of(command) == Some(ended));
        if let Some((ticket, pending)) = self.pending.iter().find(|(_, pending)| waits(pending)) {
            findings.broken("E3", || {
                let (node, index) = (name(pending.node), self.store.applied());
                format!("{node} has not answered {ticket}, and had declared it as ended before entry {index}")
            });
        }
    }

    /// A value takes effect as often as it was asked for at the most: once, if values are unique. And not at all if
    /// its writer was told so, be it before or later.
    fn check_fate(&self, fate: Fate, findings: &mut Findings) {
        let Fate { asked, without_effect, took_effect } = fate;
        let index = self.store.applied();
        if took_effect > asked {
            findings.broken("E2", || {
                format!("a value that was written {asked} times takes effect {took_effect} times, by entry {index}")
            });
        } else if took_effect + without_effect > asked {
            findings.broken("E5", || {
                format!(
                    "a value whose write was refused, or found a mismatch, has taken effect by entry {index}"
                )
            });
        }
    }

    /// A node has applied the log up to here by the end of its turn.
    pub(crate) fn applied(&mut self, node: usize, applied: u64) {
        let life = &mut self.lives[node];
        life.before = life.applied;
        life.applied = applied;
    }

    /// A node answers.
    pub(crate) fn answered(
        &mut self,
        node: usize,
        ticket: Ticket,
        answer: &Answer,
        comparisons: &mut Comparisons,
        findings: &mut Findings,
    ) {
        let pending = self.pending.remove(&ticket);
        let is_judged = matches!(answer, Answer::Written(_) | Answer::Read(_));
        let Some(pending) = pending.filter(|pending| pending.node == node) else {
            if is_judged {
                findings.broken("V2", || format!("{} answers {ticket}, which is not open there", name(node)));
            }
            return;
        };
        match (&pending.asked, answer) {
            (Asked::Write(command), Answer::Written(result)) => {
                comparisons.writes += 1;
                self.written(node, pending.then, command, result, findings);
            }
            (Asked::Get(key, read), Answer::Read(Ok(found))) => {
                comparisons.reads += 1;
                self.read(node, pending.then, key, *read, found.as_ref(), findings);
            }
            (Asked::Get(..), Answer::Read(Err(error))) => {
                if matches!(error, Error::Unknown(_)) {
                    findings.broken("E5", || format!("{} calls the fate of a read unknown", name(node)));
                }
            }
            (Asked::Other, Answer::View(view)) => {
                let (Life { before, applied, .. }, revision) = (self.lives[node], view.revision());
                if !(before..=applied).contains(&revision) {
                    findings.broken("E7", || {
                        let node = name(node);
                        format!("{node} shows its keys at {revision}, and has applied {before} to {applied}")
                    });
                }
            }
            (Asked::Other, _) => {}
            (Asked::Write(_) | Asked::Get(..), _) => {
                findings.broken("E3", || format!("{} answers {ticket} with something else", name(node)));
            }
        }
    }

    fn written(
        &mut self,
        node: usize,
        then: Then,
        command: &Command,
        result: &Result<Outcome, Error>,
        findings: &mut Findings,
    ) {
        let is_without_effect = match result {
            Ok(outcome) => {
                self.check_outcome(node, then, command, outcome, findings);
                self.seen = self.seen.max(outcome.revision());
                matches!(outcome, Outcome::Mismatch { .. })
            }
            Err(Error::Refused(_)) => true,
            Err(Error::Unknown(_)) => false,
        };
        if is_without_effect && let Some(value) = value_of(command) {
            let fate = self.values.entry(value.clone()).or_default();
            fate.without_effect += 1;
            let fate = *fate;
            self.check_fate(fate, findings);
        }
    }

    /// The outcome is that of the entry that it names, which is this write of this node.
    fn check_outcome(
        &mut self,
        node: usize,
        then: Then,
        command: &Command,
        outcome: &Outcome,
        findings: &mut Findings,
    ) {
        let (revision, applied, committed) =
            (outcome.revision(), self.lives[node].applied, self.store.applied());
        if revision > applied || revision > committed {
            return findings.broken("E3", || {
                let node = name(node);
                format!(
                    "{node} answers a write at {revision}; it has applied {applied}, committed is {committed}"
                )
            });
        }
        let Then { seen, committed: before } = then;
        if revision <= seen {
            findings.broken("E1", || {
                format!(
                    "a write got the revision {revision} at {}, and {seen} was seen before it",
                    name(node)
                )
            });
        }
        let owner = &self.names[node];
        let Some(decision) = self.store.decision(revision) else {
            return findings.broken("E3", || {
                format!("{} answers a write at {revision}, where nothing was decided", name(node))
            });
        };
        if decision.command != *command || decision.owner != *owner || decision.outcome != *outcome {
            findings.broken("E3", || {
                let (node, expected) = (name(node), (&decision.owner, &decision.command, decision.outcome));
                format!(
                    "{node} answers {command:?} with {outcome:?}; decided was, at {revision}, {expected:?}"
                )
            });
        }
        if core::mem::replace(&mut decision.told, true) {
            findings.broken("E3", || format!("{} answers two writes with entry {revision}", name(node)));
        }
        if revision <= before {
            findings.broken("E8", || {
                let node = name(node);
                format!("{node} wrote at {revision}, and {before} was committed before it was asked to")
            });
        }
    }

    fn read(
        &mut self,
        node: usize,
        then: Then,
        key: &Bytes,
        read: Read,
        found: Option<&Versioned>,
        findings: &mut Findings,
    ) {
        let Life { before, applied, .. } = self.lives[node];
        // What a node answers it has in its state, which never goes back, and holds what it has answered to writes.
        if self.store.found_at(key, found, before, applied).is_none() {
            findings.broken("E7", || {
                let node = name(node);
                format!("{node} reads {}, which is not its state at {before} to {applied}", Found(found))
            });
        }
        if read != Read::Local {
            let (Then { seen, committed: before }, committed) = (then, self.store.applied());
            match self.store.found_at(key, found, seen, committed) {
                Some(at) => self.seen = self.seen.max(at),
                None => findings.broken("E1", || {
                    format!(
                        "{} reads {}: {seen} was seen before it, and at no index from there to {committed} is it so",
                        name(node),
                        Found(found)
                    )
                }),
            }
            if self.store.found_at(key, found, before, committed).is_none() {
                // Nothing committed is hidden from a leader whom a majority confirms, seen or not.
                findings.broken("E8", || {
                    let node = name(node);
                    format!(
                        "{node} reads {}, and {before} was committed before it was asked to",
                        Found(found)
                    )
                });
            }
        }
    }

    /// The answers of its turn were heard: of what a node has applied by now, nothing is still waited for there.
    pub(crate) fn check_waiting(&self, node: usize, findings: &mut Findings) {
        let Life { before, applied, .. } = self.lives[node];
        if before == applied {
            return;
        }
        let waits = self.pending.iter().filter(|(_, pending)| pending.node == node);
        for (ticket, pending) in waits {
            let Asked::Write(command) = &pending.asked else { continue };
            // Where several were asked to write the same, nobody knows whose entry it is.
            let asked_once = |value: &&Bytes| self.values.get(*value).is_some_and(|fate| fate.asked == 1);
            let Some(value) = value_of(command).filter(asked_once) else { continue };
            if let Some(at) = self.store.decided_at(value, before, applied) {
                findings.broken("V2", || {
                    format!(
                        "{} has applied {at}, which is what {ticket} asks for, and does not answer",
                        name(node)
                    )
                });
            }
        }
    }

    /// A node reports what happened: every change, in order, from the first that it tells.
    pub(crate) fn reported(
        &mut self,
        node: usize,
        is_member: bool,
        events: &[Event],
        comparisons: &mut Comparisons,
        findings: &mut Findings,
    ) {
        for event in events {
            match event {
                Event::Change(change) => {
                    comparisons.events += 1;
                    self.check_change(node, change, findings);
                }
                Event::Resync { revision } => {
                    comparisons.resyncs += 1;
                    self.check_resync(node, *revision, findings);
                }
                _ => {}
            }
        }
        // Who is no member any more may be one again, and is told all that was meanwhile as one.
        if !is_member {
            return;
        }
        let life = self.lives[node];
        let missed = life.next_change.and_then(|next| self.store.changes().get(next));
        if let Some(missed) = missed.filter(|missed| missed.revision <= life.applied) {
            findings.broken("E6", || {
                let (node, revision, applied) = (name(node), missed.revision, life.applied);
                format!("{node} has applied {applied}, and does not report the change of {revision}")
            });
            self.lives[node].next_change = None;
        }
    }

    /// A node says that changes up to here are not told one by one: it has applied them, and told none behind.
    fn check_resync(&mut self, node: usize, revision: u64, findings: &mut Findings) {
        let changes = self.store.changes();
        let life = &mut self.lives[node];
        let next = changes.partition_point(|known| known.revision <= revision);
        let is_news = life.resynced < revision && life.next_change.is_none_or(|former| former <= next);
        if !is_news || revision > life.applied {
            let applied = life.applied;
            return findings.broken("E6", || {
                let node = name(node);
                format!("{node} has moved on to {revision}, and had applied {applied} or told more than that")
            });
        }
        life.resynced = revision;
        life.next_change = Some(next);
    }

    fn check_change(&mut self, node: usize, change: &Change, findings: &mut Findings) {
        let changes = self.store.changes();
        let next = self.lives[node]
            .next_change
            .unwrap_or_else(|| changes.partition_point(|known| known.revision < change.revision));
        let is_applied = change.revision <= self.lives[node].applied;
        if changes.get(next) == Some(change) && is_applied {
            self.lives[node].next_change = Some(next + 1);
            return;
        }
        findings.broken("E6", || {
            let (node, told) = (name(node), change.revision);
            match changes.get(next) {
                Some(next) if is_applied => {
                    format!("{node} reports a change of {told}; the next is another, of {}", next.revision)
                }
                _ => {
                    format!("{node} reports a change of {told}, which is not committed or not applied there")
                }
            }
        });
    }

    /// The run is over: whoever was left alone has answered everything.
    pub(crate) fn finished(&self, alone: &[usize], findings: &mut Findings) {
        if let Some((ticket, pending)) =
            self.pending.iter().find(|(_, pending)| alone.contains(&pending.node))
        {
            findings.broken("V2", || format!("{} has never answered {ticket}", name(pending.node)));
        }
    }
}

/// What a read has found, in words.
struct Found<'f>(Option<&'f Versioned>);

impl core::fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(found) => write!(f, "a value of revision {}", found.revision),
            None => f.write_str("that there is none"),
        }
    }
}
