//! Real sockets and real sessions, without an engine: what peers and strangers can do to a connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use diskeyval_core::identity::Identity;
use diskeyval_core::tls::Policy;
use diskeyval_core::{Address, DialId, Metrics, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::Connection;

use super::*;

/// How long anything may take on a busy machine.
const AGES: Duration = Duration::from_secs(60);

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Ca {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        Ca(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self, node: &str) -> Tls {
        let mut params = CertificateParams::new([]).expect("no names");
        let uri = format!("spiffe://diskeyval/{node}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a good name"))];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.0).expect("a certificate");
        Tls { cert: cert.pem(), key: key.serialize_pem(), ca: self.0.pem() }
    }

    fn context(&self, node: &str) -> Context {
        Context::new(&Policy::from_pem(&self.pem(node), &id(node)).expect("good certificates"))
    }
}

fn id(node: &str) -> NodeId {
    NodeId::new(node).expect("a good name")
}

/// A node's sockets, and what they would have told its engine.
struct Rig {
    net: Net,
    clock: Clock,
    port: u16,
    told: Vec<Input>,
}

impl Rig {
    fn new(ca: &Ca, node: &str) -> Rig {
        Rig::with(ca, node, AGES, 64)
    }

    fn with(ca: &Ca, node: &str, handshake: Duration, max_strangers: usize) -> Rig {
        Rig::limited(ca, node, handshake, &strangers(max_strangers))
    }

