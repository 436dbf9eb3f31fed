//! Strangers that connect to a node and say what no honest node would.
//!
//! What they can do is what a stolen or misused certificate can do: that of a client, of a node that is no member,
//! or of a member under another incarnation. None of it may count for anything, and whoever has said what is wrong
//! is hung up on.

use core::time::Duration;

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::Ear;
use diskeyval_core::inspect::forge::{self, Mask};
use diskeyval_core::{
    ClusterId, Command, EntryId, Incarnation, Index, Input, Instant, MemberChange, NodeId, Origin, Term,
};

use super::net::{Party, conn_of};
use super::{Due, World};
use crate::notes::{What, name};
use crate::observe::Violation;

/// A stranger, its connection, and what it still has to say.
#[derive(Clone, Debug)]
pub(super) struct Liar {
    conn: usize,
    victim: usize,
    /// The victim's life, and what its clock showed, when it connected.
    life: u32,
    began: Instant,
    kind: Kind,
    words: Vec<Bytes>,
    ear: Ear,
    /// How often it has spoken.
    times: u32,
    /// How often it was still met when it should have been given up: its victim may be about to wake.
    late: u32,
}

/// What a stranger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Client,
    NoMember,
    HelloOfAnother,
    OtherName,
    OtherCluster,
    BeforeHello,
    TooLarge,
    Noise,
    Trickle,
    Crowd,
    AnotherLife,
    LifeWithoutLog,
    Guest,
    CrowdOfOne,
    SlowGuest,
    DeafGuest,
}

const KINDS: [(Kind, &str); 16] = [
    (Kind::Client, "a client speaks as a node"),
    (Kind::NoMember, "a node that is no member says hello"),
    (Kind::HelloOfAnother, "a hello names another node than its certificate"),
    (Kind::OtherName, "a hello names another cluster"),
    (Kind::OtherCluster, "a hello comes from another founded cluster"),
    (Kind::BeforeHello, "words come before the hello"),
    (Kind::TooLarge, "a frame says that it is larger than any may be"),
    (Kind::Noise, "a frame is none"),
    (Kind::Trickle, "a stranger says a byte now and then, and never hello"),
    (Kind::Crowd, "many strangers connect and say nothing"),
    (Kind::AnotherLife, "another life of a member votes, acknowledges and leads"),
    (Kind::LifeWithoutLog, "another life of a member leads without a log"),
    (Kind::Guest, "a node that is no member claims to know newer ones, and asks for all there is"),
    (Kind::CrowdOfOne, "a member connects many times and says nothing"),
    (
        Kind::SlowGuest,
        "a node that is no member claims to know newer ones, and says a byte of a frame now and then",
    ),
    (Kind::DeafGuest, "a node that is no member claims to know newer ones, and reads nothing"),
];

/// What is said to whoever has asked for something.
const ANSWERS: &[&str] =
    &["refused", "read-at", "read-refused", "not-transferred", "members-changed", "members-not-changed"];

/// How many a crowd is: more than a node's limits of strangers, and of connections of one node.
const CROWD: usize = 12;

/// By when a node has hung up on who has said what is wrong.
const HANG_UP: Duration = Duration::from_millis(500);

/// How often one that trickles says a byte.
const TRICKLE: Duration = Duration::from_millis(400);

impl Kind {
    fn text(self) -> &'static str {
        KINDS[self as usize].1
    }

    /// Whether it uses a member's certificate and could count before the founding, when a member counts by its
    /// name alone: who holds its certificate then is that member.
    fn needs_founding(self) -> bool {
        self.is_another_life() || self == Kind::OtherCluster
    }

    fn is_another_life(self) -> bool {
        matches!(self, Kind::AnotherLife | Kind::LifeWithoutLog)
    }

    /// Whether whoever does this is to be hung up on.
    fn is_wrong_at_once(self) -> bool {
        !self.is_slow() && !self.is_crowd() && self != Kind::Guest && !self.is_another_life()
    }

    /// Whether it stays, until it is given up.
    fn is_slow(self) -> bool {
        matches!(self, Kind::Trickle | Kind::SlowGuest | Kind::DeafGuest)
    }

    /// What it says now and then while it does.
    fn murmurs(self) -> Bytes {
        if self == Kind::DeafGuest { forge::ping() } else { Bytes::from_static(&[0]) }
    }

    fn is_crowd(self) -> bool {
        matches!(self, Kind::Crowd | Kind::CrowdOfOne)
    }
}

