//! The other end of a connection to a node: it takes whoever is there, and shows what it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::ServerConfig;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error,
    ServerConnection, SignatureScheme,
};

use super::mint::Credentials;
use super::talk::{Hello, Word};
use crate::conformance::AGES;
use crate::conformance::remote::lock;

pub(super) const ALPN: &[u8] = b"diskeyval/1";

/// How a connection ended for the stranger.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// By an alert of TLS.
    Alert(AlertDescription),
    /// By a goodbye.
    Goodbye(String),
    /// Without a word.
    HungUp,
}

/// A connection of a stranger to a node.
pub(super) struct Conversation {
    pub(super) tls: Connection,
    socket: TcpStream,
    received: Vec<u8>,
    /// What the node has said of itself.
    pub(super) theirs: Option<Hello>,
    has_said_hello: bool,
}

impl Conversation {
    pub(super) fn dial(address: SocketAddr, config: Arc<ClientConfig>) -> Conversation {
        let name = ServerName::from(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let tls = ClientConnection::new(config, name).expect("a session");
        Conversation::on(TcpStream::connect(address).expect("it listens"), tls.into())
    }

    pub(super) fn on(socket: TcpStream, tls: Connection) -> Conversation {
        let _ = socket.set_nodelay(true);
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        Conversation { tls, socket, received: Vec::new(), theirs: None, has_said_hello: false }
    }

    pub(super) fn say(&mut self, word: &Word) -> Result<(), End> {
        self.tls.writer().write_all(&word.to_frame()).map_err(|_| End::HungUp)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), End> {
        while self.tls.wants_write() {
            // What was said to us before the other end closed still counts.
            if self.tls.write_tls(&mut self.socket).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next word; none if nothing came for a moment.
    pub(super) fn hear(&mut self) -> Result<Option<Word>, End> {
        self.flush()?;
        let mut is_over = false;
        let mut word = Word::take_from(&mut self.received);
        if word.is_none() {
            is_over = !self.receive()?;
            word = Word::take_from(&mut self.received);
        }
        match word {
            Some(Word::Goodbye(reason)) => Err(End::Goodbye(reason)),
            Some(word) => Ok(Some(word)),
            None if is_over => Err(End::HungUp),
            None => Ok(None),
        }
    }

    /// Takes what there is, or waits for a moment. Says whether there may be more.
    fn receive(&mut self) -> Result<bool, End> {
        let is_open = match self.tls.read_tls(&mut self.socket) {
            Ok(length) => length > 0,
            Err(error) if is_moment(&error) => return Ok(true),
            Err(_) => false,
        };
        let processed = self.tls.process_new_packets();
        // What is wrong is told before anything else.
        let _ = self.flush();
        match processed {
            Ok(_) => {}
            Err(Error::AlertReceived(alert)) => return Err(End::Alert(alert)),
            // We speak something else, and said so.
            Err(Error::NoApplicationProtocol) => return Err(End::HungUp),
            Err(error) => panic!("a node breaks the rules of TLS: {error}"),
        }
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = self.tls.reader().read(&mut piece) {
            self.received.extend_from_slice(&piece[..length]);
        }
        Ok(is_open)
    }

    /// Meets a node as a node would, up to its last word or until `enough`.
    pub(super) fn meet(&mut self, hello: &Hello, enough: impl Fn() -> bool) -> Option<End> {
        let end = Instant::now() + AGES;
        while !enough() {
            assert!(Instant::now() < end, "nothing comes of it");
            if let Err(end) = self.step(hello) {
                return Some(end);
            }
        }
        None
    }

    /// Does its part in a meeting, for a moment. Gives what it has heard.
    pub(super) fn step(&mut self, hello: &Hello) -> Result<Option<Word>, End> {
        let dials = matches!(self.tls, Connection::Client(_));
        if dials && !self.has_said_hello {
            self.has_said_hello = true;
            self.say(&Word::Hello(hello.clone()))?;
        }
        let heard = self.hear()?;
        match &heard {
            Some(Word::Welcome(theirs)) if dials => {
                self.theirs = Some(theirs.clone());
                self.say(&Word::Confirm)?;
            }
            Some(Word::Hello(theirs)) if !dials => {
                self.theirs = Some(theirs.clone());
                self.say(&Word::Welcome(hello.clone()))?;
            }
            _ => {}
        }
        Ok(heard)
    }
}

fn is_moment(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A place where a stranger waits to be dialled, and meets whoever comes. It is gone when this is dropped.
pub(super) struct Lair {
    pub(super) address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lair {
    /// Does with each connection what it is told to, one after the other; the second argument says when to let go.
    pub(super) fn new(each: impl Fn(TcpStream, &dyn Fn() -> bool) + Send + 'static) -> Lair {
        Lair::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), each)
    }

    /// The same, at an address.
    pub(super) fn at(
        address: SocketAddr,
        each: impl Fn(TcpStream, &dyn Fn() -> bool) + Send + 'static,
    ) -> Lair {
        let listener = TcpListener::bind(address).expect("a free address");
        let address = listener.local_addr().expect("bound");
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = thread::spawn(move || {
            for socket in listener.incoming() {
                let is_over = || seen.load(Ordering::Acquire);
                match socket {
                    Ok(socket) if !is_over() => each(socket, &is_over),
                    _ => return,
                }
            }
        });
        Lair { address, over, thread: Some(thread) }
    }
}

/// Meets whoever dials, by TLS, and keeps how it ended.
pub(super) fn receive(
    config: ServerConfig,
    hello: Hello,
    ends: Arc<Mutex<Vec<End>>>,
) -> impl Fn(TcpStream, &dyn Fn() -> bool) + Send + 'static {
    let config = Arc::new(config);
    move |socket, is_over| {
        let tls = ServerConnection::new(config.clone()).expect("a session");
        let mut conversation = Conversation::on(socket, tls.into());
        if let Some(end) = conversation.meet(&hello, is_over) {
            lock(&ends).push(end);
        }
    }
}

impl Drop for Lair {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let panicked = thread.join().is_err();
            assert!(!panicked || thread::panicking(), "who was dialled did not understand the node");
        }
    }
}

/// As somebody who dials: with these credentials, or none.
pub(super) fn client(credentials: Option<&Credentials>) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = match credentials {
        Some(credentials) => config.with_client_cert_resolver(shown(credentials)),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config
}

/// As somebody who is dialled.
pub(super) fn server(credentials: &Credentials) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_cert_resolver(shown(credentials));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config
}

fn shown(credentials: &Credentials) -> Arc<SingleCertAndKey> {
    // Whether the two fit each other is not asked.
    Arc::new(CertifiedKey::new(credentials.chain.clone(), credentials.key.clone()).into())
}

/// Takes anybody.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
