//! The example: its planted bug is found, and what it is without it passes.

use std::time::Duration;

use diskeyval_sim::Sim;
use diskeyval_sim::faults::Fault;

#[path = "../examples/job_queue/queue.rs"]
mod queue;

use queue::{Completion, JobQueue};

fn sim() -> Sim {
    let faults = [Fault::Crash, Fault::Freeze, Fault::Partition, Fault::SlowDisk];
    Sim::builder().nodes(3).faults(faults).time(Duration::from_secs(15)).build().expect("possible")
}

#[test]
fn the_planted_bug_is_found_soon_and_gets_small() {
    let careless = || JobQueue::new(Completion::Careless);
    let hunted = sim().hunt(0..100, careless).expect("there are seeds");
    let failure = hunted.failure.expect("a job that is done twice");
    assert_eq!(failure.violation.as_ref().map(|violation| violation.rule), Some("DONE-ONCE"), "{failure}");
    assert!(failure.trace().contains("works on job"), "what the program says is in the trace");
    assert!(failure.html("cargo test").is_some_and(|page| page.contains("DONE-ONCE")));

    let shrunk = sim().shrink(&failure.plan, careless).expect("it fails again");
    assert_eq!(shrunk.violation.rule, "DONE-ONCE");
    assert!(shrunk.plan.deeds.len() <= 5, "{}", shrunk.plan);
    let again = sim().run_plan(&shrunk.plan, &mut careless()).expect("a good plan");
    assert_eq!(again.violation, Some(shrunk.violation));
}

#[test]
fn the_bug_needs_faults() {
    let quiet = Sim::builder().nodes(3).faults([]).time(Duration::from_secs(15)).build().expect("possible");
    quiet.assert_clean(0..10, || JobQueue::new(Completion::Careless));
}

#[test]
fn without_the_bug_as_many_seeds_pass() {
    sim().assert_clean(0..100, || JobQueue::new(Completion::Fenced));
}

/// With everything that can happen, to any number of nodes.
#[test]
fn it_stands_all_faults() {
    let all = Sim::builder().time(Duration::from_secs(8)).build().expect("possible");
    all.assert_clean(0..12, || JobQueue::new(Completion::Fenced));
}
