//! Where what happens on a node waits for those who want to see it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use diskeyval_core::host::{Backlog, Notice, TooManyWatchers};
use diskeyval_core::{Event, Metrics};
use futures_lite::{FutureExt, Stream};
use smol::Timer;

use crate::lock;

/// The events of a node from the moment of the subscription, in their order: a stream that ends when the node has ended.
///
/// Up to 16,384 events (64 MiB) are kept for a reader that is slow; what does not fit is counted, and told by one
/// [`Notice::Lagged`] in its place. Nothing is left out in silence.
#[must_use = "dropping this ends the subscription"]
pub struct Events {
    mailbox: Arc<Mailbox>,
    /// Tells the node that nobody reads any more.
    left: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Events {
    pub(crate) fn new(mailbox: Arc<Mailbox>, left: impl FnOnce() + Send + Sync + 'static) -> Events {
        Events { mailbox, left: Some(Box::new(left)) }
    }

    /// The next event; `None` when the node has ended.
    ///
    /// # Cancellation
    /// Dropping the future loses no event: what was not given out is given out next.
    pub async fn next(&mut self) -> Option<Notice> {
        poll_fn(|context| self.mailbox.poll(context)).await
    }

    /// The next event, if it comes within `span`. `None` also when the node has ended ([`is_over`](Events::is_over)
    /// tells).
    ///
    /// # Cancellation
    /// As [`next`](Events::next).
    pub async fn next_timeout(&mut self, span: Duration) -> Option<Notice> {
        self.next()
            .or(async {
                Timer::after(span).await;
                None
            })
            .await
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<Notice> {
        lock(&self.mailbox.0).backlog.pop()
    }

    /// Whether the node has ended and all was read.
    pub fn is_over(&self) -> bool {
        let state = lock(&self.mailbox.0);
        state.over && state.backlog.is_empty()
    }
}

impl Stream for Events {
    type Item = Notice;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.mailbox.poll(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            left();
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// All subscribers of a node.
pub(crate) struct Hub {
    /// How many there may be.
    most: usize,
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
struct Subscribers {
    /// How many were too many.
    refused: u64,
    mailboxes: Vec<Arc<Mailbox>>,
    closed: bool,
}

impl Hub {
    /// For so many subscribers.
    pub(crate) fn new(most: usize) -> Hub {
        Hub { most, subscribers: Mutex::default() }
    }

    /// Adds what was counted to the counters of the engine.
    pub(crate) fn add_to(&self, metrics: &mut Metrics) {
        metrics.watchers_refused += lock(&self.subscribers).refused;
    }

    pub(crate) fn add(&self) -> Result<Arc<Mailbox>, TooManyWatchers> {
        let mailbox = Arc::new(Mailbox::default());
        let mut subscribers = lock(&self.subscribers);
        if subscribers.mailboxes.len() >= self.most {
            subscribers.refused += 1;
            return Err(TooManyWatchers { limit: self.most });
        }
        if subscribers.closed {
            mailbox.close();
        } else {
            subscribers.mailboxes.push(mailbox.clone());
        }
        Ok(mailbox)
    }

    pub(crate) fn remove(&self, mailbox: &Arc<Mailbox>) {
        lock(&self.subscribers).mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    pub(crate) fn publish(&self, events: &[Event]) {
        if !events.is_empty() {
            for mailbox in &lock(&self.subscribers).mailboxes {
                mailbox.put(events);
            }
        }
    }

    /// Ends every [`Events`].
    pub(crate) fn close(&self) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.closed = true;
        for mailbox in subscribers.mailboxes.drain(..) {
            mailbox.close();
        }
    }
}

/// Where the driver leaves events for one [`Events`].
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    backlog: Backlog,
    over: bool,
    reader: Option<Waker>,
}

impl Mailbox {
    fn put(&self, events: &[Event]) {
        self.change(|state| {
            for event in events {
                state.backlog.push(event);
            }
        });
    }

    fn close(&self) {
        self.change(|state| state.over = true);
    }

    fn change(&self, change: impl FnOnce(&mut Inside)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        let mut state = lock(&self.0);
        if let Some(notice) = state.backlog.pop() {
            return Poll::Ready(Some(notice));
        }
        if state.over {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use diskeyval_core::Term;
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_reader_hears_of_events_and_of_the_end_and_loses_nothing_by_giving_up() {
        let hub = Hub::new(8);
        let mut events = Events::new(hub.add().expect("room"), || {});
        let reign = |term| Event::Leader { leader: None, term: Term(term) };
        block_on(async {
            assert_eq!(poll_once(events.next()).await, None);
            hub.publish(&[reign(1), reign(2)]);
            assert_eq!(events.next().await, Some(Notice::Event(reign(1))));
            assert_eq!(events.next_timeout(Duration::MAX).await, Some(Notice::Event(reign(2))));
            assert_eq!(events.next_timeout(Duration::from_millis(1)).await, None);
            assert!(!events.is_over());
            hub.close();
            assert_eq!(events.next().await, None);
            assert!(events.is_over());
            assert_eq!(
                Events::new(hub.add().expect("room"), || {}).next().await,
                None,
                "it has ended before"
            );
        });
    }
}
