//! The example of the guide takes the certificates that it should, and no others.

use std::process::ExitCode;

use diskeyval_sim::conformance::certificates::{self, Log};

#[path = "conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod conformance;

fn main() -> ExitCode {
    certificates::main(&conformance::Threads, Log::Nowhere)
}
