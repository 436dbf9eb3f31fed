//! See `fuzz/src/machine.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::machine::run(bytes));
