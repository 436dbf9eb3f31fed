//! What a run, or a hunt of many, has brought about: what never came about was never tested.

use core::fmt;
use std::collections::BTreeMap;

use diskeyval_core::inspect::Word;
use diskeyval_core::{Answer, Error, Outcome};

use crate::faults::Fault;
use crate::plan::Rest;

/// The parts that a node may play, in the order of [`RoleName`](diskeyval_core::RoleName).
const ROLES: [&str; 4] = ["follower", "pre-candidate", "candidate", "leader"];

/// Counts of everything that should come about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    words: Vec<[u64; 4]>,
    roles: [[u64; 4]; 4],
    faults: Vec<u64>,
    named: BTreeMap<&'static str, u64>,
}

/// What is counted by name. What has to come about but is counted otherwise (words, roles, faults) is not here.
const NAMED: &[&str] = &[
    "answer: a get found a value",
    "answer: a get found nothing",
    "answer: a get was refused",
    "answer: a set took effect",
    "answer: a delete found its key",
    "answer: a delete found nothing",
    "answer: a swap took effect",
    "answer: a swap did not match",
    "answer: a write was refused",
    "answer: the log is full",
    "answer: a write ended as unknown",
    "connection: broken",
    "crash: nothing was pending",
    "crash: all that was pending was lost",
    "crash: a part of what was pending was kept",
    "crash: all that was pending was kept",
    "crash: what was pending is still in the cache",
    "damage: a bit",
    "damage: a sector of zeros",
    "damage: a sector in another place",
    "damage: a file is lost",
    "damage: a file of another node",
    "damage: a directory is put back",
    "disk: a segment is full, and the next is written to",
    "disk: a segment is removed",
    "disk: a snapshot is written",
    "disk: a snapshot is removed",
    "disk: a snapshot is taken for the log",
    "disk: a node opens with a snapshot",
    "disk: what was torn is cut off",
    "disk: a node dies before it has opened",
    "disk: a seal is written",
    "disk: there is no room",
    "disk: an operation fails",
    "disk: a read comes short",
    "disk: a node halts",
    "disk: damage is found",
    "disk: a damaged node begins anew",
    "disk: a damaged node goes on beginning anew",
    "dial: connected",
    "dial: refused",
    "dial: silent",
    "rest: fine",
    "rest: dead",
    "rest: cut off",
    "rest: deaf",
    "rest: mute",
    "rest: flapping",
    "run: steady",
    "read: by lease",
    "stopped in good order",
    "stream: full",
    "stream: torn",
    "turn: no input",
    "turn: one input",
    "turn: several inputs",
    "wiped",
    "wiped before it had a seat",
    "wiped after it was taken in again",
    "seat: given to the next life of a node",
    "seat: given to a node that was damaged",
    "a client speaks as a node",
    "a node that is no member says hello",
    "a hello names another node than its certificate",
    "a hello names another cluster",
    "a hello comes from another founded cluster",
    "words come before the hello",
    "a frame says that it is larger than any may be",
    "a frame is none",
    "a stranger says a byte now and then, and never hello",
    "many strangers connect and say nothing",
    "another life of a member votes, acknowledges and leads",
    "another life of a member leads without a log",
    "a node that is no member claims to know newer ones, and asks for all there is",
    "a member connects many times and says nothing",
    "a node that is no member claims to know newer ones, and says a byte of a frame now and then",
    "a node that is no member claims to know newer ones, and reads nothing",
    "seat: given to another process, and the former ends",
    "members: reconfigure",
    "members: add a learner",
    "members: promote",
    "members: remove",
    "members: the voters change",
    "members: there are learners",
    "members: there are voters alone",
    "members: changed",
    "members: not changed",
    "members: nobody knows whether they will change",
    "members: a node learns that it was removed",
    "recovery: of a node that runs",
    "recovery: of a directory",
    "recovery: of a directory, cut short",
    "recovery: refused",
    "transfer: the leader is asked",
    "transfer: another node is asked",
    "transfer: the wanted node leads",
    "transfer: refused",
    "transfer: nobody knows whether it will come about",
];

