//! One connection: which part of the hello has crossed it, and what waits to leave.

use core::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::config::Address;
use crate::error::CloseReason;
use crate::id::{ClusterId, Incarnation, Index, NodeId};
use crate::members::StorageKind;
use crate::mesh::frame::{Cutter, TooLarge};
use crate::mesh::wire::{Frame, Hello, VERSIONS};
use crate::mutants::{Mutant, is};
use crate::time::Instant;

/// The largest frame before a link is up: a hello has a few hundred bytes.
const MAX_HELLO: usize = 4096;

/// Whoever moves fewer bytes than this while a link is patient stands still, unless what they belong to is whole with them.
/// Else a byte now and then would hold a large frame for ever, or all that waits to be sent.
const LEAST: usize = 16 << 10;

#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Who is at the other end, by its certificate.
    pub(super) who: NodeId,
    pub(super) dialled_by_us: bool,
    pub(super) phase: Phase,
    cutter: Cutter,
    pub(super) out: BytesMut,
    /// Bytes that were handed to the driver and have not left yet.
    pub(super) unsent: usize,
    /// When they last moved: all of them have left since, or none had to, or many have.
    moved: Instant,
    /// Bytes that have left since then.
    left: usize,
    /// The last sign of life: a whole frame, or much of one.
    pub(super) heard: Instant,
    /// Bytes that have come since then.
    begun: usize,
    pub(super) spoke: Instant,
    /// When it came up.
    pub(super) raised: Instant,
    /// It stands by certificates that were renewed since, and is closed at this time unless another has taken its place.
    pub(super) outdated: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other end dialled, and has to say hello.
    AwaitHello,
    /// We dialled and said hello.
    AwaitWelcome,
    /// We welcomed the other end, which may still refuse us.
    AwaitConfirm(Partner),
    /// Hello and its answer have crossed, and both ends were content.
    Up(Partner),
}

/// What counts of the other end's hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partner {
    pub(super) incarnation: Incarnation,
    pub(super) boot: u128,
    pub(super) cluster: Option<ClusterId>,
    pub(super) leader_priority: u8,
    /// The last entry of its log that names this life of it.
    pub(super) named: Option<Index>,
    pub(super) address: Option<Address>,
    pub(super) damaged: bool,
    /// How often the certificates of both ends had been renewed when they met.
    pub(super) renewals: u64,
}

impl Link {
    pub(super) fn new(who: NodeId, dialled_by_us: bool, now: Instant) -> Link {
        Link {
            who,
            dialled_by_us,
            phase: if dialled_by_us { Phase::AwaitWelcome } else { Phase::AwaitHello },
            cutter: Cutter::new(MAX_HELLO),
            out: BytesMut::new(),
            unsent: 0,
            moved: now,
            left: 0,
            heard: now,
            begun: 0,
            spoke: now,
            raised: now,
            outdated: None,
        }
    }

    pub(super) fn partner(&self) -> Option<&Partner> {
        match &self.phase {
            Phase::Up(partner) => Some(partner),
            Phase::AwaitHello | Phase::AwaitWelcome | Phase::AwaitConfirm(_) => None,
        }
    }

    /// When it has to be looked at, unless something is heard or said on it before.
    pub(super) fn deadline(&self, rpc_timeout: Duration) -> Instant {
        let silent = self.heard + rpc_timeout;
        let ping = self.spoke + rpc_timeout / 3;
        let at = if self.partner().is_some() { silent.min(ping) } else { silent };
        let stuck = (self.unsent > 0 && self.partner().is_some()).then(|| self.moved + rpc_timeout);
        [self.outdated, stuck].into_iter().flatten().fold(at, Instant::min)
    }

    /// Whether nothing that counts has come for so long.
    pub(super) fn is_silent(&self, now: Instant, rpc_timeout: Duration) -> bool {
        now.since(self.heard) >= rpc_timeout
    }

