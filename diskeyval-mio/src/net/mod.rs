//! All sockets of a node: what the operating system says becomes inputs of the engine, and what the
//! engine wants becomes bytes. No decision about the protocol is taken here, nothing is tried again, and
//! the only clocks are the deadlines of single sockets.
//!
//! ```text
//! accept.rs: accepted ─┐
//!                      ├─> socket.rs: handshake ─> open ─> closing ─> gone
//! dial.rs: dialled ────┘
//! ```

mod accept;
mod dial;
mod names;
mod renewal;
mod socket;
#[cfg(all(test, any(feature = "ring", feature = "aws-lc-rs")))]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
#[cfg(unix)]
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use diskeyval_core::host::{Clock, Visitors};
use diskeyval_core::{CloseReason, ConnId, DialError, Input, Instant, Limits, NodeId, Origin};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::{debug, warn};

use self::accept::Door;
use self::dial::Dialling;
use self::names::Names;
use self::socket::{Incoming, Lost, Socket, Stage};
use crate::tls::{self, Context};

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST: usize = 2;

/// The most that the operating system tells at a time.
const EVENTS: usize = 256;

/// How long a connection that is being closed may take to deliver what was sent on it.
const CLOSING: Duration = Duration::from_secs(1);

/// Reports of drained bytes ride along with the next turn; only this many ask for one of their own.
const MUCH_DRAINED: usize = 32 << 10;

pub(crate) struct Net {
    pub(crate) visitors: Visitors,
    poll: Poll,
    events: Events,
    /// The operating system may have had more to tell than there was room for.
    has_more: bool,
    waker: Arc<Waker>,
    node: NodeId,
    tls: Context,
    handshake: Duration,
    door: Door,
    names: Names,
    /// The next number of a socket, which is its token, and its [`ConnId`] once it is open.
    next: usize,
    dials: HashMap<usize, Dialling>,
    sockets: HashMap<usize, Socket>,
    /// Accepted connections that have not shown a certificate; the lowest number is the oldest.
    strangers: BTreeSet<usize>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Sockets that wait for the turn's reading of the clock to get their deadline.
    undated: Vec<usize>,
    /// Sockets that may have more to read than one turn's budget.
    ready: VecDeque<usize>,
    /// Sockets that have something to write.
    dirty: Vec<usize>,
    /// Sockets with drained bytes to report.
    drained: Vec<usize>,
    incoming: Incoming,
    /// What the engine has to be told, in its order.
    pub(crate) inputs: Vec<Input>,
}

