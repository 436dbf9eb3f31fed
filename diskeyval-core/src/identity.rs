//! Who is at the other end, by its certificate.
//!
//! [`of_certificate`] is the whole rule, and a pure function: whether a certificate is *valid* (its chain,
//! its dates, its key) is for TLS to say; this says only whom it names.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, TbsCertificate};

use crate::id::NodeId;

/// The largest certificate that is looked into, in bytes: 16 KiB. One with the names that are wanted here has less
/// than one KiB.
pub const MAX_CERTIFICATE: usize = 16 << 10;

/// What stands before the name in the URI.
pub const URI_PREFIX: &str = "spiffe://diskeyval/";

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Whom a certificate names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A node.
    Node(NodeId),
    /// A client that is no node, by its name.
    Client(String),
}

impl Identity {
    /// A client, by its name: 1 to 63 of `A-Z a-z 0-9 _ . -`.
    ///
    /// ```
    /// use diskeyval_core::identity::Identity;
    ///
    /// let client = Identity::client("backup").ok_or("no name")?;
    /// assert_eq!(client.uri(), "spiffe://diskeyval/client/backup");
    /// # Ok::<(), &str>(())
    /// ```
    pub fn client(name: &str) -> Option<Identity> {
        // A client may well be called `client`: only for a node is the word reserved.
        (name == "client" || NodeId::new(name).is_ok()).then(|| Identity::Client(name.to_string()))
    }

    /// The URI that a certificate carries, as its subject alternative name, to name this identity.
    pub fn uri(&self) -> String {
        format!("{URI_PREFIX}{self}")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Node(id) => write!(f, "{id}"),
            Identity::Client(name) => write!(f, "client/{name}"),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom a certificate (X.509, DER) names. No two ways to read it: what is not clear is an error, and a
/// place that is wrong is never passed over for the next one.
///
/// A URI is *ours* if it begins, in any case of letters, with `spiffe://diskeyval` as scheme and host.
///
/// | The certificate has | It names |
/// |---|---|
/// | the URI `spiffe://diskeyval/<id>` | the node `<id>` |
/// | the URI `spiffe://diskeyval/client/<name>` | the client `<name>` |
/// | such a URI, and beside it URIs that are not ours, DNS names (`localhost`, or even another id), IP or mail addresses, a CN | the same: the URI comes first, and only it is asked |
/// | two URIs that are ours, be they equal | nobody: ambiguous |
/// | a URI that is ours and no name behind it: `spiffe://diskeyval`, `…/`, `…/a/b`, `…/client`, `…/client/`, `…/a%2Db`, `…/a?x`, `SPIFFE://…`, `…//DiskeyVal/…` | nobody, whatever else it has: not a name |
/// | no URI of ours, and exactly one DNS name | the node of that name, byte for byte (upper case, a trailing dot, the look of an IP address are kept as they are) |
/// | no URI of ours, and several DNS names, be they equal | nobody: ambiguous |
/// | no URI of ours, and one DNS name that is no node id: a wildcard, a NUL inside, the word `client`, longer than 63 | nobody: not a name |
/// | subject alternative names, but neither a URI of ours nor a DNS name: only IP or mail addresses, URIs of others, or an empty list | nobody: nameless. The CN is not asked |
/// | no subject alternative names at all, and exactly one CN (UTF8String, PrintableString or IA5String) | the node of that name, byte for byte |
/// | the same, with several CNs, in one part of the subject or in several | nobody: ambiguous |
/// | the same, with a CN that is no node id, or is written in another type of string | nobody: not a name |
/// | neither subject alternative names nor a CN | nobody: nameless |
/// | the extension twice, a name in it of a type that cannot be read, bytes behind the certificate, bytes that are no certificate | nobody: unreadable |
/// | more than 16 KiB | nobody: too large |
///
/// A client is named by a URI only. A CA whose power is limited by *name constraints* should know that
/// constraints on DNS names bind neither a URI nor a CN: give a cluster a CA of its own.
///
/// # Errors
/// What was found in its stead, and how to mend it.
pub fn of_certificate(der: &[u8]) -> Result<Identity, IdentityError> {
    if der.len() > MAX_CERTIFICATE {
        return Err(IdentityError::TooLarge { size: der.len(), limit: MAX_CERTIFICATE });
    }
    let certificate =
        Certificate::from_der(der).map_err(|_| IdentityError::Unreadable { what: "the certificate" })?;
    let certificate = certificate.tbs_certificate();
    match alternative_names(certificate)? {
        Some(names) => by_alternative_names(&names),
        None => by_common_name(certificate),
    }
}

fn alternative_names(certificate: &TbsCertificate) -> Result<Option<Vec<GeneralName>>, IdentityError> {
    let unreadable = IdentityError::Unreadable { what: "its subject alternative names" };
    let mut found = certificate.extensions().into_iter().flatten().filter(|e| e.extn_id == SUBJECT_ALT_NAME);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(extension), None) => match SubjectAltName::from_der(extension.extn_value.as_bytes()) {
            Ok(SubjectAltName(names)) => Ok(Some(names)),
            Err(_) => Err(unreadable),
        },
        (Some(_), Some(_)) => Err(unreadable),
    }
}

fn by_alternative_names(names: &[GeneralName]) -> Result<Identity, IdentityError> {
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::UniformResourceIdentifier(uri) if is_ours(uri.as_str()) => Some(uri.as_str()),
        _ => None,
    });
    if let Some(uri) = the_only(uris, "URI SAN")? {
        return of_uri(uri).ok_or_else(|| not_a_name("URI SAN", uri));
    }
    let dns_names = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str()),
        _ => None,
    });
    match the_only(dns_names, "DNS SAN")? {
        Some(name) => of_name(name, "DNS SAN"),
        None => Err(IdentityError::Nameless { alternatives: true }),
    }
}

