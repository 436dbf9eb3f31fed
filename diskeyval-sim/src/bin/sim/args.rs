//! What can be typed.

use core::ops::Range;
use core::time::Duration;
use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand};
use diskeyval_sim::draw::Wishes;
use diskeyval_sim::faults::{Fault, parse_list};
use diskeyval_sim::linear::Budget;
use diskeyval_sim::plan::text::{parse_span, write_span};

/// The simulator of diskeyval: real engines in a simulated world, watched at every step.
#[derive(Parser)]
#[command(name = "sim", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sim run --seed 7                          one run, drawn from a seed
  sim run --seed 7 --html run.html          the same, as a picture for a browser
  sim hunt --seeds 0..2000                  many runs, on all cores
  sim shrink --seed 7 --out small.schedule  a seed that fails, made small
  sim replay small.schedule --trace -       every event of it
  sim images                                one run, crashed at every operation of a disk
  sim rot                                   every byte of a node's files is another in turn
  sim check history.jsonl                   judge a recorded history
  sim mutants                               how strong is all of this?

Exit codes: 0 nothing is violated, 1 something is, 2 the command line or a file is not understood";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run one seed: a hostile phase, then a friendly one in which a majority must go on.
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Run many seeds, on several threads.
    #[command(after_help = HUNT_HELP)]
    Hunt(HuntArgs),
    /// Make a seed that fails as small as it can be, as a schedule file.
    #[command(after_help = SHRINK_HELP)]
    Shrink(ShrinkArgs),
    /// Run a schedule file.
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Judge a recorded history: is every answer explained, was nothing lost, duplicated or stale?
    ///
    /// A history has one JSON object a line. The report goes to standard output.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Crash a node at every operation of its disk, in every way, and see what it finds.
    #[command(after_help = IMAGES_HELP)]
    Images(ImagesArgs),
    /// Let every byte of a node's files rot in turn, and see what the node makes of it.
    #[command(after_help = ROT_HELP)]
    Rot(RotArgs),
    /// Build wrong versions of the core, and count how many of them are found out.
    #[command(after_help = MUTANTS_HELP)]
    Mutants(MutantsArgs),
}

const RUN_HELP: &str = "\
Examples:
  sim run --seed 7
  sim run --seed 7 --nodes 3 --time 20s --faults crash,partition --trace -
  sim run --seed 7 --history history.jsonl && sim check history.jsonl
  sim run --seed 7 --plan > seven.schedule
  sim run --faults help
The same seed and options are the same run, event by event: the digest says so.";

const SHRINK_HELP: &str = "\
Examples:
  sim shrink --seed 7 --out small.schedule
  sim shrink --seed 7 --nodes 3 --faults crash    give the options with which the seed failed
  sim shrink --file large.schedule --out small.schedule
What comes out breaks the same rule as what went in. It is written with what it breaks at its top.";

const REPLAY_HELP: &str = "\
Examples:
  sim replay small.schedule
  sim replay small.schedule --trace trace.txt --html run.html
Schedules are written by `sim shrink` and `sim run --plan`, or by hand.";

const HUNT_HELP: &str = "\
Examples:
  sim hunt --seeds 0..2000
  sim hunt --seeds 0..1000000 --time-limit 1h --jobs 2
The last lines are a table of everything that came about; what never did is reported, and counts as a failure if
all faults were wanted and there were at least 1000 seeds.";

const CHECK_HELP: &str = "\
Examples:
  sim check history.jsonl
  zcat history.jsonl.gz | sim check -

Exit codes:
  0  every answer has an explanation
  1  something is violated
  2  the history (or the command line) is not understood
  3  nothing is violated as far as was seen, but some keys are undecided: give more --steps";

const MUTANTS_HELP: &str = "\
Examples:
  sim mutants
  sim mutants --only no-read-round --trace trace.txt
  sim mutants --recorded
Each mutant is a wrong behaviour with a name, compiled into the core by its feature `mutants`. This command builds
itself again with that feature, in a folder of its own, so that no other build ever has it.";

const IMAGES_HELP: &str = "\
Examples:
  sim images                 all of them
  sim images --every 20      a slice
  sim images --only 12345    one of them, in words
