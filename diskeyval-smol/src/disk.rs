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
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use diskeyval_core::host::{DiskReport, Perform, Worker};
use diskeyval_core::{DiskOp, Input, NodeId, OpId};
use futures_lite::FutureExt;
use smol::{Executor, Task, Timer, unblock};

use crate::bell::Bell;
use crate::lock;

/// The driver's end.
pub(crate) struct Disk {
    desk: Arc<Desk>,
    /// The orders of this turn.
    turn: Vec<Order>,
    task: Task<()>,
}

type Order = (OpId, DiskOp);

/// What the driver, the task and its threads share.
struct Desk {
    orders: Mutex<Orders>,
    reports: Mutex<Vec<DiskReport>>,
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
        let desk = Arc::new(Desk { orders: Mutex::default(), reports: Mutex::default(), bell });
        let task = executor.spawn(desk.clone().serve(Worker::new(node, performer)));
        Disk { desk, turn: Vec::new(), task }
    }

    /// Takes an order. It is on its way with the next [`send`](Disk::send).
    pub(crate) fn order(&mut self, op: OpId, what: DiskOp) {
        self.turn.push((op, what));
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
    async fn serve(self: Arc<Desk>, mut worker: Worker<impl Perform>) {
        while let Some(batch) = self.next_batch().await {
            let desk = self.clone();
            // It is handed to a thread with each batch, and comes back with its end.
            worker = unblock(move || {
                worker.work(batch, |done| {
                    lock(&desk.reports).append(done);
                    desk.bell.ring();
                });
                worker
            })
            .await;
        }
        // Closing files may block. The directory is let go before anybody is told.
        unblock(move || drop(worker)).await;
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
}
