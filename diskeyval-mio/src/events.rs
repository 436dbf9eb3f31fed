//! What happens on a node, as the embedding program gets to see it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diskeyval_core::{Change, Damage, Event};

use crate::lock;

/// The most events that wait for one reader.
const MAX_WAITING: usize = 16_384;

/// The most bytes of keys and values in them.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// One thing that a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened.
    Event(Event),
    /// The subscriber was too slow: this many events that belong here were left out. Whoever keeps a
    /// copy of the store reads it anew ([`Node::view`](crate::Node::view)).
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The state of this node has moved up to this revision at once, and the updates in between are not told one by
    /// one: it was started anew, or was too far behind. Whoever keeps a copy of the store reads it anew
    /// ([`Node::view`](crate::Node::view)).
    Resync {
        /// The revision that the state reflects.
        revision: u64,
    },
    /// A file of this node is not what was written to it: the node keeps out of everything, and keeps its files, until a
    /// leader offers to take it in again ([`Event::BegunAnew`]).
    Damaged(Damage),
}

impl From<Event> for Notice {
    fn from(event: Event) -> Notice {
        match event {
            Event::Resync { revision } => Notice::Resync { revision },
            Event::Damaged(damage) => Notice::Damaged(damage),
            other => Notice::Event(other),
        }
    }
}

impl Notice {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Notice::Event(event) => Some(event),
            Notice::Lagged { .. } | Notice::Resync { .. } | Notice::Damaged(_) => None,
        }
    }

    /// The committed update, if it is one.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Notice::Event(Event::Change(change)) => Some(change),
            _ => None,
        }
    }
}

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

/// Events that wait, bounded in number and bytes; what is over is counted in its place.
#[derive(Default)]
pub(crate) struct Backlog {
    waiting: VecDeque<Notice>,
    bytes: usize,
}

impl Backlog {
    pub(crate) fn push(&mut self, event: &Event) {
        let size = size_of_event(event);
        if self.waiting.len() < MAX_WAITING && self.bytes.saturating_add(size) <= MAX_WAITING_BYTES {
            self.bytes += size;
            self.waiting.push_back(event.clone().into());
        } else if let Some(Notice::Lagged { missed }) = self.waiting.back_mut() {
            *missed += 1;
        } else {
            self.waiting.push_back(Notice::Lagged { missed: 1 });
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Notice> {
        let notice = self.waiting.pop_front()?;
        self.bytes -= notice.event().map_or(0, size_of_event);
        Some(notice)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn size_of_event(event: &Event) -> usize {
    match event {
        Event::Change(change) => change.key.len() + change.value.as_ref().map_or(0, |value| value.len()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use diskeyval_core::{FileName, Term};

    use super::*;

    fn reign(term: u64) -> Event {
        Event::Leader { leader: None, term: Term(term) }
    }

    fn update(size: usize) -> Event {
        Event::Change(Change { key: "k".into(), value: Some(vec![0; size].into()), revision: 1 })
    }

    fn subscription() -> (Arc<Mailbox>, Events) {
        let mailbox = Arc::new(Mailbox::default());
        (mailbox.clone(), Events::new(mailbox, || {}))
    }

    #[test]
    fn a_slow_reader_is_told_once_how_many_it_missed_and_where() {
        let (mailbox, mut events) = subscription();
        let total = MAX_WAITING as u64 + 10;
        for term in 0..total {
            mailbox.put(&[reign(term)]);
        }
        for term in 0..MAX_WAITING as u64 {
            assert_eq!(events.try_next(), Some(Notice::Event(reign(term))));
        }
        mailbox.put(&[reign(total)]);
        assert_eq!(events.try_next(), Some(Notice::Lagged { missed: 10 }));
        assert_eq!(events.try_next(), Some(Notice::Event(reign(total))));
        assert_eq!(events.try_next(), None);
    }

    #[test]
    fn what_is_no_single_event_is_told_as_what_it_is() {
        let (mailbox, mut events) = subscription();
        let damage = Damage { file: FileName::Segment(1), at: 8192, what: "zeros".into() };
        mailbox.put(&[Event::Resync { revision: 7 }, Event::Damaged(damage.clone())]);
        assert_eq!(events.try_next(), Some(Notice::Resync { revision: 7 }));
        assert_eq!(events.try_next(), Some(Notice::Damaged(damage)));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let (mailbox, mut events) = subscription();
        let size = MAX_WAITING_BYTES / 4;
        mailbox.put(&vec![update(size); 5]);
        for _ in 0..3 {
            assert!(events.try_next().is_some_and(|notice| notice.change().is_some()));
        }
        assert_eq!(events.try_next(), Some(Notice::Lagged { missed: 2 }));
        mailbox.put(&[update(size)]);
        assert!(events.try_next().is_some_and(|notice| notice.change().is_some()));
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
