//! How two nodes meet: whether the other end may speak at all, hello and its answer, and which of two links
//! is kept.

use alloc::string::ToString;
use core::cmp::Ordering;

use super::damaged::DAMAGED;
use super::link::{Partner, Phase, check_hello};
use super::wire::{self, Frame, Hello, VERSIONS};
use super::{Delivery, Dial, Heard, MAX_BACK_OFF, Mesh};
use crate::config::MAX_FRAME;
use crate::error::CloseReason;
use crate::id::{ConnId, NodeId};
use crate::identity::Identity;
use crate::io::{Event, Origin};
use crate::members::Membership;
use crate::mutants::{Mutant, is};

impl Mesh {
    /// Whether whoever is at the other end may say hello at all.
    pub(super) fn check_identity(&mut self, who: &Identity, origin: Origin) -> Result<NodeId, CloseReason> {
        if let Origin::Dialled(dial) = origin {
            let dialled = self.peers.iter_mut().find(|(_, peer)| peer.dial == Dial::Asked(dial));
            let Some((wanted, peer)) = dialled else { return Err(CloseReason::Replaced) };
            if !matches!(who, Identity::Node(id) if id == wanted) {
                let why = CloseReason::WrongPeer { wanted: wanted.clone(), found: who.to_string() };
                peer.dial = Dial::At(self.now + self.prng.once_to_twice(peer.back_off));
                peer.back_off = (peer.back_off * 2).min(MAX_BACK_OFF);
                peer.trouble = Some(why.to_string());
                peer.heard = Heard::Silence;
                return Err(why);
            }
        }
        match who {
            Identity::Client(_) => Err(CloseReason::NotANode),
            Identity::Node(id) if *id == self.hello.node => Err(CloseReason::OwnName),
            Identity::Node(id) => Ok(id.clone()),
        }
    }

    pub(super) fn hear(&mut self, conn: ConnId, frame: Frame) -> Result<(), CloseReason> {
        let Some(link) = self.links.get_mut(&conn) else { return Ok(()) };
        match (&link.phase, frame) {
            // What keeps out says nothing, and hears nothing but that it may begin anew.
            (Phase::Up(partner), Frame::Raft(_) | Frame::Service(..)) if partner.damaged => {
                return Err(CloseReason::OutOfPlace);
            }
            (phase, Frame::Raft(message))
                if matches!(phase, Phase::Up(_)) || is(Mutant::HeardBeforeHello) =>
            {
                self.delivered.push_back(Delivery::Raft(link.who.clone(), message));
            }
            (Phase::Up(_), Frame::Service(service, payload)) => {
                self.delivered.push_back(Delivery::Service(link.who.clone(), service, payload));
            }
            (Phase::Up(_), Frame::Ping) => {}
            (Phase::AwaitHello, Frame::Hello(hello)) => {
                // It is welcomed even if it is refused at once: so it can judge for itself, and say why.
                wire::write_welcome(&mut link.out, VERSIONS.1.min(hello.versions.1), self.hello.clone());
                let partner = self.meet(conn, &hello)?;
                if let Some(link) = self.links.get_mut(&conn) {
                    link.phase = Phase::AwaitConfirm(partner);
                }
            }
            (Phase::AwaitWelcome, Frame::Welcome { version, hello }) => {
                let partner = self.meet(conn, &hello)?;
                if !(VERSIONS.0..=VERSIONS.1).contains(&version) {
                    return Err(CloseReason::Version { theirs: hello.versions });
                }
                if let Some(link) = self.links.get_mut(&conn) {
                    wire::write_confirm(&mut link.out);
                }
                self.raise(conn, partner)?;
            }
            (Phase::AwaitConfirm(partner), Frame::Confirm) => {
                let partner = partner.clone();
                self.raise(conn, partner)?;
            }
            // Both ends decide alike which link is kept; whoever decides first says so.
            (_, Frame::Goodbye { reason }) if reason == CloseReason::Replaced.to_string() => {
                self.shut(conn, CloseReason::Replaced, false);
            }
            (_, Frame::Goodbye { reason }) if reason == CloseReason::Superseded.to_string() => {
                self.delivered.push_back(Delivery::Superseded);
                self.shut(conn, CloseReason::Goodbye(reason), false);
            }
            // Who says so may be behind, and speak of a time before this node was a member, or was one again.
            (Phase::Up(_) | Phase::AwaitConfirm(_), Frame::Removed { by }) => {
                let member_by = self.hello.seated.max(self.hello.named);
                if member_by.is_some_and(|member_by| by > member_by) {
                    self.delivered.push_back(Delivery::Removed { by });
                }
            }
            (_, Frame::Goodbye { reason }) => self.shut(conn, CloseReason::Goodbye(reason), false),
            _ => return Err(CloseReason::OutOfPlace),
        }
        Ok(())
    }

