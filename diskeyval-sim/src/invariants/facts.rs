//! The refinement ghost: what is true of the cluster as a whole, kept outside of all nodes.
//!
//! It is Raft as sets of facts: which votes are durable, who leads which term, what was proposed, what every disk
//! holds, what is committed. Each step of a node must be a legal step here, else a rule is broken. It is told plain
//! data (records, numbers, claims) and nothing is taken from a node's own bookkeeping that could be seen otherwise.
//!
//! Reads from top to bottom: disks here, elections in `reigns.rs`, what leaders append in `entries.rs`, memberships
//! in `seats.rs`, commits in `commits.rs`, words in `words.rs`, who goes on alone in `recoveries.rs`.

mod commits;
mod entries;
mod offers;
mod recoveries;
mod reigns;
mod seats;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, VecDeque};

use diskeyval_core::inspect::Vitals;
use diskeyval_core::{EntryId, Incarnation, Index, NodeId, Record, RoleName, Term};

use super::findings::Findings;
use super::tree::{EMPTY, Place, Tree};
use crate::notes::name;
use crate::observe::incarnation;
pub(crate) use entries::Follows;
pub(crate) use recoveries::LEAP;
use reigns::Reign;

/// What is true of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    names: Vec<NodeId>,
    /// So many of them, from the first on, are the initial members.
    founders: usize,
    pub(crate) tree: Tree,
    nodes: Vec<Node>,
    /// Every incarnation that there ever was. That of a lost disk stays as it was last durable.
    storages: Vec<Storage>,
    /// Durable votes: for whom a storage has voted in a term.
    votes: BTreeMap<(usize, u64), usize>,
    /// To which life of a candidate a storage has granted its vote in a term.
    granted: BTreeMap<(usize, u64), usize>,
    /// Who was elected in a term. There may be two only by a founding that failed; see `reigns.rs`.
    reigns: BTreeMap<u64, Vec<Reign>>,
    /// What is committed, and in which term that was decided. The first is the entry behind the origin.
    committed: Vec<(Place, u64)>,
    /// The index behind which everything begins.
    origin: u64,
    /// The genesis of the cluster that is founded: there is one.
    founded: Option<Place>,
    /// Entries about members that were proposed in this turn, to be judged at its end.
    proposed: Vec<Place>,
    /// The configuration of the node at the beginning of its turn.
    configuration_before: Place,
    /// The hash of the state at each index behind the origin at which anybody was seen.
    hashes: Vec<Option<u128>>,
    pub(crate) comparisons: Comparisons,
}

/// How often was compared what is worth nothing if it is never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// State hashes of different nodes, or lives, at one index.
    pub hashes: u64,
    /// Elections whose votes were counted.
    pub elections: u64,
    /// Advances of a leader's commit index whose copies were counted.
    pub commits: u64,
    /// Promises on wires.
    pub promises: u64,
    /// Beliefs of leaders about followers.
    pub beliefs: u64,
    /// Conflicts that gave up entries.
    pub conflicts: u64,
    /// Restarts that found something on the disk.
    pub recoveries: u64,
    /// Answers to writes.
    pub writes: u64,
    /// Answers to reads.
    pub reads: u64,
    /// Changes that were reported.
    pub events: u64,
    /// Times that changes were reported not to be reported one by one.
    pub resyncs: u64,
}

/// What a disk holds, or will once everything on its way is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    /// Whether the incarnation is there.
    is_named: bool,
    term: u64,
    vote: Option<usize>,
    /// The log, by its last entry.
    last: Place,
}

const NOTHING: Image = Image { is_named: false, term: 0, vote: None, last: EMPTY };

/// A vote for somebody who is no node.
const NOBODY: usize = usize::MAX;

#[derive(Clone, Debug)]
struct Storage {
    node: usize,
    incarnation: Incarnation,
    durable: Image,
    /// The log as it was when a term was left, for claims about that term which arrive late.
    left: BTreeMap<u64, Place>,
}

