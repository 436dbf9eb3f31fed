//! Whole clusters: bytes make every choice of a plan.

use core::time::Duration;

use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::{Wishes, draw};
use diskeyval_sim::plan::text::write;
use diskeyval_sim::run::{Wanted, run as run_plan};

/// How long a run is hostile: short, so that there are many.
const HOSTILE: Duration = Duration::from_secs(2);

/// The first byte says how many nodes there are; all else what becomes of them. What fails prints its schedule.
pub fn run(bytes: &[u8]) {
    let Some((&nodes, choices)) = bytes.split_first() else { return };
    let wishes =
        Wishes { nodes: Some(usize::from(nodes % 4) + 1), hostile: Some(HOSTILE), ..Wishes::default() };
    let mut plan = draw(&mut Choices::from_bytes(choices), &wishes);
    // Nothing is found by waiting for ever so long.
    plan.setting.steady = false;
    let ran = run_plan(&plan, Wanted { history: true, notes: None });
    if let Some(violation) = ran.violation {
        panic!("{violation:?}, by this schedule:\n{}", write(&plan));
    }
}
