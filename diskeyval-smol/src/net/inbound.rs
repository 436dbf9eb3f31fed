//! Whether the task of a connection was woken because its socket may have something to read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use crate::lock;

/// The reading side of a connection. At first there may be something.
pub(super) struct Inbound(Arc<Side>);

struct Side {
    stirred: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Default for Inbound {
    fn default() -> Inbound {
        Inbound(Arc::new(Side { stirred: AtomicBool::new(true), task: Mutex::new(None) }))
    }
}

impl Inbound {
    /// Whether there may be something since this was last asked. From now on the task of `context` is woken when there is.
    pub(super) fn is_stirred(&self, context: &Context<'_>) -> bool {
        let mut task = lock(&self.0.task);
        match &mut *task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        drop(task);
        // Behind the waker: what stirs it from now on wakes the right one.
        self.0.stirred.swap(false, Ordering::AcqRel)
    }

    /// There may be something, whenever the task is next awake.
    pub(super) fn stir(&self) {
        self.0.stirred.store(true, Ordering::Release);
    }

    /// What the socket is to wake, always the same: it stirs this, and wakes the task.
    pub(super) fn waker(&self) -> Waker {
        self.0.clone().into()
    }
}

impl Wake for Side {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.stirred.store(true, Ordering::Release);
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn only_the_socket_stirs_it_and_that_wakes_the_task() {
        let inbound = Inbound::default();
        let stirred = || poll_fn(|context| Poll::Ready(inbound.is_stirred(context)));
        block_on(async {
            assert!(stirred().await, "nobody has looked yet");
            assert!(!stirred().await);
            let waits = || {
                poll_fn(|context| if inbound.is_stirred(context) { Poll::Ready(()) } else { Poll::Pending })
            };
            assert_eq!(poll_once(waits()).await, None);
            let waker = inbound.waker();
            std::thread::spawn(move || waker.wake()).join().expect("no panic");
            waits().await;
            inbound.stir();
            assert!(stirred().await);
            assert!(inbound.waker().will_wake(&inbound.waker()));
        });
    }
}
