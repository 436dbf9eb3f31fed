//! Authorities, and what they issue: what a case gives to a stranger.

use std::sync::Arc;

use diskeyval_core::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SignatureAlgorithm,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;

use super::der::ByHand;

/// The one that the nodes dial.
pub(super) const PEER: &str = "node-1";

const OPENSSL_CA: &str = include_str!("openssl/ca.pem");
const OPENSSL_KEY: &str = include_str!("openssl/leaf.key.pem");

/// Nobody may have two of this name.
const OURS: &str = "the authority of the suite";

pub(super) type Ca = CertifiedIssuer<'static, KeyPair>;

/// What a stranger has: certificates, its own first, and a key.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Arc<dyn SigningKey>,
}

impl Credentials {
    pub(super) fn with(mut self, more: &[&CertificateDer<'static>]) -> Credentials {
        self.chain.extend(more.iter().map(|certificate| (*certificate).clone()));
        self
    }

    /// With something done to the bytes of its own certificate.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Credentials {
        let mut der = self.chain[0].to_vec();
        change(&mut der);
        self.chain[0] = der.into();
        self
    }
}

/// The authorities of a run.
pub(super) struct Mint {
    pub(super) ours: Ca,
    /// Trusted by nobody.
    pub(super) others: Ca,
    /// The same, under the name of ours.
    pub(super) namesake: Ca,
}

impl Mint {
    pub(super) fn new() -> Mint {
        Mint { ours: root(OURS), others: root("another authority"), namesake: root(OURS) }
    }

    /// What a node under test is given. It trusts what openssl has issued as well.
    pub(super) fn node(&self, id: &str) -> Tls {
        let key = new_key();
        let certificate = params_of(&[our_uri(id)], None).signed_by(&key, &self.ours).expect("a certificate");
        let ca = [&self.ours.pem(), OPENSSL_CA].concat();
        Tls { cert: certificate.pem(), key: key.serialize_pem(), ca }
    }

    /// A good certificate of [`PEER`], with whatever is changed.
    pub(super) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        by(&self.ours, change)
    }

    /// With these subject alternative names, and this CN.
    pub(super) fn named(&self, sans: &[SanType], cn: Option<&str>) -> Credentials {
        self.leaf(|params| *params = params_of(sans, cn))
    }

    /// With this URI, and nothing else.
    pub(super) fn by_uri(&self, uri: &str) -> Credentials {
        self.named(&[SanType::URI(uri.try_into().expect("ASCII"))], None)
    }

    /// With this DNS name, and a CN that names the peer: it is not asked.
    pub(super) fn by_dns(&self, name: &str) -> Credentials {
        self.named(&[dns(name)], Some(PEER))
    }

    /// With a subject and extensions as they are, byte by byte.
    pub(super) fn by_hand(&self, subject: Vec<Vec<u8>>, extensions: Vec<Vec<u8>>) -> Credentials {
        self.sign(&ByHand::new(subject, extensions))
    }

    pub(super) fn sign(&self, certificate: &ByHand) -> Credentials {
        let key = new_key();
        let der = certificate.issue(OURS, self.ours.key(), &key);
        Credentials { chain: vec![der.into()], key: secret(&key) }
    }

    /// For a key of which only the public half is at hand.
    pub(super) fn for_key(&self, public: &impl PublicKeyData, secret: Arc<dyn SigningKey>) -> Credentials {
        let certificate = params_of(&[our_uri(PEER)], None).signed_by(public, &self.ours);
        Credentials { chain: vec![certificate.expect("a certificate").der().clone()], key: secret }
    }

    pub(super) fn of_kind(&self, kind: &'static SignatureAlgorithm) -> Credentials {
        let key = KeyPair::generate_for(kind).expect("a key");
        self.for_key(&key, secret(&key))
    }

    /// A row of authorities below ours, the one directly below it first.
    pub(super) fn row(&self, length: usize) -> Vec<Ca> {
        let mut row: Vec<Ca> = Vec::new();
        for number in 0..length {
            let above = row.last().unwrap_or(&self.ours);
            let below = intermediate(&format!("intermediate {number}"), above, |_| {});
            row.push(below);
        }
        row
    }
}

/// What `openssl` has issued, beforehand: the script stands beside it.
pub(super) fn of_openssl(pem: &str) -> Credentials {
    let key = KeyPair::from_pem(OPENSSL_KEY).expect("a key");
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    Credentials { chain: vec![certificate], key: secret(&key) }
}

/// A good certificate of [`PEER`] by some authority, with whatever is changed.
pub(super) fn by(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
    let mut params = params_of(&[our_uri(PEER)], None);
    change(&mut params);
    let key = new_key();
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    Credentials { chain: vec![certificate.der().clone()], key: secret(&key) }
}

/// Signed by its own key.
pub(super) fn by_itself() -> Credentials {
    let key = new_key();
    let certificate = params_of(&[our_uri(PEER)], None).self_signed(&key).expect("a certificate");
    Credentials { chain: vec![certificate.der().clone()], key: secret(&key) }
}

fn root(name: &str) -> Ca {
    CertifiedIssuer::self_signed(authority(name), new_key()).expect("an authority")
}

pub(super) fn intermediate(name: &str, above: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Ca {
    let mut params = authority(name);
    change(&mut params);
    CertifiedIssuer::signed_by(params, new_key(), above).expect("an authority")
}

/// An authority with the key and the name of another, certified by a third: so paths have branches, and loops.
pub(super) fn certified_again(of: &Ca, name: &str, by: &Ca) -> CertificateDer<'static> {
    authority(name).signed_by(of.key(), by).expect("a certificate").der().clone()
}

pub(super) fn authority(name: &str) -> CertificateParams {
    let mut params = params_of(&[], Some(name));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages.clear();
    params
}

fn params_of(sans: &[SanType], cn: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(cn) = cn {
        params.distinguished_name.push(DnType::CommonName, cn);
    }
    params.subject_alt_names = sans.to_vec();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub(super) fn our_uri(id: &str) -> SanType {
    SanType::URI(format!("spiffe://diskeyval/{id}").try_into().expect("ASCII"))
}

pub(super) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

pub(super) fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

pub(super) fn secret(key: &KeyPair) -> Arc<dyn SigningKey> {
    any_supported_type(&PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8")).expect("a key")
}
