//! What consensus itself costs: engines in one thread that hand each other their bytes, without sockets and
//! without TLS. The work of all of them is counted.
//!
//! ```text
//! cargo run --release -p diskeyval-core --example engines                    # rate and allocations
//! cargo run --release -p diskeyval-core --example engines -- --instructions  # needs valgrind
//! cargo run --release -p diskeyval-core --example engines -- --history       # does a long history cost more?
//! ```
//!
//! Load: 16-byte keys out of 100,000, all of them there before anything is counted; 100-byte values; so
//! many writes are asked for in one turn of the leader as the batch says, and the next batch follows when
//! every node has applied the last. Keys and values are made beforehand.

#![allow(clippy::print_stdout, clippy::print_stderr)]
// It drives the core from outside, and measures real time.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command as Process, ExitCode};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::{
    Answer, CloseReason, Command, Config, ConnId, Effect, Engine, Input, Instant, NodeId, Origin, Request,
    Seed, Ticket,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts, and passes everything on; growing in place stays growing in place.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const USAGE: &str = "usage: engines [--batch 1,16,256] [--nodes 3] [--rounds 3] [--json]
       engines --instructions [--batch 1,16,256] [--nodes 3] [--json]
       engines --history [--batch 256]
       engines --run BATCH WRITES NODES      (nothing is measured: for callgrind or perf)";

const KEYS: usize = 100_000;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1).collect()) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("engines: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match options.mode {
        Mode::Rates => rates(&options),
        Mode::Instructions => instructions(&options),
        Mode::History => history(&options),
        Mode::Run(batch, writes, nodes) => {
            let mut cluster = loaded(nodes, KEYS);
            cluster.write(batch, writes);
            // To give all that memory back is no part of a write.
            std::process::exit(0)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("engines: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    mode: Mode,
    batches: Vec<usize>,
    nodes: usize,
    rounds: usize,
    json: bool,
}

enum Mode {
    Rates,
    Instructions,
    History,
    Run(usize, usize, usize),
}

impl Options {
    fn read(args: Vec<String>) -> Result<Options, String> {
        let mut options =
            Options { mode: Mode::Rates, batches: vec![1, 16, 256], nodes: 3, rounds: 3, json: false };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut number = || -> Result<usize, String> {
                let text = args.next().ok_or(format!("{arg} needs a number"))?;
                text.parse().ok().filter(|n| *n > 0).ok_or(format!("{arg}: {text} is no number above 0"))
            };
            match arg.as_str() {
                "--instructions" => options.mode = Mode::Instructions,
                "--history" => {
                    options.mode = Mode::History;
                    options.batches = vec![256];
                }
                "--run" => options.mode = Mode::Run(number()?, number()?, number()?),
                "--nodes" => options.nodes = number()?,
                "--rounds" => options.rounds = number()?,
                "--json" => options.json = true,
                "--batch" => {
                    let list = args.next().ok_or("--batch needs numbers, as 1,16,256")?;
                    let numbers = list.split(',').map(|n| n.parse().ok().filter(|n| *n > 0));
                    options.batches = numbers.collect::<Option<_>>().ok_or("--batch: numbers above 0")?;
                }
                other => return Err(format!("there is no {other}")),
            }
        }
        if !(1..=7).contains(&options.nodes) {
            return Err("--nodes: a cluster has one to seven".into());
        }
        if options.batches.iter().any(|batch| *batch > 4096) {
            return Err("--batch: a node takes at most 4096 writes at once".into());
        }
        Ok(options)
    }

    /// One figure, in the words of the other measurements.
    fn row(&self, batch: usize, metric: &str, unit: &str, round: usize, value: f64) {
        let case = format!("core-{}n-batch{batch}", self.nodes);
        if self.json {
            println!(
                "{{\"peer\":\"diskeyval\",\"case\":\"{case}\",\"metric\":\"{metric}\",\"unit\":\"{unit}\",\"run\":{round},\"value\":{value:.4}}}"
            );
        } else {
            println!("{case:20} round {round}  {value:>14.1} {metric} {unit}");
        }
    }
}

/// Commits a second, and allocations for each.
fn rates(options: &Options) -> Result<(), String> {
    for &batch in &options.batches {
        let writes = if batch == 1 { 200_000 } else { 500_000 } / batch * batch;
        for round in 0..options.rounds {
            let mut cluster = loaded(options.nodes, KEYS);
            let region = Region::new(&INSTRUMENTED_SYSTEM);
            let (began, worked) = (Clock::now(), cpu_time());
            cluster.write(batch, writes);
            let took = began.elapsed().as_secs_f64();
            let worked = cpu_time().zip(worked).map(|(now, then)| now.saturating_sub(then));
            let made = region.change();
            let each = |count: usize| count as f64 / writes as f64;
            options.row(batch, "commits", "1/s", round, writes as f64 / took);
            if let Some(worked) = worked {
                options.row(batch, "cpu", "us/op", round, worked.as_secs_f64() * 1e6 / writes as f64);
            }
            options.row(batch, "allocs", "per op", round, each(made.allocations + made.reallocations));
            options.row(batch, "alloc-bytes", "B/op", round, each(made.bytes_allocated));
        }
    }
    Ok(())
}

/// Instructions for each committed write: two runs of different length under callgrind, and the
/// difference, so that the start, the founding and the first 100,000 writes cancel out.
fn instructions(options: &Options) -> Result<(), String> {
    for &batch in &options.batches {
        let writes = 20_480usize.div_ceil(batch) * batch;
        let (short, long) =
            (counted(batch, writes, options.nodes)?, counted(batch, 2 * writes, options.nodes)?);
        options.row(batch, "instructions", "per op", 0, long.saturating_sub(short) as f64 / writes as f64);
    }
    Ok(())
}

/// How many instructions a run takes.
fn counted(batch: usize, writes: usize, nodes: usize) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Process::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--run", &batch.to_string(), &writes.to_string(), &nodes.to_string()])
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                "instructions are counted by valgrind, which is not installed (Debian: apt-get install valgrind)"
                    .into()
            }
            _ => format!("valgrind does not start: {error}"),
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, total)| total.trim());
    match total.and_then(|total| total.parse().ok()) {
        Some(total) if output.status.success() => Ok(total),
        _ => Err(format!("valgrind has not counted anything:\n{said}")),
    }
}

