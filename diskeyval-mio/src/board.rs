//! What the driver lets everybody know after each turn, so that asking costs no round trip through it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diskeyval_core::{Metrics, NodeId};

use crate::lock;
use crate::queue::End;

/// The board.
#[derive(Default)]
pub(crate) struct Board {
    news: Mutex<News>,
    changed: Condvar,
}

/// What stands on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) leader: Option<NodeId>,
    pub(crate) is_leader: bool,
    /// Whether this node is in its seat.
    pub(crate) is_member: bool,
    pub(crate) metrics: Metrics,
    /// Whether this node has read what it had kept.
    pub(crate) is_open: bool,
    /// Why the node has ended, once everything is closed.
    pub(crate) end: Option<End>,
}

impl Board {
    /// Writes the news of a turn.
    pub(crate) fn publish(
        &self,
        leader: Option<&NodeId>,
        is_leader: bool,
        is_member: bool,
        metrics: Metrics,
    ) {
        let mut news = lock(&self.news);
        news.metrics = metrics;
        if news.leader.as_ref() != leader || news.is_leader != is_leader || news.is_member != is_member {
            news.leader = leader.cloned();
            news.is_leader = is_leader;
            news.is_member = is_member;
            drop(news);
            self.changed.notify_all();
        }
    }

    /// The node has read what it had kept.
    pub(crate) fn opened(&self) {
        lock(&self.news).is_open = true;
        self.changed.notify_all();
    }

    /// The node has ended: it leads no more, and knows no leader.
    pub(crate) fn end(&self, end: End) {
        let mut news = lock(&self.news);
        let metrics = news.metrics;
        *news = News { metrics, end: Some(end), ..News::default() };
        drop(news);
        self.changed.notify_all();
    }

    /// Looks at the news.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&News) -> T) -> T {
        look(&lock(&self.news))
    }

    /// Waits until `look` finds something; `None` if it does not in time. A span of `None` has no end.
    pub(crate) fn wait<T>(&self, span: Option<Duration>, look: impl Fn(&News) -> Option<T>) -> Option<T> {
        let end = span.and_then(|span| Instant::now().checked_add(span));
        let mut news = lock(&self.news);
        loop {
            if let Some(found) = look(&news) {
                return Some(found);
            }
            news = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(news).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => self.changed.wait_timeout(news, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}
