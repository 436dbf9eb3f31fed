//! The door: connections that others make.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use diskeyval_core::{Instant, Origin};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use tracing::warn;

use super::{Net, Socket, Stage};

/// The most connections that are accepted in one turn.
const ACCEPT_BUDGET: usize = 16;

/// How long to wait when the operating system has nothing to make a connection of: it would say so
/// again at once, and edge-triggered readiness would not come again.
const BREATHER: Duration = Duration::from_millis(100);

pub(super) struct Door {
    listener: Option<TcpListener>,
    knocked: bool,
    breather: Breather,
}

enum Breather {
    None,
    Wanted,
    Until(Instant),
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Door {
        Door { listener: Some(listener), knocked: true, breather: Breather::None }
    }

    pub(super) fn knocked(&mut self) {
        self.knocked = true;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.knocked && matches!(self.breather, Breather::None)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if let Breather::Until(at) = self.breather { Some(at) } else { None }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        match self.breather {
            Breather::Wanted => self.breather = Breather::Until(now + BREATHER),
            Breather::Until(at) if at <= now => self.breather = Breather::None,
            Breather::None | Breather::Until(_) => {}
        }
    }

    pub(super) fn close(&mut self, registry: &Registry) -> io::Result<()> {
        self.knocked = false;
        self.listener.take().map_or(Ok(()), |mut listener| registry.deregister(&mut listener))
    }
}

impl Net {
    /// Lets in who has knocked.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPT_BUDGET {
            if !self.door.is_busy() {
                return;
            }
            let Some(listener) = &self.door.listener else { return };
            match listener.accept() {
                Ok((stream, remote)) => self.let_in(stream, remote),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.door.knocked = false,
                    // It is gone already: nobody to be told.
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                    _ => {
                        warn!(node = %self.node, %error, "cannot accept connections for now");
                        self.door.breather = Breather::Wanted;
                    }
                },
            }
        }
    }

    fn let_in(&mut self, mut stream: TcpStream, remote: SocketAddr) {
        self.make_room(remote);
        let mut present = self.sockets.values().filter(|socket| socket.origin == Origin::Accepted).count();
        if present >= self.visitors.max_connections() && self.cut_oldest_goner() {
            present -= 1;
        }
        if !self.visitors.lets_in(remote, present) {
            return;
        }
        let id = self.next_id();
        // Without this, small frames would wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(id), interest) {
            warn!(node = %self.node, from = %remote, %error, "a connection was dropped: it cannot be watched");
            return;
        }
        let session = match self.tls.accept() {
            Ok(session) => session,
            Err(error) => {
                warn!(node = %self.node, from = %remote, %error, "a connection was dropped: no TLS session can be made");
                return;
            }
        };
        self.sockets.insert(id, Socket::new(stream, session, Origin::Accepted, remote));
        self.strangers.insert(id);
        self.enqueue(id);
        self.undated.push(id);
    }

    /// Who is on its way out must not keep others from coming in.
    fn cut_oldest_goner(&mut self) -> bool {
        let is_going = |socket: &Socket| {
            socket.origin == Origin::Accepted && matches!(socket.stage, Stage::Closing { .. })
        };
        let oldest = self.sockets.iter().filter(|(_, socket)| is_going(socket)).map(|(id, _)| *id).min();
        oldest.map(|id| self.remove(id)).is_some()
    }

    /// Strangers are few at a time. The oldest has had its chance.
    fn make_room(&mut self, newcomer: SocketAddr) {
        while self.strangers.len() >= self.visitors.max_strangers() {
            let Some(oldest) = self.strangers.pop_first() else { return };
            if let Some(socket) = self.sockets.get(&oldest) {
                self.visitors.cut(socket.remote, newcomer);
            }
            self.remove(oldest);
        }
    }
}
