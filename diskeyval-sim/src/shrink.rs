//! Makes a plan that fails as small as it can be while it still breaks the same rule.

use core::time::Duration;

use crate::observe::Violation;
use crate::plan::{Deed, Plan, Rest, What};
use crate::run::{Wanted, run_without};

/// What shrinking has come to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan that was found.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// How many plans were tried.
    pub tried: u64,
}

/// Shrinks a plan; `None` if it breaks nothing. `go_on` is asked before each attempt.
pub fn shrink(plan: &Plan, off: &[&str], go_on: &mut dyn FnMut(u64) -> bool) -> Option<Shrunk> {
    let first = run_without(plan, Wanted::default(), off);
    let violation = first.violation?;
    let mut shrinker = Shrinker { best: plan.clone(), violation, off, tried: 0, go_on };
    // Nothing that was done later matters, if it broke while everything was hostile.
    let end = first.simulated;
    if end < plan.setting.hostile {
        shrinker.keep(|plan| {
            plan.deeds.retain(|deed| deed.at <= end);
            plan.setting.hostile = end + Duration::from_micros(1);
        });
    }
    loop {
        let before = shrinker.best.clone();
        shrinker.fewer_deeds();
        shrinker.simpler_setting();
        shrinker.shorter();
        if shrinker.best == before || !(shrinker.go_on)(shrinker.tried) {
            let Shrinker { best, violation, tried, .. } = shrinker;
            return Some(Shrunk { plan: best, violation, tried });
        }
    }
}

struct Shrinker<'s> {
    best: Plan,
    violation: Violation,
    off: &'s [&'s str],
    tried: u64,
    go_on: &'s mut dyn FnMut(u64) -> bool,
}

impl Shrinker<'_> {
    /// Changes the plan, if what comes out still breaks the same rule. Tells whether it does.
    fn keep(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        if plan == self.best || plan.setting.check().is_err() || !(self.go_on)(self.tried) {
            return false;
        }
        self.tried += 1;
        match run_without(&plan, Wanted::default(), self.off).violation {
            Some(violation) if violation.rule == self.violation.rule => {
                self.best = plan;
                self.violation = violation;
                true
            }
            _ => false,
        }
    }

    /// Takes deeds away: first large parts of them, then one by one.
    fn fewer_deeds(&mut self) {
        let mut part = self.best.deeds.len().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            while from < self.best.deeds.len() {
                let to = (from + part).min(self.best.deeds.len());
                if !self.keep(|plan| drop(plan.deeds.drain(from..to))) {
                    from = to;
                }
            }
            if part == 1 {
                return;
            }
            part = part.div_ceil(2);
        }
    }

    fn simpler_setting(&mut self) {
        self.keep(|plan| plan.setting.torn = 0);
        self.keep(|plan| plan.setting.steady = false);
        self.keep(|plan| plan.setting.rest = Rest::Fine);
        self.keep(|plan| plan.setting.core = (0..plan.setting.nodes).collect());
        self.keep(|plan| plan.setting.buffer = 1 << 20);
        let plain = crate::plan::Setting::plain(self.best.setting.nodes);
        self.keep(|plan| plan.setting.disk = plain.disk);
        self.keep(|plan| plan.setting.delay = plain.delay);
        self.keep(|plan| plan.setting.noise = 0);
    }

    /// Ends the hostile phase earlier, and lets disturbances last for less long.
    fn shorter(&mut self) {
        let last = |deeds: &[Deed]| deeds.last().map_or(Duration::ZERO, |deed| deed.at);
        let end = last(&self.best.deeds) + Duration::from_micros(1);
        self.keep(|plan| plan.setting.hostile = end);
        for place in 0..self.best.deeds.len() {
            for _ in 0..3 {
                let halved = self.keep(|plan| {
                    if let Some(Deed { what: What::Disturb(disturbance), .. }) = plan.deeds.get_mut(place) {
                        let micros = disturbance.lasting.as_micros() / 2;
                        disturbance.lasting =
                            Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).max(1000));
                    }
                });
                if !halved {
                    break;
                }
            }
        }
    }
}
