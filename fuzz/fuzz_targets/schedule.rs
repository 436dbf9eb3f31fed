//! See `fuzz/src/schedule.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::schedule::run(bytes));
