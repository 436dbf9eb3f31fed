//! The one place that decides about TLS, for all adapters: they own sockets and sessions, and ask here
//! for the configuration of both.
//!
//! * TLS 1.3 and nothing older; certificates at both ends, always.
//! * Trusted is what `ca` signed. There is no check of host names: a node is not its address. Whom a
//!   certificate names is for [`of_certificate`] to say, and the engine compares that with whom it dialled.
//! * A server's certificate must be that of a node. A client's may also be that of a client.
//! * No session is ever resumed and nothing is sent before the handshake is done: each connection is
//!   judged by the certificates and CAs of its own day. There is no key log.
//! * Certificates are renewed by making a new [`Policy`], using it for the connections to come, cutting those that it would
//!   not have let in ([`Policy::check_peer`]), and having the engine make the others anew.
//!
//! A client of TLS 1.3 finishes its handshake *before* the server has judged its certificate, so a refusal
//! may come with the first read after a handshake that seemed to succeed: an adapter passes errors of
//! reading to [`explain`] too.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, CommonState, DigitallySignedStruct, DistinguishedName, Error, InconsistentKeys,
    NoKeyLog, OtherError, PeerIncompatible, RootCertStore, SignatureScheme,
};

use crate::config::Tls;
use crate::error::ConfigError;
use crate::id::NodeId;
use crate::identity::{Identity, IdentityError, of_certificate};
use crate::status::Certificates;

mod explain;
#[cfg(all(test, any(feature = "ring", feature = "aws-lc-rs")))]
mod tests;
mod validity;

use explain::TooMany;
pub use explain::explain;
use validity::not_after;

/// What both ends offer in the handshake (ALPN), so that a client of another protocol is told so. The
/// versions of the protocol proper are agreed on in the hello; this names its outermost frame.
pub const ALPN: &[u8] = b"diskeyval/1";

/// The most certificates that may come with that of the other end, to lead to a CA. To look for a path costs a multiple of
/// the time for each, and whoever can connect can make a node look.
pub const MAX_INTERMEDIATES: usize = 4;

/// The name to dial by: TLS wants one, and nobody looks at it. It is the same for all nodes (a node id need
/// not be a DNS name), an address that nobody has, and is not sent.
pub fn server_name() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Who is at the other end of a session whose handshake is done, by its certificate. The adapter asks before it says
/// a word to the engine.
///
/// TLS by itself refuses whoever names other protocols than [`ALPN`], but not who names none at all: another program
/// with a certificate of the same CA, say. So that is asked here.
///
/// # Errors
/// [`Error::NoApplicationProtocol`] if [`ALPN`] was not agreed on; else as [`of_certificate`], in the words of rustls.
/// [`explain`] makes a sentence of both.
pub fn peer_identity(session: &CommonState) -> Result<Identity, Error> {
    if session.alpn_protocol() != Some(ALPN) {
        return Err(Error::NoApplicationProtocol);
    }
    match session.peer_certificates() {
        Some([certificate, ..]) => of_certificate(certificate).map_err(refused),
        // This policy never lets it come so far.
        _ => Err(Error::NoCertificatesPresented),
    }
}

/// How this node speaks TLS: made once from PEM text, then asked for the configuration of each connection.
#[derive(Clone)]
pub struct Policy {
    own: NodeId,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    dialler: Arc<AcceptAnyIdentity>,
    listener: Arc<AcceptNodes>,
    own_not_after: u64,
    ca: Vec<(String, u64)>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Policy {
    /// Takes certificate, key and CAs, and checks all that peers will check: that the parts fit each other,
    /// that the certificate names this node, is signed by a CA of `ca`, is valid today, and may be used by
    /// both ends of a connection.
    ///
    /// The cryptography is that of the feature `aws-lc-rs` if it is there, else that of `ring`. No default of
    /// the process is asked or set.
    ///
    /// # Errors
    /// [`ConfigError::BadTls`], which names the guilty part and the remedy.
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub fn from_pem(tls: &Tls, own: &NodeId) -> Result<Policy, ConfigError> {
        #[cfg(feature = "aws-lc-rs")]
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        #[cfg(not(feature = "aws-lc-rs"))]
        let provider = rustls::crypto::ring::default_provider();
        Policy::from_pem_with_provider(tls, own, Arc::new(provider))
    }

    /// As `from_pem`, with cryptography of the caller's choice. It is all there is where neither the
    /// feature `ring` nor `aws-lc-rs` is enabled.
    ///
    /// # Errors
    /// [`ConfigError::BadTls`], which names the guilty part and the remedy.
    pub fn from_pem_with_provider(
        tls: &Tls,
        own: &NodeId,
        provider: Arc<CryptoProvider>,
    ) -> Result<Policy, ConfigError> {
        let material = Material::from_pem(tls, provider)?;
        material.check_name(own)?;
        material.check_chain()?;
        material.policy(own)
    }

    /// For the end that accepts.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For the end that dials. Dial by [`server_name`].
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// Whether whoever has shown these certificates (`peer_certificates`) would be let in today. An adapter asks of the
    /// connections that it has when it gets another policy, and cuts those that are refused.
    ///
    /// # Errors
    /// What the handshake would have said. [`explain`] has the words.
    pub fn check_peer(
        &self,
        certificates: Option<&[CertificateDer<'_>]>,
        dialled: bool,
    ) -> Result<(), Error> {
        let (certificate, intermediates) =
            certificates.and_then(<[_]>::split_first).ok_or(Error::NoCertificatesPresented)?;
        let now = UnixTime::now();
        if dialled {
            self.listener.verify_server_cert(certificate, intermediates, &server_name(), &[], now).map(drop)
        } else {
            self.dialler.verify_client_cert(certificate, intermediates, now).map(drop)
        }
    }

    /// Until when certificates are good, by the wall clock of this machine: our own, those of CAs, and what nodes have shown
    /// at the other ends of connections that stand (`peer_certificates` of each).
    pub fn status<'c>(
        &self,
        shown: impl IntoIterator<Item = Option<&'c [CertificateDer<'c>]>>,
    ) -> Certificates {
        self.status_at(UnixTime::now().as_secs(), shown)
    }

