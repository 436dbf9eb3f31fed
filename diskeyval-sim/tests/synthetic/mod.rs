//! Runs that look like those of a cluster, without one: the material for tests of the picture. Nothing here obeys Raft
//! more than a picture of it needs.
#![allow(dead_code)] // Each user needs a part of it.

use std::collections::BTreeMap;

use diskeyval_core::{RoleName, Term};
use diskeyval_sim::notes::{Note, What};
use diskeyval_sim::observe::Time;

#[path = "../generate/mod.rs"]
mod generate;
use generate::Chance;

const MILLI: u64 = 1_000_000;

/// What to make up.
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// For how many milliseconds.
    pub(crate) millis: u64,
    /// A client asks something every so many microseconds.
    pub(crate) pace: u64,
    pub(crate) seed: u64,
    pub(crate) violation: bool,
}

/// What will happen.
enum Later {
    Arrive { word: u64, from: usize, to: usize, kind: &'static str, index: u64 },
    Beat,
    Ask,
    Campaign(usize),
    Tell(What),
    Crash(usize),
    Start(usize),
    Partition,
    Heal,
    Freeze(usize, u64),
    End,
}

struct Run {
    plan: Plan,
    chance: Chance,
    now: u64,
    later: BTreeMap<(u64, u64), Later>,
    order: u64,
    notes: Vec<Note>,
    up: Vec<bool>,
    frozen: Vec<u64>,
    lives: Vec<u32>,
    roles: Vec<RoleName>,
    leader: Option<usize>,
    term: u64,
    index: u64,
    votes: usize,
    acks: BTreeMap<u64, usize>,
    asked: BTreeMap<u64, (u64, usize)>,
    commits: Vec<u64>,
    /// Nodes below this place cannot speak with the others.
    parted: Option<usize>,
    words: u64,
    tickets: u64,
    over: bool,
}

/// Makes a run up.
pub(crate) fn run(plan: Plan) -> Vec<Note> {
    let n = plan.nodes;
    let mut run = Run {
        chance: Chance::new(plan.seed),
        now: 0,
        later: BTreeMap::new(),
        order: 0,
        notes: Vec::new(),
        up: vec![false; n],
        frozen: vec![0; n],
        lives: vec![0; n],
        roles: vec![RoleName::Follower; n],
        leader: None,
        term: 0,
        index: 0,
        votes: 0,
        acks: BTreeMap::new(),
        asked: BTreeMap::new(),
        commits: vec![0; n],
        parted: None,
        words: 0,
        tickets: 0,
        over: false,
        plan,
    };
    run.script();
    while let Some(((at, _), next)) = run.later.pop_first() {
        run.now = at;
        run.happen(next);
        if run.over {
            break;
        }
    }
    run.notes
}

impl Run {
    fn script(&mut self) {
        let (n, all) = (self.plan.nodes, self.plan.millis);
        self.plan(0, Later::Tell(What::Phase { text: "founding".into() }));
        for node in 0..n {
            self.plan(3 + node as u64, Later::Start(node));
        }
        self.plan(60, Later::Campaign(1));
        self.plan(61, Later::Beat);
        self.plan(90, Later::Ask);
        self.plan(100, Later::Tell(What::Phase { text: "faults".into() }));
        let text = "the links of n2 are slow: 2 ms to 40 ms".into();
        self.plan(all / 8, Later::Tell(What::Disturb { nodes: vec![1], text }));
        self.plan(all / 5, Later::Partition);
        self.plan(all / 5 + 170, Later::Campaign(n - 1));
        self.plan(all * 2 / 5, Later::Heal);
        self.plan(all / 2, Later::Crash(0));
        self.plan(all / 2 + 200, Later::Start(0));
        self.plan(all * 3 / 5, Later::Freeze(n - 2, 150));
        self.plan(all * 7 / 10, Later::Tell(What::Cut { one: n - 1, other: 0 }));
        self.plan(all * 4 / 5, Later::Crash(n - 1));
        self.plan(all * 4 / 5 + 120, Later::Campaign(0));
        self.plan(all * 4 / 5 + 260, Later::Start(n - 1));
        self.plan(all, Later::End);
    }

    fn plan(&mut self, millis: u64, what: Later) {
        self.after(millis * MILLI - self.now.min(millis * MILLI), what);
    }

    fn after(&mut self, nanos: u64, what: Later) {
        self.order += 1;
        self.later.insert((self.now + nanos, self.order), what);
    }