#[derive(Clone, Debug)]
struct Node {
    /// It has opened, and lives.
    up: bool,
    storage: Option<usize>,
    /// Its disk is not what it should be.
    is_damaged: bool,
    /// A leader has offered it to begin anew, and it has not opened since.
    is_offered: bool,
    /// What it has in memory, as far as it has told its disk.
    now: Image,
    /// The log as it was when the present term was entered.
    entered: Place,
    /// What the disk will hold after each record on its way.
    pending: VecDeque<(u64, Image)>,
    vitals: Vitals,
    /// The entry by whose members it goes, and the one by which it has to.
    goes_by: (EntryId, Place),
    /// What it believed last of its followers, in the order in which it tells.
    beliefs: Vec<(Incarnation, u64)>,
}

const UNBORN: Vitals = Vitals {
    role: RoleName::Follower,
    term: Term(0),
    last: EntryId { index: Index(0), term: Term(0) },
    commit: Index(0),
    applied: Index(0),
    hands_over: false,
};

impl Facts {
    /// The first `founders` of the names are the initial members.
    pub(crate) fn new(names: &[NodeId], founders: usize) -> Facts {
        let node = Node {
            up: false,
            storage: None,
            is_damaged: false,
            is_offered: false,
            now: NOTHING,
            entered: EMPTY,
            pending: VecDeque::new(),
            vitals: UNBORN,
            goes_by: (EntryId::default(), EMPTY),
            beliefs: Vec::new(),
        };
        Facts {
            names: names.to_vec(),
            founders,
            tree: Tree::default(),
            nodes: vec![node; names.len()],
            storages: Vec::new(),
            votes: BTreeMap::new(),
            granted: BTreeMap::new(),
            reigns: BTreeMap::new(),
            committed: Vec::new(),
            origin: 0,
            founded: None,
            proposed: Vec::new(),
            configuration_before: EMPTY,
            hashes: Vec::new(),
            comparisons: Comparisons::default(),
        }
    }

    /// Up to which index it is known what is committed.
    pub(crate) fn committed_up_to(&self) -> u64 {
        self.origin + self.committed.len() as u64
    }

    /// What is committed at an index.
    pub(crate) fn committed_entry(&self, index: u64) -> Option<Place> {
        let place = usize::try_from(index.checked_sub(self.origin + 1)?).ok()?;
        self.committed.get(place).map(|(place, _)| *place)
    }

    /// Where a node stood after its last turn in this life.
    pub(crate) fn vitals(&self, node: usize) -> Vitals {
        self.nodes[node].vitals
    }

    fn node_of(&self, name: &NodeId) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Under which number the name of a node is known.
    fn namesake(&self, at: usize) -> usize {
        self.node_of(&self.names[at]).unwrap_or(at)
    }

    fn storage_of(&self, incarnation: Incarnation) -> Option<usize> {
        self.storages.iter().position(|storage| storage.incarnation == incarnation)
    }

    // Lives.

    /// A node has opened, with what its disk has kept.
    pub(crate) fn started(&mut self, at: usize, kept: &[Record], findings: &mut Findings) {
        self.nodes[at].up = true;
        self.nodes[at].is_offered = false;
        self.nodes[at].beliefs.clear();
        self.nodes[at].now = NOTHING;
        match incarnation(kept) {
            Some(incarnation) => self.check_recovery(at, incarnation, kept, findings),
            None => {
                findings.broken("S15", || format!("{} opens, and has no incarnation", name(at)));
            }
        }
        let node = &mut self.nodes[at];
        node.pending.clear();
        node.entered = node.now.last;
        // A life begins with the term that the disk has kept, and with nothing known to be committed.
        node.vitals = Vitals { term: Term(node.now.term), ..UNBORN };
        node.goes_by = (EntryId::default(), EMPTY);
    }

