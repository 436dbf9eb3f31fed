//! Frames through real TLS, in memory: wherever the stream is cut, the same frames come out.

use std::io::{ErrorKind, Read, Write};

use bytes::Bytes;
use diskeyval_core::host::certs::Authority;
use diskeyval_core::inspect::decode::Frames;
use diskeyval_core::tls::{Policy, peer_identity, server_name};
use diskeyval_core::{NodeId, Tls};
use diskeyval_fuzz::seeds::every_word;
use diskeyval_fuzz::write::framed;
use rustls::{ClientConnection, Connection, ServerConnection};

const MAX_FRAME: usize = 1 << 20;

/// One end of a connection, and what has come out there.
struct End {
    tls: Connection,
    frames: Frames,
}

impl End {
    fn new(tls: impl Into<Connection>) -> End {
        End { tls: tls.into(), frames: Frames::up_to(MAX_FRAME) }
    }

    /// What it has for the other end, as it goes over the network.
    fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).expect("memory");
        let mut wire = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire).expect("memory");
        }
        wire
    }

    /// Takes a piece of the network's stream, and gives what it reads to whoever cuts frames.
    fn receive(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire).expect("memory");
            self.tls.process_new_packets().expect("good records");
            let mut plain = vec![0; 4096];
            loop {
                match self.tls.reader().read(&mut plain) {
                    Ok(0) => break,
                    Ok(len) => self.frames.push(Bytes::copy_from_slice(&plain[..len])),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        self.frames.next_frame().expect("no frame is too large")
    }
}

/// Both ends of a connection, by the policy of the project. The handshake crosses byte by byte.
fn connected() -> [End; 2] {
    let ca = Authority::new("ca").expect("a CA");
    let policy = |name: &str| {
        let id = NodeId::new(name).expect("a good name");
        let issued = ca.issue_node(&id).expect("a certificate");
        let tls = Tls { cert: issued.cert_pem, key: issued.key_pem, ca: ca.cert_pem().to_owned() };
        Policy::from_pem(&tls, &id).expect("a policy")
    };
    let client = ClientConnection::new(policy("n1").client_config(), server_name()).expect("a client");
    let server = ServerConnection::new(policy("n2").server_config()).expect("a server");
    let mut ends = [End::new(client), End::new(server)];
    while ends.iter().any(|end| end.tls.wants_write()) {
        for from in [0, 1] {
            let wire = ends[from].send(&[]);
            wire.iter().for_each(|byte| ends[1 - from].receive(&[*byte]));
        }
    }
    for (end, other) in [(0, "n2"), (1, "n1")] {
        let found = peer_identity(&ends[end].tls).expect("a certificate");
        assert_eq!(found.to_string(), other);
    }
    ends
}

/// In both directions, and cut in two at every byte of what crosses the network.
#[test]
fn a_frame_of_each_kind_cut_at_every_byte_is_the_same_frame() {
    let mut ends = connected();
    for (kind, body) in every_word() {
        for from in [0, 1] {
            let mut cut = 0;
            loop {
                let wire = ends[from].send(&framed(&body));
                let to = &mut ends[1 - from];
                to.receive(&wire[..cut]);
                assert!(cut == wire.len() || to.next().is_none(), "{kind} has come before its end has");
                to.receive(&wire[cut..]);
                assert_eq!(to.next().as_deref(), Some(&body[..]), "{kind}, cut at byte {cut}");
                assert_eq!(to.next(), None);
                if cut == wire.len() {
                    break;
                }
                cut += 1;
            }
        }
    }
}

/// In both directions, and cut in two at every byte before it is made ciphertext: each part is a record of its own.
#[test]
fn a_frame_of_each_kind_in_two_records_is_the_same_frame() {
    let mut ends = connected();
    for (kind, body) in every_word() {
        let frame = framed(&body);
        for from in [0, 1] {
            for cut in 0..=frame.len() {
                let [first, second] = [&frame[..cut], &frame[cut..]].map(|part| ends[from].send(part));
                ends[1 - from].receive(&first);
                assert!(
                    cut == frame.len() || ends[1 - from].next().is_none(),
                    "{kind} has come before its end has"
                );
                ends[1 - from].receive(&second);
                assert_eq!(ends[1 - from].next().as_deref(), Some(&body[..]), "{kind}, cut at byte {cut}");
                assert_eq!(ends[1 - from].next(), None);
            }
        }
    }
}

/// All of them in one stream, with one that fills several records: in pieces of every small size.
#[test]
fn many_frames_in_pieces_of_every_size_are_the_same_frames() {
    let mut ends = connected();
    let mut bodies: Vec<Vec<u8>> = every_word().into_values().collect();
    bodies.insert(3, vec![7; 40_000]);
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for size in (1..=40).chain([1000, 16 << 10, 1 << 20]) {
        // rustls holds back what nobody takes: it is sent in parts.
        let wire: Vec<u8> = stream.chunks(10_000).flat_map(|part| ends[0].send(part)).collect();
        wire.chunks(size).for_each(|piece| ends[1].receive(piece));
        let found: Vec<Bytes> = std::iter::from_fn(|| ends[1].next()).collect();
        assert!(found == bodies, "pieces of {size} bytes make other frames");
    }
}
