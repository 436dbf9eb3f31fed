//! `failover`: for how long nothing can be written after the leader was killed.

use std::io::{self, Write};
use std::time::Duration;

use diskeyval_mio::Config;
use diskeyval_sim::history::Record;
use diskeyval_sim::report::Report as Judgement;
use diskeyval_sim::{History, check};
use serde::Serialize;

use super::args::FailoverArgs;
use super::clock;
use super::cluster::{Beginning, Cluster, Halt, name};
use super::dice::Dice;
use super::interrupt::Interrupt;
use super::keep::Keep;
use super::kind::{Kind, answered};
use super::node::Adapter;
use super::progress::Progress;
use super::report::{longest_pause, rounded};
use super::words::Work;
use crate::exit::Failure;

const NODES: usize = 3;

/// So many writes are answered before a leader is killed, and after there is another.
const WRITES: u64 = 100;

/// The aim, as multiples of the longest election timeout: for the median, and for the worst.
const AIM: (u32, u32) = (2, 4);

/// What came of one round.
struct Round {
    /// For how long nothing was written.
    pause: u64,
    judgement: Judgement,
}

/// The last line, where it is asked for.
#[derive(Serialize)]
struct Figures {
    rounds: usize,
    median_ms: f64,
    worst_ms: f64,
    /// The longest election timeout.
    t_ms: f64,
    median_limit_ms: f64,
    worst_limit_ms: f64,
    within_limits: bool,
    lost: usize,
    duplicated: usize,
    stale: usize,
    other_violations: usize,
}

/// Measures.
pub(crate) fn run(args: &FailoverArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::watch().map_err(Failure::failed)?;
    let longest = Config::new("any").map_err(Failure::failed)?.election_timeout * 2;
    let progress = Progress::new();
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        progress.refresh(&format!("round {number} of {}", args.rounds));
        match round(&interrupt, args.memory) {
            Ok(round) => {
                progress.event(&format!(
                    "round {number} of {}: {:.0} ms without a write",
                    args.rounds,
                    clock::millis(round.pause)
                ));
                rounds.push(round);
            }
            Err(Halt::Interrupted) => break,
            Err(halt) => {
                progress.clear();
                return Err(Failure::failed(format!("round {number}: {}", halt.why())));
            }
        }
    }
    progress.clear();
    if rounds.is_empty() {
        return Err(Failure::failed(Halt::Interrupted.why()));
    }
    let figures = figures(&rounds, longest);
    print(&figures, &rounds, args.json, &mut io::stdout().lock())
        .map_err(|error| Failure::failed(format!("the report cannot be written: {error}")))?;
    verdict(&figures).map_err(Failure::failed)
}

/// A fresh cluster each time, so that no round has a part in another.
fn round(interrupt: &Interrupt, memory: bool) -> Result<Round, Halt> {
    let keep = Keep::chosen(memory, None)?;
    let mut dice = Dice::new(clock::now());
    let work = Work {
        clients: vec![1],
        seed: clock::now(),
        keys: 10,
        only_writes: true,
        // Short, so that a pause is seen to the millisecond.
        pause: (500, 500),
    };
    let mut cluster = Cluster::spawn(NODES, interrupt.clone())?;
    let addresses = cluster.addresses();
    cluster.found(&Beginning {
        founders: NODES,
        dial: &|_, to| addresses.get(to).copied(),
        is_proxied: false,
        work: &|_| work.clone(),
        keep: keep.as_ref(),
        adapter: &|_| Adapter::Mio,
    })?;
    cluster.mark()?;

    let Some((&term, &leader)) = cluster.reigns().last_key_value() else {
        return Err(Halt::Trouble("nobody leads".into()));
    };
    let writer = (leader + 1) % NODES;
    cluster.go(writer)?;
    let enough = WRITES + dice.below(WRITES);
    written(&mut cluster, writer, enough)?;
    let killed = clock::now();
    cluster.kill(leader)?;
    cluster.wait("another leader", |cluster| {
        cluster.reigns().last_key_value().is_some_and(|(&now, &other)| now > term && other != leader)
    })?;
    written(&mut cluster, writer, WRITES)?;
    let end = clock::now();
    cluster.stop()?;
    cluster.mark()?;
    cluster.compare_states()?;

    let records = cluster.take_history();
    let moments: Vec<u64> = records.iter().filter_map(write_answered).collect();
    // Counted from the last answer before the kill.
    let before = moments.iter().copied().filter(|&moment| moment <= killed).max().unwrap_or(killed);
    let pause = longest_pause(moments, before, end);
    Ok(Round { pause, judgement: check(&records.into_iter().collect::<History>()) })
}

