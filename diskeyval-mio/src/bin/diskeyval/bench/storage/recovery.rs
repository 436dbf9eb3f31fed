//! A node that comes back: from a snapshot of all keys, and the log behind it.

use std::path::Path;
use std::time::{Duration, Instant};

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Config, Error, Node};

use super::super::drive::{self, PAYLOAD};
use super::super::load::PATIENCE;
use super::super::place::durable;
use super::super::row::Row;
use super::Part;
use super::child::peak_memory;
use crate::exit::Failure;

/// The log behind the snapshot holds one write for so many keys.
const KEYS_A_WRITE: u64 = 4;

fn failed(error: &Error) -> Failure {
    Failure::failed(format!("a durable node alone: {error}"))
}

/// A node alone, whose files are below `data`.
fn config(data: &Path, keys: u64) -> Result<Config, Failure> {
    let authority = Authority::new("diskeyval bench").map_err(Failure::failed)?;
    let config = Config::new("node-1").map_err(Failure::failed)?.listen("127.0.0.1", 0);
    let issued = authority.issue_node(&config.node_id).map_err(Failure::failed)?;
    let config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
    let mut config = durable(config, data);
    if let Some(kept) = &mut config.persistence {
        // Few keys make a snapshot, too.
        kept.compact_every = kept.compact_every.min(keys * PAYLOAD).max(64 << 10);
    }
    Ok(config)
}

/// Writes all keys until there is a snapshot of them, and some more.
pub(super) fn fill(data: &Path, keys: u64) -> Result<Vec<Row>, Failure> {
    let node = Node::start(config(data, keys)?).map_err(Failure::failed)?;
    node.wait_ready(PATIENCE).map_err(|error| failed(&error))?;
    let write = |count| drive::fill(&node, count).map_err(|error| failed(&error));
    let status = || node.status().map_err(|error| failed(&error));
    write(keys)?;
    let all = status()?.last_index;
    // The log is released up to no later than what the snapshot holds.
    while status()?.released_index < all {
        write(keys / KEYS_A_WRITE)?;
    }
    write(keys / KEYS_A_WRITE)?;
    let metrics = node.metrics();
    node.end();
    let payload = metrics.proposals_committed * PAYLOAD;
    let ratio = metrics.persistence_bytes_written as f64 / payload as f64;
    Ok(vec![
        Row::ours(Part::Fill.case(), "writes", "1", 0, Some(metrics.proposals_committed as f64)),
        Row::ours(Part::Fill.case(), "bytes-per-payload-byte", "1", 0, Some(ratio)),
    ])
}

/// Starts the node again.
pub(super) fn recover(data: &Path, keys: u64) -> Result<Vec<Row>, Failure> {
    let config = config(data, keys)?;
    let begin = Instant::now();
    let node = Node::start(config).map_err(Failure::failed)?;
    let open = begin.elapsed();
    // It is alone, so nobody keeps it from leading but the time that an election takes.
    node.with_timeout(PATIENCE).set("key-000000000000", "v").map_err(|error| failed(&error))?;
    let serving = begin.elapsed();
    let status = node.status().map_err(|error| failed(&error))?;
    let found = status.keys as u64;
    if found != keys {
        return Err(Failure::failed(format!("{found} keys were recovered, where {keys} had been written")));
    }
    let behind = status.last_index.0 - status.released_index.0;
    let (memory, reads) = (peak_memory(), node.metrics().persistence_loads);
    node.end();
    let row = |metric: &str, unit: &str, value| Row::ours(Part::Recover.case(), metric, unit, 0, value);
    let millis = |span: Duration| Some(span.as_secs_f64() * 1e3);
    Ok(vec![
        row("open", "ms", millis(open)),
        row("serving", "ms", millis(serving)),
        row("log-entries", "1", Some(behind as f64)),
        row("reads", "1", Some(reads as f64)),
        row("peak-memory", "MiB", memory),
    ])
}
