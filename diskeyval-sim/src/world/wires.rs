//! What the wires do: connect, carry, stall, break.

use core::time::Duration;

use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::Word;
use diskeyval_core::{Address, CloseReason, ConnId, DialError, DialId, Input, Origin};

use super::net::{Conn, Party, Piece, conn_id, conn_of};
use super::{Due, Time, World, host_of};
use crate::notes::{What, name};
use crate::observe::Violation;

/// So many dials to one peer are too many within that time. A back-off that doubles comes to a dozen, and a link
/// that lives for a while begins it anew.
const PACE: usize = 40;
const PACE_OVER: Duration = Duration::from_secs(2);

impl World<'_, '_, '_> {
    // Dials.

    pub(super) fn dial(&mut self, node: usize, dial: DialId, address: &Address, within: Duration) {
        let Some(to) = (0..self.nodes.len()).find(|node| host_of(*node) == address.host()) else { return };
        self.check_pace(node, to);
        let life = self.nodes[node].life;
        let there = self.draw_span(self.setting.delay) + self.routes.slower(node, to);
        let back = self.draw_span(self.setting.delay) + self.routes.slower(to, node);
        let blocked = self.routes.is_blocked(node, to) || self.routes.is_blocked(to, node);
        let mute = self.nodes[to].frozen || (self.nodes[to].silent && !self.up[to]);
        if blocked || mute || there + back > within {
            self.schedule_in(within, Due::DialSilent { node, life, dial });
        } else {
            self.schedule_in(there + back, Due::Dialled { node, life, dial, to });
        }
    }

    /// A node backs off from whom it does not reach.
    fn check_pace(&mut self, node: usize, to: usize) {
        let this = &mut self.nodes[node];
        let now = this.clock.reckon(self.now);
        this.dials.push_back((now, to));
        while this.dials.pop_front_if(|(at, _)| now.since(*at) > PACE_OVER).is_some() {}
        let dials = this.dials.iter().filter(|(_, peer)| *peer == to).count();
        if dials > PACE {
            let what = format!("{} dials {} {dials} times within {PACE_OVER:?}", name(node), name(to));
            self.blame(Violation { rule: "V7", what });
        }
    }

    /// No node is said to have broken the protocol: strangers do that here, and nobody else.
    pub(super) fn check_blame(&mut self, node: usize, conn: usize, side: usize, why: &CloseReason) {
        let is_blamed = matches!(
            why,
            CloseReason::WrongPeer { .. }
                | CloseReason::HelloMismatch { .. }
                | CloseReason::NotANode
                | CloseReason::OwnName
                | CloseReason::ClusterName { .. }
                | CloseReason::OtherStorage { .. }
                | CloseReason::Version { .. }
                | CloseReason::FrameTooLarge { .. }
                | CloseReason::Malformed
                | CloseReason::OutOfPlace
        );
        let other = self.conns[conn].as_ref().map(|conn| conn.sides[1 - side].party);
        if is_blamed && let Some(Party::Node(other)) = other {
            let what = format!("{} hangs up on {}: {why}", name(node), name(other));
            self.blame(Violation { rule: "L2", what });
        }
    }

    /// How many connections stand between two nodes.
    pub(crate) fn connections(&self, one: usize, other: usize) -> usize {
        let conns = self.nodes[one].conns.iter().filter_map(|conn| self.conns[*conn].as_ref());
        conns.filter(|conn| conn.is_between(one, other)).count()
    }

    pub(super) fn dial_silent(&mut self, node: usize, life: u32, dial: DialId) {
        if self.nodes[node].life == life && self.up[node] {
            self.coverage.count("dial: silent");
            self.give(node, Input::DialFailed { dial, why: DialError::Silent });
        }
    }

    pub(super) fn dialled(&mut self, node: usize, life: u32, dial: DialId, to: usize) {
        if self.nodes[node].life != life || !self.up[node] {
            return;
        }
        if !self.up[to] {
            self.coverage.count("dial: refused");
            return self.give(node, Input::DialFailed { dial, why: DialError::Refused });
        }
        self.coverage.count("dial: connected");
        let (left, right) = self.connect(Party::Node(node), Party::Node(to));
        let who = |node: usize| Identity::Node(self.names[node].clone());
        let (dialler, acceptor) = (who(node), who(to));
        self.give(to, Input::Opened { conn: right, who: dialler, origin: Origin::Accepted });
        self.give(node, Input::Opened { conn: left, who: acceptor, origin: Origin::Dialled(dial) });
    }

    /// Connects two parties, and tells neither. Gives the numbers that the two have for it.
    pub(super) fn connect(&mut self, dialler: Party, acceptor: Party) -> (ConnId, ConnId) {
        let conn = self.conns.len();
        self.conns.push(Some(Conn::new(dialler, acceptor)));
        for party in [dialler, acceptor] {
            if let Party::Node(node) = party {
                self.nodes[node].conns.push(conn);
            }
        }
        (conn_id(conn, 0), conn_id(conn, 1))
    }

    // Bytes.

    pub(super) fn send(&mut self, node: usize, id: ConnId, bytes: Bytes, words: &mut Vec<(usize, Word)>) {
        let (conn, side) = conn_of(id);
        let Some(this) = &mut self.conns[conn] else { return };
        self.hash.update(&bytes);
        let to = match this.sides[1 - side].party {
            Party::Node(to) => to,
            Party::Liar(liar) => {
                if self.reads(liar) {
                    self.nodes[node].inbox.push(Input::Drained { conn: id, bytes: bytes.len() });
                }
                return self.liar_hears(liar, bytes);
            }
        };
        let pipe = &mut this.sides[side].pipe;
        pipe.ear.push(bytes.clone());
        let mut numbers = Vec::new();
        while let Some(word) = pipe.ear.next_word() {
            self.words += 1;
            numbers.push((self.words, word.index()));
            words.push((to, word));
        }
        if self.watchers.notes.is_some() {
            let first = words.len() - numbers.len();
            for ((number, _), (to, word)) in numbers.iter().zip(&words[first..]) {
                let (kind, routine, text) = (word.kind(), word.is_routine(), word.to_string());
                if let Some(tell) = &mut self.watchers.notes {
                    let what = What::Send { word: *number, from: node, to: *to, kind, routine, text };
                    tell(crate::notes::Note { at: self.now, what });
                }
            }
        }
        let length = bytes.len();
        self.put(conn, side, (node, to), bytes, numbers);
        self.give_credit(node, conn, side, length);
    }

    /// Puts bytes on their way, whole or torn.
    pub(super) fn put(
        &mut self,
        conn: usize,
        side: usize,
        (from, to): (usize, usize),
        bytes: Bytes,
        words: Vec<(u64, usize)>,
    ) {
        let mut rest = bytes;
        let slower = self.routes.slower(from, to);
        while rest.len() > 1 && self.setting.torn > 0 && self.noise.chance(self.setting.torn, 1000) {
            let at = 1 + self.noise.place(rest.len() - 1);
            let torn = rest.split_to(at);
            let takes = self.draw_span(self.setting.delay) + slower;
            self.coverage.count("stream: torn");
            self.put_piece(conn, side, takes, torn, Vec::new());
        }
        let takes = self.draw_span(self.setting.delay) + slower;
        self.put_piece(conn, side, takes, rest, words);
    }

    fn put_piece(
        &mut self,
        conn: usize,
        side: usize,
        takes: Duration,
        bytes: Bytes,
        words: Vec<(u64, usize)>,
    ) {
        let now = self.now;
        let Some(this) = &mut self.conns[conn] else { return };
        let carries = this.carries && this.sides[1 - side].open;
        let pipe = &mut this.sides[side].pipe;
        if !carries {
            // Nobody is there to receive it.
            return self.lose(&words);
        }
        let at = (now + takes).max(pipe.last);
        pipe.last = at;
        pipe.bytes += bytes.len();
        pipe.pieces.push_back(Piece { at, bytes, words });
        self.schedule(at, Due::Arrive { conn, side });
    }

    /// What the buffer of the connection has room for counts as gone; the rest when it arrives.
    fn give_credit(&mut self, node: usize, conn: usize, side: usize, length: usize) {
        let Some(this) = &mut self.conns[conn] else { return };
        let pipe = &mut this.sides[side].pipe;
        if pipe.bytes + pipe.owed <= self.setting.buffer {
            // It takes no turn of its own: nobody waits for it.
            self.nodes[node].inbox.push(Input::Drained { conn: conn_id(conn, side), bytes: length });
        } else {
            self.coverage.count("stream: full");
            pipe.owed += length;
        }
    }

    /// Pieces that a side has sent arrive at the other.
    pub(super) fn arrive(&mut self, conn: usize, side: usize) {
        let now = self.now;
        loop {
            let Some(this) = &mut self.conns[conn] else { return };
            let [from, to] = [this.sides[side].party, this.sides[1 - side].party];
            if let (Party::Node(from), Party::Node(to)) = (from, to)
                && self.routes.is_blocked(from, to)
            {
                this.sides[side].pipe.stalled = true;
                return;
            }
            let open = this.sides[1 - side].open;
            let pipe = &mut this.sides[side].pipe;
            let Some(piece) = pipe.pieces.pop_front_if(|piece| piece.at <= now) else { break };
            pipe.bytes -= piece.bytes.len();
            let owed =
                if pipe.bytes <= self.setting.buffer / 2 { core::mem::take(&mut pipe.owed) } else { 0 };
            if owed > 0
                && let Party::Node(from) = from
            {
                self.give(from, Input::Drained { conn: conn_id(conn, side), bytes: owed });
            }
            match to {
                Party::Node(to) if open => {
                    self.count_arrivals(to, &piece.words);
                    if let Party::Node(from) = from {
                        self.nodes[to].arrived |= 1 << from;
                    }
                    self.give(to, Input::Received { conn: conn_id(conn, 1 - side), bytes: piece.bytes });
                }
                Party::Node(_) => self.lose(&piece.words),
                // It has heard it when that was said.
                Party::Liar(_) => {}
            }
        }
        self.end_if_over(conn, side);
    }

    fn count_arrivals(&mut self, to: usize, words: &[(u64, usize)]) {
        let role = self.nodes[to].last.map_or(0, |vitals| vitals.role as usize);
        for (number, kind) in words {
            self.coverage.count_word(role, *kind);
            if self.watchers.notes.is_some() {
                self.note(What::Arrive { word: *number });
            }
        }
    }

    fn lose(&mut self, words: &[(u64, usize)]) {
        if self.watchers.notes.is_some() {
            for (number, _) in words {
                self.note(What::Lose { word: *number });
            }
        }
    }

    // Ends.

    /// A side closes in good order: what it has sent still arrives, and then the other side is told.
    pub(super) fn close(&mut self, conn: usize, side: usize) {
        let Some(this) = &mut self.conns[conn] else { return };
        this.sides[side].open = false;
        this.sides[side].pipe.ended = true;
        if let Party::Node(node) = this.sides[side].party {
            self.nodes[node].conns.retain(|other| *other != conn);
        }
        self.end_if_over(conn, side);
    }

    /// If a side has closed and all that it sent has arrived, the other side learns it.
    fn end_if_over(&mut self, conn: usize, side: usize) {
        let Some(this) = &mut self.conns[conn] else { return };
        let over = this.sides[side].pipe.ended && this.sides[side].pipe.pieces.is_empty();
        if over && this.sides[1 - side].open {
            self.schedule(self.now, Due::Broken { conn, side: 1 - side });
        } else if over && this.sides[1 - side].pipe.pieces.is_empty() {
            self.conns[conn] = None;
        }
    }

    /// The connection is gone for a side that still had it open.
    pub(super) fn tell_broken(&mut self, conn: usize, side: usize) {
        let Some(this) = &mut self.conns[conn] else { return };
        if !this.sides[side].open {
            return;
        }
        this.sides[side].open = false;
        this.carries = false;
        let party = this.sides[side].party;
        let lost: Vec<(u64, usize)> = this.drop_pieces();
        if !this.sides[1 - side].open {
            self.conns[conn] = None;
        }
        self.lose(&lost);
        if let Party::Node(node) = party {
            self.nodes[node].conns.retain(|other| *other != conn);
            self.coverage.count("connection: broken");
            let why = CloseReason::Broken("reset".into());
            self.give(node, Input::Closed { conn: conn_id(conn, side), why });
        }
    }

    /// The connections between two nodes break, at once or so; some of what was on its way is lost.
    pub(super) fn cut(&mut self, one: usize, other: usize) {
        self.note(What::Cut { one, other });
        let between: Vec<usize> = self.nodes[one]
            .conns
            .iter()
            .copied()
            .filter(|conn| self.conns[*conn].as_ref().is_some_and(|conn| conn.is_between(one, other)))
            .collect();
        for conn in between {
            let Some(this) = &mut self.conns[conn] else { continue };
            this.carries = false;
            let lost = this.drop_pieces();
            self.lose(&lost);
            // Whoever stands between may forget the connection and tell nobody.
            let told = !self.noise.chance(1, 4);
            for side in (0..2).filter(|_| told) {
                // One end may notice much later than the other.
                let patience = *self.noise.pick(&[1, 20, 500]);
                let after = Duration::from_micros(self.noise.below(1000 * patience));
                self.schedule_in(after, Due::Broken { conn, side });
            }
        }
    }

    /// A node has died, and all its connections with it.
    pub(super) fn drop_connections(&mut self, node: usize, silent: bool) {
        for conn in core::mem::take(&mut self.nodes[node].conns) {
            let Some(this) = &mut self.conns[conn] else { continue };
            let Some(side) = this.side_of(Party::Node(node)) else { continue };
            this.sides[side].open = false;
            let pipe = &mut this.sides[1 - side].pipe;
            let mut lost: Vec<(u64, usize)> = pipe.pieces.drain(..).flat_map(|piece| piece.words).collect();
            if silent {
                this.carries = false;
                lost.extend(this.drop_pieces());
            } else {
                this.sides[side].pipe.ended = true;
            }
            self.lose(&lost);
            self.end_if_over(conn, side);
        }
    }

    // Directions.

    pub(super) fn block(&mut self, pairs: &[(usize, usize)]) {
        for (from, to) in pairs {
            if self.routes.block(*from, *to) {
                self.note(What::Block { from: *from, to: *to });
            }
        }
    }

    pub(super) fn unblock(&mut self, pairs: &[(usize, usize)]) {
        for (from, to) in pairs {
            if self.routes.unblock(*from, *to) {
                self.resume(*from, *to);
            }
        }
    }

    /// What was stalled in a direction arrives now.
    pub(super) fn resume(&mut self, from: usize, to: usize) {
        self.note(What::Unblock { from, to });
        for conn in self.nodes[from].conns.clone() {
            let Some(this) = &mut self.conns[conn] else { continue };
            for side in 0..2 {
                let parties = (this.sides[side].party, this.sides[1 - side].party);
                if parties == (Party::Node(from), Party::Node(to)) && this.sides[side].pipe.stalled {
                    this.sides[side].pipe.stalled = false;
                    self.order += 1;
                    let (at, order) = (Time(self.now.0 + 1), self.order);
                    self.queue.push(super::Entry { at, order, due: Due::Arrive { conn, side } });
                }
            }
        }
    }
}
