//! A node on a directory, for tests: it is taken turn by turn, over several lives, and may die at any operation.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use super::Engine;
use crate::config::Settings;
use crate::error::{Error, Fault};
use crate::id::Ticket;
use crate::io::{Answer, DiskError, DiskOp, Effect, Event, Input, Request};
use crate::kv::Command;
use crate::prng::Seed;
use crate::store::folder::Folder;
use crate::time::Instant;

/// An engine, its directory, and all that has come out of it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) folder: Folder,
    settings: Settings,
    life: u64,
    now: Instant,
    tickets: u64,
    /// What it is told in its next turn.
    pub(crate) inputs: Vec<Input>,
    /// What its disk answers instead of doing what it is told.
    pub(crate) refuses: fn(&DiskOp) -> Option<DiskError>,
    /// The process ends before such an operation: neither that nor a later one is done.
    pub(crate) dies_at: fn(&DiskOp) -> bool,
    /// The process ends behind so many operations.
    pub(crate) left: usize,
    /// What was asked of its disk, by a process that lived.
    pub(crate) ops: Vec<DiskOp>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) events: Vec<Event>,
    pub(crate) halted: Option<Fault>,
    /// What it wants to be done on connections.
    pub(crate) links: Vec<Effect>,
}

/// What a disk refuses that does what it is told.
pub(crate) fn nothing(_: &DiskOp) -> Option<DiskError> {
    None
}

impl Node {
    /// A life that has not had a turn yet. Its chance is drawn from its number.
    pub(crate) fn new(settings: Settings, folder: Folder, life: u64) -> Node {
        Node {
            engine: Engine::open(settings.clone(), Seed::from_u64(life)),
            folder,
            settings,
            life,
            now: Instant::ZERO,
            tickets: 0,
            inputs: alloc::vec![Input::Listen { changes: true }],
            refuses: nothing,
            dies_at: |_| false,
            left: usize::MAX,
            ops: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
            halted: None,
            links: Vec::new(),
        }
    }

    /// A life that has done all that it does at once.
    pub(crate) fn start(settings: Settings, folder: Folder, life: u64) -> Node {
        let mut node = Node::new(settings, folder, life);
        node.settle();
        node
    }

    /// It dies; whatever it has asked for by then is done.
    pub(crate) fn restart(self) -> Node {
        Node::start(self.settings, self.folder, self.life + 1)
    }

    pub(crate) fn turn(&mut self) {
        let mut turn = self.engine.turn(self.now);
        self.inputs.drain(..).for_each(|input| turn.input(input));
        let effects: Vec<Effect> = turn.end().collect();
        for effect in effects {
            match effect {
                Effect::Disk { op, what } => {
                    if (self.dies_at)(&what) {
                        self.left = 0;
                    }
                    if self.left == 0 {
                        continue;
                    }
                    self.left -= 1;
                    let result = match (self.refuses)(&what) {
                        Some(error) => Err(error),
                        None => self.folder.perform(&what),
                    };
                    self.ops.push(what);
                    self.inputs.push(Input::Disk { op, result });
                }
                Effect::Answer { answer, .. } => self.answers.push(answer),
                Effect::Event(event) => self.events.push(event),
                Effect::Halt { fault } => self.halted = Some(fault),
                for_a_link => self.links.push(for_a_link),
            }
        }
    }

    /// Turns until nothing is to be done at this moment.
    pub(crate) fn settle(&mut self) {
        self.turn();
        while !self.inputs.is_empty() || self.engine.deadline().is_some_and(|due| due.at <= self.now) {
            self.turn();
        }
    }

    pub(crate) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.engine.deadline().filter(|due| due.at <= end) {
            self.now = self.now.max(due.at);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Asks for something that may take a second.
    pub(crate) fn ask(&mut self, request: Request) {
        self.ask_within(Duration::from_secs(1), request);
    }

    pub(crate) fn ask_within(&mut self, budget: Duration, request: Request) {
        self.tickets += 1;
        self.inputs.push(Input::Ask { ticket: Ticket(self.tickets), request, budget });
        self.settle();
    }

    /// Gives a key a value of so many bytes.
    pub(crate) fn set(&mut self, key: &str, size: usize) -> Result<(), Error> {
        let value = alloc::vec![b'x'; size].into();
        self.ask(Request::Write(Command::Set { key: key.to_string().into(), value }));
        match self.answers.pop() {
            Some(Answer::Written(result)) => result.map(drop),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn keys(&self) -> usize {
        self.engine.status().keys
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Damaged(_)))
    }
}