impl Coverage {
    pub(crate) fn count(&mut self, name: &'static str) {
        debug_assert!(NAMED.contains(&name), "{name:?} is not in the table");
        *self.named.entry(name).or_default() += 1;
    }

    pub(crate) fn count_word(&mut self, role: usize, kind: usize) {
        if self.words.is_empty() {
            self.words = vec![[0; 4]; Word::KINDS.len()];
        }
        self.words[kind][role] += 1;
    }

    pub(crate) fn count_role(&mut self, from: diskeyval_core::RoleName, to: diskeyval_core::RoleName) {
        self.roles[from as usize][to as usize] += 1;
    }

    pub(crate) fn count_fault(&mut self, fault: Fault) {
        if self.faults.is_empty() {
            self.faults = vec![0; Fault::ALL.len()];
        }
        self.faults[fault as usize] += 1;
    }

    pub(crate) fn count_inputs(&mut self, inputs: usize) {
        self.count(match inputs {
            0 => "turn: no input",
            1 => "turn: one input",
            _ => "turn: several inputs",
        });
    }

    pub(crate) fn count_crash(&mut self, pending: usize, kept: usize) {
        self.count(match (pending, kept) {
            (0, _) => "crash: nothing was pending",
            (_, 0) => "crash: all that was pending was lost",
            (pending, kept) if kept == pending => "crash: all that was pending was kept",
            _ => "crash: a part of what was pending was kept",
        });
    }

    pub(crate) fn count_rest(&mut self, rest: Rest, any: bool) {
        if any {
            self.count(match rest {
                Rest::Fine => "rest: fine",
                Rest::Dead => "rest: dead",
                Rest::CutOff => "rest: cut off",
                Rest::Deaf => "rest: deaf",
                Rest::Mute => "rest: mute",
                Rest::Flapping => "rest: flapping",
            });
        }
    }

    pub(crate) fn count_answer(&mut self, answer: &Answer) {
        self.count(match answer {
            Answer::Read(Ok(Some(_))) => "answer: a get found a value",
            Answer::Read(Ok(None)) => "answer: a get found nothing",
            Answer::Read(Err(_)) => "answer: a get was refused",
            Answer::Written(Ok(Outcome::Set { .. })) => "answer: a set took effect",
            Answer::Written(Ok(Outcome::Deleted { found: true, .. })) => "answer: a delete found its key",
            Answer::Written(Ok(Outcome::Deleted { found: false, .. })) => "answer: a delete found nothing",
            Answer::Written(Ok(Outcome::Swapped { .. })) => "answer: a swap took effect",
            Answer::Written(Ok(Outcome::Mismatch { .. })) => "answer: a swap did not match",
            Answer::Written(Err(Error::Refused(_))) => "answer: a write was refused",
            Answer::Written(Err(Error::Unknown(_))) => "answer: a write ended as unknown",
            Answer::MembersChanged(Ok(_)) => "members: changed",
            Answer::MembersChanged(Err(Error::Refused(_))) => "members: not changed",
            Answer::MembersChanged(Err(Error::Unknown(_))) => {
                "members: nobody knows whether they will change"
            }
            Answer::Transferred(Ok(())) => "transfer: the wanted node leads",
            Answer::Transferred(Err(Error::Refused(_))) => "transfer: refused",
            Answer::Transferred(Err(Error::Unknown(_))) => {
                "transfer: nobody knows whether it will come about"
            }
            _ => return,
        });
    }

    /// Adds what another run has brought about.
    pub fn add(&mut self, other: &Coverage) {
        if !other.words.is_empty() {
            self.words.resize(Word::KINDS.len(), [0; 4]);
            for (mine, its) in self.words.iter_mut().zip(&other.words) {
                mine.iter_mut().zip(its).for_each(|(mine, its)| *mine += its);
            }
        }
        for (mine, its) in self.roles.iter_mut().zip(&other.roles) {
            mine.iter_mut().zip(its).for_each(|(mine, its)| *mine += its);
        }
        if !other.faults.is_empty() {
            self.faults.resize(Fault::ALL.len(), 0);
            self.faults.iter_mut().zip(&other.faults).for_each(|(mine, its)| *mine += its);
        }
        for (name, count) in &other.named {
            *self.named.entry(name).or_default() += count;
        }
    }

