//! Where a member is dialled: what this node was told at its start, and what the cluster has kept.

use crate::config::Address;

/// Addresses, each tried until it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dials {
    first: Option<Address>,
    second: Option<Address>,
    is_second_next: bool,
}

impl Dials {
    /// What was said at the start comes before what is kept: it is how a cluster is told that all of it has moved.
    pub(super) fn to(listed: Option<&Address>, kept: Option<&Address>) -> Dials {
        let first = listed.or(kept).cloned();
        let second = kept.filter(|kept| Some(*kept) != first.as_ref()).cloned();
        Dials { first, second, is_second_next: false }
    }

    /// The same addresses, or others, of which the one is next that was.
    pub(super) fn renew(&mut self, listed: Option<&Address>, kept: Option<&Address>) {
        let next = self.next().cloned();
        *self = Dials::to(listed, kept);
        self.is_second_next = self.second.is_some() && self.second == next;
    }

    pub(super) fn next(&self) -> Option<&Address> {
        if self.is_second_next { self.second.as_ref() } else { self.first.as_ref() }
    }

    /// It came to nothing.
    pub(super) fn failed(&mut self) {
        self.is_second_next = !self.is_second_next && self.second.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        Address::new("localhost", port).expect("a good address")
    }

    #[test]
    fn both_addresses_are_tried_in_turn_and_what_was_said_at_the_start_comes_first() {
        let mut dials = Dials::to(Some(&at(1)), Some(&at(2)));
        let mut tried = alloc::vec::Vec::new();
        for _ in 0..3 {
            tried.push(dials.next().cloned());
            dials.failed();
        }
        assert_eq!(tried, [Some(at(1)), Some(at(2)), Some(at(1))]);
        dials.renew(Some(&at(1)), Some(&at(2)));
        assert_eq!(dials.next(), Some(&at(2)), "it goes on where it was");
        dials.renew(None, Some(&at(3)));
        assert_eq!(dials.next(), Some(&at(3)));
        dials.failed();
        assert_eq!(dials.next(), Some(&at(3)), "there is no other");
        assert_eq!(Dials::to(None, None).next(), None);
    }
}
