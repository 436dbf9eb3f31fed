//! The command `diskeyval`: certificates for a cluster, and a node in a process of its own.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod certs;
mod exit;
mod log;
mod text;

use std::process::ExitCode;

use args::{Args, Command};
use exit::Failure;

fn main() -> ExitCode {
    let done = Args::read().and_then(run);
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn run(args: Args) -> Result<(), Failure> {
    log::start(args.log.unwrap_or_else(|| args.command.log_level()));
    match args.command {
        Command::Bench(bench) => bench::run(&bench),
        Command::Certs(certs) => certs::run(&certs),
    }
}
