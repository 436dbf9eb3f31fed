//! `bench load`: how fast a cluster of this machine is, and beside what else. `bench storage`: what durable nodes
//! cost. `bench flood`: what floods of connections cost.

mod beside;
mod drive;
#[cfg(unix)]
mod flood;
mod load;
#[cfg(feature = "smol")]
mod on_smol;
mod place;
mod report;
mod row;
mod storage;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use self::beside::Beside;
use self::load::Case;
use self::report::Report;
use self::row::OURS;
use self::storage::StorageArgs;
use crate::exit::Failure;

/// The name of the async adapter among programs.
const ON_SMOL: &str = "diskeyval-smol";

/// Measure this machine
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Load(LoadArgs),
    Storage(StorageArgs),
    #[cfg(unix)]
    Flood(flood::FloodArgs),
    /// What `flood` starts
    #[cfg(unix)]
    #[command(hide = true)]
    Flooder,
}

/// Measure writes and reads of a cluster in this process, over loopback and mutual TLS
///
/// The cluster is new for each case, keeps all in memory (or, with --data, on a disk), and shares this machine
/// with the load. The load is a closed loop through a handle of the leader: so many operations are in flight as
/// --in-flight says, and the end of one is the beginning of the next. Keys have 16 bytes and are drawn from
/// 100,000, values have 100 bytes. Reads are linearizable, and find their keys.
///
/// Of writes to a disk it is also counted how many the leader has made durable with one sync, and how many bytes
/// it has written for each byte of a key or value.
///
/// A machine that does other things as well moves all figures: compare what was measured by turns. That is
/// what --beside is for: COMMAND is run by the shell in each round, and prints one JSON object a line:
///   {"peer":"etcd","case":"tls-put-c64","metric":"ops","unit":"1/s","run":0,"value":6400.0}
/// Cases of both sides that end alike (-put-c64) are compared, those of the same name alone if there are such.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval bench load
  diskeyval bench load --in-flight 64 --seconds 5
  diskeyval bench load --data /mnt/disk --ops put
  diskeyval bench load --json --beside 'etcd=./etcd.sh tls-tmpfs /dev/shm/etcd 1.5 put,get 1,64,256'"
)]
pub(crate) struct LoadArgs {
    /// How long each case is measured
    #[arg(long, value_name = "SECONDS", default_value = "1.5", value_parser = seconds)]
    seconds: Duration,

    /// How many operations are in flight, case by case
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,64,256",
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: Vec<u16>,

    /// How often all cases are measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// How many nodes the cluster has
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,

    /// The nodes are durable, with a directory each below this one; they are removed afterwards
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// What is measured
    #[arg(long, value_name = "OP,…", value_delimiter = ',', default_value = "put,get")]
    ops: Vec<Op>,

    /// How the load learns that an operation has ended
    #[arg(long, value_enum, default_value_t = By::Calls)]
    by: By,

    /// Print every figure as one JSON object a line, and the tables on stderr
    #[arg(long)]
    json: bool,

    /// Measure the async adapter by turns with the blocking one, and compare. Each of its nodes has a thread of its own, too,
    /// and each operation in flight is a task. Needs the feature `smol`
    #[arg(long)]
    smol: bool,

    /// Another command that is run by turns with ours, and compared; can be given several times
    #[arg(long, value_name = "NAME=COMMAND")]
    beside: Vec<Beside>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Op {
    /// Writes
    Put,
    /// Linearizable reads
    Get,
}

/// How the load learns that an operation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// A function is called, and begins the next (`Pending::on_complete`)
    Calls,
    /// One thread waits for the oldest, and begins the next (`Pending::wait`)
    Waits,
    /// As many threads as operations in flight, each with blocking calls (`Node::set`)
    Threads,
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Put => "put",
            Op::Get => "get",
        }
    }
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    match &args.what {
        What::Load(load) => run_load(load),
        What::Storage(storage) => storage::run(storage),
        #[cfg(unix)]
        What::Flood(flood) => flood::run(flood),
        #[cfg(unix)]
        What::Flooder => flood::flooder(),
    }
}

fn run_load(args: &LoadArgs) -> Result<(), Failure> {
    let mut report = Report::default();
    for round in 0..args.rounds {
        for &op in &args.ops {
            for &in_flight in &args.in_flight {
                let case = Case {
                    op,
                    in_flight: usize::from(in_flight),
                    by: args.by,
                    nodes: usize::from(args.nodes),
                    span: args.seconds,
                    data: args.data.as_deref(),
                };
                progress(format_args!("round {} of {}: {case}", round + 1, args.rounds));
                let rows = load::measure(&case)?.rows(OURS, &case, round);
                report.add_ours(round, rows, args.json)?;
                if args.smol {
                    report.add(
                        round,
                        ON_SMOL,
                        measure_on_smol(&case)?.rows(ON_SMOL, &case, round),
                        args.json,
                    )?;
                }
            }
        }
        for beside in &args.beside {
            progress(format_args!("round {} of {}: {}", round + 1, args.rounds, beside.name));
            report.add(round, &beside.name, beside.run()?, args.json)?;
        }
    }
    report.finish(args.json)
}

#[cfg(feature = "smol")]
use self::on_smol::measure as measure_on_smol;

#[cfg(not(feature = "smol"))]
fn measure_on_smol(_case: &Case<'_>) -> Result<load::Measured, Failure> {
    Err(Failure::input("--smol needs a command that was compiled with the feature `smol`"))
}

/// A line on stderr, if somebody looks on.
fn progress(what: std::fmt::Arguments<'_>) {
    if io::IsTerminal::is_terminal(&io::stderr()) {
        let _ = writeln!(io::stderr(), "{what}");
    }
}

fn seconds(given: &str) -> Result<Duration, String> {
    let number: f64 = given.parse().map_err(|_| "a number of seconds, as 1.5")?;
    let span = Duration::try_from_secs_f64(number).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("more than nothing is needed".into()) } else { Ok(span) }
}
