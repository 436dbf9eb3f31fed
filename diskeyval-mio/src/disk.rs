//! The disk: a thread that does to a node's directory what the engine asks for, so that nobody waits for it.
//!
//! ```text
//! driver: orders of a turn ──▶ queue ──▶ thread dkv-<id>-disk: one after the other ──▶ reports ──▶ driver
//! ```
//!
//! What an operation is, and what its failure means, is decided elsewhere. Here they are carried out in order, and
//! reported in order.

#[cfg(test)]
mod tests;

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diskeyval_core::host::{Perform, belongs_to, verb};
use diskeyval_core::{DiskDone, DiskError, DiskOp, Input, NodeId, OpId};
use mio::Waker;
use tracing::{error, warn};

use crate::lock;
use crate::notifier::text_of;

/// What takes longer than this is worth a word in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The driver's end.
pub(crate) struct Disk {
    desk: Arc<Desk>,
    /// The orders of this turn.
    turn: Vec<Order>,
    /// Until it has been waited for.
    thread: Option<JoinHandle<()>>,
}

struct Order {
    op: OpId,
    what: DiskOp,
}

type Report = (OpId, Result<DiskDone, DiskError>);

/// What both threads share.
struct Desk {
    orders: Mutex<Orders>,
    ordered: Condvar,
    reports: Mutex<Reports>,
    ended: Condvar,
    waker: Arc<Waker>,
}

#[derive(Default)]
struct Orders {
    waiting: Vec<Order>,
    closed: bool,
}

#[derive(Default)]
struct Reports {
    waiting: Vec<Report>,
    /// Whether the driver may be waiting for the operating system: only then is it worth a system call to wake it.
    asleep: bool,
    /// Whether the thread has done all that it ever will, and has let go of the directory.
    ended: bool,
}

impl Disk {
    /// Starts the thread.
    pub(crate) fn start(node: &NodeId, performer: impl Perform, waker: Arc<Waker>) -> io::Result<Disk> {
        let desk = Arc::new(Desk {
            orders: Mutex::default(),
            ordered: Condvar::new(),
            reports: Mutex::default(),
            ended: Condvar::new(),
            waker,
        });
        let (serving, name) = (desk.clone(), node.clone());
        let thread = thread::Builder::new().name(format!("dkv-{node}-disk"));
        let thread = thread.spawn(move || serve(&serving, performer, &name))?;
        Ok(Disk { desk, turn: Vec::new(), thread: Some(thread) })
    }

    /// Takes an order. It is on its way with the next [`send`](Disk::send).
    pub(crate) fn order(&mut self, op: OpId, what: DiskOp) {
        self.turn.push(Order { op, what });
    }

    /// Hands over what was ordered in this turn: together, so that what belongs together is reported together.
    pub(crate) fn send(&mut self) {
        if self.turn.is_empty() {
            return;
        }
        let mut orders = lock(&self.desk.orders);
        orders.waiting.append(&mut self.turn);
        drop(orders);
        self.desk.ordered.notify_one();
    }

    /// The driver is about to wait: whether there is nothing to be taken before.
    pub(crate) fn doze(&self) -> bool {
        let mut reports = lock(&self.desk.reports);
        reports.asleep = reports.waiting.is_empty();
        reports.asleep
    }

    /// What has been done since the last time.
    pub(crate) fn take(&self, inputs: &mut Vec<Input>) {
        let mut reports = lock(&self.desk.reports);
        reports.asleep = false;
        let waiting = mem::take(&mut reports.waiting);
        drop(reports);
        inputs.extend(waiting.into_iter().map(|(op, result)| Input::Disk { op, result }));
    }

    /// Lets the thread finish what was handed over, and end. Nobody waits for it yet.
    pub(crate) fn close(&mut self) {
        self.send();
        lock(&self.desk.orders).closed = true;
        self.desk.ordered.notify_one();
    }

    /// Waits for the end of the thread, for so long. If it does not come, an operation hangs: the thread goes on
    /// waiting for it, holds the directory until then, and `false` is returned.
    pub(crate) fn finish(mut self, span: Duration) -> bool {
        let reports = lock(&self.desk.reports);
        let waited = self.desk.ended.wait_timeout_while(reports, span, |reports| !reports.ended);
        let has_ended = waited.unwrap_or_else(PoisonError::into_inner).0.ended;
        if has_ended && let Some(thread) = self.thread.take() {
            // It catches what panics in it.
            let _ = thread.join();
        }
        has_ended
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Desk {
    /// What is to be done; `None` once there will be no more.
    fn next_batch(&self) -> Option<Vec<Order>> {
        let mut orders = lock(&self.orders);
        while orders.waiting.is_empty() {
            if orders.closed {
                return None;
            }
            orders = self.ordered.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
        Some(mem::take(&mut orders.waiting))
    }

    fn report(&self, done: &mut Vec<Report>) {
        let mut reports = lock(&self.reports);
        reports.waiting.append(done);
        let asleep = mem::take(&mut reports.asleep);
        drop(reports);
        if asleep && let Err(error) = self.waker.wake() {
            // The report will be seen at the driver's next turn.
            error!(%error, "the driver could not be woken");
        }
    }
}

/// The life of the disk's thread.
fn serve(desk: &Desk, mut performer: impl Perform, node: &NodeId) {
    let mut done = Vec::new();
    let mut is_full = false;
    while let Some(batch) = desk.next_batch() {
        let mut batch = batch.into_iter().peekable();
        while let Some(Order { op, what }) = batch.next() {
            let more_follows = batch.peek().is_some_and(|next| belongs_to(&what, &next.what));
            let makes = matches!(what, DiskOp::Create { size: 1.., .. }).then(|| verb(&what));
            let result = perform(&mut performer, what, node);
            // A node that starts waits for room, and has nobody to tell but the log. It is tried again and again.
            match (&makes, &result) {
                (Some(verb), Err(DiskError::Full)) if !is_full => {
                    warn!(%node, "the disk is full, and what follows waits for room: {verb}");
                    is_full = true;
                }
                (Some(_), Ok(_)) => is_full = false,
                _ => {}
            }
            done.push((op, result));
            if !more_follows {
                desk.report(&mut done);
            }
        }
    }
    // The directory is let go before anybody is told.
    drop(performer);
    lock(&desk.reports).ended = true;
    desk.ended.notify_all();
}

fn perform(performer: &mut impl Perform, what: DiskOp, node: &NodeId) -> Result<DiskDone, DiskError> {
    let (verb, begin) = (verb(&what), Instant::now());
    let result = catch_unwind(AssertUnwindSafe(|| performer.perform(what))).unwrap_or_else(|panic| {
        let why = text_of(&*panic);
        error!(%node, why, "an operation on the disk has panicked, which is a bug");
        Err(DiskError::Failed(format!("{verb}: this program has a bug: {why}")))
    });
    let took = begin.elapsed();
    if took > SLOW {
        warn!(%node, ?took, "the disk is slow: {verb}");
    }
    result
}
