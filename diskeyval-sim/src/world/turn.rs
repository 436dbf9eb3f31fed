//! A turn of a node: what has arrived goes in, and what comes out is done, watched and hashed.

use diskeyval_core::inspect::{Said, Word};
use diskeyval_core::{Answer, DiskOp, Effect, Event, Fault, OpId, Record, RoleName, Ticket};

use super::{World, net};
use crate::notes::{What, name};
use crate::observe::{Turn, Violation};

/// What one turn came to, kept so that nothing is allocated for most turns.
#[derive(Default)]
pub(super) struct Scratch {
    effects: Vec<Effect>,
    words: Vec<(usize, Word)>,
    answers: Vec<(Ticket, Answer)>,
    events: Vec<Event>,
    ops: Vec<(OpId, DiskOp)>,
}

impl World<'_, '_, '_> {
    pub(super) fn take_turn(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(engine) = &mut this.engine else { return };
        let mut scratch = core::mem::take(&mut self.scratch);
        let role = this.last.map_or(RoleName::Follower, |vitals| vitals.role);
        let mut turn = engine.turn(this.clock.look(self.now));
        self.coverage.count_inputs(this.inbox.len());
        for input in this.inbox.drain(..) {
            turn.input(input);
        }
        scratch.effects.extend(turn.end());
        let mut halted = None;
        for effect in scratch.effects.drain(..) {
            match effect {
                Effect::Send { conn, bytes } => self.send(node, conn, bytes, &mut scratch.words),
                Effect::Disk { op, what } => scratch.ops.push((op, what)),
                Effect::Answer { ticket, answer } => scratch.answers.push((ticket, answer)),
                Effect::Event(event) => scratch.events.push(event),
                Effect::Dial { dial, address, within, .. } => self.dial(node, dial, &address, within),
                Effect::Close { conn, why } => {
                    let (conn, side) = net::conn_of(conn);
                    self.check_blame(node, conn, side, &why);
                    self.close(conn, side);
                }
                Effect::Halt { fault } => halted = Some(fault),
                _ => unreachable!("an effect that this simulator does not know"),
            }
        }
        self.note_records(node);
        self.see_what_is_durable(node);
        self.see_members(node);
        self.ask_disk(node, &mut scratch.ops);
        self.watch(node, role, &scratch, halted.as_ref());
        self.must_end_hand_over(node);
        self.hears_all(node);
        self.must_hear_a_majority(node);
        self.count_lease_reads(node);
        let misled = self.see_damage(node, &scratch.events);
        for (ticket, answer) in scratch.answers.drain(..) {
            self.nodes[node].waiting -= 1;
            // What the run itself has asked is not the program's.
            let own = self.own_answers.get_mut(&ticket).map(|own| *own = Some(answer.clone())).is_some();
            if matches!(answer, Answer::Stopped) {
                self.has_stopped(node);
            }
            self.has_gone_on(node, &answer);
            self.coverage.count_answer(&answer);
            if !own {
                self.with_program(|program, hands| program.answered(hands, node, ticket, &answer));
            }
        }
        for event in scratch.events.drain(..) {
            if matches!(event, Event::Removed) {
                self.coverage.count("members: a node learns that it was removed");
            }
            self.with_program(|program, hands| program.event(hands, node, &event));
        }
        scratch.words.clear();
        self.scratch = scratch;
        match halted {
            Some(Fault::Storage(_)) => self.has_halted(node),
            Some(Fault::Superseded) => self.was_superseded(node),
            _ if misled => self.was_misled(node),
            _ => self.set_alarm(node),
        }
    }

    fn count_lease_reads(&mut self, node: usize) {
        let Some(engine) = self.nodes[node].engine.as_ref().filter(|_| self.setting.lease) else { return };
        if engine.metrics().lease_reads > 0 {
            self.coverage.count("read: by lease");
        }
    }

    /// Tells what a node wants to be kept, if anybody reads it.
    fn note_records(&mut self, node: usize) {
        let Some(engine) = &self.nodes[node].engine else { return };
        if self.watchers.notes.is_some() && !engine.journal().0.is_empty() {
            let text = engine.journal().0.iter().map(describe).collect::<Vec<_>>().join(", ");
            let record = engine.journal().1;
            self.note(What::Store { node, record, text });
        }
    }

    /// A node has opened in this turn, or has learned that more is durable.
    fn see_what_is_durable(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        let Some(engine) = &this.engine else { return };
        let durable = engine.journal_durable();
        if !this.opened {
            let Some(kept) = engine.found().map(<[Record]>::to_vec) else { return };
            this.opened = true;
            this.durable = durable;
            this.log.open(durable);
            if core::mem::take(&mut this.was_torn) {
                self.coverage.count("disk: what was torn is cut off");
            }
            if kept.iter().any(|record| matches!(record, Record::Base { .. })) {
                self.coverage.count("disk: a node opens with a snapshot");
            }
            // It was told to go on alone, perhaps, and has died before that was durable.
            self.nodes[node].goes_on_alone = self.is_alone(node);
            self.check(|checker| checker.started(now, node, &kept));
        } else if durable > this.durable {
            this.durable = durable;
            if !self.setting.memory {
                self.check_synced(node, durable);
            }
            self.check(|checker| checker.stored(now, node, durable));
            self.note(What::Durable { node, record: durable });
        }
    }

    /// A leader that hands over takes in what clients write again after an election timeout, whatever came of it.
    fn must_end_hand_over(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let Some(engine) = this.engine.as_ref().filter(|engine| engine.vitals().hands_over) else {
            this.hands_over = None;
            return;
        };
        let (now, nth) = (this.clock.reckon(self.now), engine.metrics().transfers_started);
        let (since, _) = *this.hands_over.take_if(|(_, former)| *former == nth).get_or_insert((now, nth));
        this.hands_over = Some((since, nth));
        if now.since(since) >= self.setting.election_timeout {
            let lasting = now.since(since);
            let what =
                format!("{} leads, and has taken nothing in for {lasting:?}: it hands over", name(node));
            self.blame(Violation { rule: "V9", what });
        }
    }

    fn watch(&mut self, node: usize, role: RoleName, scratch: &Scratch, halted: Option<&Fault>) {
        let this = &mut self.nodes[node];
        let Some(engine) = &this.engine else { return };
        let vitals = engine.vitals();
        // Before all of it is durable, it may forget that it was: the others have committed without it.
        if !this.was_member && engine.is_member() && engine.journal().1 == engine.journal_durable() {
            this.was_member = true;
            if this.began_anew {
                self.coverage.count("seat: given to the next life of a node");
            }
            if core::mem::take(&mut this.was_damaged) {
                self.coverage.count("seat: given to a node that was damaged");
            }
        }
        let before = this.last.replace(vitals);
        if engine.journal().0.iter().any(|record| matches!(record, Record::Base { .. })) {
            self.coverage.count("disk: a snapshot is taken for the log");
        }
        let turn = Turn {
            at: self.now,
            node,
            engine,
            vitals,
            records: engine.journal().0,
            recorded: engine.journal().1,
            words: &scratch.words,
            answers: &scratch.answers,
            events: &scratch.events,
            halted,
        };
        for checker in &mut self.watchers.checkers {
            if let Err(violation) = checker.turn(&turn) {
                self.violation.get_or_insert(violation);
            }
        }
        if before != Some(vitals) {
            self.coverage.count_role(role, vitals.role);
            self.hash_event(1, (node as u64) << 8 | vitals.role as u64, vitals.term.0);
            self.hash_event(
                2,
                vitals.commit.0 << 32 | vitals.applied.0,
                vitals.last.index.0 << 32 | vitals.last.term.0,
            );
        }
        if self.watchers.notes.is_some() {
            let changed =
                before.is_none_or(|before| (before.role, before.term) != (vitals.role, vitals.term));
            if changed {
                self.note(What::Role { node, role: vitals.role, term: vitals.term });
            }
            if before.is_none_or(|before| before.commit != vitals.commit) && vitals.commit.0 > 0 {
                self.note(What::Commit { node, index: vitals.commit.0 });
            }
            for (ticket, answer) in &scratch.answers {
                let text = crate::clients::tell(answer);
                self.note(What::Answer { ticket: ticket.0, node, text });
            }
            for event in &scratch.events {
                if let Some(text) = crate::clients::tell_event(event) {
                    self.note(What::Event { node, text });
                }
            }
            if let Some(fault) = halted {
                self.note(What::Halt { node, text: fault.to_string() });
            }
        }
    }
}

/// A record, in words.
fn describe(record: &Record) -> String {
    match record {
        Record::Incarnation(incarnation) => format!("incarnation {incarnation}"),
        Record::Ballot { term, vote: None } => format!("t{term}"),
        Record::Ballot { term, vote: Some(vote) } => format!("t{term} with its vote for {vote}"),
        Record::Entry { index, bytes } => match Said::parse(bytes.clone()) {
            Some(said) => format!("{index}{said}"),
            None => format!("{index}, which is no entry"),
        },
        Record::Truncate { behind } => format!("that nothing stands behind {behind}"),
        Record::Base { last } => format!("that its log begins behind {last}"),
    }
}
