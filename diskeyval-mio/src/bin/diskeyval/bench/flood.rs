//! `bench flood`: what a node that is flooded with connections costs its cluster.

mod flooder;
mod victim;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use diskeyval_mio::{Metrics, Tls};
use serde::{Deserialize, Serialize};

use self::victim::{Calm, Victim};
use super::seconds;
use crate::exit::Failure;

/// What a node may grow by, in MiB.
const MAX_GROWTH: f64 = 64.0;

/// How much later than its deadline somebody may notice that a connection is closed.
const NOTICE: Duration = Duration::from_secs(1);

/// Measure what floods of connections do to the leader of a cluster, which goes on writing
///
/// A cluster of three in this process is given so many writes a second, first in peace and then while another process floods
/// its leader, both for as long. The flood comes in waves: connections that say nothing, others that say a byte a
/// second, and others whose first words claim to be as long as can be, half of them before TLS and half of them behind a
/// handshake with the stolen certificate of a member. A wave is over when the node has closed all of them.
///
/// It ends with code 1 if there was an election, if memory has grown by 64 MiB, or if a connection was not closed by its
/// deadline. How long writes take by then is for a person to judge: it is that of this machine, whose cores the
/// flood shares.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval bench flood
  diskeyval bench flood --silent 5000 --seconds 60 --json"
)]
pub(crate) struct FloodArgs {
    /// How long there is peace, and then a flood
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,

    /// How many connections of a wave say nothing
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(..=20_000))]
    silent: u16,

    /// How many say a byte a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(..=20_000))]
    slow: u16,

    /// How many claim that what they say is as long as can be
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=20_000))]
    bombs: u16,

    /// How many writes a second there are meanwhile
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    writes: u32,

    /// Print one JSON object, in the place of words
    #[arg(long)]
    json: bool,
}

/// What the flooding process is told, as one line of JSON: keys never touch a disk.
#[derive(Serialize, Deserialize)]
struct Orders {
    port: u16,
    silent: u16,
    slow: u16,
    bombs: u16,
    /// Waves begin for so long.
    millis: u64,
    /// Whoever is not closed by then never will be.
    patience_millis: u64,
    /// The stolen certificate.
    name: String,
    tls: Tls,
}

/// What it tells of each wave.
#[derive(Serialize, Deserialize)]
struct Wave {
    connections: usize,
    /// How many the node has closed.
    closed: usize,
    /// How long the last of them was open.
    longest_millis: u64,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    peace: Calm,
    flood: Calm,
    p99_ratio: f64,
    /// MiB, at the most.
    #[serde(rename = "grownMiB")]
    grown_mib: Option<f64>,
    elections: u64,
    connections: usize,
    not_closed: usize,
    longest_open_ms: u64,
    deadline_ms: u64,
    counted: Metrics,
}

pub(super) fn run(args: &FloodArgs) -> Result<(), Failure> {
    let victim = Victim::start()?;
    // Once without counting, so that memory is what it is in use.
    victim.write(args.writes, Duration::from_secs(1), || Ok(()))?;
    let (peace, ()) = victim.write(args.writes, args.seconds, || Ok(()))?;
    let (before, size) = (victim.elections(), victim::resident());
    let (flood, waves) = victim.write(args.writes, args.seconds, || flood(args, &victim))?;
    let deadline = victim.deadline() + NOTICE;
    let report = Report {
        p99_ratio: flood.p99_ms / peace.p99_ms,
        grown_mib: flood.largest_mib.zip(size).map(|(largest, size)| largest - size),
        peace,
        flood,
        elections: victim.elections() - before,
        connections: waves.iter().map(|wave| wave.connections).sum(),
        not_closed: waves.iter().map(|wave| wave.connections - wave.closed).sum(),
        longest_open_ms: waves.iter().map(|wave| wave.longest_millis).max().unwrap_or(0),
        deadline_ms: millis(deadline),
        counted: victim.metrics(),
    };
    victim.end();
    let printed = if args.json {
        serde_json::to_string(&report)
            .map_err(io::Error::other)
            .and_then(|json| writeln!(io::stdout(), "{json}"))
    } else {
        tell(&report, waves.len())
    };
    printed.map_err(|error| Failure::failed(format!("cannot print: {error}")))?;
    judge(&report)
}

