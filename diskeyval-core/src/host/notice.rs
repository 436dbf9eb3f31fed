//! What happens on a node, as the embedding program gets to see it, and what waits to be seen.

use core::fmt;
use std::collections::VecDeque;

use crate::error::Damage;
use crate::io::{Change, Event};

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
    /// copy of the store reads it anew (`Node::view`).
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The state of this node has moved up to this revision at once, and the updates in between are not told one by
    /// one: it was started anew, or was too far behind. Whoever keeps a copy of the store reads it anew
    /// (`Node::view`).
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

/// There are as many readers of events already as there may be, functions that are told of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyWatchers {
    /// How many there may be: `maxWatchers`.
    pub limit: usize,
}

impl fmt::Display for TooManyWatchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        write!(f, "{limit} readers of events are there already: end some, or raise the limit maxWatchers")
    }
}

impl core::error::Error for TooManyWatchers {}

/// Events that wait for one reader, bounded in number and bytes; what is over is counted in its place.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Notice>,
    bytes: usize,
}

impl Backlog {
    /// Puts an event behind the others.
    pub fn push(&mut self, event: &Event) {
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

    /// What is to be read next.
    pub fn pop(&mut self) -> Option<Notice> {
        let notice = self.waiting.pop_front()?;
        self.bytes -= notice.event().map_or(0, size_of_event);
        Some(notice)
    }

    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
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
    use std::vec;

    use super::*;
    use crate::id::Term;
    use crate::store::FileName;

    fn reign(term: u64) -> Event {
        Event::Leader { leader: None, term: Term(term) }
    }

    fn update(size: usize) -> Event {
        Event::Change(Change { key: "k".into(), value: Some(vec![0; size].into()), revision: 1 })
    }

    #[test]
    fn a_slow_reader_is_told_once_how_many_it_missed_and_where() {
        let mut backlog = Backlog::default();
        let total = MAX_WAITING as u64 + 10;
        for term in 0..total {
            backlog.push(&reign(term));
        }
        for term in 0..MAX_WAITING as u64 {
            assert_eq!(backlog.pop(), Some(Notice::Event(reign(term))));
        }
        backlog.push(&reign(total));
        assert_eq!(backlog.pop(), Some(Notice::Lagged { missed: 10 }));
        assert_eq!(backlog.pop(), Some(Notice::Event(reign(total))));
        assert_eq!(backlog.pop(), None);
    }

    #[test]
    fn what_is_no_single_event_is_told_as_what_it_is() {
        let mut backlog = Backlog::default();
        let damage = Damage { file: FileName::Segment(1), at: 8192, what: "zeros".into() };
        backlog.push(&Event::Resync { revision: 7 });
        backlog.push(&Event::Damaged(damage.clone()));
        assert_eq!(backlog.pop(), Some(Notice::Resync { revision: 7 }));
        assert_eq!(backlog.pop(), Some(Notice::Damaged(damage)));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let mut backlog = Backlog::default();
        let size = MAX_WAITING_BYTES / 4;
        for _ in 0..5 {
            backlog.push(&update(size));
        }
        for _ in 0..3 {
            assert!(backlog.pop().is_some_and(|notice| notice.change().is_some()));
        }
        assert_eq!(backlog.pop(), Some(Notice::Lagged { missed: 2 }));
        backlog.push(&update(size));
        assert!(backlog.pop().is_some_and(|notice| notice.change().is_some()));
    }
}
