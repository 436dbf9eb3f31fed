//! One case: a new cluster, and a load through a handle of its leader.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use diskeyval_mio::{Cluster, Error, Metrics, Node};

use super::drive::{self, Counted, Load, PAYLOAD, Span};
use super::place::{Place, durable};
use super::row::Row;
use super::{By, Op};
use crate::exit::Failure;

pub(super) const KEYS: u64 = 100_000;

/// How long a cluster may take to begin.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The load runs for so long before anything counts.
pub(super) const WARM_UP: Duration = Duration::from_millis(200);

/// What is measured.
pub(super) struct Case<'a> {
    pub(super) op: Op,
    pub(super) in_flight: usize,
    pub(super) by: By,
    pub(super) nodes: usize,
    pub(super) span: Duration,
    /// The nodes are durable, below this directory.
    pub(super) data: Option<&'a Path>,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let storage = if self.data.is_some() { "fsync" } else { "mem" };
        write!(f, "embed-{storage}-{}-c{}", self.op.name(), self.in_flight)
    }
}

/// What came of it.
pub(super) struct Measured {
    pub(super) counted: Counted,
    /// What the writes have cost the disk, if they went to one.
    pub(super) cost: Option<Cost>,
}

impl Measured {
    pub(super) fn rows(&self, peer: &str, case: &Case<'_>, round: u16) -> Vec<Row> {
        let row =
            |metric: &str, unit: &str, value| Row::of(peer, &case.to_string(), metric, unit, round, value);
        let counted = &self.counted;
        let mut rows = vec![
            row("ops", "1/s", Some(counted.ops_per_second())),
            row("p50", "us", counted.micros(0.5)),
            row("p99", "us", counted.micros(0.99)),
            row("p999", "us", counted.micros(0.999)),
            row("longest-gap", "ms", Some(counted.longest_gap())),
        ];
        if let Some(cost) = &self.cost {
            rows.push(row("writes-per-sync", "1", cost.writes_per_sync));
            rows.push(row("writes-per-sync-of-followers", "1", cost.writes_per_sync_of_followers));
            rows.push(row("bytes-per-payload-byte", "1", cost.bytes_per_payload_byte));
        }
        rows
    }
}

/// What writes cost the disk, by the counters of the nodes.
pub(super) struct Cost {
    writes_per_sync: Option<f64>,
    writes_per_sync_of_followers: Option<f64>,
    pub(super) bytes_per_payload_byte: Option<f64>,
}

impl Cost {
    /// Of a cluster of this adapter.
    pub(super) fn of(cluster: &Cluster, leader: &Node, before: &[Metrics]) -> Cost {
        let now = cluster.nodes().iter().map(|node| (node.id() == leader.id(), node.metrics()));
        Cost::between(now.zip(before).map(|((leads, now), before)| (leads, *before, now)))
    }

    /// From the counters of each node before and after. The leader is the node that was asked for the writes.
    pub(super) fn between(nodes: impl Iterator<Item = (bool, Metrics, Metrics)>) -> Cost {
        let (mut writes, mut bytes, mut own, mut others, mut followers) = (0, 0, 0, 0, 0);
        for (leads, before, now) in nodes {
            let syncs = now.persistence_saves - before.persistence_saves;
            if leads {
                writes = now.proposals_committed - before.proposals_committed;
                bytes = now.persistence_bytes_written - before.persistence_bytes_written;
                own = syncs;
            } else {
                others += syncs;
                followers += 1;
            }
        }
        Cost {
            writes_per_sync: ratio(writes, own),
            writes_per_sync_of_followers: ratio(writes * followers, others),
            bytes_per_payload_byte: ratio(bytes, writes * PAYLOAD),
        }
    }
}

fn ratio(of: u64, by: u64) -> Option<f64> {
    (of > 0 && by > 0).then(|| of as f64 / by as f64)
}

/// The counters of all nodes.
pub(super) fn counters(cluster: &Cluster) -> Vec<Metrics> {
    cluster.nodes().iter().map(Node::metrics).collect()
}

/// Measures one case in a cluster of its own.
pub(super) fn measure(case: &Case<'_>) -> Result<Measured, Failure> {
    let place = case.data.map(Place::below).transpose()?;
    let cluster = Cluster::dev_with(case.nodes, |config| match &place {
        Some(place) => durable(config, place.path()),
        None => config,
    })
    .map_err(Failure::failed)?;
    let failed = |error: Error| Failure::failed(format!("{case}: {error}"));
    let leader = lead(&cluster).map_err(failed)?;
    if case.op == Op::Get {
        drive::fill(leader, KEYS).map_err(failed)?;
    }
    let load = Load { node: leader.clone(), op: case.op, keys: KEYS, span: Span::of(case.span, WARM_UP) };
    let before = counters(&cluster);
    let counted = load.run(case.by, case.in_flight).map_err(failed)?;
    let cost = (place.is_some() && case.op == Op::Put).then(|| Cost::of(&cluster, leader, &before));
    still_leads(leader, case)?;
    cluster.end();
    Ok(Measured { counted, cost })
}

/// Waits until every node is in its seat and one leads.
pub(super) fn lead(cluster: &Cluster) -> Result<&Node, Error> {
    for node in cluster.nodes() {
        node.wait_ready(PATIENCE)?;
    }
    cluster.leader(PATIENCE)
}

/// A load through a node that leads no more is another load.
pub(super) fn still_leads(leader: &Node, case: &dyn fmt::Display) -> Result<(), Failure> {
    if leader.is_leader() {
        return Ok(());
    }
    Err(changed_leader(case))
}

pub(super) fn changed_leader(case: &dyn fmt::Display) -> Failure {
    Failure::failed(format!(
        "{case}: the leader has changed meanwhile, which spoils the figures: is this machine too busy?"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::row::OURS;
    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    #[test]
    fn each_way_to_make_the_load_measures_something() {
        for by in [By::Calls, By::Waits, By::Threads] {
            for op in [Op::Put, Op::Get] {
                let case = Case { op, in_flight: 4, by, nodes: 1, span: SHORT, data: None };
                let measured = measure(&case).expect("it runs");
                let rows = measured.rows(OURS, &case, 0);
                assert!(rows[0].value.is_some_and(|ops| ops > 0.0), "{by:?} {op:?}");
                assert_eq!(rows[0].case, format!("embed-mem-{}-c4", op.name()));
            }
        }
    }

    #[test]
    fn a_durable_cluster_tells_what_a_write_costs_and_leaves_nothing_behind() {
        let parent = Place::below(&std::env::temp_dir()).expect("a directory");
        let data = Some(parent.path());
        let case = Case { op: Op::Put, in_flight: 1, by: By::Waits, nodes: 1, span: SHORT, data };
        let rows = measure(&case).expect("it runs").rows(OURS, &case, 0);
        assert_eq!(rows[0].case, "embed-fsync-put-c1");
        let value = |metric| rows.iter().find(|row| row.metric == metric).and_then(|row| row.value);
        let writes_per_sync = value("writes-per-sync").expect("it was counted");
        assert!((0.5..=1.0).contains(&writes_per_sync), "{writes_per_sync}");
        // One flush is 4 KiB, and holds one write.
        assert!(value("bytes-per-payload-byte").is_some_and(|ratio| ratio > 30.0));
        assert_eq!(std::fs::read_dir(parent.path()).expect("it is there").count(), 0);
    }
}
