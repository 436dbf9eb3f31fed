//! How the command ends when it does not end well: one line on stderr, and a code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use diskeyval_mio::command::text;

/// What was asked for failed.
const FAILED: u8 = 1;
/// What was given is wrong.
const BAD_INPUT: u8 = 2;
/// The node is no member of its cluster any more.
const REMOVED: u8 = 3;
/// Data would be lost, and nobody has accepted that.
const NOT_ACCEPTED: u8 = 4;

/// Why the command ends, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    why: String,
}

impl Failure {
    /// What was asked for failed: the same may succeed at another time or place.
    pub(crate) fn failed(why: impl Display) -> Failure {
        Failure { code: FAILED, why: why.to_string() }
    }

    /// What was given is wrong: options, names, configuration, certificates.
    pub(crate) fn input(why: impl Display) -> Failure {
        Failure { code: BAD_INPUT, why: why.to_string() }
    }

    /// The node was removed from its cluster.
    pub(crate) fn removed(why: impl Display) -> Failure {
        Failure { code: REMOVED, why: why.to_string() }
    }

    /// Nothing was done, since data would be lost.
    pub(crate) fn not_accepted(why: impl Display) -> Failure {
        Failure { code: NOT_ACCEPTED, why: why.to_string() }
    }

    /// Says so on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody is there to be told of a stderr that cannot be written.
        let _ = writeln!(io::stderr(), "error: {}", text::one_line(&self.why));
        ExitCode::from(self.code)
    }
}
