//! Handshakes in memory, between sessions that are made by the policy.

extern crate std;

use alloc::vec;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::{
    AlertDescription, ClientConnection, Connection, HandshakeKind, InvalidMessage, ServerConnection,
};

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

/// The name behind `spiffe://diskeyval/`, and whatever is changed.
fn issue_with(ca: &Ca, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Tls {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        vec![SanType::URI(format!("{}{name}", crate::identity::URI_PREFIX).try_into().expect("ASCII"))];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, ca).expect("a certificate");
    Tls { cert: certificate.pem(), key: key.serialize_pem(), ca: ca.pem() }
}

fn issue(ca: &Ca, name: &str) -> Tls {
    issue_with(ca, name, |_| {})
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a node id")
}

fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// Without the checks that we make of our own certificate: what a stranger may come with.
fn unchecked(tls: &Tls) -> Policy {
    Material::from_pem(tls, provider())
        .and_then(|material| material.policy(&id("stranger")))
        .expect("a policy")
}

#[track_caller]
fn why(tls: &Tls, own: &str, guilty: &str) -> String {
    match Policy::from_pem(tls, &id(own)) {
        Err(ConfigError::BadTls { part, why }) => {
            assert_eq!(part, guilty, "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

struct Pair {
    client: Connection,
    server: Connection,
}

/// How it went, at each end.
type Verdicts = (Result<(), Error>, Result<(), Error>);

impl Pair {
    fn new(client: &Policy, server: &Policy) -> Pair {
        let client = ClientConnection::new(client.client_config(), server_name()).expect("a client");
        let server = ServerConnection::new(server.server_config()).expect("a server");
        Pair { client: client.into(), server: server.into() }
    }

    /// Moves bytes until neither end has any.
    fn run(&mut self) -> Verdicts {
        let mut verdicts = (Ok(()), Ok(()));
        while self.client.wants_write() || self.server.wants_write() {
            pass(&mut self.client, &mut self.server, &mut verdicts.1);
            pass(&mut self.server, &mut self.client, &mut verdicts.0);
        }
        verdicts
    }
}

fn pass(from: &mut Connection, to: &mut Connection, verdict: &mut Result<(), Error>) {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).expect("memory");
    }
    feed(&wire, to, verdict);
}

fn feed(mut wire: &[u8], to: &mut Connection, verdict: &mut Result<(), Error>) {
    while !wire.is_empty() && verdict.is_ok() {
        to.read_tls(&mut wire).expect("memory");
        *verdict = to.process_new_packets().map(drop);
    }
}

fn handshake(client: &Policy, server: &Policy) -> Verdicts {
    Pair::new(client, server).run()
}

fn good(ca: &Ca, name: &str) -> Policy {
    Policy::from_pem(&issue(ca, name), &id(name)).expect("a policy")
}

#[track_caller]
fn refuses(verdict: Result<(), Error>, sentence: &str) {
    let text = explain(&verdict.expect_err("a refusal"));
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn two_nodes_of_one_ca_meet() {
    let ca = ca("ca");
    let mut pair = Pair::new(&good(&ca, "1"), &good(&ca, "node_2."));
    assert_eq!(pair.run(), (Ok(()), Ok(())));
    for (end, other) in [(&pair.client, "node_2."), (&pair.server, "1")] {
        assert!(!end.is_handshaking());
        assert_eq!(peer_identity(end), Ok(Identity::Node(id(other))));
        assert_eq!(end.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(end.alpn_protocol(), Some(ALPN));
        assert_eq!(end.handshake_kind(), Some(HandshakeKind::Full));
    }
    let silent = Pair::new(&good(&ca, "1"), &good(&ca, "2"));
    assert!(peer_identity(&silent.client).is_err() && peer_identity(&silent.server).is_err());
}

/// Whoever is at the other end, and would like to.
#[test]
fn nothing_is_resumed() {
    let ca = ca("ca");
    let (ours, theirs) = (good(&ca, "a"), good(&ca, "b"));
    let mut willing_client = ClientConfig::clone(&theirs.client_config());
    willing_client.resumption = Resumption::in_memory_sessions(8);
    let mut willing_server = ServerConfig::clone(&theirs.server_config());
    willing_server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
    willing_server.send_tls13_tickets = 2;
    let willing =
        Policy { client: Arc::new(willing_client), server: Arc::new(willing_server), ..theirs.clone() };

    let second = |client: &Policy, server: &Policy| {
        assert_eq!(handshake(client, server), (Ok(()), Ok(())));
        let mut pair = Pair::new(client, server);
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        pair.client.handshake_kind()
    };
    assert_eq!(second(&ours, &ours), Some(HandshakeKind::Full));
    assert_eq!(second(&ours, &willing), Some(HandshakeKind::Full));
    assert_eq!(second(&willing, &ours), Some(HandshakeKind::Full));
    // The test itself would see it.
    assert_eq!(second(&willing, &willing), Some(HandshakeKind::Resumed));

    let server = ours.server_config();
    assert_eq!((server.send_tls13_tickets, server.max_tls13_tickets, server.max_early_data_size), (0, 0, 0));
    assert!(!server.session_storage.can_cache() && !server.ticketer.enabled());
    assert!(!ours.client_config().enable_early_data);
}

#[test]
fn intermediates_are_followed() {
    let root = ca("root");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let middle =
        CertifiedIssuer::signed_by(params, KeyPair::generate().expect("a key"), &root).expect("a CA");
    let mut tls = issue(&middle, "a");
    tls.ca = root.pem();
    assert!(why(&tls, "a", "cert").contains("signed by no CA"));
    tls.cert = format!("{}{}", tls.cert, middle.pem());
    let a = Policy::from_pem(&tls, &id("a")).expect("a policy");
    assert_eq!(handshake(&a, &good(&root, "b")), (Ok(()), Ok(())));
}

/// Whoever can connect can have a node look for a path.
#[test]
fn no_more_than_a_few_intermediates_are_looked_at() {
    let root = ca("root");
    let chain = |length: usize| {
        let mut row: Vec<Ca> = Vec::new();
        for number in 0..length {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, format!("intermediate {number}"));
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            let above = row.last().unwrap_or(&root);
            row.push(CertifiedIssuer::signed_by(params, key, above).expect("a CA"));
        }
        let mut tls = issue(row.last().expect("one at least"), "a");
        tls.ca = root.pem();
        tls.cert.extend(row.iter().rev().map(|ca| ca.pem()));
        tls
    };
    let b = good(&root, "b");
    let most = Policy::from_pem(&chain(MAX_INTERMEDIATES), &id("a")).expect("a policy");
    assert_eq!(handshake(&most, &b), (Ok(()), Ok(())));
    let more = chain(MAX_INTERMEDIATES + 1);
    refuses(handshake(&unchecked(&more), &b).1, "5 certificates come with it");
    refuses(handshake(&b, &unchecked(&more)).0, "no more than 4 are looked at");
    assert!(why(&more, "a", "cert").contains("send only its own"));
}

/// The client learns of it only after its own handshake is done.
#[test]
fn a_client_of_another_ca_is_refused_after_it_believes_to_be_connected() {
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    let mut stranger = issue(&theirs, "a");
    stranger.ca = ours.pem();
    let mut pair = Pair::new(&unchecked(&stranger), &good(&ours, "b"));
    let mut verdicts = (Ok(()), Ok(()));
    pass(&mut pair.client, &mut pair.server, &mut verdicts.1);
    pass(&mut pair.server, &mut pair.client, &mut verdicts.0);
    assert!(!pair.client.is_handshaking(), "it believes to be connected");
    let (client, server) = pair.run();
    refuses(server, "this end refuses the certificate of the other end: it is signed by no CA in `ca`");
    refuses(client, "the other end refuses our certificate, for it does not know the CA");
    assert!(pair.server.is_handshaking());
}

#[test]
fn a_server_of_another_ca_is_refused() {
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    let (client, server) = handshake(&good(&ours, "a"), &good(&theirs, "b"));
    refuses(client, "it is signed by no CA in `ca`");
    refuses(server, "the other end refuses our certificate, for it does not know the CA");
}

#[test]
fn a_ca_of_the_same_name_is_another_ca() {
    let (ours, theirs) = (ca("ca"), ca("ca"));
    let (client, server) = handshake(&good(&ours, "a"), &good(&theirs, "b"));
    refuses(client, "is there a second CA of the same name?");
    refuses(server, "is there a second CA of the same name?");
}

#[test]
fn two_cas_in_the_bundle_are_both_trusted() {
    let (old, new) = (ca("old"), ca("new"));
    let with_both = |mut tls: Tls, name: &str| {
        tls.ca = format!("{}{}", old.pem(), new.pem());
        Policy::from_pem(&tls, &id(name)).expect("a policy")
    };
    let (a, b) = (with_both(issue(&old, "a"), "a"), with_both(issue(&new, "b"), "b"));
    assert_eq!(handshake(&a, &b), (Ok(()), Ok(())));
    assert_eq!(handshake(&b, &a), (Ok(()), Ok(())));
}

#[test]
fn certificates_out_of_their_time_are_refused() {
    let ca = ca("ca");
    let b = good(&ca, "b");
    let expired = issue_with(&ca, "a", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = issue_with(&ca, "a", |params| params.not_before = date_time_ymd(2999, 1, 1));
    for (tls, sentence) in [(&expired, "it expired "), (&early, "it becomes valid only in ")] {
        let (client, server) = handshake(&unchecked(tls), &b);
        refuses(server, sentence);
        refuses(client, "by its clock has expired or is not valid yet");
        let (client, server) = handshake(&b, &unchecked(tls));
        refuses(client, sentence);
        refuses(server, "by its clock has expired or is not valid yet");
        assert!(why(tls, "a", "cert").contains(sentence));
    }
}

#[test]
fn a_client_without_certificate_is_refused() {
    let ca = ca("ca");
    let server = good(&ca, "b");
    let bare = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptNodes {
            roots: Material::from_pem(&issue(&ca, "a"), provider()).expect("material").roots,
            algorithms: provider().signature_verification_algorithms,
        }))
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(bare), server_name()).expect("a client");
    let mut pair = Pair {
        client: client.into(),
        server: ServerConnection::new(server.server_config()).expect("a server").into(),
    };
    let (client, server) = pair.run();
    assert_eq!(server, Err(Error::NoCertificatesPresented));
    refuses(server, "no certificate was presented");
    refuses(client, "the other end refuses us, for we presented no certificate");
}

#[test]
fn a_client_may_dial_and_not_serve() {
    let ca = ca("ca");
    let (node, client) = (good(&ca, "a"), unchecked(&issue(&ca, "client/backup")));
    let mut pair = Pair::new(&client, &node);
    assert_eq!(pair.run(), (Ok(()), Ok(())));
    let found = peer_identity(&pair.server);
    assert_eq!(found, Ok(Identity::Client("backup".into())));

    let (dialler, server) = handshake(&node, &client);
    refuses(dialler, "the certificate is that of the client \"backup\", and a node is wanted");
    refuses(server, "a client where a node is wanted");
}

#[test]
fn a_certificate_that_names_nobody_is_refused_by_both_ends() {
    let ca = ca("ca");
    let good = good(&ca, "a");
    let nobody = unchecked(&issue(&ca, "a/b"));
    let (client, server) = handshake(&nobody, &good);
    refuses(server, "names nobody");
    refuses(client, "most often it names nobody");
    let (client, server) = handshake(&good, &nobody);
    refuses(client, "names nobody");
    refuses(server, "most often it names nobody");
}

#[test]
fn extended_key_usages_are_heeded() {
    let ca = ca("ca");
    let b = good(&ca, "b");
    let only = |usage| issue_with(&ca, "a", |params| params.extended_key_usages = vec![usage]);
    let (server_only, client_only) =
        (only(ExtendedKeyUsagePurpose::ServerAuth), only(ExtendedKeyUsagePurpose::ClientAuth));
    refuses(handshake(&unchecked(&server_only), &b).1, "not made for this use");
    refuses(handshake(&unchecked(&server_only), &b).0, "not made for this use");
    refuses(handshake(&b, &unchecked(&client_only)).0, "not made for this use");
    assert!(why(&server_only, "a", "cert").contains("client"));
    assert!(why(&client_only, "a", "cert").contains("server"));
    // As the npm package's certificates: none named, all allowed.
    let none = issue_with(&ca, "a", |params| params.extended_key_usages.clear());
    let a = Policy::from_pem(&none, &id("a")).expect("a policy");
    assert_eq!(handshake(&a, &b), (Ok(()), Ok(())));
}

/// A ClientHello as TLS 1.2 programs send it: no supported_versions.
fn client_hello_of_tls_12() -> Vec<u8> {
    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 4, 0, 2, 0, 23],      // groups: P-256
        &[0, 11, 0, 2, 1, 0],             // points: uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], // signatures: ECDSA P-256, RSA-PSS
        &[0, 23, 0, 0],                   // extended master secret
    ];
    let extensions = extensions.concat();
    let suites = [0xc0, 0x2b, 0xc0, 0x2f];
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).expect("small").to_be_bytes(), bytes].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &sized(&suites), &[1, 0], &sized(&extensions)].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