/// What must hold on any machine.
fn judge(report: &Report) -> Result<(), Failure> {
    if report.not_closed > 0 || report.longest_open_ms > report.deadline_ms {
        return Err(Failure::failed("not all connections were closed by their deadline"));
    }
    if report.elections > 0 {
        return Err(Failure::failed("there was an election"));
    }
    if report.grown_mib.is_some_and(|grown| grown >= MAX_GROWTH) {
        return Err(Failure::failed("memory has grown by more than it may"));
    }
    Ok(())
}

fn tell(report: &Report, waves: usize) -> io::Result<()> {
    let mut out = io::stdout();
    let Report { peace, flood, counted, .. } = report;
    for (what, calm) in [("peace", peace), ("flood", flood)] {
        writeln!(
            out,
            "{what}  {} writes, p50 {:.2} ms, p99 {:.2} ms, longest {:.1} ms",
            calm.writes, calm.p50_ms, calm.p99_ms, calm.longest_ms
        )?;
    }
    writeln!(out, "p99 of the flood over that of peace: {:.2}", report.p99_ratio)?;
    match report.grown_mib {
        Some(grown) => writeln!(out, "memory grew by {grown:.1} MiB at the most, what was written included")?,
        None => writeln!(out, "memory was not measured: there is no /proc here")?,
    }
    writeln!(out, "{} elections", report.elections)?;
    writeln!(
        out,
        "{} connections in {waves} waves; {} were not closed, the last was open for {} ms (limit: {} ms)",
        report.connections, report.not_closed, report.longest_open_ms, report.deadline_ms
    )?;
    writeln!(
        out,
        "counted: {} accepted, {} turned away, {} cut to make room, {} late, {} refused in their handshake; behind it {} crowded, {} refused",
        counted.connections_accepted,
        counted.connections_turned_away,
        counted.handshakes_cut,
        counted.handshakes_late,
        counted.handshakes_refused,
        counted.links_crowded,
        counted.links_refused,
    )
}

/// Has another process flood the node, and waits for its end.
fn flood(args: &FloodArgs, victim: &Victim) -> Result<Vec<Wave>, Failure> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Failure::failed(format!("cannot {what}: {error}"));
    let (name, tls) = victim.stolen();
    let orders = Orders {
        port: victim.port(),
        silent: args.silent,
        slow: args.slow,
        bombs: args.bombs,
        millis: millis(args.seconds),
        patience_millis: millis(victim.deadline() * 3),
        name,
        tls,
    };
    let orders = serde_json::to_string(&orders).map_err(|error| failed("tell what to do", &error))?;
    let own = std::env::current_exe().map_err(|error| failed("find this program", &error))?;
    let mut process = Command::new(own)
        .args(["bench", "flooder"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed("start a process", &error))?;
    if let Some(mut stdin) = process.stdin.take() {
        writeln!(stdin, "{orders}").map_err(|error| failed("tell the process what to do", &error))?;
    }
    let mut waves = Vec::new();
    if let Some(stdout) = process.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|error| failed("hear the process", &error))?;
            waves
                .push(serde_json::from_str(&line).map_err(|error| failed("understand the process", &error))?);
        }
    }
    let status = process.wait().map_err(|error| failed("wait for the process", &error))?;
    if !status.success() || waves.is_empty() {
        return Err(Failure::failed("the flooding process came to nothing"));
    }
    Ok(waves)
}

/// The life of the flooding process.
pub(super) fn flooder() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
    let orders: Orders = serde_json::from_str(&line).map_err(Failure::input)?;
    flooder::flood(&orders, |wave| {
        let json = serde_json::to_string(&wave).map_err(io::Error::other)?;
        writeln!(io::stdout(), "{json}")
    })
    .map_err(Failure::failed)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_must_hold_is_judged() {
        let calm = || Calm { writes: 1, p50_ms: 1.0, p99_ms: 1.0, longest_ms: 1.0, largest_mib: None };
        let good = || Report {
            peace: calm(),
            flood: calm(),
            p99_ratio: 1.0,
            grown_mib: Some(1.0),
            elections: 0,
            connections: 10,
            not_closed: 0,
            longest_open_ms: 3000,
            deadline_ms: 4000,
            counted: Metrics::default(),
        };
        assert!(judge(&good()).is_ok());
        assert!(judge(&Report { not_closed: 1, ..good() }).is_err());
        assert!(judge(&Report { longest_open_ms: 4001, ..good() }).is_err());
        assert!(judge(&Report { elections: 1, ..good() }).is_err());
        assert!(judge(&Report { grown_mib: Some(64.0), ..good() }).is_err());
    }
}
