//! A cluster that is written to at a pace of its own, whatever else happens to it.

use std::fs;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_mio::{Cluster, Config, Metrics, Node, Tls};
use serde::Serialize;

use super::super::drive::{percentile, set};
use super::super::load::{lead, still_leads};
use crate::exit::Failure;

/// Keys are written in turn.
const KEYS: u64 = 1000;

/// How often the size of this process is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Victim {
    cluster: Cluster,
    leader: Node,
    configs: Vec<Config>,
}

/// How writes have fared.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Calm {
    pub(super) writes: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) longest_ms: f64,
    /// The largest that this process was, in MiB.
    #[serde(rename = "largestMiB")]
    pub(super) largest_mib: Option<f64>,
}

impl Victim {
    pub(super) fn start() -> Result<Victim, Failure> {
        let configs = Mutex::new(Vec::new());
        let cluster = Cluster::dev_with(3, |config| {
            configs.lock().unwrap_or_else(PoisonError::into_inner).push(config.clone());
            config
        })
        .map_err(Failure::failed)?;
        let leader = lead(&cluster).map_err(Failure::failed)?.clone();
        let configs = configs.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Victim { cluster, leader, configs })
    }

    /// Where the leader listens.
    pub(super) fn port(&self) -> u16 {
        self.leader.local_addr().port()
    }

    /// How long it bears with a connection that does not say who it is.
    pub(super) fn deadline(&self) -> Duration {
        self.configs[0].rpc_timeout
    }

    /// Name and certificate of a member that is not the leader.
    pub(super) fn stolen(&self) -> (String, Tls) {
        let others = self.configs.iter().filter(|config| config.node_id != *self.leader.id());
        let mut tls = others.filter_map(|config| Some((config.node_id.to_string(), config.tls.clone()?)));
        tls.next_back().expect("a cluster of three has certificates")
    }

    /// For how many elections its nodes have stood.
    pub(super) fn elections(&self) -> u64 {
        self.cluster.nodes().iter().map(|node| node.metrics().elections_started).sum()
    }

    /// What the leader has counted.
    pub(super) fn metrics(&self) -> Metrics {
        self.leader.metrics()
    }

    /// Writes at this pace for so long, and until whatever happens meanwhile is over. How long a write takes is counted from when
    /// it was due, so that none is left out because the one before it is late.
    pub(super) fn write<T: Send>(
        &self,
        per_second: u32,
        span: Duration,
        meanwhile: impl FnOnce() -> Result<T, Failure> + Send,
    ) -> Result<(Calm, T), Failure> {
        let (begin, pause) = (Instant::now(), Duration::from_secs(1) / per_second);
        let took = Arc::new(Mutex::new(Vec::new()));
        let (ended, ends) = mpsc::channel();
        let (mut largest, mut look) = (resident(), begin);
        let happened = thread::scope(|scope| {
            let other = scope.spawn(meanwhile);
            for number in 0.. {
                let due = begin + pause * number;
                if due >= begin + span && other.is_finished() {
                    break;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let (took, ended) = (took.clone(), ended.clone());
                self.leader.submit(set(u64::from(number) % KEYS)).on_complete(move |end| {
                    let nanos = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    took.lock().unwrap_or_else(PoisonError::into_inner).push(nanos);
                    // Whoever does not listen any more has heard of another failure.
                    let _ = ended.send(end.map(drop));
                });
                if look <= Instant::now() {
                    (largest, look) = (largest.zip(resident()).map(|(a, b)| a.max(b)), Instant::now() + LOOK);
                }
            }
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        drop(ended);
        for end in ends {
            end.map_err(|error| Failure::failed(format!("a write: {error}")))?;
        }
        still_leads(&self.leader, &"bench flood")?;
        let mut took = std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner));
        took.sort_unstable();
        let millis = |share| percentile(&took, share).map_or(f64::NAN, |nanos| nanos as f64 / 1e6);
        let calm = Calm {
            writes: took.len(),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            longest_ms: millis(1.0),
            largest_mib: largest,
        };
        Ok((calm, happened))
    }

    pub(super) fn end(&self) {
        self.cluster.end();
    }
}

/// How much of this process is in memory, in MiB, where that can be known.
pub(super) fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}
