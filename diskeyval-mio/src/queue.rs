//! How requests get from the threads of the embedding program to the driver.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diskeyval_core::{
    Answer, Doubt, Error, Event, Fault, Limits, Outcome, Recovery, Refusal, Request, Status, Versioned, View,
};
use mio::Waker;

use crate::lock;
use crate::notifier::Job;
use crate::pending::Promise;
use crate::tls::Context;

/// What is handed to the driver.
pub(crate) enum Ask {
    Request {
        request: Request,
        budget: Duration,
        reply: Reply,
    },
    Listen {
        changes: bool,
    },
    /// Connections are made by these certificates from now on. A request to have links made anew follows.
    Certificates {
        context: Box<Context>,
    },
    /// Something has happened that no turn of the engine brings about.
    Tell {
        event: Event,
    },
}

/// Who waits for what.
pub(crate) enum Reply {
    Write(Promise<Outcome>),
    Read(Promise<Option<Versioned>>),
    View(Promise<View>),
    Snapshot(Promise<u64>),
    Transfer(Promise<()>),
    Members(Promise<u64>),
    Recovery(Promise<Recovery>),
    Status(Promise<Status>),
    Renewed(Promise<()>),
    Stop(Promise<()>),
}

/// Why a node takes no more requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    Halted(Fault),
    /// The driver has died of a bug of ours.
    Crashed,
}

/// The queue. The driver empties it once a turn, whatever is in it.
pub(crate) struct Queue {
    inside: Mutex<Inside>,
    waker: Arc<Waker>,
    max_asks: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Inside {
    asks: Vec<Ask>,
    bytes: usize,
    /// Whether the driver may be waiting for the operating system: only then is it worth a system call
    /// to wake it.
    asleep: bool,
    end: Option<End>,
}

impl Queue {
    pub(crate) fn new(waker: Arc<Waker>, limits: &Limits) -> Queue {
        Queue {
            inside: Mutex::default(),
            waker,
            // What the engine would take in one turn; more would be refused there.
            max_asks: limits.max_writes.saturating_add(limits.max_reads),
            max_bytes: limits.max_write_bytes,
        }
    }

    /// Hands a request over, or answers it here and now.
    pub(crate) fn push(&self, ask: Ask) {
        let size = ask.size();
        let mut inside = lock(&self.inside);
        let refusal = match &inside.end {
            Some(end) => Some(end.refusal()),
            None if !ask.is_limited() => None,
            None if inside.asks.len() >= self.max_asks => Some(Refusal::Overloaded { limit: "maxWrites" }),
            // One request always fits, so that the engine can say that it is too large.
            None if inside.bytes > 0 && size > 0 && inside.bytes + size > self.max_bytes => {
                Some(Refusal::Overloaded { limit: "maxWriteBytes" })
            }
            None => None,
        };
        if let Some(refusal) = refusal {
            drop(inside);
            return ask.refuse(refusal);
        }
        inside.asks.push(ask);
        inside.bytes += size;
        let asleep = mem::take(&mut inside.asleep);
        drop(inside);
        if asleep && let Err(error) = self.waker.wake() {
            // The request is in the queue, and will be seen at the driver's next turn.
            tracing::error!(%error, "the driver could not be woken");
        }
    }

    /// The driver is about to wait: whether there is nothing to be done before.
    pub(crate) fn doze(&self) -> bool {
        let mut inside = lock(&self.inside);
        inside.asleep = inside.asks.is_empty();
        inside.asleep
    }

    /// Everything that was asked for. `room` must be empty, and is used for what comes next.
    pub(crate) fn take(&self, room: &mut Vec<Ask>) {
        let mut inside = lock(&self.inside);
        inside.asleep = false;
        inside.bytes = 0;
        mem::swap(&mut inside.asks, room);
    }

