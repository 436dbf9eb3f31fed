//! What a leader knows of one follower, for as long as one link to it lasts.

use alloc::collections::VecDeque;

use crate::id::{EntryId, Incarnation, Index};
use crate::mutants::{Mutant, is};
use crate::time::Instant;

/// A follower as the leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) incarnation: Incarnation,
    /// Its log equals ours up to here. Never lowered within a term.
    pub(crate) matched: Index,
    pub(crate) replication: Replication,
    /// The highest commit index that it was told.
    pub(crate) told_commit: Index,
    /// When it last answered in our term.
    pub(crate) heard: Option<Instant>,
    /// The highest round that it was asked on this link.
    pub(crate) asked_round: u64,
    /// The highest round that it has confirmed on this link.
    pub(crate) confirmed_round: u64,
}

/// How entries are sent to it.
#[derive(Clone, Debug)]
pub(crate) enum Replication {
    /// It is not known where its log meets ours: one append at a time.
    Probe {
        next: Index,
        /// Since when an append is on its way.
        asked: Option<Instant>,
    },
    /// Its log meets ours: appends are sent without waiting, as far as the window allows.
    Stream { next: Index, in_flight: VecDeque<InFlight>, bytes: usize },
    /// It needs entries that are released: in their place it is sent the state after this entry, by whoever holds
    /// that; zero until that has begun.
    Snapshot { last: EntryId },
}

/// An append on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    pub(crate) sent: Instant,
    pub(crate) last: Index,
    pub(crate) bytes: usize,
}

impl Progress {
    /// A follower on a new link, of which nothing is known but perhaps where its log matched.
    /// Then the first probe is for `next`.
    pub(crate) fn new(incarnation: Incarnation, matched: Index, next: Index) -> Progress {
        let next = if matched > Index(0) { matched.next() } else { next };
        Progress {
            incarnation,
            matched,
            replication: Replication::Probe { next, asked: None },
            told_commit: Index(0),
            heard: None,
            asked_round: 0,
            confirmed_round: 0,
        }
    }

