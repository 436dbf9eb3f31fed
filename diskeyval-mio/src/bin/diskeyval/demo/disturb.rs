//! Disturbances: the leader is frozen, or cut off, and let back.

use std::fmt;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Halt, name};
use super::proxy::{Passage, Proxies};

/// The clients are to see a while of peace before a run ends.
const PEACE: Duration = Duration::from_millis(500);

/// What happens to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// Its process is stopped by a signal.
    Frozen,
    /// Its connections are closed, and new ones too.
    CutOff,
    /// Its connections stand, and nothing goes through.
    Silenced,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disturbance::Frozen => "frozen",
            Disturbance::CutOff => "cut off",
            Disturbance::Silenced => "silenced",
        })
    }
}

/// In turn: every second time by signal, else by proxies, in one way and then in the other.
const TURNS: [Disturbance; 4] =
    [Disturbance::Frozen, Disturbance::CutOff, Disturbance::Frozen, Disturbance::Silenced];

/// When what happens.
pub(super) struct Disturber {
    proxies: Proxies,
    every: Option<Duration>,
    span: Duration,
    next: Option<Instant>,
    end: Instant,
    active: Option<Active>,
    /// What has happened so far.
    pub(super) done: Vec<Disturbance>,
}

struct Active {
    what: Disturbance,
    node: usize,
    until: Instant,
}

impl Disturber {
    /// Begins now. If `every` is nothing, so is what happens. The leader is out of action for `span`.
    pub(super) fn new(proxies: Proxies, every: Duration, span: Duration, end: Instant) -> Disturber {
        let now = Instant::now();
        let every = Some(every).filter(|every| !every.is_zero());
        Disturber {
            proxies,
            every,
            span,
            next: every.map(|every| now + every),
            end,
            active: None,
            done: Vec::new(),
        }
    }

    /// Does what is due; says what that was.
    pub(super) fn act(&mut self, cluster: &mut Cluster) -> Result<Option<String>, Halt> {
        let now = Instant::now();
        if self.active.as_ref().is_some_and(|active| now >= active.until) {
            return self.heal(cluster);
        }
        let is_due = self.active.is_none() && self.next.is_some_and(|next| now >= next);
        if !is_due || now + self.span + PEACE > self.end {
            return Ok(None);
        }
        let Some(node) = cluster.leader() else { return Ok(None) };
        let what = TURNS[self.done.len() % TURNS.len()];
        match what {
            Disturbance::Frozen => cluster
                .child(node)
                .freeze()
                .map_err(|error| format!("{} cannot be frozen: {error}", name(node)))?,
            Disturbance::CutOff => self.proxies.set(node, Passage::Severed),
            Disturbance::Silenced => self.proxies.set(node, Passage::Held),
        }
        self.active = Some(Active { what, node, until: now + self.span });
        self.next = self.every.map(|every| now + every.max(self.span + PEACE));
        self.done.push(what);
        Ok(Some(format!("{}, the leader, is {what}", name(node))))
    }

    /// Lets back who is out of action; says who that was.
    pub(super) fn heal(&mut self, cluster: &mut Cluster) -> Result<Option<String>, Halt> {
        let Some(Active { what, node, .. }) = self.active.take() else { return Ok(None) };
        match what {
            Disturbance::Frozen => cluster
                .child(node)
                .thaw()
                .map_err(|error| format!("{} cannot be let go on: {error}", name(node)))?,
            Disturbance::CutOff | Disturbance::Silenced => self.proxies.set(node, Passage::Open),
        }
        Ok(Some(format!("{} is back", name(node))))
    }

    /// What is happening, if anything is.
    pub(super) fn current(&self) -> Option<String> {
        self.active.as_ref().map(|active| format!("{} is {}", name(active.node), active.what))
    }
}
