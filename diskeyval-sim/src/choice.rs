//! Where everything that happens by chance is drawn from: a seed, bytes, or all possibilities in turn.

/// A source of choices.
#[derive(Clone, Debug)]
pub struct Choices<'c> {
    source: Source<'c>,
}

#[derive(Clone, Debug)]
enum Source<'c> {
    Seed(u64),
    /// What is left of the bytes. Behind their end every choice is the first.
    Bytes(&'c [u8]),
    Counting {
        digits: Vec<Digit>,
        next: usize,
    },
}

/// One choice of an enumeration: which of how many.
#[derive(Clone, Copy, Debug)]
struct Digit {
    value: u64,
    bound: u64,
}

impl Choices<'static> {
    /// Choices that look random, and are the same for the same seed on every machine and for ever.
    pub fn from_seed(seed: u64) -> Choices<'static> {
        Choices { source: Source::Seed(seed) }
    }
}

impl<'c> Choices<'c> {
    /// Choices that are made by bytes, a fuzzer's say: small changes of the bytes are small changes of what
    /// happens, and no bytes at all are the simplest of all runs.
    pub fn from_bytes(bytes: &'c [u8]) -> Choices<'c> {
        Choices { source: Source::Bytes(bytes) }
    }

    /// One of `0..bound`.
    ///
    /// # Panics
    /// If there is nothing to choose from: `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there must be something to choose from");
        match &mut self.source {
            Source::Seed(state) => {
                let wide = u128::from(split_mix(state)) * u128::from(bound);
                u64::try_from(wide >> 64).expect("a number below the bound")
            }
            Source::Bytes(bytes) => {
                let wanted =
                    usize::try_from((u64::BITS - (bound - 1).leading_zeros()).div_ceil(8)).expect("small");
                let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
                *bytes = rest;
                taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)) % bound
            }
            Source::Counting { digits, next } => {
                if *next == digits.len() {
                    digits.push(Digit { value: 0, bound });
                }
                let digit = digits[*next];
                assert_eq!(digit.bound, bound, "an enumerated run must ask the same questions again");
                *next += 1;
                digit.value
            }
        }
    }

    /// One of `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// One of `0..bound`, as a place in a list.
    pub fn place(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("below a length")
    }

    /// True in `so_many` of `of` cases. The first choice, and so the simplest, is false.
    pub fn chance(&mut self, so_many: u64, of: u64) -> bool {
        self.below(of) >= of - so_many.min(of)
    }

    /// One of a list.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.place(list.len())]
    }
}

/// Calls something for every sequence of choices that it can make: what was a random test of something small becomes
/// a proof. Tells how many there are.
///
/// ```
/// let mut sums = std::collections::BTreeSet::new();
/// let runs = diskeyval_sim::choice::for_all(|choices| {
///     let dice = choices.below(3);
///     let more = if dice == 2 { choices.below(2) } else { 0 };
///     sums.insert(dice + more);
/// });
/// assert_eq!((runs, sums.len()), (4, 4));
/// ```
pub fn for_all(mut run: impl FnMut(&mut Choices<'static>)) -> u64 {
    let mut digits = Vec::new();
    let mut runs = 0;
    loop {
        let mut choices = Choices { source: Source::Counting { digits, next: 0 } };
        run(&mut choices);
        runs += 1;
        let Source::Counting { digits: used, .. } = choices.source else { unreachable!("it counts") };
        digits = used;
        while digits.pop_if(|last| last.value + 1 == last.bound).is_some() {}
        match digits.last_mut() {
            Some(last) => last.value += 1,
            None => return runs,
        }
    }
}

/// `SplitMix64` by Steele, Lea and Flood: the same sequence for ever.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_choices_for_ever() {
        let mut choices = Choices::from_seed(1);
        let drawn: Vec<u64> = (0..6).map(|_| choices.below(1000)).collect();
        assert_eq!(drawn, [566, 745, 971, 444, 444, 762]);
    }

    #[test]
    fn bytes_make_choices_until_they_end() {
        let mut choices = Choices::from_bytes(&[7, 1, 2, 255]);
        assert_eq!(choices.below(10), 7);
        assert_eq!(choices.below(1000), 0x201);
        assert_eq!(choices.below(1), 0, "nothing to choose, nothing taken");
        assert!(choices.chance(1, 256));
        assert_eq!(choices.below(10), 0);
        assert!(!choices.chance(1, 2));
    }

    #[test]
    fn every_sequence_comes_once() {
        let mut seen = std::collections::BTreeSet::new();
        let runs = for_all(|choices| {
            let word: Vec<u64> = (0..3).map(|place| choices.below(place + 1)).collect();
            assert!(seen.insert(word));
        });
        assert_eq!((runs, seen.len()), (6, 6));
    }
}
