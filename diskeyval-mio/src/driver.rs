//! The driver: the one thread that owns the engine and all sockets.
//!
//! ```text
//! wait -> collect what has arrived -> read the clock -> one turn of the engine -> perform its effects
//! ```

use std::mem;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use diskeyval_core::host::{Clock, Expiries, Journal, Tickets, text_of};
use diskeyval_core::{Answer, Effect, Engine, Event, Input, Instant, NodeId, Request, Standing, Ticket};
use tracing::{debug, error, info, warn};

use crate::board::Board;
use crate::disk::Disk;
use crate::net::Net;
use crate::notifier::{Hub, Job};
use crate::queue::{Ask, End, Queue, Reply};

/// How long the disk may take for what was handed over before the end.
const LAST_OPERATIONS: Duration = Duration::from_secs(5);

/// How often to look whether a certificate ends soon.
const BETWEEN_DATES: Duration = Duration::from_secs(3600);

/// The ticket under which the driver itself asks how its node stands.
const OWN: Ticket = Tickets::<Reply>::OWN;

/// What the driver's thread shares with everybody.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) board: Board,
    pub(crate) hub: Arc<Hub>,
}

/// A node that is being driven: by a thread of its own ([`live`](Driving::live)), or step by step by a loop of the
/// program's ([`Driver`](crate::Driver)).
pub(crate) struct Driving {
    node: NodeId,
    engine: Engine,
    net: Net,
    disk: Option<Disk>,
    opening: Opening,
    clock: Clock,
    shared: Arc<Shared>,
    asks: Vec<Ask>,
    /// Who waits for which answer.
    tickets: Tickets<Reply>,
    /// How long the engine may take to stop, and when that is over.
    patience: Duration,
    stop_by: Option<Instant>,
    /// What the last turn has brought for the embedding program.
    events: Vec<Event>,
    answers: Vec<(Reply, Answer)>,
    jobs: Vec<Job>,
    journal: Journal,
    expiries: Expiries,
    /// When to look next whether a certificate ends soon.
    dates_at: Instant,
}

/// Whether the engine still reads what it had kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// It does, as far as is known.
    Reads,
    /// It does, and has just been given something: it may be about to be done.
    Stirred,
    Done,
}