    /// The next entry to be sent.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn next(&self) -> Index {
        match &self.replication {
            Replication::Probe { next, .. } | Replication::Stream { next, .. } => *next,
            Replication::Snapshot { last } => last.index.max(self.matched).next(),
        }
    }

    /// Bytes that are not acknowledged and were on their way already when the last append was sent.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn before_last_append(&self) -> usize {
        match &self.replication {
            Replication::Probe { .. } | Replication::Snapshot { .. } => 0,
            Replication::Stream { in_flight, .. } => {
                in_flight.iter().rev().skip(1).map(|append| append.bytes).sum()
            }
        }
    }

    /// It says that its log equals ours up to `matched`; ours begins behind `base`. Tells whether that is news.
    pub(crate) fn appended(&mut self, matched: Index, base: Index) -> bool {
        let news = matched > self.matched;
        self.matched = self.matched.max(matched);
        match &mut self.replication {
            // Wherever it has got it from.
            Replication::Snapshot { .. } if self.matched >= base => {
                self.replication =
                    Replication::Stream { next: self.matched.next(), in_flight: VecDeque::new(), bytes: 0 };
            }
            // It has all that it was sent, and our log begins behind that by now: it needs a later state, at once.
            Replication::Snapshot { last } if self.matched >= last.index => *last = EntryId::default(),
            Replication::Snapshot { .. } => {}
            Replication::Probe { .. } => {
                self.replication =
                    Replication::Stream { next: self.matched.next(), in_flight: VecDeque::new(), bytes: 0 };
            }
            Replication::Stream { next, in_flight, bytes } => {
                // It may have acknowledged that on an earlier link, and said so only now.
                *next = self.matched.next().max(*next);
                while let Some(first) = in_flight.front().filter(|first| first.last <= matched) {
                    *bytes -= if is(Mutant::InFlightBytesLeak) { 0 } else { first.bytes };
                    in_flight.pop_front();
                }
            }
        }
        news
    }

    /// An append that was sent before `then` and never answered is sent again, if the follower has said
    /// anything since: it may have come before the follower listened to us (see `Common::hears`).
    pub(crate) fn ask_again(&mut self, then: Instant) {
        let heard = self.heard;
        let is_lost = |at: Instant| at <= then && heard.is_some_and(|heard| heard > at);
        match &mut self.replication {
            Replication::Probe { asked, .. } => _ = asked.take_if(|at| is_lost(*at)),
            // Its disk was full, perhaps: then it has not taken what was sent, and has said nothing.
            Replication::Stream { in_flight, .. }
                if in_flight.front().is_some_and(|first| is_lost(first.sent)) =>
            {
                self.replication = Replication::Probe { next: self.matched.next(), asked: None };
            }
            Replication::Stream { .. } | Replication::Snapshot { .. } => {}
        }
    }

    /// It says that its log does not hold `probed`; ours may meet it at `meeting`. Tells whether that was
    /// an answer to what is asked now, and not a late one.
    pub(crate) fn conflicted(&mut self, probed: Index, meeting: Index) -> bool {
        let current = match &self.replication {
            Replication::Probe { next, asked } => asked.is_some() && probed.next() == *next,
            Replication::Stream { .. } => probed > self.matched,
            Replication::Snapshot { .. } => false,
        };
        let current = current && !is(Mutant::ConflictIsIgnored);
        if current {
            // Never below what is known to match, and always below what was just refused.
            let below = Index(probed.0.saturating_sub(1));
            let next = meeting.min(below).max(self.matched).next();
            self.replication = Replication::Probe { next, asked: None };
            // It did not take the commit index of the append that it refused.
            self.told_commit = self.matched.min(self.told_commit);
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probing(next: u64) -> Progress {
        let mut progress = Progress::new(Incarnation(1), Index(0), Index(next));
        progress.replication = Replication::Probe { next: Index(next), asked: Some(Instant::ZERO) };
        progress
    }

    #[test]
    fn a_probe_that_fits_becomes_a_stream() {
        let mut progress = probing(8);
        assert!(progress.appended(Index(7), Index(0)));
        assert!(matches!(progress.replication, Replication::Stream { next: Index(8), .. }));
    }

    /// W1: the match index moved backwards.
    #[test]
    fn w1_the_match_index_never_moves_back() {
        let mut progress = probing(8);
        progress.appended(Index(7), Index(0));
        assert!(!progress.appended(Index(3), Index(0)));
        assert_eq!(progress.matched, Index(7));
        assert!(!progress.conflicted(Index(5), Index(2)), "a late refusal is no news");
        assert_eq!(progress.matched, Index(7));
    }

    #[test]
    fn each_refusal_moves_the_probe_down_and_never_below_the_match() {
        let mut progress = probing(8);
        assert!(
            progress.conflicted(Index(7), Index(9)),
            "a hint that would not move it down is not believed"
        );
        let Replication::Probe { next, asked } = &mut progress.replication else { panic!() };
        assert_eq!((*next, *asked), (Index(7), None));
        *asked = Some(Instant::ZERO);
        progress.matched = Index(4);
        assert!(progress.conflicted(Index(6), Index(0)));
        assert!(matches!(progress.replication, Replication::Probe { next: Index(5), .. }));
    }

    #[test]
    fn a_snapshot_ends_when_the_log_can_go_on() {
        let mut progress = probing(8);
        progress.replication = Replication::Snapshot { last: EntryId::new(40, 2) };
        assert!(!progress.conflicted(Index(7), Index(2)), "a late refusal is no news");
        progress.appended(Index(9), Index(30));
        assert!(matches!(progress.replication, Replication::Snapshot { .. }), "31 follows 30, not 9");
        progress.appended(Index(30), Index(30));
        assert!(matches!(progress.replication, Replication::Stream { next: Index(31), .. }));
    }

    /// Found by the simulator: the log was full, so that it was released while the state was on its way.
    #[test]
    fn a_snapshot_that_comes_too_late_is_followed_by_another() {
        let mut progress = probing(8);
        progress.replication = Replication::Snapshot { last: EntryId::new(40, 2) };
        progress.appended(Index(39), Index(50));
        assert!(
            matches!(progress.replication, Replication::Snapshot { last } if last == EntryId::new(40, 2))
        );
        progress.appended(Index(40), Index(50));
        assert!(matches!(progress.replication, Replication::Snapshot { last } if last == EntryId::default()));
    }

    /// Found by the simulator, which asks that the next entry to send always lies behind the match.
    #[test]
    fn what_is_acknowledged_late_is_not_sent_again() {
        let mut progress = probing(25);
        progress.appended(Index(24), Index(0));
        progress.appended(Index(29), Index(0));
        assert!(matches!(progress.replication, Replication::Stream { next: Index(30), .. }));
    }

    #[test]
    fn the_window_is_given_back_as_appends_are_acknowledged() {
        let mut progress = probing(1);
        progress.appended(Index(0), Index(0));
        let Replication::Stream { in_flight, bytes, .. } = &mut progress.replication else { panic!() };
        let sent = Instant::ZERO;
        in_flight.extend([
            InFlight { sent, last: Index(3), bytes: 30 },
            InFlight { sent, last: Index(6), bytes: 40 },
        ]);
        *bytes = 70;
        progress.appended(Index(5), Index(0));
        assert!(matches!(progress.replication, Replication::Stream { bytes: 40, .. }));
        progress.appended(Index(6), Index(0));
        assert!(matches!(progress.replication, Replication::Stream { bytes: 0, .. }));
    }
}
