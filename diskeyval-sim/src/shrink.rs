//! Makes a plan that fails as small as it can be while it still breaks the same rule.

mod smaller;

use crate::observe::Violation;
use crate::plan::Plan;
use crate::run::{Ran, Wanted, run_without};
pub(crate) use smaller::Smaller;

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

/// Shrinks a plan of the standard clients; `None` if it breaks nothing. `go_on` is asked before each attempt, and is
/// told how many there were.
pub fn shrink(plan: &Plan, off: &[&str], go_on: &mut dyn FnMut(u64) -> bool) -> Option<Shrunk> {
    shrink_by(plan, &mut |plan| run_without(plan, Wanted::default(), off), go_on)
}

/// Shrinks a plan that fails when `run` carries it out; `None` if it does not.
pub fn shrink_by(
    plan: &Plan,
    run: &mut dyn FnMut(&Plan) -> Ran,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Option<Shrunk> {
    let first = run(plan);
    let mut violation = first.violation?;
    let mut smaller = Smaller::than(plan.clone());
    // Nothing that was done later matters, if it broke while everything was hostile.
    if first.simulated < plan.setting.hostile {
        smaller = smaller.ending(first.simulated);
    }
    let mut tried = 0;
    while let Some(candidate) = smaller.next().filter(|_| go_on(tried)) {
        tried += 1;
        let found = run(candidate).violation.filter(|found| found.rule == violation.rule);
        smaller.judge(found.is_some());
        if let Some(found) = found {
            violation = found;
        }
    }
    Some(Shrunk { plan: smaller.best().clone(), violation, tried })
}
