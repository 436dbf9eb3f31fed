//! How the simulator finds a bug in a program that uses the store, and finds none in the program without it. The
//! program is in `queue.rs`.
//!
//! `cargo run --release -p diskeyval-sim --example job_queue`
#![allow(clippy::print_stdout)]

mod queue;

use std::error::Error;
use std::time::Duration;

use diskeyval_sim::Sim;
use diskeyval_sim::faults::Fault;
use queue::{Completion, JobQueue};

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder()
        .nodes(3)
        .faults([Fault::Crash, Fault::Freeze, Fault::Partition, Fault::SlowDisk])
        .time(Duration::from_secs(15))
        .build()?;

    println!("A worker says by a plain set that its job is done:");
    let careless = || JobQueue::new(Completion::Careless);
    let hunted = sim.hunt(0..500, careless)?;
    println!("  {hunted}");
    let failure = hunted.failure.ok_or("the bug was not found")?;
    let page = std::env::temp_dir().join("job_queue.html");
    std::fs::write(
        &page,
        failure.html("cargo run -p diskeyval-sim --example job_queue").unwrap_or_default(),
    )?;
    println!("  as a picture: {}", page.display());
    let shrunk = sim.shrink(&failure.plan, careless).ok_or("it did not fail again")?;
    println!(
        "  {} of {} faults are left after {} tries:",
        shrunk.plan.deeds.len(),
        failure.plan.deeds.len(),
        shrunk.tried
    );
    for line in shrunk.plan.to_string().lines() {
        println!("    {line}");
    }
    println!("  which still breaks {}", shrunk.violation);

    println!("A worker says it by a compare-and-set that expects its fencing token:");
    let hunted = sim.hunt(0..500, || JobQueue::new(Completion::Fenced))?;
    println!("  {hunted}");
    match hunted.failure {
        None => Ok(()),
        Some(failure) => Err(failure.to_string().into()),
    }
}
