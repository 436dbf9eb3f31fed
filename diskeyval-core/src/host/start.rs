//! From a configuration to what a node is made of, before anything runs.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

use rustls::crypto::CryptoProvider;

use super::{Directory, Renewal, StartError};
use crate::config::{Address, Config, Settings, Tls};
use crate::error::ConfigError;
use crate::id::NodeId;
use crate::prng::Seed;
use crate::tls::Policy;

/// What a node stands on: everything is checked, and its directory is held.
#[derive(Debug)]
pub struct Ground {
    /// The configuration, checked.
    pub settings: Settings,
    /// How it speaks TLS.
    pub policy: Policy,
    /// Where it has that from, and may find another.
    pub renewal: Renewal,
    /// What the engine draws all its chance from.
    pub seed: Seed,
    /// Where it listens.
    pub local_addr: SocketAddr,
    /// Where it keeps what it promises, if it does.
    pub directory: Option<Directory>,
}

/// Binds the address that is configured. May block for as long as a resolver does.
///
/// # Errors
/// What is wrong with the configuration, or why nobody can listen there.
pub fn bind(config: &Config) -> Result<TcpListener, StartError> {
    let settings = config.validate()?;
    let address = settings.own_address();
    let bound = resolve(address).and_then(|addresses| TcpListener::bind(&*addresses));
    bound.map_err(|source| StartError::Bind { address: address.clone(), source })
}

/// Checks all that can be wrong, and takes the directory. Whatever port it is that port 0 has become, the configuration has
/// the real one afterwards, and of two addresses that of the listener. May block.
///
/// # Errors
/// What is wrong with the configuration, or why the directory cannot be used.
pub fn prepare(listener: &TcpListener, config: &mut Config) -> Result<Ground, StartError> {
    let local_addr =
        listener.local_addr().map_err(|source| StartError::io("ask for the address of a socket", source))?;
    config.port = local_addr.port();
    // A name is kept: others may know it where they do not know the address.
    if config.host.parse::<IpAddr>().is_ok() {
        config.host = local_addr.ip().to_string();
    }
    let settings = config.validate()?;
    let (renewal, policy) = Renewal::begin(config)?;
    let seed = seed()?;
    // The last thing that can be refused without a trace, since it leaves one.
    let directory = config.persistence.as_ref().map(|kept| Directory::open(&kept.dir)).transpose()?;
    Ok(Ground { settings, policy, renewal, seed, local_addr, directory })
}

/// All addresses of a host, in the resolver's order. May block for as long as the resolver does.
///
/// # Errors
/// What the resolver says, or that there is none.
pub fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = (address.host(), address.port()).to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

/// What chance is drawn from: the generator of the cryptography that was built in.
pub(super) fn seed() -> Result<Seed, StartError> {
    let mut seed = [0; 32];
    match provider() {
        Some(provider) if provider.secure_random.fill(&mut seed).is_ok() => Ok(Seed(seed)),
        _ => {
            let source = io::Error::other("the generator failed, or none was built in");
            Err(StartError::io("draw random numbers", source))
        }
    }
}

pub(super) fn policy(pem: &Tls, own: &NodeId) -> Result<Policy, ConfigError> {
    match provider() {
        Some(provider) => Policy::from_pem_with_provider(pem, own, Arc::new(provider)),
        None => {
            let why = "this program was built without cryptography: enable the feature `ring` or `aws-lc-rs`"
                .into();
            Err(ConfigError::BadTls { part: "cert", why })
        }
    }
}

fn provider() -> Option<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = Some(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    let provider = None;
    provider
}

pub(super) fn no_tls() -> ConfigError {
    ConfigError::BadTls {
        part: "cert",
        why: "there is none, and nodes speak only mutual TLS: set certificate, key and CA with `Config::tls`, or \
              their files with `Config::tls_files`"
            .into(),
    }
}
