#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alarm;
mod bell;
mod board;
#[cfg(feature = "dev-certs")]
mod cluster;
mod disk;
mod driver;
mod events;
mod net;
mod node;
mod pending;
mod queue;
mod recover;
mod start;
mod typed;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "dev-certs")]
pub use cluster::{Cluster, ClusterError};
#[cfg(feature = "dev-certs")]
pub use diskeyval_core::host::certs;
pub use diskeyval_core::host::{
    Commit, Deleted, Notice, RecoverError, Recovered, RenewalError, StartError, Swap, TooManyWatchers,
};
pub use diskeyval_core::{
    Address, CertificateStatus, Certificates, Change, CloseReason, Command, Config, ConfigError, Damage,
    DialError, Doubt, Error, Event, Expect, Explanation, Fault, FileName, Finding, Hindrance, Limits, Member,
    MemberChange, MemberStatus, Metrics, NodeId, Obstacle, Outcome, Part, Peer, Persistence, Read, Recovery,
    Refusal, RoleName, Standing, Status, StorageFault, Term, Tls, TlsFiles, Versioned, View, explain,
    storage,
};
pub use driver::Driver;
pub use events::Events;
pub use node::Node;
pub use pending::Pending;
pub use recover::Recoverable;
pub use typed::Typed;

/// Takes a lock, which nobody holds while waiting for anything (but for files of certificates: that lock is taken where
/// waiting is no harm). That another thread panicked while it held it is of no
/// concern: each of our critical sections leaves its data whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
