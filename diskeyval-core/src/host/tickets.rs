//! Who waits for which answer of the engine.
#![expect(
    clippy::disallowed_types,
    reason = "a ticket is looked up, and at the end all are told, in no order"
)]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use crate::Ticket;

/// What a driver keeps for each request that the engine has not answered yet: whatever it is that the answer goes to.
#[derive(Debug)]
pub struct Tickets<R> {
    last: u64,
    waiting: HashMap<u64, R, BuildHasherDefault<Spread>>,
}

impl<R> Tickets<R> {
    /// The ticket under which a driver itself asks something. It is never issued.
    pub const OWN: Ticket = Ticket(0);

    /// A ticket of which there is only one, for whoever waits.
    pub fn issue(&mut self, who: R) -> Ticket {
        self.last += 1;
        self.waiting.insert(self.last, who);
        Ticket(self.last)
    }

    /// Who has waited for this answer, once.
    pub fn redeem(&mut self, ticket: Ticket) -> Option<R> {
        self.waiting.remove(&ticket.0)
    }

    /// All who still wait, in no order.
    pub fn all(&mut self) -> impl Iterator<Item = R> + use<R> {
        mem::take(&mut self.waiting).into_values()
    }
}

impl<R> Default for Tickets<R> {
    fn default() -> Tickets<R> {
        Tickets { last: 0, waiting: HashMap::default() }
    }
}

/// Tickets are our own numbers: nobody can choose them so that they collide, and two multiplications
/// less than SipHash has rounds are plenty.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte) ^ self.0);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The table takes its place from the low bits and its tag from the high ones.
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_one() {
        let mut tickets = Tickets::default();
        let (a, b) = (tickets.issue("a"), tickets.issue("b"));
        assert_ne!(a, b);
        assert_ne!(a, Tickets::<&str>::OWN);
        assert_eq!((tickets.redeem(b), tickets.redeem(b)), (Some("b"), None));
        assert!(tickets.all().eq(["a"]));
        assert_eq!(tickets.redeem(a), None);
    }
}
