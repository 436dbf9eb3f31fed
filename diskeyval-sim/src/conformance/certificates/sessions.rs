//! What TLS is not: old, resumed, early, anonymous, or that of another protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use rustls::server::ServerSessionMemoryCache;
use rustls::{AlertDescription, HandshakeKind, ServerConnection};

use super::Meeting;
use super::cases::Verdict::{Linked, Refused};
use super::mint::PEER;
use super::stranger::{Conversation, End, Lair, client, receive, server};
use super::subject::{Subject, World};
use super::talk::{Hello, Word};
use crate::conformance::AGES;
use crate::conformance::remote::lock;

pub(super) const CASES: &[Meeting] = &[
    Meeting {
        name: "no-certificate",
        demand: "Who dials without a certificate is refused in the handshake, and told that one is required.",
        run: no_certificate,
    },
    Meeting {
        name: "tls-1.2",
        demand: "Who dials by TLS 1.2 is refused by the alert `protocol_version`, and who answers by it is given up.",
        run: tls_12,
    },
    Meeting {
        name: "not-tls",
        demand: "Who answers in plain text is given up, and who dials in it is cut off.",
        run: not_tls,
    },
    Meeting {
        name: "another-protocol",
        demand: "Who names another protocol in the handshake (ALPN), or none, is refused at both ends, however good its certificate.",
        run: another_protocol,
    },
    Meeting {
        name: "nothing-is-resumed",
        demand: "No ticket is given, and none is used: whoever comes back shows its certificate anew, at both ends.",
        run: nothing_is_resumed,
    },
    Meeting {
        name: "nothing-is-early",
        demand: "What is sent before the handshake is done (0-RTT) is not taken, and does not spare a handshake.",
        run: nothing_is_early,
    },
];

/// A lair in which nobody is.
fn nobody() -> Lair {
    Lair::new(|_, _| {})
}

fn no_certificate(world: &World<'_>) {
    let lair = nobody();
    let subject = Subject::start(world, "no-certificate", lair.address);
    let hello = Hello::of(PEER, ["no-certificate", PEER]);
    let mut bare = Conversation::dial(subject.address, Arc::new(client(None)));
    let end = bare.meet(&hello, || subject.is_linked(PEER));
    assert_eq!(end, Some(End::Alert(AlertDescription::CertificateRequired)));
    subject.says("no certificate was presented");
    subject.stop();
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat()
}

/// A message of a handshake of TLS 1.2, in its record.
fn message_of_tls_12(kind: u8, body: &[u8]) -> Vec<u8> {
    let message = [&[kind, 0][..], &sized(body)].concat();
    [&[22, 3, 3][..], &sized(&message)].concat()
}

fn tls_12(world: &World<'_>) {
    // It takes a suite of TLS 1.2, and says no word of any other version.
    let answer = [&[3, 3][..], &[7; 32], &[0], &[0xc0, 0x2b], &[0]].concat();
    let lair = Lair::new(move |mut socket, is_over| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(&message_of_tls_12(2, &answer));
        drain(&mut socket, is_over);
    });
    let subject = Subject::start(world, "tls-1.2", lair.address);
    subject.dials(Refused("does not speak TLS 1.3"));

    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 4, 0, 2, 0, 23],      // groups: P-256
        &[0, 11, 0, 2, 1, 0],             // points: uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], // signatures: ECDSA P-256, RSA-PSS
        &[0, 23, 0, 0],                   // extended master secret
    ];
    let suites = sized(&[0xc0, 0x2b, 0xc0, 0x2f]);
    let body = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0], &sized(&extensions.concat())].concat();
    let mut socket = TcpStream::connect(subject.address).expect("it listens");
    socket.write_all(&message_of_tls_12(1, &body)).expect("it is taken");
    let mut heard = Vec::new();
    socket.set_read_timeout(Some(AGES)).expect("a timeout");
    let _ = socket.read_to_end(&mut heard);
    let alert = u8::from(AlertDescription::ProtocolVersion);
    assert!(heard.starts_with(&[21, 3]) && heard.ends_with(&[2, alert]), "a fatal alert: {heard:?}");
    subject.says("does not speak TLS 1.3");
    drop(lair);
    subject.stop();
}

/// Reads until the other end closes, or it is all over.
fn drain(socket: &mut TcpStream, is_over: &dyn Fn() -> bool) {
    let _ = socket.set_read_timeout(Some(std::time::Duration::from_millis(20)));
    let is_open = |got: std::io::Result<usize>| match got {
        Ok(length) => length > 0,
        Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    };
    while !is_over() && is_open(socket.read(&mut [0; 4096])) {}
}

fn not_tls(world: &World<'_>) {
    let lair = Lair::new(|mut socket, is_over| {
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(&mut socket, is_over);
    });
    let subject = Subject::start(world, "not-tls", lair.address);
    subject.dials(Refused("is not TLS"));
    let mut socket = TcpStream::connect(subject.address).expect("it listens");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is taken");
    socket.set_read_timeout(Some(AGES)).expect("a timeout");
    let _ = socket.read_to_end(&mut Vec::new());
    subject.says("is not TLS");
    drop(lair);
    subject.stop();
}

