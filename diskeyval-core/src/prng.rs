//! The core's only source of chance: seeded, integers only, the same sequence for ever.
//!
//! xoshiro256++ by Blackman and Vigna (public domain), seeded through SplitMix64.

use core::time::Duration;

/// What all chance of one engine is drawn from.
///
/// Adapters draw it from the operating system at every start; a simulator draws it from its own seed.
/// It must not repeat between two starts of real nodes: incarnations and cluster ids come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// A seed for tests and simulations, spread out of one number.
    pub fn from_u64(number: u64) -> Seed {
        let mut state = number;
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        Seed(bytes)
    }
}

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Prng {
    state: [u64; 4],
}

impl Prng {
    pub(crate) fn new(seed: Seed) -> Prng {
        let mut state = [0u64; 4];
        for (word, chunk) in state.iter_mut().zip(seed.0.chunks_exact(8)) {
            for (shift, byte) in chunk.iter().enumerate() {
                *word |= u64::from(*byte) << (8 * shift);
            }
        }
        if state == [0; 4] {
            // The one state that the generator never leaves.
            return Prng::new(Seed::from_u64(0));
        }
        Prng { state }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// A number below `bound`, which is not zero. The bias is below 2^-32 for the bounds used here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// A time from `span` up to, but not including, twice that.
    pub(crate) fn once_to_twice(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX / 2).max(1);
        Duration::from_nanos(nanos.saturating_add(self.below(nanos)))
    }
}

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

    /// The first values of the reference implementation for the state 1, 2, 3, 4.
    #[test]
    fn the_sequence_is_the_reference_sequence() {
        let mut prng = Prng { state: [1, 2, 3, 4] };
        let first: [u64; 4] = core::array::from_fn(|_| prng.next_u64());
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    /// The first value of SplitMix64 for the seed 0, from its reference implementation.
    #[test]
    fn a_seed_spreads_as_split_mix_does() {
        assert_eq!(Seed::from_u64(0).0[..8], 0xe220_a839_7b1d_cdafu64.to_le_bytes());
    }

    #[test]
    fn a_span_is_drawn_from_once_to_twice() {
        let mut prng = Prng::new(Seed::from_u64(7));
        let span = Duration::from_millis(300);
        for _ in 0..1_000 {
            let drawn = prng.once_to_twice(span);
            assert!(drawn >= span && drawn < 2 * span, "{drawn:?}");
        }
    }

    #[test]
    fn a_seed_of_zeros_still_moves() {
        let mut prng = Prng::new(Seed([0; 32]));
        assert_ne!(prng.next_u64(), prng.next_u64());
    }
}
