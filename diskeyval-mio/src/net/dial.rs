//! Connections that we make: find the addresses, try one after the other.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use diskeyval_core::{Address, DialError, DialId, Input, Instant, NodeId, Origin};
use mio::net::TcpStream;
use mio::{Interest, Token};
use tracing::debug;

use super::names::Lookup;
use super::{Net, Socket};
use crate::tls;

/// A dial on its way to a connected socket.
pub(super) struct Dialling {
    dial: DialId,
    address: Address,
    /// When the whole dial is over.
    until: Instant,
    /// The addresses that were not tried yet, once they are known.
    untried: VecDeque<SocketAddr>,
    trying: Option<(TcpStream, SocketAddr)>,
    /// Whether the operating system has said something of the attempt.
    pub(super) stirred: bool,
    /// What became of the addresses that were tried.
    failure: Option<DialError>,
    /// When the present step is over at the latest.
    deadline: Instant,
}

impl Net {
    /// Begins to connect.
    pub(crate) fn dial(
        &mut self,
        dial: DialId,
        peer: NodeId,
        address: Address,
        within: Duration,
        now: Instant,
    ) {
        debug!(node = %self.node, %peer, %address, "dialling");
        let id = self.next_id();
        let mut dialling = Dialling {
            dial,
            address,
            until: now + within,
            untried: VecDeque::new(),
            trying: None,
            stirred: false,
            failure: None,
            deadline: now + within,
        };
        let looked_up = self.names.look_up(&dialling.address);
        if let Ok(Lookup::Known(address)) = looked_up {
            dialling.untried.push_back(address);
        }
        self.deadlines.insert((dialling.deadline, id));
        self.dials.insert(id, dialling);
        match looked_up {
            Ok(Lookup::Known(_)) => self.try_next(id, now),
            Ok(Lookup::Later) => {}
            Err(error) => self.give_up(id, DialError::Unresolved(error.to_string())),
        }
    }

    /// Takes up names that were found and attempts that got somewhere.
    pub(super) fn go_on_dialling(&mut self) {
        if self.dials.is_empty() {
            let _ = self.names.answers();
            return;
        }
        for answer in self.names.answers() {
            let waiting = |dial: &Dialling| dial.trying.is_none() && dial.address == answer.address;
            let ids: Vec<_> =
                self.dials.iter().filter(|(_, dial)| waiting(dial)).map(|(id, _)| *id).collect();
            for id in ids {
                match (&answer.found, self.dials.get_mut(&id)) {
                    (Ok(found), Some(dialling)) => {
                        dialling.untried = found.iter().copied().collect();
                        // Its time is shared out when this turn has read the clock.
                        self.undated.push(id);
                    }
                    (Err(error), _) => self.give_up(id, DialError::Unresolved(error.to_string())),
                    (Ok(_), None) => {}
                }
            }
        }
        let stirred: Vec<_> = self.dials.iter().filter(|(_, dial)| dial.stirred).map(|(id, _)| *id).collect();
        for id in stirred {
            self.check(id);
        }
    }

    /// Looks what became of an attempt of which the operating system has spoken.
    fn check(&mut self, id: usize) {
        let Some(dialling) = self.dials.get_mut(&id) else { return };
        dialling.stirred = false;
        let Some((stream, _)) = &dialling.trying else { return };
        let failure = match (stream.take_error(), stream.peer_addr()) {
            (Ok(Some(error)) | Err(error), _) => error,
            (Ok(None), Ok(_)) => return self.connected(id),
            // A wake-up for nothing: the attempt goes on.
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => return,
            (Ok(None), Err(error)) => error,
        };
        dialling.failed(&failure);
        self.drop_attempt(id);
        self.undated.push(id);
    }

    /// Tries the next address. Each gets its share of the time that is left, so that one that is silent
    /// does not hide another that would answer.
    pub(super) fn try_next(&mut self, id: usize, now: Instant) {
        let Some(dialling) = self.dials.get_mut(&id) else { return };
        if dialling.trying.is_some() {
            return;
        }
        while let Some(address) = dialling.untried.pop_front() {
            let attempt = TcpStream::connect(address).and_then(|mut stream| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut stream, Token(id), interest)?;
                Ok(stream)
            });
            match attempt {
                Ok(stream) => {
                    dialling.trying = Some((stream, address));
                    let shares = u32::try_from(dialling.untried.len()).unwrap_or(u32::MAX).saturating_add(1);
                    self.deadlines.remove(&(dialling.deadline, id));
                    dialling.deadline = now + dialling.until.since(now) / shares;
                    self.deadlines.insert((dialling.deadline, id));
                    return;
                }
                Err(error) => dialling.failed(&error),
            }
        }
        let why = dialling.failure.take().unwrap_or(DialError::Silent);
        self.give_up(id, why);
    }

    /// The present step has used up its time.
    pub(super) fn dial_is_overdue(&mut self, id: usize, now: Instant) {
        let Some(dialling) = self.dials.get_mut(&id) else { return };
        if dialling.trying.is_none() && dialling.untried.is_empty() && dialling.failure.is_none() {
            let why = format!("the resolver has not found {} in time", dialling.address.host());
            return self.give_up(id, DialError::Unresolved(why));
        }
        dialling.failure = Some(DialError::Silent);
        self.drop_attempt(id);
        self.try_next(id, now);
    }

    /// The socket stands; now for its session.
    fn connected(&mut self, id: usize) {
        let Some(dialling) = self.dials.get_mut(&id) else { return };
        let Some((stream, remote)) = dialling.trying.take() else { return };
        // Without this, small frames would wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let session = match self.tls.dial() {
            Ok(session) => session,
            Err(error) => return self.give_up(id, DialError::Tls(tls::explain(&error))),
        };
        self.deadlines.remove(&(dialling.deadline, id));
        let origin = Origin::Dialled(dialling.dial);
        self.dials.remove(&id);
        // It is watched under this number already.
        self.sockets.insert(id, Socket::new(stream, session, origin, remote));
        self.enqueue(id);
        self.dirty.push(id);
        self.undated.push(id);
    }

    fn drop_attempt(&mut self, id: usize) {
        if let Some((mut stream, _)) = self.dials.get_mut(&id).and_then(|dialling| dialling.trying.take()) {
            let _ = self.poll.registry().deregister(&mut stream);
        }
    }

    fn give_up(&mut self, id: usize, why: DialError) {
        self.drop_attempt(id);
        if let Some(dialling) = self.dials.remove(&id) {
            self.deadlines.remove(&(dialling.deadline, id));
            self.inputs.push(Input::DialFailed { dial: dialling.dial, why });
        }
    }
}

impl Dialling {
    /// Remembers what one address came to. Silence outweighs the rest: as long as one address may be
    /// cut off, it is not certain that nobody is there.
    fn failed(&mut self, error: &io::Error) {
        let why = match error.kind() {
            _ if self.failure == Some(DialError::Silent) => return,
            ErrorKind::ConnectionRefused => DialError::Refused,
            ErrorKind::TimedOut => DialError::Silent,
            _ => DialError::Other(error.to_string()),
        };
        self.failure = Some(why);
    }
}