    /// What a restart finds is what was durable, or also the beginning of what was on its way to the disk. Then that
    /// has become durable with it: whoever has opened relies on what it has found.
    fn check_recovery(
        &mut self,
        at: usize,
        incarnation: Incarnation,
        kept: &[Record],
        findings: &mut Findings,
    ) {
        // A disk that was damaged has to be noticed, or to be harmless: what was promised is there all the same.
        let is_damaged = self.nodes[at].is_damaged;
        let rule = |rule: &'static str| if is_damaged { "D2" } else { rule };
        let storage = match self.nodes[at].storage {
            Some(storage) => {
                self.comparisons.recoveries += 1;
                storage
            }
            None => match self.named(at, incarnation, findings) {
                Some(storage) => storage,
                None => return,
            },
        };
        if self.storages[storage].incarnation != incarnation {
            return findings
                .broken(rule("S15"), || format!("{} finds the disk of another incarnation", name(at)));
        }
        let found = self.found(at, kept, rule("S15"), findings);
        self.nodes[at].now = found;
        let durable = self.storages[storage].durable;
        if found == durable {
            return;
        }
        let pending = &self.nodes[at].pending;
        if let Some(place) = pending.iter().position(|(_, image)| *image == found) {
            let images: Vec<Image> = pending.iter().take(place + 1).map(|(_, image)| *image).collect();
            images.into_iter().for_each(|image| self.make_durable(at, image, findings));
            return;
        }
        if let Some(image) = self.replaced(at, durable, found, kept) {
            self.make_durable(at, image, findings);
            return self.make_durable(at, found, findings);
        }
        let pending = &self.nodes[at].pending;
        let mut known = core::iter::once(&durable).chain(pending.iter().map(|(_, image)| image));
        if known.all(|image| (image.term, image.vote) != (found.term, found.vote)) {
            findings.broken(rule("S3"), || {
                format!(
                    "{} finds term {} on its disk with a vote for {}, and had made durable term {} with a vote for {}",
                    name(at),
                    found.term,
                    voted(found.vote),
                    durable.term,
                    voted(durable.vote)
                )
            });
        }
        findings.broken(rule("S15"), || {
            let (found, durable) = (self.tree.index(found.last), self.tree.index(durable.last));
            let (node, more) = (name(at), self.nodes[at].pending.len());
            format!(
                "{node} finds a log up to {found}; another, up to {durable}, was durable, and none of {more} that were to be is it"
            )
        });
    }

    /// A leader's snapshot was durable in place of the whole log, and its node has died before it could say so: what was
    /// known of its log before that, if that is what was found.
    fn replaced(&self, at: usize, durable: Image, found: Image, kept: &[Record]) -> Option<Image> {
        let base = kept.iter().find_map(|record| match record {
            Record::Base { last } => self.committed_at(*last),
            _ => None,
        })?;
        let pending = self.nodes[at].pending.iter().map(|(_, image)| *image);
        let mut known = core::iter::once(durable).chain(pending);
        let fits = |image: &Image| {
            (image.term, image.vote) == (found.term, found.vote) && !self.tree.holds(image.last, base)
        };
        known.find(fits).filter(|_| found.last == base)
    }

    /// What records come to, that a restart has found.
    fn found(&mut self, at: usize, kept: &[Record], rule: &'static str, findings: &mut Findings) -> Image {
        let mut found = Image { is_named: true, ..NOTHING };
        for record in kept {
            match record {
                Record::Incarnation(_) => {}
                Record::Ballot { term, vote } => {
                    found.term = term.0;
                    found.vote = vote.as_ref().map(|vote| self.node_of(vote).unwrap_or(NOBODY));
                }
                Record::Entry { bytes, .. } => match self.tree.find(found.last, bytes) {
                    Some(place) => found.last = place,
                    None => findings.broken(rule, || {
                        let behind = self.tree.index(found.last);
                        format!("{} finds an entry behind {behind} that nobody has written", name(at))
                    }),
                },
                Record::Truncate { behind } => {
                    found.last = self.tree.at(found.last, behind.0).unwrap_or(found.last);
                }
                Record::Base { last } => found.last = self.based(at, *last, findings),
            }
        }
        found
    }

    /// The disk of a node is not what it should be.
    pub(crate) fn damaged(&mut self, at: usize) {
        self.nodes[at].is_damaged = true;
    }

    /// A node knows that what it wanted to be kept is durable, up to the record of this number.
    pub(crate) fn stored(&mut self, at: usize, up_to: u64, findings: &mut Findings) {
        while let Some((_, image)) = self.nodes[at].pending.pop_front_if(|(number, _)| *number <= up_to) {
            self.make_durable(at, image, findings);
        }
    }

