//! Certificates that are renewed while connections stand.

use diskeyval_core::tls::{self, Policy};
use diskeyval_core::{Certificates, CloseReason, ConnId, DialError, Input};

use super::{Net, Stage};
use crate::lock;

impl Net {
    /// Makes connections by other certificates from now on. Those that are not open are given up, and so are those to
    /// whoever would not be let in any more. What has arrived must have been collected.
    pub(crate) fn renew(&mut self, policy: &Policy, inputs: &mut Vec<Input>) {
        lock(&self.common.policy).clone_from(policy);
        // Dropping a task cuts its connection off.
        self.connections.retain(|_, connection| {
            if let (Stage::Coming, Some(dial)) = (connection.stage, connection.dial) {
                let why = DialError::Other("certificates were renewed during the handshake".into());
                inputs.push(Input::DialFailed { dial, why });
            }
            connection.stage != Stage::Coming
        });
        self.strangers.clear();
        for (id, connection) in self.connections.iter_mut().filter(|(_, one)| one.stage == Stage::Open) {
            let checked = policy.check_peer(Some(&connection.shown), connection.dial.is_some());
            if let Err(error) = checked {
                let (conn, why) = (ConnId(*id), CloseReason::Broken(tls::explain(&error)));
                inputs.push(Input::Closed { conn, why });
                connection.stage = Stage::Going;
                connection.desk.close();
            }
        }
    }

    /// Until when certificates are good: our own, and those that were shown on the connections that there are.
    pub(crate) fn certificates(&self) -> Certificates {
        let open = self.connections.values().filter(|connection| connection.stage == Stage::Open);
        lock(&self.common.policy).status(open.map(|connection| Some(&connection.shown[..])))
    }
}
