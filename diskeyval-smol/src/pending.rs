//! The answer to a request that is on its way.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use diskeyval_core::{Answer, Doubt, Error, Refusal};
use futures_lite::FutureExt;
use smol::Timer;

use crate::lock;

/// The answer to a request that was handed over and will come in its own time: a future, in any runtime.
///
/// The answer always comes: within the time that the request has, or when the node ends. It is given out once.
///
/// # Cancellation
/// The request was made when this came into being, polled or not. Dropping this withdraws nothing: the request takes its
/// course, and its outcome stays untold.
#[must_use = "the request has been made; dropping this only means not to learn what became of it"]
pub struct Pending<T> {
    slot: Arc<Slot>,
    read: ReadAnswer<T>,
}

/// What an answer says to a request; `None` if it is none to it, which only a bug of ours can bring about.
pub(crate) type ReadAnswer<T> = fn(Answer) -> Option<Result<T, Error>>;

impl<T> Pending<T> {
    /// The answer, if it is there.
    pub fn try_take(&mut self) -> Option<Result<T, Error>> {
        let answer = self.slot.take()?;
        Some(self.understood(answer))
    }

    /// Waits for the answer, but not for longer than `span`. `None` means that it has not come yet; it can still be waited
    /// for.
    ///
    /// # Cancellation
    /// Dropping the future loses no answer: one that was not given out can still be waited for.
    pub async fn wait_timeout(&mut self, span: Duration) -> Option<Result<T, Error>> {
        let late = async {
            Timer::after(span).await;
            None
        };
        async { Some(self.await) }.or(late).await
    }

    fn understood(&self, answer: Result<Answer, Error>) -> Result<T, Error> {
        (self.read)(answer?).unwrap_or_else(|| {
            tracing::error!("an answer does not fit its request");
            Err(Error::Unknown(Doubt::Stopped))
        })
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.slot.poll(context) {
            Poll::Ready(answer) => Poll::Ready(self.understood(answer)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// The other end of a [`Pending`]: it is kept exactly once. One that is dropped unkept (with a driver that is dropped)
/// still ends as an honest error.
pub(crate) struct Promise {
    slot: Option<Arc<Slot>>,
    /// Whether the request may have had an effect by now.
    doubtful: bool,
}

impl Promise {
    pub(crate) fn new<T>(read: ReadAnswer<T>) -> (Promise, Pending<T>) {
        let slot = Arc::new(Slot(Mutex::new(State::Open(None))));
        let pending = Pending { slot: slot.clone(), read };
        (Promise { slot: Some(slot), doubtful: false }, pending)
    }

    /// From now on an answer that is lost says nothing about the effect.
    pub(crate) fn doubtful(&mut self) {
        self.doubtful = true;
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Gives the answer.
    pub(crate) fn keep(mut self, answer: Result<Answer, Error>) {
        if let Some(slot) = self.slot.take() {
            slot.settle(answer);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.settle(Err(if self.doubtful {
                Error::Unknown(Doubt::Stopped)
            } else {
                Refusal::Stopped.into()
            }));
        }
    }
}

/// Where promise and pending meet.
struct Slot(Mutex<State>);

enum State {
    Open(Option<Waker>),
    Settled(Result<Answer, Error>),
    Taken,
}

impl Slot {
    fn take(&self) -> Option<Result<Answer, Error>> {
        let mut state = lock(&self.0);
        match mem::replace(&mut *state, State::Taken) {
            State::Settled(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        let mut state = lock(&self.0);
        match mem::replace(&mut *state, State::Taken) {
            State::Settled(answer) => return Poll::Ready(answer),
            State::Open(_) => *state = State::Open(Some(context.waker().clone())),
            State::Taken => {}
        }
        Poll::Pending
    }

    fn settle(&self, answer: Result<Answer, Error>) {
        let mut state = lock(&self.0);
        if let State::Open(waker) = mem::replace(&mut *state, State::Settled(answer)) {
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    fn pair() -> (Promise, Pending<u64>) {
        Promise::new(|answer| if let Answer::Snapshot(result) = answer { Some(result) } else { None })
    }

    #[test]
    fn an_answer_reaches_whoever_waits_for_it_and_is_given_out_once() {
        let (promise, mut pending) = pair();
        block_on(async {
            assert_eq!(poll_once(&mut pending).await, None);
            promise.keep(Ok(Answer::Snapshot(Ok(7))));
            assert_eq!(poll_once(&mut pending).await, Some(Ok(7)));
            assert_eq!(pending.try_take(), None);
            assert_eq!(poll_once(&mut pending).await, None);
        });
    }

    #[test]
    fn who_waits_for_some_time_only_may_wait_again() {
        let (promise, mut pending) = pair();
        block_on(async {
            assert_eq!(pending.wait_timeout(Duration::ZERO).await, None);
            assert_eq!(
                poll_once(pending.wait_timeout(Duration::MAX)).await,
                None,
                "dropped in the midst of it"
            );
            promise.keep(Ok(Answer::Snapshot(Ok(7))));
            assert_eq!(
                pending.wait_timeout(Duration::ZERO).await,
                Some(Ok(7)),
                "an answer goes before the end"
            );
            assert_eq!(pending.wait_timeout(Duration::from_millis(1)).await, None, "it is given out once");
        });
    }

    #[test]
    fn a_promise_that_is_dropped_ends_as_an_honest_error() {
        let (promise, pending) = pair();
        drop(promise);
        assert_eq!(block_on(pending), Err(Error::Refused(Refusal::Stopped)));
        let (mut promise, pending) = pair();
        promise.doubtful();
        drop(promise);
        assert_eq!(block_on(pending), Err(Error::Unknown(Doubt::Stopped)));
    }

    #[test]
    fn nobody_has_to_wait_for_an_answer() {
        let (promise, pending) = pair();
        drop(pending);
        promise.keep(Ok(Answer::Snapshot(Ok(7))));
    }
}
