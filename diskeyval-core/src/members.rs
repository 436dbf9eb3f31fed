//! Who counts: the membership as a list of seats, and before the founding a list of names.
//!
//! A voter is a name *and* an incarnation. An empty seat counts in the size of a quorum, and nothing
//! counts for it. Who counts is decided by the one who counts, from its own configuration.
//!
//! While the voters change there are two halves, those who leave their office and those who take it: whatever needs a
//! majority needs one of each. Learners are brought up to date, and count for nothing.

mod change;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::config::{Address, MAX_MEMBERS};
use crate::few::few;
use crate::id::{EntryId, Incarnation, NodeId};
use crate::mutants::{Mutant, is};
pub use change::{Member, MemberChange};

/// The most learners that a cluster can have.
pub(crate) const MAX_LEARNERS: usize = MAX_MEMBERS;

/// Nobody knows of more: voters that come, voters that go, learners.
pub(crate) const MAX_KNOWN: usize = 2 * MAX_MEMBERS + MAX_LEARNERS;

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
    /// Where it is dialled, as far as that is known.
    pub(crate) address: Option<Address>,
}

/// The members of a founded cluster, each list sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// Who votes. While a change is open: the half that comes.
    #[serde(deserialize_with = "few::<MAX_MEMBERS, _, _>")]
    pub(crate) seats: Vec<Seat>,
    /// While a change is open: the half that goes.
    #[serde(deserialize_with = "few::<MAX_MEMBERS, _, _>")]
    pub(crate) outgoing: Vec<Seat>,
    /// Who is brought up to date, and does not vote.
    #[serde(deserialize_with = "few::<MAX_LEARNERS, _, _>")]
    pub(crate) learners: Vec<Seat>,
}

impl Membership {
    /// Voters, and nothing else.
    pub(crate) fn of(seats: Vec<Seat>) -> Membership {
        Membership { seats, outgoing: Vec::new(), learners: Vec::new() }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let is_sorted = |seats: &[Seat]| seats.windows(2).all(|pair| pair[0].id < pair[1].id);
        let is_learner = |seat: &Seat| self.learners.iter().any(|learner| learner.id == seat.id);
        let fits = |left: &Seat| self.seat(&left.id).is_none_or(|seat| seat.bound == left.bound);
        [&self.seats, &self.outgoing, &self.learners].into_iter().all(|seats| is_sorted(seats))
            && (1..=MAX_MEMBERS).contains(&self.seats.len())
            && self.outgoing.len() <= MAX_MEMBERS
            && self.learners.len() <= MAX_LEARNERS
            && self.outgoing.iter().all(fits)
            && !self.seats.iter().chain(&self.outgoing).any(is_learner)
    }

    /// Whether a change of the voters is open.
    pub(crate) fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether there is a majority without any one of them.
    pub(crate) fn can_do_without_one(&self) -> bool {
        self.seats.len() >= 3
    }

