//! Persist before promise, by construction.
//!
//! A store answers each logical write with a [`Receipt`]. A claim that speaks of the write (a vote, an
//! acknowledgement) is sealed by [`Receipt::promise`], and nothing but a [`Durable`] witness opens it
//! again. Only a store's [`Ledger`] makes witnesses, when a sync has completed.
//!
//! ```
//! use diskeyval_core::gate::{Gate, Ledger};
//!
//! let mut ledger = Ledger::default();
//! let mut gate = Gate::default();
//! let receipt = ledger.record();
//! gate.hold(receipt.promise("my vote is yours"));
//! assert_eq!(gate.release(&ledger.synced(ledger.last())), ["my vote is yours"]);
//! ```
//!
//! What must not be done cannot be written. A claim cannot be taken out of its seal:
//!
//! ```compile_fail,E0616
//! # use diskeyval_core::gate::{Gate, Ledger};
//! let sealed = Ledger::default().record().promise("too early");
//! let spoken: &str = sealed.claim;
//! ```
//!
//! A bare claim does not pass the gate:
//!
//! ```compile_fail,E0308
//! # use diskeyval_core::gate::Gate;
//! let mut gate = Gate::default();
//! gate.hold("a claim without a receipt");
//! ```
//!
//! Neither a receipt nor a witness can be forged:
//!
//! ```compile_fail,E0423
//! # use diskeyval_core::gate::Durable;
//! let durable = Durable(7);
//! ```
//!
//! ```compile_fail,E0423
//! # use diskeyval_core::gate::Receipt;
//! let receipt = Receipt(7);
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Proof that the store has accepted a write; says nothing about the disk.
#[must_use]
#[derive(Clone, Debug)]
pub struct Receipt(u64);

impl Receipt {
    /// Seals a claim until the write that this receipt is for is durable.
    pub fn promise<T>(&self, claim: T) -> Promised<T> {
        Promised { after: self.0, claim }
    }

    /// The receipt for both writes: that of the later.
    pub fn and(&self, other: &Receipt) -> Receipt {
        Receipt(self.0.max(other.0))
    }
}

/// A claim under seal. There is no way to look inside.
#[must_use]
#[derive(Clone, Debug)]
pub struct Promised<T> {
    after: u64,
    claim: T,
}

/// Witness that every write up to some place is durable.
#[derive(Debug)]
pub struct Durable(u64);

impl Durable {
    /// Whether a write is among those that are durable.
    pub fn covers(&self, receipt: &Receipt) -> bool {
        receipt.0 <= self.0
    }
}

/// Numbers the writes of one store. The numbers never repeat, so that two writes of the same entry
/// cannot be taken for each other.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    last: u64,
}

impl Ledger {
    /// Notes a write that the store has accepted.
    pub fn record(&mut self) -> Receipt {
        self.last += 1;
        Receipt(self.last)
    }

    /// The receipt for everything that was there before the first write.
    pub fn opened(&self) -> Receipt {
        Receipt(0)
    }

    /// The number of the last write, counted from 1.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The witness for all writes up to a number: for the store to call when a sync has completed.
    pub fn synced(&self, up_to: u64) -> Durable {
        Durable(up_to.min(self.last))
    }
}

/// Where claims wait for the writes that they speak of.
#[derive(Clone, Debug)]
pub struct Gate<T> {
    held: VecDeque<Promised<T>>,
}

impl<T> Default for Gate<T> {
    fn default() -> Gate<T> {
        Gate { held: VecDeque::new() }
    }
}

impl<T> Gate<T> {
    /// Takes a claim in.
    pub fn hold(&mut self, promised: Promised<T>) {
        // Ordered by write, not by arrival: a claim on an old ballot does not wait for a new entry.
        let place = self.held.partition_point(|held| held.after <= promised.after);
        self.held.insert(place, promised);
    }

    /// Lets out every claim that the witness covers, in the order of their writes.
    pub fn release(&mut self, durable: &Durable) -> Vec<T> {
        let covered = self.held.partition_point(|held| held.after <= durable.0);
        self.held.drain(..covered).map(|held| held.claim).collect()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_waits_for_exactly_its_write() {
        let mut ledger = Ledger::default();
        let mut gate = Gate::default();
        let ballot = ledger.record();
        let early = ledger.synced(1);
        let entry = ledger.record();
        gate.hold(entry.promise("I have the entry"));
        gate.hold(ballot.promise("you have my vote"));
        assert_eq!(gate.release(&early), ["you have my vote"], "a later write does not hold it back");
        assert!(gate.release(&early).is_empty(), "the entry is not durable yet");
        assert_eq!(gate.release(&ledger.synced(ledger.last())), ["I have the entry"]);
        assert!(gate.is_empty());
    }
}