fn another_protocol(world: &World<'_>) {
    for (name, offered) in [("another-protocol", vec![b"h2".to_vec()]), ("no-protocol", Vec::new())] {
        let credentials = world.mint.leaf(|_| {});
        let hello = Hello::of(PEER, [name, PEER]);
        let mut served = server(&credentials);
        served.alpn_protocols.clone_from(&offered);
        let lair = Lair::new(receive(served, hello.clone(), Arc::default()));
        let subject = Subject::start(world, name, lair.address);
        subject.dials(Refused(if offered.is_empty() { "protocol of diskeyval" } else { "another protocol" }));
        drop(lair);
        let mut dialled = client(Some(&credentials));
        dialled.alpn_protocols.clone_from(&offered);
        let mut conversation = Conversation::dial(subject.address, Arc::new(dialled));
        let end = conversation.meet(&hello, || subject.is_linked(PEER));
        assert!(
            end.is_some_and(|end| !matches!(end, End::Goodbye(_))),
            "it is refused before anything is said"
        );
        subject.says("not the protocol of diskeyval");
        subject.stop();
    }
}

fn nothing_is_resumed(world: &World<'_>) {
    let name = "nothing-is-resumed";
    let credentials = world.mint.leaf(|_| {});
    let hello = Hello::of(PEER, [name, PEER]);
    // Whom it dials would resume: it gives tickets, and would know them again.
    let mut served = server(&credentials);
    served.session_storage = ServerSessionMemoryCache::new(8);
    served.send_tls13_tickets = 2;
    let served = Arc::new(served);
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let (seen, answer) = (kinds.clone(), hello.clone());
    let lair = Lair::new(move |socket, is_over| {
        let tls = ServerConnection::new(served.clone()).expect("a session");
        let mut conversation = Conversation::on(socket, tls.into());
        // The first link breaks once it is up, so that there is a second.
        let mut is_up = false;
        while !is_over() {
            if is_up && lock(&seen).is_empty() {
                break;
            }
            match conversation.step(&answer) {
                Ok(heard) => is_up |= heard == Some(Word::Confirm),
                Err(_) => break,
            }
        }
        lock(&seen).extend(conversation.tls.handshake_kind());
    });
    let subject = Subject::start(world, name, lair.address);
    subject.until("it has come, and come back", || !lock(&kinds).is_empty() && subject.is_linked(PEER));
    drop(lair);
    assert_eq!(*lock(&kinds), [HandshakeKind::Full, HandshakeKind::Full]);

    // Whoever dials it would resume.
    let mut config = client(Some(&credentials));
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for _ in 0..2 {
        subject.until("the last one is gone", || !subject.is_linked(PEER));
        let mut conversation = Conversation::dial(subject.address, config.clone());
        assert_eq!(conversation.meet(&hello, || subject.is_linked(PEER)), None);
        assert_eq!(conversation.tls.handshake_kind(), Some(HandshakeKind::Full));
        let rustls::Connection::Client(session) = &conversation.tls else { unreachable!("it has dialled") };
        assert_eq!(session.tls13_tickets_received(), 0, "no ticket is given");
    }
    subject.stop();
}

/// A stranger that has a ticket of somebody else, for the same name, and sends its hello along with it.
fn nothing_is_early(world: &World<'_>) {
    let name = "nothing-is-early";
    let credentials = world.mint.leaf(|_| {});
    let hello = Hello::of(PEER, [name, PEER]);
    let lair = nobody();
    let subject = Subject::start(world, name, lair.address);
    let mut generous = server(&credentials);
    generous.session_storage = ServerSessionMemoryCache::new(8);
    generous.send_tls13_tickets = 4;
    generous.max_early_data_size = 4096;
    let giver = Lair::new(receive(generous, hello.clone(), Arc::default()));
    let mut config = client(Some(&credentials));
    config.resumption = Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut first = Conversation::dial(giver.address, config.clone());
    first.say(&Word::Other).expect("it is taken");
    let mut tickets = 0;
    subject.until("there are tickets", || {
        let _ = first.hear();
        if let rustls::Connection::Client(session) = &first.tls {
            tickets = session.tls13_tickets_received();
        }
        tickets >= 4
    });
    drop(first);

    let early = |address| {
        let mut conversation = Conversation::dial(address, config.clone());
        let rustls::Connection::Client(session) = &mut conversation.tls else { unreachable!("it dials") };
        let word = Word::Other.to_frame();
        session.early_data().expect("it has a ticket").write_all(&word).expect("it is taken");
        conversation
    };
    let accepted = |conversation: &Conversation| match &conversation.tls {
        rustls::Connection::Client(session) => session.is_early_data_accepted(),
        rustls::Connection::Server(_) => unreachable!("it dials"),
    };
    // Whoever gave the tickets takes what comes with them: so the node was offered something.
    let mut there = early(giver.address);
    subject.until("it is resumed", || {
        let _ = there.hear();
        there.tls.handshake_kind().is_some() && !there.tls.is_handshaking()
    });
    assert!(accepted(&there), "the test would see it");
    drop(there);
    drop(giver);

    let mut here = early(subject.address);
    let end = here.meet(&hello, || subject.is_linked(PEER));
    subject.turned(Linked, end.as_ref());
    assert!(!accepted(&here), "nothing is early");
    assert_eq!(here.tls.handshake_kind(), Some(HandshakeKind::Full));
    drop(lair);
    subject.stop();
}
