//! Writes to a cluster with many keys, while its nodes write a snapshot, or none does.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_mio::{Cluster, Error, Node};

use super::super::drive::{self, Load, Span};
use super::super::load::{Cost, counters, lead, still_leads};
use super::super::place::durable;
use super::super::row::Row;
use super::super::{By, Op};
use super::child::peak_memory;
use super::{Part, StorageArgs};
use crate::exit::Failure;

/// What tells how much log there is when all keys are written.
pub(super) const LOG_BYTES: &str = "log-bytes";

/// Log enough that no snapshot is due.
const NEVER: u64 = 1 << 40;

/// How often it is looked whether the snapshot is done.
const LOOKS: Duration = Duration::from_millis(10);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.case())
    }
}

pub(super) fn run(part: Part, args: &StorageArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let failed = |error: Error| Failure::failed(format!("{part}: {error}"));
    let every = args.compact_every.filter(|_| part == Part::Snapshot);
    let every = every.map_or(NEVER, |every| every.clamp(64 << 10, NEVER));
    let cluster = Cluster::dev_with(args.nodes.into(), |config| {
        let mut config = durable(config, data);
        if let Some(kept) = &mut config.persistence {
            kept.compact_every = every;
        }
        config
    })
    .map_err(Failure::failed)?;
    let leader = lead(&cluster).map_err(failed)?;
    let before = counters(&cluster);
    drive::fill(leader, args.keys).map_err(failed)?;
    let filled = leader.status().map_err(failed)?;
    let span = Span::of(args.seconds, Duration::ZERO);
    let load = Load { node: leader.clone(), op: Op::Put, keys: args.keys, span };
    let is_over = AtomicBool::new(false);
    let (counted, released) = thread::scope(|scope| {
        let released = scope.spawn(|| when_released(leader, &is_over));
        let counted = load.run(By::Calls, args.in_flight.into());
        is_over.store(true, Ordering::Relaxed);
        (counted, released.join().unwrap_or_default())
    });
    let counted = counted.map_err(failed)?;
    still_leads(leader, &part)?;
    let cost = Cost::of(&cluster, leader, &before);
    let memory = peak_memory();
    match (part, released) {
        (Part::Snapshot, None) => {
            return Err(Failure::failed("no snapshot was done in time: give it more --seconds"));
        }
        (Part::Quiet, Some(_)) => {
            return Err(Failure::failed(
                "there was a snapshot where none should be: give it fewer --seconds",
            ));
        }
        _ => {}
    }
    cluster.end();
    let row = |metric: &str, unit: &str, value| Row::ours(part.case(), metric, unit, 0, value);
    let mut rows = vec![
        row("ops", "1/s", Some(counted.ops_per_second())),
        row("p50", "us", counted.micros(0.5)),
        row("p99", "us", counted.micros(0.99)),
        row("longest-gap", "ms", Some(counted.longest_gap())),
        row("peak-memory", "MiB", memory),
        row("bytes-per-payload-byte", "1", cost.bytes_per_payload_byte),
        row(LOG_BYTES, "B", Some(filled.log_bytes as f64)),
    ];
    if let Some(at) = released {
        rows.push(row("snapshot-durable-after", "ms", Some((at - span.begin).as_secs_f64() * 1e3)));
    }
    Ok(rows)
}

/// When the leader has released some of its log, for which it needs a durable snapshot. It is looked at all the while,
/// with a snapshot and without.
fn when_released(leader: &Node, is_over: &AtomicBool) -> Option<Instant> {
    let mut released = None;
    while !is_over.load(Ordering::Relaxed) {
        let status = leader.status().ok()?;
        if status.released_index.0 > 0 && released.is_none() {
            released = Some(Instant::now());
        }
        thread::sleep(LOOKS);
    }
    released
}
