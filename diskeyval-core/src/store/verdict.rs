//! What the bytes of a log come to: which flushes count, which were never promised, and what is damage.
//!
//! The rules, each of which the tests enumerate:
//!
//! | What is found | What it is |
//! |---|---|
//! | whole flushes, each naming the one before it, then nothing but zeros | the end of the log |
//! | something that is no whole flush, and no later flush behind it in the last segment | a torn flush: never promised, cut off |
//! | something that is no whole flush, and a later flush behind it | damage: the later one was begun only when the earlier was durable |
//! | something that is no whole flush, and there or behind it a flush that belongs to another place | damage: no crash moves anything |
//! | no whole flush in the last segment | its first flush is torn: the segment before is the last; but what was durable when it was named must be there |
//! | what stands behind the flush that a later segment names as the one before its own first | never read again |
//! | no flush that a later segment names as the one before its own first | damage |
//! | a first flush of the oldest segment that begins behind what the snapshot covers | damage |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::FileName;
use super::format::{BLOCK, BLOCK_LEN, FlushNumber, Header, NoHeader, Salt, Written, decode_body};
use super::superblock::Named;
use crate::error::Damage;
use crate::id::Incarnation;
use crate::mutants::{Mutant, is};

/// A flush that was found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flush {
    pub(super) header: Header,
    pub(super) records: Vec<Written>,
}

/// A segment, read from its beginning as far as its flushes are whole.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    pub(super) named: Named,
    pub(super) flushes: Vec<Flush>,
    pub(super) stop: Stop,
}

/// Why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// There is nothing but zeros from here on.
    Blank { at: u64 },
    /// What stands here is no whole flush. `later`: where a flush stands that was begun after it.
    Torn { at: u64, what: String, later: Option<u64> },
}

/// Reads a segment.
pub(super) fn scan(named: Named, bytes: &[u8], salt: Salt, incarnation: Incarnation) -> Scanned {
    let mut flushes: Vec<Flush> = Vec::new();
    let mut at = 0;
    let stop = loop {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        match read_flush(named.number, &bytes[from..], at, salt, incarnation) {
            Ok(flush) if follows(&flushes, &flush.header) => {
                at = flush.header.end();
                flushes.push(flush);
            }
            Ok(flush) => {
                break torn(
                    named.number,
                    bytes,
                    at,
                    salt,
                    incarnation,
                    flush.header.number,
                    "a flush that does not follow the one before it".into(),
                );
            }
            Err(NoFlush { what, begun }) => {
                if is_blank(&bytes[from..]) {
                    break Stop::Blank { at };
                }
                let last = flushes.last().map(|flush| flush.header.number);
                let last = last.max(begun).unwrap_or_default();
                break torn(named.number, bytes, at, salt, incarnation, last, what);
            }
        }
    };
    Scanned { named, flushes, stop }
}

/// A whole segment may be: block by block, which is fast.
fn is_blank(bytes: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK_LEN] = [0; BLOCK_LEN];
    bytes.chunks(ZEROS.len()).all(|block| *block == ZEROS[..block.len()])
}

fn follows(flushes: &[Flush], header: &Header) -> bool {
    flushes.last().is_none_or(|last| header.previous == last.header.number)
}

/// What stands in the place of a whole flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoFlush {
    pub(super) what: String,
    /// The number of the flush that was begun there, if that can be read.
    pub(super) begun: Option<FlushNumber>,
}

/// The whole flush at a place of a segment, or what stands there instead. `rest` is what was read from there on.
pub(super) fn read_flush(
    segment: u64,
    rest: &[u8],
    at: u64,
    salt: Salt,
    incarnation: Incarnation,
) -> Result<Flush, NoFlush> {
    let nothing = |what: String| NoFlush { what, begun: None };
    let header = Header::decode(rest, salt, incarnation, segment, at).map_err(|why| {
        nothing(match why {
            NoHeader::Blank => "nothing but zeros".into(),
            NoHeader::Garbage => "no header of a flush".into(),
            NoHeader::Newer(format) => format!("a flush of format {format}"),
            NoHeader::Foreign { incarnation: its, segment, at } if its == incarnation => {
                format!("a flush that belongs to byte {at} of {}", FileName::Segment(segment))
            }
            NoHeader::Foreign { incarnation, .. } => {
                format!("a flush of another storage, of incarnation {incarnation}")
            }
        })
    })?;
    let begun = |what: String| NoFlush { what, begun: Some(header.number) };
    let number = header.number;
    let body =
        header.body(rest, salt).ok_or_else(|| begun(format!("the flush {number} with a wrong checksum")))?;
    let records = decode_body(body)
        .ok_or_else(|| begun(format!("the flush {number} with records that cannot be understood")))?;
    Ok(Flush { header, records })
}

