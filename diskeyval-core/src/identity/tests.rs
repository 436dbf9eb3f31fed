//! Every row of the table at [`of_certificate`] stands above the test that shows it. Certificates are put together by hand
//! (whom one names does not depend on its signature), and some as a CA would issue them.

extern crate std;

use alloc::vec;

use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};

use super::*;

/// DER: a tag, the shortest form of the length, the content.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a small test").to_be_bytes();
    let header = match (high, low) {
        (0, 0..=127) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;

fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

fn dns(text: &str) -> Vec<u8> {
    tlv(0x82, text.as_bytes())
}

fn ip() -> Vec<u8> {
    tlv(0x87, &[127, 0, 0, 1])
}

fn mail() -> Vec<u8> {
    tlv(0x81, b"ops@example.org")
}

fn san(names: &[Vec<u8>]) -> Vec<u8> {
    let value = tlv(0x30, &names.concat());
    tlv(0x30, &[vec![6, 3, 0x55, 0x1d, 0x11], tlv(4, &value)].concat())
}

fn cn(kind: u8, text: &[u8]) -> Vec<u8> {
    tlv(0x30, &[vec![6, 3, 0x55, 4, 3], tlv(kind, text)].concat())
}

/// Subject parts, one set each, and extensions.
fn certificate_of(parts: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let key = tlv(0x30, &[tlv(0x30, &[6, 3, 0x2b, 0x65, 0x70]), tlv(3, &[0; 33])].concat());
    let dates = tlv(0x30, &[tlv(0x17, b"260101000000Z"), tlv(0x17, b"360101000000Z")].concat());
    let mut tbs = [
        tlv(0xa0, &[2, 1, 2]),
        vec![2, 1, 1],
        algorithm.clone(),
        tlv(0x30, &tlv(0x31, &cn(UTF8, b"ca"))),
        dates,
        tlv(0x30, &parts.concat()),
        key,
    ]
    .concat();
    if !extensions.is_empty() {
        tbs.extend(tlv(0xa3, &tlv(0x30, &extensions.concat())));
    }
    tlv(0x30, &[tlv(0x30, &tbs), algorithm, tlv(3, &[0; 65])].concat())
}

/// With the subject `CN=common-name`.
fn with_san(names: &[Vec<u8>]) -> Vec<u8> {
    certificate_of(&[tlv(0x31, &cn(UTF8, b"common-name"))], &[san(names)])
}

/// Without extensions.
fn with_cns(names: &[Vec<u8>]) -> Vec<u8> {
    let sets: Vec<_> = names.iter().map(|name| tlv(0x31, name)).collect();
    certificate_of(&sets, &[])
}

#[track_caller]
fn names_node(der: &[u8], id: &str) {
    assert_eq!(of_certificate(der), Ok(Identity::Node(NodeId::new(id).expect("a node id"))));
}

#[track_caller]
fn is_ambiguous(der: &[u8], at: &str) {
    match of_certificate(der) {
        Err(IdentityError::Ambiguous { place, .. }) => assert_eq!(place, at),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_no_name(der: &[u8], at: &str) {
    match of_certificate(der) {
        Err(IdentityError::NotAName { place, .. }) => assert_eq!(place, at),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_unreadable(der: &[u8]) {
    assert!(
        matches!(of_certificate(der), Err(IdentityError::Unreadable { .. })),
        "{:?}",
        of_certificate(der)
    );
}

const OURS: &str = "spiffe://diskeyval/node-1";

/// | the URI `spiffe://diskeyval/<id>` | the node `<id>` |
#[test]
fn our_uri_names_a_node() {
    names_node(&with_san(&[uri(OURS)]), "node-1");
    names_node(&with_san(&[uri("spiffe://diskeyval/Node_1.a")]), "Node_1.a");
    // Only the whole word is reserved.
    names_node(&with_san(&[uri("spiffe://diskeyval/clients")]), "clients");
}

/// | the URI `spiffe://diskeyval/client/<name>` | the client `<name>` |
#[test]
fn our_uri_names_a_client() {
    let client = |name: &str| of_certificate(&with_san(&[uri(&format!("spiffe://diskeyval/client/{name}"))]));
    assert_eq!(client("backup"), Ok(Identity::Client("backup".into())));
    assert_eq!(client("client"), Ok(Identity::Client("client".into())));
    assert_eq!(client(&"x".repeat(63)), Ok(Identity::Client("x".repeat(63))));
    for bad in ["", "a/b", "a b", "*", "a%20b", &"x".repeat(64)] {
        assert!(matches!(client(bad), Err(IdentityError::NotAName { .. })), "{bad:?}");
    }
}

/// The certificates of the npm package's example, among others.
///
/// | such a URI, and beside it URIs that are not ours, DNS names (`localhost`, or even another id), IP or mail addresses, a CN | the same: the URI comes first, and only it is asked |
#[test]
fn our_uri_comes_before_everything_else() {
    names_node(&with_san(&[uri(OURS), dns("node-1"), dns("localhost"), ip()]), "node-1");
    names_node(&with_san(&[dns("localhost"), ip(), mail(), uri(OURS)]), "node-1");
    names_node(&with_san(&[dns("node-2"), uri(OURS)]), "node-1");
    names_node(&with_san(&[dns("*.example.org"), uri(OURS)]), "node-1");
    names_node(&with_san(&[uri("https://example.org/node-2"), uri(OURS)]), "node-1");
    names_node(&with_san(&[uri("spiffe://example.org/node-2"), uri(OURS)]), "node-1");
    names_node(&with_san(&[uri("spiffe://diskeyvalue/node-2"), uri(OURS)]), "node-1");
}

/// | two URIs that are ours, be they equal | nobody: ambiguous |
#[test]
fn two_uris_of_ours_are_ambiguous() {
    is_ambiguous(&with_san(&[uri(OURS), uri("spiffe://diskeyval/node-2")]), "URI SAN");
    is_ambiguous(&with_san(&[uri(OURS), uri(OURS)]), "URI SAN");
    is_ambiguous(&with_san(&[uri(OURS), uri("spiffe://diskeyval/client/node-1")]), "URI SAN");
    is_ambiguous(&with_san(&[uri(OURS), uri("SPIFFE://diskeyval/node-2")]), "URI SAN");
}

/// Mutant: a URI of ours that is no name is passed over, and the DNS name counts.
///
/// | a URI that is ours and no name behind it: `spiffe://diskeyval`, `…/`, `…/a/b`, `…/client`, `…/client/`, `…/a%2Db`, `…/a?x`, `SPIFFE://…`, `…//DiskeyVal/…` | nobody, whatever else it has: not a name |
#[test]
fn a_bad_uri_of_ours_is_not_passed_over() {
    for bad in [
        "spiffe://diskeyval",
        "spiffe://diskeyval/",
        "spiffe://diskeyval/a/b",
        "spiffe://diskeyval//a",
        "spiffe://diskeyval/node-1/",
        "spiffe://diskeyval/client",
        "spiffe://diskeyval/client/",
        "spiffe://diskeyval/node%2D1",
        "spiffe://diskeyval/node-1?x",
        "spiffe://diskeyval/node-1#x",
        "spiffe://diskeyval/*",
        "spiffe://diskeyval/node-1\0",
        "spiffe://diskeyval:1/node-1",
        "spiffe://diskeyval?node-1",
        "SPIFFE://diskeyval/node-1",
        "spiffe://DiskeyVal/node-1",
    ] {
        is_no_name(&with_san(&[uri(bad), dns("node-1")]), "URI SAN");
    }
}

/// | no URI of ours, and exactly one DNS name | the node of that name, byte for byte (upper case, a trailing dot, the look of an IP address are kept as they are) |
#[test]
fn one_dns_name_names_a_node() {
    names_node(&with_san(&[dns("node-1")]), "node-1");
    names_node(&with_san(&[dns("node-1"), ip(), mail(), uri("https://example.org")]), "node-1");
    names_node(&with_san(&[uri("spiffe://diskeyvalue/x"), dns("node-1")]), "node-1");
    names_node(&with_san(&[dns("Node-1")]), "Node-1");
    names_node(&with_san(&[dns("node-1.")]), "node-1.");
    names_node(&with_san(&[dns("10.0.0.1")]), "10.0.0.1");
}

/// | no URI of ours, and several DNS names, be they equal | nobody: ambiguous |
#[test]
fn several_dns_names_are_ambiguous() {
    is_ambiguous(&with_san(&[dns("node-1"), dns("localhost")]), "DNS SAN");
    is_ambiguous(&with_san(&[dns("node-1"), dns("node-1")]), "DNS SAN");
    is_ambiguous(&with_san(&[dns("*.example.org"), dns("node-1")]), "DNS SAN");
    let shown =
        of_certificate(&with_san(&[dns("a"), dns("b"), dns("c"), dns("d")])).map_err(|e| e.to_string());
    assert!(shown.is_err_and(|text| text.contains("\"a\" and \"b\" and 2 more")));
}

/// | no URI of ours, and one DNS name that is no node id: a wildcard, a NUL inside, the word `client`, longer than 63 | nobody: not a name |
#[test]
fn a_dns_name_that_is_no_node_id_names_nobody() {
    for bad in
        ["*.example.org", "*", "node-1\0", "node-1\0.example.org", "client", "", "a b", &"x".repeat(64)]
    {
        is_no_name(&with_san(&[dns(bad)]), "DNS SAN");
    }
}

/// Mutant: the CN is asked although there are subject alternative names (the npm package's fault).
///
/// | subject alternative names, but neither a URI of ours nor a DNS name: only IP or mail addresses, URIs of others, or an empty list | nobody: nameless. The CN is not asked |
#[test]
fn the_cn_is_never_asked_where_there_are_alternative_names() {
    names_node(&with_san(&[dns("node-1")]), "node-1");
    for names in [vec![], vec![ip()], vec![mail(), ip()], vec![uri("spiffe://example.org/node-1")]] {
        assert_eq!(of_certificate(&with_san(&names)), Err(IdentityError::Nameless { alternatives: true }));
    }
}

/// | no subject alternative names at all, and exactly one CN (UTF8String, PrintableString or IA5String) | the node of that name, byte for byte |
#[test]
fn one_cn_names_a_node() {
    for kind in [UTF8, PRINTABLE, IA5] {
        names_node(&with_cns(&[cn(kind, b"node-1")]), "node-1");
    }
    names_node(&with_cns(&[cn(UTF8, b"Node_1.")]), "Node_1.");
}

/// | the same, with several CNs, in one part of the subject or in several | nobody: ambiguous |
#[test]
fn several_cns_are_ambiguous() {
    is_ambiguous(&with_cns(&[cn(UTF8, b"node-1"), cn(UTF8, b"node-2")]), "CN");
    is_ambiguous(&with_cns(&[cn(UTF8, b"node-1"), cn(PRINTABLE, b"node-1")]), "CN");
    let one_set = tlv(0x31, &[cn(UTF8, b"node-1"), cn(UTF8, b"node-2")].concat());
    is_ambiguous(&certificate_of(&[one_set], &[]), "CN");
}

/// | the same, with a CN that is no node id, or is written in another type of string | nobody: not a name |
#[test]
fn a_cn_that_is_no_node_id_names_nobody() {
    for bad in ["node 1", "node-1\0", "n\u{f6}de", "n\u{43e}de-1", "client", "client/backup", OURS, "*", ""] {
        is_no_name(&with_cns(&[cn(UTF8, bad.as_bytes())]), "CN");
    }
    is_no_name(&with_cns(&[cn(UTF8, b"node-1\xff")]), "CN");
    is_no_name(&with_cns(&[cn(TELETEX, b"node-1")]), "CN");
    is_no_name(&with_cns(&[cn(BMP, b"\0n\0o\0d\0e")]), "CN");
}

/// | neither subject alternative names nor a CN | nobody: nameless |
#[test]
fn no_name_at_all_is_nameless() {
    assert_eq!(of_certificate(&with_cns(&[])), Err(IdentityError::Nameless { alternatives: false }));
    let organisation = tlv(0x31, &tlv(0x30, &[vec![6, 3, 0x55, 4, 10], tlv(UTF8, b"node-1")].concat()));
    assert_eq!(
        of_certificate(&certificate_of(&[organisation], &[])),
        Err(IdentityError::Nameless { alternatives: false })
    );
}

/// | the extension twice, a name in it of a type that cannot be read, bytes behind the certificate, bytes that are no certificate | nobody: unreadable |
#[test]
fn what_cannot_be_read_names_nobody() {
    let good = with_san(&[uri(OURS)]);
    is_unreadable(b"");
    is_unreadable(b"-----BEGIN CERTIFICATE-----");
    is_unreadable(&good[..good.len() - 1]);
    is_unreadable(&[&good[..], &[0]].concat());
    // The extension twice.
    is_unreadable(&certificate_of(&[], &[san(&[uri(OURS)]), san(&[uri(OURS)])]));
    // An X.400 address (a type that is not known), text that is not ASCII, bytes behind the list.
    is_unreadable(&with_san(&[uri(OURS), tlv(0xa3, b"")]));
    is_unreadable(&with_san(&[uri(OURS), dns("n\u{f6}de")]));
    let trailing = [tlv(0x30, &uri(OURS)), vec![0]].concat();
    let extension = tlv(0x30, &[vec![6, 3, 0x55, 0x1d, 0x11], tlv(4, &trailing)].concat());
    is_unreadable(&certificate_of(&[], &[extension]));
}

/// | more than 16 KiB | nobody: too large |
#[test]
fn what_is_too_large_is_not_looked_into() {
    let many: Vec<_> = (0..2000).map(|n| dns(&format!("node-{n}"))).collect();
    assert!(matches!(of_certificate(&with_san(&many)), Err(IdentityError::TooLarge { .. })));
    let most: Vec<_> = (0..1400).map(|n| dns(&format!("node-{n}"))).collect();
    is_ambiguous(&with_san(&most), "DNS SAN");
}

#[test]
fn every_error_says_what_to_do() {
    for names in [vec![], vec![dns("*")], vec![uri("spiffe://diskeyval/a/b")], vec![dns("a"), dns("b")]] {
        let text = of_certificate(&with_san(&names)).expect_err("no name").to_string();
        assert!(text.contains("issue one with exactly one URI SAN"), "{text}");
    }
    // What a stranger sent is shown escaped, and not at any length.
    let text = of_certificate(&with_san(&[dns(&"\n".repeat(500))])).expect_err("no name").to_string();
    assert!(!text.contains('\n') && text.len() < 500, "{text}");
}

/// As a CA issues them.
fn issued(sans: &[SanType], common_name: Option<&str>, extension: Option<CustomExtension>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = sans.to_vec();
    params.custom_extensions.extend(extension);
    let key = KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").der().to_vec()
}

#[test]
fn certificates_of_a_ca_are_read() {
    let ia5 = |text: &str| text.try_into().expect("ASCII");
    let npm = [
        SanType::URI(ia5(OURS)),
        SanType::DnsName(ia5("node-1")),
        SanType::DnsName(ia5("localhost")),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    names_node(&issued(&npm, Some("node-1"), None), "node-1");
    names_node(&issued(&npm, Some("node-2"), None), "node-1");
    names_node(&issued(&npm[1..2], None, None), "node-1");
    names_node(&issued(&[], Some("node-1"), None), "node-1");
    is_ambiguous(&issued(&npm[1..3], Some("node-1"), None), "DNS SAN");
    let twice =
        CustomExtension::from_oid_content(&[2, 5, 29, 17], tlv(0x30, &uri("spiffe://diskeyval/node-2")));
    is_unreadable(&issued(&npm, Some("node-1"), Some(twice)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = of_certificate(&bytes);
    }

    /// Bytes of a good certificate are changed, removed and doubled.
    #[test]
    fn no_damage_makes_it_panic(
        by_cn in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
    ) {
        let mut der = if by_cn {
            with_cns(&[cn(UTF8, b"node-1"), cn(IA5, b"node-2")])
        } else {
            with_san(&[uri(OURS), dns("node-1"), ip(), mail()])
        };
        for (at, byte, kind) in changes {
            let at = at.index(der.len());
            match kind {
                0 => der[at] = byte,
                1 => {
                    der.remove(at);
                }
                _ => der.insert(at, byte),
            }
        }
        let _ = of_certificate(&der);
    }

    /// A valid frame round arbitrary contents of the extension: deeper into the parser.
    #[test]
    fn no_alternative_names_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let extension = tlv(0x30, &[vec![6, 3, 0x55, 0x1d, 0x11], tlv(4, &bytes)].concat());
        let _ = of_certificate(&certificate_of(&[], &[extension]));
        let _ = of_certificate(&with_san(&[bytes]));
    }

    /// Whoever is named can be named again by the URI that he is given.
    #[test]
    fn an_identity_and_its_uri_agree(name in "[A-Za-z0-9_.-]{1,63}", client in any::<bool>()) {
        let node = || NodeId::new(&name).ok().map(Identity::Node);
        let identity = if client { Identity::client(&name) } else { node() };
        if let Some(identity) = identity {
            prop_assert_eq!(of_certificate(&with_san(&[uri(&identity.uri())])), Ok(identity));
        }
    }
}
