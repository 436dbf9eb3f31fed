#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod checks;
pub mod history;
pub mod linear;
pub mod lines;
pub mod notes;
pub mod observe;
pub mod picture;
pub mod report;

pub use history::History;
pub use report::{Report, check};
