//! The longest part of a damaged log that can be verified, from its beginning on.
//!
//! An opening judges a log from its end, since nothing that was promised may be missing. Here it is known that something
//! is. So it is walked from its beginning: each run of flushes has to follow a flush that is there, or to begin within
//! what the snapshot reflects. Then nothing is missing that counts.
//!
//! A run that begins exactly at the end of that does not show which entry it stood behind. Its first entry does, if it is
//! of the term of the snapshot: the leader of a term has one log. In the oldest segment it is what an opening takes.

use alloc::format;
use alloc::vec::Vec;

use super::{highest, of};
use crate::entry::Entry;
use crate::error::Damage;
use crate::id::{EntryId, Incarnation, Index};
use crate::store::FileName;
use crate::store::format::{BLOCK, Salt, Written};
use crate::store::superblock::Named;
use crate::store::verdict::{Flush, Scanned, Stop, read_flush};

/// What a damaged log comes to.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    /// The flushes that count.
    pub(super) flushes: Vec<Flush>,
    /// The end of the log before them.
    pub(super) begins_behind: Index,
    /// What keeps the others from it.
    pub(super) damages: Vec<Damage>,
    /// The highest entry in the others.
    pub(super) lost: Index,
}

/// Takes all that was read, in its order. The snapshot reflects everything up to `base`.
pub(super) fn prefix(runs: Vec<Scanned>, base: EntryId, oldest: Option<Named>) -> Prefix {
    let mut prefix = Prefix::default();
    for mut run in runs {
        let file = FileName::Segment(run.named.number);
        if let Some(first) = run.flushes.first() {
            let (previous, at) = (first.header.previous, first.header.at);
            let chain = &mut prefix.flushes;
            let is_oldest = at == 0 && oldest == Some(run.named);
            // What a log was given up for stands behind that.
            let begins = (0..run.flushes.len()).find_map(|from| {
                Some((from, begins_within(&run.flushes[from..], base, is_oldest && from == 0)?))
            });
            match (chain.iter().rposition(|flush| flush.header.number == previous), begins) {
                // What stands behind a recorded end is never read again.
                (Some(place), _) => chain.truncate(place + 1),
                (None, Some((from, end))) => {
                    run.flushes.drain(..from);
                    chain.clear();
                    (prefix.begins_behind, prefix.lost) = (end, Index(0));
                }
                (None, None) => {
                    let up_to = highest(&run.flushes);
                    prefix.lost = prefix.lost.max(up_to);
                    // What is behind something that is wrong in the same file needs no word of its own.
                    let is_told = prefix.damages.last().is_some_and(|last| last.file == file);
                    if up_to > Index(0) && !is_told {
                        let what = format!(
                            "entries up to {up_to} stand from here on, behind the flush {previous}, which cannot be read"
                        );
                        prefix.damages.push(of(file, at, what));
                    }
                    continue;
                }
            }
            chain.extend(run.flushes);
        }
        if let Stop::Torn { at, what, later: Some(later) } = run.stop {
            prefix.damages.push(of(file, at, format!("{what}, and a later flush at byte {later}")));
        }
    }
    prefix
}

/// The end of the log before some flushes, if the snapshot reflects everything up to there.
fn begins_within(flushes: &[Flush], base: EntryId, is_oldest: bool) -> Option<Index> {
    let mut at_its_end = false;
    for record in flushes.iter().flat_map(|flush| &flush.records) {
        let (behind, shows_it) = match record {
            Written::Head(head) => (head.log_end, is_oldest),
            Written::Entry { index, bytes } => {
                let is_of_its_term = |entry: Entry| entry.term == base.term;
                (Index(index.0.checked_sub(1)?), Entry::parse(bytes.clone()).is_ok_and(is_of_its_term))
            }
            // What is given up was behind that.
            Written::Truncate { behind } => (*behind, false),
            Written::Base { last } => (last.index, *last == base),
            Written::Ballot { .. } | Written::Seal => continue,
        };
        if behind < base.index || (behind == base.index && (shows_it || base == EntryId::default())) {
            return Some(if at_its_end { base.index } else { behind });
        }
        // A beginning may be followed by what shows it.
        at_its_end = behind == base.index && !matches!(record, Written::Entry { .. } | Written::Base { .. });
        if !at_its_end {
            return None;
        }
    }
    None
}

/// The runs of whole flushes in a segment from a place on, behind something that is none.
pub(super) fn runs_from(
    named: Named,
    bytes: &[u8],
    from: u64,
    salt: Salt,
    incarnation: Incarnation,
) -> Vec<Scanned> {
    let mut runs: Vec<Scanned> = Vec::new();
    let mut at = from;
    while let Some(rest) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).filter(|r| !r.is_empty()) {
        let Ok(flush) = read_flush(named.number, rest, at, salt, incarnation) else {
            at += BLOCK;
            continue;
        };
        at = flush.header.end();
        let last = runs.last_mut().and_then(|run| Some((run.flushes.last()?.header.number, run)));
        match last {
            Some((last, run)) if last == flush.header.previous => run.flushes.push(flush),
            _ => {
                runs.push(Scanned { named, flushes: alloc::vec![flush], stop: Stop::Blank { at } });
            }
        }
    }
    runs
}
