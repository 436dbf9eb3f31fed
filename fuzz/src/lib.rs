//! What the fuzz targets do with their bytes. Each is a function, so that a plain test replays what was found, without a
//! fuzzer; `docs/src/fuzzing.md` says how to run them.
//!
//! A target panics if what must hold does not. Bytes that are of no use to it are no failure.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod checker;
pub mod command;
pub mod directory;
pub mod engine;
pub mod frames;
pub mod hello;
pub mod history;
pub mod machine;
pub mod recovery;
pub mod schedule;
pub mod seeds;
pub mod simulator;
pub mod state;
pub mod words;
pub mod write;

/// A target: its name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. Each has a file in `fuzz_targets` and a folder in `corpus`, both of its name.
pub const TARGETS: &[Target] = &[
    ("certificate", certificate::run),
    ("checker", checker::run),
    ("command", command::run),
    ("engine", engine::run),
    ("frames", frames::run),
    ("hello", hello::run),
    ("history", history::run),
    ("machine", machine::run),
    ("recovery", recovery::run),
    ("schedule", schedule::run),
    ("simulator", simulator::run),
    ("state", state::run),
    ("words", words::run),
];
