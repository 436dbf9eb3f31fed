//! The thread on which the functions of the embedding program run, so that one that is slow, waits for
//! the node, or panics never holds up the driver.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use diskeyval_core::host::{Backlog, Notice, TooManyWatchers, text_of};
use diskeyval_core::{Event, Metrics};
use tracing::error;

use crate::events::Mailbox;
use crate::lock;

/// Names a subscription made by [`Node::on`](crate::Node::on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId(pub(crate) u64);

/// The end of one request, for the thread to run.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// All subscribers of a node, and the queue of the notifier's thread.
pub(crate) struct Hub {
    /// How many there may be.
    most: usize,
    /// How many were too many.
    refused: AtomicU64,
    queue: Mutex<Queue>,
    arrived: Condvar,
    functions: Mutex<Vec<Arc<Function>>>,
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
}

#[derive(Default)]
struct Queue {
    notices: Backlog,
    jobs: Vec<Job>,
    /// Events ever put here: a subscription hears of later ones only.
    put: u64,
    asleep: bool,
    closed: bool,
}

struct Function {
    id: SubscriptionId,
    /// How many events were put before it was subscribed.
    since: u64,
    live: AtomicBool,
    call: Mutex<Callback>,
}

pub(crate) type Callback = Box<dyn FnMut(&Notice) + Send>;

impl Hub {
    /// For so many subscribers.
    pub(crate) fn new(most: usize) -> Hub {
        Hub {
            most,
            refused: AtomicU64::new(0),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            functions: Mutex::default(),
            mailboxes: Mutex::default(),
        }
    }

    /// Adds what was counted to the counters of the engine.
    pub(crate) fn add_to(&self, metrics: &mut Metrics) {
        metrics.watchers_refused += self.refused.load(Ordering::Relaxed);
    }

    fn check_room(&self, present: usize) -> Result<(), TooManyWatchers> {
        if present < self.most {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(TooManyWatchers { limit: self.most })
    }

    /// Calls `call` for everything that happens from now on.
    pub(crate) fn add_function(&self, id: SubscriptionId, call: Callback) -> Result<(), TooManyWatchers> {
        // The locks are let go before the function would be dropped, here and below: what it holds may
        // call back when that happens.
        let mut functions = lock(&self.functions);
        self.check_room(functions.len() + lock(&self.mailboxes).len())?;
        let queue = lock(&self.queue);
        if !queue.closed {
            let (since, live) = (queue.put, AtomicBool::new(true));
            functions.push(Arc::new(Function { id, since, live, call: Mutex::new(call) }));
        }
        Ok(())
    }

    /// Whether there was such a subscription.
    pub(crate) fn remove_function(&self, id: SubscriptionId) -> bool {
        let mut functions = lock(&self.functions);
        let Some(at) = functions.iter().position(|function| function.id == id) else { return false };
        let removed = functions.remove(at);
        drop(functions);
        removed.live.store(false, Ordering::Release);
        true
    }

    pub(crate) fn add_mailbox(&self) -> Result<Arc<Mailbox>, TooManyWatchers> {
        let mailbox = Arc::new(Mailbox::default());
        let functions = lock(&self.functions).len();
        let mut mailboxes = lock(&self.mailboxes);
        self.check_room(functions + mailboxes.len())?;
        if lock(&self.queue).closed {
            mailbox.close();
        } else {
            mailboxes.push(mailbox.clone());
        }
        Ok(mailbox)
    }

    pub(crate) fn remove_mailbox(&self, mailbox: &Arc<Mailbox>) {
        lock(&self.mailboxes).retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    /// Hands over what a turn has brought. What happened goes before the ends of requests: who learns
    /// that its write is done has been told of the change before.
    pub(crate) fn publish(&self, events: &[Event], jobs: &mut Vec<Job>) {
        let mut heard = false;
        if !events.is_empty() {
            for mailbox in lock(&self.mailboxes).iter() {
                mailbox.put(events);
            }
            heard = !lock(&self.functions).is_empty();
        }
        if !heard && jobs.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        if heard {
            for event in events {
                queue.notices.push(event);
            }
            queue.put += events.len() as u64;
        }
        queue.jobs.append(jobs);
        self.wake(queue);
    }

    /// Runs one function on the notifier's thread, or here and now if that has ended.
    pub(crate) fn run(&self, job: Job) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            job();
        } else {
            queue.jobs.push(job);
            self.wake(queue);
        }
    }

