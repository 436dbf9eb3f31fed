//! What wakes the driver: whoever has something for it puts it down somewhere, and rings.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::lock;

/// One bell, one who hears it. That it rang is remembered until it has been heard, so that no ring is lost.
#[derive(Default)]
pub(crate) struct Bell(Mutex<State>);

#[derive(Default)]
struct State {
    rang: bool,
    listener: Option<Waker>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let mut state = lock(&self.0);
        state.rang = true;
        let listener = state.listener.take();
        // Woken outside the lock, or the woken thread would only run into it.
        drop(state);
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    /// Waits until it has rung since it was last heard.
    pub(crate) async fn heard(&self) {
        poll_fn(|context| self.poll_heard(context)).await;
    }

    fn poll_heard(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if std::mem::take(&mut state.rang) {
            return Poll::Ready(());
        }
        state.listener = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_ring_is_heard_once_whether_it_comes_first_or_last() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        block_on(async {
            bell.heard().await;
            let mut heard = std::pin::pin!(bell.heard());
            assert_eq!(poll_once(&mut heard).await, None);
            bell.ring();
            assert_eq!(poll_once(&mut heard).await, Some(()));
        });
    }

    #[test]
    fn whoever_gives_up_waiting_loses_no_ring() {
        let bell = Bell::default();
        block_on(async {
            assert_eq!(poll_once(bell.heard()).await, None);
            bell.ring();
            assert_eq!(poll_once(bell.heard()).await, Some(()));
        });
    }
}
