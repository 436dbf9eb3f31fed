//! `demo` and `failover`: clusters of child processes under fire, and a judgement on what their clients saw.
//!
//! The parent starts children of its own executable ([`child`]), tells them what to do and hears what happens
//! ([`words`]), disturbs them ([`disturb`], [`proxy`]), and judges the history that they write ([`report`]). A
//! child is a node with clients ([`worker`], [`clients`]).

mod args;
mod child;
mod clients;
mod clock;
mod cluster;
mod dice;
mod disturb;
mod failover;
mod interrupt;
mod keep;
mod kind;
mod node;
mod progress;
mod proxy;
mod report;
mod reshape;
mod words;
mod worker;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use diskeyval_core::MAX_MEMBERS;
use diskeyval_sim::{History, history::Record, lines};

pub(crate) use args::{DemoArgs, FailoverArgs};
pub(crate) use failover::run as failover;
pub(crate) use worker::run as node;

use crate::exit::Failure;
use cluster::{Beginning, Cluster, Halt, name};
use disturb::{Disturber, Manner};
use interrupt::Interrupt;
use keep::Keep;
use node::Adapter;
use progress::Progress;
use proxy::Proxies;
use report::{Report, Run};
use reshape::{NEWCOMERS, Reshaper};
use words::Work;

/// Over how many keys the clients spread.
const KEYS: u64 = 100;

/// For how long a client waits between two operations, in microseconds: from and to.
const PAUSE: (u64, u64) = (1_000, 8_000);

/// How often the line on a terminal is refreshed.
const REFRESH: Duration = Duration::from_millis(200);

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::watch().map_err(Failure::failed)?;
    let file = args.history.as_ref().map(|path| {
        let create = File::create(path);
        create.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
    });
    let file = file.transpose()?;

    if args.reshape && usize::from(args.nodes) + NEWCOMERS > MAX_MEMBERS {
        return Err(Failure::input(format!(
            "with --reshape, {NEWCOMERS} nodes come beside --nodes, and {MAX_MEMBERS} are the most"
        )));
    }
    if args.mixed && cfg!(not(feature = "smol")) {
        return Err(Failure::input("--mixed needs a command that was compiled with the feature `smol`"));
    }
    // Removed when the nodes are gone.
    let keep = Keep::chosen(args.memory, args.data.as_deref()).map_err(Failure::failed)?;

    let mut progress = Progress::new();
    let on = if keep.is_some() { "with a directory each" } else { "all in memory" };
    progress.event(&format!("{} nodes start, over mutual TLS, {on}", args.nodes));
    let started = start(args, keep.as_ref(), interrupt);
    progress.clear();
    let (mut cluster, proxies) = started.map_err(|halt| Failure::failed(halt.why()))?;

    let span = Duration::from_secs(args.seconds.into());
    let every = Duration::from_secs(args.disturb_every.into());
    let out_of_action = Duration::from_millis(args.disturb_for.into());
    let end = Instant::now() + span;
    let manner = match (args.reshape, args.kills) {
        (true, _) => Manner::KillsAmongMembers,
        (false, true) => Manner::OnlyKills,
        (false, false) => Manner::Everything,
    };
    let mut disturber = Disturber::new(proxies, manner, keep.is_some(), every, out_of_action, end);
    let mut reshaper = args.reshape.then(|| Reshaper::new(&cluster));
    progress.restart();
    let begin = clock::now();
    let played = play(&mut cluster, &mut disturber, reshaper.as_mut(), &progress, end);
    let stopped = clock::now();
    // When the nodes end, leadership is handed over once more or twice: that is not counted.
    let reigns = cluster.reigns().values().copied().collect();
    let finished = match played {
        Ok(()) | Err(Halt::Interrupted) => finish(&mut cluster, &mut disturber, reshaper.as_mut(), &progress),
        trouble @ Err(_) => trouble,
    };
    progress.clear();

    let records = cluster.take_history();
    if let (Some(file), Some(path)) = (file, &args.history) {
        write_history(file, &records)
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    let adapters = args.mixed.then(|| cluster.adapters());
    let run = Run {
        nodes: args.nodes.into(),
        clients: args.clients.into(),
        begin,
        end: stopped,
        reigns,
        adapters,
        disturbances: disturber.done,
        reshaped: reshaper.map(|reshaper| reshaper.done),
        trouble: finished.err().map(Halt::why),
    };
    let report = Report::new(run, &records.into_iter().collect::<History>());
    report
        .print(args.json, &mut io::stdout().lock())
        .map_err(|error| Failure::failed(format!("the report cannot be written: {error}")))?;
    report.verdict().map_err(Failure::failed)
}

