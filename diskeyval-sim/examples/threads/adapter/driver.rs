//! The driver: the one thread that owns the engine.
//!
//! ```text
//! wait -> collect what has arrived -> read the clock -> one turn of the engine -> perform its effects
//! ```

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::{Answer, ConnId, Effect, Engine, Input, Instant, Origin, Request, Ticket};

use super::disk::Disk;
use super::links::Links;

/// How long a connection that is being closed may take to deliver what was sent on it.
pub(super) const CLOSING: Duration = Duration::from_secs(1);

/// How many words make up one turn at the most.
const TURN: usize = 256;

/// What the other threads tell the driver.
pub(super) enum Word {
    /// Something for the engine.
    Input(Input),
    /// The handshake on a connection is done.
    Opened { conn: ConnId, who: Identity, origin: Origin, link: Link },
    /// The program wants something.
    Ask { request: Request, budget: Duration, answer: Sender<Answer> },
}

/// The driver's end of a connection. When `outbox` is dropped, what is in it is still sent, and the connection closed.
pub(super) struct Link {
    pub(super) outbox: Sender<Bytes>,
    pub(super) stream: TcpStream,
}

pub(super) struct Driver {
    engine: Engine,
    links: Links,
    disk: Option<Disk>,
    words: Receiver<Word>,
    open: BTreeMap<ConnId, Link>,
    /// Connections that are to be gone by then.
    closing: Vec<(Instant, TcpStream)>,
    tickets: BTreeMap<Ticket, Sender<Answer>>,
    last_ticket: u64,
    zero: std::time::Instant,
}

impl Driver {
    pub(super) fn new(engine: Engine, links: Links, disk: Option<Disk>, words: Receiver<Word>) -> Driver {
        Driver {
            engine,
            links,
            disk,
            words,
            open: BTreeMap::new(),
            closing: Vec::new(),
            tickets: BTreeMap::new(),
            last_ticket: 0,
            zero: std::time::Instant::now(),
        }
    }

    pub(super) fn live(mut self) {
        loop {
            let words = self.wait();
            if self.turn(words) {
                break;
            }
        }
        self.end();
    }

    /// What has arrived, at the latest when the engine, or a connection that is being closed, wants a turn.
    fn wait(&self) -> Vec<Word> {
        let engine = self.engine.deadline().map(|deadline| deadline.at);
        let first = engine.into_iter().chain(self.closing.iter().map(|(at, _)| *at)).min();
        // This driver holds a sender of these words itself, through its links: there is always one more to come.
        let word = match first {
            Some(at) => self.words.recv_timeout(at.since(self.now())),
            None => self.words.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        word.into_iter().chain(self.words.try_iter().take(TURN)).collect()
    }

    /// One turn of the engine, and what comes out of it. Whether the node is over.
    fn turn(&mut self, words: Vec<Word>) -> bool {
        // All that this turn is given has arrived by now. To read the clock earlier could make an old lease look young.
        let now = self.now();
        let mut turn = self.engine.turn(now);
        for word in words {
            match word {
                // A connection that is closed is of no interest any more, whatever still comes in on it.
                Word::Input(Input::Received { conn, .. } | Input::Drained { conn, .. })
                    if !self.open.contains_key(&conn) => {}
                Word::Input(Input::Closed { conn, why }) => {
                    if let Some(link) = self.open.remove(&conn) {
                        self.closing.push((now + CLOSING, link.stream));
                        turn.input(Input::Closed { conn, why });
                    }
                }
                Word::Input(input) => turn.input(input),
                Word::Opened { conn, who, origin, link } => {
                    self.open.insert(conn, link);
                    turn.input(Input::Opened { conn, who, origin });
                }
                Word::Ask { request, budget, answer } => {
                    self.last_ticket += 1;
                    let ticket = Ticket(self.last_ticket);
                    self.tickets.insert(ticket, answer);
                    turn.input(Input::Ask { ticket, request, budget });
                }
            }
        }
        let mut is_over = false;
        for effect in turn.end() {
            match effect {
                Effect::Dial { dial, peer: _, address, within } => self.links.dial(dial, address, within),
                Effect::Send { conn, bytes } => {
                    if let Some(link) = self.open.get(&conn) {
                        // The engine sends no more than it has credit for, so this grows no further than that. If
                        // nobody takes it, the connection is broken, and its reader says so.
                        let _ = link.outbox.send(bytes);
                    }
                }
                Effect::Close { conn, why: _ } => {
                    if let Some(link) = self.open.remove(&conn) {
                        self.closing.push((now + CLOSING, link.stream));
                    }
                }
                Effect::Disk { op, what } => {
                    if let Some(disk) = &self.disk {
                        disk.order(op, what);
                    }
                }
                Effect::Answer { ticket, answer } => {
                    is_over |= matches!(answer, Answer::Stopped);
                    if let Some(waits) = self.tickets.remove(&ticket) {
                        // Whoever has asked may have gone.
                        let _ = waits.send(answer);
                    }
                }
                // Here a program would hand them to whoever listens.
                Effect::Event(_) => {}
                // And here it would log the fault. Whatever was asked has been answered with it.
                Effect::Halt { fault: _ } => is_over = true,
                // An effect of a later version of the core. It must not be passed over in silence.
                other => panic!("this adapter cannot perform {other:?}"),
            }
        }
        self.closing.retain(|(at, stream)| {
            if *at <= now {
                // Its threads look up, and end. It may be gone already.
                let _ = stream.shutdown(Shutdown::Both);
            }
            *at > now
        });
        is_over
    }

    /// Closes everything, in order.
    fn end(self) {
        let Driver { links, disk, words, open, tickets, closing, .. } = self;
        // Whoever waits for this driver to take a word finds that it takes none any more.
        drop((words, tickets));
        // What was sent is still sent.
        drop((open, closing));
        links.close();
        if let Some(disk) = disk {
            disk.close();
        }
    }

    /// The clock of `std` does not count time during which the machine was suspended. For production take one that does
    /// (`CLOCK_BOOTTIME` on Linux): a node that wakes must know how old its lease is.
    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}
