//! What a node speaks TLS by, as it is told: as text, or by the names of files.

use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{default, millis};

/// Certificate chain, private key and CA bundle, each as PEM text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate of this node, followed by intermediates if there are any.
    pub cert: String,
    /// Its private key (PKCS#8, SEC1 or PKCS#1).
    pub key: String,
    /// The CA certificates that members are signed by.
    pub ca: String,
}

impl fmt::Debug for Tls {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("cert", &self.cert.len())
            .field("ca", &self.ca.len())
            .finish_non_exhaustive()
    }
}

/// The files of certificate chain, private key and CA bundle, as PEM text. An adapter looks at them again and again, and on
/// request. What has changed is used from then on if it is whole and fits together, else what was in force stays so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate of this node, followed by intermediates if there are any.
    pub cert: String,
    /// Its private key (PKCS#8, SEC1 or PKCS#1). It may be the same file.
    pub key: String,
    /// The CA certificates that members are signed by.
    pub ca: String,
    /// How often the files are looked at. Default: 10 s.
    #[serde(rename = "lookEveryMs", with = "millis", default = "default::look_every")]
    pub look_every: Duration,
}

impl TlsFiles {
    /// These files, looked at as often as by default.
    pub fn at(cert: &str, key: &str, ca: &str) -> TlsFiles {
        let (cert, key, ca) = (cert.to_string(), key.to_string(), ca.to_string());
        TlsFiles { cert, key, ca, look_every: default::look_every() }
    }
}