    fn make_durable(&mut self, at: usize, image: Image, findings: &mut Findings) {
        let Some(storage) = self.nodes[at].storage else { return };
        let durable = &mut self.storages[storage].durable;
        let former = core::mem::replace(durable, image);
        if image.term > former.term {
            self.storages[storage].left.insert(former.term, former.last);
        }
        if let Some(vote) = image.vote {
            let first = *self.votes.entry((storage, image.term)).or_insert(vote);
            if first != vote {
                findings.broken("S2", || {
                    let (node, term) = (name(at), image.term);
                    format!(
                        "{node} has voted for {} and for {} in term {term}",
                        voted(Some(first)),
                        voted(Some(vote))
                    )
                });
            }
        }
    }

    /// A node dies. `wiped`: its disk is lost, and whatever that had promised stands as it was. What was on its way to
    /// the disk may be there or not, and nobody knows before the node has opened again.
    pub(crate) fn crashed(&mut self, at: usize, wiped: bool) {
        let node = &mut self.nodes[at];
        node.up = false;
        if wiped {
            node.storage = None;
            node.is_damaged = false;
            node.pending.clear();
        }
        node.now = node.storage.map_or(NOTHING, |storage| self.storages[storage].durable);
    }

    /// Whether a node has opened, and lives.
    pub(crate) fn is_up(&self, at: usize) -> bool {
        self.nodes[at].up
    }

    // Records.

    /// Before the records of a turn.
    pub(crate) fn begin_turn(&mut self, at: usize) {
        self.configuration_before = self.tree.entry(self.nodes[at].now.last).configuration;
        self.proposed.clear();
    }

    /// A node wants a record to be kept; `next` is the one behind it in the same turn.
    pub(crate) fn recorded(
        &mut self,
        at: usize,
        number: u64,
        record: &Record,
        next: Option<&Record>,
        findings: &mut Findings,
    ) {
        match record {
            // It is told once more by the life that has drawn it.
            Record::Incarnation(incarnation) => {
                let own = self.nodes[at].storage.map(|storage| self.storages[storage].incarnation);
                if own != Some(*incarnation) {
                    findings.broken("S2", || {
                        format!("{} takes the incarnation {incarnation}, and has another", name(at))
                    });
                }
            }
            Record::Ballot { term, vote } => self.balloted(at, term.0, vote.as_ref(), findings),
            Record::Entry { index, bytes } => self.appended(at, index.0, bytes, findings),
            Record::Truncate { behind } => {
                let next = match next {
                    Some(Record::Entry { index, bytes }) if index.0 == behind.0 + 1 => Follows::Entry(bytes),
                    _ => Follows::Nothing,
                };
                self.truncated(at, behind.0, next, findings);
            }
            Record::Base { last } => self.nodes[at].now.last = self.based(at, *last, findings),
        }
        let node = &mut self.nodes[at];
        node.pending.push_back((number, node.now));
    }

    /// The place of an entry, if it is committed.
    pub(crate) fn committed_at(&self, last: EntryId) -> Option<Place> {
        let place = self.committed_entry(last.index.0)?;
        (self.tree.entry(place).term == last.term.0).then_some(place)
    }

    /// A node has a snapshot in place of all entries up to this one, which must be committed.
    fn based(&self, at: usize, last: EntryId, findings: &mut Findings) -> Place {
        match self.committed_at(last) {
            Some(place) => place,
            None => {
                findings.broken("S13", || {
                    format!(
                        "{} takes a snapshot up to {last} for its log, and that is not committed",
                        name(at)
                    )
                });
                self.nodes[at].now.last
            }
        }
    }

    /// A storage comes into being.
    fn named(&mut self, at: usize, incarnation: Incarnation, findings: &mut Findings) -> Option<usize> {
        if self.storage_of(incarnation).is_some() {
            findings.broken("S2", || {
                format!("{} draws the incarnation {incarnation}, and somebody has that", name(at))
            });
            return None;
        }
        let storage = self.storages.len();
        self.nodes[at].storage = Some(storage);
        let durable = Image { is_named: true, ..NOTHING };
        self.storages.push(Storage { node: at, incarnation, durable, left: BTreeMap::new() });
        Some(storage)
    }