impl World<'_, '_, '_> {
    /// A stranger connects to `victim`, perhaps with the certificate of `other`.
    pub(super) fn let_somebody_lie(&mut self, victim: usize, other: usize, strength: u64) {
        let (kind, text) = KINDS[usize::try_from(strength).unwrap_or(0) % KINDS.len()];
        let other = if other == victim { (victim + 1) % self.nodes.len() } else { other };
        // Before it has opened a node meets nobody.
        let met = self.nodes[victim].was_member && self.nodes[victim].opened;
        if !self.up[victim] || self.nodes[victim].frozen || other == victim || !met {
            return;
        }
        // For an empty seat whoever has its certificate is that member. (The victim itself may have lost with its last
        // flush that it was in its own.)
        let is_bound = self.engine(victim).is_some_and(|engine| {
            let members = engine.status().members;
            members.iter().any(|member| member.node_id == self.names[other] && member.seat.is_some())
        });
        let founded = is_bound
            && (0..self.nodes.len()).all(|node| self.nodes[node].was_member || self.nodes[node].is_out);
        // Who is announced anew has the life of whoever comes with its certificate first.
        let may_be_announced = self.setting.reshape.is_some() && kind.is_another_life();
        if kind.needs_founding() && !founded || may_be_announced {
            return;
        }
        self.coverage.count(text);
        if self.watchers.notes.is_some() {
            let text = format!("a stranger connects to {}: {text}", name(victim));
            self.note(What::Disturb { nodes: vec![victim], text });
        }
        let (who, mask) = self.mask(kind, victim, other);
        let words = self.lies(kind, victim, &mask);
        // That no more are let in than there is room for is checked at every step (V7).
        for nth in 0..if kind.is_crowd() { CROWD } else { 1 } {
            let who = match kind {
                Kind::Crowd => Identity::Node(NodeId::new(&format!("stranger-{nth}")).expect("a good name")),
                _ => who.clone(),
            };
            self.connect_liar(kind, victim, who, words.clone());
        }
    }

    /// Whose certificate the stranger has, and what it says of itself.
    fn mask(&mut self, kind: Kind, victim: usize, other: usize) -> (Identity, Mask) {
        let stranger = NodeId::new("stranger").expect("a good name");
        let member = self.names[other].clone();
        let cluster = self.engine(victim).and_then(|engine| engine.status().cluster_id);
        let honest = Mask {
            node: member.clone(),
            cluster_name: "diskeyval".into(),
            cluster,
            incarnation: Incarnation(u128::from(self.noise.below(u64::MAX)) + 1),
            on_disk: !self.setting.memory,
            configuration: EntryId::default(),
        };
        let member = Identity::Node(member);
        match kind {
            Kind::Client => (Identity::Client("mallory".into()), honest),
            Kind::NoMember => (Identity::Node(stranger.clone()), Mask { node: stranger, ..honest }),
            Kind::Guest | Kind::SlowGuest | Kind::DeafGuest => {
                let configuration = EntryId { index: Index(1 << 50), term: Term(1 << 50) };
                (Identity::Node(stranger.clone()), Mask { node: stranger, configuration, ..honest })
            }
            Kind::HelloOfAnother => (Identity::Node(stranger), honest),
            Kind::OtherName => (member, Mask { cluster_name: "another".into(), ..honest }),
            Kind::OtherCluster => (member, Mask { cluster: Some(ClusterId(7)), ..honest }),
            _ => (member, honest),
        }
    }

    fn connect_liar(&mut self, kind: Kind, victim: usize, who: Identity, words: Vec<Bytes>) {
        let liar = self.liars.len();
        let (left, right) = self.connect(Party::Liar(liar), Party::Node(victim));
        self.liars.push(Liar {
            conn: conn_of(left).0,
            victim,
            life: self.nodes[victim].life,
            began: self.nodes[victim].clock.reckon(self.now),
            kind,
            words,
            ear: Ear::default(),
            times: 0,
            late: 0,
        });
        self.give(victim, Input::Opened { conn: right, who, origin: Origin::Accepted });
        self.schedule_in(Duration::from_millis(1), Due::Lie(liar));
    }

    fn lies(&mut self, kind: Kind, victim: usize, mask: &Mask) -> Vec<Bytes> {
        let hello = forge::hello(mask);
        let Some(vitals) = self.vitals(victim) else { return vec![hello] };
        let (term, last) = (vitals.term, vitals.last);
        let next = Term(term.0 + 1);
        let cluster = mask.cluster.unwrap_or_default();
        let beyond = Index(last.index.0 + 1_000);
        let votes = [forge::vote(term, false), forge::vote(next, false), forge::vote(next, true)];
        let mut words = match kind {
            Kind::BeforeHello => votes.to_vec(),
            Kind::TooLarge => vec![forge::bomb(u32::MAX)],
            Kind::Noise => vec![forge::noise(self.noise.below(u64::MAX))],
            Kind::Crowd | Kind::CrowdOfOne => Vec::new(),
            Kind::Trickle => vec![forge::hello(mask).slice(..1)],
            _ => vec![hello, forge::confirm()],
        };
        match kind {
            Kind::AnotherLife => {
                words.extend(votes);
                for _ in 0..3 {
                    let round = self.noise.below(500);
                    words.extend([
                        // Whoever has the certificate and holds the whole log is the next life of that member, and is
                        // taken in: so it has only the beginning.
                        forge::appended(term, Index(1)),
                        forge::appended(term, beyond),
                        forge::confirmed(term, round),
                        forge::vote_request(next, EntryId { index: beyond, term: next }),
                        forge::read_at(self.noise.below(100) + 1, Index(1)),
                        forge::refused(self.noise.below(50) + 1, 1),
                    ]);
                }
                words.extend([
                    forge::heartbeat(next, 0),
                    forge::append(next, cluster, last, next),
                    forge::append(term, cluster, last, Term(u64::MAX)),
                    forge::bomb(u32::MAX),
                ]);
            }
            Kind::LifeWithoutLog => words.extend([
                forge::heartbeat(Term(u64::MAX), 0),
                forge::append(Term(u64::MAX), cluster, EntryId::default(), next),
                forge::noise(self.noise.below(u64::MAX)),
            ]),
            // A frame that is long, and has begun.
            Kind::SlowGuest => words.push(forge::bomb(1 << 16)),
            Kind::Guest => words.extend([
                forge::open_session(),
                forge::write(1, &Command::Set { key: "stolen".into(), value: "by a guest".into() }),
                forge::read(1),
                forge::transfer(2, None),
                forge::change(3, MemberChange::Remove { node: self.names[victim].clone() }),
            ]),
            _ => {}
        }
        words
    }

    /// It says what it has to say, and sees to it that it was hung up on.
    pub(super) fn lie(&mut self, liar: usize) {
        let Liar { conn, victim, kind, times, .. } = self.liars[liar];
        self.liars[liar].times += 1;
        if times == 0 {
            // By now the victim has taken the turn in which it met the stranger.
            self.liars[liar].began = self.nodes[victim].clock.reckon(self.now);
            for word in core::mem::take(&mut self.liars[liar].words) {
                self.hash.update(&word);
                self.put(conn, 0, (victim, victim), word, Vec::new());
            }
        }
        match kind {
            _ if kind.is_slow() && self.is_met(liar) && times < 40 => {
                self.put(conn, 0, (victim, victim), kind.murmurs(), Vec::new());
                self.must_have_given_up(liar);
                self.schedule_in(TRICKLE, Due::Lie(liar));
            }
            _ if times == 0 => self.schedule_in(HANG_UP, Due::Lie(liar)),
            _ => {
                if kind.is_wrong_at_once() && self.is_met(liar) {
                    let what = format!("{} has not hung up, although {}", name(victim), kind.text());
                    self.blame(Violation { rule: "R1", what });
                }
                self.tell_broken(conn, 1);
            }
        }
    }

    /// Whether the victim, in the same life and never paused, still has the connection.
    fn is_met(&self, liar: usize) -> bool {
        let Liar { conn, victim, life, .. } = self.liars[liar];
        let node = &self.nodes[victim];
        let open = self.conns[conn].as_ref().is_some_and(|conn| conn.sides[1].open);
        open && self.up[victim] && node.life == life && node.thawed_at < self.now
    }

    /// A connection without a hello, or on which nothing whole comes, is given up after a while, by the clock of the node.
    fn must_have_given_up(&mut self, liar: usize) {
        let Liar { victim, began, kind, .. } = self.liars[liar];
        let waited = self.nodes[victim].clock.reckon(self.now).since(began);
        let within = self.nodes[victim].settings.rpc_timeout() + Duration::from_secs(1);
        if waited <= within || !self.is_met(liar) || !self.is_awake(victim) {
            return;
        }
        self.liars[liar].late += 1;
        if self.liars[liar].late > 1 {
            let what = format!(
                "{} waits for {waited:?}, though {}: its limit is {within:?}",
                name(victim),
                kind.text()
            );
            self.blame(Violation { rule: "R1", what });
        }
    }

    /// Whether what is said to it leaves.
    pub(super) fn reads(&self, liar: usize) -> bool {
        self.liars[liar].kind != Kind::DeafGuest
    }

    /// What a node says to a stranger: no more than who it is, that whose certificate it has was removed, and farewell.
    pub(super) fn liar_hears(&mut self, liar: usize, bytes: Bytes) {
        let Liar { victim, kind, ear, .. } = &mut self.liars[liar];
        ear.push(bytes);
        let (victim, wrong, guest) = (*victim, kind.is_wrong_at_once(), *kind == Kind::Guest);
        while let Some(word) = self.liars[liar].ear.next_word() {
            let is_answer = guest && ANSWERS.contains(&word.kind());
            if is_answer || wrong && !matches!(word.kind(), "welcome" | "goodbye" | "removed") {
                let text = self.liars[liar].kind.text();
                let what = format!("{} says `{word}` to a stranger, although {text}", name(victim));
                self.blame(Violation { rule: "R5", what });
            }
        }
    }
}
