//! What runs on top of the store in a simulation: the standard clients, or a user's own program.

use core::time::Duration;

use diskeyval_core::{Answer, Event, Request, Ticket};

use crate::choice::Choices;
use crate::observe::{Time, Violation};
use crate::plan::Ask;

/// A program that uses the store, on all nodes at once, with whatever state it holds beside it.
///
/// It must take all its time and chance from [`Hands`]: then the same seed gives the same run.
pub trait Program {
    /// The run begins.
    fn begin(&mut self, hands: &mut Hands<'_, '_>) {
        let _ = hands;
    }

    /// A moment has come that was asked for with [`Hands::wake_in`].
    fn wake(&mut self, hands: &mut Hands<'_, '_>, tag: u64) {
        let _ = (hands, tag);
    }

    /// The plan says that a client asks something. The standard clients do; others have plans of their own.
    fn planned(&mut self, hands: &mut Hands<'_, '_>, ask: &Ask) {
        let _ = (hands, ask);
    }

    /// A node has answered.
    fn answered(&mut self, hands: &mut Hands<'_, '_>, node: usize, ticket: Ticket, answer: &Answer) {
        let _ = (hands, node, ticket, answer);
    }

    /// A node reports something. Changes are reported only of nodes whose program listens ([`Program::listens`]).
    fn event(&mut self, hands: &mut Hands<'_, '_>, node: usize, event: &Event) {
        let _ = (hands, node, event);
    }

    /// A node is up, for the first time or again. What the program held in its memory is gone.
    fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        let _ = (hands, node);
    }

    /// A node is down. What it was asked and has not answered is of unknown fate.
    fn down(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        let _ = (hands, node);
    }

    /// Whether nodes report every change of the store.
    fn listens(&self) -> bool {
        true
    }

    /// Called after every step: what must always hold of the program.
    ///
    /// # Errors
    /// What does not hold.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }

    /// The run is over, and everybody has converged: what must hold in the end.
    ///
    /// # Errors
    /// What does not hold.
    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// What a program can do.
pub struct Hands<'h, 'c> {
    /// The time, as nobody in the simulation knows it.
    pub now: Time,
    pub(crate) up: &'h [bool],
    pub(crate) choices: &'h mut Choices<'c>,
    pub(crate) next_ticket: &'h mut u64,
    pub(crate) wishes: &'h mut Vec<Wish>,
}

/// What a program wants to be done.
#[derive(Debug)]
pub(crate) enum Wish {
    Ask { client: u64, node: usize, ticket: Ticket, request: Request, budget: Duration },
    Wake { after: Duration, tag: u64 },
}

impl<'c> Hands<'_, 'c> {
    /// Asks a node, in the name of a client (for people who read the trace). Nothing happens, and there is no
    /// ticket, if the node is down.
    pub fn ask(&mut self, client: u64, node: usize, request: Request, budget: Duration) -> Option<Ticket> {
        if !self.is_up(node) {
            return None;
        }
        *self.next_ticket += 1;
        let ticket = Ticket(*self.next_ticket);
        self.wishes.push(Wish::Ask { client, node, ticket, request, budget });
        Some(ticket)
    }

    /// Calls [`Program::wake`] after a while.
    pub fn wake_in(&mut self, after: Duration, tag: u64) {
        self.wishes.push(Wish::Wake { after, tag });
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        self.up.get(node).is_some_and(|up| *up)
    }

    /// How many nodes there are, up or down.
    pub fn nodes(&self) -> usize {
        self.up.len()
    }

    /// Where to draw chance from.
    pub fn choices(&mut self) -> &mut Choices<'c> {
        self.choices
    }
}
