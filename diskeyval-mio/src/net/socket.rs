//! One connection: a socket, its TLS session, and what waits to be sent on it.
//!
//! Readiness is edge-triggered: it is told once, so both flags stay up until the socket itself says that
//! it would block.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use bytes::{Buf, Bytes, BytesMut};
use diskeyval_core::{Instant, Origin};
use mio::event::Event;
use mio::net::TcpStream;
use rustls::Connection;

/// The most that is read from one connection in one turn, so that a loud one does not starve the others.
const READ_BUDGET: usize = 256 << 10;

/// How much is read at once, and how large the buffers are that received bytes are cut from.
const BUFFER: usize = 64 << 10;

/// The most pieces that are sealed at once. Small frames share a TLS record.
const MAX_PIECES: usize = 64;

pub(crate) struct Socket {
    stream: TcpStream,
    session: Connection,
    pub(super) origin: Origin,
    pub(super) remote: SocketAddr,
    pub(super) stage: Stage,
    /// When its stage is over at the latest.
    pub(super) deadline: Option<Instant>,
    readable: bool,
    writable: bool,
    /// The other end will send no more: what is there must be read to its end now.
    hung_up: bool,
    /// The end of what comes in has been read.
    ended: bool,
    /// Whether it is on the list of those that are to be read.
    pub(super) queued: bool,
    /// What waits to be sealed. It is sealed only while the socket takes it, so that rustls holds little.
    outgoing: VecDeque<Bytes>,
    /// Bytes that are sealed and have not all left yet.
    sealed: usize,
    /// Bytes that have left for the socket and were not reported yet.
    pub(super) drained: usize,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Handshake,
    Open,
    /// What was sent is leaving. Whatever comes in is read and dropped: closing a socket on unread bytes
    /// would reset it, and destroy our last words on their way.
    Closing {
        /// Whether the session is to be closed in order (it cannot be, once it has failed).
        notify: bool,
        /// Whether all has left, and the other end's close is all that is waited for.
        shut: bool,
    },
}

/// How a connection came to its end.
#[derive(Debug)]
pub(super) enum Lost {
    /// The other end closed it, in order.
    Finished,
    /// The other end was gone without a word.
    CutOff,
    /// The socket failed.
    Io(io::Error),
    /// The session failed.
    Tls(rustls::Error),
}

/// What reads share, whatever connection they are for: no memory is held by an idle connection.
pub(super) struct Incoming {
    /// Ciphertext, as it comes from a socket. rustls by itself would read only 4 KiB at once.
    scratch: Box<[u8]>,
    /// Plaintext. What was cut off it lives until the last who holds it lets go.
    plain: BytesMut,
    /// What one call of [`Socket::read`] has brought.
    pub(super) received: Vec<Bytes>,
}

