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
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::host::{DiskReport, Perform, Worker};
use diskeyval_core::{DiskOp, Input, NodeId, OpId};
use mio::Waker;
use tracing::error;

use crate::lock;

/// The driver's end.
pub(crate) struct Disk {
    desk: Arc<Desk>,
    /// The orders of this turn.
    turn: Vec<Order>,
    /// Until it has been waited for.
    thread: Option<JoinHandle<()>>,
}

type Order = (OpId, DiskOp);

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
    waiting: Vec<DiskReport>,
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
        let (serving, worker) = (desk.clone(), Worker::new(node.clone(), performer));
        let thread = thread::Builder::new().name(format!("dkv-{node}-disk"));
        let thread = thread.spawn(move || serve(&serving, worker))?;
        Ok(Disk { desk, turn: Vec::new(), thread: Some(thread) })
    }

    /// Takes an order. It is on its way with the next [`send`](Disk::send).
    pub(crate) fn order(&mut self, op: OpId, what: DiskOp) {
        self.turn.push((op, what));
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

    fn report(&self, done: &mut Vec<DiskReport>) {
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
fn serve(desk: &Desk, mut worker: Worker<impl Perform>) {
    while let Some(batch) = desk.next_batch() {
        worker.work(batch, |done| desk.report(done));
    }
    // The directory is let go before anybody is told.
    drop(worker);
    lock(&desk.reports).ended = true;
    desk.ended.notify_all();
}
