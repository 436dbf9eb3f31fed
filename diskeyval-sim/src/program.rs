//! What runs on top of the store in a simulation: the standard clients, or a program of one's own.
//!
//! A [`Program`] is the logic that would run beside the store in every process, all nodes at once in one value, and
//! driven from outside: it is told what happens, and does what it does with its [`Hands`]. What the processes
//! hold in memory is a map by node, and dies with its node:
//!
//! ```
//! use std::collections::BTreeMap;
//! use diskeyval_sim::program::{Hands, Program};
//!
//! #[derive(Default)]
//! struct Worker { /* what one process remembers */ }
//!
//! #[derive(Default)]
//! struct Workers {
//!     workers: BTreeMap<usize, Worker>,
//! }
//!
//! impl Program for Workers {
//!     fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
//!         self.workers.insert(node, Worker::default());
//!         hands.wake_node_in(node, std::time::Duration::from_millis(50), 0); // rings in this life of it only
//!     }
//!
//!     fn down(&mut self, _: &mut Hands<'_, '_>, node: usize) {
//!         self.workers.remove(&node);
//!     }
//! }
//! ```
//!
//! What the world outside of the cluster knows (mails that were sent, say) is held beside that map, and survives.

use core::time::Duration;

use bytes::Bytes;
pub use diskeyval_core::{
    Answer, Change, Command, Doubt, Error, Event, Expect, Outcome, Read, Refusal, Request, Ticket, Versioned,
};

use crate::choice::Choices;
use crate::observe::{Time, Violation};
use crate::plan::Ask;
use crate::world;

/// A program that uses the store, on all nodes at once, with whatever state it holds beside it.
///
/// It must take all its time and chance from [`Hands`], and walk through no `HashMap`: then the same seed gives
/// the same run. Every method has a default that does nothing.
pub trait Program {
    /// The run begins. No node is up yet.
    fn begin(&mut self, hands: &mut Hands<'_, '_>) {
        let _ = hands;
    }

    /// A moment has come that was asked for with [`Hands::wake_in`].
    fn wake(&mut self, hands: &mut Hands<'_, '_>, tag: u64) {
        let _ = (hands, tag);
    }

    /// A moment has come in the process of a node, that was asked for with [`Hands::wake_node_in`].
    fn wake_node(&mut self, hands: &mut Hands<'_, '_>, node: usize, tag: u64) {
        let _ = (hands, node, tag);
    }

    /// The plan says that a client asks something. The standard clients do; others have plans of their own, or
    /// take these as a workload that shrinks ([`Builder::planned_asks`](crate::builder::Builder::planned_asks)).
    fn planned(&mut self, hands: &mut Hands<'_, '_>, ask: &Ask) {
        let _ = (hands, ask);
    }

    /// A node has answered. There is one answer to each ticket, unless the node goes down before it.
    fn answered(&mut self, hands: &mut Hands<'_, '_>, node: usize, ticket: Ticket, answer: &Answer) {
        let _ = (hands, node, ticket, answer);
    }

    /// A node reports something. Changes of the store are reported if the program listens ([`Program::listens`]).
    /// The key `last` is written by the run itself, in the end.
    fn event(&mut self, hands: &mut Hands<'_, '_>, node: usize, event: &Event) {
        let _ = (hands, node, event);
    }

    /// A node is up, for the first time or again. What its process held in memory before is gone.
    fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        let _ = (hands, node);
    }

    /// A node is down. What it was asked and has not answered is of unknown fate.
    fn down(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        let _ = (hands, node);
    }

    /// From now on a majority of the nodes is left alone, for good. (The others may be dead, or cut off.)
    fn calm(&mut self, hands: &mut Hands<'_, '_>) {
        let _ = hands;
    }

    /// Whether nodes report every change of the store.
    fn listens(&self) -> bool {
        true
    }

    /// Called after every step, so it should be quick: what must always hold of the program.
    ///
    /// # Errors
    /// What does not hold.
    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }

    /// Whether the program has done what it had to do. The run waits for that in the calm, for 60 simulated
    /// seconds; then it fails by the rule `P1`. Once the program is done, it rests: no timer rings, and nobody can
    /// be asked any more. What was asked before is still answered.
    fn done(&self) -> bool {
        true
    }

    /// The run is over, and everybody has converged: what must hold in the end. (Not called if the cluster could not
    /// go on: some plans destroy the disks of a majority.)
    ///
    /// # Errors
    /// What does not hold.
    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// What a program can do.
///
/// Nodes are named by their place, from 0; traces call them `n1`, `n2`, ….
pub struct Hands<'h, 'c> {
    /// The time, as nobody in the simulation knows it. A process has only [`Hands::clock`].
    pub now: Time,
    pub(crate) up: &'h [bool],
    pub(crate) nodes: &'h [world::Node],
    /// Whether anybody reads what happens.
    pub(crate) told: bool,
    /// Whether the program is done, and asks nothing more.
    pub(crate) at_rest: bool,
    pub(crate) choices: &'h mut Choices<'c>,
    pub(crate) next_ticket: &'h mut u64,
    pub(crate) wishes: &'h mut Vec<Wish>,
}

