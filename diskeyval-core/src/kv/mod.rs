//! The key/value state machine. It knows neither peers nor disks nor time.

mod alone;
mod command;
mod machine;
mod map;
mod sessions;
mod snapshot;
mod view;

pub use command::{Command, Expect, Outcome, Versioned};
pub(crate) use machine::{Applied, Checkpoint, Decision, Machine};
pub(crate) use sessions::{Owner, SessionId, Sessions, WINDOW};
pub(crate) use snapshot::{Corrupted, Decoder, Encoder, Snapshot};
pub use view::View;
