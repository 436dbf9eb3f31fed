//! A connection that is open: one task that owns its stream, and polls both directions.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_rustls::TlsStream;
use bytes::{Buf, Bytes};
use diskeyval_core::tls;
use diskeyval_core::{CloseReason, ConnId, Input};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt};
use smol::net::TcpStream;
use smol::{Async, Timer};

use super::CLOSING;
use super::desk::{Desk, Mail, News};
use super::inbound::Inbound;

/// The most that is read from one connection before others have their turn.
const READ_BUDGET: usize = 256 << 10;

/// How much plaintext is read at once: the most that is in one TLS record.
const RECORD: usize = 16 << 10;

/// The most pieces that are sealed at once. Small frames share a TLS record.
const MAX_PIECES: usize = 64;

/// Reports of drained bytes ride along with the next turn; only this many ask for one of their own.
const MUCH_DRAINED: usize = 32 << 10;

pub(super) struct Link {
    id: u64,
    stream: TlsStream<TcpStream>,
    /// The same socket, to be asked whether it has something.
    socket: Arc<Async<std::net::TcpStream>>,
    desk: Arc<Desk>,
    mail: Arc<Mail>,
    /// What waits to be sealed. It is sealed only while the socket takes it, so that rustls holds little.
    outgoing: VecDeque<Bytes>,
    /// Bytes that are sealed and have not all left yet.
    sealed: usize,
    /// Bytes that have left since a report has last asked for a turn.
    drained: usize,
    /// Where plaintext is read to.
    scratch: Box<[u8]>,
    /// Whether there may be something to read. Trying costs a system call, and most of the time it is the driver that
    /// has woken the task.
    inbound: Inbound,
    /// Whether our side has been closed.
    shut: bool,
}

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// The engine wants it closed.
    Ordered,
    /// The other end closed it, in order.
    Finished,
    /// The other end was gone without a word.
    CutOff,
    /// The socket failed.
    Io(io::Error),
    /// The session failed.
    Tls(String),
}

impl Link {
    pub(super) fn new(id: u64, stream: TlsStream<TcpStream>, desk: Arc<Desk>, mail: Arc<Mail>) -> Link {
        let socket = stream.get_ref().0.clone().into();
        Link {
            id,
            stream,
            socket,
            desk,
            mail,
            outgoing: VecDeque::new(),
            sealed: 0,
            drained: 0,
            scratch: vec![0; RECORD].into(),
            inbound: Inbound::default(),
            shut: false,
        }
    }

    /// Its life, until both ends have closed.
    pub(super) async fn live(mut self) {
        let end = poll_fn(|context| self.poll_open(context)).await;
        if let Some(text) = end.text() {
            self.outgoing.clear();
            let why = CloseReason::Broken(text);
            self.mail.post(News::Of(self.id, Input::Closed { conn: ConnId(self.id), why }));
        }
        // One whose session failed cannot be closed in order: an alert may be on its way, and nothing follows it.
        let in_order = !matches!(end, End::Tls(_));
        let late = async {
            Timer::after(CLOSING).await;
        };
        poll_fn(|context| self.poll_farewell(context, in_order)).or(late).await;
    }

