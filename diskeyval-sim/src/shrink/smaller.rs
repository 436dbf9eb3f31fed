//! Which plans are smaller than one that fails: proposes them one by one, and is told of each whether it fails as well.

use core::time::Duration;

use crate::plan::{Deed, Plan, Rest, Setting, What};

/// A search for the smallest plan that fails.
#[derive(Clone, Debug)]
pub(crate) struct Smaller {
    best: Plan,
    proposed: Option<Plan>,
    stage: Stage,
    /// Whether anything got smaller since the first stage.
    changed: bool,
    /// Whether the setting may change, too.
    setting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is done after this moment, and it is when the hostile phase ends.
    Ending(Duration),
    /// So many deeds are left out from here on: first large parts of them, then one by one.
    Fewer { part: usize, from: usize },
    /// The setting is made plainer in one respect.
    Plainer(usize),
    /// The hostile phase ends with the last deed.
    Sooner,
    /// A disturbance lasts half as long; how often it was halved already.
    Halved { place: usize, times: u32 },
    /// There is nothing smaller.
    Over,
}

/// What makes a setting simpler for people who read it.
const PLAINER: &[fn(&mut Setting)] = &[
    |setting| setting.doomed = false,
    |setting| setting.ruin = false,
    |setting| setting.memory = false,
    |setting| setting.late.clear(),
    |setting| setting.torn = 0,
    |setting| setting.steady = false,
    |setting| setting.rest = Rest::Fine,
    |setting| setting.core = (0..setting.nodes).collect(),
    |setting| setting.buffer = Setting::plain(setting.nodes).buffer,
    |setting| setting.log_bytes = Setting::plain(setting.nodes).log_bytes,
    |setting| setting.compact_every = Setting::plain(setting.nodes).compact_every,
    |setting| setting.disk = Setting::plain(setting.nodes).disk,
    |setting| setting.delay = Setting::plain(setting.nodes).delay,
    |setting| setting.noise = 0,
];

/// How often a disturbance is halved before others have their turn.
const HALVINGS: u32 = 3;

impl Smaller {
    /// Looks for what is smaller than a plan that fails.
    pub(crate) fn than(plan: Plan) -> Smaller {
        let stage = fewer(&plan);
        Smaller { best: plan, proposed: None, stage, changed: false, setting: true }
    }

    /// Tries first whether it fails, too, if nothing is done after this moment.
    pub(crate) fn ending(mut self, at: Duration) -> Smaller {
        self.stage = Stage::Ending(at);
        self
    }

    /// Leaves the setting as it is.
    #[cfg(feature = "proptest")]
    pub(crate) fn in_its_setting(mut self) -> Smaller {
        self.setting = false;
        self
    }

    /// The smallest plan that is known to fail.
    pub(crate) fn best(&self) -> &Plan {
        &self.best
    }

    /// A plan of which it is to be found out whether it fails.
    #[cfg(feature = "proptest")]
    pub(crate) fn proposed(&self) -> Option<&Plan> {
        self.proposed.as_ref()
    }

    /// Proposes another plan, until there is none.
    pub(crate) fn next(&mut self) -> Option<&Plan> {
        while self.stage != Stage::Over {
            let candidate = self.candidate();
            if candidate != self.best && candidate.setting.check().is_ok() {
                self.proposed = Some(candidate);
                return self.proposed.as_ref();
            }
            self.go_on(false);
        }
        None
    }

    /// Is told whether what was proposed last fails.
    pub(crate) fn judge(&mut self, fails: bool) {
        let Some(proposed) = self.proposed.take() else { return };
        if fails {
            self.best = proposed;
            self.changed = true;
        }
        self.go_on(fails);
    }

