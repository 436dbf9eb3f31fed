//! The clock of a driver. It counts the time during which the machine was suspended: a node that wakes
//! up after an hour must know that its lease and its elections are an hour old.

use core::time::Duration;

use crate::time::Instant;

/// `CLOCK_BOOTTIME`, and where there is none, what std offers.
#[derive(Clone, Debug)]
pub struct Clock {
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(clippy::disallowed_types, reason = "a driver has to read a clock somewhere")]
    zero: std::time::Instant,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// A clock; all of one machine that know suspension agree, others begin anew.
    pub fn new() -> Clock {
        Clock {
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            zero: std::time::Instant::now(),
        }
    }

    /// The present, for the engine: taken once a turn, after its last input has been received.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos())
    }

    /// How long to wait for `at`; nothing if it has passed.
    pub fn until(&self, at: Instant) -> Duration {
        at.since(self.now())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn nanos(&self) -> u64 {
        let reading = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(reading.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(reading.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn nanos(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_runs_back() {
        let clock = Clock::new();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn what_has_passed_is_not_waited_for() {
        let clock = Clock::new();
        assert_eq!(clock.until(Instant::ZERO), Duration::ZERO);
        let ahead = clock.now() + Duration::from_secs(60);
        assert!(clock.until(ahead) > Duration::from_secs(50));
    }
}
