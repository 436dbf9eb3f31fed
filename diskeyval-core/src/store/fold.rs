//! What the records of a log come to, one after the other: a ballot, and entries behind a snapshot.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::FileName;
use super::format::Written;
use super::superblock::Named;
use super::verdict::Flush;
use crate::entry::Entry;
use crate::error::Damage;
use crate::id::{EntryId, Index, NodeId, Term};

/// What records come to, one after the other.
#[derive(Debug)]
pub(super) struct Fold {
    base: EntryId,
    pub(super) term: Term,
    pub(super) vote: Option<NodeId>,
    pub(super) log_end: Index,
    /// The entries up to `log_end`, from the first that is known of.
    entries: VecDeque<Bytes>,
    first: Option<Named>,
}

impl Fold {
    pub(super) fn new(base: EntryId, first: Option<Named>) -> Fold {
        Fold { base, term: Term(0), vote: None, log_end: Index(0), entries: Default::default(), first }
    }

    /// The log begins behind this entry, as is known before its first record is.
    pub(super) fn begin_behind(&mut self, end: Index) {
        self.log_end = end;
        self.first = None;
    }

    /// The end of the log before a flush.
    pub(super) fn end_before(&self, flush: &Flush) -> Index {
        match flush.records.first() {
            Some(Written::Head(head)) => head.log_end,
            _ => self.log_end,
        }
    }

    pub(super) fn take(&mut self, flush: &Flush) -> Result<(), Damage> {
        for record in &flush.records {
            self.take_record(record).map_err(|what| Damage {
                file: FileName::Segment(flush.header.number.segment()),
                at: flush.header.at,
                what,
            })?;
        }
        Ok(())
    }

    fn take_record(&mut self, record: &Written) -> Result<(), String> {
        match record {
            Written::Head(head) => {
                if self.first.take().is_some() {
                    if head.log_end > self.base.index {
                        let (end, base) = (head.log_end, self.base.index);
                        return Err(format!("the log goes on behind entry {end}, and is known up to {base}"));
                    }
                    self.log_end = head.log_end;
                } else if head.log_end != self.log_end {
                    let (end, own) = (head.log_end, self.log_end);
                    return Err(format!("the log goes on behind entry {end}, and ends with {own}"));
                }
            }
            Written::Ballot { term, vote } => {
                if *term < self.term {
                    return Err(format!("term {term} behind term {}", self.term));
                }
                if *term == self.term && self.vote.is_some() && *vote != self.vote {
                    return Err(format!("another vote in term {term}"));
                }
                (self.term, self.vote) = (*term, vote.clone());
            }
            Written::Entry { index, bytes } => {
                if *index != self.log_end.next() {
                    return Err(format!("entry {index} behind entry {}", self.log_end));
                }
                self.log_end = *index;
                self.entries.push_back(bytes.clone());
            }
            Written::Truncate { behind } => {
                let Some(gone) = self.log_end.0.checked_sub(behind.0) else {
                    return Err(format!(
                        "the end behind {behind} given up, and the log ends with {}",
                        self.log_end
                    ));
                };
                let keep = self.entries.len().saturating_sub(usize::try_from(gone).unwrap_or(usize::MAX));
                self.entries.truncate(keep);
                self.log_end = *behind;
            }
            Written::Seal => {}
            Written::Base { last } => {
                if last.index > self.base.index {
                    return Err(format!("a snapshot up to {last}, and there is one up to {}", self.base));
                }
                self.entries.clear();
                self.log_end = last.index;
            }
        }
        Ok(())
    }

    /// The entries behind the base. `None`: the log does not hold the last entry of the snapshot.
    pub(super) fn behind_base(&mut self) -> Option<Vec<Bytes>> {
        let behind = usize::try_from(self.log_end.0.checked_sub(self.base.index.0)?).ok()?;
        if behind > self.entries.len() {
            // Entries between the two are missing, which the first head has excluded.
            return None;
        }
        let place = self.entries.len() - behind;
        if let Some(last) = place.checked_sub(1)
            && self.base != EntryId::default()
        {
            let held = Entry::parse(self.entries[last].clone()).ok()?;
            if held.term != self.base.term {
                return None;
            }
        }
        Some(self.entries.range(place..).cloned().collect())
    }
}
