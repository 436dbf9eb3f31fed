//! Whether one order of operations, each at some moment between its call and its return, explains all
//! answers.
//!
//! A store in which that is so for each key is so as a whole: every operation is about one key, and
//! linearizability is local. So one key is looked at at a time, as a register that is absent at first. An
//! operation of unknown outcome may take effect at any time after its call, or never. A refused one takes no
//! effect.

use crate::history::Operation;

mod search;
mod step;
mod window;
mod zones;

pub(crate) use step::{Step, Values};

use search::Found;

/// How long to search before giving up on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps of the search for each key. A million takes less than a second and some 50 megabytes.
    pub steps: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { steps: 2_000_000 }
    }
}

/// What was found out about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some order explains all answers.
    Linearizable,
    /// No order does.
    Violated(Window),
    /// The budget was spent before either was known.
    Undecided,
}

/// A few of the operations that already cannot be explained, without the others that make no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// They, as indexes in ascending order.
    pub operations: Vec<usize>,
    /// The one of them whose answer was one too many.
    pub culprit: usize,
    /// How many operations had been answered before it; these have an explanation together.
    pub explained: usize,
}

/// Judge operations that are all about one key.
pub fn check<'h>(operations: impl IntoIterator<Item = &'h Operation>, budget: Budget) -> Verdict {
    let mut values = Values::default();
    let steps: Vec<(usize, Step)> = operations
        .into_iter()
        .enumerate()
        .filter_map(|(at, operation)| Some((at, Step::of(operation, &mut values)?)))
        .collect();
    check_steps(&steps, budget)
}

/// Judge steps, each with the index by which the verdict is to name it.
pub(crate) fn check_steps(steps: &[(usize, Step)], budget: Budget) -> Verdict {
    let bare: Vec<Step> = steps.iter().map(|&(_, step)| step).collect();
    match search::search(&bare, &mut budget.steps.clone()) {
        Found::Order => Verdict::Linearizable,
        Found::Nothing => Verdict::Undecided,
        Found::None => Verdict::Violated(window::narrow(steps, budget.steps)),
    }
}