    /// One system call for a whole batch, and none while the thread is busy.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let asleep = mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.arrived.notify_one();
        }
    }

    /// Lets the thread run what it has, and end; ends every [`Events`](crate::Events).
    pub(crate) fn close(&self) {
        let mut mailboxes = lock(&self.mailboxes);
        lock(&self.queue).closed = true;
        self.arrived.notify_one();
        for mailbox in mailboxes.drain(..) {
            mailbox.close();
        }
    }

    /// The life of the notifier's thread.
    pub(crate) fn serve(&self) {
        let mut told = 0;
        while let Some((mut notices, jobs)) = self.next_batch() {
            while let Some(notice) = notices.pop() {
                told += if let Notice::Lagged { missed } = notice { missed } else { 1 };
                self.tell(&notice, told);
            }
            for job in jobs {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                    error!(what = text_of(&*panic), "the function that was to take an answer has panicked");
                }
            }
        }
        // The functions may hold handles of this node: nothing will call them any more.
        let functions = mem::take(&mut *lock(&self.functions));
        drop(functions);
    }

    fn next_batch(&self) -> Option<(Backlog, Vec<Job>)> {
        let mut queue = lock(&self.queue);
        while queue.notices.is_empty() && queue.jobs.is_empty() {
            if queue.closed {
                return None;
            }
            queue.asleep = true;
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.asleep = false;
        Some((mem::take(&mut queue.notices), mem::take(&mut queue.jobs)))
    }

    /// Tells every function that was subscribed before the event with this number.
    fn tell(&self, notice: &Notice, number: u64) {
        // No lock is held during a call: it may subscribe and unsubscribe.
        let functions = lock(&self.functions).clone();
        for function in functions {
            if function.since >= number || !function.live.load(Ordering::Acquire) {
                continue;
            }
            let mut call = lock(&function.call);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(notice))) {
                drop(call);
                self.remove_function(function.id);
                error!(
                    subscription = function.id.0,
                    what = text_of(&*panic),
                    "a subscribed function has panicked, and its subscription has ended"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;
    use std::time::Duration;

    use diskeyval_core::Term;

    use super::*;

    fn reign(term: u64) -> Event {
        Event::Leader { leader: None, term: Term(term) }
    }

    fn served() -> (Arc<Hub>, thread::JoinHandle<()>) {
        let hub = Arc::new(Hub::new(8));
        let serving = hub.clone();
        (hub, thread::spawn(move || serving.serve()))
    }

    fn recorder() -> (Callback, Receiver<Notice>) {
        let (sender, receiver): (Sender<Notice>, _) = mpsc::channel();
        (Box::new(move |notice| sender.send(notice.clone()).expect("the test still listens")), receiver)
    }

    fn next<T>(receiver: &Receiver<T>) -> T {
        receiver.recv_timeout(Duration::from_secs(60)).expect("something comes")
    }

    #[test]
    fn a_function_hears_of_what_happens_after_its_subscription_and_until_its_end() {
        let (hub, thread) = served();
        let (function, early) = recorder();
        hub.add_function(SubscriptionId(1), function).expect("room");
        hub.publish(&[reign(1)], &mut Vec::new());
        let (function, late) = recorder();
        hub.add_function(SubscriptionId(2), function).expect("room");
        hub.publish(&[reign(2)], &mut Vec::new());
        assert_eq!(next(&early), Notice::Event(reign(1)));
        assert_eq!(next(&early), Notice::Event(reign(2)));
        assert_eq!(next(&late), Notice::Event(reign(2)));
        assert!(hub.remove_function(SubscriptionId(1)));
        assert!(!hub.remove_function(SubscriptionId(1)));
        hub.publish(&[reign(3)], &mut Vec::new());
        assert_eq!(next(&late), Notice::Event(reign(3)));
        assert!(early.try_recv().is_err());
        hub.close();
        thread.join().expect("no panic");
    }

    #[test]
    fn a_function_that_panics_loses_its_subscription_and_harms_nobody() {
        let (hub, thread) = served();
        hub.add_function(SubscriptionId(1), Box::new(|_| panic!("on purpose"))).expect("room");
        let (function, healthy) = recorder();
        hub.add_function(SubscriptionId(2), function).expect("room");
        hub.publish(&[reign(1), reign(2)], &mut vec![Box::new(|| panic!("on purpose"))]);
        assert_eq!(next(&healthy), Notice::Event(reign(1)));
        assert_eq!(next(&healthy), Notice::Event(reign(2)));
        assert!(!hub.remove_function(SubscriptionId(1)));
        hub.publish(&[reign(3)], &mut Vec::new());
        assert_eq!(next(&healthy), Notice::Event(reign(3)));
        hub.close();
        thread.join().expect("no panic");
    }

    #[test]
    fn a_function_may_subscribe_and_unsubscribe() {
        let (hub, thread) = served();
        let inner = hub.clone();
        let (sender, receiver) = mpsc::channel();
        let added = hub.add_function(
            SubscriptionId(1),
            Box::new(move |_| {
                assert!(inner.remove_function(SubscriptionId(1)));
                inner.add_function(SubscriptionId(2), Box::new(|_| {})).expect("room");
                sender.send(()).expect("the test still listens");
            }),
        );
        assert_eq!(added, Ok(()));
        hub.publish(&[reign(1)], &mut Vec::new());
        next(&receiver);
        assert!(hub.remove_function(SubscriptionId(2)));
        hub.close();
        thread.join().expect("no panic");
    }

    #[test]
    fn what_was_handed_over_runs_before_the_end_and_in_order() {
        let (hub, thread) = served();
        let (function, notices) = recorder();
        hub.add_function(SubscriptionId(1), function).expect("room");
        let (sender, ends) = mpsc::channel();
        let mut jobs: Vec<Job> =
            vec![Box::new(move || sender.send(notices.try_recv()).expect("still heard"))];
        hub.publish(&[reign(1)], &mut jobs);
        hub.close();
        thread.join().expect("no panic");
        assert_eq!(next(&ends), Ok(Notice::Event(reign(1))));
        let (sender, here) = mpsc::channel();
        hub.run(Box::new(move || sender.send(thread::current().id()).expect("still heard")));
        assert_eq!(next(&here), thread::current().id());
    }
}