    /// Judges a hello, and keeps what it says of founding.
    fn meet(&mut self, conn: ConnId, hello: &Hello) -> Result<Partner, CloseReason> {
        let Some(link) = self.links.get_mut(&conn) else { return Err(CloseReason::OutOfPlace) };
        if hello.node != link.who && is(Mutant::BelievesHello) {
            link.who = hello.node.clone();
        }
        if hello.node != link.who {
            return Err(CloseReason::HelloMismatch { claimed: hello.node.clone() });
        }
        let checked = check_hello(&self.hello, hello);
        if let Some(peer) = self.peers.get_mut(&link.who) {
            peer.heard = match (&checked, hello.cluster) {
                (Err(CloseReason::MembersDisagree), _) => Heard::Disagrees,
                (_, Some(cluster)) => Heard::Founded(cluster),
                // It does not know any more whether it ever belonged to one.
                (Ok(()) | Err(CloseReason::Unfounded), None) if hello.damaged => Heard::Silence,
                (Err(CloseReason::OtherStorage { .. }), None) => Heard::OtherStorage,
                (Ok(()) | Err(CloseReason::Unfounded), None) => Heard::Unfounded,
                (Err(_), None) => Heard::Silence,
            };
        }
        checked?;
        if self.peers.get(&link.who).is_none_or(|peer| peer.is_guest) {
            self.take_in_guest(hello)?;
        }
        let Some(link) = self.links.get_mut(&conn) else { return Err(CloseReason::OutOfPlace) };
        // Who was in the seat of its name, and is there no more, does not know it yet. Whoever waits for it was never.
        if let (Some(then), Some((now, members))) = (hello.seated, &self.members)
            && then < *now
            && members.has_replaced(&link.who, hello.incarnation)
        {
            return Err(CloseReason::Superseded);
        }
        Ok(Partner {
            incarnation: hello.incarnation,
            boot: hello.boot,
            cluster: hello.cluster,
            leader_priority: hello.leader_priority,
            named: hello.seated.max(hello.named),
            address: hello.address.clone(),
            damaged: hello.damaged,
            renewals: u64::from(self.hello.renewals) + u64::from(hello.renewals),
        })
    }

    /// Both ends are content. One link for each pair is kept: of two dialled by the same end the newer, of
    /// two dialled by both ends the smaller id's. Before that goes which of them has met later certificates, and both ends
    /// count those alike. A process that was replaced by its next run gives way.
    fn raise(&mut self, conn: ConnId, partner: Partner) -> Result<(), CloseReason> {
        let Some(link) = self.links.get(&conn) else { return Ok(()) };
        let (who, dialled_by_us) = (link.who.clone(), link.dialled_by_us);
        let former = self.peers.get(&who).and_then(|peer| peer.link);
        if let Some((former, old)) = former.and_then(|former| Some((former, self.links.get(&former)?))) {
            let holder = old.partner().unwrap_or(&partner);
            // The life that counts here comes before any that would like to. Who knows of no seats goes by what they say
            // themselves.
            let applied = self.members.as_ref().map(|(_, members)| members);
            let members = if is(Mutant::AppliedMembersRank) { applied } else { self.known.as_ref() };
            let rank = |life: &Partner| {
                let is_seated = |members: &Membership| members.names(&who, life.incarnation);
                (members.is_some_and(is_seated), life.named)
            };
            let is_alive = self.now.since(old.heard) < self.election_timeout;
            if holder.incarnation != partner.incarnation && is_alive && rank(&partner) <= rank(holder) {
                return Err(CloseReason::NameInUse { holder: holder.incarnation });
            }
            let dialled_by_smaller = dialled_by_us == (self.hello.node < who);
            let gives_way = match partner.renewals.cmp(&holder.renewals) {
                Ordering::Less => true,
                Ordering::Equal => old.dialled_by_us != dialled_by_us && !dialled_by_smaller,
                Ordering::Greater => false,
            };
            if holder.boot == partner.boot && gives_way {
                self.shut(conn, CloseReason::Replaced, true);
                return Ok(());
            }
            if old.is_outdated() {
                // Heard in this order, the other end has no moment without a link.
                self.send_queued(conn);
            }
            if !is(Mutant::ReplacedLinkIsHeard) {
                self.shut(former, CloseReason::Replaced, true);
            }
        }
        let (Some(link), Some(peer)) = (self.links.get_mut(&conn), self.peers.get_mut(&who)) else {
            return Ok(());
        };
        let (is_damaged, incarnation) = (partner.damaged, partner.incarnation);
        link.raise(partner, MAX_FRAME);
        link.heard = self.now;
        link.raised = self.now;
        peer.link = Some(conn);
        peer.trouble = is_damaged.then(|| DAMAGED.into());
        if peer.dial == Dial::Open(conn) {
            peer.dial = Dial::At(self.now);
        }
        self.metrics.links_up += 1;
        if is_damaged {
            self.delivered.push_back(Delivery::UpDamaged(who.clone()));
            self.event(Event::PeerDamaged { peer: who });
        } else {
            self.delivered.push_back(Delivery::Up(who.clone(), incarnation));
            self.event(Event::LinkUp { peer: who });
        }
        Ok(())
    }
}
