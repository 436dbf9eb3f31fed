//! See `fuzz/src/frames.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::frames::run(bytes));
