//! Strangers that connect to a node and say what no honest node would.
//!
//! What they can do is what a stolen or misused certificate can do: that of a client, of a node that is no member,
//! or of a member under another incarnation. None of it may count for anything.

use core::time::Duration;

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::forge::{self, Mask};
use diskeyval_core::{EntryId, Incarnation, Index, Input, Origin, Term};

use super::net::{Party, conn_of};
use super::{Due, World};
use crate::notes::{What, name};

/// A stranger, its connection, and what it still has to say.
#[derive(Clone, Debug)]
pub(super) struct Liar {
    conn: usize,
    victim: usize,
    words: Vec<Bytes>,
}

/// What strangers do.
const KINDS: [&str; 9] = [
    "a client speaks as a node",
    "a node that is no member says hello",
    "a hello names another node than its certificate",
    "a hello names another cluster",
    "words come before the hello",
    "a frame says that it is larger than any may be",
    "a frame is none",
    "another life of a member votes, acknowledges and leads",
    "another life of a member leads without a log",
];

impl World<'_, '_, '_> {
    /// A stranger connects to `victim`, perhaps with the certificate of `other`.
    pub(super) fn let_somebody_lie(&mut self, victim: usize, other: usize, strength: u64) {
        let kind = usize::try_from(strength).unwrap_or(0) % KINDS.len();
        let other = if other == victim { (victim + 1) % self.nodes.len() } else { other };
        if !self.up[victim] || self.nodes[victim].frozen || other == victim {
            return;
        }
        // Before the founding a member counts by its name alone, and who holds its certificate is that member.
        let founded = (0..self.nodes.len()).all(|node| self.nodes[node].was_member || self.nodes[node].wiped);
        let member = kind == 2 || kind >= 7;
        if member && !founded {
            return;
        }
        self.coverage.count_lie(kind, KINDS[kind]);
        let victim_id = self.names[victim].clone();
        let other_id = self.names[other].clone();
        if self.watchers.notes.is_some() {
            let text = format!("a stranger connects to {victim_id}: {}", KINDS[kind]);
            self.note(What::Disturb { nodes: vec![victim], text });
        }
        let stranger = diskeyval_core::NodeId::new("stranger").expect("a good name");
        let cluster = self.engine(victim).and_then(|engine| engine.status().cluster_id);
        let incarnation = Incarnation(u128::from(self.noise.below(u64::MAX)) + 1);
        let honest = Mask {
            node: other_id.clone(),
            cluster_name: "diskeyval".into(),
            cluster,
            incarnation,
            on_disk: true,
        };
        let (who, mask) = match kind {
            0 => (Identity::Client("mallory".into()), honest),
            1 => (Identity::Node(stranger.clone()), Mask { node: stranger, ..honest }),
            2 => (Identity::Node(other_id), Mask { node: stranger, ..honest }),
            3 => (Identity::Node(other_id), Mask { cluster_name: "another".into(), ..honest }),
            _ => (Identity::Node(other_id), honest),
        };
        let words = self.lies(kind, victim, &mask);
        let liar = self.liars.len();
        let (left, right) = self.connect(Party::Liar(liar), Party::Node(victim));
        self.liars.push(Liar { conn: conn_of(left).0, victim, words });
        self.give(victim, Input::Opened { conn: right, who, origin: Origin::Accepted });
        self.schedule_in(Duration::from_millis(1), Due::Lie(liar));
    }

    fn lies(&mut self, kind: usize, victim: usize, mask: &Mask) -> Vec<Bytes> {
        let hello = forge::hello(mask);
        let Some(vitals) = self.vitals(victim) else { return vec![hello] };
        let (term, last) = (vitals.term, vitals.last);
        let next = Term(term.0 + 1);
        let cluster = mask.cluster.unwrap_or_default();
        let beyond = Index(last.index.0 + 1_000);
        let votes = [forge::vote(term, false), forge::vote(next, false), forge::vote(next, true)];
        let mut words = match kind {
            4 => votes.to_vec(),
            5 => vec![forge::bomb(u32::MAX)],
            6 => vec![forge::noise(self.noise.below(u64::MAX))],
            _ => vec![hello, forge::confirm()],
        };
        match kind {
            7 => {
                words.extend(votes);
                for _ in 0..3 {
                    let round = self.noise.below(500);
                    words.extend([
                        forge::appended(term, last.index),
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
                    forge::append(
                        term,
                        cluster,
                        EntryId { index: last.index, term: last.term },
                        Term(u64::MAX),
                    ),
                    forge::bomb(u32::MAX),
                ]);
            }
            8 => words.extend([
                forge::heartbeat(Term(u64::MAX), 0),
                forge::append(Term(u64::MAX), cluster, EntryId::default(), next),
                forge::noise(self.noise.below(u64::MAX)),
            ]),
            _ => {}
        }
        words
    }

    pub(super) fn lie(&mut self, liar: usize) {
        let Liar { conn, victim, .. } = self.liars[liar];
        let words = core::mem::take(&mut self.liars[liar].words);
        for word in words {
            self.hash.update(&word);
            self.put(conn, 0, (victim, victim), word, Vec::new());
        }
        self.schedule_in(Duration::from_millis(200), Due::Broken { conn, side: 1 });
    }

    /// A stranger does not listen.
    pub(super) fn liar_hears(&mut self, liar: usize, bytes: Bytes) {
        let _ = (liar, bytes);
        let _ = name;
    }
}