    fn note(&mut self, what: What) {
        self.notes.push(Note { at: Time(self.now), what });
    }

    fn happen(&mut self, next: Later) {
        match next {
            Later::Arrive { word, from, to, kind, index } => self.arrive(word, from, to, kind, index),
            Later::Beat => self.beat(),
            Later::Ask => self.ask(),
            Later::Campaign(node) => self.campaign(node),
            Later::Tell(what) => self.note(what),
            Later::Crash(node) => self.crash(node),
            Later::Start(node) => self.start(node),
            Later::Partition => self.partition(true),
            Later::Heal => self.partition(false),
            Later::Freeze(node, millis) => {
                self.note(What::Freeze { node });
                self.frozen[node] = self.now + millis * MILLI;
                self.after(millis * MILLI, Later::Tell(What::Thaw { node }));
            }
            Later::End => self.end(),
        }
    }

    fn others(&self, node: usize) -> Vec<usize> {
        (0..self.plan.nodes).filter(|other| *other != node).collect()
    }

    fn send(&mut self, from: usize, to: usize, kind: &'static str, index: u64) {
        self.words += 1;
        let (word, term) = (self.words, self.term);
        let text = match kind {
            "append" => format!(
                "append t{term} prev={}@{term} commit={} [{index} k{}=v{index}#3.{index}]",
                index - 1,
                self.commits[from],
                index % 7
            ),
            "appended" => format!("appended t{term} matched={index}"),
            "commit" => format!("commit t{term} {index}"),
            "heartbeat" => format!("heartbeat t{term} commit={} round=0", self.commits[from]),
            "confirmed" => format!("confirmed t{term} round=0"),
            "vote-request" | "pre-vote-request" => format!("{kind} t{term} last={}@{}", self.index, term - 1),
            "vote" | "pre-vote" => format!("{kind} t{term} granted"),
            _ => kind.into(),
        };
        let routine = matches!(kind, "heartbeat" | "confirmed" | "hello" | "welcome" | "ping");
        self.note(What::Send { word, from, to, kind, routine, text });
        let apart = self.parted.is_some_and(|place| (from < place) != (to < place));
        if self.chance.permille(12) {
            let lost = 200_000 + self.chance.below(2 * MILLI);
            self.after(lost, Later::Tell(What::Lose { word }));
        } else {
            let mut way = 150_000 + self.chance.below(1_800_000);
            if apart {
                // It waits until the partition is healed.
                way += (self.plan.millis * 2 / 5 * MILLI).saturating_sub(self.now);
            }
            let awake = self.frozen[to].saturating_sub(self.now);
            self.after(way.max(awake + 1000 * to as u64), Later::Arrive { word, from, to, kind, index });
        }
    }

    fn arrive(&mut self, word: u64, from: usize, to: usize, kind: &'static str, index: u64) {
        if !self.up[to] {
            return self.note(What::Lose { word });
        }
        self.note(What::Arrive { word });
        match kind {
            "hello" => self.send(to, from, "welcome", 0),
            "heartbeat" => self.send(to, from, "confirmed", 0),
            "append" => self.send(to, from, "appended", index),
            "commit" => self.commit(to, index),
            "pre-vote-request" => self.send(to, from, "pre-vote", 0),
            "vote-request" => self.send(to, from, "vote", 0),
            "pre-vote" if self.roles[to] == RoleName::PreCandidate => {
                self.role(to, RoleName::Candidate);
                for other in self.others(to) {
                    self.send(to, other, "vote-request", 0);
                }
            }
            "vote" if self.roles[to] == RoleName::Candidate => {
                self.votes += 1;
                if self.votes >= self.plan.nodes / 2 {
                    self.lead(to);
                }
            }
            "appended" if self.leader == Some(to) => {
                let acks = self.acks.entry(index).or_default();
                *acks += 1;
                if *acks == self.plan.nodes / 2 {
                    self.commit(to, index);
                    for other in self.others(to) {
                        self.send(to, other, "commit", index);
                    }
                    if let Some((ticket, node)) = self.asked.remove(&index).filter(|(_, node)| self.up[*node])
                    {
                        self.note(What::Answer { ticket, node, text: format!("ok {index}") });
                    }
                }
            }
            _ => {}
        }
    }

    fn role(&mut self, node: usize, role: RoleName) {
        self.roles[node] = role;
        let term = Term(self.term);
        self.note(What::Role { node, role, term });
    }

