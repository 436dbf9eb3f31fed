//! The directory of a node whose cluster has lost its quorum for good: looked into, and gone on from.

use std::path::Path;

use diskeyval_core::Recovery;
use diskeyval_core::host::{self, RecoverError, Recovered};
use smol::unblock;

/// A directory that could be gone on from. As long as this lives, no node can be started there.
///
/// **For a cluster whose quorum is lost for good, and nothing else.** What the other nodes had acknowledged, and does not
/// stand here, is lost. Whatever stands here is kept, whether it was acknowledged or not. Should the others come back,
/// they and this node refuse each other.
#[derive(Debug)]
pub struct Recoverable(host::Recoverable);

impl Recoverable {
    /// Reads and verifies everything, and changes nothing. Where something is wrong, what can be told without it counts.
    ///
    /// # Errors
    /// Why it cannot be gone on from.
    ///
    /// # Cancellation
    /// It is read to its end on another thread, and let go.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Recoverable, RecoverError> {
        let dir = dir.as_ref().to_path_buf();
        unblock(move || host::Recoverable::open(dir)).await.map(Recoverable)
    }

    /// What its node would go on with.
    pub fn report(&self) -> &Recovery {
        self.0.report()
    }

    /// Has the node go on alone, as another life in another cluster, once it is started again. Killed at any time, this
    /// leaves the directory as it was, or as it is to be.
    ///
    /// # Errors
    /// The disk has failed, or is full.
    ///
    /// # Cancellation
    /// Once polled it takes its course on another thread, and holds the directory until it is done.
    pub async fn accept_data_loss(self) -> Result<Recovered, RecoverError> {
        unblock(move || self.0.accept_data_loss()).await
    }
}