    /// Everything that should come about, and how often it has.
    pub fn rows(&self) -> Vec<(String, u64)> {
        let mut rows = Vec::new();
        for (at, fault) in Fault::ALL.iter().enumerate() {
            rows.push((format!("fault: {fault}"), self.faults.get(at).copied().unwrap_or(0)));
        }
        for (from, counts) in self.roles.iter().enumerate() {
            for (to, count) in
                counts.iter().enumerate().filter(|(to, _)| !IMPOSSIBLE_TURNS.contains(&(from, *to)))
            {
                rows.push((format!("role: {} to {}", ROLES[from], ROLES[to]), *count));
            }
        }
        for (kind, name) in Word::KINDS.iter().enumerate() {
            for (role, role_name) in ROLES.iter().enumerate() {
                if !IMPOSSIBLE_WORDS.contains(&(*name, *role_name)) {
                    let count = self.words.get(kind).map_or(0, |counts| counts[role]);
                    rows.push((format!("word: {name} reaches a {role_name}"), count));
                }
            }
        }
        rows.extend(
            NAMED.iter().map(|name| ((*name).to_owned(), self.named.get(name).copied().unwrap_or(0))),
        );
        rows
    }

    /// What should come about and has not.
    pub fn unhit(&self) -> Vec<String> {
        self.rows().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

/// Changes of role from one turn to the next, by their places in [`ROLES`], that cannot be.
const IMPOSSIBLE_TURNS: &[(usize, usize)] = &[
    // Whoever leads stood for election before, and its own vote waits for its disk.
    (0, 3),
    (1, 3),
    // The next round before an election begins where the last ended: nothing is seen to change.
    (1, 1),
    // One alone, paused while its ballot is on its way to the disk, stands for the next term at once. Too rare to be asked
    // for: one seed of a thousand or so.
    (2, 2),
    // Whoever leads no more follows first, and waits for an election timeout.
    (3, 1),
    (3, 2),
];

/// Words that do not reach a node in that part.
const IMPOSSIBLE_WORDS: &[(&str, &str)] = &[
    // Nobody leads beside a leader of the same term, and a deposed one knows nothing of a transfer.
    ("timeout-now", "leader"),
    // A successor stands for election on this word. That it does so on its own at just that moment is possible, and
    // too rare to be asked for.
    ("timeout-now", "candidate"),
    ("timeout-now", "pre-candidate"),
    // It answers a leader, who would have to stand for election anew within the time of one way. As rare.
    ("conflict", "candidate"),
    // Who sends a state leads. It would have to be followed no more, or to be deposed and more, within the time of one
    // way of a word that is rare itself.
    ("snapshot", "candidate"),
    // It would have to wait on a link until whom it is sent to has caught up from another leader, and leads itself.
    ("snapshot", "leader"),
    // Who led, and stands for election anew, within the time of one way.
    ("transfer", "candidate"),
    // Who has asked for a hand-over that is refused would have to be elected meanwhile. As rare.
    ("not-transferred", "leader"),
    // The same of a change of the members, and of who asks to be told that it is none.
    ("change-members", "candidate"),
    ("members-changed", "pre-candidate"),
    ("members-changed", "candidate"),
    ("members-changed", "leader"),
    ("members-not-changed", "candidate"),
    ("members-not-changed", "leader"),
    ("members", "candidate"),
    ("removed", "candidate"),
    // Whoever stands for election while a session is asked for of the leader that it was.
    ("open-session", "candidate"),
    // A node that keeps out plays no part, and a link to one that does not is another.
    ("offer", "pre-candidate"),
    ("offer", "candidate"),
    ("offer", "leader"),
    ("received", "follower"),
    ("received", "pre-candidate"),
    ("received", "candidate"),
];

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().iter().try_for_each(|(name, count)| writeln!(f, "{count:>12}  {name}"))
    }
}
