//! How the command ends.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Something is violated, or was not killed.
pub(crate) const VIOLATED: u8 = 1;
/// What was given is wrong.
const BAD_INPUT: u8 = 2;

/// What was given is wrong, or a file cannot be read or written.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(why: impl Display) -> Failure {
        Failure(why.to_string())
    }

    pub(crate) fn of_file(file: &Path, why: impl Display) -> Failure {
        Failure(format!("{}: {why}", file.display()))
    }

    /// What was given to read is not there, or is damaged.
    pub(crate) fn of_input(file: &Path, why: impl Display, remedy: &str) -> Failure {
        Failure(format!("{}: {why} ({remedy})", file.display()))
    }

    /// Says so on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody is there to be told of a stderr that cannot be written.
        let _ = writeln!(io::stderr(), "error: {}", self.0);
        ExitCode::from(BAD_INPUT)
    }
}

/// Prints a line. Who reads no further has read enough: the exit code says the rest.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
