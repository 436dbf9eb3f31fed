//! Everything that this crate knows of rustls' configuration, in one place. The policy itself (roots,
//! verifiers, who a certificate names) is the core's.

use std::sync::Arc;

use diskeyval_core::Certificates;
use diskeyval_core::identity::Identity;
use diskeyval_core::tls::{self, Policy};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// What sessions are made from.
#[derive(Clone)]
pub(crate) struct Context {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
    policy: Policy,
}

impl Context {
    pub(crate) fn new(policy: &Policy) -> Context {
        Context {
            server: policy.server_config(),
            client: policy.client_config(),
            name: tls::server_name(),
            policy: policy.clone(),
        }
    }

    /// Whether the certificate at the other end of a session would be taken today.
    pub(crate) fn check(&self, session: &Connection) -> Result<(), rustls::Error> {
        self.policy.check_peer(session.peer_certificates(), matches!(session, Connection::Client(_)))
    }

    /// Until when certificates are good: our own, and those that were shown on these sessions.
    pub(crate) fn certificates<'s>(&self, sessions: impl Iterator<Item = &'s Connection>) -> Certificates {
        self.policy.status(sessions.map(|session| session.peer_certificates()))
    }

    /// A session with whoever has dialled us.
    pub(crate) fn accept(&self) -> Result<Connection, rustls::Error> {
        ServerConnection::new(self.server.clone()).map(Connection::from)
    }

    /// A session with whomever we have dialled.
    pub(crate) fn dial(&self) -> Result<Connection, rustls::Error> {
        ClientConnection::new(self.client.clone(), self.name.clone()).map(Connection::from)
    }
}

/// Whom the certificate at the other end names. The handshake is over.
pub(crate) fn identify(session: &Connection) -> Result<Identity, String> {
    tls::peer_identity(session).map_err(|error| tls::explain(&error))
}

/// What went wrong, who refused what, and what to do.
pub(crate) fn explain(error: &rustls::Error) -> String {
    tls::explain(error)
}
