//! Certificates that are renewed while connections stand.

use diskeyval_core::{Certificates, CloseReason, DialError, Input, Origin};

use super::socket::Stage;
use super::{Net, conn};
use crate::tls::{Context, explain};

impl Net {
    /// Makes connections by other certificates from now on. Handshakes that have begun are broken off, and so are
    /// connections to whoever would not be let in any more.
    pub(crate) fn renew(&mut self, tls: Context) {
        self.tls = tls;
        let mut ids: Vec<usize> = self.sockets.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            match (socket.stage, socket.origin) {
                (Stage::Handshake, origin) => {
                    if let Origin::Dialled(dial) = origin {
                        let why = DialError::Other("certificates were renewed during the handshake".into());
                        self.inputs.push(Input::DialFailed { dial, why });
                    }
                    self.remove(id);
                }
                (Stage::Open, _) => {
                    if let Err(error) = self.tls.check(socket.session()) {
                        let why = CloseReason::Broken(explain(&error));
                        self.inputs.push(Input::Closed { conn: conn(id), why });
                        socket.hang_up();
                        self.dirty.push(id);
                        self.undated.push(id);
                    }
                }
                (Stage::Closing { .. }, _) => {}
            }
        }
    }

    /// Until when certificates are good.
    pub(crate) fn certificates(&self) -> Certificates {
        let open = self.sockets.values().filter(|socket| socket.stage == Stage::Open);
        self.tls.certificates(open.map(|socket| socket.session()))
    }
}
