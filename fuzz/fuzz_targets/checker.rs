//! See `fuzz/src/checker.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::checker::run(bytes));
