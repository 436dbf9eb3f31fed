//! Links that stand by certificates which were renewed, and how others take their place without a gap.
//!
//! The node whose certificates were renewed dials every peer while the link to it goes on. Which of the two is kept would be
//! decided by who has dialled ([`Mesh::raise`]), so each hello says how often its node's certificates were renewed: the
//! link on which both ends have renewed more often together goes before, and both ends add up the same.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::link::Link;
use super::{Dial, Mesh, Peer};
use crate::error::CloseReason;
use crate::id::ConnId;
use crate::io::Event;

impl Mesh {
    /// The certificates of this node, or those that it trusts, are others from now on.
    pub(crate) fn renew(&mut self) {
        self.hello.renewals = self.hello.renewals.saturating_add(1);
        self.event(Event::CertsRenewed);
        // What is not up yet may have been begun by the former ones, and has nobody waiting for it.
        let unmet: Vec<ConnId> =
            self.links.iter().filter(|(_, link)| link.partner().is_none()).map(|(conn, _)| *conn).collect();
        for conn in unmet {
            self.shut(conn, CloseReason::Renewed, true);
        }
        let until = self.now + self.rpc_timeout;
        for peer in self.peers.values_mut() {
            let Some(link) = peer.link.and_then(|conn| self.links.get_mut(&conn)) else { continue };
            // Who cannot be dialled is told so at once, and comes by itself.
            link.outdated = Some(if peer.dials.next().is_some() { until } else { self.now });
            if let Dial::At(at) = &mut peer.dial {
                *at = self.now;
            }
        }
    }

    /// Closes the links whose place nobody has taken in time.
    pub(super) fn close_outdated(&mut self) {
        let is_over = |link: &Link| link.outdated.is_some_and(|end| end <= self.now);
        let over: Vec<ConnId> =
            self.links.iter().filter(|(_, link)| is_over(link)).map(|(conn, _)| *conn).collect();
        for conn in over {
            self.shut(conn, CloseReason::Renewed, true);
        }
    }
}

impl Peer {
    /// Whether it is to be dialled: there is no link, or one that another is to take the place of.
    pub(super) fn wants_link(&self, links: &BTreeMap<ConnId, Link>) -> bool {
        self.link.is_none_or(|conn| links.get(&conn).is_some_and(Link::is_outdated))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::super::dials::Dials;
    use super::super::tests::{End, carry, connect, end, id};
    use super::*;
    use crate::io::Effect;

    const FORMER: ConnId = ConnId(1);

    fn linked(dialled_by_a: bool) -> (End, End) {
        let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
        if dialled_by_a {
            connect(&mut a, &mut b, FORMER);
        } else {
            connect(&mut b, &mut a, FORMER);
        }
        carry(&mut a, &mut b, FORMER);
        forget_dials(&mut a);
        forget_dials(&mut b);
        (a, b)
    }

    fn forget_dials(end: &mut End) {
        end.effects.retain(|effect| !matches!(effect, Effect::Dial { .. }));
    }

    fn link(end: &End, peer: &str) -> Option<ConnId> {
        end.mesh.peers[&id(peer)].link
    }

    #[test]
    fn a_new_link_takes_the_place_of_the_former_whoever_had_dialled_that() {
        for (dialled_by_a, renewed_by_a) in [(true, true), (true, false), (false, true), (false, false)] {
            let (mut a, mut b) = linked(dialled_by_a);
            // Again and again: that it was so once gives nobody a right.
            for new in 2..5 {
                let (one, other) = if renewed_by_a { (&mut a, &mut b) } else { (&mut b, &mut a) };
                one.mesh.renew();
                connect(one, other, ConnId(new));
                forget_dials(one);
                assert!(one.closed(ConnId(new - 1)).is_none(), "the former goes on");
                carry(&mut a, &mut b, ConnId(new));
                for (end, peer) in [(&mut a, "b"), (&mut b, "a")] {
                    assert_eq!(link(end, peer), Some(ConnId(new)), "{dialled_by_a} {renewed_by_a} {new}");
                    assert_eq!(end.closed(ConnId(new - 1)), Some(CloseReason::Replaced));
                }
            }
        }
    }

    #[test]
    fn of_links_that_both_ends_make_anew_the_smaller_ids_is_kept() {
        let (mut a, mut b) = linked(true);
        a.mesh.renew();
        b.mesh.renew();
        connect(&mut a, &mut b, ConnId(2));
        connect(&mut b, &mut a, ConnId(3));
        carry(&mut a, &mut b, ConnId(3));
        carry(&mut a, &mut b, ConnId(2));
        for (end, peer) in [(&mut a, "b"), (&mut b, "a")] {
            assert_eq!(link(end, peer), Some(ConnId(2)));
            assert_eq!(end.closed(ConnId(3)), Some(CloseReason::Replaced));
        }
    }

    #[test]
    fn what_was_begun_by_the_former_certificates_comes_to_no_link() {
        let (mut a, mut b) = linked(false);
        // A dial of b that is slow: its hello is on its way while a renews.
        b.mesh.peers.get_mut(&id("a")).expect("a peer").link = None;
        connect(&mut b, &mut a, ConnId(2));
        b.mesh.peers.get_mut(&id("a")).expect("a peer").link = Some(FORMER);
        a.mesh.renew();
        assert_eq!(
            a.closed(ConnId(2)),
            Some(CloseReason::Renewed),
            "its handshake was by the former certificates"
        );
        connect(&mut a, &mut b, ConnId(3));
        carry(&mut a, &mut b, ConnId(3));
        carry(&mut a, &mut b, ConnId(2));
        assert_eq!((link(&a, "b"), link(&b, "a")), (Some(ConnId(3)), Some(ConnId(3))));
    }

    #[test]
    fn a_link_whose_place_nobody_takes_is_closed_in_time() {
        let (mut a, mut b) = linked(true);
        a.mesh.renew();
        let end = a.mesh.now + a.mesh.rpc_timeout;
        while a.mesh.now < end {
            assert!(a.closed(FORMER).is_none());
            let now = a.mesh.now + Duration::from_millis(500);
            for end in [&mut a, &mut b] {
                end.mesh.wake(now);
                end.mesh.tick();
            }
            assert!(now == end || a.mesh.deadline().is_some_and(|deadline| deadline.at <= end));
            // It is heard all the time.
            carry(&mut a, &mut b, FORMER);
        }
        assert_eq!(a.closed(FORMER), Some(CloseReason::Renewed));
        assert!(matches!(b.closed(FORMER), Some(CloseReason::Goodbye(why)) if why.contains("renewed")));
    }

    #[test]
    fn who_cannot_be_dialled_is_told_goodbye_at_once() {
        let (mut a, mut b) = linked(false);
        a.mesh.peers.get_mut(&id("b")).expect("a peer").dials = Dials::default();
        a.mesh.renew();
        a.mesh.tick();
        assert_eq!(a.closed(FORMER), Some(CloseReason::Renewed));
        carry(&mut a, &mut b, FORMER);
        assert_eq!(link(&b, "a"), None, "it dials");
    }
}
