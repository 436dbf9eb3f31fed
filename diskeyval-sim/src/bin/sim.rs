//! The command `sim`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use diskeyval_sim::linear::Budget;
use diskeyval_sim::lines;
use diskeyval_sim::report::check_within;
use diskeyval_sim::{History, Report};

/// Tools around the simulator of diskeyval.
#[derive(Parser)]
#[command(name = "sim", version, after_help = EXAMPLE)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Judge a recorded history: is every answer explained, was nothing lost, duplicated or stale?
    ///
    /// A history has one JSON object a line. The report goes to standard output.
    #[command(after_help = EXIT_CODES)]
    Check {
        /// The history; `-` is standard input.
        file: PathBuf,
        /// How many steps to search on a key before it is given up as undecided.
        #[arg(long, value_name = "N", default_value_t = Budget::default().steps)]
        steps: u64,
    },
}

const EXAMPLE: &str = "Example:\n  sim check history.jsonl";

const EXIT_CODES: &str = "\
Examples:
  sim check history.jsonl
  zcat history.jsonl.gz | sim check -

Exit codes:
  0  every answer has an explanation
  1  something is violated
  2  the history (or the command line) is not understood
  3  nothing is violated as far as was seen, but some keys are undecided: give more --steps";

fn main() -> ExitCode {
    let Command::Check { file, steps } = Args::parse().command;
    match read(&file) {
        Ok(history) => tell(&check_within(&history, Budget { steps })),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}: {error}", file.display());
            ExitCode::from(2)
        }
    }
}

fn read(file: &Path) -> Result<History, Box<dyn Error>> {
    Ok(match file == Path::new("-") {
        true => lines::read(io::stdin().lock())?,
        false => lines::read(BufReader::new(File::open(file)?))?,
    })
}

fn tell(report: &Report) -> ExitCode {
    // Who reads no further has read enough: the exit code says the rest.
    let _ = write!(io::stdout().lock(), "{report}");
    match (report.is_clean(), report.undecided.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(3),
        (false, _) => ExitCode::from(1),
    }
}