    fn campaign(&mut self, node: usize) {
        if !self.up[node] {
            return;
        }
        self.term += 1;
        self.votes = 0;
        self.role(node, RoleName::PreCandidate);
        for other in self.others(node) {
            self.send(node, other, "pre-vote-request", 0);
        }
    }

    fn lead(&mut self, node: usize) {
        if let Some(old) = self.leader.filter(|old| *old != node && self.parted.is_none() && self.up[*old]) {
            self.role(old, RoleName::Follower);
        }
        self.leader = Some(node);
        self.role(node, RoleName::Leader);
        for other in self.others(node) {
            if self.up[other] && self.parted.is_none_or(|place| (node < place) == (other < place)) {
                self.note(What::Event { node: other, text: format!("follows n{} t{}", node + 1, self.term) });
                self.role(other, RoleName::Follower);
            }
        }
        self.append(node);
    }

    fn append(&mut self, leader: usize) {
        self.index += 1;
        for other in self.others(leader) {
            self.send(leader, other, "append", self.index);
        }
    }

    fn commit(&mut self, node: usize, index: u64) {
        if index > self.commits[node] {
            self.commits[node] = index;
            self.note(What::Commit { node, index });
        }
    }

    fn beat(&mut self) {
        for leader in 0..self.plan.nodes {
            if self.up[leader] && self.roles[leader] == RoleName::Leader {
                for other in self.others(leader) {
                    self.send(leader, other, "heartbeat", 0);
                }
            }
        }
        self.after(50 * MILLI, Later::Beat);
    }

    fn ask(&mut self) {
        self.tickets += 1;
        let (ticket, client) = (self.tickets, 1 + self.chance.below(4));
        let node = usize::try_from(self.chance.below(self.plan.nodes as u64)).expect("small");
        if self.up[node] {
            let text = format!("set k{} v{}", self.chance.below(7), self.index + 1);
            self.note(What::Ask { client, ticket, node, text });
            match self.leader.filter(|leader| self.up[*leader] && self.frozen[*leader] <= self.now) {
                Some(leader) => {
                    if leader != node {
                        self.send(node, leader, "write", 0);
                    }
                    self.append(leader);
                    self.asked.insert(self.index, (ticket, node));
                }
                None => {
                    let text = if self.chance.permille(400) {
                        "unknown: the time ran out before an answer came: no leader is known"
                    } else {
                        "refused: no quorum: no leader is known; 2 of 3 members are within reach, this one included"
                    };
                    let answer = What::Answer { ticket, node, text: text.into() };
                    self.after(30 * MILLI, Later::Tell(answer));
                }
            }
        }
        let pause = self.plan.pace * 500 + self.chance.below(self.plan.pace * 1000);
        self.after(pause, Later::Ask);
    }

    fn crash(&mut self, node: usize) {
        self.up[node] = false;
        if self.leader == Some(node) {
            self.leader = None;
        }
        self.note(What::Crash { node, wiped: false });
    }

    fn start(&mut self, node: usize) {
        self.up[node] = true;
        self.lives[node] += 1;
        let life = self.lives[node];
        self.note(What::Start { node, life });
        self.role(node, RoleName::Follower);
        for other in self.others(node) {
            self.send(node, other, "hello", 0);
        }
        self.note(What::Event { node, text: "is admitted".into() });
    }

    fn partition(&mut self, begins: bool) {
        let place = self.plan.nodes.div_ceil(2) - 1;
        for one in 0..place {
            for other in place..self.plan.nodes {
                for (from, to) in [(one, other), (other, one)] {
                    self.note(if begins { What::Block { from, to } } else { What::Unblock { from, to } });
                }
            }
        }
        self.parted = begins.then_some(place);
    }

    fn end(&mut self) {
        if self.plan.violation {
            let node = Some(self.plan.nodes - 1);
            self.note(What::Halt {
                node: 1,
                text: "the state of n2 differs from that of the leader at index 57 (fault: divergence)"
                    .into(),
            });
            let text = format!(
                "n{} has applied index {} of t{} with a state that differs from what n1 had at the same index: \
                 hash 8c41…77 against 19ee…02; the entry there is k3=v57#3.57 on one and k3=v56#3.56 on the other",
                self.plan.nodes, self.index, self.term
            );
            self.note(What::Violation { node, rule: "S3".into(), text });
        }
        self.over = true;
    }
}
