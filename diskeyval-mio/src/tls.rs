//! Everything that this crate knows of rustls' configuration, in one place. The policy itself (roots,
//! verifiers, who a certificate names) is the core's.

use std::sync::Arc;

use diskeyval_core::identity::Identity;
use diskeyval_core::tls::{self, Policy};
use diskeyval_core::{ConfigError, NodeId, Seed, Tls};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// What sessions are made from.
#[derive(Clone)]
pub(crate) struct Context {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Context {
    /// Reads and checks certificate, key and CA.
    pub(crate) fn new(pem: &Tls, own: &NodeId) -> Result<Context, ConfigError> {
        let policy = policy(pem, own)?;
        Ok(Context {
            server: policy.server_config(),
            client: policy.client_config(),
            name: tls::server_name(),
        })
    }

    /// A session with whoever has dialled us.
    pub(crate) fn accept(&self) -> Result<Connection, rustls::Error> {
        ServerConnection::new(self.server.clone()).map(Connection::from)
    }

    /// A session with whomever we have dialled.
    pub(crate) fn dial(&self) -> Result<Connection, rustls::Error> {
        ClientConnection::new(self.client.clone(), self.name.clone()).map(Connection::from)
    }

    /// What the engine draws all its chance from, by the provider's generator; `None` if that fails.
    pub(crate) fn seed(&self) -> Option<Seed> {
        let mut seed = [0; 32];
        self.client.crypto_provider().secure_random.fill(&mut seed).ok()?;
        Some(Seed(seed))
    }
}

/// What chance is drawn from where there are no sessions; `None` if that fails, or nothing was built in that has any.
pub(crate) fn seed() -> Option<Seed> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = Some(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    let provider = None::<rustls::crypto::CryptoProvider>;
    let mut seed = [0; 32];
    provider?.secure_random.fill(&mut seed).ok()?;
    Some(Seed(seed))
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
fn policy(pem: &Tls, own: &NodeId) -> Result<Policy, ConfigError> {
    Policy::from_pem(pem, own)
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
fn policy(_: &Tls, _: &NodeId) -> Result<Policy, ConfigError> {
    let why = "this program was built without cryptography: enable the feature `ring` or `aws-lc-rs`".into();
    Err(ConfigError::BadTls { part: "cert", why })
}

/// Whom the certificate at the other end names. The handshake is over.
pub(crate) fn identify(session: &Connection) -> Result<Identity, String> {
    tls::peer_identity(session.peer_certificates()).map_err(|error| error.to_string())
}

/// What went wrong, who refused what, and what to do.
pub(crate) fn explain(error: &rustls::Error) -> String {
    tls::explain(error)
}
