//! See `fuzz/src/certificate.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::certificate::run(bytes));
