//! What came of a simulation.

use core::fmt;
use core::time::Duration;

use crate::coverage::Coverage;
use crate::notes::Note;
use crate::observe::Violation;
use crate::picture::{self, Title, Verdict};
use crate::plan::Plan;

/// What came of one run.
#[derive(Clone, Debug)]
#[must_use = "it may tell of a violation"]
pub struct Outcome {
    /// The seed; of a plan that was not drawn from one, its `noise`.
    pub seed: u64,
    /// What was done to the nodes.
    pub plan: Plan,
    /// What must never happen and did, if anything.
    pub violation: Option<Violation>,
    /// How long the run was, in simulated time.
    pub simulated: Duration,
    /// The whole run in one number: two runs with the same number were the same, event by event.
    pub digest: u128,
    /// What came about.
    pub coverage: Coverage,
    /// What happened, in order; nothing, if it was not kept ([`Builder::trace`](super::Builder::trace)).
    pub notes: Vec<Note>,
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
#[must_use = "it may tell of a violation"]
pub struct Hunted {
    /// How many seeds were run.
    pub seeds: u64,
    /// How much time was simulated.
    pub simulated: Duration,
    /// What came about in all of them.
    pub coverage: Coverage,
    /// The first seed that failed, told in detail.
    pub failure: Option<Outcome>,
}

impl Outcome {
    /// Whether nothing was violated.
    pub fn passed(&self) -> bool {
        self.violation.is_none()
    }

    /// Everything that happened, one event a line. Empty if it was not kept.
    pub fn trace(&self) -> String {
        self.notes.iter().map(|note| format!("{note}\n")).collect()
    }

    /// The run as a page for a browser, which needs nothing else. `command` is written over it: how this run is
    /// run again. There is none if what happened was not kept.
    pub fn html(&self, command: &str) -> Option<String> {
        let verdict = self.violation.as_ref();
        let title = Title {
            command: command.to_owned(),
            seed: self.seed,
            settings: self.plan.setting.to_string().lines().map(ToOwned::to_owned).collect(),
            verdict: verdict.map_or(Verdict::Passed, |violation| Verdict::Failed(violation.to_string())),
        };
        let nodes = self.plan.setting.nodes;
        (!self.notes.is_empty()).then(|| picture::draw(&title, nodes, &self.notes))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: ", self.seed)?;
        match &self.violation {
            Some(violation) => write!(f, "violated: {violation}"),
            None => write!(f, "nothing is violated, in {:.3?} of simulated time", self.simulated),
        }
    }
}

impl fmt::Display for Hunted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hunted { seeds, simulated, failure, .. } = self;
        write!(f, "{seeds} seeds, {} simulated seconds: ", simulated.as_secs())?;
        match failure {
            Some(failure) => failure.fmt(f),
            None => f.write_str("nothing is violated"),
        }
    }
}