/// Time on a processor so far: on a busy machine it says more than time on the clock. Linux tells it.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// What a write costs when so many have gone before. There are few keys, so that nothing but the history
/// grows; the processor's time counts where it is known.
fn history(options: &Options) -> Result<(), String> {
    let began = Clock::now();
    let time = || cpu_time().unwrap_or_else(|| began.elapsed());
    println!("{:>9}  {:>9}  {:>8}  {:>16}  {:>9}", "entries", "ns/write", "allocs", "slowest batch us", "of");
    for &batch in &options.batches {
        let mut cluster = loaded(options.nodes, 800);
        for entries in [1_000u64, 10_000, 100_000, 1_000_000] {
            let missing = entries.saturating_sub(cluster.committed);
            cluster.write(batch, usize::try_from(missing).map_err(|error| error.to_string())?);
            let region = Region::new(&INSTRUMENTED_SYSTEM);
            let (mut spent, mut slowest, mut sample) = (Duration::ZERO, Duration::ZERO, 0);
            while sample < if entries < 10_000 { 1_000 } else { 20_000 } {
                let began = time();
                cluster.write(batch, batch);
                let took = time().saturating_sub(began);
                spent += took;
                slowest = slowest.max(took);
                sample += batch;
            }
            let made = region.change();
            println!(
                "{entries:>9}  {:>9.0}  {:>8.2}  {:>16.1}  {batch:>9}",
                spent.as_secs_f64() * 1e9 / sample as f64,
                (made.allocations + made.reallocations) as f64 / sample as f64,
                slowest.as_secs_f64() * 1e6,
            );
        }
    }
    Ok(())
}

/// A cluster that has elected, and holds every key.
fn loaded(nodes: usize, keys: usize) -> Cluster {
    let mut cluster = Cluster::elected(nodes, keys);
    // Each key once, in the order of a full cycle of steps that share no factor with their number.
    for first in (0..keys).step_by(200) {
        cluster.ask((first..keys.min(first + 200)).map(|n| n * 7_919 % keys));
    }
    cluster
}

/// Engines, and the bytes on their way between them.
struct Cluster {
    engines: Vec<Engine>,
    names: BTreeMap<NodeId, usize>,
    /// What has arrived at each, in its order.
    inboxes: Vec<Vec<Input>>,
    /// What each is told of what it has sent: nothing that a turn is needed for.
    drained: Vec<Vec<Input>>,
    /// Whose end of a connection a number is; the other end has the number that differs in the last bit.
    ends: Vec<usize>,
    now: Instant,
    leader: usize,
    keys: Vec<Bytes>,
    value: Bytes,
    tickets: u64,
    committed: u64,
    draws: u64,
}

