//! The load: a closed loop through a handle of one node.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use diskeyval_mio::{Command, Error, Node, Outcome, Pending, Read, Versioned};

use super::{By, Op};

const VALUE: &[u8] = &[b'v'; 100];

/// Bytes of a key and its value.
pub(super) const PAYLOAD: u64 = 16 + VALUE.len() as u64;

/// How many writes are on their way when keys are written only to be there.
pub(super) const FILLING: usize = 1_000;

/// Writes every key once.
pub(super) fn fill(node: &Node, keys: u64) -> Result<(), Error> {
    let mut pending = VecDeque::new();
    for number in 0..keys {
        if pending.len() == FILLING
            && let Some(oldest) = pending.pop_front()
        {
            Pending::wait(oldest)?;
        }
        pending.push_back(node.submit(set(number)));
    }
    pending.into_iter().try_for_each(|oldest| oldest.wait().map(drop))
}

pub(super) fn set(number: u64) -> Command {
    Command::Set { key: key(number), value: Bytes::from_static(VALUE) }
}

pub(super) fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(format!("key-{number:012}").as_bytes())
}

/// What all ways to make the load have in common.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) node: Node,
    pub(super) op: Op,
    /// Keys are drawn from so many.
    pub(super) keys: u64,
    pub(super) span: Span,
}

/// What ends in between counts.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) begin: Instant,
    end: Instant,
}

impl Span {
    /// One of this length that begins soon.
    pub(super) fn of(length: Duration, soon: Duration) -> Span {
        let begin = Instant::now() + soon;
        Span { begin, end: begin + length }
    }

    /// Notes how long it took, if it ended while it counts. Tells whether it is time for the next.
    pub(super) fn note(&self, began: Instant, ended: &mut Vec<Ended>) -> bool {
        let at = Instant::now();
        if at >= self.begin && at < self.end {
            ended.push(Ended { at, took: at - began });
        }
        at < self.end
    }
}

/// An operation that has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    at: Instant,
    took: Duration,
}

/// What has ended while it counted.
pub(super) struct Counted {
    span: Duration,
    /// How long each operation took, in nanoseconds, ascending.
    took: Vec<u64>,
    longest_gap: Duration,
}

impl Counted {
    pub(super) fn new(counts: Span, mut ended: Vec<Ended>) -> Counted {
        ended.sort_unstable_by_key(|ended| ended.at);
        let (mut last, mut longest_gap) = (counts.begin, Duration::ZERO);
        for at in ended.iter().map(|ended| ended.at).chain([counts.end]) {
            longest_gap = longest_gap.max(at - last);
            last = at;
        }
        let nanos = |ended: Ended| u64::try_from(ended.took.as_nanos()).unwrap_or(u64::MAX);
        let mut took: Vec<u64> = ended.into_iter().map(nanos).collect();
        took.sort_unstable();
        Counted { span: counts.end - counts.begin, took, longest_gap }
    }

    pub(super) fn ops_per_second(&self) -> f64 {
        self.took.len() as f64 / self.span.as_secs_f64()
    }

    /// The microseconds that so large a share of all operations did not exceed.
    pub(super) fn micros(&self, share: f64) -> Option<f64> {
        percentile(&self.took, share).map(|nanos| nanos as f64 / 1e3)
    }

    /// The longest time in which nothing ended, in milliseconds.
    pub(super) fn longest_gap(&self) -> f64 {
        self.longest_gap.as_secs_f64() * 1e3
    }
}

/// The smallest value that so large a share of all does not exceed.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn percentile(ascending: &[u64], share: f64) -> Option<u64> {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.max(1) - 1).copied()
}

/// An operation on its way.
enum Flight {
    Put(Pending<Outcome>),
    Get(Pending<Option<Versioned>>),
}

impl Load {
    /// Keeps so many operations in flight until the end.
    pub(super) fn run(&self, by: By, in_flight: usize) -> Result<Counted, Error> {
        let ended = match by {
            By::Calls => by_calls(self.clone(), in_flight),
            By::Waits => by_waits(self, in_flight),
            By::Threads => by_threads(self, in_flight),
        };
        Ok(Counted::new(self.span, ended?))
    }

    fn start(&self, draws: &mut Draws) -> Flight {
        let number = draws.below(self.keys);
        match self.op {
            Op::Put => Flight::Put(self.node.submit(set(number))),
            Op::Get => Flight::Get(self.node.submit_get(key(number), Read::Linearizable)),
        }
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
    ended: Vec<Ended>,
}

/// The end of an operation begins the next, on the thread of the node that tells of it.
fn by_calls(load: Load, in_flight: usize) -> Result<Vec<Ended>, Error> {
    let tally = Arc::new(Mutex::new(Tally { draws: Draws::new(1), ended: Vec::new() }));
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
    Ok(std::mem::take(&mut tally.ended))
}

fn go_on(load: &Arc<Load>, tally: &Arc<Mutex<Tally>>, ended: Sender<Result<(), Error>>) {
    let began = Instant::now();
    let flight = load.start(&mut tally.lock().unwrap_or_else(PoisonError::into_inner).draws);
    let (load, tally) = (load.clone(), tally.clone());
    flight.on_complete(move |end| {
        let next = load.span.note(began, &mut tally.lock().unwrap_or_else(PoisonError::into_inner).ended);
        if end.is_ok() && next {
            go_on(&load, &tally, ended);
        } else {
            // Whoever does not listen any more has heard of another failure.
            let _ = ended.send(end);
        }
    });
}

/// One thread: waits for the oldest, begins the next.
fn by_waits(load: &Load, in_flight: usize) -> Result<Vec<Ended>, Error> {
    let (mut draws, mut ended) = (Draws::new(1), Vec::new());
    let mut flights: VecDeque<(Instant, Flight)> =
        (0..in_flight).map(|_| (Instant::now(), load.start(&mut draws))).collect();
    while let Some((began, flight)) = flights.pop_front() {
        flight.wait()?;
        if load.span.note(began, &mut ended) {
            flights.push_back((Instant::now(), load.start(&mut draws)));
        }
    }
    Ok(ended)
}

/// As many threads as operations, each with one at a time.
fn by_threads(load: &Load, in_flight: usize) -> Result<Vec<Ended>, Error> {
    let one = |seed: u64| -> Result<Vec<Ended>, Error> {
        let (mut draws, mut ended) = (Draws::new(seed), Vec::new());
        loop {
            let began = Instant::now();
            load.start(&mut draws).wait()?;
            if !load.span.note(began, &mut ended) {
                return Ok(ended);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..in_flight as u64).map(|number| scope.spawn(move || one(number * 7_919 + 1))).collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(ended) => all.extend(ended?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Numbers that look drawn, the same at each run (splitmix64).
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

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
    fn the_payload_is_what_a_write_carries() {
        let Command::Set { key, value } = set(7) else { panic!("a write") };
        assert_eq!((key.len() + value.len()) as u64, PAYLOAD);
    }
}
