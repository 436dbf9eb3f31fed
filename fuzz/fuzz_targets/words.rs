//! See `fuzz/src/words.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::words::run(bytes));
