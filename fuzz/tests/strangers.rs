//! What a session holds of somebody who has not shown who it is, whatever that one sends and never ends: less than 128 KiB.
//! A test of its own, alone in its process, since others would be counted as well.

use std::alloc::System;
use std::sync::Arc;

use diskeyval_core::host::certs::Authority;
use diskeyval_core::tls::{Policy, server_name};
use diskeyval_core::{NodeId, Tls};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ServerConnection, SignatureScheme};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What nobody who is unknown may cost more than.
const MOST: isize = 128 << 10;

fn policy() -> Policy {
    let (ca, id) = (Authority::new("ca").expect("a CA"), NodeId::new("n1").expect("a good name"));
    let issued = ca.issue_node(&id).expect("a certificate");
    let tls = Tls { cert: issued.cert_pem, key: issued.key_pem, ca: ca.cert_pem().to_owned() };
    Policy::from_pem(&tls, &id).expect("a policy")
}

/// How many bytes are held since the region began.
fn held(region: &Region<'_, System>) -> isize {
    let change = region.change();
    let bytes = |count: usize| isize::try_from(count).expect("it fits");
    bytes(change.bytes_allocated) - bytes(change.bytes_deallocated)
}

/// A server that hears bytes in pieces as they come from a socket, and how much it held at the most.
struct Server {
    session: ServerConnection,
    most: isize,
}

impl Server {
    fn new(policy: &Policy) -> Server {
        let config = policy.server_config();
        let region = Region::new(ALLOCATOR);
        let session = ServerConnection::new(config).expect("a server");
        Server { session, most: held(&region) }
    }

    /// Tells whether it goes on.
    fn hear(&mut self, bytes: &[u8]) -> bool {
        let (before, region) = (self.most, Region::new(ALLOCATOR));
        for mut piece in bytes.chunks(64 << 10) {
            while !piece.is_empty() {
                if self.session.read_tls(&mut piece).is_err() || self.session.process_new_packets().is_err() {
                    return false;
                }
                self.most = self.most.max(before + held(&region));
            }
        }
        self.most = self.most.max(before + held(&region));
        true
    }
}

/// Records of a handshake whose first message says that it is so long, and that many bytes of it.
fn unfinished(says: u32, sent: usize) -> Vec<u8> {
    let mut message = vec![1];
    message.extend_from_slice(&says.to_be_bytes()[1..]);
    message.resize(sent, 0);
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).expect("it fits").to_be_bytes();
        [&[0x16, 3, 1, length[0], length[1]][..], part].concat()
    };
    message.chunks(16 << 10).flat_map(record).collect()
}

/// Shows whatever it is given.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// One after the other: threads would be counted for each other.
#[test]
fn who_is_unknown_holds_little() {
    an_unfinished_handshake_holds_little_however_it_is_long();
    certificates_hold_little_until_they_are_judged();
}

fn an_unfinished_handshake_holds_little_however_it_is_long() {
    let policy = policy();
    let quiet = Server::new(&policy);
    assert!(quiet.most > 0 && quiet.most < MOST / 8, "a session alone holds {} bytes", quiet.most);
    for (says, sent) in
        [(0xffff, 0xfff0), (0xff_ffff, 0x1_0000), (0xff_ffff, 0x10_0000), (0x4000, 0x3ff0), (2, 6)]
    {
        let mut server = Server::new(&policy);
        server.hear(&unfinished(says, sent));
        assert!(server.most < MOST, "{says} bytes were announced, {sent} sent, and {} are held", server.most);
    }
}

/// The longest that a client can say in its handshake is its certificates.
fn certificates_hold_little_until_they_are_judged() {
    let policy = policy();
    for kib in [1, 16, 48, 60, 63, 64, 200] {
        let chain = (0..kib).map(|_| CertificateDer::from(vec![0x30; 1000])).collect();
        let good = policy.client_config();
        let key = good.client_auth_cert_resolver.resolve(&[], &[SignatureScheme::ECDSA_NISTP256_SHA256]);
        let key = CertifiedKey::new(chain, key.expect("a key").key.clone());
        let mut config = ClientConfig::clone(&good);
        config.client_auth_cert_resolver = Arc::new(Shows(Arc::new(key)));
        let mut client = ClientConnection::new(Arc::new(config), server_name()).expect("a client");
        let mut server = Server::new(&policy);
        let said = |client: &mut ClientConnection| {
            let mut said = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut said).expect("memory can be written");
            }
            said
        };
        let hello = said(&mut client);
        assert!(server.hear(&hello));
        let mut answer = Vec::new();
        while server.session.wants_write() {
            server.session.write_tls(&mut answer).expect("memory can be written");
        }
        let mut answer = &answer[..];
        while !answer.is_empty() {
            client.read_tls(&mut answer).expect("memory can be read");
            client.process_new_packets().expect("a good server");
        }
        let rest = said(&mut client);
        assert!(rest.len() > kib * 1000);
        // All but what would end it, and then that as well.
        let went_on = server.hear(&rest[..rest.len() - 100]);
        assert!(went_on == (kib <= 64), "{kib} certificates");
        assert!(server.most < MOST, "{kib} certificates, and {} bytes are held", server.most);
        if went_on {
            assert!(!server.hear(&rest[rest.len() - 100..]), "they are no certificates");
            assert!(server.most < MOST, "{kib} certificates are judged, and {} bytes are held", server.most);
        }
    }
}
