//! The answer to a request that is on its way.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use diskeyval_core::{Doubt, Error, Refusal};

use crate::lock;
use crate::notifier::{Hub, Job};

/// The answer to a request that was handed over and will come in its own time.
///
/// Wait for it ([`wait`](Pending::wait)), look after it now and then ([`try_take`](Pending::try_take)),
/// have it handed to a function ([`on_complete`](Pending::on_complete)), or `.await` it in any runtime.
/// Dropping it withdraws nothing: the request takes its course, and its outcome stays untold.
///
/// The answer always comes: within the time that the request has, or when the node ends.
#[must_use = "the request has been made; dropping this only means not to learn what became of it"]
pub struct Pending<T> {
    slot: Arc<Slot<T>>,
    hub: Arc<Hub>,
}

impl<T> Pending<T> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What the node answered.
    pub fn wait(self) -> Result<T, Error> {
        loop {
            if let Some(answer) = self.slot.take_or_wake(|| Waiter::Thread(thread::current())) {
                return answer;
            }
            thread::park();
        }
    }

    /// Waits for the answer, but not for longer than `span`. `None` means that it has not come yet; it
    /// can still be waited for.
    pub fn wait_timeout(&mut self, span: Duration) -> Option<Result<T, Error>> {
        // A span too long for the clock is one without an end.
        let end = Instant::now().checked_add(span);
        loop {
            if let Some(answer) = self.slot.take_or_wake(|| Waiter::Thread(thread::current())) {
                return Some(answer);
            }
            match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }

    /// The answer, if it is there. An answer is given out once.
    pub fn try_take(&mut self) -> Option<Result<T, Error>> {
        self.slot.try_take()
    }

    /// Has the answer handed to `f` when it comes, on the thread that also runs the functions of
    /// [`Node::on`](crate::Node::on): calls of the node that wait are allowed there, but hold up
    /// whatever is to run after. If the node has ended, `f` runs on this thread, at once.
    pub fn on_complete(self, f: impl FnOnce(Result<T, Error>) + Send + 'static)
    where
        T: Send + 'static,
    {
        if let Some((f, answer)) = self.slot.call(Box::new(f)) {
            self.hub.run(Box::new(move || f(answer)));
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.slot.take_or_wake(|| Waiter::Task(context.waker().clone())) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// The other end of a [`Pending`]: it is kept exactly once. One that is dropped unkept (which only a bug
/// of ours can bring about) still ends as an honest error.
pub(crate) struct Promise<T> {
    slot: Option<Arc<Slot<T>>>,
    /// Whether the request may have had an effect by now.
    doubtful: bool,
}

impl<T> Promise<T> {
    pub(crate) fn new(hub: &Arc<Hub>) -> (Promise<T>, Pending<T>) {
        let slot = Arc::new(Slot { state: Mutex::new(State::Open(Waiter::None)) });
        let pending = Pending { slot: slot.clone(), hub: hub.clone() };
        (Promise { slot: Some(slot), doubtful: false }, pending)
    }

    /// From now on an answer that is lost says nothing about the effect.
    pub(crate) fn doubtful(&mut self) {
        self.doubtful = true;
    }

    /// Gives the answer. What must run on the notifier's thread goes to `jobs`.
    pub(crate) fn keep(mut self, answer: Result<T, Error>, jobs: &mut Vec<Job>)
    where
        T: Send + 'static,
    {
        if let Some(slot) = self.slot.take()
            && let Some((f, answer)) = slot.settle(answer)
        {
            jobs.push(Box::new(move || f(answer)));
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let error = if self.doubtful { Error::Unknown(Doubt::Stopped) } else { Refusal::Stopped.into() };
        if let Some((f, answer)) = slot.settle(Err(error)) {
            // This may run while a panic unwinds, and a second one would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| f(answer)));
        }
    }
}

type Call<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// Where promise and pending meet: the one allocation of a request in flight.
struct Slot<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    Open(Waiter),
    Calls(Call<T>),
    Settled(Result<T, Error>),
    Taken,
}

enum Waiter {
    None,
    Thread(Thread),
    Task(Waker),
}

impl<T> Slot<T> {
    fn try_take(&self) -> Option<Result<T, Error>> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Settled(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The answer, or else a note of whom to wake when it comes.
    fn take_or_wake(&self, waiter: impl FnOnce() -> Waiter) -> Option<Result<T, Error>> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Settled(answer) => Some(answer),
            State::Open(_) => {
                *state = State::Open(waiter());
                None
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Leaves a function to be called; hands it back with the answer if that is there already.
    fn call(&self, f: Call<T>) -> Option<(Call<T>, Result<T, Error>)> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Settled(answer) => Some((f, answer)),
            State::Open(_) => {
                *state = State::Calls(f);
                None
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Puts the answer down and wakes who waits; hands it back with the function that wants it.
    fn settle(&self, answer: Result<T, Error>) -> Option<(Call<T>, Result<T, Error>)> {
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Open(waiter) => {
                *state = State::Settled(answer);
                // Woken outside the lock, or the woken thread would only run into it.
                drop(state);
                match waiter {
                    Waiter::None => {}
                    Waiter::Thread(thread) => thread.unpark(),
                    Waiter::Task(waker) => waker.wake(),
                }
                None
            }
            State::Calls(f) => Some((f, answer)),
            settled => {
                *state = settled;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pair() -> (Promise<u32>, Pending<u32>) {
        Promise::new(&Arc::new(Hub::new(1)))
    }

    fn keep(promise: Promise<u32>, answer: Result<u32, Error>) {
        let mut jobs = Vec::new();
        promise.keep(answer, &mut jobs);
        for job in jobs {
            job();
        }
    }

    #[test]
    fn an_answer_reaches_a_thread_that_waits_for_it() {
        let (promise, pending) = pair();
        let waiting = thread::spawn(move || pending.wait());
        keep(promise, Ok(7));
        assert_eq!(waiting.join().expect("no panic"), Ok(7));
    }

    #[test]
    fn an_answer_is_given_out_once() {
        let (promise, mut pending) = pair();
        assert_eq!(pending.try_take(), None);
        assert_eq!(pending.wait_timeout(Duration::from_millis(1)), None);
        keep(promise, Ok(7));
        assert_eq!(pending.wait_timeout(Duration::MAX), Some(Ok(7)));
        assert_eq!(pending.try_take(), None);
    }

    #[test]
    fn a_function_gets_the_answer_whether_it_comes_first_or_last() {
        let (sender, receiver) = mpsc::channel();
        let (promise, pending) = pair();
        let early = sender.clone();
        pending.on_complete(move |answer| early.send(answer).expect("still received"));
        keep(promise, Ok(1));
        assert_eq!(receiver.try_recv(), Ok(Ok(1)));

        let hub = Arc::new(Hub::new(1));
        hub.close();
        let (promise, pending) = Promise::new(&hub);
        keep(promise, Ok(2));
        pending.on_complete(move |answer| sender.send(answer).expect("still received"));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(Ok(2)));
    }

    #[test]
    fn a_promise_that_is_dropped_ends_as_an_honest_error() {
        let (promise, pending) = pair();
        drop(promise);
        assert_eq!(pending.wait(), Err(Error::Refused(Refusal::Stopped)));
        let (mut promise, pending) = pair();
        promise.doubtful();
        drop(promise);
        assert_eq!(pending.wait(), Err(Error::Unknown(Doubt::Stopped)));
    }

    #[test]
    fn it_is_a_future() {
        let (promise, pending) = pair();
        let mut pending = std::pin::pin!(pending);
        let mut context = Context::from_waker(Waker::noop());
        assert!(pending.as_mut().poll(&mut context).is_pending());
        keep(promise, Ok(3));
        assert_eq!(pending.as_mut().poll(&mut context), Poll::Ready(Ok(3)));
    }

    /// Many waiters and settlers at once: no wake-up is lost.
    #[test]
    fn no_wake_up_is_lost() {
        for round in 0..2_000 {
            let (promise, mut pending) = pair();
            let waiting = thread::spawn(move || pending.wait_timeout(Duration::from_secs(60)));
            keep(promise, Ok(round));
            assert_eq!(waiting.join().expect("no panic"), Some(Ok(round)));
        }
    }
}
