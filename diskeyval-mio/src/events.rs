//! Where what happens on a node waits for those who want to see it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diskeyval_core::Event;
use diskeyval_core::host::{Backlog, Notice};

use crate::lock;

/// The events of a node from the moment of the subscription, in their order: an iterator that waits for
/// the next one, and that ends when the node has ended.
///
/// Up to 16,384 events (64 MiB) are kept for a reader that is slow; what does not fit is counted, and
/// told by one [`Notice::Lagged`] in its place. Nothing is left out in silence.
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

    /// The next event, if it comes within `span`. `None` also when the node has ended
    /// ([`is_over`](Events::is_over) tells).
    pub fn next_timeout(&mut self, span: Duration) -> Option<Notice> {
        self.mailbox.next(Instant::now().checked_add(span))
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<Notice> {
        lock(&self.mailbox.state).backlog.pop()
    }

    /// Whether the node has ended and all was read.
    pub fn is_over(&self) -> bool {
        let state = lock(&self.mailbox.state);
        state.over && state.backlog.is_empty()
    }
}

impl Iterator for Events {
    type Item = Notice;

    fn next(&mut self) -> Option<Notice> {
        self.mailbox.next(None)
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

/// Where the driver leaves events for one [`Events`].
#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<Inside>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inside {
    backlog: Backlog,
    over: bool,
}

impl Mailbox {
    pub(crate) fn put(&self, events: &[Event]) {
        let mut state = lock(&self.state);
        for event in events {
            state.backlog.push(event);
        }
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn close(&self) {
        lock(&self.state).over = true;
        self.arrived.notify_one();
    }

    fn next(&self, end: Option<Instant>) -> Option<Notice> {
        let mut state = lock(&self.state);
        loop {
            if let Some(notice) = state.backlog.pop() {
                return Some(notice);
            }
            if state.over {
                return None;
            }
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use diskeyval_core::Term;

    use super::*;

    fn reign(term: u64) -> Event {
        Event::Leader { leader: None, term: Term(term) }
    }

    fn subscription() -> (Arc<Mailbox>, Events) {
        let mailbox = Arc::new(Mailbox::default());
        (mailbox.clone(), Events::new(mailbox, || {}))
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_an_event_and_by_the_end() {
        let (mailbox, mut events) = subscription();
        let reader = thread::spawn(move || (events.next(), events.next(), events.is_over()));
        mailbox.put(&[reign(1)]);
        mailbox.close();
        let seen = reader.join().expect("no panic");
        assert_eq!(seen, (Some(Notice::Event(reign(1))), None, true));
    }

    #[test]
    fn a_reader_does_not_wait_for_longer_than_it_says() {
        let (_mailbox, mut events) = subscription();
        assert_eq!(events.next_timeout(Duration::from_millis(1)), None);
        assert!(!events.is_over());
    }
}
