//! What a node has wanted to be kept, record by record, and what it may find of that when it starts again.

use std::collections::BTreeMap;

use bytes::Bytes;
use diskeyval_core::inspect::Said;
use diskeyval_core::{Engine, EntryId, Incarnation, NodeId, Record};
use xxhash_rust::xxh3::xxh3_128;

/// An entry, as far as one is told from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    term: u64,
    sum: u128,
}

impl Line {
    fn of(bytes: &Bytes) -> Line {
        let term = Said::parse(bytes.clone()).map_or(0, |said| said.term.0);
        Line { term, sum: xxh3_128(bytes) }
    }
}

/// What a node remembers: its ballot, and its log from the first entry on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) term: u64,
    pub(super) vote: Option<NodeId>,
    pub(super) log: Vec<Line>,
}

/// What all nodes have agreed on.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreed {
    pub(super) log: Vec<Line>,
    /// The hash of the state after an entry.
    hashes: BTreeMap<u64, u128>,
}

impl Agreed {
    /// A node has taken a turn, and remembers this.
    pub(super) fn note(&mut self, engine: &Engine, image: &Image) {
        let vitals = engine.vitals();
        let commit = usize::try_from(vitals.commit.0).expect("a short log").min(image.log.len());
        if commit > self.log.len() {
            let known = self.log.len();
            self.log.extend_from_slice(&image.log[known..commit]);
        }
        self.hashes.entry(vitals.applied.0).or_insert_with(|| engine.state_hash());
    }

    fn holds(&self, last: EntryId) -> bool {
        at(&self.log, last.index.0).is_some_and(|line| line.term == last.term.0)
    }
}

/// The entry of an index.
fn at(log: &[Line], index: u64) -> Option<&Line> {
    log.get(usize::try_from(index.checked_sub(1)?).ok()?)
}

impl Image {
    /// Takes a record in.
    pub(super) fn take(&mut self, record: &Record, agreed: &Agreed) {
        let place = |index: u64| usize::try_from(index).expect("a short log");
        match record {
            Record::Incarnation(_) => {}
            Record::Ballot { term, vote } => (self.term, self.vote) = (term.0, vote.clone()),
            Record::Entry { index, bytes } => {
                self.log.truncate(place(index.0 - 1));
                self.log.push(Line::of(bytes));
            }
            Record::Truncate { behind } => self.log.truncate(place(behind.0)),
            Record::Base { last } => {
                self.log = agreed.log[..place(last.index.0).min(agreed.log.len())].to_vec()
            }
        }
    }
}

/// What a node has found when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) incarnation: Incarnation,
    term: u64,
    vote: Option<NodeId>,
    base: EntryId,
    entries: Vec<Line>,
    /// The hash of the state after the base.
    hash: u128,
}

impl Found {
    /// `None`: it is not open yet.
    pub(super) fn of(engine: &Engine) -> Option<Found> {
        let mut found = Found {
            incarnation: Incarnation(0),
            term: 0,
            vote: None,
            base: EntryId::default(),
            entries: Vec::new(),
            hash: engine.state_hash(),
        };
        for record in engine.found()? {
            match record {
                Record::Incarnation(incarnation) => found.incarnation = *incarnation,
                Record::Ballot { term, vote } => (found.term, found.vote) = (term.0, vote.clone()),
                Record::Entry { bytes, .. } => found.entries.push(Line::of(bytes)),
                Record::Base { last } => found.base = *last,
                Record::Truncate { .. } => {}
            }
        }
        Some(found)
    }

    /// As one that has written all of it.
    pub(super) fn image(&self, agreed: &Agreed) -> Image {
        let base = usize::try_from(self.base.index.0).expect("a short log").min(agreed.log.len());
        let mut log = agreed.log[..base].to_vec();
        log.extend_from_slice(&self.entries);
        Image { term: self.term, vote: self.vote.clone(), log }
    }

    /// In a few words.
    pub(super) fn tell(&self) -> String {
        let vote = self.vote.as_ref().map_or("none".into(), ToString::to_string);
        let last = self.base.index.0 + self.entries.len() as u64;
        format!("term {}, vote {vote}, a log behind {} up to {last}", self.term, self.base)
    }

    /// Whether this is what a node that remembers `image` may find again.
    fn is(&self, image: &Image) -> bool {
        if (self.term, &self.vote) != (image.term, &image.vote) {
            return false;
        }
        let base = usize::try_from(self.base.index.0).unwrap_or(usize::MAX);
        let meets =
            base == 0 || at(&image.log, self.base.index.0).is_some_and(|line| line.term == self.base.term.0);
        if meets {
            return image.log.get(base..) == Some(&self.entries[..]);
        }
        // A snapshot of the leader's that the log does not know yet.
        self.entries.is_empty()
    }

    /// Whether this is one of the images that are legal, and which.
    pub(super) fn judge(&self, legal: &[Image], agreed: &Agreed) -> Result<usize, String> {
        if self.base != EntryId::default() {
            if !agreed.holds(self.base) {
                return Err(format!("S13: its snapshot is up to {}, which was never committed", self.base));
            }
            if agreed.hashes.get(&self.base.index.0).is_some_and(|hash| *hash != self.hash) {
                return Err(format!("S11: its snapshot up to {} holds another state", self.base));
            }
        }
        if let Some(place) = legal.iter().rposition(|image| self.is(image)) {
            return Ok(place);
        }
        let ballot = |image: &Image| (image.term, image.vote.clone()) == (self.term, self.vote.clone());
        let rule = if legal.iter().any(ballot) { "S15" } else { "S3" };
        let of = |image: &Image| {
            let vote = image.vote.as_ref().map_or("none".into(), ToString::to_string);
            format!("term {}, vote {vote}, a log up to {}", image.term, image.log.len())
        };
        let (durable, more) = (legal.first().map(of).unwrap_or_default(), legal.len().saturating_sub(1));
        Err(format!(
            "{rule}: it finds {}; durable was {durable}, and none of {more} behind that is it",
            self.tell()
        ))
    }
}
