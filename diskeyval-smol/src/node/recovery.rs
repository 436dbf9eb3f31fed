//! A node that goes on alone.

use std::time::Duration;

use diskeyval_core::{Answer, Error, Recovery, Request};
use tracing::warn;

use super::Node;

impl Node {
    /// Has this node go on alone, as another cluster, with whatever it holds: **for a cluster whose quorum is lost for good,
    /// and nothing else.** What the others had acknowledged and this node does not hold is lost. Should they come back with
    /// what they have, they and this node refuse each other. Tells what is kept, and what of it may never have been
    /// acknowledged. The revision leaps, and whoever listens is told to look at the state anew
    /// ([`Event::Resync`](crate::Event::Resync)).
    ///
    /// Afterwards others are taken in as in any cluster ([`add_learner`](Node::add_learner)). A node that is down, or whose
    /// files are damaged, is recovered by its directory: [`Recoverable`](crate::Recoverable).
    ///
    /// # Errors
    /// [`Refusal::NothingToRecover`](crate::Refusal::NothingToRecover): a leader is known, this node is the only voter,
    /// it holds nothing, or its disk has no room for the state. [`Error::Unknown`]: the node ended, or the time did, before what it goes on with was durable. It
    /// may have been done; ask again to find out.
    ///
    /// # Cancellation
    /// Nothing is asked for before the first poll. Once polled, it is never withdrawn: it takes its course, and dropping the
    /// future only means not to learn what became of it.
    #[doc(alias = "unsafe_recover")]
    pub async fn recover_accepting_data_loss(&self, timeout: Duration) -> Result<Recovery, Error> {
        let recovery =
            self.with_timeout(timeout)
                .ask(Request::Recover, |answer| {
                    if let Answer::Recovered(result) = answer { Some(result) } else { None }
                })
                .await?;
        let Recovery { node, former, cluster, kept, .. } = &recovery;
        warn!(%node, "it goes on alone as cluster {cluster}, with everything up to entry {kept} of {former}");
        Ok(recovery)
    }
}
