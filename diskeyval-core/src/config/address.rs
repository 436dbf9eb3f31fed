//! Where a node listens, or is dialled.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ConfigError;

/// `HOST:PORT`, where the host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Takes a host (an IPv6 address without its brackets) and a port.
    ///
    /// # Errors
    /// [`ConfigError::BadAddress`] if the host is empty, too long, or holds what no host name holds.
    pub fn new(host: &str, port: u16) -> Result<Address, ConfigError> {
        let bad = |why| Err(ConfigError::BadAddress { given: host.chars().take(80).collect(), why });
        let host_chars = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%');
        if host.is_empty() {
            return bad("the host is empty");
        }
        if host.len() > 253 {
            return bad("the host is longer than 253 bytes");
        }
        if !host.bytes().all(host_chars) {
            return bad("the host holds a character that no host name holds");
        }
        Ok(Address { host: host.to_string(), port })
    }

    /// Whether it says where to go, and not only where to listen.
    pub(crate) fn can_be_dialled(&self) -> bool {
        self.port != 0 && !matches!(self.host.as_str(), "0.0.0.0" | "::")
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(given: &str) -> Result<Address, ConfigError> {
        let bad = |why| ConfigError::BadAddress { given: given.chars().take(80).collect(), why };
        let (host, port) = given.rsplit_once(':').ok_or_else(|| bad("there is no port"))?;
        let port = port.parse().map_err(|_| bad("the port is no number from 0 to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(|| bad("the bracket is not closed"))?,
            None if host.contains(':') => return Err(bad("an IPv6 address stands in brackets")),
            None => host,
        };
        Address::new(host, port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let given = String::deserialize(deserializer)?;
        given.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn addresses_are_read_and_written_in_the_same_form() {
        for good in ["localhost:1", "10.0.0.1:8050", "[::1]:8050", "a.b-c_d:0"] {
            let address: Address = good.parse().expect(good);
            assert_eq!(format!("{address}"), good);
        }
        for bad in ["", "localhost", ":1", "::1:8050", "[::1:8050", "host:65536", "a b:1", "host:"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?} was taken");
        }
    }
}
