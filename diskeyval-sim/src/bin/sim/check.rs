//! `sim check`: judges a history.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use diskeyval_sim::linear::Budget;
use diskeyval_sim::report::check_within;
use diskeyval_sim::{History, Report, lines};

use crate::args::CheckArgs;
use crate::exit::Failure;

pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let history = read(&args.file)?;
    Ok(tell(&check_within(&history, Budget { steps: args.steps })))
}

/// What a history is, for those who have given something else.
const FORM: &str = "docs/src/history.md says what a history is; `sim run --history FILE` writes one";

fn read(file: &Path) -> Result<History, Failure> {
    if file == Path::new("-") {
        return lines::read(io::stdin().lock()).map_err(|error| Failure::of_input(file, error, FORM));
    }
    let open = File::open(file).map_err(|error| Failure::of_input(file, error, FORM))?;
    lines::read(BufReader::new(open)).map_err(|error| Failure::of_input(file, error, FORM))
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
