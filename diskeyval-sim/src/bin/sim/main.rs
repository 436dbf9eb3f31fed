//! The command `sim`.

mod args;
mod check;
mod exit;
mod hunt;
mod images;
mod look;
mod mutants;
mod rot;
mod run;
mod shrink;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => run::replay(&args),
        Command::Hunt(args) => hunt::hunt(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Check(args) => check::check(&args),
        Command::Images(args) => images::images(&args),
        Command::Rot(args) => rot::rot(&args),
        Command::Mutants(args) => mutants::mutants(&args),
    };
    ended.unwrap_or_else(|failure| failure.report())
}