/// Looks for a flush that was begun after what stands at `at`, or that is in the wrong place.
fn torn(
    segment: u64,
    bytes: &[u8],
    at: u64,
    salt: Salt,
    incarnation: Incarnation,
    last: FlushNumber,
    what: String,
) -> Stop {
    // A crash moves nothing: a header that belongs to another place has been lost from there. One of another storage
    // cannot be told from a value that looks like it, but no value stands at the beginning.
    let misplaced = |why: &NoHeader, place: u64| match why {
        NoHeader::Foreign { incarnation: its, .. } => *its == incarnation || place == 0,
        NoHeader::Blank | NoHeader::Garbage | NoHeader::Newer(_) => false,
    };
    let later = (at / BLOCK..)
        .map(|block| block * BLOCK)
        .take_while(|place| *place < bytes.len() as u64)
        .find(|place| {
            let from = usize::try_from(*place).unwrap_or(usize::MAX);
            let header = Header::decode(&bytes[from..], salt, incarnation, segment, *place);
            header.as_ref().map_or_else(|why| misplaced(why, *place), |header| header.number > last)
        });
    Stop::Torn { at, what, later }
}

/// The flushes that count, in their order, and what became of the end.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) flushes: Vec<Flush>,
    /// What was cut off because it was never promised: the segment, the place, and what stands there.
    pub(super) cut: Option<(u64, u64, String)>,
}

/// Judges all named segments, the oldest first.
pub(super) fn judge(segments: Vec<Scanned>) -> Result<Chain, Damage> {
    let mut cut = None;
    // What has to be there at least, by the superblock.
    let mut floor = FlushNumber::default();
    let mut rest = segments;
    // From the end: the last segment that has a whole flush is open, and all behind it are void.
    let mut chain: Vec<Vec<Flush>> = Vec::new();
    let mut wanted = loop {
        let Some(segment) = rest.pop() else {
            return if floor == FlushNumber::default() {
                Ok(Chain { flushes: Vec::new(), cut })
            } else {
                Err(missing(floor))
            };
        };
        if let Stop::Torn { at, what, later: Some(later) } = &segment.stop
            && !is(Mutant::HoleIsCut)
        {
            let what = format!("{what}, and a later flush at byte {later}");
            return Err(Damage { file: FileName::Segment(segment.named.number), at: *at, what });
        }
        if let Stop::Torn { at, what, .. } = &segment.stop {
            cut = Some((segment.named.number, *at, what.clone()));
        }
        floor = floor.max(segment.named.behind);
        if let Some(first) = segment.flushes.first() {
            let previous = first.header.previous;
            let last = segment.flushes.last().map_or(previous, |last| last.header.number);
            if last < floor && !is(Mutant::FloorIgnored) {
                return Err(ends_early(&segment, floor));
            }
            chain.push(segment.flushes);
            break previous;
        }
    };
    while let Some(mut segment) = rest.pop() {
        if segment.named.number != wanted.segment() {
            // Either it stands between two that follow each other, or it is what is wanted that is missing.
            if wanted.segment() > segment.named.number {
                return Err(missing(wanted));
            }
            continue;
        }
        let Some(place) = segment.flushes.iter().position(|flush| flush.header.number == wanted) else {
            return Err(ends_early(&segment, wanted));
        };
        // What stands behind a recorded end is never read again.
        segment.flushes.truncate(place + 1);
        wanted = segment.flushes[0].header.previous;
        chain.push(segment.flushes);
    }
    Ok(Chain { flushes: chain.into_iter().rev().flatten().collect(), cut })
}

fn ends_early(segment: &Scanned, wanted: FlushNumber) -> Damage {
    let (at, what) = match &segment.stop {
        Stop::Blank { at } => (*at, "nothing but zeros"),
        Stop::Torn { at, what, .. } => (*at, what.as_str()),
    };
    let what = format!("{what}, where the flush {wanted} was durable");
    Damage { file: FileName::Segment(segment.named.number), at, what }
}

fn missing(wanted: FlushNumber) -> Damage {
    let what = format!("the flush {wanted} was durable, and no file that is named holds it");
    Damage { file: FileName::Segment(wanted.segment()), at: 0, what }
}

#[cfg(test)]
mod tests;
