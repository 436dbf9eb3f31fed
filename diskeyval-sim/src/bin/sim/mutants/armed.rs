//! Arms one mutant after the other, and hunts until it is killed.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use diskeyval_core::mutants::{ALL, Mutant, arm, hits};
use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::{Wishes, draw};
use diskeyval_sim::hunt::{Quarry, hunt};
use diskeyval_sim::observe::Violation;
use diskeyval_sim::run::{Wanted, run};

use super::disk::{self, By};
use crate::args::MutantsArgs;
use crate::exit::{Failure, VIOLATED, say};
use crate::hunt::{SEARCHED, jobs};
use crate::look::{observe, tell};
use crate::run::read_plan;
use crate::shrink::shrink_plan;

/// One line for each mutant: its name, what kills it (a seed, or `image:` or `rot:` with a number, or `file:` with the name of
/// a kept schedule), and the rule that it breaks there. Of those that nothing has killed yet, `open` says so.
const RECORDED: &str = include_str!("recorded.txt");

pub(crate) fn mutants(args: &MutantsArgs) -> Result<ExitCode, Failure> {
    let chosen = match args.only.as_deref() {
        Some("help") => {
            for mutant in ALL {
                say(format_args!("{:<30} {:>4}  {}", mutant.name(), mutant.ledger(), mutant.what()));
            }
            return Ok(ExitCode::SUCCESS);
        }
        Some(names) => names.split(',').map(find).collect::<Result<Vec<_>, _>>()?,
        None => ALL.to_vec(),
    };
    let look = args.look.trace.is_some()
        || args.look.html.is_some()
        || args.look.history.is_some()
        || args.seed.is_some()
        || args.file.is_some()
        || args.shrink.is_some();
    match chosen.as_slice() {
        [mutant] if look => look_at(*mutant, args),
        [_, _, ..] if look => Err(Failure::new("only one mutant can be looked at: name it with --only")),
        chosen if args.table => Ok(table(chosen, args)),
        chosen if args.by.is_some() => Ok(kill_by(chosen, args)),
        chosen => kill_all(chosen, args),
    }
}

fn find(name: &str) -> Result<Mutant, Failure> {
    let unknown = || Failure::new(format_args!("there is no mutant {name:?}; --only help lists them"));
    Mutant::from_name(name.trim()).ok_or_else(unknown)
}

/// How a mutant ended.
struct Killed {
    seed: u64,
    violation: Violation,
    /// How often it had gone wrong by then.
    hits: u64,
}

fn quarry(args: &MutantsArgs, off: Vec<&'static str>) -> Quarry {
    Quarry {
        seeds: 0..args.seeds,
        wishes: Wishes::default(),
        jobs: jobs(args.jobs),
        enough: 1,
        searched: SEARCHED,
        off,
    }
}

fn kill(mutant: Mutant, quarry: &Quarry) -> (Option<Killed>, u64) {
    arm(Some(mutant));
    let bag = hunt(quarry, &|_| true);
    let hits = hits();
    arm(None);
    let first = bag.failed.into_iter().next();
    (first.map(|(seed, violation)| Killed { seed, violation, hits }), hits)
}

/// What is recorded as killing it: a seed, `image:` or `rot:` with a number, `file:` with a schedule.
fn recorded_text(mutant: Mutant) -> Option<&'static str> {
    let line = RECORDED.lines().find(|line| line.split_whitespace().next() == Some(mutant.name()))?;
    line.split_whitespace().nth(1)
}

fn recorded(mutant: Mutant) -> Option<u64> {
    recorded_text(mutant)?.parse().ok()
}

/// Looks for crashes or rot that kill, with lines as they are recorded.
fn kill_by(chosen: &[Mutant], args: &MutantsArgs) -> ExitCode {
    let by = if args.by.as_deref() == Some("rot") { By::Rot } else { By::Images };
    let mut killed = 0;
    for mutant in chosen {
        killed += usize::from(tell_end(*mutant, by, disk::kill(*mutant, by, None, jobs(args.jobs))));
    }
    say(format_args!("killed {killed}/{}", chosen.len()));
    if killed == chosen.len() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) }
}

fn tell_end(mutant: Mutant, by: By, ended: disk::Ended) -> bool {
    let name = mutant.name();
    match ended.killed {
        Some((number, rule)) => {
            let number = format!("{by}:{number}");
            say(format_args!("{name:<30} {number:>12} {rule:<7} ({} times wrong)", ended.hits));
            return true;
        }
        None if ended.hits == 0 => say(format_args!("{name:<30} SURVIVES: it never came to act")),
        None => say(format_args!("{name:<30} SURVIVES, although {} times wrong", ended.hits)),
    }
    false
}