    /// Whether what was sent on it has not left for so long.
    pub(super) fn is_stuck(&self, now: Instant, rpc_timeout: Duration) -> bool {
        self.stuck_for(now) >= rpc_timeout && !is(Mutant::StuckLinkIsKept)
    }

    /// How long nothing has left of what was sent.
    pub(super) fn stuck_for(&self, now: Instant) -> Duration {
        let waits = self.partner().is_some() && self.unsent > 0;
        if waits { now.since(self.moved) } else { Duration::ZERO }
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.is_some()
    }

    /// Whether the other end has said that it keeps out.
    pub(super) fn is_damaged(&self) -> bool {
        self.partner().is_some_and(|partner| partner.damaged)
    }

    /// From now on frames of the full size are taken.
    pub(super) fn raise(&mut self, partner: Partner, max_frame: usize) {
        self.phase = Phase::Up(partner);
        self.cutter.set_max_frame(max_frame);
    }

    pub(super) fn push(&mut self, bytes: Bytes, now: Instant) {
        self.begun += bytes.len();
        // While the hello is awaited, only what completes it counts as a sign of life.
        let counts = match self.partner() {
            Some(_) => self.begun >= LEAST || is(Mutant::TrickleKeepsLink),
            None => is(Mutant::TrickleKeepsStranger),
        };
        if counts {
            self.is_heard(now);
        }
        self.cutter.push(bytes);
    }

    fn is_heard(&mut self, now: Instant) {
        self.heard = now;
        self.begun = 0;
    }

    /// What waits on it is handed to the driver.
    pub(super) fn hand_over(&mut self, now: Instant) {
        if self.unsent == 0 {
            self.has_moved(now);
        }
        self.unsent += self.out.len();
    }

    /// So many bytes have left.
    pub(super) fn drained(&mut self, bytes: usize, now: Instant) {
        self.unsent = self.unsent.saturating_sub(bytes);
        self.left += bytes;
        if self.unsent == 0 || self.left >= LEAST {
            self.has_moved(now);
        }
    }

    fn has_moved(&mut self, now: Instant) {
        self.moved = now;
        self.left = 0;
    }

    #[cfg(feature = "inspect")]
    pub(super) fn unread(&self) -> usize {
        self.cutter.unread()
    }

    /// The next frame, if all of it is there.
    pub(super) fn next_frame(&mut self, now: Instant) -> Result<Option<Frame>, CloseReason> {
        match self.cutter.next() {
            Ok(None) => Ok(None),
            Ok(Some(body)) => {
                if self.partner().is_some() {
                    self.is_heard(now);
                }
                Frame::parse(&body).map(Some).map_err(|_| CloseReason::Malformed)
            }
            Err(TooLarge { size, limit }) => Err(CloseReason::FrameTooLarge { size, limit }),
        }
    }
}

/// Whether the other end of a connection can be a peer of ours, by its hello. Both ends ask this of each
/// other with the same result.
pub(super) fn check_hello(ours: &Hello, theirs: &Hello) -> Result<(), CloseReason> {
    if theirs.versions.0 > VERSIONS.1 || theirs.versions.1 < VERSIONS.0 {
        return Err(CloseReason::Version { theirs: theirs.versions });
    }
    if theirs.cluster_name != ours.cluster_name && !is(Mutant::ClusterNameUnchecked) {
        return Err(CloseReason::ClusterName { theirs: theirs.cluster_name.chars().take(63).collect() });
    }
    match (ours.cluster, theirs.cluster) {
        (Some(ours), Some(theirs)) if ours != theirs && !is(Mutant::ClusterIdUnchecked) => {
            Err(CloseReason::OtherCluster { theirs, ours })
        }
        _ if ours.storage != theirs.storage => {
            Err(CloseReason::OtherStorage { on_disk: theirs.storage == StorageKind::Disk })
        }
        (None, None) if ours.initial_members.is_none() || theirs.initial_members.is_none() => {
            Err(CloseReason::Unfounded)
        }
        (None, None) if ours.initial_members != theirs.initial_members => Err(CloseReason::MembersDisagree),
        _ => Ok(()),
    }
}
