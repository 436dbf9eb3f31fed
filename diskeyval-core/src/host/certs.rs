//! A CA of one's own: certificates for a cluster, without openssl.
//!
//! Whoever holds the CA's key can be any node. It is needed to issue certificates and for nothing else: keep
//! it away from the machines that the nodes run on.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use diskeyval_core::NodeId;
//! use diskeyval_core::host::certs;
//!
//! let nodes = [NodeId::new("node-1")?, NodeId::new("node-2")?, NodeId::new("node-3")?];
//! certs::write_new(Path::new("certs"), &nodes, &[])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod files;

use std::borrow::ToOwned;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::time::{Duration, UNIX_EPOCH};
use std::vec::Vec;
use std::{format, vec};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::{BasicConstraints as FoundConstraints, SubjectKeyIdentifier};
use x509_cert::name::Name;

use crate::id::NodeId;
use crate::identity::Identity;

pub use self::files::{Files, Written, write_new};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Clocks differ: what is issued is valid at once on a machine that is behind by less than this.
const SKEW: Duration = DAY;
const CA_LIFE: Duration = DAY.saturating_mul(3650);
const LEAF_LIFE: Duration = DAY.saturating_mul(730);
/// X.509 has room for 64 characters.
const MAX_CA_NAME: usize = 64;

/// A certificate authority: what signs the certificates of one cluster. Keys are ECDSA P-256.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    subject: Name,
    /// Whether what is issued can point to the CA's key by its identifier.
    has_key_id: bool,
    /// Nothing that is issued lives longer. Since 1970.
    not_after: Duration,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("subject", &self.subject.to_string()).finish_non_exhaustive()
    }
}

/// A certificate that was just issued, with its key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, as PEM text.
    pub cert_pem: String,
    /// Its private key (PKCS#8), as PEM text.
    pub key_pem: String,
}