/// What a program wants to be done.
#[derive(Debug)]
pub(crate) enum Wish {
    Ask { client: u64, node: usize, ticket: Ticket, request: Request, budget: Duration },
    Wake { after: Duration, tag: u64 },
    WakeNode { node: usize, after: Duration, tag: u64 },
    Say { node: usize, text: String },
}

/// How long [`Hands::get`], [`Hands::set`] and their like let a request take.
pub const BUDGET: Duration = Duration::from_secs(2);

/// Asking. Each of these gives the ticket that the answer will have, or nothing, if the node is down. An answer
/// comes in a later step, never within the call.
impl Hands<'_, '_> {
    /// Reads a key, so that everything is reflected that was acknowledged before.
    pub fn get(&mut self, node: usize, key: impl AsRef<[u8]>) -> Option<Ticket> {
        self.ask_plainly(node, Request::Get { key: bytes(key), read: Read::Linearizable })
    }

    /// Reads what a node has of a key, which may be behind.
    pub fn get_local(&mut self, node: usize, key: impl AsRef<[u8]>) -> Option<Ticket> {
        self.ask_plainly(node, Request::Get { key: bytes(key), read: Read::Local })
    }

    /// Gives a key a value, whatever it had before.
    pub fn set(&mut self, node: usize, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Option<Ticket> {
        let command = Command::Set { key: bytes(key), value: bytes(value) };
        self.ask_plainly(node, Request::Write(command))
    }

    /// Gives a key a value if it is as expected.
    pub fn compare_and_set(
        &mut self,
        node: usize,
        key: impl AsRef<[u8]>,
        expect: Expect,
        value: impl AsRef<[u8]>,
    ) -> Option<Ticket> {
        let command = Command::CompareAndSet { key: bytes(key), expect, value: bytes(value) };
        self.ask_plainly(node, Request::Write(command))
    }

    /// Removes a key.
    pub fn delete(&mut self, node: usize, key: impl AsRef<[u8]>) -> Option<Ticket> {
        self.ask_plainly(node, Request::Write(Command::Delete { key: bytes(key) }))
    }

    /// Asks a node anything, in the name of a client (for people who read the trace). Values have at most 32 KiB, and
    /// keys 64 bytes, in a simulation. `budget` is how long the
    /// request may take: at most 6 seconds, or the run may find that it was never answered.
    pub fn ask(&mut self, client: u64, node: usize, request: Request, budget: Duration) -> Option<Ticket> {
        if !self.is_up(node) || self.at_rest {
            return None;
        }
        *self.next_ticket += 1;
        let ticket = Ticket(*self.next_ticket);
        self.wishes.push(Wish::Ask { client, node, ticket, request, budget });
        Some(ticket)
    }

    fn ask_plainly(&mut self, node: usize, request: Request) -> Option<Ticket> {
        self.ask(node as u64 + 1, node, request, BUDGET)
    }
}

fn bytes(of: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(of.as_ref())
}

/// Waiting, looking, and chance.
impl<'c> Hands<'_, 'c> {
    /// Calls [`Program::wake`] after a while, whatever happens to nodes.
    pub fn wake_in(&mut self, after: Duration, tag: u64) {
        self.wishes.push(Wish::Wake { after, tag });
    }

    /// Calls [`Program::wake_node`] after a while: a timer in the process of a node. It is gone if the
    /// process dies, and late if the process is paused. Nothing happens if the node is down.
    pub fn wake_node_in(&mut self, node: usize, after: Duration, tag: u64) {
        if self.is_up(node) {
            self.wishes.push(Wish::WakeNode { node, after, tag });
        }
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        self.up.get(node).is_some_and(|up| *up)
    }

    /// How many nodes there are, up or down.
    pub fn nodes(&self) -> usize {
        self.up.len()
    }

    /// Who leads, in the highest term that anybody leads in. No process knows that for certain: it is for aiming.
    pub fn leader(&self) -> Option<usize> {
        let leaders = self.nodes.iter().enumerate().filter_map(|(node, this)| Some((this.leads()?, node)));
        leaders.max_by_key(|(term, _)| *term).map(|(_, node)| node)
    }

    /// What the clock of a node shows, since a beginning of its own: it may be fast or slow, jump, or stand still. Zero
    /// for a node that there is not.
    pub fn clock(&self, node: usize) -> Duration {
        self.nodes.get(node).map_or(Duration::ZERO, |this| this.clock(self.now))
    }

    /// Writes a line into the trace and the picture, as said by a node. The text is made only if anybody reads it.
    pub fn say(&mut self, node: usize, text: impl FnOnce() -> String) {
        if self.told && node < self.nodes() {
            self.wishes.push(Wish::Say { node, text: text() });
        }
    }

    /// Where to draw chance from.
    pub fn choices(&mut self) -> &mut Choices<'c> {
        self.choices
    }
}
