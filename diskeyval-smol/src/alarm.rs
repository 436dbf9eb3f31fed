//! What wakes the driver in time. A turn comes every few microseconds, each with another deadline, and a timer that is
//! set costs a system call: so one that would wake the driver early enough is left as it is.

use std::time::{Duration, Instant};

use smol::Timer;

/// One alarm, which is mostly set already.
#[derive(Default)]
pub(crate) struct Alarm(Option<(Instant, Timer)>);

impl Alarm {
    /// Waits for so long, or less: whoever is woken looks at the clock again.
    pub(crate) async fn within(&mut self, span: Duration) {
        let at = Instant::now() + span;
        let (_, timer) = match &mut self.0 {
            Some(set) if set.0 <= at => set,
            late_or_none => late_or_none.insert((at, Timer::at(at))),
        };
        timer.await;
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(100_000);

    #[test]
    fn it_rings_for_a_deadline_that_is_nearer_than_the_one_before() {
        block_on(async {
            let mut alarm = Alarm::default();
            assert_eq!(poll_once(alarm.within(NEVER)).await, None);
            alarm.within(SOON).await;
        });
    }

    #[test]
    fn one_that_is_early_enough_is_left_as_it_is_and_rings_once() {
        block_on(async {
            let mut alarm = Alarm::default();
            assert_eq!(poll_once(alarm.within(NEVER / 2)).await, None);
            let set = alarm.0.as_ref().map(|(at, _)| *at);
            assert_eq!(poll_once(alarm.within(NEVER)).await, None);
            assert_eq!(alarm.0.as_ref().map(|(at, _)| *at), set);
            alarm.within(SOON).await;
            assert_eq!(poll_once(alarm.within(NEVER)).await, None, "it has rung");
        });
    }
}
