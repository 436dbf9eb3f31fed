//! What fuzzing begins with, and what tests need of every kind.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use diskeyval_core::inspect::{Ear, Word};

use crate::write::{self, Scene};

/// Bytes that look random, and are the same for ever.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let words = std::iter::repeat_with(|| next().to_le_bytes());
    words.take(len.div_ceil(8)).flatten().take(len).collect()
}

/// A scene to speak in.
pub fn scene() -> Scene {
    let names = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
    Scene { term: 3, last: (7, 2), commit: 5, cluster: 9, names }
}

/// A good frame of each kind: its body.
///
/// # Panics
/// If some kind cannot be made.
pub fn every_word() -> BTreeMap<&'static str, Vec<u8>> {
    let mut words = BTreeMap::new();
    for seed in 0..100_000 {
        let Ok(body) = write::frame(&scene(), &mut Unstructured::new(&noise(seed, 400))) else { continue };
        let mut ear = Ear::default();
        ear.push(write::framed(&body).into());
        if let Some(word) = ear.next_word() {
            words.entry(word.kind()).or_insert(body);
        }
        if words.len() == Word::KINDS.len() {
            return words;
        }
    }
    let missing: Vec<_> = Word::KINDS.iter().filter(|kind| !words.contains_key(**kind)).collect();
    panic!("words of these kinds are never written: {missing:?}");
}
