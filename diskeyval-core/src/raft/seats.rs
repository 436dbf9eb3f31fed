//! Seats, as a leader changes them: an empty one is filled by a life that has caught up, and one whose life is over is
//! emptied for the next.
//!
//! 1. One change at a time, behind a committed entry of the own term, and only when the last change is committed.
//! 2. A seat does not go from one life to the next at once: it is emptied by one entry, and filled by another. Each is
//!    safe in one step, since any two majorities of the same names share a name, and that is never the seat that is
//!    empty on one side.
//! 3. A seat is emptied only for a life that has caught up, and when the one in it was not heard for an election
//!    timeout. A majority without it answers then: that is what keeps a leader in office.

use crate::entry::Payload;
use crate::id::{Incarnation, NodeId};
use crate::members::{Configuration, Membership, Seat};
use crate::mutants::{Mutant, is};
use crate::raft::common::Common;
use crate::raft::leader::Leader;

impl Leader {
    /// Once the genesis is committed an ordinary entry follows at once, which founds the cluster for good. Then seats
    /// change, one at a time.
    pub(super) fn found_or_change_seats(&mut self, common: &mut Common) {
        let early = |common: &Common| common.log.is_founded() && is(Mutant::FillsSeatBeforeOwnCommit);
        if !self.is_established(common) && !early(common) {
            return;
        }
        if !common.log.is_founded() {
            self.append(common, Payload::Noop);
            return;
        }
        let Configuration::Seats(entry, members) = common.configuration() else { return };
        if entry.index > common.commit && !is(Mutant::FillsSeatOnUncommitted) {
            return;
        }
        let changed = self.filled(members).or_else(|| self.emptied(common, members));
        if let Some(changed) = changed {
            self.append(common, Payload::Members(changed));
        }
    }

    /// The members with one more seat filled, if there is somebody for it.
    fn filled(&self, members: &Membership) -> Option<Membership> {
        let (id, incarnation) = self.who_waits(members, |seat, _| seat.bound.is_none())?;
        Some(members.with_seat(id, Some(incarnation)))
    }

    /// The members with a seat emptied whose life is over, if another waits for it.
    fn emptied(&self, common: &Common, members: &Membership) -> Option<Membership> {
        let is_over = |seat: &Seat, next: Incarnation| {
            seat.bound.is_some_and(|bound| bound != next) && self.was_silent(common, &seat.id)
        };
        let (id, _) = self.who_waits(members, is_over)?;
        Some(members.with_seat(id, None))
    }

    /// A life that has caught up, with a seat of its name that is as wanted.
    fn who_waits(
        &self,
        members: &Membership,
        is_wanted: impl Fn(&Seat, Incarnation) -> bool,
    ) -> Option<(&NodeId, Incarnation)> {
        self.followers()
            .filter(|(_, follower)| follower.linked && self.has_caught_up(follower))
            .map(|(id, follower)| (id, follower.progress.incarnation))
            .find(|(id, next)| members.seat(id).is_some_and(|seat| is_wanted(seat, *next)))
    }
}
