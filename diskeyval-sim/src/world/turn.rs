//! A turn of a node: what has arrived goes in, and what comes out is done, watched and hashed.

use diskeyval_core::inspect::{Said, Word};
use diskeyval_core::{Answer, Effect, Event, Fault, Record, RoleName, Ticket};

use super::{Due, World, net};
use crate::notes::What;
use crate::observe::Turn;

/// What one turn came to, kept so that nothing is allocated for most turns.
#[derive(Default)]
pub(super) struct Scratch {
    effects: Vec<Effect>,
    words: Vec<(usize, Word)>,
    answers: Vec<(Ticket, Answer)>,
    events: Vec<Event>,
    records: Vec<Record>,
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
        let mut recorded = None;
        let mut halted = None;
        for effect in scratch.effects.drain(..) {
            match effect {
                Effect::Send { conn, bytes } => self.send(node, conn, bytes, &mut scratch.words),
                Effect::Store { number, records } => {
                    scratch.records.clone_from(&records);
                    recorded = Some(number);
                    self.store(node, number, records);
                }
                Effect::Answer { ticket, answer } => scratch.answers.push((ticket, answer)),
                Effect::Event(event) => scratch.events.push(event),
                Effect::Dial { dial, peer, within, .. } => self.dial(node, dial, &peer, within),
                Effect::Close { conn, .. } => {
                    let (conn, side) = net::conn_of(conn);
                    self.close(conn, side);
                }
                Effect::Halt { fault } => halted = Some(fault),
                _ => unreachable!("an effect that this simulator does not know"),
            }
        }
        self.watch(node, role, &scratch, recorded, halted.as_ref());
        for (ticket, answer) in scratch.answers.drain(..) {
            self.nodes[node].waiting -= 1;
            // What the run itself has asked is not the program's.
            let own = self.own_answers.get_mut(&ticket).map(|own| *own = Some(answer.clone())).is_some();
            if matches!(answer, Answer::Stopped) {
                self.has_stopped(node);
            }
            self.coverage.count_answer(&answer);
            if !own {
                self.with_program(|program, hands| program.answered(hands, node, ticket, &answer));
            }
        }
        for event in scratch.events.drain(..) {
            self.with_program(|program, hands| program.event(hands, node, &event));
        }
        scratch.words.clear();
        scratch.records.clear();
        self.scratch = scratch;
        self.set_alarm(node);
    }

    fn store(&mut self, node: usize, number: u64, records: Vec<Record>) {
        if self.watchers.notes.is_some() {
            let text = records.iter().map(describe).collect::<Vec<_>>().join(", ");
            self.note(What::Store { node, record: number, text });
        }
        let takes = self.draw_span(self.setting.disk);
        let now = self.now;
        let this = &mut self.nodes[node];
        let at = this.disk.write(now, takes, number, records);
        let life = this.life;
        self.schedule(at, Due::Disk { node, life });
    }

    fn watch(
        &mut self,
        node: usize,
        role: RoleName,
        scratch: &Scratch,
        recorded: Option<u64>,
        halted: Option<&Fault>,
    ) {
        let this = &mut self.nodes[node];
        let Some(engine) = &this.engine else { return };
        let vitals = engine.vitals();
        this.was_member |= engine.is_member();
        let before = this.last.replace(vitals);
        if let Some(number) = recorded {
            this.recorded = number;
        }
        let turn = Turn {
            at: self.now,
            node,
            engine,
            vitals,
            records: &scratch.records,
            recorded: this.recorded,
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