impl fmt::Debug for Issued {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a CA with a new key, valid for ten years.
    ///
    /// # Errors
    /// If the name is empty or longer than 64 characters, or the machine has no randomness or no idea of the
    /// time.
    pub fn new(name: &str) -> Result<Authority, CertsError> {
        if name.trim().is_empty() || name.chars().count() > MAX_CA_NAME {
            return Err(CertsError::BadName { of: "a CA", given: name.chars().take(80).collect() });
        }
        let key = new_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, distinct(name, &key));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = now()?;
        set_validity(&mut params, now.saturating_sub(SKEW), now + CA_LIFE);
        let certificate = params.self_signed(&key).map_err(crypto)?;
        Authority::from_parts(certificate.der(), certificate.pem(), key)
    }

    /// Takes a CA that exists: its certificate, and its key as PKCS#8.
    ///
    /// # Errors
    /// [`CertsError::BadAuthority`] if one of the two cannot be read, they do not belong together, or this is
    /// no CA, or an expired one.
    pub fn from_pem(cert: &str, key: &str) -> Result<Authority, CertsError> {
        let bad_key = |why: &str| CertsError::BadAuthority { part: "key", why: why.to_owned() };
        let certificate = CertificateDer::from_pem_slice(cert.as_bytes())
            .map_err(|error| bad_authority("cert", format!("it holds no PEM certificate ({error})")))?;
        // What the parsers say could quote the key.
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| bad_key("it holds no PEM private key in the clear"))?;
        let key = KeyPair::try_from(&key)
            .map_err(|_| bad_key("it is of a kind that is not supported: PKCS#8 with ECDSA P-256 is best"))?;
        Authority::from_parts(&certificate, cert.to_owned(), key)
    }

    fn from_parts(der: &CertificateDer<'_>, cert_pem: String, key: KeyPair) -> Result<Authority, CertsError> {
        let unreadable = |_| bad_authority("cert", "it cannot be understood".to_owned());
        let certificate = Certificate::from_der(der).map_err(unreadable)?;
        let certificate = certificate.tbs_certificate();
        match certificate.get_extension::<FoundConstraints>().map_err(unreadable)? {
            Some((_, constraints)) if constraints.ca => {}
            _ => return Err(bad_authority("cert", "it is not that of a CA".to_owned())),
        }
        let public = certificate.subject_public_key_info().subject_public_key.raw_bytes();
        if public != key.public_key_raw() {
            return Err(bad_authority("key", "it does not belong to the CA's certificate".to_owned()));
        }
        let not_after = certificate.validity().not_after.to_unix_duration();
        if not_after <= now()? {
            let why = "it has expired: make a new CA, and give every node the old and the new one as `ca` \
             while certificates are replaced";
            return Err(bad_authority("cert", why.to_owned()));
        }
        let key_id = certificate.get_extension::<SubjectKeyIdentifier>().map_err(unreadable)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = reproduce(certificate.subject())?;
        let has_key_id = key_id.is_some();
        if let Some((_, id)) = key_id {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.0.as_bytes().to_vec());
        }
        Ok(Authority {
            issuer: Issuer::new(params, key),
            cert_pem,
            subject: certificate.subject().clone(),
            has_key_id,
            not_after,
        })
    }

    /// The certificate, as PEM text: what every node and client gets as `ca`.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key (PKCS#8), as PEM text. Keep it apart.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate, with a new key, for a node. It is valid for two years (never longer than the
    /// CA), and from a day ago, as clocks differ. It may be used by both ends of a connection.
    ///
    /// The node is named by the URI `spiffe://diskeyval/<id>`; for the eyes of other programs its id stands
    /// in the subject too, and as a DNS name if it can be one.
    ///
    /// # Errors
    /// If the machine has no randomness or no idea of the time, or the CA's name cannot be repeated (one that
    /// was made elsewhere may have a rare form).
    pub fn issue_node(&self, id: &NodeId) -> Result<Issued, CertsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "diskeyval");
        params.distinguished_name.push(DnType::CommonName, id.as_str());
        params.subject_alt_names = vec![uri(&Identity::Node(id.clone()))?];
        if !id.as_str().ends_with('.') && DnsName::try_from(id.as_str()).is_ok() {
            params.subject_alt_names.push(SanType::DnsName(id.as_str().try_into().map_err(crypto)?));
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// Issues a certificate, with a new key, for a client that is no node. It is named by the URI
    /// `spiffe://diskeyval/client/<name>` alone: there is no CN that could be taken for that of a node.
    ///
    /// # Errors
    /// [`CertsError::BadName`] if the name is not 1 to 63 of `A-Z a-z 0-9 _ . -`; else as
    /// [`issue_node`](Authority::issue_node).
    pub fn issue_client(&self, name: &str) -> Result<Issued, CertsError> {
        let identity = client(name)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "diskeyval client");
        params.distinguished_name.push(DnType::OrganizationalUnitName, name);
        params.subject_alt_names = vec![uri(&identity)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, CertsError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = self.has_key_id;
        let now = now()?;
        set_validity(&mut params, now.saturating_sub(SKEW), self.not_after.min(now + LEAF_LIFE));
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(crypto)?;
        // A chain is found by the name of the issuer, byte for byte.
        let issued =
            Certificate::from_der(certificate.der()).map_err(|error| crypto_text(error.to_string()))?;
        if *issued.tbs_certificate().issuer() != self.subject {
            return Err(odd_name());
        }
        Ok(Issued { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

/// The name of a CA, for what it issues to repeat.
fn reproduce(name: &Name) -> Result<DistinguishedName, CertsError> {
    let mut copy = DistinguishedName::new();
    for part in name.iter() {
        let kind: Vec<u64> = part.oid.arcs().map(u64::from).collect();
        let text = std::str::from_utf8(part.value.value()).map_err(|_| odd_name())?;
        let value = match part.value.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => DnValue::PrintableString(text.try_into().map_err(|_| odd_name())?),
            Tag::Ia5String => DnValue::Ia5String(text.try_into().map_err(|_| odd_name())?),
            _ => return Err(odd_name()),
        };
        copy.push(DnType::from_oid(&kind), value);
    }
    Ok(copy)
}

fn odd_name() -> CertsError {
    let why = "its name is of a form that cannot be repeated in what it issues: issue with the program that \
               made it, or make a new CA";
    bad_authority("cert", why.to_owned())
}

fn client(name: &str) -> Result<Identity, CertsError> {
    Identity::client(name)
        .ok_or_else(|| CertsError::BadName { of: "a client", given: name.chars().take(80).collect() })
}

fn uri(identity: &Identity) -> Result<SanType, CertsError> {
    Ok(SanType::URI(identity.uri().try_into().map_err(crypto)?))
}

/// A name that no two CAs share: else a certificate of the other one is taken for a forgery of this one's,
/// and the message about it says so.
fn distinct(name: &str, key: &KeyPair) -> String {
    let tail: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{name} {tail}")
}

fn new_key() -> Result<KeyPair, CertsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(crypto)
}

/// Since 1970, in whole seconds.
#[expect(clippy::disallowed_types, reason = "certificates are about the wall clock")]
fn now() -> Result<Duration, CertsError> {
    /// The year 9500: certificates cannot speak of a year after 9999.
    const END: u64 = 237_600_000_000;
    match std::time::SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(now) if now.as_secs() < END => Ok(Duration::from_secs(now.as_secs())),
        _ => Err(CertsError::Clock),
    }
}

/// From when and until when, since 1970.
fn set_validity(params: &mut CertificateParams, from: Duration, to: Duration) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from;
    params.not_after = epoch + to;
}

