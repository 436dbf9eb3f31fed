//! What every adapter needs of the machine below it, and would otherwise write anew: a clock, a directory and its files,
//! certificates, the way from a configuration to what a node is made of, and the words for what goes wrong there.
//!
//! This is the one part of the crate that asks an operating system for something, and it is there with the feature `host`
//! alone. Nothing else in the crate knows of it, the engine least of all. Whoever drives the engine by other means leaves it
//! out. Sockets, sessions, threads and tasks are the adapter's own.

mod answers;
#[cfg(feature = "dev-certs")]
pub mod certs;
mod clock;
mod directory;
mod error;
mod files;
mod journal;
mod notice;
mod recover;
mod renewal;
mod start;
mod tickets;
mod visitors;
mod worker;

pub use answers::{Commit, Deleted, Swap, decode, encode};
pub use clock::Clock;
pub use directory::Directory;
pub use error::StartError;
pub use files::{Files, Perform, belongs_to, verb};
pub use journal::Journal;
pub use notice::{Backlog, Notice, TooManyWatchers};
pub use recover::{RecoverError, Recoverable, Recovered};
pub use renewal::{Expiries, Renewal, RenewalError};
pub use start::{Ground, bind, prepare, resolve};
pub use tickets::Tickets;
pub use visitors::Visitors;
pub use worker::{DiskReport, Worker, text_of};
