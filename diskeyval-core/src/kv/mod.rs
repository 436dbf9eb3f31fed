//! The key/value state machine. It knows neither peers nor disks nor time.

mod command;
mod machine;
mod map;
mod sessions;
mod snapshot;
mod view;

pub use command::{Command, Expect, Outcome, Versioned};
pub(crate) use machine::{Applied, Checkpoint, Decision, Machine};
pub(crate) use sessions::{Owner, SessionId, WINDOW};
pub(crate) use snapshot::{Corrupted, Decoder, Encoder, NotASnapshot, Snapshot};
pub use view::View;
