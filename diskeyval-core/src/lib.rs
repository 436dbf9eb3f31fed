#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "host"))]
extern crate std;

mod config;
mod desk;
mod engine;
mod entry;
mod error;
mod explain;
mod few;
mod founding;
#[cfg(feature = "host")]
pub mod host;
mod id;
pub mod identity;
#[cfg(any(test, feature = "inspect"))]
pub mod inspect;
mod io;
mod kv;
mod members;
mod mesh;
#[cfg(not(feature = "mutants"))]
mod mutants;
#[cfg(feature = "mutants")]
pub mod mutants;
mod prng;
mod raft;
#[cfg(test)]
mod script;
mod status;
pub mod storage;
mod store;
mod time;
#[cfg(feature = "tls")]
pub mod tls;

pub use config::{
    Address, Config, Limits, MAX_CLUSTER_NAME, MAX_MEMBERS, Peer, Persistence, Settings, Tls, TlsFiles,
};
pub use engine::{Effects, Engine, Turn};
pub use error::{
    CloseReason, ConfigError, Damage, DialError, Doubt, Error, Fault, Hindrance, Obstacle, Refusal,
    StorageFault,
};
pub use explain::{Explanation, Finding, explain};
pub use id::{ClusterId, ConnId, DialId, EntryId, Incarnation, Index, NodeId, OpId, Term, Ticket};
pub use io::{
    Answer, Change, DiskDone, DiskError, DiskOp, Effect, Event, Input, Origin, Read, Recovery, Request,
};
pub use kv::{Command, Expect, Outcome, Versioned, View};
pub use members::{Member, MemberChange};
pub use prng::Seed;
pub use status::{CertificateStatus, Certificates, MemberStatus, Metrics, Part, RoleName, Standing, Status};
pub use store::{FileName, Record, gate};
pub use time::{Deadline, Instant, Timer};