/// Starts nodes and proxies, and writes what comes before all else.
fn start(args: &DemoArgs, keep: Option<&Keep>, interrupt: Interrupt) -> Result<(Cluster, Proxies), Halt> {
    let founders = usize::from(args.nodes);
    let nodes = founders + if args.reshape { NEWCOMERS } else { 0 };
    let mut cluster = Cluster::spawn(nodes, interrupt)?;
    let addresses = cluster.addresses();
    // Where members come and go, they find each other by themselves.
    let proxied = if args.reshape { &[][..] } else { &addresses[..] };
    let proxies = Proxies::new(proxied).map_err(|error| format!("the proxies cannot be started: {error}"))?;
    let directly = |from: usize, to: usize| {
        // Who joins is told of one member, and founders of each other.
        let is_told = if from < founders { to < founders } else { to == 0 };
        addresses.get(to).copied().filter(|_| is_told)
    };
    let by_proxy = |from, to| proxies.address(from, to);
    let seed = clock::now();
    let work = |node: usize| Work {
        clients: (0..u64::from(args.clients))
            .filter(|client| client % nodes as u64 == node as u64)
            .map(|client| client + 1)
            .collect(),
        seed,
        keys: KEYS,
        only_writes: false,
        pause: PAUSE,
    };
    cluster.found(&Beginning {
        founders,
        dial: if args.reshape { &directly } else { &by_proxy },
        is_proxied: !args.reshape,
        work: &work,
        keep,
        adapter: &|node| Adapter::of(node, args.mixed),
    })?;
    cluster.mark()?;
    Ok((cluster, proxies))
}

/// Lets the clients work, disturbs them, and has members come and go.
fn play(
    cluster: &mut Cluster,
    disturber: &mut Disturber,
    mut reshaper: Option<&mut Reshaper>,
    progress: &Progress,
    end: Instant,
) -> Result<(), Halt> {
    for number in cluster.members() {
        cluster.go(number)?;
    }
    let (mut refreshed, mut known) = (Instant::now(), None);
    while Instant::now() < end {
        cluster.listen(end.saturating_duration_since(Instant::now()))?;
        let wants_peace = reshaper.as_ref().is_some_and(|reshaper| reshaper.wants_peace());
        if let Some(happened) = disturber.act(cluster, wants_peace)? {
            progress.event(&happened);
        }
        if let Some(reshaper) = &mut reshaper
            && let Some(happened) = reshaper.act(cluster, disturber.current().is_none())?
        {
            progress.event(&happened);
        }
        let fresh = cluster.reigns().iter().filter(|(term, _)| Some(**term) > known);
        for (term, leader) in fresh {
            progress.event(&format!("{} leads, in term {term}", name(*leader)));
        }
        known = cluster.reigns().last_key_value().map(|(term, _)| *term);
        if refreshed.elapsed() >= REFRESH {
            refreshed = Instant::now();
            progress.refresh(&standing(cluster, disturber));
        }
    }
    Ok(())
}

/// How it stands, in one line.
fn standing(cluster: &Cluster, disturber: &Disturber) -> String {
    let notes = cluster.notes(|notes| (notes.answered, notes.last_write));
    let operations: usize = notes.iter().map(|(answered, _)| answered).sum();
    let leader = cluster.leader().map_or("none".into(), name);
    let mut line = format!("{operations} operations, leader {leader}");
    if let Some(current) = disturber.current() {
        line += &format!(", {current}");
    }
    let quiet =
        notes.iter().filter_map(|(_, last)| *last).max().map(|last| clock::now().saturating_sub(last));
    if let Some(quiet) = quiet.filter(|&quiet| quiet > clock::nanos(REFRESH)) {
        line += &format!(", no write for {:.0} ms", clock::millis(quiet));
    }
    line
}

/// Heals what is broken, and waits until every member has reported all that was committed.
fn finish(
    cluster: &mut Cluster,
    disturber: &mut Disturber,
    reshaper: Option<&mut Reshaper>,
    progress: &Progress,
) -> Result<(), Halt> {
    if let Some(happened) = disturber.heal(cluster)? {
        progress.event(&happened);
    }
    if let Some(reshaper) = reshaper {
        reshaper.complete(cluster, &|happened| progress.event(happened))?;
    }
    progress.event("the clients end");
    cluster.stop()?;
    cluster.mark()?;
    cluster.compare_states()?;
    progress.event("the nodes end");
    cluster.end()
}

fn write_history(file: File, records: &[Record]) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    for record in records {
        writeln!(out, "{}", lines::to_line(record))?;
    }
    out.flush()
}
