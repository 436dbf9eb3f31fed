//! Certificates and files as others will read them.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, ExtendedKeyUsage, SubjectAltName};

use super::*;
use crate::config::Tls;
use crate::error::ConfigError;
use crate::identity::of_certificate;
use crate::tls::Policy;

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

fn policy(ca: &Authority, issued: &Issued, name: &str) -> Result<Policy, ConfigError> {
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
    let names: Vec<_> = first.issued.iter().map(|files| files.cert.file_name().expect("a name")).collect();
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