/// Why no certificate was issued.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertsError {
    /// The name of a CA or of a client is none.
    BadName {
        /// `a CA` or `a client`.
        of: &'static str,
        /// What was given, cut to 80 characters.
        given: String,
    },
    /// The CA cannot be used.
    BadAuthority {
        /// `cert` or `key`.
        part: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// One file of the CA is there and the other is not.
    HalfAuthority {
        /// The one.
        found: PathBuf,
        /// The other.
        missing: PathBuf,
    },
    /// A file is there, and none is ever overwritten.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Two of the names want the same file.
    Collision {
        /// The file.
        path: PathBuf,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// The file system refused.
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The clock of this machine is before 1970 or after 9500.
    Clock,
    /// The cryptography failed: no randomness, most likely.
    Crypto {
        /// What it said.
        why: String,
    },
}

fn bad_authority(part: &'static str, why: String) -> CertsError {
    CertsError::BadAuthority { part, why }
}

fn io_error(what: &'static str, path: &Path, error: io::Error) -> CertsError {
    CertsError::Io { what, path: path.to_owned(), error }
}

fn crypto(error: rcgen::Error) -> CertsError {
    crypto_text(error.to_string())
}

fn crypto_text(why: String) -> CertsError {
    CertsError::Crypto { why }
}

impl fmt::Display for CertsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertsError::BadName { of: "a CA", given } => {
                write!(f, "{given:?} is no name for a CA: use 1 to {MAX_CA_NAME} characters")
            }
            CertsError::BadName { of, given } => {
                write!(f, "{given:?} is no name for {of}: use 1 to 63 of A-Z a-z 0-9 _ . -")
            }
            CertsError::BadAuthority { part, why } => write!(f, "the {part} of the CA: {why}"),
            CertsError::HalfAuthority { found, missing } => write!(
                f,
                "{} is there, but {} is not: put the missing file there, or use a directory without either",
                found.display(),
                missing.display()
            ),
            CertsError::Exists { path } => write!(
                f,
                "{} is there, and nothing is overwritten: move it away if a new one is wanted, or use \
                 another directory",
                path.display()
            ),
            CertsError::Collision { path, first, second } => write!(
                f,
                "{first} and {second} would both be written to {}: give each name once, and issue these two \
                 into different directories",
                path.display()
            ),
            CertsError::Io { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            CertsError::Clock => {
                f.write_str("the clock of this machine is before 1970 or after 9500: set it right")
            }
            CertsError::Crypto { why } => write!(f, "the cryptography of this machine fails: {why}"),
        }
    }
}

impl std::error::Error for CertsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CertsError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(all(test, any(feature = "ring", feature = "aws-lc-rs")))]
mod tests;
