//! See `fuzz/src/engine.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::engine::run(bytes));
