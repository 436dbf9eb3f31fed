//! Reads without a round: a leader that a majority has confirmed a moment ago still leads, if clocks run as evenly as
//! they are said to.
//!
//! A follower that has heard a leader votes for nobody else within an election timeout, by its own clock; one that has
//! just opened behaves as if it had heard one then. So for that long, counted from when the leader *asked* the round
//! that a majority has confirmed, nobody else is elected. What two clocks may run apart is taken off.
//!
//! 1. It counts from the sending of the round, never from the answers.
//! 2. Who was told to stand for election does not wait, and is voted for all the same: from that word on there is no
//!    lease in this reign, even if nothing comes of it. The word may arrive late.
//! 3. A leader that is no voter any more, by an entry that need not be committed, has none: those who come may elect
//!    another without anybody who has confirmed it.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::mutants::{Mutant, is};
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Lease {
    /// How long a round is good for; `None` if leases are not wanted.
    length: Option<Duration>,
    /// Rounds that no majority has confirmed yet, and when they were asked, the oldest first.
    asked: VecDeque<(u64, Instant)>,
    /// When the last round was asked that a majority has confirmed.
    since: Option<Instant>,
}

impl Lease {
    pub(super) fn new(length: Option<Duration>) -> Lease {
        Lease { length, asked: VecDeque::new(), since: None }
    }

    /// Whether rounds are to be numbered, so that it is known which of them was confirmed.
    pub(super) fn is_wanted(&self) -> bool {
        self.length.is_some()
    }

    /// A round is asked, perhaps once more: the first time counts.
    pub(super) fn asked(&mut self, round: u64, now: Instant) {
        let Some(length) = self.length else { return };
        if round > 0 && self.asked.back().is_none_or(|(last, _)| *last < round) {
            self.asked.push_back((round, now));
        }
        // What is older than that is good for nothing, even if it is confirmed yet.
        while self.asked.pop_front_if(|(_, at)| now.since(*at) >= length).is_some() {}
    }

    /// A majority has confirmed all rounds up to this one.
    pub(super) fn confirmed(&mut self, round: u64, now: Instant) {
        while let Some((_, at)) = self.asked.pop_front_if(|(asked, _)| *asked <= round) {
            let at = if is(Mutant::LeaseFromAnswers) { now } else { at };
            self.since = self.since.max(Some(at));
        }
    }

    /// Somebody was told to stand for election.
    pub(super) fn end(&mut self) {
        if !is(Mutant::LeaseSurvivesTransfer) {
            self.length = None;
        }
    }

    /// Whether nobody else can lead now.
    pub(super) fn holds(&self, now: Instant) -> bool {
        let (Some(length), Some(since)) = (self.length, self.since) else { return false };
        now.since(since) < length || is(Mutant::LeaseWithoutEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn it_counts_from_the_first_time_at_which_a_confirmed_round_was_asked() {
        let mut lease = Lease::new(Some(Duration::from_millis(270)));
        assert!(!lease.holds(at(0)));
        lease.asked(5, at(100));
        lease.asked(5, at(150));
        lease.asked(6, at(200));
        assert!(!lease.holds(at(200)), "nobody has confirmed anything");
        lease.confirmed(5, at(260));
        assert!(lease.holds(at(369)) && !lease.holds(at(370)));
        lease.confirmed(6, at(260));
        assert!(lease.holds(at(469)) && !lease.holds(at(470)));
        // An answer that comes when the round is good for nothing any more.
        lease.asked(7, at(500));
        lease.asked(8, at(770));
        lease.confirmed(7, at(771));
        assert!(!lease.holds(at(771)));
    }

    #[test]
    fn it_is_over_for_good_when_somebody_was_told_to_stand_for_election() {
        let mut lease = Lease::new(Some(Duration::from_millis(270)));
        lease.asked(1, at(0));
        lease.confirmed(1, at(10));
        assert!(lease.holds(at(20)));
        lease.end();
        assert!(!lease.holds(at(20)));
        lease.asked(2, at(30));
        lease.confirmed(2, at(40));
        assert!(!lease.holds(at(40)));
    }

    #[test]
    fn who_does_not_want_it_has_none() {
        let mut lease = Lease::new(None);
        lease.asked(1, at(0));
        lease.confirmed(1, at(10));
        assert!(!lease.holds(at(10)));
    }
}