#[test]
fn tls_1_2_is_refused() {
    let ca = ca("ca");
    let mut server: Connection =
        ServerConnection::new(good(&ca, "a").server_config()).expect("a server").into();
    let mut verdict = Ok(());
    feed(&client_hello_of_tls_12(), &mut server, &mut verdict);
    refuses(verdict, "does not speak TLS 1.3");
    let mut alert = Vec::new();
    server.write_tls(&mut alert).expect("memory");
    assert_eq!(alert.last(), Some(&u8::from(AlertDescription::ProtocolVersion)));
}

#[test]
fn plain_text_is_refused_by_both_ends() {
    let ca = ca("ca");
    let policy = good(&ca, "a");
    let mut pair = Pair::new(&policy, &policy);
    let mut verdicts = (Ok(()), Ok(()));
    feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut pair.server, &mut verdicts.1);
    feed(b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut pair.client, &mut verdicts.0);
    refuses(verdicts.0, "is not TLS");
    refuses(verdicts.1, "is not TLS");
}

#[test]
fn another_protocol_over_tls_is_refused() {
    let ca = ca("ca");
    let node = good(&ca, "a");
    let mut other = ClientConfig::clone(&node.client_config());
    other.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = ClientConnection::new(Arc::new(other), server_name()).expect("a client");
    let server = ServerConnection::new(node.server_config()).expect("a server");
    let (client, server) = Pair { client: client.into(), server: server.into() }.run();
    refuses(server, "not the protocol of diskeyval");
    refuses(client, "another protocol");
}

