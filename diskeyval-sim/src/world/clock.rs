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
    /// The most that its node has seen. For that node time stands still while it shows less.
    most: u64,
}

impl Clock {
    pub(super) fn new(shown: u64) -> Clock {
        Clock { shown, set_at: Time(0), rate: PROPER, most: 0 }
    }

    /// What it shows.
    pub(super) fn read(&self, at: Time) -> Instant {
        Instant::from_nanos(self.nanos(at))
    }

    /// The same, as its node looks at it.
    pub(super) fn look(&mut self, at: Time) -> Instant {
        let shown = self.read(at);
        self.most = self.most.max(shown.as_nanos());
        shown
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
        self.step(at, 0);
        self.rate = rate;
    }

    /// A process begins, and has not looked at it yet.
    pub(super) fn begin(&mut self) {
        self.most = 0;
    }

    /// What time it is for its node.
    pub(super) fn reckon(&self, at: Time) -> Instant {
        Instant::from_nanos(self.nanos(at).max(self.most))
    }

    /// It runs as it should, and has made up for every jump back. An engine takes no time back, and so stands still
    /// until its clock has come to where it was: after a jump of an hour, for an hour.
    pub(super) fn heal(&mut self, at: Time) {
        self.set_rate(at, PROPER);
        self.shown = self.shown.max(self.most);
    }

    /// It jumps, and never before its own zero.
    pub(super) fn step(&mut self, at: Time, nanos: i64) {
        self.shown = self.nanos(at).saturating_add_signed(nanos);
        self.set_at = at;
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
        assert_eq!(clock.look(Time(150)), Instant::from_nanos(700));
        assert_eq!(clock.read(Time(9_999)), Instant::from_nanos(700));
        assert_eq!(clock.when(Instant::from_nanos(701)), None);
        clock.step(Time(200), -650);
        assert_eq!(clock.read(Time(200)), Instant::from_nanos(50));
        assert_eq!(clock.reckon(Time(200)), Instant::from_nanos(700));
        clock.step(Time(200), -650);
        assert_eq!(clock.read(Time(200)), Instant::from_nanos(0));
        clock.heal(Time(200));
        assert_eq!(clock.read(Time(300)), Instant::from_nanos(800));
    }
}
