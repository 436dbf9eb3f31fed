//! The disk: a task that does to a node's directory what the engine asks for, on threads that may block.
//!
//! ```text
//! driver: orders of a turn ──▶ queue ──▶ unblock(one after the other) ──▶ reports ──▶ driver
//! ```
//!
//! What an operation is, and what its failure means, is decided elsewhere. Here they are carried out in order, and
//! reported in order: there is never more than one batch on its way.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use diskeyval_core::host::{Perform, belongs_to, verb};
use diskeyval_core::{DiskDone, DiskError, DiskOp, Input, NodeId, OpId};
use futures_lite::FutureExt;
use smol::{Executor, Task, Timer, unblock};
use tracing::{error, warn};

use crate::bell::Bell;
use crate::driver::text_of;
use crate::lock;

/// What takes longer than this is worth a word in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The driver's end.
pub(crate) struct Disk {
    desk: Arc<Desk>,
    /// The orders of this turn.
    turn: Vec<Order>,
    task: Task<()>,
}

struct Order {
    op: OpId,
    what: DiskOp,
}

type Report = (OpId, Result<DiskDone, DiskError>);

/// What the driver, the task and its threads share.
struct Desk {
    node: NodeId,
    orders: Mutex<Orders>,
    reports: Mutex<Vec<Report>>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Orders {
    waiting: Vec<Order>,
    closed: bool,
    task: Option<Waker>,
}

impl Disk {
    /// Starts the task.
    pub(crate) fn start(
        node: NodeId,
        performer: impl Perform,
        bell: Arc<Bell>,
        executor: &Executor<'static>,
    ) -> Disk {
        let desk = Arc::new(Desk { node, orders: Mutex::default(), reports: Mutex::default(), bell });
        let task = executor.spawn(desk.clone().serve(performer));
        Disk { desk, turn: Vec::new(), task }
    }

    /// Takes an order. It is on its way with the next [`send`](Disk::send).
    pub(crate) fn order(&mut self, op: OpId, what: DiskOp) {
        self.turn.push(Order { op, what });
    }

    /// Hands over what was ordered in this turn: together, so that what belongs together is reported together.
    pub(crate) fn send(&mut self) {
        if !self.turn.is_empty() {
            let turn = &mut self.turn;
            self.desk.change(|orders| orders.waiting.append(turn));
        }
    }

    /// What has been done since the last time.
    pub(crate) fn take(&self, inputs: &mut Vec<Input>) {
        let reports = mem::take(&mut *lock(&self.desk.reports));
        inputs.extend(reports.into_iter().map(|(op, result)| Input::Disk { op, result }));
    }

    /// Has what was handed over finished, and waits for it for so long. If it takes longer, an operation hangs: its thread
    /// goes on waiting for it, holds the directory until then, and `false` is returned.
    pub(crate) async fn finish(mut self, span: Duration) -> bool {
        self.send();
        self.desk.change(|orders| orders.closed = true);
        let ended = async {
            self.task.await;
            true
        };
        let late = async {
            Timer::after(span).await;
            false
        };
        ended.or(late).await
    }
}

impl Desk {
    /// The life of the task.
    async fn serve(self: Arc<Desk>, performer: impl Perform) {
        // It is handed to a thread with each batch, and comes back with its end.
        let mut performer = performer;
        let mut is_full = false;
        while let Some(batch) = self.next_batch().await {
            let desk = self.clone();
            (performer, is_full) = unblock(move || {
                desk.work(&mut performer, batch, &mut is_full);
                (performer, is_full)
            })
            .await;
        }
        // Closing files may block. The directory is let go before anybody is told.
        unblock(move || drop(performer)).await;
    }

    /// What is to be done; `None` once there will be no more.
    async fn next_batch(&self) -> Option<Vec<Order>> {
        poll_fn(|context| {
            let mut orders = lock(&self.orders);
            if !orders.waiting.is_empty() {
                return Poll::Ready(Some(mem::take(&mut orders.waiting)));
            }
            if orders.closed {
                return Poll::Ready(None);
            }
            orders.task = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn change(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = lock(&self.orders);
        change(&mut orders);
        let task = orders.task.take();
        drop(orders);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Carries out a batch, on a thread that may block.
    fn work(&self, performer: &mut impl Perform, batch: Vec<Order>, is_full: &mut bool) {
        let node = &self.node;
        let mut done = Vec::new();
        let mut batch = batch.into_iter().peekable();
        while let Some(Order { op, what }) = batch.next() {
            let more_follows = batch.peek().is_some_and(|next| belongs_to(&what, &next.what));
            let makes = matches!(what, DiskOp::Create { size: 1.., .. }).then(|| verb(&what));
            let result = perform(performer, what, node);
            // A node that starts waits for room, and has nobody to tell but the log. It is tried again and again.
            match (&makes, &result) {
                (Some(verb), Err(DiskError::Full)) if !*is_full => {
                    warn!(%node, "the disk is full, and what follows waits for room: {verb}");
                    *is_full = true;
                }
                (Some(_), Ok(_)) => *is_full = false,
                _ => {}
            }
            done.push((op, result));
            if !more_follows {
                lock(&self.reports).append(&mut done);
                self.bell.ring();
            }
        }
    }
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