    /// Moves bytes both ways, until there is a reason to close.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let close = self.desk.look(&mut self.outgoing, context);
        if let Err(error) = self.write(context) {
            // The other end may have said why before it was gone.
            self.inbound.stir();
            let end = match self.read(context) {
                Poll::Ready(end @ (End::Tls(_) | End::Finished)) => end,
                _ => End::of(error),
            };
            return Poll::Ready(end);
        }
        if close {
            return Poll::Ready(End::Ordered);
        }
        self.read(context)
    }

    /// Sends what is left, closes our side, and reads and drops whatever comes until the other end has closed: closing a
    /// socket on unread bytes would reset it, and destroy our last words on their way.
    fn poll_farewell(&mut self, context: &mut Context<'_>, in_order: bool) -> Poll<()> {
        if !self.shut {
            match self.poll_last_words(context, in_order) {
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let (socket, _) = self.stream.get_mut();
        let mut scratch = [0; 4096];
        loop {
            match Pin::new(&mut *socket).poll_read(context, &mut scratch) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_last_words(&mut self, context: &mut Context<'_>, in_order: bool) -> Poll<io::Result<()>> {
        self.write(context)?;
        if !self.outgoing.is_empty() || self.sealed > 0 {
            return Poll::Pending;
        }
        if in_order {
            return Pin::new(&mut self.stream).poll_close(context);
        }
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(Ok(())) => Pin::new(self.stream.get_mut().0).poll_close(context),
            other => other,
        }
    }

    /// Writes until all has left or the socket would block.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            // What was sealed is reported before there is more, or nothing would be while there always is.
            if self.sealed > 0 {
                match Pin::new(&mut self.stream).poll_flush(context) {
                    Poll::Ready(flushed) => flushed?,
                    Poll::Pending => return Ok(()),
                }
                self.report();
            }
            if self.outgoing.is_empty() {
                return Ok(());
            }
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            let mut count = 0;
            for (piece, bytes) in pieces.iter_mut().zip(&self.outgoing) {
                *piece = IoSlice::new(bytes);
                count += 1;
            }
            match Pin::new(&mut self.stream).poll_write_vectored(context, &pieces[..count]) {
                Poll::Ready(taken) => self.took(taken?),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// So many bytes are in the session.
    fn took(&mut self, mut taken: usize) {
        self.sealed += taken;
        while taken > 0 {
            let Some(front) = self.outgoing.front_mut() else { return };
            let part = taken.min(front.len());
            front.advance(part);
            taken -= part;
            if front.is_empty() {
                self.outgoing.pop_front();
            }
        }
    }

    /// Everything that was sealed has left.
    fn report(&mut self) {
        let bytes = std::mem::take(&mut self.sealed);
        let news = News::Of(self.id, Input::Drained { conn: ConnId(self.id), bytes });
        self.drained += bytes;
        if self.drained < MUCH_DRAINED {
            return self.mail.post_for_later(news);
        }
        self.drained = 0;
        self.mail.post(news);
    }

    /// Reads what is there, as long as the driver keeps up. What could be read before the connection was lost counts.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if !self.inbound.is_stirred(context) {
            return Poll::Pending;
        }
        if !self.desk.received(0) {
            // The driver wakes this task when it has taken some of what came.
            self.inbound.stir();
            return Poll::Pending;
        }
        let waker = self.inbound.waker();
        let mut when_readable = Context::from_waker(&waker);
        // What it has told so far is about to be read.
        let _ = self.socket.poll_readable(&mut when_readable);
        let mut budget = READ_BUDGET;
        loop {
            let read = match Pin::new(&mut self.stream).poll_read(&mut when_readable, &mut self.scratch) {
                Poll::Ready(Ok(0)) => return Poll::Ready(End::Finished),
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(error)) => {
                    self.take_plaintext();
                    return Poll::Ready(End::of(error));
                }
                Poll::Pending => return Poll::Pending,
            };
            self.deliver(read);
            let (more, is_closed) = self.take_plaintext();
            if is_closed {
                return Poll::Ready(End::Finished);
            }
            if !self.desk.received(0) {
                // The driver wakes this task when it has taken some of it.
                self.inbound.stir();
                return Poll::Pending;
            }
            budget = budget.saturating_sub(read + more);
            if budget == 0 {
                waker.wake_by_ref();
                return Poll::Pending;
            }
            // Asking the reactor is cheaper than to read once more only to learn that there is nothing.
            if self.socket.poll_readable(&mut when_readable).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Delivers what the session has deciphered already: what came before it failed is genuine, too. So many bytes, and
    /// whether the other end has closed it.
    fn take_plaintext(&mut self) -> (usize, bool) {
        let mut taken = 0;
        loop {
            let read = match &mut self.stream {
                TlsStream::Client(stream) => stream.get_mut().1.reader().read(&mut self.scratch),
                TlsStream::Server(stream) => stream.get_mut().1.reader().read(&mut self.scratch),
            };
            match read {
                Ok(0) => return (taken, true),
                Ok(n) => taken += self.deliver(n),
                // There is no more of it.
                Err(_) => return (taken, false),
            }
        }
    }

    /// Hands over what was read, in memory of its own size: whoever keeps some of it keeps no more than that.
    fn deliver(&self, n: usize) -> usize {
        let bytes = Bytes::copy_from_slice(&self.scratch[..n]);
        self.desk.received(n);
        self.mail.post(News::Of(self.id, Input::Received { conn: ConnId(self.id), bytes }));
        n
    }
}

impl End {
    fn of(error: io::Error) -> End {
        match tls_error(&error) {
            Some(error) => End::Tls(tls::explain(error)),
            None if error.kind() == ErrorKind::UnexpectedEof => End::CutOff,
            None => End::Io(error),
        }
    }

    /// What the engine is told, unless it knows.
    fn text(&self) -> Option<String> {
        match self {
            End::Ordered => None,
            End::Finished => Some("the other end closed it".into()),
            End::CutOff => Some("the other end is gone without a word".into()),
            End::Io(error) => Some(error.to_string()),
            End::Tls(why) => Some(why.clone()),
        }
    }
}

/// The error of the session that a stream has wrapped, if it is one.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