impl Driving {
    pub(crate) fn new(
        node: NodeId,
        engine: Engine,
        net: Net,
        disk: Option<Disk>,
        shared: Arc<Shared>,
        patience: Duration,
    ) -> Driving {
        Driving {
            journal: Journal::new(node.clone()),
            expiries: Expiries::default(),
            dates_at: Instant::ZERO,
            node,
            engine,
            net,
            opening: if disk.is_some() { Opening::Stirred } else { Opening::Done },
            disk,
            clock: Clock::new(),
            shared,
            asks: Vec::new(),
            tickets: Tickets::default(),
            patience,
            stop_by: None,
            events: Vec::new(),
            answers: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// The life of the driver's thread.
    pub(crate) fn live(mut self) {
        loop {
            let span = self.how_long();
            if let Some(end) = self.step(span) {
                return self.finish(end);
            }
        }
    }

    /// Waits for so long, or until there is something to do, and does it. Tells the end of the node.
    pub(crate) fn step(&mut self, span: Option<Duration>) -> Option<End> {
        catch_unwind(AssertUnwindSafe(|| self.wait_and_turn(span))).unwrap_or_else(|panic| {
            error!(node = %self.node, what = text_of(&*panic), "the driver has panicked, which is a bug: the node stops");
            Some(End::Crashed)
        })
    }

    fn wait_and_turn(&mut self, span: Option<Duration>) -> Option<End> {
        if let Err(error) = self.net.wait(span) {
            error!(node = %self.node, %error, "the operating system does not tell of sockets any more: the node stops");
            return Some(End::Crashed);
        }
        self.net.collect();
        if let Some(disk) = &self.disk {
            disk.take(&mut self.net.inputs);
        }
        self.shared.queue.take(&mut self.asks);
        self.turn()
    }

    /// What becomes readable when there is something to do.
    #[cfg(unix)]
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.net.as_raw_fd()
    }

    /// How long there is nothing to do unless something arrives; `None` is for ever. From now on, whatever arrives ends the
    /// wait.
    pub(crate) fn how_long(&self) -> Option<Duration> {
        let nothing_waits = self.shared.queue.doze() && self.disk.as_ref().is_none_or(Disk::doze);
        if self.net.is_busy() || !nothing_waits || self.opening == Opening::Stirred {
            return Some(Duration::ZERO);
        }
        let engine = self.engine.deadline().map(|deadline| deadline.at);
        let own = self.stop_by.into_iter().chain([self.dates_at]);
        let first = engine.into_iter().chain(self.net.deadline()).chain(own).min();
        first.map(|at| self.clock.until(at))
    }

    /// One turn of the engine, and what comes out of it.
    fn turn(&mut self) -> Option<End> {
        // Everything of this turn has been received by now. This is the one place where the engine's
        // time is taken: a reading from before the reception could make an old lease look young.
        let now = self.clock.now();
        self.net.expire(now);
        let mut turn = self.engine.turn(now);
        let mut stirred = false;
        for input in self.net.inputs.drain(..) {
            stirred |= matches!(input, Input::Disk { .. });
            turn.input(input);
        }
        for ask in self.asks.drain(..) {
            let input = match ask {
                Ask::Certificates { context } => {
                    self.net.renew(*context);
                    self.dates_at = now;
                    self.net.inputs.drain(..).for_each(|input| turn.input(input));
                    continue;
                }
                Ask::Tell { event } => {
                    self.events.push(event);
                    continue;
                }
                Ask::Listen { changes } => Input::Listen { changes },
                Ask::Request { request, budget, mut reply } => {
                    if matches!(request, Request::Stop) {
                        self.stop_by.get_or_insert(now + self.patience);
                    }
                    reply.handed_over();
                    Input::Ask { ticket: self.tickets.issue(reply), request, budget }
                }
            };
            turn.input(input);
        }
        if self.opening != Opening::Done {
            self.opening = if stirred { Opening::Stirred } else { Opening::Reads };
            turn.input(Input::Ask { ticket: OWN, request: Request::Status, budget: Duration::ZERO });
        }
        let mut end = None;
        for effect in turn.end() {
            match effect {
                Effect::Send { conn, bytes } => self.net.send(conn, bytes),
                Effect::Dial { dial, peer, address, within } => {
                    self.net.dial(dial, peer, address, within, now)
                }
                Effect::Close { conn, why } => self.net.close(conn, &why),
                Effect::Disk { op, what } => match &mut self.disk {
                    Some(disk) => disk.order(op, what),
                    None => unreachable!("only a node that has a directory has anything to do there"),
                },
                Effect::Answer { ticket: OWN, answer } => {
                    // Of one that has halted, the end is told.
                    let is_open =
                        |standing: &Standing| !matches!(standing, Standing::Opening | Standing::Halted(_));
                    if matches!(&answer, Answer::Status(status) if is_open(&status.standing)) {
                        self.opening = Opening::Done;
                        self.shared.board.opened();
                    }
                }
                Effect::Answer { ticket, mut answer } => {
                    if let Answer::Status(status) = &mut answer {
                        status.certificates = Some(self.net.certificates());
                    }
                    if matches!(answer, Answer::Stopped) {
                        end.get_or_insert(End::Stopped);
                    }
                    if let Some(reply) = self.tickets.redeem(ticket) {
                        self.answers.push((reply, answer));
                    }
                }
                Effect::Event(event) => self.events.push(event),
                Effect::Halt { fault } => {
                    if self.opening == Opening::Done {
                        error!(node = %self.node, %fault, "the node halts");
                    } else {
                        // Whoever starts it is told.
                        debug!(node = %self.node, %fault, "the node cannot be opened");
                    }
                    end = Some(End::Halted(fault));
                }
                other => {
                    error!(node = %self.node, effect = ?other, "an effect that this driver does not know")
                }
            }
        }
        // The disk first: it takes longest. Then peers: they wait for each other, and the program's threads for them.
        if let Some(disk) = &mut self.disk {
            disk.send();
        }
        self.net.flush();
        if self.dates_at <= now {
            self.dates_at = now + BETWEEN_DATES;
            self.events.append(&mut self.expiries.due(&self.net.certificates()));
        }
        self.tell();
        if end.is_none() && self.stop_by.is_some_and(|at| at <= now) {
            warn!(node = %self.node, "the engine did not stop in time: closing all the same");
            end = Some(End::Stopped);
        }
        end
    }

    /// Tells the embedding program: the board, then what happened, then the answers, so that nobody who
    /// has an answer can find the board or the events behind it.
    fn tell(&mut self) {
        let engine = &self.engine;
        let mut metrics = engine.metrics();
        self.net.visitors.add_to(&mut metrics);
        self.shared.hub.add_to(&mut metrics);
        self.shared.board.publish(engine.leader(), engine.is_leader(), engine.is_ready(), metrics);
        let events = mem::take(&mut self.events);
        for event in &events {
            self.journal.note(event);
        }
        self.shared.hub.publish(&events, &mut self.jobs);
        for (reply, answer) in self.answers.drain(..) {
            reply.keep(answer, &mut self.jobs);
        }
        self.shared.hub.publish(&[], &mut self.jobs);
        self.events = events;
        self.events.clear();
    }

    /// Ends what is pending, closes what is open, and lets everybody know.
    pub(crate) fn finish(mut self, end: End) {
        for ask in self.shared.queue.close(end.clone()) {
            ask.refuse(end.refusal());
        }
        for ask in self.asks.drain(..) {
            ask.refuse(end.refusal());
        }
        for (reply, answer) in self.answers.drain(..) {
            reply.keep(answer, &mut self.jobs);
        }
        for reply in self.tickets.all() {
            reply.lose(&end, &mut self.jobs);
        }
        self.shared.hub.publish(&self.events, &mut self.jobs);
        if let Some(disk) = &mut self.disk {
            disk.close();
        }
        self.net.shut_down(&self.clock);
        if self.disk.take().is_some_and(|disk| !disk.finish(LAST_OPERATIONS)) {
            warn!(node = %self.node, "the disk does not answer: its directory stays in use until it does");
        }
        info!(node = %self.node, ?end, "the node has ended");
        self.shared.board.end(end);
        self.shared.hub.close();
    }
}
