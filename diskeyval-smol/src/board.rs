//! What the driver lets everybody know after each turn, so that asking costs no round trip through it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use diskeyval_core::{Metrics, NodeId};
use event_listener::Event;
use futures_lite::FutureExt;
use smol::Timer;

use crate::lock;
use crate::queue::End;

/// The board.
#[derive(Default)]
pub(crate) struct Board {
    news: Mutex<News>,
    changed: Event,
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
    pub(crate) fn publish(&self, leader: Option<&NodeId>, leads: bool, member: bool, metrics: Metrics) {
        let mut news = lock(&self.news);
        news.metrics = metrics;
        if news.leader.as_ref() != leader || news.is_leader != leads || news.is_member != member {
            news.leader = leader.cloned();
            news.is_leader = leads;
            news.is_member = member;
            drop(news);
            self.changed.notify(usize::MAX);
        }
    }

    /// The node has read what it had kept.
    pub(crate) fn opened(&self) {
        lock(&self.news).is_open = true;
        self.changed.notify(usize::MAX);
    }

    /// The node has ended: it leads no more, and knows no leader. The first end that is told counts.
    pub(crate) fn end(&self, end: End) {
        let mut news = lock(&self.news);
        if news.end.is_none() {
            *news = News { metrics: news.metrics, end: Some(end), ..News::default() };
            drop(news);
            self.changed.notify(usize::MAX);
        }
    }

    /// Looks at the news.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&News) -> T) -> T {
        look(&lock(&self.news))
    }

    /// Waits until `look` finds something; `None` if it does not in time. A span of `None` has no end. Giving up
    /// waiting changes nothing.
    pub(crate) async fn wait<T>(
        &self,
        span: Option<Duration>,
        look: impl Fn(&News) -> Option<T>,
    ) -> Option<T> {
        let end = span.and_then(|span| Instant::now().checked_add(span));
        loop {
            // Listening begins before the look, so that no change falls between the two.
            let changed = self.changed.listen();
            if let Some(found) = self.read(&look) {
                return Some(found);
            }
            let in_time = async {
                changed.await;
                true
            };
            let too_late = async {
                match end {
                    Some(end) => drop(Timer::at(end).await),
                    None => std::future::pending().await,
                }
                false
            };
            if !in_time.or(too_late).await {
                return self.read(&look);
            }
        }
    }
}
