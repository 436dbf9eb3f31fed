//! What happens by time alone: who is dialled, whose link is kept awake, and whose is given up.

use alloc::vec::Vec;

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
        let silent: Vec<ConnId> = self
            .links
            .iter()
            .filter(|(_, link)| self.now.since(link.heard) >= self.rpc_timeout)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in silent {
            if let Some(link) = self.links.get_mut(&conn)
                && is(Mutant::SilentLinkIsKept)
            {
                link.heard = self.now;
                continue;
            }
            let full = self.links.get(&conn).is_some_and(|link| link.unsent >= self.limits.send_buffer / 2);
            self.shut(conn, if full { CloseReason::NotReading } else { CloseReason::Silent }, true);
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
