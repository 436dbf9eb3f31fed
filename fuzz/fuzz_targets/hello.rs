//! See `fuzz/src/hello.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| diskeyval_fuzz::hello::run(bytes));
