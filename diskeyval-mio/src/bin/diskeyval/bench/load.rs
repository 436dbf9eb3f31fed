//! One case: a new cluster, and a closed loop through a handle of its leader.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use diskeyval_mio::{Cluster, Command, Error, Node, Outcome, Pending, Read, Versioned};

use super::row::Row;
use super::{By, Op};
use crate::exit::Failure;

const KEYS: u64 = 100_000;
const VALUE: &[u8] = &[b'v'; 100];

/// How long a cluster may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// The load runs for so long before anything counts.
const WARM_UP: Duration = Duration::from_millis(200);

/// What is measured.
pub(super) struct Case {
    pub(super) op: Op,
    pub(super) in_flight: usize,
    pub(super) by: By,
    pub(super) nodes: usize,
    pub(super) span: Duration,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "embed-mem-{}-c{}", self.op.name(), self.in_flight)
    }
}

/// What came of it.
pub(super) struct Measured {
    span: Duration,
    /// How long each operation took that ended within the span, in nanoseconds, ascending.
    took: Vec<u64>,
}

impl Measured {
    pub(super) fn rows(&self, case: &Case, round: u16) -> Vec<Row> {
        let row = |metric: &str, unit: &str, value| Row {
            peer: "diskeyval".into(),
            case: case.to_string(),
            metric: metric.into(),
            unit: unit.into(),
            run: u32::from(round),
            value,
        };
        let micros = |share| percentile(&self.took, share).map(|nanos| nanos as f64 / 1e3);
        vec![
            row("ops", "1/s", Some(self.took.len() as f64 / self.span.as_secs_f64())),
            row("p50", "us", micros(0.5)),
            row("p99", "us", micros(0.99)),
            row("p999", "us", micros(0.999)),
        ]
    }
}

/// The smallest value that so large a share of all does not exceed.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percentile(ascending: &[u64], share: f64) -> Option<u64> {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.max(1) - 1).copied()
}

/// Measures one case in a cluster of its own.
pub(super) fn measure(case: &Case) -> Result<Measured, Failure> {
    let cluster = Cluster::dev(case.nodes).map_err(Failure::failed)?;
    let failed = |error: Error| Failure::failed(format!("{case}: {error}"));
    for node in cluster.nodes() {
        node.wait_ready(PATIENCE).map_err(failed)?;
    }
    let leader = cluster.leader(PATIENCE).map_err(failed)?;
    if case.op == Op::Get {
        fill(leader).map_err(failed)?;
    }
    let begin = Instant::now() + WARM_UP;
    let load = Load { node: leader.clone(), op: case.op, begin, end: begin + case.span };
    let mut took = match case.by {
        By::Calls => by_calls(load, case.in_flight),
        By::Waits => by_waits(&load, case.in_flight),
        By::Threads => by_threads(&load, case.in_flight),
    }
    .map_err(failed)?;
    if !leader.is_leader() {
        return Err(Failure::failed(format!(
            "{case}: the leader has changed meanwhile, which spoils the figures: is this machine too busy?"
        )));
    }
    cluster.end();
    took.sort_unstable();
    Ok(Measured { span: case.span, took })
}

/// Writes every key once.
fn fill(node: &Node) -> Result<(), Error> {
    let mut pending = VecDeque::new();
    for number in 0..KEYS {
        if pending.len() == 1_000
            && let Some(oldest) = pending.pop_front()
        {
            Pending::wait(oldest)?;
        }
        pending.push_back(node.submit(set(number)));
    }
    pending.into_iter().try_for_each(|oldest| oldest.wait().map(drop))
}

fn set(number: u64) -> Command {
    Command::Set { key: key(number), value: Bytes::from_static(VALUE) }
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(format!("key-{number:012}").as_bytes())
}

/// What all ways to make the load have in common.
#[derive(Clone)]
struct Load {
    node: Node,
    op: Op,
    begin: Instant,
    end: Instant,
}

/// An operation on its way.
enum Flight {
    Put(Pending<Outcome>),
    Get(Pending<Option<Versioned>>),
}

impl Load {
    fn start(&self, draws: &mut Draws) -> Flight {
        let number = draws.next() % KEYS;
        match self.op {
            Op::Put => Flight::Put(self.node.submit(set(number))),
            Op::Get => Flight::Get(self.node.submit_get(key(number), Read::Linearizable)),
        }
    }