The same images have the same numbers on every machine, and with any number of threads.";

const ROT_HELP: &str = "\
Examples:
  sim rot                    one bit of every byte
  sim rot --bits             all of them
  sim rot --every 20         a slice
  sim rot --only 12345       one case, in words
The same cases have the same numbers with the same --bits and --running.";

/// What is not left to chance.
#[derive(clap::Args, Clone)]
pub(crate) struct WishArgs {
    /// How many nodes, 1 to 7; drawn from the seed otherwise.
    #[arg(long, value_name = "N", value_parser = parse_nodes)]
    pub(crate) nodes: Option<usize>,
    /// How long the run is hostile, in simulated time: 20s, 1.5s, 800ms; drawn otherwise.
    #[arg(long, value_name = "SPAN", value_parser = parse_time)]
    pub(crate) time: Option<Duration>,
    /// Which faults there are: names with commas, `all`, `none`, or `help` for the list; drawn otherwise.
    #[arg(long, value_name = "LIST")]
    pub(crate) faults: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// What everything is drawn from.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) wishes: WishArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Print the plan as a schedule file, and do not run it.
    #[arg(long)]
    pub(crate) plan: bool,
}

/// What is written of a run.
#[derive(clap::Args)]
pub(crate) struct LookArgs {
    /// Write every event, one a line; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write what clients asked and were told, for `sim check`.
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Write a page for a browser that shows the run.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct HuntArgs {
    /// The seeds, the last one not included.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..2000")]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) wishes: WishArgs,
    /// How many threads; as many as there are cores otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Begin no more seeds after so long, in real time: 300s, 5m, 1h.
    #[arg(long, value_name = "SPAN", value_parser = parse_limit)]
    pub(crate) time_limit: Option<Duration>,
    /// End after so many seeds that fail.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) failures: usize,
}

#[derive(clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["seed", "file"]))]
pub(crate) struct ShrinkArgs {
    /// The seed that fails.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,
    /// A schedule that fails, instead of a seed.
    #[arg(long, conflicts_with_all = ["nodes", "time", "faults"], value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wishes: WishArgs,
    /// Where to write the schedule; standard output otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Try no more than so many schedules.
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pub(crate) tries: u64,
}

#[derive(clap::Args)]
pub(crate) struct ReplayArgs {
    /// The schedule.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The history; `-` is standard input.
    pub(crate) file: PathBuf,
    /// How many steps to search on a key before it is given up as undecided.
    #[arg(long, value_name = "N", default_value_t = Budget::default().steps)]
    pub(crate) steps: u64,
}

#[derive(clap::Args)]
pub(crate) struct ImagesArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
}

// Which of all cases are judged, and how. No doc comment: it would stand in the help of the commands.
#[derive(clap::Args)]
pub(crate) struct WhichArgs {
    /// Judge one of so many cases.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) every: u64,
    /// Judge this case only.
    #[arg(long, value_name = "K", conflicts_with = "every")]
    pub(crate) only: Option<u64>,
    /// End after so many cases that fail.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) failures: usize,
    /// How many threads; as many as there are cores otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
}

#[derive(clap::Args)]
pub(crate) struct RotArgs {
    /// All eight bits of each byte, instead of one.
    #[arg(long)]
    pub(crate) bits: bool,
    /// Try one of so many cases in a whole cluster, too; 0 for none.
    #[arg(long, value_name = "N", default_value_t = RotArgs::CLUSTER)]
    pub(crate) cluster: u64,
    /// Let one of so many bytes rot while the node runs, and one of so many on all nodes; 0 for none.
    #[arg(long, value_name = "N", default_value_t = RotArgs::RUNNING)]
    pub(crate) running: u64,
    #[command(flatten)]
    pub(crate) which: WhichArgs,
}

impl RotArgs {
    pub(crate) const CLUSTER: u64 = 64;
    pub(crate) const RUNNING: u64 = 251;
}

