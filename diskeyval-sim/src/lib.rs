#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod builder;
mod checks;
pub mod choice;
mod clients;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod coverage;
pub mod draw;
pub mod faults;
pub mod history;
pub mod hunt;
pub mod images;
pub mod invariants;
pub mod linear;
pub mod lines;
pub mod notes;
pub mod observe;
pub mod picture;
pub mod plan;
pub mod program;
pub mod report;
pub mod run;
pub mod shrink;
#[cfg(feature = "proptest")]
pub mod strategies;
mod world;

pub use builder::Sim;
pub use history::History;
pub use report::{Report, check};