    /// The seat of a voter.
    pub(crate) fn seat(&self, id: &NodeId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == *id)
    }

    pub(crate) fn learner(&self, id: &NodeId) -> Option<&Seat> {
        self.learners.iter().find(|seat| seat.id == *id)
    }

    /// Whoever has this name, in whatever part.
    pub(crate) fn member(&self, id: &NodeId) -> Option<&Seat> {
        self.members().find(|seat| seat.id == *id)
    }

    /// Everybody, once: voters that come, those that go, and learners.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Seat> {
        let leaves = |seat: &&Seat| self.seat(&seat.id).is_none();
        self.seats.iter().chain(self.outgoing.iter().filter(leaves)).chain(&self.learners)
    }

    /// Whether this incarnation is in the seat of this name, a learner's perhaps.
    pub(crate) fn names(&self, id: &NodeId, incarnation: Incarnation) -> bool {
        self.member(id).is_some_and(|seat| seat.bound == Some(incarnation))
    }

    /// Whether the seat of a name is another's, or was emptied for another, who was in it before. The seat of a learner is
    /// empty before anybody is in it.
    pub(crate) fn has_replaced(&self, id: &NodeId, incarnation: Incarnation) -> bool {
        let awaits = |seat: &Seat| seat.bound.is_none() && self.learner(id).is_some();
        self.member(id).is_some_and(|seat| seat.bound != Some(incarnation) && !awaits(seat))
    }

    /// The same, with something different about whoever has this name.
    pub(crate) fn with(&self, id: &NodeId, change: impl Fn(&mut Seat)) -> Membership {
        let mut members = self.clone();
        let Membership { seats, outgoing, learners } = &mut members;
        for seat in seats.iter_mut().chain(outgoing).chain(learners).filter(|seat| seat.id == *id) {
            change(seat);
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

/// Voters of whom a majority is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Half<'c> {
    Names(&'c [NodeId]),
    Seats(&'c [Seat]),
}

impl<'c> Half<'c> {
    /// How many voters there are, empty seats included.
    pub(crate) fn len(self) -> usize {
        match self {
            Half::Names(names) => names.len(),
            Half::Seats(seats) => seats.len(),
        }
    }

    /// How many voters are a majority.
    pub(crate) fn quorum(self) -> usize {
        self.len() / 2 + usize::from(!self.len().is_multiple_of(2) || !is(Mutant::HalfIsMajority))
    }

    fn names(self) -> impl Iterator<Item = &'c NodeId> {
        let (names, seats): (&[NodeId], &[Seat]) = match self {
            Half::Names(names) => (names, &[]),
            Half::Seats(seats) => (&[], seats),
        };
        names.iter().chain(seats.iter().map(|seat| &seat.id))
    }

    /// Whether a vote or an acknowledgement of this incarnation counts.
    pub(crate) fn counts(self, id: &NodeId, incarnation: Incarnation) -> bool {
        match self {
            Half::Names(names) => names.contains(id),
            Half::Seats(seats) => seats.iter().find(|seat| seat.id == *id).is_some_and(|seat| {
                seat.bound == Some(incarnation)
                    || is(if seat.bound.is_some() {
                        Mutant::AnotherLifeCounts
                    } else {
                        Mutant::EmptySeatCounts
                    })
            }),
        }
    }
}

impl<'c> Configuration<'c> {
    /// Who has to agree: a majority of each of these. Of the second there is something only while the voters change.
    pub(crate) fn halves(self) -> impl Iterator<Item = Half<'c>> + Clone {
        let is_open = |members: &Membership| members.is_joint() && !is(Mutant::JointAsksOneHalf);
        let (first, second) = match self {
            Configuration::ByName(names) => (Half::Names(names), None),
            Configuration::Seats(_, members) => {
                (Half::Seats(&members.seats), is_open(members).then_some(Half::Seats(&members.outgoing)))
            }
        };
        core::iter::once(first).chain(second)
    }

    /// How many voters there are, empty seats included.
    pub(crate) fn len(self) -> usize {
        self.names().count()
    }

    /// Whether a majority of each half is among those; `extra` votes are added to each count.
    pub(crate) fn is_majority(self, extra: usize, is_among: impl Fn(&NodeId) -> bool) -> bool {
        let has_majority =
            |half: Half<'_>| half.names().filter(|id| is_among(id)).count() + extra >= half.quorum();
        self.halves().all(has_majority)
    }

    /// Whether a vote or an acknowledgement of this incarnation counts.
    pub(crate) fn counts(self, id: &NodeId, incarnation: Incarnation) -> bool {
        self.halves().any(|half| half.counts(id, incarnation))
    }

    /// Whether this is the name of a member, in whatever life and part.
    pub(crate) fn has_name(self, id: &NodeId) -> bool {
        match self {
            Configuration::ByName(names) => names.contains(id),
            Configuration::Seats(_, members) => members.member(id).is_some(),
        }
    }

    /// The entry that brought it in; zero before the founding.
    pub(crate) fn entry(self) -> EntryId {
        match self {
            Configuration::ByName(_) => EntryId::default(),
            Configuration::Seats(entry, _) => entry,
        }
    }

    /// The names of the voters, each once.
    pub(crate) fn names(self) -> impl Iterator<Item = &'c NodeId> {
        let mut halves = self.halves();
        let first = halves.next().into_iter().flat_map(Half::names);
        let second = halves.next().into_iter().flat_map(Half::names);
        let is_new = move |id: &&NodeId| match self {
            Configuration::Seats(_, members) => members.seat(id).is_none(),
            Configuration::ByName(_) => true,
        };
        first.chain(second.filter(is_new))
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
        let seat = |(name, bound): &(&str, Option<u128>)| Seat {
            id: id(name),
            bound: bound.map(Incarnation),
            address: None,
        };
        Membership::of(bound.iter().map(seat).collect())
    }

    fn quorum_of(configuration: Configuration<'_>) -> usize {
        configuration.halves().next().expect("there is one").quorum()
    }

    /// Mutant: half of an even number is taken for a majority.
    #[test]
    fn a_majority_is_more_than_half_of_all_seats() {
        for (members, quorum) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let names: Vec<NodeId> = (0..members).map(|n| id(&alloc::format!("n{n}"))).collect();
            assert_eq!(quorum_of(Configuration::ByName(&names)), quorum, "{members} members");
        }
        let members = seats(&[("a", None), ("b", None), ("c", Some(1))]);
        let configuration = Configuration::Seats(EntryId::new(1, 1), &members);
        assert_eq!(quorum_of(configuration), 2, "empty seats count in the size");
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
        let seat = |name| Seat { id: id(name), bound: None, address: None };
        assert!(Membership::of(vec![seat("a"), seat("b")]).is_valid());
        assert!(!Membership::of(vec![seat("b"), seat("a")]).is_valid());
        assert!(!Membership::of(vec![seat("a"), seat("a")]).is_valid());
        assert!(!Membership::of(vec![]).is_valid());
    }
}