#[derive(clap::Args)]
pub(crate) struct MutantsArgs {
    /// Only these mutants, with commas between their names; `help` lists them.
    #[arg(long, value_name = "NAMES")]
    pub(crate) only: Option<String>,
    /// Give a mutant up after so many seeds.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) seeds: u64,
    /// Look for a crash (`images`) or for rot (`rot`) that kills, instead of for a seed.
    #[arg(long, value_name = "WHAT", value_parser = ["images", "rot"], conflicts_with_all = ["recorded", "table"])]
    pub(crate) by: Option<String>,
    /// Run only the seeds, images and cases that are recorded as killing, one for each mutant.
    #[arg(long)]
    pub(crate) recorded: bool,
    /// Find out for each mutant which rules kill it first, and which kill it alone; print the table.
    #[arg(long, conflicts_with = "recorded")]
    pub(crate) table: bool,
    /// Run this seed only.
    #[arg(long, requires = "only")]
    pub(crate) seed: Option<u64>,
    /// Shrink the killing seed to a schedule file of this name; with `--only`.
    #[arg(long, requires = "only", value_name = "FILE", conflicts_with_all = ["trace", "history", "html"])]
    pub(crate) shrink: Option<PathBuf>,
    /// Run this schedule, instead of a seed.
    #[arg(long, requires = "only", value_name = "FILE", conflicts_with = "seed")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// How many threads; as many as there are cores otherwise.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no seed: say a whole number from 0 to {}", u64::MAX))
}

/// A range of seeds.
#[derive(Clone, Debug)]
pub(crate) struct Seeds(pub(crate) Range<u64>);

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || format!("{text:?} is no range of seeds: say 0..2000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to): (u64, u64) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    if from >= to {
        return Err(format!(
            "there is no seed in {from}..{to}: the second number must be larger than the first"
        ));
    }
    Ok(Seeds(from..to))
}

fn parse_nodes(text: &str) -> Result<usize, String> {
    let most = diskeyval_core::MAX_MEMBERS;
    let nodes = text.parse().ok().filter(|nodes| (1..=most).contains(nodes));
    nodes.ok_or_else(|| format!("{text:?} is no size of a cluster: say 1 to {most}"))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let span = parse_span(text)?;
    let day = Duration::from_secs(24 * 3600);
    if span.is_zero() || span > day {
        return Err("a run is hostile for more than nothing, and for at most a day (86400s)".into());
    }
    Ok(span)
}

/// As [`parse_span`], with minutes and hours.
fn parse_limit(text: &str) -> Result<Duration, String> {
    let long = [("m", 60), ("h", 3600)].into_iter().find_map(|(unit, seconds)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(seconds) * number)
    });
    let limit = match long {
        Some(limit) => limit,
        None => parse_span(text).map_err(|error| format!("{error}, 5m or 1h"))?,
    };
    if limit.is_zero() {
        return Err("in no time no seed is run: say 300s, 5m or 1h".into());
    }
    Ok(limit)
}

impl WishArgs {
    /// `Ok(None)` if help was wanted.
    pub(crate) fn wishes(&self) -> Result<Option<Wishes>, crate::exit::Failure> {
        let faults = match self.faults.as_deref() {
            Some("help") => return Ok(None),
            Some(list) => Some(parse_list(list).map_err(crate::exit::Failure::new)?),
            None => None,
        };
        Ok(Some(Wishes { nodes: self.nodes, hostile: self.time, faults, whole: false }))
    }

    /// The same, as one would type it.
    pub(crate) fn typed(&self) -> String {
        let mut typed = String::new();
        if let Some(nodes) = self.nodes {
            typed.push_str(&format!(" --nodes {nodes}"));
        }
        if let Some(time) = self.time {
            typed.push_str(&format!(" --time {}", write_span(time)));
        }
        if let Some(faults) = &self.faults {
            let names: Vec<&str> = faults.split(',').map(str::trim).collect();
            typed.push_str(&format!(" --faults {}", names.join(",")));
        }
        typed
    }
}

/// The list that `--faults help` prints.
pub(crate) fn list_faults() {
    for fault in Fault::ALL {
        crate::exit::say(format_args!("{:<14} {}", fault.name(), fault.what()));
    }
}
