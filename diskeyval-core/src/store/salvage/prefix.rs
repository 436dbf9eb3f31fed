//! The longest part of a damaged log that can be verified, from its beginning on.
//!
//! An opening judges a log from its end, since nothing that was promised may be missing. Here it is known that something
//! is. So it is walked from its beginning: each run of flushes has to follow a flush that is there, or to begin at an
//! entry that the snapshot reflects. Then nothing is missing that counts.

use alloc::format;
use alloc::vec::Vec;

use super::{highest, of};
use crate::error::Damage;
use crate::id::{Incarnation, Index};
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
}

/// Takes all that was read, in its order. The snapshot reflects everything up to `covered`.
pub(super) fn prefix(runs: Vec<Scanned>, covered: Index) -> Prefix {
    let mut prefix = Prefix::default();
    for run in runs {
        let file = FileName::Segment(run.named.number);
        if let Some(first) = run.flushes.first() {
            let (previous, at) = (first.header.previous, first.header.at);
            let chain = &mut prefix.flushes;
            let begins = begins_behind(&run.flushes).filter(|end| *end <= covered);
            match (chain.iter().rposition(|flush| flush.header.number == previous), begins) {
                // What stands behind a recorded end is never read again.
                (Some(place), _) => chain.truncate(place + 1),
                (None, Some(end)) => {
                    chain.clear();
                    prefix.begins_behind = end;
                }
                (None, None) => {
                    let up_to = highest(&run.flushes);
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

/// The end of the log before some flushes, as far as they say.
fn begins_behind(flushes: &[Flush]) -> Option<Index> {
    flushes.iter().flat_map(|flush| &flush.records).find_map(|record| match record {
        Written::Head(head) => Some(Some(head.log_end)),
        Written::Entry { index, .. } => Some(index.0.checked_sub(1).map(Index)),
        Written::Truncate { .. } | Written::Base { .. } => Some(None),
        Written::Ballot { .. } | Written::Seal => None,
    })?
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
