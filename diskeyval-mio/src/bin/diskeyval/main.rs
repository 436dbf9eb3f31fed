//! The command `diskeyval`: certificates for a cluster, a node in a process of its own, and clusters that are
//! shown and measured.

#![forbid(unsafe_code)]

mod answer;
mod args;
mod bench;
mod certs;
mod config;
#[cfg(unix)]
mod demo;
mod exit;
mod lines;
mod log;
mod node;
mod prompt;
mod recover;
mod session;
mod terminal;
mod wal;

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
        Command::Node(node) => node::run(&node),
        Command::Recover(recover) => recover::run(&recover),
        Command::Wal(command) => wal::run(&command),
        #[cfg(unix)]
        Command::Demo(demo) => demo::run(&demo),
        #[cfg(unix)]
        Command::Failover(failover) => demo::failover(&failover),
        #[cfg(unix)]
        Command::DemoNode { at } => demo::node(at),
    }
}
