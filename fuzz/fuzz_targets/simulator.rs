//! See `fuzz/src/simulator.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::simulator::run(bytes));