    /// Takes no more, and gives out what is left.
    pub(crate) fn close(&self, end: End) -> Vec<Ask> {
        let mut inside = lock(&self.inside);
        inside.end = Some(end);
        mem::take(&mut inside.asks)
    }
}

impl End {
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            End::Stopped | End::Crashed => Refusal::Stopped,
            End::Halted(fault) => Refusal::Halted(fault.clone()),
        }
    }

    fn doubt(&self) -> Doubt {
        match self {
            End::Stopped | End::Crashed => Doubt::Stopped,
            End::Halted(fault) => Doubt::Halted(fault.clone()),
        }
    }
}

impl Ask {
    /// Bytes of keys and values, so that the queue is bounded in what matters.
    fn size(&self) -> usize {
        match self {
            Ask::Request { request: Request::Write(command), .. } => command.payload(),
            Ask::Request { request: Request::Get { key, .. }, .. } => key.len(),
            _ => 0,
        }
    }

    /// Whether it may be turned away when much is waiting. To stop is always possible.
    fn is_limited(&self) -> bool {
        matches!(self, Ask::Request { request: Request::Write(_) | Request::Get { .. }, .. })
    }

    /// Ends it before it had any effect.
    pub(crate) fn refuse(self, why: Refusal) {
        if let Ask::Request { reply, .. } = self {
            // It was made a moment ago or its node has ended: what is to be called then, is called here.
            let mut jobs = Vec::new();
            reply.fail(Error::Refused(why), &mut jobs);
            for job in jobs {
                job();
            }
        }
    }
}

impl Reply {
    /// From now on the request may have an effect.
    pub(crate) fn handed_over(&mut self) {
        match self {
            Reply::Write(promise) => promise.doubtful(),
            Reply::Transfer(promise) => promise.doubtful(),
            Reply::Members(promise) => promise.doubtful(),
            Reply::Recovery(promise) => promise.doubtful(),
            Reply::Read(_)
            | Reply::View(_)
            | Reply::Snapshot(_)
            | Reply::Status(_)
            | Reply::Renewed(_)
            | Reply::Stop(_) => {}
        }
    }

    /// Gives the engine's answer.
    pub(crate) fn keep(self, answer: Answer, jobs: &mut Vec<Job>) {
        match (self, answer) {
            (Reply::Write(promise), Answer::Written(result)) => promise.keep(result, jobs),
            (Reply::Read(promise), Answer::Read(result)) => promise.keep(result, jobs),
            (Reply::View(promise), Answer::View(view)) => promise.keep(Ok(view), jobs),
            (Reply::Snapshot(promise), Answer::Snapshot(result)) => promise.keep(result, jobs),
            (Reply::Transfer(promise), Answer::Transferred(result)) => promise.keep(result, jobs),
            (Reply::Members(promise), Answer::MembersChanged(result)) => promise.keep(result, jobs),
            (Reply::Recovery(promise), Answer::Recovered(result)) => promise.keep(result, jobs),
            (Reply::Status(promise), Answer::Status(status)) => promise.keep(Ok(*status), jobs),
            (Reply::Renewed(promise), Answer::LinksRenewed) => promise.keep(Ok(()), jobs),
            (Reply::Stop(promise), Answer::Stopped) => promise.keep(Ok(()), jobs),
            // A bug of ours; the promise that is dropped here still ends as an honest error.
            (_, answer) => tracing::error!(?answer, "an answer does not fit its request"),
        }
    }

    /// Ends a request that will never be answered.
    pub(crate) fn lose(self, end: &End, jobs: &mut Vec<Job>) {
        let error = match self {
            Reply::Write(_) | Reply::Transfer(_) | Reply::Members(_) | Reply::Recovery(_) => {
                Error::Unknown(end.doubt())
            }
            _ => Error::Refused(end.refusal()),
        };
        self.fail(error, jobs);
    }

