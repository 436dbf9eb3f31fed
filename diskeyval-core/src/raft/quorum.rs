//! The arithmetic of majorities, and nothing else.

use crate::config::MAX_MEMBERS;
use crate::id::{Incarnation, NodeId};
use crate::members::Half;

/// The highest value that a majority of each half has reached. Of the values those count that are of its voters; only a
/// mutant is content with some voters fewer.
pub(crate) fn reached<'h, 'v, T: Ord + Copy>(
    halves: impl Iterator<Item = Half<'h>>,
    values: impl Iterator<Item = (&'v NodeId, Incarnation, T)> + Clone,
    missing: usize,
) -> Option<T> {
    let each = halves.map(|half| {
        let of_half = values.clone().filter(|(id, incarnation, _)| half.counts(id, *incarnation));
        let missing = if half.len() > 1 { missing } else { 0 };
        reached_by(of_half.map(|(_, _, value)| value), half.quorum() - missing)
    });
    each.min().flatten()
}

/// The highest value that at least `quorum` members have reached. Those of whom nothing is known are
/// not among the values. No cluster has more than [`MAX_MEMBERS`].
fn reached_by<T: Ord + Copy>(values: impl Iterator<Item = T>, quorum: usize) -> Option<T> {
    let mut highest_first: [Option<T>; MAX_MEMBERS] = [None; MAX_MEMBERS];
    let mut known = 0;
    for (place, value) in highest_first.iter_mut().zip(values) {
        *place = Some(value);
        known += 1;
    }
    let known = &mut highest_first[..known];
    known.sort_unstable_by(|left, right| right.cmp(left));
    known.get(quorum.checked_sub(1)?).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Every configuration of up to seven members with every vector of values from 0 to 3, against a
    /// definition that counts.
    #[test]
    fn it_agrees_with_counting_in_all_small_cases() {
        for members in 1..=7usize {
            let quorum = members / 2 + 1;
            for known in 0..=u32::try_from(members).expect("small") {
                for code in 0..4usize.pow(known) {
                    let values: Vec<usize> = (0..known).map(|n| code / 4usize.pow(n) % 4).collect();
                    let counted = (0..4).rev().find(|v| values.iter().filter(|x| *x >= v).count() >= quorum);
                    assert_eq!(
                        reached_by(values.iter().copied(), quorum),
                        counted,
                        "{values:?} of {members}"
                    );
                }
            }
        }
    }
}
