//! The table of verdicts, row by row, over segments that are made by hand.

use alloc::vec;

use super::super::format::{Head, encode};
use super::*;
use crate::id::{Index, NodeId, Term};

const SALT: Salt = Salt(3);
const OWN: Incarnation = Incarnation(1);
const SIZE: usize = 16 * BLOCK_LEN;

fn number(segment: u64, nth: u64) -> FlushNumber {
    FlushNumber(segment << 32 | nth)
}

/// A segment under construction.
struct Made {
    named: Named,
    bytes: Vec<u8>,
    /// Where each flush begins, and where the next would.
    places: Vec<usize>,
    last: FlushNumber,
}

impl Made {
    /// A segment whose first flush follows `previous`, with so many flushes in all.
    fn new(segment: u64, previous: FlushNumber, flushes: u64) -> Made {
        let named = Named { number: segment, size: SIZE as u64, behind: previous };
        let mut made = Made { named, bytes: vec![0; SIZE], places: vec![0], last: previous };
        (1..=flushes).for_each(|nth| made.push(number(segment, nth)));
        made
    }

    fn push(&mut self, flush: FlushNumber) {
        let at = self.places[self.places.len() - 1];
        let head = Head {
            node: NodeId::new("n").expect("a name"),
            incarnation: OWN,
            generation: 1,
            log_end: Index(0),
        };
        let records = match at {
            0 => vec![Written::Head(head), Written::Ballot { term: Term(1), vote: None }],
            _ => vec![Written::Seal],
        };
        let (header, parts) = encode(SALT, OWN, (flush, self.last), at as u64, &records);
        let flush_bytes = parts.concat();
        self.bytes[at..at + flush_bytes.len()].copy_from_slice(&flush_bytes);
        self.places.push(usize::try_from(header.end()).expect("small"));
        self.last = flush;
    }

    /// A byte of the body of the nth flush is another.
    fn spoil(mut self, nth: usize) -> Made {
        self.bytes[self.places[nth] + 82] ^= 1;
        self
    }

    /// The nth flush is gone: zeros.
    fn blank(mut self, nth: usize) -> Made {
        let (from, to) = (self.places[nth], self.places[nth + 1]);
        self.bytes[from..to].fill(0);
        self
    }
}

fn verdict(made: Vec<Made>) -> Result<Vec<FlushNumber>, (FileName, u64)> {
    let scanned = made.iter().map(|made| scan(made.named, &made.bytes, SALT, OWN)).collect();
    match judge(scanned) {
        Ok(chain) => Ok(chain.flushes.iter().map(|flush| flush.header.number).collect()),
        Err(damage) => Err((damage.file, damage.at)),
    }
}

fn flushes(segment: u64, upto: u64) -> Vec<FlushNumber> {
    (1..=upto).map(|nth| number(segment, nth)).collect()
}

const NONE: FlushNumber = FlushNumber(0);

#[test]
fn whole_flushes_and_zeros_are_a_log() {
    assert_eq!(verdict(vec![Made::new(1, NONE, 3)]), Ok(flushes(1, 3)));
    assert_eq!(verdict(vec![Made::new(1, NONE, 0)]), Ok(vec![]), "nothing was written yet");
    let both = vec![Made::new(1, NONE, 2), Made::new(2, number(1, 2), 1)];
    assert_eq!(verdict(both), Ok([flushes(1, 2), flushes(2, 1)].concat()));
}

#[test]
fn a_torn_last_flush_is_cut_and_a_hole_before_a_later_one_is_damage() {
    // Each flush of four, spoilt or gone: the last may be, the others may not.
    for nth in 0..4 {
        for spoil in [Made::spoil, Made::blank] {
            let found = verdict(vec![spoil(Made::new(1, NONE, 4), nth)]);
            match nth {
                3 => assert_eq!(found, Ok(flushes(1, 3))),
                _ => assert_eq!(found, Err((FileName::Segment(1), nth as u64 * BLOCK)), "flush {nth}"),
            }
        }
    }
}

/// Its first sector is in the place of another's: of the last two of a segment, nothing else would tell.
#[test]
fn flushes_whose_beginnings_are_swapped_are_damage() {
    let block = usize::try_from(BLOCK).expect("small");
    for nth in 0..3 {
        let mut made = Made::new(2, number(1, 2), 4);
        let (first, second) = made.bytes.split_at_mut((nth + 1) * block);
        first[nth * block..nth * block + 512].swap_with_slice(&mut second[..512]);
        let found = verdict(vec![Made::new(1, NONE, 2), made]);
        assert_eq!(found, Err((FileName::Segment(2), nth as u64 * BLOCK)), "flush {nth}");
    }
}

