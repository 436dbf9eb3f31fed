//! Who counts: the membership as a list of seats, and before the founding a list of names.
//!
//! A voter is a name *and* an incarnation. An empty seat counts in the size of a quorum, and nothing
//! counts for it. Who counts is decided by the one who counts, from its own configuration.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::config::MAX_MEMBERS;
use crate::id::{EntryId, Incarnation, NodeId};
use crate::mutants::{Mutant, is};

/// What the members of a cluster keep their log in. Kinds do not mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StorageKind {
    /// The log lives as long as the process.
    Memory,
    /// The log outlives it.
    Disk,
}

/// A place in the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    pub(crate) id: NodeId,
    /// The incarnation that the seat is bound to; `None` while it is empty.
    pub(crate) bound: Option<Incarnation>,
}

/// The members of a founded cluster, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) seats: Vec<Seat>,
}

impl Membership {
    pub(crate) fn is_valid(&self) -> bool {
        let sorted = self.seats.windows(2).all(|pair| pair[0].id < pair[1].id);
        sorted && (1..=MAX_MEMBERS).contains(&self.seats.len())
    }

    /// Whether there is a majority without any one of them.
    pub(crate) fn can_do_without_one(&self) -> bool {
        self.seats.len() >= 3
    }

    pub(crate) fn seat(&self, id: &NodeId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == *id)
    }

    /// Whether this incarnation is in the seat of this name.
    pub(crate) fn names(&self, id: &NodeId, incarnation: Incarnation) -> bool {
        self.seat(id).is_some_and(|seat| seat.bound == Some(incarnation))
    }

    /// The same, with another life in a seat, or none.
    pub(crate) fn with_seat(&self, id: &NodeId, bound: Option<Incarnation>) -> Membership {
        let mut members = self.clone();
        for seat in members.seats.iter_mut().filter(|seat| seat.id == *id) {
            seat.bound = bound;
        }
        members
    }
}

/// The configuration in force on a node: the latest in its log, whether committed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Configuration<'c> {
    /// The log is empty: the initial members, by name.
    ByName(&'c [NodeId]),
    /// The entry that brought it in, and the seats.
    Seats(EntryId, &'c Membership),
}

impl<'c> Configuration<'c> {
    /// How many members there are, empty seats included.
    pub(crate) fn len(&self) -> usize {
        match self {
            Configuration::ByName(names) => names.len(),
            Configuration::Seats(_, members) => members.seats.len(),
        }
    }

    /// How many members are a majority.
    pub(crate) fn quorum(&self) -> usize {
        self.len() / 2 + usize::from(!self.len().is_multiple_of(2) || !is(Mutant::HalfIsMajority))
    }

    /// Whether a vote or an acknowledgement of this incarnation counts.
    pub(crate) fn counts(&self, id: &NodeId, incarnation: Incarnation) -> bool {
        match self {
            Configuration::ByName(names) => names.contains(id),
            Configuration::Seats(_, members) => {
                members.names(id, incarnation)
                    || members.seat(id).is_some_and(|seat| match seat.bound {
                        Some(_) => is(Mutant::AnotherLifeCounts),
                        None => is(Mutant::EmptySeatCounts),
                    })
            }
        }
    }

    /// Whether this is the name of a member, in whatever life.
    pub(crate) fn has_name(&self, id: &NodeId) -> bool {
        match self {
            Configuration::ByName(names) => names.contains(id),
            Configuration::Seats(_, members) => members.seat(id).is_some(),
        }
    }

    /// The entry that brought it in; zero before the founding.
    pub(crate) fn entry(&self) -> EntryId {
        match self {
            Configuration::ByName(_) => EntryId::default(),
            Configuration::Seats(entry, _) => *entry,
        }
    }

    /// The names of the members.
    pub(crate) fn names(self) -> impl Iterator<Item = &'c NodeId> {
        let (names, seats): (&[NodeId], &[Seat]) = match self {
            Configuration::ByName(names) => (names, &[]),
            Configuration::Seats(_, members) => (&[], &members.seats),
        };
        names.iter().chain(seats.iter().map(|seat| &seat.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a good name")
    }

    fn seats(bound: &[(&str, Option<u128>)]) -> Membership {
        let seat =
            |(name, bound): &(&str, Option<u128>)| Seat { id: id(name), bound: bound.map(Incarnation) };
        Membership { seats: bound.iter().map(seat).collect() }
    }

    /// Mutant: half of an even number is taken for a majority.
    #[test]
    fn a_majority_is_more_than_half_of_all_seats() {
        for (members, quorum) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let names: Vec<NodeId> = (0..members).map(|n| id(&alloc::format!("n{n}"))).collect();
            assert_eq!(Configuration::ByName(&names).quorum(), quorum, "{members} members");
        }
        let members = seats(&[("a", None), ("b", None), ("c", Some(1))]);
        let configuration = Configuration::Seats(EntryId::new(1, 1), &members);
        assert_eq!(configuration.quorum(), 2, "empty seats count in the size");
    }

    #[test]
    fn only_the_incarnation_in_the_seat_counts() {
        let members = seats(&[("a", Some(1)), ("b", None)]);
        let configuration = Configuration::Seats(EntryId::new(1, 1), &members);
        assert!(configuration.counts(&id("a"), Incarnation(1)));
        assert!(!configuration.counts(&id("a"), Incarnation(2)), "another life under the same name");
        assert!(!configuration.counts(&id("b"), Incarnation(1)), "nothing counts for an empty seat");
        assert!(!configuration.counts(&id("c"), Incarnation(1)), "not a member");
        assert!(configuration.has_name(&id("b")) && !configuration.has_name(&id("c")));
    }

    #[test]
    fn seats_are_sorted_and_unique() {
        let seat = |name| Seat { id: id(name), bound: None };
        assert!(Membership { seats: vec![seat("a"), seat("b")] }.is_valid());
        assert!(!Membership { seats: vec![seat("b"), seat("a")] }.is_valid());
        assert!(!Membership { seats: vec![seat("a"), seat("a")] }.is_valid());
        assert!(!Membership { seats: vec![] }.is_valid());
    }
}
