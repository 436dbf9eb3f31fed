//! Whoever connects, and comes to nothing before the engine hears of it: counted, and told to the log.

use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::time::Duration;

use tracing::{debug, warn};

use super::Clock;
use crate::config::Limits;
use crate::id::NodeId;
use crate::status::Metrics;
use crate::time::Instant;

/// How often the log says the same of somebody else. A flood of connections is not to become one of lines.
const PACE: Duration = Duration::from_secs(5);

/// What became of those who have knocked.
#[derive(Debug)]
pub struct Visitors {
    node: NodeId,
    clock: Clock,
    max_connections: usize,
    max_strangers: usize,
    accepted: u64,
    turned_away: Paced,
    cut: Paced,
    late: Paced,
    refused: u64,
    /// Who was refused last, and why: the log repeats nothing.
    last_refused: Option<(IpAddr, String)>,
    /// Of those, who was refused otherwise than the one that was told last.
    refusals: Paced,
}

/// Something that is counted, and told now and then.
#[derive(Debug, Default)]
struct Paced {
    count: u64,
    told: Option<(Instant, u64)>,
}

impl Visitors {
    /// Those of a node with these limits.
    pub fn new(node: NodeId, limits: &Limits) -> Visitors {
        Visitors {
            node,
            clock: Clock::new(),
            max_connections: limits.max_connections,
            max_strangers: limits.max_strangers,
            accepted: 0,
            turned_away: Paced::default(),
            cut: Paced::default(),
            late: Paced::default(),
            refused: 0,
            last_refused: None,
            refusals: Paced::default(),
        }
    }

    /// How many may be in their handshake. For one more, the oldest is cut: it has had its chance.
    pub fn max_strangers(&self) -> usize {
        self.max_strangers
    }

    /// How many there may be in all that others have made. For one more, the oldest is cut that is closing anyway.
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Whether another one is let in beside so many that others have made, in whatever state (`maxConnections`).
    pub fn lets_in(&mut self, from: SocketAddr, present: usize) -> bool {
        let has_room = present < self.max_connections;
        if has_room {
            self.accepted += 1;
        } else if let Some(others) = self.turned_away.count(self.clock.now()) {
            let (node, limit) = (&self.node, self.max_connections);
            warn!(%node, %from, limit, others, "a connection was turned away: there are too many (maxConnections)");
        }
        has_room
    }

    /// It had to make room in its handshake (`maxStrangers`).
    pub fn cut(&mut self, from: SocketAddr, newcomer: SocketAddr) {
        if let Some(others) = self.cut.count(self.clock.now()) {
            warn!(
                node = %self.node, %from, %newcomer, limit = self.max_strangers, others,
                "a connection was cut: too many have not shown their certificate, and it is the oldest (maxStrangers)"
            );
        }
    }

    /// Its handshake was not over in time.
    pub fn late(&mut self, from: SocketAddr) {
        if let Some(others) = self.late.count(self.clock.now()) {
            let node = &self.node;
            warn!(%node, %from, others, "a connection was cut: it did not finish its TLS handshake in time");
        }
    }

    /// Its handshake failed, or its certificate names nobody. Whoever is refused tries again and again: the same from the same
    /// address is told once.
    pub fn refused(&mut self, from: IpAddr, why: String) {
        self.refused += 1;
        let node = &self.node;
        let known = self.last_refused.as_ref().is_some_and(|(last, text)| *last == from && *text == why);
        if known {
            debug!(%node, %from, why, "a connection was refused again");
            return;
        }
        match self.refusals.count(self.clock.now()) {
            Some(others) => {
                warn!(%node, %from, why, others, "a connection was refused");
                self.last_refused = Some((from, why));
            }
            // It is told by a warning when it comes again.
            None => debug!(%node, %from, why, "a connection was refused"),
        }
    }

    /// Adds what was counted to the counters of the engine.
    pub fn add_to(&self, metrics: &mut Metrics) {
        metrics.connections_accepted += self.accepted;
        metrics.connections_turned_away += self.turned_away.count;
        metrics.handshakes_cut += self.cut.count;
        metrics.handshakes_late += self.late.count;
        metrics.handshakes_refused += self.refused;
    }
}

impl Paced {
    /// One more. How many were not told since the last that was, if this one is to be.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let others = match self.told {
            Some((at, _)) if now.since(at) < PACE => return None,
            Some((_, told)) => self.count - told - 1,
            None => 0,
        };
        self.told = Some((now, self.count));
        Some(others)
    }
}