    /// Notes how long it took, if it ended while it counts. Tells whether it is time for the next.
    fn note(&self, began: Instant, took: &mut Vec<u64>) -> bool {
        let now = Instant::now();
        if now >= self.begin && now < self.end {
            took.push(u64::try_from((now - began).as_nanos()).unwrap_or(u64::MAX));
        }
        now < self.end
    }
}

impl Flight {
    fn wait(self) -> Result<(), Error> {
        match self {
            Flight::Put(pending) => pending.wait().map(drop),
            Flight::Get(pending) => pending.wait().map(drop),
        }
    }

    fn on_complete(self, f: impl FnOnce(Result<(), Error>) + Send + 'static) {
        match self {
            Flight::Put(pending) => pending.on_complete(|ended| f(ended.map(drop))),
            Flight::Get(pending) => pending.on_complete(|ended| f(ended.map(drop))),
        }
    }
}

/// What the functions that are called share. They run on one thread, so nobody waits for the lock.
struct Tally {
    draws: Draws,
    took: Vec<u64>,
}

/// The end of an operation begins the next, on the thread of the node that tells of it.
fn by_calls(load: Load, in_flight: usize) -> Result<Vec<u64>, Error> {
    let tally = Arc::new(Mutex::new(Tally { draws: Draws(1), took: Vec::new() }));
    let (ended, ends) = mpsc::channel();
    let load = Arc::new(load);
    for _ in 0..in_flight {
        go_on(&load, &tally, ended.clone());
    }
    drop(ended);
    // Each of the loops says how it ended; then nobody else holds the tally.
    for end in ends {
        end?;
    }
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut tally.took))
}

fn go_on(load: &Arc<Load>, tally: &Arc<Mutex<Tally>>, ended: Sender<Result<(), Error>>) {
    let began = Instant::now();
    let flight = load.start(&mut tally.lock().unwrap_or_else(PoisonError::into_inner).draws);
    let (load, tally) = (load.clone(), tally.clone());
    flight.on_complete(move |end| {
        let next = load.note(began, &mut tally.lock().unwrap_or_else(PoisonError::into_inner).took);
        if end.is_ok() && next {
            go_on(&load, &tally, ended);
        } else {
            // Whoever does not listen any more has heard of another failure.
            let _ = ended.send(end);
        }
    });
}

/// One thread: waits for the oldest, begins the next.
fn by_waits(load: &Load, in_flight: usize) -> Result<Vec<u64>, Error> {
    let (mut draws, mut took) = (Draws(1), Vec::new());
    let mut flights: VecDeque<(Instant, Flight)> =
        (0..in_flight).map(|_| (Instant::now(), load.start(&mut draws))).collect();
    while let Some((began, flight)) = flights.pop_front() {
        flight.wait()?;
        if load.note(began, &mut took) {
            flights.push_back((Instant::now(), load.start(&mut draws)));
        }
    }
    Ok(took)
}

/// As many threads as operations, each with one at a time.
fn by_threads(load: &Load, in_flight: usize) -> Result<Vec<u64>, Error> {
    let one = |seed: u64| -> Result<Vec<u64>, Error> {
        let (mut draws, mut took) = (Draws(seed), Vec::new());
        loop {
            let began = Instant::now();
            load.start(&mut draws).wait()?;
            if !load.note(began, &mut took) {
                return Ok(took);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..in_flight as u64).map(|number| scope.spawn(move || one(number * 7_919 + 1))).collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(took) => all.extend(took?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Numbers that look drawn, the same at each run (splitmix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), Some(50));
        assert_eq!(percentile(&values, 0.99), Some(99));
        assert_eq!(percentile(&values[..1], 0.99), Some(1));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn each_way_to_make_the_load_measures_something() {
        for by in [By::Calls, By::Waits, By::Threads] {
            for op in [Op::Put, Op::Get] {
                let case = Case { op, in_flight: 4, by, nodes: 1, span: Duration::from_millis(100) };
                let measured = measure(&case).expect("it runs");
                assert!(!measured.took.is_empty(), "{by:?} {op:?}");
                assert_eq!(measured.rows(&case, 0)[0].case, format!("embed-mem-{}-c4", op.name()));
            }
        }
    }
}
