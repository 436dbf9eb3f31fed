//! From a history without explanation to the few operations that show it.
//!
//! First the time is found at which it became inexplicable: what was known at a time (operations not yet
//! answered are of unknown fate) can only get harder to explain with each answer, so that time is found by
//! halving. Then whatever can be left out is left out, if the rest still has no explanation. Only such
//! operations are left out, or told with less detail, as could not turn an explicable history into an
//! inexplicable one:
//!
//! - one that only observes;
//! - one that changes the register to something that none of the rest names, while none asks
//!   for "anything but this" (in an order that explains all, it can be struck out).

use super::Window;
use super::search::{Found, search};
use super::step::{Kind, Step};

type Indexed = (usize, Step);

/// The window of steps that have no explanation. `effort` bounds each of the two parts of the work.
pub(super) fn narrow(steps: &[Indexed], effort: u64) -> Window {
    let mut ends: Vec<u64> =
        steps.iter().filter(|(_, step)| step.must).map(|(_, step)| step.returned).collect();
    ends.sort_unstable();
    let (mut first, mut last) = (0, ends.len().saturating_sub(1));
    while first < last {
        let middle = first.midpoint(last);
        if is_inexplicable(&known_at(ends[middle], steps), &mut effort.clone()) {
            last = middle;
        } else {
            first = middle + 1;
        }
    }
    let end = ends.get(last).copied().unwrap_or(u64::MAX);
    let answered_at = |(_, step): &&Indexed| step.must && step.returned == end;
    let culprit = steps.iter().find(answered_at).map_or(0, |&(at, _)| at);
    let explained = ends.partition_point(|&returned| returned < end);

    let mut rest = Shrinking { steps: known_at(end, steps), effort };
    rest.forget_what_deletes_found(culprit);
    for _ in 0..3 {
        let before = rest.steps.len();
        rest.leave_out(culprit, |step, _| step.kind.is_pure());
        rest.leave_out(culprit, |step, rest| !step.kind.is_pure() && makes_no_difference(step, rest));
        if rest.steps.len() == before {
            break;
        }
    }
    let mut operations: Vec<usize> = rest.steps.into_iter().map(|(at, _)| at).collect();
    operations.sort_unstable();
    Window { operations, culprit, explained }
}

/// What was known at a time, right after the answers of that time.
fn known_at(time: u64, steps: &[Indexed]) -> Vec<Indexed> {
    let known = |&(at, step): &Indexed| match step {
        Step { call, .. } if call > time => None,
        Step { must: true, returned, .. } if returned > time => Some((at, step.pending()?)),
        _ => Some((at, step)),
    };
    steps.iter().filter_map(known).collect()
}

fn is_inexplicable(steps: &[Indexed], effort: &mut u64) -> bool {
    let bare: Vec<Step> = steps.iter().map(|&(_, step)| step).collect();
    search(&bare, effort) == Found::None
}

/// Whether a step that changes the register can be struck out where these others are all there is.
fn makes_no_difference(step: &Step, others: &[Indexed]) -> bool {
    others.iter().all(|(_, other)| {
        !(other.must && other.kind.is_averse())
            && (other.kind.names().is_none() || other.kind.names() != step.kind.target())
    })
}

/// Steps without explanation, getting fewer.
struct Shrinking {
    steps: Vec<Indexed>,
    effort: u64,
}

impl Shrinking {
    /// A delete that is answered at any time says too that it found something. Mostly this is beside the
    /// point.
    fn forget_what_deletes_found(&mut self, culprit: usize) {
        let forget = |&(at, step): &Indexed| match step.kind {
            Kind::Delete { found: Some(true) } if at != culprit => {
                (at, Step { kind: Kind::Delete { found: None }, ..step })
            }
            _ => (at, step),
        };
        let plainer: Vec<Indexed> = self.steps.iter().map(forget).collect();
        self.take_if_inexplicable(plainer);
    }

    /// Leave out as many steps as possible among those that may go: first many at a time, then fewer.
    fn leave_out(&mut self, culprit: usize, may_go: impl Fn(&Step, &[Indexed]) -> bool) {
        let mut size = self.steps.len();
        while size > 0 {
            // From the end, so that what is before keeps its place.
            let mut end = self.steps.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                self.leave_out_between(start, end, culprit, &may_go);
                end = start;
            }
            size /= 2;
        }
    }

    fn leave_out_between(
        &mut self,
        start: usize,
        end: usize,
        culprit: usize,
        may_go: &impl Fn(&Step, &[Indexed]) -> bool,
    ) {
        let (going, staying): (Vec<_>, Vec<_>) =
            (start..end).map(|at| self.steps[at]).partition(|(at, step)| *at != culprit && may_go(step, &[]));
        let rest = [&self.steps[..start], &staying, &self.steps[end..]].concat();
        // Those that go must be free to go with regard to the rest.
        if !going.is_empty() && going.iter().all(|(_, step)| may_go(step, &rest)) {
            self.take_if_inexplicable(rest);
        }
    }

    fn take_if_inexplicable(&mut self, fewer: Vec<Indexed>) {
        // One hard case must not eat what is there for all.
        let mut portion = self.effort / 8;
        let whole = portion;
        let cost_of_reading = fewer.len() as u64 / 4;
        if is_inexplicable(&fewer, &mut portion) {
            self.steps = fewer;
        }
        self.effort = self.effort.saturating_sub(whole - portion + cost_of_reading);
    }
}
