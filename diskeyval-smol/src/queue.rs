//! How requests get from the embedding program to the driver.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diskeyval_core::tls::Policy;
use diskeyval_core::{Doubt, Error, Event, Fault, Limits, Refusal, Request};

use crate::bell::Bell;
use crate::lock;
use crate::pending::Promise;

/// What is handed to the driver.
pub(crate) enum Ask {
    Request {
        request: Request,
        budget: Duration,
        promise: Promise,
    },
    Listen {
        changes: bool,
    },
    /// Connections are made by these certificates from now on. A request to have links made anew follows.
    Certificates {
        policy: Box<Policy>,
    },
    /// Something has happened that no turn of the engine brings about.
    Tell {
        event: Event,
    },
}

/// Why a node takes no more requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    Halted(Fault),
    /// The driver was dropped, or has died of a bug of ours.
    Crashed,
}

/// The queue. The driver empties it once a turn, whatever is in it.
pub(crate) struct Queue {
    inside: Mutex<Inside>,
    bell: Arc<Bell>,
    max_asks: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Inside {
    asks: Vec<Ask>,
    bytes: usize,
    end: Option<End>,
}

impl Queue {
    pub(crate) fn new(bell: Arc<Bell>, limits: &Limits) -> Queue {
        Queue {
            inside: Mutex::default(),
            bell,
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
        let is_first = inside.asks.is_empty();
        inside.asks.push(ask);
        inside.bytes += size;
        drop(inside);
        if is_first {
            self.bell.ring();
        }
    }

    /// Everything that was asked for. `room` must be empty, and is used for what comes next.
    pub(crate) fn take(&self, room: &mut Vec<Ask>) {
        let mut inside = lock(&self.inside);
        inside.bytes = 0;
        mem::swap(&mut inside.asks, room);
    }

    /// Takes no more, and gives out what is left.
    pub(crate) fn close(&self, end: End) -> Vec<Ask> {
        let mut inside = lock(&self.inside);
        inside.end.get_or_insert(end);
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

    /// What becomes of a request that was handed to the engine and will never be answered.
    pub(crate) fn lose(&self, promise: Promise) {
        let error =
            if promise.is_doubtful() { Error::Unknown(self.doubt()) } else { Error::Refused(self.refusal()) };
        promise.keep(Err(error));
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
        if let Ask::Request { promise, .. } = self {
            promise.keep(Err(Error::Refused(why)));
        }
    }
}

/// Whether a request may have an effect once the engine has it.
pub(crate) fn acts(request: &Request) -> bool {
    matches!(
        request,
        Request::Write(_)
            | Request::TransferLeadership { .. }
            | Request::ChangeMembers { .. }
            | Request::Recover
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use diskeyval_core::{Answer, Command, Outcome, Read, Versioned};
    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::pending::Pending;

    fn queue(limits: &Limits) -> (Queue, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        (Queue::new(bell.clone(), limits), bell)
    }

    fn write(value: usize) -> (Ask, Pending<Outcome>) {
        let (promise, pending) =
            Promise::new(|answer| if let Answer::Written(result) = answer { Some(result) } else { None });
        let request = Request::Write(Command::Set { key: "k".into(), value: vec![0; value].into() });
        (Ask::Request { request, budget: Duration::ZERO, promise }, pending)
    }

    fn rang(bell: &Bell) -> bool {
        block_on(poll_once(bell.heard())).is_some()
    }

    #[test]
    fn the_driver_is_woken_once_for_all_that_waits() {
        let (queue, bell) = queue(&Limits::default());
        queue.push(write(1).0);
        assert!(rang(&bell));
        queue.push(write(1).0);
        assert!(!rang(&bell), "once is enough");
        let mut asks = Vec::new();
        queue.take(&mut asks);
        assert_eq!(asks.len(), 2);
        queue.push(write(1).0);
        assert!(rang(&bell));
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_refused() {
        let mut limits = Limits::default();
        (limits.max_writes, limits.max_reads, limits.max_write_bytes) = (1, 2, 1000);
        let (queue, _bell) = queue(&limits);
        let (ask, mut taken) = write(2000);
        queue.push(ask);
        assert_eq!(taken.try_take(), None, "a first one is the engine's to judge");
        let (ask, refused) = write(1);
        queue.push(ask);
        let overloaded = |limit| Err(Error::Refused(Refusal::Overloaded { limit }));
        assert_eq!(block_on(refused), overloaded("maxWriteBytes"));
        for _ in 0..2 {
            let (promise, _pending): (_, Pending<Option<Versioned>>) = Promise::new(|_| None);
            let request = Request::Get { key: Bytes::new(), read: Read::Local };
            queue.push(Ask::Request { request, budget: Duration::ZERO, promise });
        }
        let (ask, refused) = write(0);
        queue.push(ask);
        assert_eq!(block_on(refused), overloaded("maxWrites"));
        let (promise, mut stop): (_, Pending<()>) = Promise::new(|_| None);
        queue.push(Ask::Request { request: Request::Stop, budget: Duration::ZERO, promise });
        assert_eq!(stop.try_take(), None, "to stop is always possible");
    }

    #[test]
    fn after_the_end_everything_is_refused() {
        let (queue, _bell) = queue(&Limits::default());
        let (ask, waiting) = write(1);
        queue.push(ask);
        for ask in queue.close(End::Stopped) {
            ask.refuse(End::Stopped.refusal());
        }
        assert_eq!(block_on(waiting), Err(Error::Refused(Refusal::Stopped)));
        let (ask, late) = write(1);
        queue.push(ask);
        assert_eq!(block_on(late), Err(Error::Refused(Refusal::Stopped)));
    }
}