    fn status_at<'c>(
        &self,
        now: u64,
        shown: impl IntoIterator<Item = Option<&'c [CertificateDer<'c>]>>,
    ) -> Certificates {
        let mut peers: BTreeMap<NodeId, u64> = BTreeMap::new();
        for chain in shown {
            let Some(certificate) = chain.and_then(<[_]>::first) else { continue };
            if let (Ok(Identity::Node(id)), Some(end)) = (of_certificate(certificate), not_after(certificate))
            {
                // While one connection takes the place of another, the later certificate counts.
                let known = peers.entry(id).or_insert(end);
                *known = end.max(*known);
            }
        }
        let until = |name: String, not_after| validity::status(name, not_after, now);
        Certificates {
            own: until(self.own.to_string(), self.own_not_after),
            ca: self.ca.iter().map(|(name, not_after)| until(name.clone(), *not_after)).collect(),
            peers: peers.into_iter().map(|(id, not_after)| until(id.to_string(), not_after)).collect(),
        }
    }
}

/// What the PEM text holds, parsed, and found to fit.
struct Material {
    key: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    ca: Vec<(String, u64)>,
    provider: Arc<CryptoProvider>,
}

impl Material {
    fn from_pem(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Material, ConfigError> {
        let chain = certificates(&tls.cert, "cert")?;
        let key = private_key(&tls.key)?;
        let mut roots = RootCertStore::empty();
        let mut ca = Vec::new();
        for certificate in certificates(&tls.ca, "ca")? {
            ca.push((validity::subject(&certificate), not_after(&certificate).unwrap_or(0)));
            roots.add(certificate).map_err(|error| {
                bad(
                    "ca",
                    format!(
                        "a certificate in it cannot be used as a CA: {error}: give the certificates of the CA"
                    ),
                )
            })?;
        }
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => bad(
                "key",
                "it does not belong to the certificate in `cert`: give the key that was made with it"
                    .to_owned(),
            ),
            Error::InvalidCertificate(error) => {
                bad("cert", format!("it cannot be understood: {error}: issue it anew"))
            }
            error => bad("key", format!("it cannot be used: {error}: make a key of the kind ECDSA P-256")),
        })?;
        Ok(Material { key: Arc::new(key), roots: Arc::new(roots), ca, provider })
    }

    fn own_certificate(&self) -> Result<(&CertificateDer<'static>, &[CertificateDer<'static>]), ConfigError> {
        self.key.cert.split_first().ok_or_else(|| bad("cert", "it holds no certificate".to_owned()))
    }

    fn check_name(&self, own: &NodeId) -> Result<(), ConfigError> {
        let (certificate, _) = self.own_certificate()?;
        match node(certificate) {
            Ok(id) if id == *own => Ok(()),
            Ok(other) => Err(bad(
                "cert",
                format!(
                    "it is the certificate of {other}, and this node is {own} (`nodeId`): give the \
                     certificate of {own}, or call this node {other}"
                ),
            )),
            Err(error) => Err(bad("cert", error.to_string())),
        }
    }

    /// Whether our peers would take our certificate, were they to trust whom we trust.
    fn check_chain(&self) -> Result<(), ConfigError> {
        let (certificate, intermediates) = self.own_certificate()?;
        let now = UnixTime::now();
        let is_short = few(intermediates);
        let as_server = ParsedCertificate::try_from(certificate).and_then(|parsed| {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)
        });
        let as_client = self.client_verifier()?.verify_client_cert(certificate, intermediates, now);
        is_short.and(as_server).and(as_client.map(drop)).map_err(|error| match &error {
            Error::InvalidCertificate(error) => bad("cert", explain::certificate(error)),
            error => bad("cert", error.to_string()),
        })
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
        WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
            .build()
            .map_err(|error| bad("ca", error.to_string()))
    }

    fn policy(self, own: &NodeId) -> Result<Policy, ConfigError> {
        let unusable =
            |error: Error| bad("key", format!("the cryptography at hand cannot do TLS 1.3: {error}"));
        let resolver = Arc::new(SingleCertAndKey::from(self.key.clone()));
        let own_not_after = not_after(self.own_certificate()?.0).unwrap_or(0);

        let dialler = Arc::new(AcceptAnyIdentity { chain: self.client_verifier()? });
        let mut server = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(dialler.clone())
            .with_cert_resolver(resolver.clone());
        server.alpn_protocols = [ALPN.to_vec()].into();
        server.key_log = Arc::new(NoKeyLog);
        // Nothing is resumed, and nothing comes before the handshake is done.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_tls13_tickets = 0;
        server.max_early_data_size = 0;
        server.send_half_rtt_data = false;

        let algorithms = self.provider.signature_verification_algorithms;
        let listener = Arc::new(AcceptNodes { roots: self.roots, algorithms });
        let mut client = ClientConfig::builder_with_provider(self.provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .dangerous() // It is the interface for verifiers of one's own that is called so.
            .with_custom_certificate_verifier(listener.clone())
            .with_client_cert_resolver(resolver);
        client.alpn_protocols = [ALPN.to_vec()].into();
        client.key_log = Arc::new(NoKeyLog);
        client.resumption = Resumption::disabled();
        client.enable_early_data = false;
        client.enable_sni = false;

        Ok(Policy {
            own: own.clone(),
            server: Arc::new(server),
            client: Arc::new(client),
            dialler,
            listener,
            own_not_after,
            ca: self.ca,
        })
    }
}

