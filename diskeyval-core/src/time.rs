//! Time as the core knows it: a reading that is passed in, never taken.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A reading of the driver's clock: nanoseconds since a zero that the driver chooses.
///
/// The clock must never run back and must count time during which the machine was suspended
/// (`CLOCK_BOOTTIME` on Linux). The engine takes the maximum of all readings, so one that does run
/// back only makes time stand still.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The zero of the clock.
    pub const ZERO: Instant = Instant(0);

    /// The instant that lies this many nanoseconds behind zero.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Nanoseconds since zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or nothing at all if `earlier` is the later one.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at the end of the clock, some 584 years behind its zero.
    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// Saturates at zero.
    fn sub(self, span: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// When the engine wants its next turn although nothing arrives, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// The instant at which the turn is wanted.
    pub at: Instant,
    /// What is due then.
    pub why: Timer,
}

/// Every reason for which the engine wakes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// No leader was heard for an election timeout: ask whether an election would be won.
    Election,
    /// A leader reassures its followers.
    Heartbeat,
    /// A leader asks itself whether a majority still answers.
    CheckQuorum,
    /// A leader that hands over gives up waiting for its successor.
    Transfer,
    /// A peer is to be dialled (again).
    Dial,
    /// A link is to be kept awake, or is given up because nothing was heard on it.
    Link,
    /// A request of the embedding program has used up its time.
    Request,
    /// The log has been idle and is to be sealed, a full disk is to be tried again, or a disk has stalled.
    Disk,
    /// The next piece of a snapshot can be written.
    Snapshot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
        assert_eq!((Instant::ZERO + Duration::from_millis(3)).as_nanos(), 3_000_000);
    }
}
