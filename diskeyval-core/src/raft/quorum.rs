//! The arithmetic of majorities, and nothing else.

use alloc::vec::Vec;

/// The highest value that at least `quorum` members have reached. Those of whom nothing is known are
/// not listed.
pub(crate) fn reached_by<T: Ord + Copy>(mut values: Vec<T>, quorum: usize) -> Option<T> {
    if quorum == 0 || values.len() < quorum {
        return None;
    }
    values.sort_unstable();
    Some(values[values.len() - quorum])
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    assert_eq!(reached_by(values.clone(), quorum), counted, "{values:?} of {members}");
                }
            }
        }
    }
}
