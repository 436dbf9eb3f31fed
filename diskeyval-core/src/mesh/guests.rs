//! Who belongs to the mesh: the members that this node knows of, and guests.
//!
//! A node may have been away while all those whom it knows were replaced. So one that it does not know is let in as a guest,
//! if that belongs to the same cluster and has a later entry about the members in its log. Whether it is heard is decided
//! by consensus, and it has nothing to ask for. Everybody else who is no member is turned away, and told so if it was one.

use super::dials::Dials;
use super::link::{Link, Phase};
use super::wire::Hello;
use super::{Dial, Heard, MIN_BACK_OFF, Mesh, Peer};
use crate::error::CloseReason;
use crate::id::{ConnId, EntryId, Index, NodeId};
use crate::members::{MAX_KNOWN, Member, Membership};
use crate::mutants::{Mutant, is};
use crate::time::Instant;

/// No cluster has more members.
const MAX_GUESTS: usize = MAX_KNOWN;

impl Peer {
    pub(super) fn new(dials: Dials, now: Instant) -> Peer {
        Peer {
            dials,
            is_guest: false,
            dial: Dial::At(now),
            back_off: MIN_BACK_OFF,
            link: None,
            heard: Heard::Silence,
            trouble: None,
            told: None,
        }
    }
}

impl Mesh {
    /// These are the members from now on, as they stand in the log, committed or not. Who goes is known until that is
    /// applied.
    pub(crate) fn know(&mut self, by: EntryId, members: &Membership) {
        self.hello.configuration = by;
        self.known = Some(members.clone());
        if members.names(&self.hello.node, self.hello.incarnation) {
            self.hello.named = Some(by.index);
        }
        for seat in members.members().filter(|seat| seat.id != self.hello.node) {
            let listed = self.listed.get(&seat.id);
            let peer = self.peers.entry(seat.id.clone());
            let peer = peer.or_insert_with(|| Peer::new(Dials::to(listed, seat.address.as_ref()), self.now));
            peer.is_guest = false;
            peer.dials.renew(listed, seat.address.as_ref());
        }
        let is_applied =
            |id: &NodeId| self.members.as_ref().is_some_and(|(_, members)| members.member(id).is_some());
        let is_out =
            |id: &NodeId, peer: &Peer| members.member(id).is_none() && !is_applied(id) && !peer.is_guest;
        let out: alloc::vec::Vec<NodeId> =
            self.peers.iter().filter(|(id, peer)| is_out(id, peer)).map(|(id, _)| id.clone()).collect();
        for id in out.into_iter().filter(|_| !is(Mutant::RemovedIsWelcome)) {
            self.turn_out(&id);
        }
    }

    /// A member has said where others are. Nobody is known for longer than that it is dialled.
    pub(crate) fn list(&mut self, known: alloc::vec::Vec<Member>) {
        for Member { node, address } in known {
            let (Some(address), true) = (address, self.peers.len() < MAX_GUESTS) else { continue };
            if node != self.hello.node {
                let listed = self.listed.get(&node);
                let peer = self.peers.entry(node.clone());
                let peer = peer.or_insert_with(|| Peer::new(Dials::default(), self.now));
                peer.is_guest = false;
                peer.dials.renew(listed, Some(&address));
            }
        }
    }

    /// A node is no member any more; or it never was, but by an entry that was given up. Of a connection whose hello is
    /// awaited that decides: nobody is told anything in front of a welcome.
    fn turn_out(&mut self, id: &NodeId) {
        let is_removed = self.members.as_ref().is_some_and(|(_, members)| members.member(id).is_none());
        let why = if is_removed { CloseReason::Removed } else { CloseReason::NotAMember };
        let is_met = |link: &Link| link.who == *id && link.phase != Phase::AwaitHello;
        let conns: alloc::vec::Vec<ConnId> =
            self.links.iter().filter(|(_, link)| is_met(link)).map(|(conn, _)| *conn).collect();
        for conn in conns {
            self.shut(conn, why.clone(), true);
        }
        self.peers.remove(id);
    }

    /// Whether a node that is no member, as far as this one knows, may be linked all the same.
    fn check_stranger(&self, hello: &Hello) -> Result<(), CloseReason> {
        let applied = self.members.as_ref().map(|(at, _)| *at);
        let is_behind = |then: Option<Index>| then.is_some_and(|then| applied.is_some_and(|now| then < now));
        let place = |entry: EntryId| (entry.term, entry.index);
        if hello.cluster.is_none() {
            Err(CloseReason::NotAMember)
        } else if place(hello.configuration) > place(self.hello.configuration) || is(Mutant::RemovedIsWelcome)
        {
            Ok(())
        } else if is_behind(hello.seated) || is_behind(hello.named) {
            Err(CloseReason::Removed)
        } else {
            Err(CloseReason::NotAMember)
        }
    }

    /// Whether a node that is linked is no member, as far as this one knows.
    pub(crate) fn is_guest(&self, id: &NodeId) -> bool {
        self.peers.get(id).is_some_and(|peer| peer.is_guest)
    }

    pub(super) fn take_in_guest(&mut self, hello: &Hello) -> Result<(), CloseReason> {
        self.check_stranger(hello)?;
        if self.is_guest(&hello.node) {
            return Ok(());
        }
        if self.peers.values().filter(|peer| peer.is_guest).count() >= MAX_GUESTS {
            return Err(CloseReason::Crowded { limit: MAX_GUESTS });
        }
        let mut peer = Peer::new(Dials::to(None, hello.address.as_ref()), self.now);
        peer.is_guest = true;
        peer.heard = hello.cluster.map_or(Heard::Silence, Heard::Founded);
        self.peers.insert(hello.node.clone(), peer);
        Ok(())
    }
}
