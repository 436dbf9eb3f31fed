//! What of an old log is repeated at the beginning of a new segment, and what the old segments are good for then.

use super::format::{FlushNumber, Written};
use super::superblock::Named;
use super::verdict::Flush;
use super::wal::{Segment, Worth};
use crate::id::Index;

/// How many bytes of a last segment are repeated in the next.
const REPEATED: u64 = 64 << 10;

/// From which flush on everything is repeated: from the last, or from the first of its segment if that holds little, so
/// that segments do not add up with each start.
pub(super) fn first_to_repeat(flushes: &[Flush]) -> usize {
    let Some(last) = flushes.last() else { return 0 };
    let segment = last.header.number.segment();
    let first =
        flushes.iter().rposition(|flush| flush.header.number.segment() != segment).map_or(0, |at| at + 1);
    let size: u64 = flushes[first..].iter().map(|flush| flush.header.body_len).sum();
    if size <= REPEATED { first } else { flushes.len() - 1 }
}

/// What a segment is still good for, when everything behind a flush is repeated.
pub(super) fn worth_of(named: Named, chain: &[Flush], behind: FlushNumber) -> Segment {
    let mut segment = Segment { named, highest: Index(0), end: 0, worth: Worth::Nothing };
    for flush in chain.iter().filter(|flush| flush.header.number.segment() == named.number) {
        if flush.header.number > behind {
            if segment.worth == Worth::Nothing {
                segment.worth = Worth::Repeated;
            }
            break;
        }
        segment.worth = Worth::Counts;
        segment.end = flush.header.end();
        for record in &flush.records {
            if let Written::Entry { index, .. } = record {
                segment.highest = segment.highest.max(*index);
            }
        }
    }
    segment
}
