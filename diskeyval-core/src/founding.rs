//! Whether this node may take part in founding a cluster, or has to wait for one that exists.
//!
//! Founding, and voting by name, need an answer from every initial member, or a grace in which this node
//! tried in vain: short where the machine says that nobody listens, ten times that where it is silent
//! (frozen, or cut off: it may belong to a founded cluster). One that meets a founded node waits to be
//! admitted; one that meets other initial members waits for somebody to settle that.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::mesh::{Heard, PeerView};
use crate::mutants::{Mutant, is};
use crate::time::Instant;

/// A silent address is given so many times the grace of one that refuses.
const SILENCE_FACTOR: u32 = 10;

#[derive(Clone, Debug)]
pub(crate) struct Founding {
    since: Instant,
    grace: Duration,
}

/// What founding waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: this node may found, and vote by name.
    Allowed,
    /// For these members, or for their grace to pass.
    Wait(String),
    /// For somebody to settle that these members were started with other initial members, or otherwise.
    Disagreement(String),
    /// To be admitted by this cluster.
    Founded(String),
}

impl Founding {
    pub(crate) fn new(grace: Duration) -> Founding {
        Founding { since: Instant::ZERO, grace }
    }

    /// The node begins to try.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = now;
    }

    pub(crate) fn judge<'m>(
        &self,
        now: Instant,
        peers: impl Iterator<Item = PeerView<'m>> + Clone,
    ) -> Verdict {
        let named = |heard: fn(Heard) -> bool| -> Vec<&str> {
            peers.clone().filter(|peer| heard(peer.heard)).map(|peer| peer.id.as_str()).collect()
        };
        let founded = named(|heard| matches!(heard, Heard::Founded(_)));
        if !founded.is_empty() {
            return Verdict::Founded(founded.join(", "));
        }
        let disagreeing = named(|heard| heard == Heard::Disagrees);
        if !disagreeing.is_empty() {
            return Verdict::Disagreement(format!(
                "{} was started with other initial members: give every node the same set of ids, then restart",
                disagreeing.join(", ")
            ));
        }
        let mixed = named(|heard| heard == Heard::OtherStorage);
        if !mixed.is_empty() {
            return Verdict::Disagreement(format!(
                "{} and this node do not keep their logs in the same kind of storage: start all members memory-only, or all on disks",
                mixed.join(", ")
            ));
        }
        let missing: Vec<String> = peers
            .filter(|peer| now < self.since + self.grace_for(peer.heard))
            .map(|peer| format!("{} ({})", peer.id, peer.trouble.unwrap_or("not reached yet")))
            .collect();
        if missing.is_empty() || is(Mutant::FoundsWithoutAsking) {
            Verdict::Allowed
        } else {
            Verdict::Wait(format!("the cluster is not founded yet; waiting for {}", missing.join(", ")))
        }
    }

    fn grace_for(&self, heard: Heard) -> Duration {
        match heard {
            Heard::Unfounded => Duration::ZERO,
            Heard::Refusal => self.grace,
            Heard::Silence | Heard::Founded(_) | Heard::Disagrees | Heard::OtherStorage => {
                self.grace * SILENCE_FACTOR
            }
        }
    }
}