/// TLS leaves it open to name no protocol at all: an HTTPS server with a certificate of our CA, say.
#[test]
fn no_protocol_over_tls_is_refused_too() {
    let ca = ca("ca");
    let node = good(&ca, "a");
    let (mut client, mut server) =
        (ClientConfig::clone(&node.client_config()), ServerConfig::clone(&node.server_config()));
    client.alpn_protocols.clear();
    server.alpn_protocols.clear();
    let other = Policy { own: id("b"), client: Arc::new(client), server: Arc::new(server), ..node.clone() };
    let mut dialled = Pair::new(&other, &node);
    assert_eq!(dialled.run(), (Ok(()), Ok(())));
    refuses(peer_identity(&dialled.server).map(drop), "not the protocol of diskeyval");
    let mut dials = Pair::new(&node, &other);
    assert_eq!(dials.run(), (Ok(()), Ok(())));
    refuses(peer_identity(&dials.client).map(drop), "not the protocol of diskeyval");
}

#[test]
fn a_certificate_of_another_node_is_not_ours() {
    let text = why(&issue(&ca("ca"), "node-2"), "node-1", "cert");
    assert!(text.contains("certificate of node-2") && text.contains("this node is node-1"), "{text}");
    assert!(why(&issue(&ca("ca"), "client/x"), "node-1", "cert").contains("the client \"x\""));
    assert!(why(&issue(&ca("ca"), "a/b"), "node-1", "cert").contains("names nobody"));
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let (ours, theirs) = (ca("ours"), ca("theirs"));
    let good = issue(&ours, "a");
    let other = issue(&theirs, "a");

    let key = Tls { key: other.key.clone(), ..good.clone() };
    assert!(why(&key, "a", "key").contains("does not belong to the certificate"));
    let ca = Tls { ca: other.ca.clone(), ..good.clone() };
    assert!(why(&ca, "a", "cert").contains("signed by no CA in `ca`"));
    // A leaf is no CA, not even its own.
    let leaf = Tls { ca: good.cert.clone(), ..good.clone() };
    why(&leaf, "a", "cert");
}