/// Waits until so many more operations were answered.
fn written(cluster: &mut Cluster, writer: usize, more: u64) -> Result<(), Halt> {
    let answered = |cluster: &mut Cluster| cluster.child(writer).notes(|notes| notes.answered as u64);
    let enough = answered(cluster) + more;
    let what = format!("{} to write", name(writer));
    cluster.wait(&what, |cluster| answered(cluster) >= enough)
}

/// When the write was answered, if it was.
fn write_answered(record: &Record) -> Option<u64> {
    let Record::Operation(operation) = record else { return None };
    (answered(operation)? != Kind::Get).then_some(operation.returned)?
}

fn figures(rounds: &[Round], longest: Duration) -> Figures {
    let mut pauses: Vec<u64> = rounds.iter().map(|round| round.pause).collect();
    pauses.sort_unstable();
    let (upper, lower) = (pauses[pauses.len() / 2], pauses[(pauses.len() - 1) / 2]);
    let (median, worst) = (lower.midpoint(upper), pauses.last().copied().unwrap_or(upper));
    let limits = (clock::nanos(longest * AIM.0), clock::nanos(longest * AIM.1));
    let sum = |count: &dyn Fn(&Judgement) -> usize| rounds.iter().map(|round| count(&round.judgement)).sum();
    Figures {
        rounds: rounds.len(),
        median_ms: rounded(clock::millis(median)),
        worst_ms: rounded(clock::millis(worst)),
        t_ms: rounded(clock::millis(clock::nanos(longest))),
        median_limit_ms: rounded(clock::millis(limits.0)),
        worst_limit_ms: rounded(clock::millis(limits.1)),
        within_limits: median <= limits.0 && worst <= limits.1,
        lost: sum(&|judgement| judgement.lost.len()),
        duplicated: sum(&|judgement| judgement.duplicated.len()),
        stale: sum(&|judgement| judgement.stale.len()),
        other_violations: sum(&|judgement| judgement.others.len()),
    }
}

fn print(figures: &Figures, rounds: &[Round], json: bool, out: &mut impl Write) -> io::Result<()> {
    let Figures { median_ms, worst_ms, t_ms, median_limit_ms, worst_limit_ms, .. } = figures;
    writeln!(
        out,
        "time without a successful write after the leader was killed, {} rounds\n",
        figures.rounds
    )?;
    writeln!(out, "median  {median_ms:>6.0} ms   aim: at most {median_limit_ms:.0} ms ({} T)", AIM.0)?;
    writeln!(out, "worst   {worst_ms:>6.0} ms   aim: at most {worst_limit_ms:.0} ms ({} T)", AIM.1)?;
    writeln!(out, "T       {t_ms:>6.0} ms   the longest election timeout\n")?;
    let Figures { lost, duplicated, stale, other_violations, .. } = figures;
    writeln!(
        out,
        "{lost} lost, {duplicated} duplicated, {stale} stale, {other_violations} other violations"
    )?;
    for round in rounds.iter().filter(|round| !round.judgement.is_clean()) {
        writeln!(out, "\n{}", round.judgement)?;
    }
    if json {
        writeln!(out, "{}", serde_json::to_string(figures)?)?;
    }
    out.flush()
}

fn verdict(figures: &Figures) -> Result<(), String> {
    let Figures { lost, duplicated, stale, other_violations, .. } = figures;
    if lost + duplicated + stale + other_violations > 0 {
        return Err("the history of a round is violated".into());
    }
    if !figures.within_limits {
        return Err(format!(
            "the aim is missed: median {:.0} ms, worst {:.0} ms",
            figures.median_ms, figures.worst_ms
        ));
    }
    Ok(())
}
