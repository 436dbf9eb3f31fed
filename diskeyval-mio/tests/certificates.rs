//! The certificates that nodes take, and those that they refuse.

use std::process::ExitCode;

use diskeyval_sim::conformance::certificates::{self, Log};

#[path = "conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod conformance;

fn main() -> ExitCode {
    certificates::main(&conformance::Mio, Log::Tracing)
}