#[test]
fn what_is_no_pem_is_named() {
    let good = issue(&ca("ca"), "a");
    let with = |part: &str, text: &str| {
        let mut tls = good.clone();
        *match part {
            "cert" => &mut tls.cert,
            "key" => &mut tls.key,
            _ => &mut tls.ca,
        } = text.to_owned();
        why(&tls, "a", part)
    };
    for part in ["cert", "key", "ca"] {
        assert!(with(part, " \n").contains("it is empty"));
        assert!(with(part, "/etc/diskeyval/file.pem").contains("not the name of a file"));
        assert!(with(part, "-----BEGIN X-----").contains("damaged"), "{}", with(part, "-----BEGIN X-----"));
    }
    assert!(with("cert", &good.key).contains("it holds PRIVATE KEY, and CERTIFICATE is wanted"));
    assert!(with("key", &good.cert).contains("it holds CERTIFICATE, and PRIVATE KEY is wanted"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(with("key", encrypted).contains("openssl pkey"));
    assert!(with("cert", &good.cert.replace("\nMII", "\n!!!")).contains("damaged"));
    // PEM of something else inside.
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    with("cert", junk);
    with("ca", junk);
    with("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
}

/// Mutant: an error of the key's text is shown with what was read.
#[test]
fn the_key_is_never_shown() {
    let good = issue(&ca("ca"), "a");
    for damage in ["\n-----END", "-----BEGIN", "Y-----"] {
        let tls = Tls { key: good.key.replacen(damage, "~", 1), ..good.clone() };
        let text = why(&tls, "a", "key");
        let leaked =
            good.key.lines().any(|line| line.len() > 8 && !line.contains("-----") && text.contains(line));
        assert!(!leaked, "{text}");
    }
    assert_eq!(format!("{:?}", Policy::from_pem(&good, &id("a"))), "Ok(Policy { own: a, .. })");
}

#[test]
fn every_error_that_users_meet_is_a_sentence_with_advice() {
    let errors = [
        Error::InvalidCertificate(CertificateError::UnknownIssuer),
        Error::InvalidCertificate(CertificateError::Expired),
        Error::InvalidCertificate(CertificateError::NotValidYet),
        Error::InvalidCertificate(CertificateError::Revoked),
        Error::InvalidCertificate(CertificateError::BadEncoding),
        Error::InvalidCertificate(CertificateError::UnhandledCriticalExtension),
        Error::AlertReceived(AlertDescription::UnknownCA),
        Error::AlertReceived(AlertDescription::BadCertificate),
        Error::AlertReceived(AlertDescription::CertificateExpired),
        Error::AlertReceived(AlertDescription::CertificateRequired),
        Error::AlertReceived(AlertDescription::HandshakeFailure),
        Error::AlertReceived(AlertDescription::ProtocolVersion),
        Error::AlertReceived(AlertDescription::InternalError),
        Error::InvalidMessage(InvalidMessage::InvalidContentType),
        Error::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge),
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
    ];
    for error in errors {
        let text = explain(&error);
        assert!(text.contains(": ") || text.contains("; "), "{text}");
        assert!(text.contains("other end"), "{text}");
    }
    assert_eq!(explain::span(59), "59 s");
    assert_eq!(explain::span(3600 * 24 * 3 + 7200), "3 d 2 h");
}

#[test]
fn who_would_not_be_let_in_any_more_is_found_out_by_what_it_had_shown() {
    let (ours, other) = (ca("ours"), ca("other"));
    let policy = good(&ours, "n1");
    let check = |tls: &Tls, dialled| {
        let shown = certificates(&tls.cert, "cert").expect("a certificate");
        policy.check_peer(Some(&shown), dialled)
    };
    for dialled in [false, true] {
        assert_eq!(check(&issue(&ours, "n2"), dialled), Ok(()));
        let stranger = check(&issue(&other, "n2"), dialled);
        assert!(
            matches!(stranger, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))),
            "{stranger:?}"
        );
        let expired = issue_with(&ours, "n2", |params| params.not_after = date_time_ymd(2020, 1, 1));
        let expired = check(&expired, dialled);
        assert!(
            matches!(expired, Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))),
            "{expired:?}"
        );
        assert_eq!(policy.check_peer(None, dialled), Err(Error::NoCertificatesPresented));
    }
    let client = issue(&ours, "client/ops");
    assert_eq!(check(&client, false), Ok(()));
    assert!(check(&client, true).is_err(), "a client is not dialled");
}

#[test]
fn a_policy_tells_until_when_its_certificates_are_good() {
    let ca = ca("ours");
    let tls = issue_with(&ca, "n1", |params| params.not_after = date_time_ymd(2090, 1, 1));
    let policy = Policy::from_pem(&tls, &id("n1")).expect("it is good");
    let end = 3_786_912_000;
    // Of two that a node shows, the later one counts; who shows none, or is no node, is none of them.
    let chain = |tls: &Tls| certificates(&tls.cert, "cert").expect("PEM");
    let until = |year| chain(&issue_with(&ca, "n2", |params| params.not_after = date_time_ymd(year, 1, 1)));
    let (later, sooner) = (until(2090), until(2080));
    let told = policy.status_at(end - 86_400, [Some(&later[..]), Some(&sooner[..]), None]);
    assert_eq!(told.peers.len(), 1);
    assert_eq!((&told.own.name[..], told.own.not_after, told.own.days_left), ("n1", end, 1));
    assert_eq!(told.ca.len(), 1);
    assert_eq!(told.ca[0].name, "CN=ours");
    assert_eq!((&told.peers[0].name[..], told.peers[0].days_left), ("n2", 1));
}