fn by_common_name(certificate: &TbsCertificate) -> Result<Identity, IdentityError> {
    const OTHER: &str = "(text that is neither UTF8String, PrintableString nor IA5String)";
    let text = |part: &AttributeTypeAndValue| match part.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            str::from_utf8(part.value.value()).unwrap_or(OTHER).to_string()
        }
        _ => OTHER.to_string(),
    };
    let names: Vec<String> =
        certificate.subject().iter().filter(|part| part.oid == COMMON_NAME).map(text).collect();
    match the_only(names.iter().map(String::as_str), "CN")? {
        Some(name) => of_name(name, "CN"),
        None => Err(IdentityError::Nameless { alternatives: false }),
    }
}

/// Whether a URI is in our trust domain, or wants to look like it.
fn is_ours(uri: &str) -> bool {
    let domain = URI_PREFIX.trim_end_matches('/').as_bytes();
    let uri = uri.as_bytes();
    uri.get(..domain.len()).is_some_and(|start| start.eq_ignore_ascii_case(domain))
        && matches!(uri.get(domain.len()), None | Some(b'/' | b':' | b'?' | b'#'))
}

fn of_uri(uri: &str) -> Option<Identity> {
    let path = uri.strip_prefix(URI_PREFIX)?;
    match path.strip_prefix("client/") {
        Some(name) => Identity::client(name),
        None => NodeId::new(path).ok().map(Identity::Node),
    }
}

fn of_name(name: &str, place: &'static str) -> Result<Identity, IdentityError> {
    NodeId::new(name).map(Identity::Node).map_err(|_| not_a_name(place, name))
}

fn not_a_name(place: &'static str, found: &str) -> IdentityError {
    IdentityError::NotAName { place, found: found.chars().take(80).collect() }
}

/// None if there is none, and an error if there are two.
fn the_only<'a>(
    mut names: impl Iterator<Item = &'a str>,
    place: &'static str,
) -> Result<Option<&'a str>, IdentityError> {
    let Some(first) = names.next() else { return Ok(None) };
    let Some(second) = names.next() else { return Ok(Some(first)) };
    let cut = |name: &str| name.chars().take(80).collect();
    Err(IdentityError::Ambiguous { place, first: cut(first), second: cut(second), more: names.count() })
}

/// Why a certificate names nobody, or not whom it has to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// The other end presented no certificate.
    NoCertificate,
    /// The certificate is larger than anything that is looked into.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It cannot be understood.
    Unreadable {
        /// What cannot: `the certificate`, or a part of it.
        what: &'static str,
    },
    /// It has no name in any place that is looked at.
    Nameless {
        /// Whether it has subject alternative names, if only of other kinds.
        alternatives: bool,
    },
    /// There are several names in one place.
    Ambiguous {
        /// `URI SAN`, `DNS SAN` or `CN`.
        place: &'static str,
        /// One of them, cut to 80 characters.
        first: String,
        /// Another one, cut to 80 characters.
        second: String,
        /// How many there are besides.
        more: usize,
    },
    /// What stands where a name should be is none.
    NotAName {
        /// `URI SAN`, `DNS SAN` or `CN`.
        place: &'static str,
        /// What stands there, cut to 80 characters.
        found: String,
    },
    /// It names a client, and a node is wanted. ([`of_certificate`] does not know what is wanted.)
    NotANode {
        /// The name of the client.
        client: String,
    },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REMEDY: &str = "issue one with exactly one URI SAN `spiffe://diskeyval/<node id>`";
        match self {
            IdentityError::NoCertificate => f.write_str(
                "no certificate was presented: give the other end a certificate and a key of the cluster's \
                 CA",
            ),
            IdentityError::TooLarge { size, limit } => {
                write!(
                    f,
                    "the certificate has {size} bytes, and the limit is {limit}: {REMEDY} and less beside"
                )
            }
            IdentityError::Unreadable { what } => write!(f, "{what} cannot be understood: {REMEDY}"),
            IdentityError::Nameless { alternatives: true } => write!(
                f,
                "the certificate names nobody: it has subject alternative names, but among them neither \
                 `spiffe://diskeyval/<node id>` nor a DNS name (and where there are any, the CN is not \
                 asked): {REMEDY}"
            ),
            IdentityError::Nameless { alternatives: false } => {
                write!(
                    f,
                    "the certificate names nobody: it has neither subject alternative names nor a CN: \
                     {REMEDY}"
                )
            }
            IdentityError::Ambiguous { place, first, second, more } => {
                write!(f, "the certificate names several, by its {place}: {first:?} and {second:?}")?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                write!(f, ": {REMEDY}")
            }
            IdentityError::NotAName { place, found } => write!(
                f,
                "the {place} of the certificate is {found:?}, which names nobody (a node id is 1 to 63 of \
                 A-Z a-z 0-9 _ . - and not the reserved word `client`): {REMEDY}"
            ),
            IdentityError::NotANode { client } => write!(
                f,
                "the certificate is that of the client {client:?}, and a node is wanted: use the \
                 certificate of a node, with the URI SAN `spiffe://diskeyval/<node id>`"
            ),
        }
    }
}

impl core::error::Error for IdentityError {}

#[cfg(test)]
mod tests;