    fn limited(ca: &Ca, node: &str, handshake: Duration, limits: &Limits) -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let net = Net::new(listener, id(node), ca.context(node), handshake, limits).expect("a net");
        Rig { net, clock: Clock::new(), port, told: Vec::new() }
    }

    fn turn(&mut self) {
        let span = if self.net.is_busy() { Duration::ZERO } else { Duration::from_millis(1) };
        self.net.wait(Some(span)).expect("poll");
        self.net.collect();
        self.net.expire(self.clock.now());
        self.told.append(&mut self.net.inputs);
        self.net.flush();
    }

    fn dial(&mut self, host: &str, port: u16, within: Duration) {
        let address = Address::new(host, port).expect("a good address");
        let now = self.clock.now();
        self.net.dial(DialId(7), id("whoever"), address, within, now);
    }

    fn send(&mut self, to: ConnId, bytes: impl Into<Bytes>) {
        self.net.send(to, bytes.into());
    }

    fn opened(&self) -> Option<(ConnId, Identity, Origin)> {
        self.told.iter().find_map(|input| match input {
            Input::Opened { conn, who, origin } => Some((*conn, who.clone(), *origin)),
            _ => None,
        })
    }

    fn dial_failed(&self) -> Option<DialError> {
        self.told.iter().find_map(|input| match input {
            Input::DialFailed { why, .. } => Some(why.clone()),
            _ => None,
        })
    }

    fn closed(&self) -> Option<String> {
        self.told.iter().find_map(|input| match input {
            Input::Closed { why, .. } => Some(why.to_string()),
            _ => None,
        })
    }

    fn received(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for input in &self.told {
            if let Input::Received { bytes, .. } = input {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    fn drained(&self) -> usize {
        self.told.iter().map(|input| if let Input::Drained { bytes, .. } = input { *bytes } else { 0 }).sum()
    }
}

/// Runs all rigs until something holds.
fn until<const N: usize>(rigs: [&mut Rig; N], what: &str, mut holds: impl FnMut([&mut Rig; N]) -> bool) {
    let end = std::time::Instant::now() + AGES;
    let mut rigs = rigs;
    loop {
        for rig in &mut rigs {
            rig.turn();
        }
        if holds(rigs.each_mut().map(|rig| &mut **rig)) {
            return;
        }
        assert!(std::time::Instant::now() < end, "waited for ages: {what}");
    }
}

/// Two rigs with an open connection: dialler, acceptor, and its number on either side.
fn pair(ca: &Ca) -> (Rig, Rig, ConnId, ConnId) {
    let (mut a, mut b) = (Rig::new(ca, "a"), Rig::new(ca, "b"));
    a.dial("127.0.0.1", b.port, AGES);
    until([&mut a, &mut b], "both are open", |[a, b]| a.opened().is_some() && b.opened().is_some());
    let (at_a, who, origin) = a.opened().expect("open");
    assert_eq!((who, origin), (Identity::Node(id("b")), Origin::Dialled(DialId(7))));
    let (at_b, who, origin) = b.opened().expect("open");
    assert_eq!((who, origin), (Identity::Node(id("a")), Origin::Accepted));
    (a, b, at_a, at_b)
}

/// A stranger that speaks TLS through a plain socket, as slowly as the test wants.
struct Raw {
    tcp: TcpStream,
    session: Connection,
}

impl Raw {
    fn connect(ca: &Ca, port: u16) -> Raw {
        let tcp = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        tcp.set_nodelay(true).expect("an option");
        tcp.set_nonblocking(true).expect("an option");
        Raw { tcp, session: ca.context("raw").dial().expect("a session") }
    }

    /// Moves what can be moved in one direction; whether that was anything.
    fn read_some(&mut self) -> bool {
        match self.session.read_tls(&mut self.tcp) {
            Ok(n) => {
                self.session.process_new_packets().expect("good packets");
                n > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn shake_hands(&mut self, rig: &mut Rig) {
        let end = std::time::Instant::now() + AGES;
        while self.session.is_handshaking() || self.session.wants_write() {
            while self.session.wants_write() {
                self.session.write_tls(&mut self.tcp).expect("small enough to be taken");
            }
            rig.turn();
            self.read_some();
            assert!(std::time::Instant::now() < end, "the handshake takes ages");
        }
    }

    fn read_plain(&mut self, into: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.session.reader().read(&mut buffer) {
            into.extend_from_slice(&buffer[..n]);
        }
    }
}

/// Bytes that show when they are lost, doubled or swapped.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at.wrapping_mul(2_654_435_761) >> 7) & 0xff).expect("a byte")).collect()
}

/// Room for so many of them.
fn strangers(most: usize) -> Limits {
    let mut limits = Limits::default();
    limits.max_strangers = most;
    limits
}

#[test]
fn bytes_cross_in_both_directions_and_are_counted() {
    let ca = Ca::new();
    let (mut a, mut b, at_a, at_b) = pair(&ca);
    let (there, back) = (pattern(3 << 20), pattern(100_003));
    // Pieces of many sizes, from one byte to several records.
    let mut rest = Bytes::from(there.clone());
    let mut size = 1;
    while !rest.is_empty() {
        let piece = rest.split_to(size.min(rest.len()));
        a.send(at_a, piece);
        size = (size * 3) % 70_001 + 1;
    }
    b.send(at_b, back.clone());
    until([&mut a, &mut b], "all has crossed", |[a, b]| {
        a.drained() == there.len() && b.drained() == back.len() && a.received().len() == back.len()
    });
    until([&mut a, &mut b], "all has arrived", |[_, b]| b.received().len() == there.len());
    assert!(a.received() == back && b.received() == there);
}

#[test]
fn a_stream_that_comes_byte_by_byte_is_understood() {
    let ca = Ca::new();
    let mut rig = Rig::new(&ca, "a");
    let mut raw = Raw::connect(&ca, rig.port);
    raw.session.writer().write_all(b"early").expect("buffered");
    let mut wire = Vec::new();
    for round in 0..4 {
        while raw.session.wants_write() {
            raw.session.write_tls(&mut wire).expect("memory takes all");
        }
        for byte in wire.drain(..) {
            raw.tcp.write_all(&[byte]).expect("one byte fits");
            rig.turn();
        }
        for _ in 0..20 {
            rig.turn();
            raw.read_some();
        }
        raw.session.writer().write_all(&[round; 300]).expect("buffered");
    }
    assert!(!raw.session.is_handshaking());
    let received = rig.received();
    assert_eq!(&received[..5], b"early");
    assert_eq!(received.len() % 300, 5);
    assert!(received.len() > 600, "{}", received.len());
    assert_eq!(rig.opened().map(|(_, who, _)| who), Some(Identity::Node(id("raw"))));
}

#[test]
fn more_than_a_turn_reads_is_read_without_another_edge() {
    let ca = Ca::new();
    let mut rig = Rig::new(&ca, "a");
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    let sent = pattern(2 << 20);
    let mut at = 0;
    // As much as the sockets hold goes out before the rig has its turn.
    while at < sent.len() {
        at += raw.session.writer().write(&sent[at..]).expect("buffered");
        match raw.session.write_tls(&mut raw.tcp) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => rig.turn(),
            Err(error) => panic!("{error}"),
        }
    }
    until([&mut rig], "all has arrived", |[rig]| {
        while raw.session.wants_write() && raw.session.write_tls(&mut raw.tcp).is_ok() {}
        rig.received().len() == sent.len()
    });
    assert!(rig.received() == sent);
}

#[test]
fn who_does_not_read_gets_no_more_than_sockets_hold_and_then_all_of_it() {
    let ca = Ca::new();
    let mut rig = Rig::new(&ca, "a");
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    until([&mut rig], "it is open", |[rig]| rig.opened().is_some());
    let (conn, ..) = rig.opened().expect("open");
    let sent = pattern(32 << 20);
    for piece in sent.chunks(100_000) {
        rig.send(conn, piece.to_vec());
    }
    let mut stuck_at = usize::MAX;
    until([&mut rig], "the socket is full", |[rig]| {
        std::mem::replace(&mut stuck_at, rig.drained()) == rig.drained()
    });
    assert!(stuck_at < sent.len(), "the sockets hold everything, and the test shows nothing");
    let mut got = Vec::new();
    until([&mut rig], "all has arrived", |[_]| {
        while raw.read_some() {
            raw.read_plain(&mut got);
        }
        got.len() == sent.len()
    });
    until([&mut rig], "all is reported", |[rig]| rig.drained() == sent.len());
    assert!(got == sent);
}

#[test]
fn strangers_are_cut_off_and_disturb_nobody() {
    let ca = Ca::new();
    let (mut a, mut b, at_a, _) = pair(&ca);
    let port = b.port;
    let connect = || {
        let tcp = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        tcp.set_nonblocking(true).expect("an option");
        tcp
    };
    let mut garbage = connect();
    garbage.write_all(&pattern(10_000)).expect("it fits");
    let mut http = connect();
    http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it fits");
    let mut huge = connect();
    huge.write_all(&[0x16, 3, 3, 0xff, 0xff]).expect("it fits");
    huge.write_all(&[0; 50_000]).expect("it fits");
    let half = connect();
    half.shutdown(Shutdown::Write).expect("half closed");
    let mut alert = connect();
    alert.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).expect("it fits");
    // Gone at once.
    drop(connect());
    // Gone with unread bytes in its buffer, which resets the connection.
    let mut reset = connect();
    reset.write_all(&pattern(100)).expect("it fits");
    until([&mut a, &mut b], "the garbage is answered", |[_, _]| reset.peek(&mut [0; 1]).is_ok());
    drop(reset);

    let mut ends = [garbage, http, huge, half, alert];
    until([&mut a, &mut b], "all are cut off", |[_, b]| {
        let over = |tcp: &mut TcpStream| match tcp.read(&mut [0; 1000]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        ends.iter_mut().all(over) && b.net.strangers.is_empty()
    });
    // Who closes after being cut off is forgotten at once; the others after a moment.
    drop(ends);
    until([&mut a, &mut b], "all are forgotten", |[_, b]| b.net.sockets.len() == 1);

    a.send(at_a, &b"still here"[..]);
    until([&mut a, &mut b], "the others go on", |[_, b]| b.received() == b"still here");
    assert_eq!((a.closed(), b.closed()), (None, None));
    assert!(b.net.deadlines.is_empty(), "{:?}", b.net.deadlines);
}

#[test]
fn a_stranger_that_says_nothing_is_cut_off_in_time() {
    let ca = Ca::new();
    let mut rig = Rig::with(&ca, "a", Duration::from_millis(50), 64);
    let mut tcp = TcpStream::connect(("127.0.0.1", rig.port)).expect("connected");
    tcp.set_nonblocking(true).expect("an option");
    until([&mut rig], "it is cut off", |[_]| matches!(tcp.read(&mut [0; 10]), Ok(0)));
    assert!(rig.net.sockets.is_empty() && rig.net.strangers.is_empty() && rig.told.is_empty());
}

#[test]
fn too_many_strangers_cost_the_oldest_its_place() {
    let ca = Ca::new();
    let mut rig = Rig::with(&ca, "a", AGES, 2);
    let mut silent: Vec<_> = (0..3)
        .map(|_| {
            let tcp = TcpStream::connect(("127.0.0.1", rig.port)).expect("connected");
            tcp.set_nonblocking(true).expect("an option");
            rig.turn();
            tcp
        })
        .collect();
    until([&mut rig], "the oldest is cut off", |[_]| matches!(silent[0].read(&mut [0; 10]), Ok(0)));
    let would_block =
        |tcp: &mut TcpStream| tcp.read(&mut [0; 10]).expect_err("still open").kind() == ErrorKind::WouldBlock;
    assert!(silent[1..].iter_mut().all(would_block));
    // Who shows a certificate is none of them any more.
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    until([&mut rig], "it is open", |[rig]| rig.opened().is_some());
    assert_eq!(rig.net.strangers.len(), 1);
}

#[test]
fn who_comes_when_there_is_no_room_at_all_is_turned_away() {
    let ca = Ca::new();
    let mut limits = strangers(64);
    limits.max_connections = 1;
    let mut rig = Rig::limited(&ca, "a", AGES, &limits);
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    until([&mut rig], "it is open", |[rig]| rig.opened().is_some());
    let mut late = TcpStream::connect(("127.0.0.1", rig.port)).expect("connected");
    late.set_nonblocking(true).expect("an option");
    until([&mut rig], "it is turned away", |[_]| matches!(late.read(&mut [0; 10]), Ok(0)));
    let mut metrics = Metrics::default();
    rig.net.visitors.add_to(&mut metrics);
    assert_eq!((metrics.connections_accepted, metrics.connections_turned_away), (1, 1));
    // The other is none the worse for it, and makes room when it goes.
    assert_eq!(rig.closed(), None);
    drop(raw);
    until([&mut rig], "it is gone", |[rig]| rig.net.sockets.is_empty());
    let _next = TcpStream::connect(("127.0.0.1", rig.port)).expect("connected");
    until([&mut rig], "there is room", |[rig]| rig.net.strangers.len() == 1);
}

#[test]
fn more_connections_than_a_turn_accepts_are_all_let_in() {
    let ca = Ca::new();
    let mut rig = Rig::with(&ca, "a", AGES, 1000);
    let waiting: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", rig.port)).expect("connected")).collect();
    until([&mut rig], "all are in", |[rig]| rig.net.strangers.len() == waiting.len());
}

#[test]
fn closing_delivers_what_was_sent_and_says_goodbye() {
    let ca = Ca::new();
    let (mut a, mut b, at_a, _) = pair(&ca);
    let sent = pattern(1 << 20);
    a.send(at_a, sent.clone());
    a.net.close(at_a, &CloseReason::Stopping);
    a.send(at_a, &b"too late"[..]);
    until([&mut a, &mut b], "it is closed", |[_, b]| b.closed().is_some());
    assert!(b.received() == sent);
    assert_eq!(b.closed().as_deref(), Some("the connection broke: the other end closed it"));
    until([&mut a, &mut b], "both have let go", |[a, b]| {
        a.net.sockets.is_empty() && b.net.sockets.is_empty()
    });
    assert_eq!(a.closed(), None, "nobody is told of what it asked for");
    assert!(a.net.deadlines.is_empty() && b.net.deadlines.is_empty());
}

#[test]
fn closing_does_not_wait_for_ever_for_who_does_not_read() {
    let ca = Ca::new();
    let mut rig = Rig::new(&ca, "a");
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    until([&mut rig], "it is open", |[rig]| rig.opened().is_some());
    let (conn, ..) = rig.opened().expect("open");
    rig.send(conn, vec![0; 32 << 20]);
    rig.net.close(conn, &CloseReason::NotReading);
    until([&mut rig], "it has let go", |[rig]| rig.net.sockets.is_empty());
}

#[test]
fn shutting_down_closes_all_in_order() {
    let ca = Ca::new();
    let (mut a, mut b, at_a, _) = pair(&ca);
    a.send(at_a, &b"last words"[..]);
    let other = std::thread::spawn(move || {
        until([&mut b], "it is closed", |[b]| b.closed().is_some());
        (b.received(), b.closed())
    });
    a.net.shut_down(&a.clock);
    let (received, closed) = other.join().expect("no panic");
    assert_eq!(received, b"last words");
    assert_eq!(closed.as_deref(), Some("the connection broke: the other end closed it"));
    assert!(TcpStream::connect(("127.0.0.1", a.port)).is_err(), "nobody listens any more");
}

#[test]
fn a_peer_that_is_gone_without_a_word_is_noticed() {
    let ca = Ca::new();
    let mut rig = Rig::new(&ca, "a");
    let mut raw = Raw::connect(&ca, rig.port);
    raw.shake_hands(&mut rig);
    until([&mut rig], "it is open", |[rig]| rig.opened().is_some());
    drop(raw);
    until([&mut rig], "it is noticed", |[rig]| rig.closed().is_some());
    until([&mut rig], "it is forgotten", |[rig]| rig.net.sockets.is_empty());
}

#[test]
fn a_dial_tells_refusal_from_silence_and_from_no_such_name() {
    let ca = Ca::new();
    let mut rig = Rig::with(&ca, "a", Duration::from_millis(50), 64);
    let gone = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    rig.dial("127.0.0.1", gone, AGES);
    until([&mut rig], "the dial has failed", |[rig]| rig.dial_failed().is_some());
    assert_eq!(rig.dial_failed(), Some(DialError::Refused));

    // The operating system connects, but nobody is there who would speak.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    rig.told.clear();
    rig.dial("127.0.0.1", silent.local_addr().expect("bound").port(), AGES);
    until([&mut rig], "the dial has failed", |[rig]| rig.dial_failed().is_some());
    assert_eq!(rig.dial_failed(), Some(DialError::Silent));

    // No label of a host name is that long: no resolver has to ask anybody.
    rig.told.clear();
    rig.dial(&"x".repeat(70), 1, AGES);
    until([&mut rig], "the dial has failed", |[rig]| rig.dial_failed().is_some());
    assert!(matches!(rig.dial_failed(), Some(DialError::Unresolved(_))), "{:?}", rig.dial_failed());
    assert!(rig.net.dials.is_empty() && rig.net.deadlines.is_empty() && rig.net.sockets.is_empty());
}

#[test]
fn a_name_is_resolved_and_all_its_addresses_are_tried() {
    let ca = Ca::new();
    let (mut a, mut b) = (Rig::new(&ca, "a"), Rig::new(&ca, "b"));
    // Where this name stands for ::1 as well, nobody listens there.
    a.dial("localhost", b.port, AGES);
    until([&mut a, &mut b], "it is open", |[a, _]| a.opened().is_some());
}

#[test]
fn ipv6_works() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let ca = Ca::new();
    let port = listener.local_addr().expect("bound").port();
    let net = Net::new(listener, id("b"), ca.context("b"), AGES, &strangers(64)).expect("a net");
    let mut b = Rig { net, clock: Clock::new(), port, told: Vec::new() };
    let mut a = Rig::new(&ca, "a");
    a.dial("::1", port, AGES);
    until([&mut a, &mut b], "both are open", |[a, b]| a.opened().is_some() && b.opened().is_some());
}

/// A handshake that began by the former certificates must not end as a connection of the new ones.
#[test]
fn handshakes_are_broken_off_when_certificates_are_renewed() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut rig = Rig::new(&ca, "a");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    rig.dial("127.0.0.1", silent.local_addr().expect("bound").port(), AGES);
    let mut knocking = TcpStream::connect(("127.0.0.1", rig.port)).expect("connected");
    until([&mut rig], "both have begun", |[rig]| rig.net.sockets.len() == 2);
    assert!(rig.dial_failed().is_none());
    rig.net.renew(other.context("a"));
    until([&mut rig], "both are over", |[rig]| rig.dial_failed().is_some() && rig.net.sockets.is_empty());
    let why = rig.dial_failed().expect("just seen").to_string();
    assert!(why.contains("certificates were renewed"), "{why}");
    assert!(matches!(knocking.read(&mut [0; 10]), Ok(0) | Err(_)), "it is cut off");

    // And whoever comes afterwards meets the new ones.
    let mut b = Rig::new(&other, "b");
    b.dial("127.0.0.1", rig.port, AGES);
    until([&mut rig, &mut b], "they meet", |[a, b]| a.opened().is_some() && b.opened().is_some());
}
