//! The driver: the one task that owns the engine.
//!
//! ```text
//! wait -> collect what has arrived -> read the clock -> one turn of the engine -> perform its effects
//! ```

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use diskeyval_core::host::{Clock, Expiries, Journal, Tickets, text_of};
use diskeyval_core::{Answer, Effect, Engine, Event, Input, Instant, NodeId, Request, Standing, Ticket};
use futures_lite::FutureExt;
use smol::Executor;
use tracing::{debug, error, info, warn};

use crate::alarm::Alarm;
use crate::bell::Bell;
use crate::board::Board;
use crate::disk::Disk;
use crate::events::Hub;
use crate::net::Net;
use crate::pending::Promise;
use crate::queue::{Ask, End, Queue, acts};

/// How long the disk may take for what was handed over before the end.
const LAST_OPERATIONS: Duration = Duration::from_secs(5);

/// How often to look whether a certificate ends soon.
const BETWEEN_DATES: Duration = Duration::from_secs(3600);

/// The ticket under which the driver itself asks how its node stands.
const OWN: Ticket = Tickets::<Promise>::OWN;

/// What moves a node: a future, to be spawned on any executor, that is done when the node has ended.
///
/// It brings its reactor and the threads for its disk along (those of smol), and polls the tasks of its connections itself.
/// It needs to be polled for the node to live: nothing goes on while it is not.
///
/// # Cancellation
/// Dropping it is the end of the node, at once and without a word to the others: what is pending ends as
/// [`Refusal::Stopped`](crate::Refusal::Stopped) or [`Doubt::Stopped`](crate::Doubt::Stopped), and all sockets are closed.
/// An operation that is under way on its disk is finished first, and holds the directory until then. To end it in order,
/// [`Node::end`](crate::Node::end) it.
#[must_use = "the node does not live unless this is polled"]
pub struct Driver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Driver {
    pub(crate) fn of(life: impl Future<Output = ()> + Send + 'static) -> Driver {
        Driver(Box::pin(life))
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// What the driver shares with all handles.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) board: Board,
    pub(crate) hub: Hub,
}

impl Shared {
    /// The node has ended: nobody waits for it any more.
    fn end(&self, end: &End) {
        for ask in self.queue.close(end.clone()) {
            ask.refuse(end.refusal());
        }
        self.board.end(end.clone());
        self.hub.close();
    }
}

/// What the driver is made of.
pub(crate) struct Life {
    pub(crate) node: NodeId,
    pub(crate) engine: Engine,
    pub(crate) net: Net,
    pub(crate) disk: Option<Disk>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) ending: Ending,
    /// How long the engine may take to stop.
    pub(crate) patience: Duration,
}

/// Lets everybody know of the end, whenever that comes: in order, or by being dropped.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(&End::Crashed);
    }
}

impl Life {
    /// From the first turn until everything is closed. All tasks of the node are on this executor.
    pub(crate) async fn live(self, executor: Executor<'static>) {
        let driven = async {
            let mut driving = Driving::new(self);
            let run = AssertUnwindSafe(driving.run(&executor)).catch_unwind().await;
            let end = run.unwrap_or_else(|panic| {
                let node = &driving.life.node;
                error!(%node, what = text_of(&*panic), "the driver has panicked, which is a bug: the node stops");
                End::Crashed
            });
            driving.finish(end).await
        };
        let (ending, end) = executor.run(driven).await;
        // Whoever is told of the end finds the address free: a task that was cancelled holds its socket until it is dropped.
        drop(executor);
        ending.0.end(&end);
    }
}

/// A driver at work.
struct Driving {
    life: Life,
    opening: Opening,
    clock: Clock,
    alarm: Alarm,
    /// What the engine has to be told, in its order.
    inputs: Vec<Input>,
    asks: Vec<Ask>,
    /// Who waits for which answer.
    tickets: Tickets<Promise>,
    /// When the engine must have stopped.
    stop_by: Option<Instant>,
    /// What the last turn has brought for the embedding program.
    events: Vec<Event>,
    answers: Vec<(Promise, Answer)>,
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
    fn new(life: Life) -> Driving {
        Driving {
            opening: if life.disk.is_some() { Opening::Stirred } else { Opening::Done },
            clock: Clock::new(),
            alarm: Alarm::default(),
            inputs: Vec::new(),
            asks: Vec::new(),
            tickets: Tickets::default(),
            stop_by: None,
            events: Vec::new(),
            answers: Vec::new(),
            journal: Journal::new(life.node.clone()),
            expiries: Expiries::default(),
            dates_at: Instant::ZERO,
            life,
        }
    }

    async fn run(&mut self, executor: &Executor<'static>) -> End {
        loop {
            self.life.net.collect(&mut self.inputs, executor);
            if let Some(disk) = &self.life.disk {
                disk.take(&mut self.inputs);
            }
            self.life.ending.0.queue.take(&mut self.asks);
            if let Some(end) = self.turn(executor) {
                return end;
            }
            self.wait().await;
        }
    }

    fn shared(&self) -> &Shared {
        &self.life.ending.0
    }

    /// Waits until something has arrived, or the engine wants its turn.
    async fn wait(&mut self) {
        if self.opening == Opening::Stirred {
            return;
        }
        let engine = self.life.engine.deadline().map(|deadline| deadline.at);
        let at = engine.into_iter().chain(self.stop_by).fold(self.dates_at, Instant::min);
        match self.clock.until(at) {
            Duration::ZERO => {}
            span => self.life.bell.heard().or(self.alarm.within(span)).await,
        }
    }

