//! Certificates for development: an authority that is forgotten, and a certificate for each node. A real cluster has
//! its own (`diskeyval certs` makes them, or openssl does).

use diskeyval_core::{NodeId, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};

pub(crate) fn of(nodes: &[NodeId]) -> Result<Vec<Tls>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "for development");
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?.pem();
    let authority = Issuer::new(params, key);
    let issue = |node: &NodeId| {
        let mut params = CertificateParams::default();
        // This is who the node is. No message says so besides.
        let name = format!("spiffe://diskeyval/{node}").try_into()?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &authority)?.pem();
        Ok(Tls { cert, key: key.serialize_pem(), ca: ca.clone() })
    };
    nodes.iter().map(issue).collect()
}
