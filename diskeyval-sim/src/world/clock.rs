//! A node's own clock: it begins anywhere, runs at a rate of its own, jumps, and stands still.

use diskeyval_core::Instant;

use crate::observe::Time;

/// A clock at its proper rate, in thousandths.
pub(super) const PROPER: u64 = 1000;

#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// What it showed when it was last set.
    shown: u64,
    /// When that was.
    set_at: Time,
    /// Thousandths of the proper rate.
    rate: u64,
    /// The most that it has shown before it jumped.
    highest: u64,
}

impl Clock {
    pub(super) fn new(shown: u64) -> Clock {
        Clock { shown, set_at: Time(0), rate: PROPER, highest: shown }
    }

    /// What it shows.
    pub(super) fn read(&self, at: Time) -> Instant {
        Instant::from_nanos(self.nanos(at))
    }

    fn nanos(&self, at: Time) -> u64 {
        let passed = u128::from(at.0 - self.set_at.0) * u128::from(self.rate) / u128::from(PROPER);
        self.shown.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub(super) fn runs(&self) -> bool {
        self.rate > 0
    }

    /// When it will show this, or later; never, if it stands still before that.
    pub(super) fn when(&self, shows: Instant) -> Option<Time> {
        let missing = shows.as_nanos().saturating_sub(self.shown);
        if missing == 0 {
            return Some(self.set_at);
        }
        let passed = (u128::from(missing) * u128::from(PROPER)).checked_div(u128::from(self.rate))? + 1;
        Some(Time(self.set_at.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))))
    }

    /// From now on it runs at so many thousandths of the proper rate.
    pub(super) fn set_rate(&mut self, at: Time, rate: u64) {
        self.shown = self.nanos(at);
        self.set_at = at;
        self.rate = rate;
    }

    /// It jumps, and never before its own zero.
    pub(super) fn step(&mut self, at: Time, nanos: i64) {
        let before = self.nanos(at);
        self.highest = self.highest.max(before);
        self.shown = before.saturating_add_signed(nanos);
        self.set_at = at;
    }

    /// It is put right: it runs at its proper rate, and shows no time a second time. (To an engine, time would
    /// stand still until then: it takes the highest that it was shown.)
    pub(super) fn put_right(&mut self, at: Time) {
        self.set_rate(at, PROPER);
        self.shown = self.shown.max(self.highest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_at_its_rate_and_tells_when_it_will_show_something() {
        let mut clock = Clock::new(500);
        assert_eq!(clock.read(Time(100)), Instant::from_nanos(600));
        clock.set_rate(Time(100), 2 * PROPER);
        assert_eq!(clock.read(Time(150)), Instant::from_nanos(700));
        for wanted in 600..800 {
            let when = clock.when(Instant::from_nanos(wanted)).expect("it runs");
            assert!(clock.read(when) >= Instant::from_nanos(wanted));
        }
        clock.set_rate(Time(150), 0);
        assert_eq!(clock.read(Time(9_999)), Instant::from_nanos(700));
        assert_eq!(clock.when(Instant::from_nanos(701)), None);
        clock.step(Time(200), -650);
        assert_eq!(clock.read(Time(200)), Instant::from_nanos(50));
        clock.step(Time(200), -650);
        assert_eq!(clock.read(Time(200)), Instant::from_nanos(0));
        clock.put_right(Time(300));
        assert_eq!(clock.read(Time(301)), Instant::from_nanos(701));
    }
}