fn kill_all(chosen: &[Mutant], args: &MutantsArgs) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let (mut seeds, mut by_disk, mut by_file, mut open) = (Vec::new(), 0, 0, 0);
    for mutant in chosen {
        let mut quarry = quarry(args, Vec::new());
        if let Some((by, number)) = recorded_text(*mutant).filter(|_| args.recorded).and_then(By::parse) {
            by_disk += usize::from(tell_end(*mutant, by, disk::kill(*mutant, by, Some(number), 1)));
            continue;
        }
        if let Some(name) =
            recorded_text(*mutant).filter(|_| args.recorded).and_then(|by| by.strip_prefix("file:"))
        {
            by_file += usize::from(is_killed_by(*mutant, name)?);
            continue;
        }
        if args.recorded && recorded_text(*mutant) == Some("open") {
            say(format_args!("{:<30} is open: nothing is known yet that kills it", mutant.name()));
            open += 1;
            continue;
        }
        if args.recorded {
            let Some(seed) = recorded(*mutant) else {
                say(format_args!("{:<30} no seed is recorded for it", mutant.name()));
                continue;
            };
            quarry.seeds = seed..seed + 1;
            quarry.searched = 1;
        }
        match kill(*mutant, &quarry) {
            (Some(killed), _) => {
                seeds.push(killed.seed + 1);
                let rule = killed.violation.rule;
                say(format_args!(
                    "{:<30} {:>6} {rule:<7} ({} times wrong)",
                    mutant.name(),
                    killed.seed,
                    killed.hits
                ));
            }
            (None, 0) => say(format_args!("{:<30} SURVIVES: it never came to act", mutant.name())),
            (None, hits) => say(format_args!("{:<30} SURVIVES, although {hits} times wrong", mutant.name())),
        }
    }
    let killed = seeds.len();
    seeds.sort_unstable();
    if !args.recorded
        && let (Some(median), Some(worst)) = (seeds.get(killed / 2), seeds.last())
    {
        say(format_args!(
            "seeds to kill: median {median}, worst {worst}; {:.0} s in all",
            started.elapsed().as_secs_f64()
        ));
    }
    let killed = killed + by_disk + by_file;
    say(format_args!("killed {killed}/{}", chosen.len()));
    Ok(if killed + open == chosen.len() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}

/// Runs a kept schedule, of something that chance hardly ever brings about.
fn is_killed_by(mutant: Mutant, name: &str) -> Result<bool, Failure> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schedules").join(name);
    let plan = read_plan(&file)?;
    arm(Some(mutant));
    let violation = run(&plan, Wanted::default()).violation;
    let hits = hits();
    arm(None);
    match &violation {
        Some(Violation { rule, .. }) => {
            say(format_args!("{:<30} {name} {rule} ({hits} times wrong)", mutant.name()));
        }
        None => say(format_args!("{:<30} SURVIVES {name}, although {hits} times wrong", mutant.name())),
    }
    Ok(violation.is_some())
}

/// For each mutant: the rule that kills it first, how fast, and whether it is killed without that rule, too.
fn table(chosen: &[Mutant], args: &MutantsArgs) -> ExitCode {
    say("| mutant | ledger | killed by | seeds | without that rule, by | seeds |");
    say("|---|---|---|---|---|---|");
    for mutant in chosen {
        let (first, _) = kill(*mutant, &quarry(args, Vec::new()));
        let second =
            first.as_ref().and_then(|first| kill(*mutant, &quarry(args, vec![first.violation.rule])).0);
        let cells = |killed: &Option<Killed>| match killed {
            Some(Killed { seed, violation, .. }) => format!("{} | {}", violation.rule, seed + 1),
            None => "nothing | ".into(),
        };
        say(format_args!(
            "| `{}` | {} | {} | {} |",
            mutant.name(),
            mutant.ledger(),
            cells(&first),
            cells(&second)
        ));
    }
    ExitCode::SUCCESS
}

/// Shows how one mutant ends.
fn look_at(mutant: Mutant, args: &MutantsArgs) -> Result<ExitCode, Failure> {
    let only = format!("cargo sim mutants --only {}", mutant.name());
    let (plan, command) = match &args.file {
        Some(file) => (read_plan(file)?, format!("{only} --file {}", file.display())),
        None => {
            let seed = killing_seed(mutant, args)?;
            (draw(&mut Choices::from_seed(seed), &Wishes::default()), format!("{only} --seed {seed}"))
        }
    };
    arm(Some(mutant));
    if let Some(file) = &args.shrink {
        return shrink_plan(&plan, 3000, Some(file), &format!("{only} --file"));
    }
    say(format_args!("{}: {}", mutant.name(), mutant.what()));
    let ran = observe(&plan, plan.setting.noise, &command, &args.look)?;
    say(&ran);
    say(format_args!("{} times wrong", hits()));
    Ok(tell(&ran, &command))
}

fn killing_seed(mutant: Mutant, args: &MutantsArgs) -> Result<u64, Failure> {
    match args.seed.or_else(|| recorded(mutant)) {
        Some(seed) => Ok(seed),
        None => match kill(mutant, &quarry(args, Vec::new())).0 {
            Some(killed) => Ok(killed.seed),
            None => Err(Failure::new(format_args!("{} survives {} seeds", mutant.name(), args.seeds))),
        },
    }
}
