//! `bench storage`: how soon a node is back, and what a snapshot costs while writes go on.
//!
//! Each measurement is a process of its own, since the most memory that a process has ever had is known of it as a
//! whole. It prints rows, and ends.

mod child;
mod recovery;
mod writes;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use self::child::Child;
use super::place::Place;
use super::report::{bounds, cannot_print, print_rows};
use super::row::{Row, median};
use super::{progress, seconds};
use crate::exit::Failure;

/// Measure recovery and snapshots of durable nodes
///
/// Recovery: a node has written --keys keys, a snapshot of them all, and a quarter as many writes more. It is started
/// again, and is open when all of that was read. Its files are in the cache of the system.
///
/// Snapshots: a cluster of --nodes nodes in one process, over loopback and mutual TLS, has all keys; then --in-flight
/// writes to random keys are in flight for --seconds, in which every node writes a snapshot (storage-snapshot) or none
/// does (storage-quiet), by turns. Each has a new process and a new cluster.
///
/// Keys have 16 bytes, values 100. What is written to --data is removed again.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval bench storage
  diskeyval bench storage --data /mnt/disk --nodes 1 --json"
)]
pub(crate) struct StorageArgs {
    /// A directory on the disk that is measured [default: that of temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// How many keys there are
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    keys: u64,

    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// How many nodes write snapshots
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,

    /// How many writes are in flight
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,

    /// For how long, which has to be enough for a snapshot
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    seconds: Duration,

    /// What is measured
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',', default_value = "recovery,snapshots")]
    what: Vec<What>,

    /// Print every figure as one JSON object a line, and the table on stderr
    #[arg(long)]
    json: bool,

    /// What a process of ours is to do
    #[arg(long, value_name = "PART", hide = true, requires = "data")]
    child: Option<Part>,

    /// With how much log a process of ours writes a snapshot
    #[arg(long, value_name = "BYTES", hide = true)]
    compact_every: Option<u64>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// How soon a node is back
    Recovery,
    /// What a snapshot costs while writes go on
    Snapshots,
}

/// What a process of its own does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Makes the files that are recovered from
    Fill,
    /// Recovers from them
    Recover,
    /// Writes, without a snapshot
    Quiet,
    /// Writes, with a snapshot
    Snapshot,
}

impl Part {
    fn case(self) -> &'static str {
        match self {
            Part::Fill => "storage-fill",
            Part::Recover => "storage-recover",
            Part::Quiet => "storage-quiet",
            Part::Snapshot => "storage-snapshot",
        }
    }
}

pub(super) fn run(args: &StorageArgs) -> Result<(), Failure> {
    if let (Some(part), Some(data)) = (args.child, &args.data) {
        let rows = match part {
            Part::Fill => recovery::fill(data, args.keys),
            Part::Recover => recovery::recover(data, args.keys),
            Part::Quiet => writes::run(part, args, data),
            Part::Snapshot => writes::run(part, args, data),
        };
        return print_rows(&rows?, true);
    }
    let parent = args.data.clone().unwrap_or_else(std::env::temp_dir);
    let mut taken = Taken { rows: Vec::new(), print: args.json };
    if args.what.contains(&What::Recovery) {
        // All rounds recover the same.
        let place = Place::below(&parent)?;
        progress(format_args!("{} keys are written", args.keys));
        taken.add(Child::new(Part::Fill, args, &place).run(0)?)?;
        for round in 0..args.rounds {
            progress(format_args!("round {} of {}: recovery", round + 1, args.rounds));
            taken.add(Child::new(Part::Recover, args, &place).run(round)?)?;
        }
    }
    if args.what.contains(&What::Snapshots) {
        for round in 0..args.rounds {
            progress(format_args!("round {} of {}: writes without a snapshot", round + 1, args.rounds));
            let quiet = Child::new(Part::Quiet, args, &Place::below(&parent)?).run(round)?;
            let log = quiet.iter().find(|row| row.metric == writes::LOG_BYTES).and_then(|row| row.value);
            taken.add(quiet)?;
            progress(format_args!("round {} of {}: writes and a snapshot", round + 1, args.rounds));
            let place = Place::below(&parent)?;
            let child = Child::new(Part::Snapshot, args, &place).compact_every(log.unwrap_or_default());
            taken.add(child.run(round)?)?;
        }
    }
    taken.finish()
}

/// What was measured.
struct Taken {
    rows: Vec<Row>,
    print: bool,
}

impl Taken {
    fn add(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        print_rows(&rows, self.print)?;
        self.rows.extend(rows);
        Ok(())
    }

    fn all(&self, case: &str, metric: &str) -> Vec<f64> {
        let rows = self.rows.iter().filter(|row| row.case == case && row.metric == metric);
        rows.filter_map(|row| row.value).collect()
    }

    /// What a snapshot costs: the medians of both, compared.
    fn compared(&self) -> Vec<Row> {
        let both = |metric| {
            let middle = |part: Part| median(self.all(part.case(), metric));
            Some((middle(Part::Snapshot)?, middle(Part::Quiet)?))
        };
        let gap = both("longest-gap").map(|(with, without)| with - without);
        let ratio = |metric| both(metric).map(|(with, without)| with / without);
        let case = "storage-snapshot/storage-quiet";
        let row = |metric, unit, value: Option<f64>| value.map(|v| Row::ours(case, metric, unit, 0, Some(v)));
        let rows = [
            row("longest-gap-more", "ms", gap),
            row("ops-ratio", "x", ratio("ops")),
            row("p99-ratio", "x", ratio("p99")),
            row("peak-memory-ratio", "x", ratio("peak-memory")),
        ];
        rows.into_iter().flatten().collect()
    }

    fn finish(mut self) -> Result<(), Failure> {
        let compared = self.compared();
        self.add(compared)?;
        let text = self.table();
        if self.print {
            let _ = write!(io::stderr(), "{text}");
            return Ok(());
        }
        write!(io::stdout(), "{text}").map_err(cannot_print)
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:<32} {:<24} {:>12} {:<5} {:>25}", "", "", "median", "", "[min .. max]");
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for Row { case, metric, unit, .. } in &self.rows {
            if seen.contains(&(case, metric)) {
                continue;
            }
            seen.push((case, metric));
            let values = self.all(case, metric);
            let (min, max) = bounds(values.iter().copied());
            let Some(middle) = median(values) else { continue };
            let spread = format!("[{min:.2} .. {max:.2}]");
            let _ = writeln!(text, "{case:<32} {metric:<24} {middle:>12.2} {unit:<5} {spread:>25}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_snapshot_costs_is_the_distance_of_the_medians() {
        let mut taken = Taken { rows: Vec::new(), print: false };
        for (round, quiet, snapshot) in [(0, 5.0, 9.0), (1, 6.0, 40.0), (2, 7.0, 10.0)] {
            let row = |part: Part, value| Row::ours(part.case(), "longest-gap", "ms", round, Some(value));
            taken.add(vec![row(Part::Quiet, quiet), row(Part::Snapshot, snapshot)]).expect("kept");
        }
        let compared = taken.compared();
        assert_eq!(compared.len(), 1, "nothing else was measured");
        assert_eq!((compared[0].metric.as_str(), compared[0].value), ("longest-gap-more", Some(4.0)));
    }
}