    fn candidate(&self) -> Plan {
        let mut plan = self.best.clone();
        match self.stage {
            Stage::Ending(end) => {
                plan.deeds.retain(|deed| deed.at <= end);
                plan.setting.hostile = whole_micros(end) + Duration::from_micros(1);
            }
            Stage::Fewer { part, from } => {
                let to = (from + part).min(plan.deeds.len());
                plan.deeds.drain(from.min(to)..to);
            }
            Stage::Plainer(respect) => {
                if let Some(make_plainer) = PLAINER.get(respect) {
                    make_plainer(&mut plan.setting);
                }
            }
            Stage::Sooner => {
                let last = plan.deeds.last().map_or(Duration::ZERO, |deed| deed.at);
                plan.setting.hostile = plan.setting.hostile.min(last + Duration::from_micros(1));
            }
            Stage::Halved { place, .. } => {
                if let Some(Deed { what: What::Disturb(disturbance), .. }) = plan.deeds.get_mut(place) {
                    let halved = (disturbance.lasting / 2).max(Duration::from_millis(1));
                    disturbance.lasting = disturbance.lasting.min(whole_micros(halved));
                }
            }
            Stage::Over => {}
        }
        plan
    }

    /// Goes to the next proposal, after one that failed as well, or did not.
    fn go_on(&mut self, failed: bool) {
        self.stage = match self.stage {
            Stage::Ending(_) => fewer(&self.best),
            Stage::Fewer { part, from } => {
                let from = if failed { from } else { from + part };
                if from < self.best.deeds.len() {
                    Stage::Fewer { part, from }
                } else if part > 1 {
                    Stage::Fewer { part: part.div_ceil(2), from: 0 }
                } else if self.setting {
                    Stage::Plainer(0)
                } else {
                    Stage::Halved { place: 0, times: 0 }
                }
            }
            Stage::Plainer(respect) if respect + 1 < PLAINER.len() => Stage::Plainer(respect + 1),
            Stage::Plainer(_) => Stage::Sooner,
            Stage::Sooner => Stage::Halved { place: 0, times: 0 },
            Stage::Halved { place, times } if failed && times + 1 < HALVINGS => {
                Stage::Halved { place, times: times + 1 }
            }
            Stage::Halved { place, .. } if place + 1 < self.best.deeds.len() => {
                Stage::Halved { place: place + 1, times: 0 }
            }
            Stage::Halved { .. } if core::mem::take(&mut self.changed) => fewer(&self.best),
            Stage::Halved { .. } | Stage::Over => Stage::Over,
        };
    }
}

fn fewer(plan: &Plan) -> Stage {
    Stage::Fewer { part: plan.deeds.len().div_ceil(2).max(1), from: 0 }
}

/// Schedules stay readable.
fn whole_micros(span: Duration) -> Duration {
    Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choices;
    use crate::draw::{Wishes, draw};
    use crate::faults::Fault;

    #[test]
    fn only_what_matters_is_left() {
        let wishes = Wishes { faults: Some(vec![Fault::Crash, Fault::Freeze]), ..Wishes::default() };
        let plan = draw(&mut Choices::from_seed(4), &wishes);
        let long = Duration::from_millis(10);
        let is_long = |deed: &Deed| matches!(&deed.what, What::Disturb(what) if what.lasting > long);
        assert!(plan.deeds.len() > 100 && plan.deeds.iter().filter(|deed| is_long(deed)).count() > 5);
        // It fails if at least two disturbances last for more than 10 ms.
        let mut smaller = Smaller::than(plan);
        let mut tried = 0;
        while let Some(plan) = smaller.next() {
            let fails = plan.deeds.iter().filter(|deed| is_long(deed)).count() >= 2;
            smaller.judge(fails);
            tried += 1;
        }
        let best = smaller.best();
        assert_eq!(best.deeds.len(), 2, "{best}");
        assert!(best.deeds.iter().all(is_long), "{best}");
        let plain = Setting { hostile: best.setting.hostile, ..Setting::plain(best.setting.nodes) };
        let Setting { heartbeat, election_timeout, .. } = best.setting;
        assert_eq!(best.setting, Setting { heartbeat, election_timeout, ..plain });
        assert!(tried < 300, "{tried} plans were tried");
    }
}