    /// One turn of the engine, and what comes out of it.
    fn turn(&mut self, executor: &Executor<'static>) -> Option<End> {
        // Everything of this turn has been received by now. This is the one place where the engine's
        // time is taken: a reading from before the reception could make an old lease look young.
        let now = self.clock.now();
        let life = &mut self.life;
        let mut turn = life.engine.turn(now);
        let mut stirred = false;
        for input in self.inputs.drain(..) {
            stirred |= matches!(input, Input::Disk { .. });
            turn.input(input);
        }
        for ask in self.asks.drain(..) {
            let input = match ask {
                Ask::Certificates { policy } => {
                    let mut inputs = Vec::new();
                    life.net.renew(&policy, &mut inputs);
                    self.dates_at = now;
                    inputs.into_iter().for_each(|input| turn.input(input));
                    continue;
                }
                Ask::Tell { event } => {
                    self.events.push(event);
                    continue;
                }
                Ask::Listen { changes } => Input::Listen { changes },
                Ask::Request { request, budget, mut promise } => {
                    if matches!(request, Request::Stop) {
                        self.stop_by.get_or_insert(now + life.patience);
                    }
                    if acts(&request) {
                        promise.doubtful();
                    }
                    Input::Ask { ticket: self.tickets.issue(promise), request, budget }
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
                Effect::Send { conn, bytes } => life.net.send(conn, bytes),
                Effect::Dial { dial, peer, address, within } => {
                    life.net.dial(dial, &peer, address, within, executor)
                }
                Effect::Close { conn, why } => life.net.close(conn, &why),
                Effect::Disk { op, what } => match &mut life.disk {
                    Some(disk) => disk.order(op, what),
                    None => unreachable!("only a node that has a directory has anything to do there"),
                },
                Effect::Answer { ticket: OWN, answer } => {
                    // Of one that has halted, the end is told.
                    let is_open =
                        |standing: &Standing| !matches!(standing, Standing::Opening | Standing::Halted(_));
                    if matches!(&answer, Answer::Status(status) if is_open(&status.standing)) {
                        self.opening = Opening::Done;
                        life.ending.0.board.opened();
                    }
                }
                Effect::Answer { ticket, mut answer } => {
                    if let Answer::Status(status) = &mut answer {
                        status.certificates = Some(life.net.certificates());
                    }
                    if matches!(answer, Answer::Stopped) {
                        end.get_or_insert(End::Stopped);
                    }
                    if let Some(promise) = self.tickets.redeem(ticket) {
                        self.answers.push((promise, answer));
                    }
                }
                Effect::Event(event) => self.events.push(event),
                Effect::Halt { fault } => {
                    if self.opening == Opening::Done {
                        error!(node = %life.node, %fault, "the node halts");
                    } else {
                        // Whoever starts it is told.
                        debug!(node = %life.node, %fault, "the node cannot be opened");
                    }
                    end = Some(End::Halted(fault));
                }
                other => {
                    error!(node = %life.node, effect = ?other, "an effect that this driver does not know")
                }
            }
        }
        // The disk first: it takes longest. Then peers: they wait for each other, and the program for them.
        if let Some(disk) = &mut life.disk {
            disk.send();
        }
        life.net.flush();
        if self.dates_at <= now {
            self.dates_at = now + BETWEEN_DATES;
            self.events.append(&mut self.expiries.due(&life.net.certificates()));
        }
        self.tell();
        if end.is_none() && self.stop_by.is_some_and(|at| at <= now) {
            warn!(node = %self.life.node, "the engine did not stop in time: closing all the same");
            end = Some(End::Stopped);
        }
        end
    }

    /// Tells the embedding program: the board, then what happened, then the answers, so that nobody who
    /// has an answer can find the board or the events behind it.
    fn tell(&mut self) {
        let (engine, shared) = (&self.life.engine, &self.life.ending.0);
        let mut metrics = engine.metrics();
        self.life.net.add_to(&mut metrics);
        shared.hub.add_to(&mut metrics);
        shared.board.publish(engine.leader(), engine.is_leader(), engine.is_ready(), metrics);
        for event in &self.events {
            self.journal.note(event);
        }
        shared.hub.publish(&self.events);
        self.events.clear();
        for (promise, answer) in self.answers.drain(..) {
            promise.keep(Ok(answer));
        }
    }

    /// Ends what is pending, and closes what is open. Gives whoever has to be told of the end.
    async fn finish(mut self, end: End) -> (Ending, End) {
        for ask in self.shared().queue.close(end.clone()) {
            ask.refuse(end.refusal());
        }
        for ask in self.asks.drain(..) {
            ask.refuse(end.refusal());
        }
        // What the last turn has brought, should it have come to a bad end.
        for (promise, answer) in self.answers.drain(..) {
            promise.keep(Ok(answer));
        }
        for promise in self.tickets.all() {
            end.lose(promise);
        }
        let Life { node, mut net, disk, bell, ending, .. } = self.life;
        let disk = async {
            match disk {
                Some(disk) => disk.finish(LAST_OPERATIONS).await,
                None => true,
            }
        };
        let ((), disk_is_done) = futures_lite::future::zip(net.shut_down(&bell), disk).await;
        if !disk_is_done {
            warn!(%node, "the disk does not answer: its directory stays in use until it does");
        }
        info!(%node, ?end, "the node has ended");
        (ending, end)
    }
}