    fn balloted(&mut self, at: usize, term: u64, vote: Option<&NodeId>, findings: &mut Findings) {
        let vote = vote.map(|vote| self.node_of(vote).unwrap_or(NOBODY));
        let now = self.nodes[at].now;
        if term < now.term {
            findings.broken("S3", || format!("{} goes back from term {} to {term}", name(at), now.term));
        }
        if term == now.term && now.vote.is_some() && vote != now.vote {
            findings.broken("S2", || {
                let (node, former, later) = (name(at), voted(now.vote), voted(vote));
                format!("{node} changes its vote in term {term} from {former} to {later}")
            });
        }
        if term > now.term {
            self.nodes[at].entered = now.last;
        }
        self.nodes[at].now = Image { term, vote, ..now };
    }

    // The end of a turn.

    /// Where a node stands after a turn.
    pub(crate) fn stands(&mut self, at: usize, vitals: Vitals, findings: &mut Findings) {
        let (now, before) = (self.nodes[at].now, self.nodes[at].vitals);
        if vitals != before {
            self.check_steps(at, &before, &vitals, findings);
        }
        let last = self.tree.entry(now.last);
        if (vitals.term.0, vitals.last.index.0, vitals.last.term.0) != (now.term, last.index, last.term) {
            findings.broken("S4", || {
                format!(
                    "{} is in term {} with a log up to {}, but what it wants to be kept is term {} and {}@{}",
                    name(at),
                    vitals.term,
                    vitals.last,
                    now.term,
                    last.index,
                    last.term
                )
            });
        }
        if vitals.role == RoleName::Leader && vitals.term.0 == now.term {
            self.leads(at, findings);
        }
        if vitals.commit > before.commit {
            self.commits(at, &vitals, findings);
        }
        self.nodes[at].vitals = vitals;
        if !self.proposed.is_empty() {
            self.check_proposed(at, vitals.commit.0, findings);
        }
    }

    fn check_steps(&self, at: usize, before: &Vitals, vitals: &Vitals, findings: &mut Findings) {
        let steps = [
            ("term", before.term.0, vitals.term.0),
            ("commit index", before.commit.0, vitals.commit.0),
            ("applied index", before.applied.0, vitals.applied.0),
        ];
        for (what, from, to) in steps {
            if to < from {
                findings.broken("S3", || format!("the {what} of {} goes back from {from} to {to}", name(at)));
            }
        }
        if vitals.applied > vitals.commit || vitals.commit > vitals.last.index {
            findings.broken("S13", || {
                let Vitals { applied, commit, last, .. } = vitals;
                format!("{} has applied {applied}, committed {commit}, and its log ends at {last}", name(at))
            });
        }
    }

    /// A node has applied the log up to an index, and its state has this hash.
    pub(crate) fn applied(&mut self, at: usize, index: u64, hash: u128, findings: &mut Findings) {
        let behind = index.saturating_sub(self.origin);
        let place = usize::try_from(behind).expect("no run has so many entries");
        if self.hashes.len() <= place {
            self.hashes.resize(place + 1, None);
        }
        match &mut self.hashes[place] {
            Some(known) => {
                self.comparisons.hashes += 1;
                if *known != hash {
                    findings.broken("S11", || {
                        format!("the state of {} after entry {index} differs from another's", name(at))
                    });
                }
            }
            unknown => *unknown = Some(hash),
        }
    }

    /// The run is over.
    pub(crate) fn finished(&self, findings: &mut Findings) {
        let applied = self.nodes.iter().filter(|node| node.vitals.applied > Index(0)).count();
        if applied > 1 && self.comparisons.hashes == 0 {
            findings.broken("S11", || "no two states were ever compared".into());
        }
    }

    /// Whether this life of the node is in its seat, as committed: it has to have everything.
    pub(crate) fn is_seated(&self, at: usize) -> bool {
        let Some(storage) = self.nodes[at].storage else { return false };
        let Some((last, _)) = self.committed.last() else { return false };
        let incarnation = self.storages[storage].incarnation;
        self.members(self.tree.entry(*last).configuration).is_some_and(|members| {
            members.all().any(|(id, bound)| *id == self.names[at] && *bound == Some(incarnation))
        })
    }
}

/// For whom somebody has voted.
fn voted(vote: Option<usize>) -> String {
    match vote {
        None => "nobody".into(),
        Some(NOBODY) => "a stranger".into(),
        Some(node) => name(node),
    }
}