    fn fail(self, error: Error, jobs: &mut Vec<Job>) {
        match self {
            Reply::Write(promise) => promise.keep(Err(error), jobs),
            Reply::Read(promise) => promise.keep(Err(error), jobs),
            Reply::View(promise) => promise.keep(Err(error), jobs),
            Reply::Snapshot(promise) => promise.keep(Err(error), jobs),
            Reply::Transfer(promise) => promise.keep(Err(error), jobs),
            Reply::Members(promise) => promise.keep(Err(error), jobs),
            Reply::Recovery(promise) => promise.keep(Err(error), jobs),
            Reply::Status(promise) => promise.keep(Err(error), jobs),
            Reply::Renewed(promise) => promise.keep(Err(error), jobs),
            Reply::Stop(promise) => promise.keep(Err(error), jobs),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use diskeyval_core::{Command, Read};
    use mio::{Events, Poll, Token};

    use super::*;
    use crate::notifier::Hub;
    use crate::pending::Pending;

    fn queue(limits: &Limits) -> (Queue, Poll) {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        (Queue::new(Arc::new(waker), limits), poll)
    }

    fn write(value: usize) -> (Ask, Pending<Outcome>) {
        let (promise, pending) = Promise::new(&Arc::new(Hub::new(1)));
        let request = Request::Write(Command::Set { key: "k".into(), value: vec![0; value].into() });
        (Ask::Request { request, budget: Duration::ZERO, reply: Reply::Write(promise) }, pending)
    }

    fn woken(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("poll");
        !events.is_empty()
    }

    #[test]
    fn the_driver_is_woken_once_and_only_if_it_sleeps() {
        let (queue, mut poll) = queue(&Limits::default());
        let (ask, _one) = write(1);
        queue.push(ask);
        assert!(!woken(&mut poll), "it is awake, and looks before it sleeps");
        assert!(!queue.doze(), "something is waiting");
        let mut asks = Vec::new();
        queue.take(&mut asks);
        assert_eq!(asks.len(), 1);
        assert!(queue.doze());
        let (ask, _two) = write(1);
        queue.push(ask);
        assert!(woken(&mut poll));
        let (ask, _three) = write(1);
        queue.push(ask);
        assert!(!woken(&mut poll), "once is enough");
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_refused() {
        let mut limits = Limits::default();
        (limits.max_writes, limits.max_reads, limits.max_write_bytes) = (1, 2, 1000);
        let (queue, _poll) = queue(&limits);
        let (ask, mut taken) = write(2000);
        queue.push(ask);
        assert_eq!(taken.try_take(), None, "a first one is the engine's to judge");
        let (ask, refused) = write(1);
        queue.push(ask);
        let overloaded = |limit| Err(Error::Refused(Refusal::Overloaded { limit }));
        assert_eq!(refused.wait(), overloaded("maxWriteBytes"));
        for _ in 0..2 {
            let (promise, _pending) = Promise::new(&Arc::new(Hub::new(1)));
            let request = Request::Get { key: Bytes::new(), read: Read::Local };
            queue.push(Ask::Request { request, budget: Duration::ZERO, reply: Reply::Read(promise) });
        }
        let (ask, refused) = write(0);
        queue.push(ask);
        assert_eq!(refused.wait(), overloaded("maxWrites"));
        let (promise, mut stop) = Promise::new(&Arc::new(Hub::new(1)));
        queue.push(Ask::Request {
            request: Request::Stop,
            budget: Duration::ZERO,
            reply: Reply::Stop(promise),
        });
        assert_eq!(stop.try_take(), None, "to stop is always possible");
    }

    #[test]
    fn after_the_end_everything_is_refused() {
        let (queue, _poll) = queue(&Limits::default());
        let (ask, waiting) = write(1);
        queue.push(ask);
        let left = queue.close(End::Stopped);
        assert_eq!(left.len(), 1);
        for ask in left {
            ask.refuse(End::Stopped.refusal());
        }
        assert_eq!(waiting.wait(), Err(Error::Refused(Refusal::Stopped)));
        let (ask, late) = write(1);
        queue.push(ask);
        assert_eq!(late.wait(), Err(Error::Refused(Refusal::Stopped)));
    }
}
