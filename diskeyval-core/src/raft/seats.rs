//! Seats, as a leader changes them by itself: an empty one is filled by a life that has caught up, one whose life is over
//! is emptied for the next, and addresses are kept as members announce them.
//!
//! 1. One change at a time, behind a committed entry of the own term, and only when the last change is committed.
//! 2. A voter's seat does not go from one life to the next at once: it is emptied by one entry, and filled by another. Each
//!    is safe in one step, since any two majorities of the same names share a name, and that is never the seat that is
//!    empty on one side. (A learner counts for nothing: its seat goes to the next life at once.)
//! 3. A seat is emptied only for a life that has caught up, and when the one in it was not heard for an election
//!    timeout. A majority without it answers then: that is what keeps a leader in office.

use crate::entry::Payload;
use crate::id::{Incarnation, NodeId};
use crate::members::{Configuration, Membership, Seat};
use crate::mutants::{Mutant, is, is_armed};
use crate::raft::common::Common;
use crate::raft::leader::{Follower, Leader};

impl Leader {
    /// Once the genesis is committed an ordinary entry follows at once, which founds the cluster for good. Then the members
    /// change: as it was asked for, and as it is needed.
    pub(super) fn found_or_change_members(&mut self, common: &mut Common) {
        let early = |common: &Common| common.log.is_founded() && is(Mutant::FillsSeatBeforeOwnCommit);
        let late = |common: &Common| is_armed(Mutant::ReturnsTooLate) && self.may_return(common);
        if !self.is_established(common) && !early(common) && !late(common) {
            return;
        }
        if !common.log.is_founded() {
            self.append(common, Payload::Noop);
            return;
        }
        if self.end_or_undo(common) {
            return;
        }
        let Configuration::Seats(entry, members) = common.configuration() else { return };
        if entry.index > common.commit && !is(Mutant::FillsSeatOnUncommitted) {
            return;
        }
        let members = members.clone();
        let is_voter = common.configuration().counts(&common.id, common.own);
        let needed = || {
            self.filled(&members)
                .or_else(|| self.emptied(common, &members))
                .or_else(|| self.learner_bound(common, &members))
                .map(|changed| self.moved(common, &changed).unwrap_or(changed))
                .or_else(|| self.moved(common, &members))
        };
        // Who is on its way out has nothing to say but that.
        let needed = is_voter.then(needed).flatten();
        let changed = needed.or_else(|| self.next_change(common, &members));
        if let Some(changed) = changed {
            self.append(common, Payload::Members(changed));
        }
    }

    /// The members with one more seat filled, if there is somebody for it.
    fn filled(&self, members: &Membership) -> Option<Membership> {
        let (id, incarnation) = self.who_waits(
            members.seats.iter(),
            |follower| self.has_caught_up(follower),
            |seat, _| seat.bound.is_none(),
        )?;
        Some(members.with(id, |seat| seat.bound = Some(incarnation)))
    }

    /// The members with a seat emptied whose life is over, if another waits for it.
    fn emptied(&self, common: &Common, members: &Membership) -> Option<Membership> {
        let (id, next) = self.who_waits(
            members.seats.iter(),
            |follower| self.has_caught_up(follower),
            |seat, next| self.is_over(common, seat, next),
        )?;
        let bound = Some(next).filter(|_| is(Mutant::SeatSwappedAtOnce));
        Some(members.with(id, |seat| seat.bound = bound))
    }

    /// The members with the life of a learner in its seat that is there, if none was, or another that is silent.
    fn learner_bound(&self, common: &Common, members: &Membership) -> Option<Membership> {
        let is_free = |seat: &Seat, next| seat.bound.is_none() || self.is_over(common, seat, next);
        let (id, incarnation) = self.who_waits(members.learners.iter(), |_| true, is_free)?;
        Some(members.with(id, |seat| seat.bound = Some(incarnation)))
    }

    /// Whether the life in a seat is another, and silent.
    fn is_over(&self, common: &Common, seat: &Seat, next: Incarnation) -> bool {
        seat.bound.is_some_and(|bound| bound != next) && self.was_silent(common, &seat.id)
    }

    /// A life that is there, and as wanted, with a seat of its name that is as wanted.
    fn who_waits<'m>(
        &self,
        mut seats: impl Iterator<Item = &'m Seat>,
        is_fit: impl Fn(&Follower) -> bool,
        is_wanted: impl Fn(&Seat, Incarnation) -> bool,
    ) -> Option<(&'m NodeId, Incarnation)> {
        seats.find_map(|seat| {
            let follower = self.follower(&seat.id).filter(|follower| follower.linked)?;
            let next = follower.progress.incarnation;
            (is_wanted(seat, next) && is_fit(follower)).then_some((&seat.id, next))
        })
    }

    /// The members with the addresses that those say who are in their seats.
    fn moved(&self, common: &Common, members: &Membership) -> Option<Membership> {
        let is_there = |seat: &&Seat| match self.follower(&seat.id) {
            Some(follower) => follower.linked && seat.bound == Some(follower.progress.incarnation),
            None => seat.id == common.id,
        };
        let mut moved = members.clone();
        for seat in members.members().filter(is_there) {
            if let Some(address) =
                common.announced.get(&seat.id).filter(|said| seat.address.as_ref() != Some(said))
            {
                moved = moved.with(&seat.id, |seat| seat.address = Some(address.clone()));
            }
        }
        (moved != *members).then_some(moved)
    }
}
