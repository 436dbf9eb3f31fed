//! See `fuzz/src/recovery.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::recovery::run(bytes));
