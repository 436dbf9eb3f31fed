//! Disturbances: the leader is killed, frozen, or cut off, or all are killed; and they are let back.

use std::fmt;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Halt, name};
use super::proxy::{Passage, Proxies};

/// The clients are to see a while of peace before a run ends.
const PEACE: Duration = Duration::from_millis(500);

/// What happens to a leader, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// Its process is stopped by a signal.
    Frozen,
    /// Its connections are closed, and new ones too.
    CutOff,
    /// Its connections stand, and nothing goes through.
    Silenced,
    /// Its process is ended on the spot, and starts again from its directory.
    Killed,
    /// The same, with one that does not lead.
    FollowerKilled,
    /// The same, with all processes at once: nobody is left who could remember.
    AllKilled,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disturbance::Frozen => "frozen",
            Disturbance::CutOff => "cut off",
            Disturbance::Silenced => "silenced",
            Disturbance::Killed | Disturbance::FollowerKilled | Disturbance::AllKilled => "killed",
        })
    }
}

/// In turn, if a process that was killed could not come back: every second time by signal, else by proxies, in one way
/// and then in the other.
const WITHOUT_KILLS: &[Disturbance] =
    &[Disturbance::Frozen, Disturbance::CutOff, Disturbance::Frozen, Disturbance::Silenced];

/// In turn, if it can.
const WITH_KILLS: &[Disturbance] = &[
    Disturbance::Killed,
    Disturbance::AllKilled,
    Disturbance::Frozen,
    Disturbance::FollowerKilled,
    Disturbance::Killed,
    Disturbance::CutOff,
    Disturbance::AllKilled,
    Disturbance::Silenced,
];

/// When what happens.
pub(super) struct Disturber {
    proxies: Proxies,
    turns: &'static [Disturbance],
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
    nodes: Vec<usize>,
    until: Instant,
}

impl Disturber {
    /// Begins now. If `every` is nothing, so is what happens. Whoever it happens to is out of action for `span`.
    pub(super) fn new(
        proxies: Proxies,
        with_kills: bool,
        every: Duration,
        span: Duration,
        end: Instant,
    ) -> Disturber {
        let now = Instant::now();
        let every = Some(every).filter(|every| !every.is_zero());
        Disturber {
            proxies,
            turns: if with_kills { WITH_KILLS } else { WITHOUT_KILLS },
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
        let Some(leader) = cluster.leader() else { return Ok(None) };
        let what = self.turns[self.done.len() % self.turns.len()];
        let nodes = match what {
            Disturbance::AllKilled => (0..cluster.size()).collect(),
            Disturbance::FollowerKilled => vec![(leader + 1) % cluster.size()],
            Disturbance::Killed | Disturbance::Frozen | Disturbance::CutOff | Disturbance::Silenced => {
                vec![leader]
            }
        };
        let happens = match nodes[..] {
            [node] if node == leader => format!("{}, the leader, is {what}", name(node)),
            [node] => format!("{}, a follower, is {what}", name(node)),
            _ => format!("all nodes are {what}"),
        };
        // From here on it has to be undone, even if this does not come to its end.
        self.active = Some(Active { what, nodes: nodes.clone(), until: now + self.span });
        self.next = self.every.map(|every| now + every.max(self.span + PEACE));
        self.done.push(what);
        for node in nodes {
            match what {
                Disturbance::Frozen => cluster
                    .child(node)
                    .freeze()
                    .map_err(|error| format!("{} cannot be frozen: {error}", name(node)))?,
                Disturbance::CutOff => self.proxies.set(node, Passage::Severed),
                Disturbance::Silenced => self.proxies.set(node, Passage::Held),
                Disturbance::Killed | Disturbance::FollowerKilled | Disturbance::AllKilled => {
                    cluster.kill(node)?;
                }
            }
        }
        Ok(Some(happens))
    }

    /// Lets back who is out of action; says who that was.
    pub(super) fn heal(&mut self, cluster: &mut Cluster) -> Result<Option<String>, Halt> {
        let Some(Active { what, nodes, .. }) = self.active.take() else { return Ok(None) };
        for &node in &nodes {
            match what {
                Disturbance::Frozen => cluster
                    .child(node)
                    .thaw()
                    .map_err(|error| format!("{} cannot be let go on: {error}", name(node)))?,
                Disturbance::CutOff | Disturbance::Silenced => self.proxies.set(node, Passage::Open),
                Disturbance::Killed | Disturbance::FollowerKilled | Disturbance::AllKilled => {
                    cluster.revive(node, |address| self.proxies.moved(node, address))?;
                }
            }
        }
        Ok(Some(match nodes[..] {
            [node] => format!("{} is back", name(node)),
            _ => "all nodes are back".to_owned(),
        }))
    }

    /// What is happening, if anything is.
    pub(super) fn current(&self) -> Option<String> {
        let Active { what, nodes, .. } = self.active.as_ref()?;
        Some(match nodes[..] {
            [node] => format!("{} is {what}", name(node)),
            _ => format!("all nodes are {what}"),
        })
    }
}
