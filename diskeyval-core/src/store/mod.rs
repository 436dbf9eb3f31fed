//! Where ballots and entries are kept: logical writes in, receipts out.
//!
//! In memory-only mode a write is durable as soon as it is made, for the life of the process: the node
//! draws a new incarnation at every start, so nobody relies on what an earlier one promised.

pub mod gate;

use gate::{Durable, Ledger, Receipt};

/// The store of a memory-only node. The ballot and the entries themselves live in `raft/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    ledger: Ledger,
}

impl Store {
    /// Keeps term and vote.
    pub(crate) fn save_ballot(&mut self) -> Receipt {
        self.ledger.record()
    }

    /// Keeps new entries at the end of the log.
    pub(crate) fn append(&mut self) -> Receipt {
        self.ledger.record()
    }

    /// Gives up the end of the log.
    pub(crate) fn truncate(&mut self) -> Receipt {
        self.ledger.record()
    }

    /// Makes everything durable that was written so far.
    pub(crate) fn sync(&mut self) -> Durable {
        self.ledger.synced()
    }
}
