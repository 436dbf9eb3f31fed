#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod board;
#[cfg(feature = "dev-certs")]
mod cluster;
#[cfg(feature = "parsers")]
#[doc(hidden)]
pub mod command;
mod disk;
mod driver;
mod events;
mod net;
mod node;
mod notifier;
mod own_loop;
mod pending;
mod queue;
mod start;
mod tls;
mod typed;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "dev-certs")]
pub use cluster::{Cluster, ClusterError};
#[cfg(feature = "dev-certs")]
pub use diskeyval_core::host::certs;
pub use diskeyval_core::host::{
    Commit, Deleted, Notice, RecoverError, Recoverable, Recovered, RenewalError, StartError, Swap,
    TooManyWatchers,
};
pub use diskeyval_core::{
    Address, CertificateStatus, Certificates, Change, CloseReason, Command, Config, ConfigError, Damage,
    DialError, Doubt, Error, Event, Expect, Explanation, Fault, FileName, Finding, Hindrance, Limits, Member,
    MemberChange, MemberStatus, Metrics, NodeId, Obstacle, Outcome, Part, Peer, Persistence, Read, Recovery,
    Refusal, RoleName, Standing, Status, StorageFault, Term, Tls, TlsFiles, Versioned, View, explain,
    storage,
};
pub use events::Events;
pub use node::Node;
pub use notifier::SubscriptionId;
pub use own_loop::Driver;
pub use pending::Pending;
pub use typed::Typed;

/// Takes a lock. That another thread panicked while it held it is of no concern: each of our critical
/// sections leaves its data whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compiles and runs what the README at the top of the repository shows.
#[cfg(all(doctest, feature = "dev-certs", feature = "ring"))]
#[doc = include_str!("../../README.md")]
mod readme {}
