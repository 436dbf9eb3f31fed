//! Connections between nodes: made, held, cut, and what travels on them.

use std::collections::VecDeque;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use core::time::Duration;

use super::{World, own_name};
use crate::error::{CloseReason, DialError};
use crate::id::{ConnId, DialId, NodeId};
use crate::identity::Identity;
use crate::inspect::Ear;
use crate::io::{Input, Origin};

/// The outgoing half of a connection.
pub(super) struct Pipe {
    pub(super) to: String,
    pub(super) remote: ConnId,
    pub(super) sent: VecDeque<Bytes>,
    pub(super) ear: Ear,
}

impl World {
    pub(crate) fn cut(&mut self, node: &str, other: Option<&str>) {
        let others: Vec<String> = match other {
            Some(other) => vec![other.to_string()],
            None => self.nodes.keys().filter(|name| *name != node).cloned().collect(),
        };
        for other in others {
            self.cuts.insert((node.into(), other.clone()));
            self.cuts.insert((other.clone(), node.into()));
            let conns: Vec<ConnId> = self
                .node(node)
                .conns
                .iter()
                .filter(|(_, pipe)| pipe.to == other)
                .map(|(conn, _)| *conn)
                .collect();
            for conn in conns {
                self.close(node, conn, "cut");
            }
        }
    }

    /// Dials that are on their way into silence get through after all.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        for (_, name, dial) in core::mem::take(&mut self.silent) {
            let (peer, within) = self.dialled.remove(&(name.clone(), dial)).expect("a dial");
            self.dial(&name, dial, &peer, within);
        }
    }

    pub(crate) fn hold(&mut self, from: &str, to: &str, hold: bool) {
        let pair = (from.to_string(), to.to_string());
        if hold {
            self.held.insert(pair);
        } else {
            self.held.remove(&pair);
        }
    }

    /// Breaks a connection; both ends notice, and what was on its way is lost.
    pub(super) fn close(&mut self, name: &str, conn: ConnId, why: &str) {
        let Some(mut pipe) = self.node(name).conns.remove(&conn) else { return };
        self.lose(name, &mut pipe);
        let to = pipe.to.clone();
        if let Some(mut back) = self.node(&to).conns.remove(&pipe.remote) {
            self.lose(&to, &mut back);
        }
        for (name, conn) in [(name, conn), (&to, pipe.remote)] {
            let why = CloseReason::Broken(why.into());
            self.node(name).inbox.push_back(Input::Closed { conn, why });
        }
    }

    fn lose(&mut self, from: &str, pipe: &mut Pipe) {
        while let Some(bytes) = pipe.sent.pop_front() {
            self.say_frames(from, &pipe.to, &mut pipe.ear, bytes, "-x");
        }
    }

    fn say_frames(&mut self, from: &str, to: &str, ear: &mut Ear, bytes: Bytes, arrow: &str) {
        ear.push(bytes);
        while let Some(word) = ear.next_word() {
            if self.all || !word.is_routine() {
                self.say(format!("{from} {arrow} {to}  {word}"));
            }
        }
    }

    pub(crate) fn release_all(&mut self) {
        self.held.clear();
    }

    /// Delivers everything that a node has sent and that may travel.
    pub(super) fn deliver_from(&mut self, name: &str) -> bool {
        let mut moved = false;
        let conns: Vec<ConnId> = self.node(name).conns.keys().copied().collect();
        for conn in conns {
            loop {
                let Some(mut pipe) = self.node(name).conns.remove(&conn) else { break };
                let pair = (name.to_string(), pipe.to.clone());
                let next = if self.held.contains(&pair) { None } else { pipe.sent.pop_front() };
                if let Some(bytes) = next.clone() {
                    self.say_frames(name, &pair.1, &mut pipe.ear, bytes.clone(), "->");
                    let size = bytes.len();
                    let remote = pipe.remote;
                    self.node(&pair.1).inbox.push_back(Input::Received { conn: remote, bytes });
                    self.node(name).inbox.push_back(Input::Drained { conn, bytes: size });
                }
                self.node(name).conns.insert(conn, pipe);
                if next.is_none() {
                    break;
                }
                moved = true;
            }
        }
        moved
    }

    pub(super) fn hang_up(&mut self, name: &str, conn: ConnId) {
        let Some(mut pipe) = self.node(name).conns.remove(&conn) else { return };
        self.lose(name, &mut pipe);
        let remote = pipe.remote;
        let other = self.node(&pipe.to);
        other.conns.remove(&remote);
        other
            .inbox
            .push_back(Input::Closed { conn: remote, why: CloseReason::Broken("end of stream".into()) });
    }

    pub(super) fn dial(&mut self, name: &str, dial: DialId, peer: &str, within: Duration) {
        if self.cuts.contains(&(name.to_string(), peer.to_string())) {
            self.silent.push((self.now + within, name.into(), dial));
            self.dialled.insert((name.into(), dial), (peer.into(), within));
            return;
        }
        if self.node(peer).engine.is_none() {
            self.node(name).inbox.push_back(Input::DialFailed { dial, why: DialError::Refused });
            return;
        }
        let (ours, theirs) = (ConnId(self.next_conn), ConnId(self.next_conn + 1));
        self.next_conn += 2;
        for (from, conn, to, remote, origin) in
            [(name, ours, peer, theirs, Origin::Dialled(dial)), (peer, theirs, name, ours, Origin::Accepted)]
        {
            let pipe = Pipe { to: to.into(), remote, sent: VecDeque::new(), ear: Ear::default() };
            let who = Identity::Node(NodeId::new(own_name(to)).expect("a good name"));
            let node = self.node(from);
            node.conns.insert(conn, pipe);
            node.inbox.push_back(Input::Opened { conn, who, origin });
        }
    }
    pub(super) fn fail_silent_dials(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.silent.drain(..).partition(|(at, _, _)| *at <= now);
        self.silent = later;
        for (_, name, dial) in due {
            self.node(&name).inbox.push_back(Input::DialFailed { dial, why: DialError::Silent });
        }
    }
}