impl Incoming {
    pub(super) fn new() -> Incoming {
        Incoming {
            scratch: vec![0; BUFFER].into_boxed_slice(),
            plain: BytesMut::with_capacity(BUFFER),
            received: Vec::new(),
        }
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, session: Connection, origin: Origin, remote: SocketAddr) -> Socket {
        Socket {
            stream,
            session,
            origin,
            remote,
            stage: Stage::Handshake,
            deadline: None,
            // Trying costs one system call; not trying could wait for an edge that has passed.
            readable: true,
            writable: true,
            hung_up: false,
            ended: false,
            queued: false,
            outgoing: VecDeque::new(),
            sealed: 0,
            drained: 0,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn session(&self) -> &Connection {
        &self.session
    }

    /// Notes what the operating system says of the socket.
    pub(super) fn note(&mut self, event: &Event) {
        self.hung_up |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether reading may still bring something.
    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Puts bytes behind all that was sent before.
    pub(super) fn send(&mut self, bytes: Bytes) {
        if self.stage == Stage::Open && !bytes.is_empty() {
            self.outgoing.push_back(bytes);
        }
    }

    /// Sends what was sent so far, then closes.
    pub(super) fn close(&mut self) {
        if !matches!(self.stage, Stage::Closing { .. }) {
            self.stage = Stage::Closing { notify: true, shut: false };
        }
    }

    /// Gives up at once on what was sent, and leaves only the alert that says why, if there is one.
    pub(super) fn abort(&mut self) {
        self.outgoing.clear();
        self.stage = Stage::Closing { notify: false, shut: false };
    }

    /// Closes in turn, after the other end has.
    pub(super) fn hang_up(&mut self) {
        self.outgoing.clear();
        self.ended = true;
        self.stage = Stage::Closing { notify: true, shut: false };
    }

    /// Whether both ends have closed.
    pub(super) fn is_done(&self) -> bool {
        self.ended && matches!(self.stage, Stage::Closing { shut: true, .. })
    }

    /// What the other end has to say after writing to it has failed, if that tells more than the failure.
    pub(super) fn last_words(&mut self, incoming: &mut Incoming) -> Option<Lost> {
        self.readable = true;
        self.hung_up = true;
        self.read(incoming).filter(|lost| matches!(lost, Lost::Tls(_) | Lost::Finished))
    }

    /// Reads what is there, up to the budget of a turn. What could be read before the connection was
    /// lost counts.
    pub(super) fn read(&mut self, incoming: &mut Incoming) -> Option<Lost> {
        let mut budget = READ_BUDGET;
        while self.readable && budget > 0 {
            match self.stream.read(&mut incoming.scratch) {
                Ok(0) => {
                    self.readable = false;
                    self.ended = true;
                    incoming.cut();
                    return Some(Lost::CutOff);
                }
                Ok(n) => {
                    budget = budget.saturating_sub(n);
                    // A short read has emptied the socket (epoll(7), question 9), unless its end stands
                    // behind it; elsewhere only an error tells.
                    if n < incoming.scratch.len() && !self.hung_up && cfg!(target_os = "linux") {
                        self.readable = false;
                    }
                    if matches!(self.stage, Stage::Closing { .. }) {
                        continue;
                    }
                    if let Some(lost) = self.unseal(n, incoming) {
                        incoming.cut();
                        return Some(lost);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.readable = false;
                    self.ended = true;
                    incoming.cut();
                    return Some(Lost::Io(error));
                }
            }
        }
        incoming.cut();
        None
    }

    /// Takes `n` bytes of ciphertext out of the scratch buffer, and their plaintext into the other.
    fn unseal(&mut self, n: usize, incoming: &mut Incoming) -> Option<Lost> {
        let Incoming { scratch, plain, received } = incoming;
        let mut ciphertext = &scratch[..n];
        while !ciphertext.is_empty() {
            match self.session.read_tls(&mut ciphertext) {
                // rustls takes nothing more once the other end has said that it is done.
                Ok(0) => return Some(Lost::Finished),
                Ok(_) => {}
                Err(error) => return Some(Lost::Io(error)),
            }
            let state = self.session.process_new_packets();
            // The plaintext is taken out after every step, or rustls would refuse the next one
            // ("received plaintext buffer full"); after a failed step too, since what came before the
            // failure is genuine.
            let mut reader = self.session.reader();
            while let Ok(chunk) = reader.fill_buf() {
                let len = chunk.len();
                if len == 0 {
                    break;
                }
                if plain.capacity() - plain.len() < len {
                    if !plain.is_empty() {
                        received.push(plain.split().freeze());
                    }
                    plain.reserve(BUFFER.max(len));
                }
                plain.extend_from_slice(chunk);
                reader.consume(len);
            }
            match state {
                Ok(state) if state.peer_has_closed() => return Some(Lost::Finished),
                Ok(_) => {}
                Err(error) => return Some(Lost::Tls(error)),
            }
        }
        None
    }

    /// Whether there is something to write, or a close to be finished.
    pub(super) fn wants_flush(&self) -> bool {
        self.session.wants_write()
            || !self.outgoing.is_empty()
            || matches!(self.stage, Stage::Closing { shut: false, .. })
    }

    /// Writes until all has left or the socket would block, and finishes a close.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write()?;
        if let Stage::Closing { notify, shut: false } = self.stage
            && self.outgoing.is_empty()
            && !self.session.wants_write()
        {
            if notify {
                self.session.send_close_notify();
                self.stage = Stage::Closing { notify: false, shut: false };
                return self.flush();
            }
            self.stage = Stage::Closing { notify: false, shut: true };
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        while self.writable {
            // Not before all has left that was sealed before: else nothing could be reported while there is always more.
            if !self.session.wants_write() {
                self.seal()?;
            }
            if !self.session.wants_write() {
                break;
            }
            match self.session.write_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !self.session.wants_write() {
                self.drained += std::mem::take(&mut self.sealed);
            }
        }
        Ok(())
    }

    /// Moves as much into the session as it takes, which is 64 KiB.
    fn seal(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            let mut count = 0;
            for (piece, bytes) in pieces.iter_mut().zip(&self.outgoing) {
                *piece = IoSlice::new(bytes);
                count += 1;
            }
            let mut taken = self.session.writer().write_vectored(&pieces[..count])?;
            if taken == 0 {
                break;
            }
            self.sealed += taken;
            while taken > 0 {
                let Some(front) = self.outgoing.front_mut() else { break };
                let part = taken.min(front.len());
                front.advance(part);
                taken -= part;
                if front.is_empty() {
                    self.outgoing.pop_front();
                }
            }
        }
        Ok(())
    }
}

impl Incoming {
    /// Cuts off what was collected, at the end of a read.
    fn cut(&mut self) {
        if !self.plain.is_empty() {
            self.received.push(self.plain.split().freeze());
        }
    }
}