impl Net {
    pub(crate) fn new(
        listener: std::net::TcpListener,
        node: NodeId,
        tls: Context,
        handshake: Duration,
        limits: &Limits,
    ) -> io::Result<Net> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Net {
            visitors: Visitors::new(node.clone(), limits),
            names: Names::new(waker.clone(), format!("dkv-{node}-dns")),
            door: Door::new(listener),
            poll,
            events: Events::with_capacity(EVENTS),
            has_more: false,
            waker,
            node,
            tls,
            handshake,
            next: FIRST,
            dials: HashMap::new(),
            sockets: HashMap::new(),
            strangers: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            undated: Vec::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            drained: Vec::new(),
            incoming: Incoming::new(),
            inputs: Vec::new(),
        })
    }

    /// Ends a wait from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// What becomes readable when the operating system has news, or the waker is used.
    #[cfg(unix)]
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }

    /// The first deadline of a socket.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        first.into_iter().chain(self.door.deadline()).min()
    }

    /// Whether the next turn has something to do already.
    pub(crate) fn is_busy(&self) -> bool {
        !self.inputs.is_empty()
            || self.has_more
            || !self.ready.is_empty()
            || !self.undated.is_empty()
            || self.door.is_busy()
            || self.drained.iter().any(|id| self.sockets.get(id).is_some_and(|s| s.drained >= MUCH_DRAINED))
    }

    /// Waits until the operating system has news, the waker is used, or the time is over.
    pub(crate) fn wait(&mut self, span: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, span) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.has_more = self.events.iter().count() == EVENTS;
        for event in &self.events {
            match event.token() {
                WAKER => {}
                LISTENER => self.door.knocked(),
                Token(id) => {
                    if let Some(socket) = self.sockets.get_mut(&id) {
                        socket.note(event);
                        if socket.is_readable() && !socket.queued {
                            socket.queued = true;
                            self.ready.push_back(id);
                        }
                        self.dirty.push(id);
                    } else if let Some(dial) = self.dials.get_mut(&id) {
                        dial.stirred = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Receives what has arrived, within the bounds of a turn.
    pub(crate) fn collect(&mut self) {
        self.accept();
        self.go_on_dialling();
        // Those that are put back during this round have their turn in the next one.
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            self.read(id);
        }
        // Handshakes are answered before the engine has its turn, they do not depend on it.
        self.flush();
        for id in std::mem::take(&mut self.drained) {
            if let Some(socket) = self.sockets.get_mut(&id)
                && socket.drained > 0
                && socket.stage == Stage::Open
            {
                let bytes = std::mem::take(&mut socket.drained);
                self.inputs.push(Input::Drained { conn: conn(id), bytes });
            }
        }
    }

    /// Ends what is overdue at this reading of the clock.
    pub(crate) fn expire(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.undated) {
            self.date(id, now);
        }
        self.door.expire(now);
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            if self.dials.contains_key(&id) {
                self.dial_is_overdue(id, now);
                continue;
            }
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            socket.deadline = None;
            match (socket.stage, socket.origin) {
                (Stage::Handshake, Origin::Dialled(dial)) => {
                    self.inputs.push(Input::DialFailed { dial, why: DialError::Silent });
                }
                (Stage::Handshake, Origin::Accepted) => {
                    self.visitors.late(socket.remote);
                }
                (Stage::Open | Stage::Closing { .. }, _) => {}
            }
            self.remove(id);
        }
    }

    /// Sends bytes on a connection, if it is still there.
    pub(crate) fn send(&mut self, to: ConnId, bytes: Bytes) {
        let id = number(to);
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.send(bytes);
            if self.dirty.last() != Some(&id) {
                self.dirty.push(id);
            }
        }
    }

    /// Closes a connection once what was sent on it has left.
    pub(crate) fn close(&mut self, which: ConnId, why: &CloseReason) {
        let id = number(which);
        if let Some(socket) = self.sockets.get_mut(&id) {
            debug!(node = %self.node, conn = %which, remote = %socket.remote, %why, "closing a connection");
            socket.close();
            self.dirty.push(id);
            self.undated.push(id);
        }
    }

    /// Writes what the sockets take.
    pub(crate) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            if !socket.wants_flush() {
                continue;
            }
            let before = socket.drained;
            let result = socket.flush();
            if before == 0 && socket.drained > 0 {
                self.drained.push(id);
            }
            match result {
                Ok(()) if socket.is_done() => self.remove(id),
                Ok(()) => {}
                Err(error) => {
                    // The other end may have said why before it was gone.
                    let lost = socket.last_words(&mut self.incoming).unwrap_or(Lost::Io(error));
                    self.deliver(id);
                    self.lost(id, lost);
                }
            }
        }
        // Those that were lost just now have their last bytes written in the next turn.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// Closes everything in order, waits for that as long as a close may take, and lets go.
    pub(crate) fn shut_down(&mut self, clock: &Clock) {
        let _ = self.door.close(self.poll.registry());
        self.dials.clear();
        self.undated.clear();
        let ids: Vec<_> = self.sockets.keys().copied().collect();
        for &id in &ids {
            if let Some(socket) = self.sockets.get_mut(&id) {
                match socket.stage {
                    Stage::Handshake => socket.abort(),
                    Stage::Open | Stage::Closing { .. } => socket.close(),
                }
            }
        }
        self.dirty.extend(ids);
        self.flush();
        let end = clock.now() + CLOSING;
        while !self.sockets.is_empty() {
            let left = clock.until(end);
            if left.is_zero() {
                warn!(node = %self.node, connections = self.sockets.len(), "cut off while closing: the other ends did not close in time");
                break;
            }
            let span = if self.ready.is_empty() { left } else { Duration::ZERO };
            if self.wait(Some(span)).is_err() {
                break;
            }
            for _ in 0..self.ready.len() {
                let Some(id) = self.ready.pop_front() else { break };
                self.read(id);
            }
            self.flush();
        }
        self.sockets.clear();
        self.inputs.clear();
    }

    /// Reads one socket and tells the engine of what came.
    fn read(&mut self, id: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.queued = false;
        let lost = socket.read(&mut self.incoming);
        if socket.wants_flush() {
            self.dirty.push(id);
        }
        if socket.is_readable() && lost.is_none() {
            socket.queued = true;
            self.ready.push_back(id);
        }
        if socket.stage == Stage::Handshake && !socket.session().is_handshaking() {
            self.opened(id);
        }
        self.deliver(id);
        if let Some(lost) = lost {
            self.lost(id, lost);
        }
    }

    fn enqueue(&mut self, id: usize) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !socket.queued
        {
            socket.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Passes on what was received, if the engine knows of the connection.
    fn deliver(&mut self, id: usize) {
        let open = self.sockets.get(&id).is_some_and(|socket| socket.stage == Stage::Open);
        for bytes in self.incoming.received.drain(..) {
            if open {
                self.inputs.push(Input::Received { conn: conn(id), bytes });
            }
        }
    }

    /// The handshake is over: who is it?
    fn opened(&mut self, id: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match tls::identify(socket.session()) {
            Ok(who) => {
                socket.stage = Stage::Open;
                let (origin, deadline) = (socket.origin, socket.deadline.take());
                self.deadlines.remove(&(deadline.unwrap_or_default(), id));
                self.strangers.remove(&id);
                debug!(node = %self.node, conn = %conn(id), remote = %socket.remote, %who, "a connection is open");
                self.inputs.push(Input::Opened { conn: conn(id), who, origin });
            }
            Err(why) => self.refuse(id, why),
        }
    }

    /// A connection came to an end, not by us.
    fn lost(&mut self, id: usize, lost: Lost) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let failed_session = matches!(lost, Lost::Tls(_));
        match socket.stage {
            Stage::Closing { .. } => return self.remove(id),
            Stage::Handshake => return self.refuse(id, text_in_handshake(&lost)),
            Stage::Open => {
                self.inputs.push(Input::Closed { conn: conn(id), why: CloseReason::Broken(text(&lost)) });
            }
        }
        if failed_session {
            // The alert that says what we did not like must not be lost on its way.
            socket.abort();
        } else {
            socket.hang_up();
        }
        self.dirty.push(id);
        self.undated.push(id);
    }

    /// Ends a connection of which the engine has not been told.
    fn refuse(&mut self, id: usize, why: String) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.origin {
            Origin::Dialled(dial) => {
                self.inputs.push(Input::DialFailed { dial, why: DialError::Tls(why) });
            }
            Origin::Accepted => self.visitors.refused(socket.remote.ip(), why),
        }
        socket.abort();
        self.dirty.push(id);
        self.undated.push(id);
    }

    /// Gives a socket the deadline of the stage that it has come to, and a dial its next address.
    fn date(&mut self, id: usize, now: Instant) {
        self.try_next(id, now);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let deadline = match socket.stage {
            Stage::Handshake => Some(now + self.handshake),
            Stage::Open => None,
            Stage::Closing { .. } => Some(now + CLOSING),
        };
        let former = std::mem::replace(&mut socket.deadline, deadline);
        if let Some(former) = former {
            self.deadlines.remove(&(former, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }

    fn remove(&mut self, id: usize) {
        self.strangers.remove(&id);
        if let Some(mut socket) = self.sockets.remove(&id) {
            if let Some(deadline) = socket.deadline {
                self.deadlines.remove(&(deadline, id));
            }
            // Closing it would do, but not on every system at once.
            let _ = self.poll.registry().deregister(socket.stream());
        }
    }

    fn next_id(&mut self) -> usize {
        let id = self.next;
        self.next += 1;
        id
    }
}

fn conn(id: usize) -> ConnId {
    ConnId(id as u64)
}

/// A number that is none of ours names no socket.
fn number(conn: ConnId) -> usize {
    usize::try_from(conn.0).unwrap_or(0)
}

fn text(lost: &Lost) -> String {
    match lost {
        Lost::Finished => "the other end closed it".into(),
        Lost::CutOff => "the other end is gone without a word".into(),
        Lost::Io(error) => error.to_string(),
        Lost::Tls(error) => tls::explain(error),
    }
}

fn text_in_handshake(lost: &Lost) -> String {
    match lost {
        Lost::Finished | Lost::CutOff => "the other end hung up during the handshake".into(),
        Lost::Io(error) => format!("the connection broke during the handshake: {error}"),
        Lost::Tls(error) => tls::explain(error),
    }
}