#[test]
fn a_last_segment_of_another_storage_is_damage() {
    let mut foreign = Made::new(2, number(1, 2), 3);
    let (whole, foreign_bytes) = (foreign.bytes.clone(), &mut foreign.bytes);
    // Its salt is another, too.
    for at in (0..whole.len()).step_by(usize::try_from(BLOCK).expect("small")) {
        if whole[at] != 0 {
            foreign_bytes[at + 48..at + 80].fill(0x11);
        }
    }
    assert_eq!(verdict(vec![Made::new(1, NONE, 2), foreign]), Err((FileName::Segment(2), 0)));
}

#[test]
fn garbage_behind_the_end_is_cut() {
    let mut made = Made::new(1, NONE, 2);
    let end = made.places[2];
    made.bytes[end + 5000..end + 5100].fill(7);
    assert_eq!(verdict(vec![made]), Ok(flushes(1, 2)));
}

#[test]
fn a_segment_whose_first_flush_is_torn_is_void_and_what_was_durable_before_it_is_asked_for() {
    for spoil in [Made::spoil, Made::blank] {
        // Named when flush 3 of the segment before was durable.
        let void = || spoil(Made::new(2, number(1, 3), 1), 0);
        assert_eq!(verdict(vec![Made::new(1, NONE, 3), void()]), Ok(flushes(1, 3)));
        let found = verdict(vec![Made::new(1, NONE, 3).spoil(2), void()]);
        assert_eq!(found, Err((FileName::Segment(1), 2 * BLOCK)), "that one was promised");
        // An opening names a segment while the last flush of the one before may be torn.
        let void = || spoil(Made::new(2, number(1, 2), 1), 0);
        assert_eq!(verdict(vec![Made::new(1, NONE, 3).spoil(2), void()]), Ok(flushes(1, 2)));
        let found = verdict(vec![Made::new(1, NONE, 3).spoil(1), void()]);
        assert_eq!(found, Err((FileName::Segment(1), BLOCK)));
        assert!(verdict(vec![void()]).is_err(), "the segment before is gone");
    }
}

#[test]
fn what_stands_behind_a_recorded_end_is_not_read() {
    // The opening that made segment 2 took flush 2 for the last that was surely durable.
    let next = || Made::new(2, number(1, 2), 2);
    let expected = Ok([flushes(1, 2), flushes(2, 2)].concat());
    assert_eq!(verdict(vec![Made::new(1, NONE, 4), next()]), expected);
    for nth in 0..4 {
        let found = verdict(vec![Made::new(1, NONE, 4).spoil(nth), next()]);
        match nth {
            0 | 1 => assert_eq!(found, Err((FileName::Segment(1), nth as u64 * BLOCK))),
            _ => assert_eq!(found, expected, "flush {nth} is not asked for"),
        }
    }
}

#[test]
fn a_segment_between_two_that_follow_each_other_is_not_read() {
    let three = |middle: Made| vec![Made::new(1, NONE, 2), middle, Made::new(3, number(1, 1), 2)];
    let expected = Ok([flushes(1, 1), flushes(3, 2)].concat());
    assert_eq!(verdict(three(Made::new(2, number(1, 1), 1))), expected);
    assert_eq!(verdict(three(Made::new(2, number(1, 1), 1).spoil(0))), expected);
}

#[test]
fn a_segment_that_is_followed_and_not_there_is_damage() {
    let found = verdict(vec![Made::new(1, NONE, 2), Made::new(3, number(2, 1), 1)]);
    assert_eq!(found, Err((FileName::Segment(2), 0)));
    // The oldest that is named may follow one that was given up.
    assert_eq!(verdict(vec![Made::new(3, number(2, 1), 1)]), Ok(flushes(3, 1)));
}

/// A header of a lower number behind one of a higher is no later flush: numbers only ascend.
#[test]
fn a_lower_number_behind_a_higher_is_garbage() {
    let old = Made::new(1, NONE, 4);
    let mut made = Made::new(1, NONE, 1);
    // A second flush with a high number is torn, and behind it stands what an older flush has left.
    made.push(number(1, 9));
    let torn = made.places[1];
    let mut made = made.spoil(1);
    let block = usize::try_from(BLOCK).expect("small");
    made.bytes[torn + 2 * block..torn + 3 * block].copy_from_slice(&old.bytes[3 * block..4 * block]);
    assert_eq!(verdict(vec![made]), Ok(flushes(1, 1)));
}
