//! Sockets and TLS sessions: two threads for each connection, one that reads and one that writes.
//!
//! Nothing is decided here. Bytes are passed on as they come, and whatever goes wrong is reported.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::tls::{self, Policy};
use diskeyval_core::{Address, CloseReason, ConnId, DialError, DialId, Input, Origin, Settings};
use rustls::{ClientConnection, Connection, ServerConnection};

use super::driver::{CLOSING, Link, Word};
use super::lock;

/// How much is read, and how much is sealed, at once.
const PIECE: usize = 16 << 10;

pub(super) struct Links {
    shared: Arc<Shared>,
    local: SocketAddr,
    acceptor: JoinHandle<()>,
}

/// What all threads of connections share.
struct Shared {
    policy: Policy,
    handshake: Duration,
    max_strangers: usize,
    words: SyncSender<Word>,
    /// The next number of a connection.
    next: AtomicU64,
    over: AtomicBool,
    sockets: Mutex<Sockets>,
    fewer: Condvar,
}

#[derive(Default)]
struct Sockets {
    /// How many threads there are.
    threads: usize,
    all: BTreeMap<u64, TcpStream>,
    /// Those that were accepted and have not shown a certificate. The lowest number is the oldest.
    strangers: BTreeMap<u64, TcpStream>,
}

impl Links {
    pub(super) fn open(
        listener: TcpListener,
        policy: Policy,
        settings: &Settings,
        words: SyncSender<Word>,
    ) -> io::Result<Links> {
        let shared = Arc::new(Shared {
            policy,
            handshake: settings.rpc_timeout(),
            max_strangers: settings.limits().max_strangers,
            words,
            next: AtomicU64::new(1),
            over: AtomicBool::new(false),
            sockets: Mutex::default(),
            fewer: Condvar::new(),
        });
        let (local, accepting) = (listener.local_addr()?, shared.clone());
        let acceptor = thread::spawn(move || accept(&listener, &accepting));
        Ok(Links { shared, local, acceptor })
    }

    /// Begins to connect.
    pub(super) fn dial(&self, dial: DialId, address: Address, within: Duration) {
        self.shared.spawn(move |shared| {
            let until = Instant::now() + within;
            let failed = match connect(&address, until) {
                Ok(stream) => shared.carry(stream, Origin::Dialled(dial), until).err(),
                Err(why) => Some(why),
            };
            if let Some(why) = failed {
                shared.tell(Input::DialFailed { dial, why });
            }
        });
    }

    /// Closes all connections, and waits until they are closed: not for long.
    pub(super) fn close(self) {
        self.shared.over.store(true, Ordering::Release);
        // So that it looks up. If it has ended by itself, nobody is there.
        let _ = TcpStream::connect(self.local);
        // A thread that panicked is over as well.
        let _ = self.acceptor.join();
        let sockets = lock(&self.shared.sockets);
        let waits = |sockets: &mut Sockets| sockets.threads > 0;
        let waited = self.shared.fewer.wait_timeout_while(sockets, CLOSING, waits);
        let sockets = waited.unwrap_or_else(PoisonError::into_inner).0;
        sockets.all.values().for_each(hang_up);
        // A dial may still wait for an answer, for as long as it was given.
        let _none = self.shared.fewer.wait_while(sockets, waits);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.over.load(Ordering::Acquire) {
            return;
        }
        match stream {
            Ok(stream) => shared.spawn(move |shared| {
                let until = Instant::now() + shared.handshake;
                // Whoever did not finish the handshake is nobody: the engine has not heard of it.
                let _ = shared.carry(stream, Origin::Accepted, until);
            }),
            // There are no descriptors left, say. It passes, and until then there is no sense in asking at once.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Connects to the first address that answers.
fn connect(address: &Address, until: Instant) -> Result<TcpStream, DialError> {
    let found = (address.host(), address.port()).to_socket_addrs();
    let found = found.map_err(|error| DialError::Unresolved(error.to_string()))?;
    let mut why = DialError::Unresolved("it has no address".into());
    for address in found {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            // Silence outweighs the rest: as long as one address may be cut off, it is not certain that nobody is there.
            Err(_) if why == DialError::Silent => {}
            Err(error) => why = of_dial(&error),
        }
    }
    Err(why)
}

/// The engine takes it for certain that nobody is there if it is told `Refused`, and for nothing of that kind otherwise.
fn of_dial(error: &io::Error) -> DialError {
    let session = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (error.kind(), session) {
        (_, Some(session)) => DialError::Tls(tls::explain(session)),
        (ErrorKind::ConnectionRefused, _) => DialError::Refused,
        (ErrorKind::TimedOut, _) => DialError::Silent,
        _ => DialError::Other(error.to_string()),
    }
}

impl Shared {
    fn tell(&self, input: Input) {
        // If nobody hears it any more, the node is over.
        let _ = self.words.send(Word::Input(input));
    }

    fn spawn(self: &Arc<Shared>, work: impl FnOnce(&Shared) + Send + 'static) {
        lock(&self.sockets).threads += 1;
        let alive = Alive(self.clone());
        thread::spawn(move || work(&alive.0));
    }

    /// One connection, from its handshake to its end. The error says why no connection came of it.
    fn carry(&self, stream: TcpStream, origin: Origin, until: Instant) -> Result<(), DialError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let done =
            self.enter(number, &stream, origin).and_then(|()| self.shake_hands(&stream, origin, until));
        lock(&self.sockets).strangers.remove(&number);
        let done = done.map(|(session, who)| self.exchange(ConnId(number), &stream, session, who, origin));
        lock(&self.sockets).all.remove(&number);
        hang_up(&stream);
        done.map_err(|error| of_dial(&error))
    }

    fn enter(&self, number: u64, stream: &TcpStream, origin: Origin) -> io::Result<()> {
        // Without this, small frames would wait for the acknowledgement of earlier ones.
        stream.set_nodelay(true)?;
        let mut sockets = lock(&self.sockets);
        sockets.all.insert(number, stream.try_clone()?);
        if origin == Origin::Accepted {
            sockets.strangers.insert(number, stream.try_clone()?);
            // Anybody can connect. Whoever has not said who it is makes room for the next.
            while sockets.strangers.len() > self.max_strangers {
                sockets.strangers.pop_first().iter().for_each(|(_, oldest)| hang_up(oldest));
            }
        }
        Ok(())
    }

    fn shake_hands(
        &self,
        stream: &TcpStream,
        origin: Origin,
        until: Instant,
    ) -> io::Result<(Connection, Identity)> {
        let mut session = match origin {
            Origin::Accepted => ServerConnection::new(self.policy.server_config()).map(Connection::from),
            Origin::Dialled(_) => {
                ClientConnection::new(self.policy.client_config(), tls::server_name()).map(Connection::from)
            }
        }
        .map_err(io::Error::other)?;
        let mut timed = Timed { stream, until };
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(&mut timed) {
                // An alert says why. Not all of what was to leave with it has left yet, and closing a socket on unread bytes
                // would destroy it on its way.
                while session.wants_write() && session.write_tls(&mut timed).is_ok() {}
                let _ = stream.shutdown(Shutdown::Write);
                timed.until = Instant::now() + CLOSING;
                let _ = io::copy(&mut timed, &mut io::sink());
                return Err(error);
            }
        }
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        // Who it is, by its certificate and nothing else.
        let who = tls::peer_identity(&session).map_err(io::Error::other)?;
        Ok((session, who))
    }

