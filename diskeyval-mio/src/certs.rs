//! A CA of one's own: certificates for a cluster, without openssl.
//!
//! Whoever holds the CA's key can be any node. It is needed to issue certificates and for nothing else: keep
//! it away from the machines that the nodes run on.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use diskeyval_core::NodeId;
//! # use diskeyval_mio::certs;
//!
//! let nodes = [NodeId::new("node-1")?, NodeId::new("node-2")?, NodeId::new("node-3")?];
//! certs::write_new(Path::new("certs"), &nodes, &[])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diskeyval_core::NodeId;
use diskeyval_core::identity::Identity;
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
#[expect(clippy::disallowed_methods, reason = "certificates are about the wall clock")]
fn now() -> Result<Duration, CertsError> {
    /// The year 9500: certificates cannot speak of a year after 9999.
    const END: u64 = 237_600_000_000;
    match SystemTime::now().duration_since(UNIX_EPOCH) {
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

/// What [`write_new`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The certificate of the CA: what every node and client gets as `ca`.
    pub ca: PathBuf,
    /// Whether the CA is new (else it was there, and was used).
    pub new_ca: bool,
    /// What was issued, in the order of nodes and clients.
    pub issued: Vec<Files>,
}

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Files {
    /// Whom it names.
    pub identity: Identity,
    /// The certificate: `<id>.pem`, or `client-<name>.pem`.
    pub cert: PathBuf,
    /// The private key: `<id>-key.pem`, or `client-<name>-key.pem`.
    pub key: PathBuf,
}

/// Issues certificates into a directory, which is made if need be. The CA is `ca.pem` and `ca-key.pem` there;
/// if it is there already it is used, so that a cluster can grow.
///
/// Nothing is ever overwritten, and nothing is written before everything has been issued. On Unix nobody but
/// the owner can read a key, from the moment on that its file exists; elsewhere, choose the directory well.
///
/// # Errors
/// [`CertsError::Exists`] if one of the files is there, [`CertsError::HalfAuthority`] if only one of the CA's
/// is; each error says what to do.
pub fn write_new(dir: &Path, nodes: &[NodeId], clients: &[String]) -> Result<Written, CertsError> {
    let (ca_cert, ca_key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    let nodes = nodes.iter().map(|id| (Identity::Node(id.clone()), id.to_string()));
    let clients = clients.iter().map(|name| Ok((client(name)?, format!("client-{name}"))));
    let mut wanted = Vec::new();
    for one in nodes.map(Ok).chain(clients) {
        let (identity, stem) = one?;
        let (cert, key) = (dir.join(format!("{stem}.pem")), dir.join(format!("{stem}-key.pem")));
        wanted.push(Files { identity, cert, key });
    }
    refuse_collisions(&wanted, &ca_cert, &ca_key)?;
    fs::create_dir_all(dir).map_err(|error| io_error("make the directory", dir, error))?;
    if let Some(path) = wanted.iter().flat_map(|files| [&files.cert, &files.key]).find(|path| is_there(path))
    {
        return Err(CertsError::Exists { path: path.clone() });
    }

    let (authority, new_ca) = match (is_there(&ca_cert), is_there(&ca_key)) {
        (true, true) => (Authority::from_pem(&read(&ca_cert)?, &read(&ca_key)?)?, false),
        (false, false) => (Authority::new("diskeyval CA")?, true),
        (true, false) => return Err(CertsError::HalfAuthority { found: ca_cert, missing: ca_key }),
        (false, true) => return Err(CertsError::HalfAuthority { found: ca_key, missing: ca_cert }),
    };
    let issue = |files: &Files| match &files.identity {
        Identity::Node(id) => authority.issue_node(id),
        Identity::Client(name) => authority.issue_client(name),
    };
    let issued: Vec<Issued> = wanted.iter().map(issue).collect::<Result<_, _>>()?;

    if new_ca {
        write_file(&ca_key, &authority.key_pem(), Secrecy::Owner)?;
        write_file(&ca_cert, authority.cert_pem(), Secrecy::Anyone)?;
    }
    for (files, issued) in wanted.iter().zip(&issued) {
        write_file(&files.key, &issued.key_pem, Secrecy::Owner)?;
        write_file(&files.cert, &issued.cert_pem, Secrecy::Anyone)?;
    }
    Ok(Written { ca: ca_cert, new_ca, issued: wanted })
}

/// A node may be called `ca`, `a-key` or `client-a`, and its files as those of another.
fn refuse_collisions(wanted: &[Files], ca_cert: &Path, ca_key: &Path) -> Result<(), CertsError> {
    let mut owners = BTreeMap::from([(ca_cert, "the CA".to_owned()), (ca_key, "the CA".to_owned())]);
    for files in wanted {
        for path in [&files.cert, &files.key] {
            let owner = files.identity.to_string();
            if let Some(other) = owners.insert(path, owner.clone()) {
                return Err(CertsError::Collision { path: path.clone(), first: other, second: owner });
            }
        }
    }
    Ok(())
}

/// Also true for a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(path: &Path) -> Result<String, CertsError> {
    fs::read_to_string(path).map_err(|error| io_error("read", path, error))
}

#[derive(Clone, Copy, PartialEq)]
enum Secrecy {
    Owner,
    Anyone,
}

fn write_file(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), CertsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secrecy == Secrecy::Owner {
        // At its creation: set later, it would have been open for a moment.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secrecy;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CertsError::Exists { path: path.to_owned() },
        _ => io_error("create", path, error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a file would only be in the way of the next attempt.
        let _ = fs::remove_file(path);
        io_error("write", path, error)
    })
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
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use diskeyval_core::Tls;
    use diskeyval_core::identity::of_certificate;
    use diskeyval_core::tls::Policy;
    use x509_cert::ext::pkix::name::GeneralName;
    use x509_cert::ext::pkix::{AuthorityKeyIdentifier, ExtendedKeyUsage, SubjectAltName};

    use super::*;

    /// A directory that is gone at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("diskeyval-certs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            Scratch(std::env::temp_dir().join(name))
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).expect(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a node id")
    }

    fn parsed(pem: &str) -> Certificate {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        Certificate::from_der(&der).expect("DER")
    }

    fn named(pem: &str) -> Identity {
        of_certificate(&CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a name")
    }

    fn policy(ca: &Authority, issued: &Issued, name: &str) -> Result<Policy, diskeyval_core::ConfigError> {
        let tls =
            Tls { cert: issued.cert_pem.clone(), key: issued.key_pem.clone(), ca: ca.cert_pem().to_owned() };
        Policy::from_pem(&tls, &id(name))
    }

    fn extended_usages(pem: &str) -> Vec<String> {
        let found = parsed(pem).tbs_certificate().get_extension::<ExtendedKeyUsage>().expect("readable");
        found.expect("present").1.0.iter().map(ToString::to_string).collect()
    }

    const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
    const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

    #[test]
    fn nodes_get_what_the_policy_wants() {
        let ca = Authority::new("test").expect("a CA");
        for name in ["node-1", "1", "Node_1.", "10.0.0.1", &"x".repeat(63)] {
            let issued = ca.issue_node(&id(name)).expect("a certificate");
            assert_eq!(named(&issued.cert_pem), Identity::Node(id(name)));
            policy(&ca, &issued, name).expect("a policy");
            assert_eq!(extended_usages(&issued.cert_pem), [SERVER_AUTH, CLIENT_AUTH]);
        }
    }

    #[test]
    fn an_id_that_can_be_a_dns_name_is_one_too() {
        let ca = Authority::new("test").expect("a CA");
        let dns_names = |name: &str| {
            let issued = ca.issue_node(&id(name)).expect("a certificate");
            let names = parsed(&issued.cert_pem).tbs_certificate().get_extension::<SubjectAltName>();
            let names = names.expect("readable").expect("present").1.0;
            names.iter().filter(|name| matches!(name, GeneralName::DnsName(_))).count()
        };
        assert_eq!(dns_names("node-1"), 1);
        assert_eq!(dns_names("a.example.org"), 1);
        for none in ["1", "10.0.0.1", "node-1.", "a..b", "-a"] {
            assert_eq!(dns_names(none), 0, "{none}");
        }
    }

    #[test]
    fn clients_are_no_nodes() {
        let ca = Authority::new("test").expect("a CA");
        let issued = ca.issue_client("backup").expect("a certificate");
        assert_eq!(named(&issued.cert_pem), Identity::client("backup").expect("a name"));
        assert_eq!(extended_usages(&issued.cert_pem), [CLIENT_AUTH]);
        assert!(policy(&ca, &issued, "backup").is_err());
        for bad in ["", "a/b", "a b", &"x".repeat(64)] {
            assert!(matches!(ca.issue_client(bad), Err(CertsError::BadName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn lives_are_as_documented() {
        let ca = Authority::new("test").expect("a CA");
        let now = now().expect("a clock");
        let span = |pem: &str| {
            let validity = *parsed(pem).tbs_certificate().validity();
            (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration())
        };
        let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_secs(60);
        let (from, to) = span(ca.cert_pem());
        assert!(near(from + DAY, now) && near(to, now + 3650 * DAY), "{from:?} {to:?}");
        let (from, to) = span(&ca.issue_node(&id("a")).expect("a certificate").cert_pem);
        assert!(near(from + DAY, now) && near(to, now + 730 * DAY), "{from:?} {to:?}");
    }

    #[test]
    fn a_ca_comes_back_from_its_files() {
        let ca = Authority::new("test").expect("a CA");
        let again = Authority::from_pem(ca.cert_pem(), &ca.key_pem()).expect("the CA");
        let old = ca.issue_node(&id("a")).expect("a certificate");
        let new = again.issue_node(&id("a")).expect("a certificate");
        for (authority, issued) in [(&ca, &old), (&ca, &new), (&again, &old), (&again, &new)] {
            policy(authority, issued, "a").expect("a policy");
        }
        // OpenSSL looks for the issuer by this, too.
        let tbs = parsed(ca.cert_pem());
        let own = tbs.tbs_certificate().get_extension::<SubjectKeyIdentifier>().expect("readable");
        let leaf = parsed(&new.cert_pem);
        let wanted = leaf.tbs_certificate().get_extension::<AuthorityKeyIdentifier>().expect("readable");
        assert_eq!(wanted.and_then(|(_, id)| id.key_identifier), own.map(|(_, id)| id.0));
    }

    /// As other programs make them: several parts, several types of text, no identifier of the key.
    #[test]
    fn a_ca_of_another_program_is_used() {
        let make = |parts: &[(DnType, DnValue)], life: i32, is_ca: IsCa| {
            let key = new_key().expect("a key");
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            for (kind, value) in parts {
                params.distinguished_name.push(kind.clone(), value.clone());
            }
            params.is_ca = is_ca;
            params.not_after = date_time_ymd(life, 1, 1);
            (params.self_signed(&key).expect("a CA").pem(), key.serialize_pem())
        };
        let any_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let printable = |text: &str| DnValue::PrintableString(text.try_into().expect("printable"));
        let parts = [
            (DnType::CountryName, printable("DE")),
            (DnType::OrganizationName, "B\u{fc}ro".into()),
            (
                DnType::from_oid(&[1, 2, 840, 113_549, 1, 9, 1]),
                DnValue::Ia5String("a@b".try_into().expect("ASCII")),
            ),
            (DnType::CommonName, printable("Root CA")),
        ];
        let (cert, key) = make(&parts, 2999, any_ca);
        let ca = Authority::from_pem(&cert, &key).expect("the CA");
        policy(&ca, &ca.issue_node(&id("a")).expect("a certificate"), "a").expect("a policy");

        let teletex = DnValue::TeletexString("CA".try_into().expect("teletex"));
        let (odd_cert, odd_key) = make(&[(DnType::CommonName, teletex)], 2999, any_ca);
        let (old_cert, old_key) = make(&parts, 2020, any_ca);
        let (leaf_cert, leaf_key) = make(&parts, 2999, IsCa::ExplicitNoCa);
        for (cert, key, guilty, said) in [
            (&odd_cert, &odd_key, "cert", "cannot be repeated"),
            (&old_cert, &old_key, "cert", "has expired"),
            (&leaf_cert, &leaf_key, "cert", "not that of a CA"),
            (&cert, &old_key, "key", "does not belong"),
            (&key, &cert, "cert", "no PEM certificate"),
            (&cert, &cert, "key", "no PEM private key"),
        ] {
            match Authority::from_pem(cert, key) {
                Err(CertsError::BadAuthority { part, why }) => {
                    assert!(part == guilty && why.contains(said), "{part}: {why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn nothing_outlives_its_ca() {
        let key = new_key().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let now = now().expect("a clock");
        set_validity(&mut params, now, now + 7 * DAY);
        let cert = params.self_signed(&key).expect("a CA").pem();
        let ca = Authority::from_pem(&cert, &key.serialize_pem()).expect("the CA");
        let issued = ca.issue_node(&id("a")).expect("a certificate");
        let end = |pem: &str| parsed(pem).tbs_certificate().validity().not_after.to_unix_duration();
        assert_eq!(end(&issued.cert_pem), end(&cert));
    }

    #[test]
    fn files_are_written_and_a_cluster_can_grow() {
        let dir = Scratch::new();
        let first = write_new(&dir.0.join("deep"), &[id("a"), id("b")], &["ops".to_owned()]).expect("files");
        assert!(first.new_ca);
        let names: Vec<_> =
            first.issued.iter().map(|files| files.cert.file_name().expect("a name")).collect();
        assert_eq!(names, ["a.pem", "b.pem", "client-ops.pem"]);
        let ca = dir.text("deep/ca.pem");

        let second = write_new(&dir.0.join("deep"), &[id("c")], &[]).expect("files");
        assert!(!second.new_ca && dir.text("deep/ca.pem") == ca);
        for name in ["a", "b", "c"] {
            let text = |end: &str| dir.text(&format!("deep/{name}{end}"));
            let tls = Tls { cert: text(".pem"), key: text("-key.pem"), ca: ca.clone() };
            Policy::from_pem(&tls, &id(name)).expect("a policy");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_a_key() {
        use std::os::unix::fs::PermissionsExt;

        let dir = Scratch::new();
        write_new(&dir.0, &[id("a")], &["ops".to_owned()]).expect("files");
        for name in ["ca-key.pem", "a-key.pem", "client-ops-key.pem"] {
            let mode = fs::metadata(dir.0.join(name)).expect(name).permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    /// Mutant: the certificate is asked for and the key is not.
    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_half_done() {
        for existing in ["b.pem", "b-key.pem"] {
            let dir = Scratch::new();
            fs::create_dir_all(&dir.0).expect("a directory");
            fs::write(dir.0.join(existing), "mine").expect("a file");
            let error = write_new(&dir.0, &[id("a"), id("b")], &[]).expect_err("it is there");
            assert!(matches!(&error, CertsError::Exists { path } if path.ends_with(existing)), "{error}");
            assert!(error.to_string().contains("move it away"));
            assert_eq!(dir.text(existing), "mine");
            assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 1);
        }
    }

    #[test]
    fn half_a_ca_is_an_error() {
        for kept in ["ca.pem", "ca-key.pem"] {
            let dir = Scratch::new();
            write_new(&dir.0, &[], &[]).expect("a CA");
            let gone = if kept == "ca.pem" { "ca-key.pem" } else { "ca.pem" };
            fs::remove_file(dir.0.join(gone)).expect("a file");
            let error = write_new(&dir.0, &[id("a")], &[]).expect_err("half a CA");
            assert!(matches!(&error, CertsError::HalfAuthority { missing, .. } if missing.ends_with(gone)));
            assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 1);
        }
    }

    #[test]
    fn names_that_want_one_file_are_refused() {
        let dir = Scratch::new();
        let collides = |nodes: &[&str], clients: &[&str]| {
            let nodes: Vec<_> = nodes.iter().map(|name| id(name)).collect();
            let clients: Vec<_> = clients.iter().map(ToString::to_string).collect();
            matches!(write_new(&dir.0, &nodes, &clients), Err(CertsError::Collision { .. }))
        };
        assert!(collides(&["ca"], &[]));
        assert!(collides(&["ca-key"], &[]));
        assert!(collides(&["a", "a"], &[]));
        assert!(collides(&["a", "a-key"], &[]));
        assert!(collides(&["client-a"], &["a"]));
        assert!(!dir.0.exists());
        assert!(!collides(&["a"], &["a"]));
    }

    #[test]
    fn keys_are_not_shown() {
        let ca = Authority::new("test").expect("a CA");
        let issued = ca.issue_node(&id("a")).expect("a certificate");
        for shown in [format!("{ca:?}"), format!("{issued:?}")] {
            assert!(!shown.contains("PRIVATE"), "{shown}");
        }
        for bad in ["", " ", &"x".repeat(65)] {
            assert!(matches!(Authority::new(bad), Err(CertsError::BadName { .. })), "{bad:?}");
        }
    }
}
