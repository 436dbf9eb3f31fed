//! Disturbances: nodes are killed, or the leader is frozen, or cut off; and they are let back.

use std::fmt;
use std::time::{Duration, Instant};

use super::clock;
use super::cluster::{Cluster, Halt, name};
use super::dice::Dice;
use super::proxy::{Passage, Proxies};

/// The clients are to see a while of peace before a run ends.
const PEACE: Duration = Duration::from_millis(500);

/// What happens to a leader, to any node, or to all.
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
    /// The same, with any.
    AnyKilled,
    /// The same, with all processes at once: nobody is left who could remember.
    AllKilled,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disturbance::Frozen => "frozen",
            Disturbance::CutOff => "cut off",
            Disturbance::Silenced => "silenced",
            Disturbance::Killed
            | Disturbance::FollowerKilled
            | Disturbance::AnyKilled
            | Disturbance::AllKilled => "killed",
        })
    }
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// All of it.
    Everything,
    /// Any node is killed.
    OnlyKills,
    /// Any node, or the leader, is killed; the members change meanwhile, and there are no proxies between them.
    KillsAmongMembers,
}

/// What happens in turn.
#[derive(Clone, Copy, Debug)]
struct Turns(&'static [Disturbance]);

impl Turns {
    fn chosen(manner: Manner, outlasts: bool) -> Turns {
        Turns(match (manner, outlasts) {
            (Manner::OnlyKills, _) => &[Disturbance::AnyKilled],
            (Manner::KillsAmongMembers, _) => &[Disturbance::AnyKilled, Disturbance::Killed],
            // Every second time by signal, else by proxies, in one way and then in the other.
            (Manner::Everything, false) => {
                &[Disturbance::Frozen, Disturbance::CutOff, Disturbance::Frozen, Disturbance::Silenced]
            }
            (Manner::Everything, true) => &[
                Disturbance::Killed,
                Disturbance::AllKilled,
                Disturbance::Frozen,
                Disturbance::FollowerKilled,
                Disturbance::Killed,
                Disturbance::CutOff,
                Disturbance::AllKilled,
                Disturbance::Silenced,
            ],
        })
    }
}

/// When what happens.
pub(super) struct Disturber {
    proxies: Proxies,
    turns: Turns,
    /// What nodes know outlasts their processes.
    outlasts: bool,
    dice: Dice,
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
    /// Begins now. `outlasts`: nodes have directories. If `every` is nothing, so is what happens. Whoever it happens to is out of action for `span`.
    pub(super) fn new(
        proxies: Proxies,
        manner: Manner,
        outlasts: bool,
        every: Duration,
        span: Duration,
        end: Instant,
    ) -> Disturber {
        let now = Instant::now();
        let every = Some(every).filter(|every| !every.is_zero());
        Disturber {
            proxies,
            turns: Turns::chosen(manner, outlasts),
            outlasts,
            dice: Dice::new(clock::now()),
            every,
            span,
            next: every.map(|every| now + every),
            end,
            active: None,
            done: Vec::new(),
        }
    }

    /// Does what is due; says what that was. Nothing new happens where peace is wanted.
    pub(super) fn act(&mut self, cluster: &mut Cluster, wants_peace: bool) -> Result<Option<String>, Halt> {
        let now = Instant::now();
        if self.active.as_ref().is_some_and(|active| now >= active.until) {
            return self.heal(cluster);
        }
        let is_due = self.active.is_none() && self.next.is_some_and(|next| now >= next);
        if !is_due || wants_peace || now + self.span + PEACE > self.end {
            return Ok(None);
        }
        let what = self.turns.0[self.done.len() % self.turns.0.len()];
        let members = cluster.members();
        let leader = cluster.leader().filter(|leader| members.contains(leader));
        let nodes = match (what, leader) {
            (Disturbance::AllKilled, _) => members,
            // Who has nothing but its memory forgets all of it: a majority must have forgotten nothing.
            (Disturbance::AnyKilled, _) if !self.outlasts && !cluster.all_are_ready() => return Ok(None),
            (Disturbance::AnyKilled, _) => vec![members[self.dice.place(members.len())]],
            // What befalls a leader, or spares it, waits until there is one.
            (_, None) => return Ok(None),
            (Disturbance::FollowerKilled, Some(leader)) => {
                let next = members.iter().find(|&&other| other > leader).or(members.first());
                next.copied().into_iter().collect()
            }
            (_, Some(leader)) => vec![leader],
        };
        let happens = match nodes[..] {
            [node] if Some(node) == cluster.leader() => format!("{}, the leader, is {what}", name(node)),
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
                Disturbance::Killed
                | Disturbance::FollowerKilled
                | Disturbance::AnyKilled
                | Disturbance::AllKilled => {
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
                Disturbance::Killed
                | Disturbance::FollowerKilled
                | Disturbance::AnyKilled
                | Disturbance::AllKilled => {
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