impl Cluster {
    /// Founds a cluster and lets it elect, in time that does not pass.
    fn elected(nodes: usize, keys: usize) -> Cluster {
        let name = |n: usize| format!("node-{}", n + 1);
        let engine = |own: usize| {
            let mut config = Config::new(&name(own)).expect("a good name");
            config.limits.log_bytes = usize::MAX / 2;
            for other in (0..nodes).filter(|other| *other != own) {
                config = config.peer(&name(other), &name(other), 1).expect("a good name");
            }
            Engine::open(config.validate().expect("a good configuration"), Seed::from_u64(own as u64 + 1))
        };
        let id = |n| NodeId::new(&name(n)).expect("a good name");
        let mut cluster = Cluster {
            engines: (0..nodes).map(engine).collect(),
            names: (0..nodes).map(|n| (id(n), n)).collect(),
            inboxes: vec![Vec::new(); nodes],
            drained: vec![Vec::new(); nodes],
            ends: Vec::new(),
            now: Instant::ZERO,
            leader: 0,
            keys: (0..keys).map(|n| Bytes::from(format!("key-{n:012}"))).collect(),
            value: Bytes::from(vec![b'v'; 100]),
            tickets: 0,
            committed: 0,
            draws: 1,
        };
        while !cluster.is_settled() {
            let deadlines = cluster.engines.iter().filter_map(Engine::deadline);
            cluster.now = cluster.now.max(deadlines.map(|deadline| deadline.at).min().expect("a deadline"));
            (0..nodes).for_each(|node| cluster.turn(node));
            cluster.run();
        }
        cluster.leader = cluster.engines.iter().position(Engine::is_leader).expect("a leader");
        cluster
    }

    fn is_settled(&self) -> bool {
        self.engines.iter().any(Engine::is_leader) && self.engines.iter().all(Engine::is_member)
    }

    /// So many writes, in turns of so many.
    fn write(&mut self, batch: usize, writes: usize) {
        for _ in 0..writes / batch {
            // splitmix64
            let (mut draw, keys) = (self.draws, self.keys.len());
            let drawn = std::iter::repeat_with(|| {
                draw = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                ((mixed ^ (mixed >> 27)) >> 32) as usize % keys
            });
            self.ask(drawn.take(batch));
            self.draws = self.draws.wrapping_add((batch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
    }

    /// One turn's writes, until every node has applied them.
    fn ask(&mut self, keys: impl Iterator<Item = usize>) {
        for key in keys {
            let command = Command::Set { key: self.keys[key].clone(), value: self.value.clone() };
            self.tickets += 1;
            self.inboxes[self.leader].push(Input::Ask {
                ticket: Ticket(self.tickets),
                request: Request::Write(command),
                budget: Duration::from_secs(2),
            });
        }
        // So little that a reign never ends of it, and enough for a heartbeat now and then.
        self.now = self.now + Duration::from_micros(10);
        self.run();
        assert_eq!(self.committed, self.tickets, "everything that was asked for is committed");
    }

    fn run(&mut self) {
        loop {
            let mut moved = false;
            for node in 0..self.engines.len() {
                if !self.inboxes[node].is_empty() {
                    self.turn(node);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn turn(&mut self, node: usize) {
        let Cluster { engines, names, inboxes, drained, ends, committed, now, .. } = self;
        let mut inbox = std::mem::take(&mut inboxes[node]);
        let mut turn = engines[node].turn(*now);
        for input in drained[node].drain(..).chain(inbox.drain(..)) {
            turn.input(input);
        }
        for effect in turn.end() {
            match effect {
                Effect::Send { conn, bytes } => {
                    drained[node].push(Input::Drained { conn, bytes: bytes.len() });
                    let (end, owner) = other_end(ends, conn);
                    inboxes[owner].push(Input::Received { conn: end, bytes });
                }
                Effect::Dial { dial, peer, .. } => {
                    let ours = ConnId(ends.len() as u64);
                    ends.extend([node, names[&peer]]);
                    let own = names.iter().find(|(_, n)| **n == node).expect("it is one of them").0;
                    let opened = |conn, who: &NodeId, origin| Input::Opened {
                        conn,
                        who: Identity::Node(who.clone()),
                        origin,
                    };
                    inbox.push(opened(ours, &peer, Origin::Dialled(dial)));
                    let (end, owner) = other_end(ends, ours);
                    inboxes[owner].push(opened(end, own, Origin::Accepted));
                }
                Effect::Close { conn, .. } => {
                    let (end, owner) = other_end(ends, conn);
                    let why = CloseReason::Broken("closed".into());
                    inboxes[owner].push(Input::Closed { conn: end, why });
                }
                Effect::Answer { answer: Answer::Written(Ok(_)), .. } => *committed += 1,
                Effect::Answer { answer, .. } => panic!("{answer:?}"),
                Effect::Halt { fault } => panic!("{fault}"),
                _ => {}
            }
        }
        // Every driver asks for this once a turn.
        black_box(engines[node].deadline());
        // With the room that it has; whatever came meanwhile is behind it.
        inbox.append(&mut inboxes[node]);
        inboxes[node] = inbox;
    }
}

fn other_end(ends: &[usize], conn: ConnId) -> (ConnId, usize) {
    let end = conn.0 ^ 1;
    (ConnId(end), ends[usize::try_from(end).expect("few connections")])
}
