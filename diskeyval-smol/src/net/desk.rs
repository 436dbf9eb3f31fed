//! What the driver and the task of a connection have for each other.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use bytes::Bytes;
use diskeyval_core::Input;
use rustls::pki_types::CertificateDer;

use crate::bell::Bell;
use crate::lock;

/// The most bytes of one connection that wait for the driver, so that a loud one neither starves the others nor fills
/// memory: its socket is not read on before the driver has taken them.
pub(super) const MAX_UNTAKEN: usize = 256 << 10;

/// What a task tells the driver.
pub(super) enum News {
    /// The certificates at the other end of a connection, before the engine is told of it.
    Shown(u64, Vec<CertificateDer<'static>>),
    /// Of a connection of this number.
    Of(u64, Input),
    /// Of a dial that came to nothing.
    Failed(Input),
    /// The task of this number has ended.
    Ended(u64),
}

/// Where all tasks leave their news.
pub(super) struct Mail {
    news: Mutex<Vec<News>>,
    bell: Arc<Bell>,
}

impl Mail {
    pub(super) fn new(bell: Arc<Bell>) -> Mail {
        Mail { news: Mutex::default(), bell }
    }

    pub(super) fn post(&self, news: News) {
        self.post_for_later(news);
        self.bell.ring();
    }

    /// It rides along with the next turn, and asks for none of its own.
    pub(super) fn post_for_later(&self, news: News) {
        lock(&self.news).push(news);
    }

    pub(super) fn take(&self) -> Vec<News> {
        mem::take(&mut lock(&self.news))
    }
}

/// What the driver leaves for the task of one connection. How much may wait here is the engine's to bound: it sends no more
/// than its limits before it has heard that some has left.
#[derive(Default)]
pub(super) struct Desk(Mutex<Orders>);

#[derive(Default)]
struct Orders {
    outgoing: VecDeque<Bytes>,
    close: bool,
    /// Whether there is something that the task has not been woken for.
    fresh: bool,
    /// Bytes that were received, and that the driver has not taken yet.
    untaken: usize,
    task: Option<Waker>,
}

impl Desk {
    /// Puts bytes behind all that was sent before, for the next [`flush`](Desk::flush).
    pub(super) fn send(&self, bytes: Bytes) {
        let mut orders = lock(&self.0);
        orders.outgoing.push_back(bytes);
        orders.fresh = true;
    }

    /// What was sent so far is the last.
    pub(super) fn close(&self) {
        let mut orders = lock(&self.0);
        orders.close = true;
        orders.fresh = true;
    }

    /// Wakes the task if there is something for it.
    pub(super) fn flush(&self) {
        let mut orders = lock(&self.0);
        if mem::take(&mut orders.fresh) {
            wake(orders.task.take());
        }
    }

    /// The driver has taken so many of the bytes that were received.
    pub(super) fn taken(&self, bytes: usize) {
        let mut orders = lock(&self.0);
        let was_too_much = orders.untaken >= MAX_UNTAKEN;
        orders.untaken = orders.untaken.saturating_sub(bytes);
        if was_too_much && orders.untaken < MAX_UNTAKEN {
            wake(orders.task.take());
        }
    }

    /// The task takes what there is for it, and will be woken when there is more. Whether it is to close.
    pub(super) fn look(&self, outgoing: &mut VecDeque<Bytes>, context: &Context<'_>) -> bool {
        let mut orders = lock(&self.0);
        outgoing.append(&mut orders.outgoing);
        match &mut orders.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        orders.close
    }

    /// The task has received so many bytes. Whether it may go on.
    pub(super) fn received(&self, bytes: usize) -> bool {
        let mut orders = lock(&self.0);
        orders.untaken += bytes;
        orders.untaken < MAX_UNTAKEN
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}
