//! `sim hunt`: many seeds.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread::available_parallelism;
use std::time::Instant;

use diskeyval_sim::hunt::{Bag, Quarry, hunt as hunt_seeds};

use crate::args::{HuntArgs, list_faults};
use crate::exit::{Failure, VIOLATED, say};

/// One of so many seeds has its whole history searched, beside the checks of every step.
pub(crate) const SEARCHED: u64 = 50;

/// Fewer seeds than this need not bring everything about.
const ENOUGH_FOR_ALL: u64 = 1000;

pub(crate) fn hunt(args: &HuntArgs) -> Result<ExitCode, Failure> {
    let Some(wishes) = args.wishes.wishes()? else {
        list_faults();
        return Ok(ExitCode::SUCCESS);
    };
    let all = wishes == Default::default();
    let quarry = Quarry {
        seeds: args.seeds.0.clone(),
        wishes,
        jobs: jobs(args.jobs),
        enough: args.failures.max(1),
        searched: SEARCHED,
        off: Vec::new(),
    };
    let started = Instant::now();
    let total = quarry.seeds.end - quarry.seeds.start;
    let progress = Progress::new(total);
    let bag = hunt_seeds(&quarry, &|bag| {
        progress.show(bag);
        args.time_limit.is_none_or(|limit| started.elapsed() < limit)
    });
    progress.clear();
    let real = started.elapsed().as_secs_f64();
    say(&bag.coverage);
    say(format_args!(
        "{} seeds in {real:.1} s on {} threads ({:.1} a second), {:.1} simulated hours: {:.0} simulated seconds in a second of each thread",
        bag.seeds,
        quarry.jobs,
        bag.seeds as f64 / real,
        bag.simulated.as_secs_f64() / 3600.0,
        bag.simulated.as_secs_f64() / real / quarry.jobs as f64,
    ));
    say(format_args!(
        "{} requests, {} of unknown fate; at least 4 in flight in {} seeds; digest of all runs {:032x}",
        bag.asked, bag.unknown, bag.concurrent, bag.digest
    ));
    let mut passed = true;
    for (seed, violation) in &bag.failed {
        passed = false;
        say(format_args!("seed {seed}: {violation}"));
        say(format_args!("replay: cargo sim run --seed {seed}{}", args.wishes.typed()));
    }
    let unhit = bag.coverage.unhit();
    if !unhit.is_empty() && all && passed {
        say(format_args!("never came about: {}", unhit.join("; ")));
        passed = bag.seeds < ENOUGH_FOR_ALL;
    }
    if bag.seeds < total && bag.failed.is_empty() {
        say(format_args!("the time was up after {} of {total} seeds", bag.seeds));
    }
    if passed {
        say("nothing is violated");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(VIOLATED))
}

/// As many threads as wanted, or as there are cores.
pub(crate) fn jobs(wanted: Option<u16>) -> usize {
    wanted.map_or_else(|| available_parallelism().map_or(1, Into::into), Into::into)
}

/// A line on a terminal that says how far the hunt is.
struct Progress {
    total: u64,
    is_terminal: bool,
    started: Instant,
    shown: Mutex<Option<Instant>>,
}

impl Progress {
    fn new(total: u64) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        Progress { total, is_terminal, started: Instant::now(), shown: Mutex::new(None) }
    }

    fn show(&self, bag: &Bag) {
        if !self.is_terminal {
            return;
        }
        let mut shown = self.shown.lock().expect("no thread panics");
        if shown.is_some_and(|shown| shown.elapsed().as_millis() < 100) {
            return;
        }
        *shown = Some(Instant::now());
        let part = usize::try_from(bag.seeds * 30 / self.total.max(1)).unwrap_or(30).min(30);
        let bar: String = (0..30).map(|place| if place < part { '#' } else { '.' }).collect();
        let _ = write!(
            io::stderr(),
            "\r\x1b[2K[{bar}] {} of {} seeds, {:.1} simulated hours, {:.0} seeds a second, {} failed",
            bag.seeds,
            self.total,
            bag.simulated.as_secs_f64() / 3600.0,
            bag.seeds as f64 / self.started.elapsed().as_secs_f64().max(0.001),
            bag.failed.len(),
        );
    }

    fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
