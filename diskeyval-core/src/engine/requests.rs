//! What is asked of a leader: by this node's own desk, and by its followers. Writes, sessions, and where to read.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Engine;
use super::wishes::{NotGranted, check_voters};
use crate::desk::{Route, check_size};
use crate::entry::{Entry, OVERHEAD, Payload, Write};
use crate::error::CloseReason;
use crate::id::{Index, NodeId, Term};
use crate::io::Answer;
use crate::kv::Owner;
use crate::members::MemberChange;
use crate::mesh::{Service, Turned};
use crate::mutants::{Mutant, is, is_armed};
use crate::raft::{Asker, Kept, Unchanged};

/// The longest that a peer may have the members be about to change.
const MAX_PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl Engine {
    pub(super) fn serve(&mut self, from: &NodeId, service: Service, payload: Bytes) {
        // It is linked to be heard by consensus. A leader, who could grant anything, knows all members.
        if service.is_asked_of_a_leader() && self.mesh.is_guest(from) && !is(Mutant::GuestsAreServed) {
            return;
        }
        match service {
            Service::OpenSession => {
                let boot = self.mesh.boot_of(from).ok_or(Turned::NotLeader);
                if let Err(why) = boot.and_then(|boot| self.open_session(from.clone(), boot)) {
                    self.mesh.send_service(from, Service::Refused { seq: 0, attempt: 0, why }, &[]);
                }
            }
            Service::Write { seq, attempt } => {
                let turned = match Entry::parse(payload).map(|entry| entry.payload) {
                    Ok(Payload::Write(write)) if write.seq == seq => self.append_write(from, write).err(),
                    Ok(_) | Err(_) => return self.mesh.cut(from, CloseReason::Malformed),
                };
                if let Some(why) = turned {
                    self.mesh.send_service(from, Service::Refused { seq, attempt, why }, &[]);
                }
            }
            Service::ReadAt { question, index } if is_armed(Mutant::AnyAnswerToAnyQuestion) => {
                self.desk.question_answered(question, Some(index));
            }
            // An answer is believed only from whom was asked.
            Service::Refused { .. } | Service::ReadAt { .. } | Service::ReadRefused { .. } if !matches!(self.desk.route(), Some(Route::There(leader, _)) if leader == from) =>
                {}
            Service::Refused { seq: 0, why, .. } => self.desk.session_turned_away(why),
            Service::Refused { seq, attempt, why } => self.desk.refused(seq, attempt, why),
            Service::Read { question, by_lease } => {
                if self.raft.ask_read(Asker::Peer(from.clone(), question), by_lease).is_err() {
                    self.mesh.send_service(from, Service::ReadRefused { question }, &[]);
                }
            }
            Service::ReadAt { question, index } => self.desk.question_answered(question, Some(index)),
            Service::ReadRefused { question } => self.desk.question_answered(question, None),
            Service::Transfer { question, to } => {
                let asker = Asker::Peer(from.clone(), question);
                if let Err(why) = self.raft.hand_over_to(asker, to.as_ref()) {
                    self.mesh.send_service(from, Service::Kept { question, why }, &[]);
                }
            }
            Service::Members { known } => self.is_introduced(known),
            Service::ChangeMembers { question, change, within } => {
                let asker = Asker::Peer(from.clone(), question);
                if let Err(why) = self.change_members_for(asker, change, within) {
                    self.say_unchanged(from, question, why);
                }
            }
            // An answer is believed only from whom was asked.
            Service::Kept { question, .. }
            | Service::Changed { question, .. }
            | Service::Unchanged { question, .. }
                if !self.has_wish(question, from) => {}
            Service::Kept { question, why } => self.wish_is_not_granted(question, NotGranted::Kept(why)),
            Service::Changed { question, at } => self.members_are_changed(question, at),
            Service::Unchanged { question, why, detail } => {
                self.wish_is_not_granted(question, NotGranted::Unchanged(why, detail));
            }
        }
    }

    /// A peer wants the members to change.
    fn change_members_for(
        &mut self,
        asker: Asker,
        change: MemberChange,
        within: u64,
    ) -> Result<(), Unchanged> {
        if let MemberChange::Reconfigure { members } = &change
            && check_voters(members).is_err()
        {
            return Err(Unchanged::NobodyLeft);
        }
        let within = Duration::from_millis(within).min(MAX_PATIENCE);
        self.raft.change_members(asker, change, self.now + within)
    }

    fn say_unchanged(&mut self, to: &NodeId, question: u64, why: Unchanged) {
        if let NotGranted::Unchanged(why, detail) = self.not_changed(why) {
            self.mesh.send_service(to, Service::Unchanged { question, why, detail }, &[]);
        }
    }

    /// Asks the log for a session of a member that is linked, or of this node.
    fn open_session(&mut self, node: NodeId, boot: u128) -> Result<(), Turned> {
        let incarnation =
            if node == self.id { Some(self.incarnation) } else { self.raft.linked_incarnation(&node) };
        let incarnation = incarnation.ok_or(Turned::NotLeader)?;
        self.check_room(node.as_str().len())?;
        let opening = Payload::OpenSession(Owner { node, incarnation, boot });
        self.raft.propose(opening).map(drop).map_err(|_| Turned::NotLeader)
    }

    /// The leader's door: what does not pass it is in no log, now or later.
    fn append_write(&mut self, from: &NodeId, write: Write) -> Result<(), Turned> {
        if !self.raft.takes_proposals() {
            return Err(Turned::NotLeader);
        }
        let foreign = match self.kv.sessions().owner(write.session) {
            Some(owner) => owner.node != *from,
            // Its opening may be in the log already, and not be applied yet.
            None if !self.raft.is_established() => return Err(Turned::NotLeader),
            None => false,
        };
        if foreign || check_size(&write.command, &self.limits).is_err() {
            return Err(Turned::Invalid);
        }
        self.check_room(write.command.payload())?;
        self.raft.propose(Payload::Write(write)).map(drop).map_err(|_| Turned::NotLeader)
    }

    /// Whether the limits leave room for an entry in the log.
    fn check_room(&self, payload: usize) -> Result<(), Turned> {
        let size = payload + OVERHEAD;
        if self.raft.log().bytes() + size > self.limits.log_bytes && !is(Mutant::LogUnbounded) {
            return Err(Turned::LogFull);
        }
        if self.raft.store().is_full() && !is(Mutant::FullUnnoticed) {
            return Err(Turned::DiskFull);
        }
        let full = self.raft.log().untaken_bytes() + size > self.limits.max_uncommitted;
        if full && !is(Mutant::UncommittedUnbounded) {
            return Err(Turned::Overloaded);
        }
        Ok(())
    }

    /// Hands what waits at the desk to the leader: into our own log, or over the link.
    pub(super) fn send_requests(&mut self) {
        let route = match self.raft.leader() {
            Some(leader) if *leader == self.id => {
                self.raft.takes_proposals().then(|| Route::Here(self.raft.term()))
            }
            Some(leader) if self.mesh.is_linked(leader) => {
                Some(Route::There(leader.clone(), self.raft.term()))
            }
            Some(_) | None => None,
        };
        self.desk.set_route(route);
        let Some(route) = self.desk.route().cloned() else { return };
        if self.desk.take_session_wish() {
            let asked = match &route {
                Route::Here(_) => self.open_session(self.id.clone(), self.boot),
                Route::There(leader, _) => match self.mesh.send_service(leader, Service::OpenSession, &[]) {
                    true => Ok(()),
                    false => Err(Turned::NotLeader),
                },
            };
            if let Err(why) = asked {
                self.desk.session_turned_away(why);
            }
        }
        while let Some((write, attempt)) = self.desk.next_to_send() {
            match &route {
                Route::Here(_) => {
                    let own = self.id.clone();
                    match self.append_write(&own, write) {
                        Ok(()) => self.desk.was_sent(),
                        Err(why) => self.desk.was_turned_away(why),
                    }
                }
                Route::There(leader, _) => {
                    if !self.mesh.has_credit(leader) {
                        break;
                    }
                    let service = Service::Write { seq: write.seq, attempt };
                    let payload = Entry::new(Term(0), Payload::Write(write)).bytes;
                    self.mesh.send_service(leader, service, &payload);
                    self.desk.was_sent();
                }
            }
        }
        if let Some((question, by_lease)) = self.desk.take_question() {
            let asked = match &route {
                Route::Here(_) => self.raft.ask_read(Asker::Own(question), by_lease).is_ok(),
                Route::There(leader, _) => {
                    self.mesh.send_service(leader, Service::Read { question, by_lease }, &[])
                }
            };
            if !asked {
                self.desk.question_answered(question, None);
            }
        }
    }

    /// Passes on what consensus has to say, and which reads it allows. Tells whether that answers a question
    /// of this node's own, so that the next can be asked.
    pub(super) fn pass_on(&mut self) -> bool {
        for (to, message) in self.raft.take_outgoing() {
            self.mesh.send_raft(&to, message);
        }
        let kept: Vec<(Asker, Kept)> = self.raft.take_kept().collect();
        for (asker, why) in kept {
            match asker {
                Asker::Own(question) => self.wish_is_not_granted(question, NotGranted::Kept(why)),
                Asker::Peer(peer, question) => {
                    self.mesh.send_service(&peer, Service::Kept { question, why }, &[]);
                }
            }
        }
        let changed: Vec<(Asker, Result<Index, Unchanged>)> = self.raft.take_changed().collect();
        for (asker, result) in changed {
            match (asker, result) {
                (Asker::Own(question), Ok(at)) => self.members_are_changed(question, at),
                (Asker::Own(question), Err(why)) => {
                    let why = self.not_changed(why);
                    self.wish_is_not_granted(question, why);
                }
                (Asker::Peer(peer, question), Ok(at)) => {
                    self.mesh.send_service(&peer, Service::Changed { question, at }, &[]);
                }
                (Asker::Peer(peer, question), Err(why)) => self.say_unchanged(&peer, question, why),
            }
        }
        let mut answered = false;
        for (asker, index) in self.raft.take_reads() {
            match asker {
                Asker::Own(question) => {
                    answered = true;
                    self.desk.question_answered(question, index);
                }
                Asker::Peer(peer, question) => {
                    let answer = match index {
                        Some(index) => Service::ReadAt { question, index },
                        None => Service::ReadRefused { question },
                    };
                    self.mesh.send_service(&peer, answer, &[]);
                }
            }
        }
        answered
    }

    pub(super) fn answer_reads(&mut self) {
        for (ticket, key) in self.desk.take_granted(self.kv.applied()) {
            let found = self.kv.get(&key).cloned();
            self.desk.answer(ticket, Answer::Read(Ok(found)));
        }
    }
}
