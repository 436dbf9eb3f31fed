//! A node and where it is, as an option says it.

use crate::{ConfigError, NodeId, Peer};

/// Takes `ID=HOST:PORT`.
///
/// # Errors
/// What is wrong with it.
pub fn peer(given: &str) -> Result<Peer, ConfigError> {
    let Some((id, address)) = given.split_once('=') else {
        return Err(ConfigError::BadAddress {
            given: given.chars().take(80).collect(),
            why: "a node is given as ID=HOST:PORT",
        });
    };
    let node_id = NodeId::new(id)?;
    let address: crate::Address = address.parse()?;
    Ok(Peer { node_id, host: address.host().to_owned(), port: address.port() })
}
