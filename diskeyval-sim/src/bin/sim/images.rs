//! `sim images`: every crash of one run, and what a node makes of it.

use std::process::ExitCode;
use std::time::Instant;

use diskeyval_sim::images::{Recording, Tally, Wanted, enumerate, record};

use crate::args::ImagesArgs;
use crate::exit::{Failure, VIOLATED, say};
use crate::hunt::jobs;

pub(crate) fn images(args: &ImagesArgs) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let recording = record().map_err(Failure::new)?;
    let jobs = if args.which.only.is_some() { 1 } else { jobs(args.which.jobs) };
    let tally = on_all_cores(&recording, jobs, args.which.every, args.which.only, args.which.failures);
    if args.which.only.is_none() {
        say("| what came about in the run | times |\n|---|---|");
        for (what, times) in &recording.came_about {
            say(format_args!("| {what} | {times} |"));
        }
        say("\n| what was being done | what became of it | images |\n|---|---|---|");
        for ((op, how), count) in &tally.kinds {
            say(format_args!("| {op} | {how} | {count} |"));
        }
        say("");
    }
    let [durable, behind] = tally.found;
    say(format_args!(
        "{} of {} images in {:.1} s on {jobs} threads, and {} more of openings that were cut short",
        tally.judged,
        tally.images,
        started.elapsed().as_secs_f64(),
        tally.cut_short,
    ));
    say(format_args!(
        "{durable} nodes found what was durable, {behind} something behind it, {} named the file that had rotted; digest {:032x}",
        tally.rotten, tally.digest
    ));
    for failed in &tally.failed {
        failed.story.iter().for_each(say);
        say(format_args!("image {}: {}", failed.image, failed.how));
        say(format_args!("  {}", failed.what));
        say(format_args!("replay: cargo sim images --only {}", failed.image));
    }
    Ok(if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}

/// Divides the images into as many parts as there are threads.
pub(crate) fn on_all_cores(
    recording: &Recording,
    jobs: usize,
    every: u64,
    only: Option<u64>,
    enough: usize,
) -> Tally {
    let parts = jobs as u64;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let wanted = |part| Wanted { every, part: (part, parts), only, enough };
        let threads: Vec<_> =
            (0..parts).map(|part| scope.spawn(move || enumerate(recording, wanted(part)))).collect();
        for thread in threads {
            tally.add(thread.join().expect("panics of nodes are caught"));
        }
    });
    tally.failed.truncate(enough);
    tally
}
