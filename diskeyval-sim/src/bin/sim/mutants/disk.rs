//! Kills of mutants by crashes and by rot, instead of by seeds.

use core::fmt;

use diskeyval_core::mutants::{Mutant, arm, hits};
use diskeyval_sim::images::{self, rot};

use crate::images::on_all_cores;
use crate::rot::{default_wanted, rot_on_all_cores};

/// In place of a rule: a node that died in the run of which there should be images did not come back.
const RUN: &str = "run";

/// What kills a mutant: an image or a case, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Images,
    Rot,
}

impl By {
    /// Reads `image:12` and `rot:12`, as they are recorded.
    pub(super) fn parse(recorded: &str) -> Option<(By, u64)> {
        let (by, number) = recorded.split_once(':')?;
        let by = match by {
            "image" => By::Images,
            "rot" => By::Rot,
            _ => return None,
        };
        Some((by, number.parse().ok()?))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Images => "image",
            By::Rot => "rot",
        })
    }
}

/// How a mutant ended.
pub(super) struct Ended {
    /// What killed it, and which rule that broke.
    pub(super) killed: Option<(u64, String)>,
    pub(super) hits: u64,
}

/// Arms a mutant, and looks for what kills it, or tries one image or case.
pub(super) fn kill(mutant: Mutant, by: By, only: Option<u64>, jobs: usize) -> Ended {
    arm(Some(mutant));
    let killed = match by {
        By::Images => by_images(only, jobs),
        By::Rot => by_rot(only, jobs),
    };
    let hits = hits();
    arm(None);
    Ended { killed, hits }
}

fn by_images(only: Option<u64>, jobs: usize) -> Option<(u64, String)> {
    // The run itself may not come to its end.
    let recording = match images::record() {
        Ok(recording) => recording,
        Err(_) => return Some((0, RUN.into())),
    };
    let jobs = if only.is_some() { 1 } else { jobs };
    let tally = on_all_cores(&recording, jobs, 1, only, 1);
    tally.failed.first().map(|failed| (failed.image, rule(&failed.what)))
}

fn by_rot(only: Option<u64>, jobs: usize) -> Option<(u64, String)> {
    let beds = match rot::beds() {
        Ok(beds) => beds,
        Err(_) => return Some((0, RUN.into())),
    };
    let jobs = if only.is_some() { 1 } else { jobs };
    let tally = rot_on_all_cores(&beds, jobs, &rot::Wanted { only, ..default_wanted() });
    tally.failed.first().map(|failed| (failed.case, rule(&failed.what)))
}

/// The rule that something breaks.
fn rule(what: &str) -> String {
    match what.split_once([':', ',']) {
        Some((rule, _)) if rule.len() <= 3 => rule.into(),
        _ => "R4".into(),
    }
}