/// What a server demands of whoever dials: a chain to our CA, and a name.
#[derive(Debug)]
struct AcceptAnyIdentity {
    chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for AcceptAnyIdentity {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        few(intermediates)?;
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        of_certificate(end_entity).map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// What a client demands of whom it dialled: a chain to our CA, and the name of a node. Whether it is the
/// node that was wanted is for the engine to say.
#[derive(Debug)]
struct AcceptNodes {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AcceptNodes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        few(intermediates)?;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        node(end_entity).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn few(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    let found = intermediates.len();
    let most = MAX_INTERMEDIATES;
    if found > most { Err(other(TooMany { found, most })) } else { Ok(()) }
}

fn node(certificate: &CertificateDer<'_>) -> Result<NodeId, IdentityError> {
    match of_certificate(certificate)? {
        Identity::Node(id) => Ok(id),
        Identity::Client(client) => Err(IdentityError::NotANode { client }),
    }
}

/// The identity rule's verdict, in rustls' words: [`explain`] gets it back out. The other end hears
/// `certificate_unknown`.
fn refused(error: IdentityError) -> Error {
    other(error)
}

fn other(error: impl core::error::Error + Send + Sync + 'static) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn bad(part: &'static str, why: String) -> ConfigError {
    ConfigError::BadTls { part, why }
}

fn certificates(pem: &str, part: &'static str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(bad(part, what_is_there(pem, "CERTIFICATE"))),
        Ok(found) => Ok(found),
        Err(error) => Err(bad(part, format!("its PEM text is damaged: {error}: copy it anew"))),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, ConfigError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => bad("key", what_is_there(pem, "PRIVATE KEY")),
        // What the parser says could quote the key.
        _ => bad("key", "its PEM text is damaged: copy it anew".to_owned()),
    })
}

/// What was given where a PEM section was wanted, and what to do.
fn what_is_there(pem: &str, wanted: &str) -> String {
    let labels: Vec<&str> = pem
        .split("-----BEGIN ")
        .skip(1)
        .filter_map(|rest| rest.split_once("-----"))
        .map(|(label, _)| label)
        .filter(|label| label.len() <= 40 && label.bytes().all(|b| b == b' ' || b.is_ascii_alphanumeric()))
        .collect();
    if pem.trim().is_empty() {
        format!("it is empty: give the PEM text with `-----BEGIN {wanted}-----`")
    } else if wanted == "PRIVATE KEY" && labels.contains(&"ENCRYPTED PRIVATE KEY") {
        "the key is encrypted with a passphrase: give it in the clear (`openssl pkey -in KEY.pem` prints it)"
            .to_owned()
    } else if labels.is_empty() {
        format!(
            "it is no PEM text: give the text itself, from `-----BEGIN {wanted}-----` on, not the name of a \
             file"
        )
    } else {
        format!("it holds {}, and {wanted} is wanted: were two parts swapped?", labels.join(", "))
    }
}
