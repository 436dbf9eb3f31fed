//! Where a program and the world meet: its hands, its wishes, its timers.

use core::time::Duration;

use diskeyval_core::{Input, RoleName, Term};

use super::{Due, Node, World};
use crate::notes::What;
use crate::observe::Time;
use crate::program::{Hands, Program, Wish};

/// How soon a timer that rang in a paused process is looked at again.
const PAUSED: Duration = Duration::from_millis(5);

impl<'c> World<'_, '_, 'c> {
    /// Lets the program do something. What it wishes is done at the end of the step.
    pub(crate) fn with_program(&mut self, call: impl FnOnce(&mut dyn Program, &mut Hands<'_, 'c>)) {
        let mut hands = Hands {
            now: self.now,
            up: &self.up,
            nodes: &self.nodes,
            told: self.watchers.notes.is_some(),
            at_rest: self.program_rests,
            choices: &mut self.noise,
            next_ticket: &mut self.next_ticket,
            wishes: &mut self.wishes,
        };
        call(self.program, &mut hands);
    }

    /// Whether the program has nothing more to do.
    pub(crate) fn program_is_done(&self) -> bool {
        self.program.done()
    }

    /// From now on no timer rings for the program, and it asks nothing: so that the cluster comes to rest, too.
    pub(crate) fn let_program_rest(&mut self) {
        self.program_rests = true;
    }

    pub(super) fn grant_wishes(&mut self) {
        for wish in core::mem::take(&mut self.wishes) {
            match wish {
                Wish::Wake { after, tag } => self.schedule_in(after, Due::Program(tag)),
                Wish::WakeNode { node, after, tag } => {
                    let life = self.nodes[node].life;
                    self.schedule_in(after, Due::ProgramOf { node, life, tag });
                }
                Wish::Say { node, text } => self.note(What::Event { node, text }),
                Wish::Ask { client, node, ticket, request, budget } => {
                    if !self.up[node] {
                        continue;
                    }
                    if self.watchers.notes.is_some() {
                        let text = crate::clients::describe(&request);
                        self.note(What::Ask { client, ticket: ticket.0, node, text });
                    }
                    let now = self.now;
                    self.nodes[node].waiting += 1;
                    self.check(|checker| checker.asked(now, node, ticket, &request));
                    self.give(node, Input::Ask { ticket, request, budget });
                    // Now, and not at the next event.
                    self.schedule(now, Due::Wake(node));
                    self.nodes[node].wakes_at = Some(now);
                }
            }
        }
    }

    /// A timer rings in a process of the program: not if it has died since, and later if it is paused.
    pub(super) fn wake_program(&mut self, node: usize, life: u32, tag: u64) {
        if !self.up[node] || self.nodes[node].life != life {
            return;
        }
        if self.nodes[node].frozen {
            return self.schedule_in(PAUSED, Due::ProgramOf { node, life, tag });
        }
        self.with_program(|program, hands| program.wake_node(hands, node, tag));
    }
}

impl Node {
    /// What its clock shows.
    pub(crate) fn clock(&self, now: Time) -> Duration {
        Duration::from_nanos(self.clock.read(now).as_nanos())
    }

    /// The term in which it leads, or believes to.
    pub(crate) fn leads(&self) -> Option<Term> {
        let vitals = self.engine.as_ref()?.vitals();
        (vitals.role == RoleName::Leader).then_some(vitals.term)
    }
}
