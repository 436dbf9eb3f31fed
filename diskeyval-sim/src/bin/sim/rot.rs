//! `sim rot`: every byte of a node's files is another in turn, and what the node and its cluster make of it.

use std::process::ExitCode;
use std::time::Instant;

use diskeyval_sim::images::rot::{Bed, Tally, Wanted, beds, rot as rot_all};

use crate::args::RotArgs;
use crate::exit::{Failure, VIOLATED, say};
use crate::hunt::jobs;

pub(crate) fn rot(args: &RotArgs) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let beds = beds().map_err(Failure::new)?;
    let jobs = if args.which.only.is_some() { 1 } else { jobs(args.which.jobs) };
    for bed in &beds {
        let (all, used) = bed.bytes();
        say(format_args!("{}: {all} bytes, {used} of them in blocks that hold something", bed.name));
    }
    let wanted = Wanted {
        all_bits: args.bits,
        cluster: args.cluster,
        running: args.running,
        every: args.which.every,
        only: args.which.only,
        enough: args.which.failures,
        ..default_wanted()
    };
    let tally = rot_on_all_cores(&beds, jobs, &wanted);
    if args.which.only.is_none() {
        say("| what was done | what came of it | cases |\n|---|---|---|");
        for ((what, end), count) in &tally.kinds {
            say(format_args!("| {what} | {end} | {count} |"));
        }
        say("");
    }
    say(format_args!(
        "{} of {} cases in {:.1} s on {jobs} threads, {} of them in a whole cluster; digest {:032x}",
        tally.judged,
        tally.cases,
        started.elapsed().as_secs_f64(),
        tally.clusters,
        tally.digest,
    ));
    let same = format!(
        "{}{}",
        if args.bits { " --bits" } else { "" },
        match args.running {
            RotArgs::RUNNING => String::new(),
            other => format!(" --running {other}"),
        }
    );
    for failed in &tally.failed {
        say(format_args!("case {}: {}", failed.case, failed.how));
        say(format_args!("  {}", failed.what));
        say(format_args!("replay: cargo sim rot{same} --only {}", failed.case));
    }
    Ok(if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}

/// What is wanted if nothing is said.
pub(crate) fn default_wanted() -> Wanted {
    Wanted {
        all_bits: false,
        cluster: RotArgs::CLUSTER,
        running: RotArgs::RUNNING,
        every: 1,
        part: (0, 1),
        only: None,
        enough: 1,
    }
}

/// Divides the cases into as many parts as there are threads.
pub(crate) fn rot_on_all_cores(beds: &[Bed], jobs: usize, wanted: &Wanted) -> Tally {
    let parts = jobs as u64;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parts)
            .map(|part| scope.spawn(move || rot_all(beds, &Wanted { part: (part, parts), ..*wanted })))
            .collect();
        for thread in threads {
            tally.add(thread.join().expect("panics of nodes are caught"));
        }
    });
    tally.failed.truncate(wanted.enough);
    tally
}
