//! What happens by time alone: who is dialled, whose link is kept awake, and whose is given up.

use alloc::vec::Vec;

use super::link::Link;
use super::{Dial, Mesh, wire};
use crate::error::CloseReason;
use crate::id::{ConnId, DialId};
use crate::io::Effect;
use crate::mutants::{Mutant, is};
use crate::time::{Deadline, Timer};

impl Mesh {
    /// Dials who is to be dialled, keeps links awake, gives up those that are silent.
    pub(crate) fn tick(&mut self) {
        if self.mute.is_some() {
            return;
        }
        for (id, peer) in &mut self.peers {
            if let (Dial::At(at), true, Some(address)) =
                (peer.dial, peer.wants_link(&self.links), peer.dials.next())
                && at <= self.now
            {
                let dial = DialId(self.next_dial);
                self.next_dial += 1;
                peer.dial = Dial::Asked(dial);
                let (peer, address) = (id.clone(), address.clone());
                self.effects.push_back(Effect::Dial { dial, peer, address, within: self.rpc_timeout });
            }
        }
        self.close_outdated();
        let (now, patience) = (self.now, self.rpc_timeout);
        let given_up = |link: &Link| {
            if link.is_stuck(now, patience) {
                Some(CloseReason::NotReading)
            } else if link.is_silent(now, patience) {
                Some(CloseReason::Silent)
            } else {
                None
            }
        };
        let given_up: Vec<(ConnId, CloseReason)> =
            self.links.iter().filter_map(|(conn, link)| Some((*conn, given_up(link)?))).collect();
        for (conn, why) in given_up {
            if let Some(link) = self.links.get_mut(&conn)
                && is(Mutant::SilentLinkIsKept)
            {
                link.heard = self.now;
                continue;
            }
            match why {
                CloseReason::NotReading => self.metrics.links_not_reading += 1,
                _ => self.metrics.links_silent += 1,
            }
            self.shut(conn, why, true);
        }
        for link in self.links.values_mut() {
            if link.partner().is_some() && self.now.since(link.spoke) >= self.rpc_timeout / 3 {
                link.spoke = self.now;
                wire::write_ping(&mut link.out);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        if self.mute.is_some() {
            return None;
        }
        let dials = self.peers.values().filter_map(|peer| {
            match (peer.dial, peer.wants_link(&self.links), peer.dials.next()) {
                (Dial::At(at), true, Some(_)) => Some(Deadline { at, why: Timer::Dial }),
                _ => None,
            }
        });
        let links = self.links.values().map(|link| link.deadline(self.rpc_timeout));
        let links = links.map(|at| Deadline { at, why: Timer::Link });
        dials.chain(links).min()
    }
}