    /// The engine knows of it from now on, until it is told that it is gone.
    fn exchange(&self, conn: ConnId, stream: &TcpStream, session: Connection, who: Identity, origin: Origin) {
        let Ok(to_close) = stream.try_clone() else {
            return self.never_opened(origin);
        };
        let (outbox, to_send) = mpsc::channel();
        let link = Link { outbox, stream: to_close };
        if self.words.send(Word::Opened { conn, who, origin, link }).is_err() {
            return;
        }
        let session = Mutex::new(session);
        thread::scope(|scope| {
            let session = &session;
            scope.spawn(move || {
                if self.write(conn, stream, session, to_send).is_err() {
                    // The reader finds out, and says so.
                    hang_up(stream);
                }
            });
            let why = self.read(conn, stream, session);
            self.tell(Input::Closed { conn, why: CloseReason::Broken(why) });
        });
    }

    fn never_opened(&self, origin: Origin) {
        if let Origin::Dialled(dial) = origin {
            self.tell(Input::DialFailed {
                dial,
                why: DialError::Other("there are no descriptors left".into()),
            });
        }
    }

    /// Passes on what comes in, until nothing more does. Gives the reason for that.
    fn read(&self, conn: ConnId, mut stream: &TcpStream, session: &Mutex<Connection>) -> String {
        let mut sealed = vec![0; PIECE];
        // What came with the end of the handshake is in the session already.
        let mut count = 0;
        loop {
            let mut rest = &sealed[..count];
            loop {
                let mut session = lock(session);
                if !rest.is_empty()
                    && let Err(error) = session.read_tls(&mut rest)
                {
                    return error.to_string();
                }
                let state = session.process_new_packets();
                let mut plain = Vec::new();
                // It ends with an error where there is no more for now, and what came before it counts.
                let _ = session.reader().read_to_end(&mut plain);
                drop(session);
                if !plain.is_empty() {
                    self.tell(Input::Received { conn, bytes: plain.into() });
                }
                match state {
                    Ok(state) if state.peer_has_closed() => return "the other end closed it".into(),
                    Ok(_) => {}
                    Err(error) => return tls::explain(&error),
                }
                if rest.is_empty() {
                    break;
                }
            }
            // Nobody is kept from writing meanwhile: the session is not locked.
            count = match stream.read(&mut sealed) {
                Ok(0) => return "the other end is gone without a word".into(),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return error.to_string(),
            };
        }
    }

    /// Sends what it is given, in its order, then closes. It alone writes to the socket, so that what was sealed first
    /// leaves first.
    fn write(
        &self,
        conn: ConnId,
        mut stream: &TcpStream,
        session: &Mutex<Connection>,
        to_send: Receiver<Bytes>,
    ) -> io::Result<()> {
        for bytes in to_send {
            for piece in bytes.chunks(PIECE) {
                let sealed = seal(&mut lock(session), |session| session.writer().write_all(piece))?;
                stream.write_all(&sealed)?;
                // Only now: it is by this that the engine knows how much waits here.
                self.tell(Input::Drained { conn, bytes: piece.len() });
            }
        }
        let goodbye = seal(&mut lock(session), |session| {
            session.send_close_notify();
            Ok(())
        })?;
        stream.write_all(&goodbye)?;
        stream.shutdown(Shutdown::Write)
    }
}

/// A thread of a connection, as long as it lives.
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        lock(&self.0.sockets).threads -= 1;
        self.0.fewer.notify_all();
    }
}

/// The bytes for the socket that come of something done to a session.
fn seal(
    session: &mut Connection,
    act: impl FnOnce(&mut Connection) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    act(session)?;
    let mut sealed = Vec::with_capacity(PIECE + 64);
    while session.wants_write() {
        session.write_tls(&mut sealed)?;
    }
    Ok(sealed)
}

/// It may be closed already.
fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// A socket that is read and written until then, and no longer, however slowly the other end drips.
struct Timed<'s> {
    stream: &'s TcpStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

/// Of a socket that has a timeout, some systems say that it would block.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
