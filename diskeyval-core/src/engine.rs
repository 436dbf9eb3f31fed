//! The one type that a driver, a simulator or a fuzzer drives. It wires the parts together and decides
//! nothing itself.

mod compaction;
mod damaged;
mod disk;
#[cfg(test)]
pub(crate) mod harness;
mod members;
mod open;
#[cfg(any(test, feature = "inspect"))]
mod parts;
mod recovery;
mod requests;
mod salvage;
mod standing;
mod transfers;
mod turn;
mod wishes;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Limits;
use crate::desk::{Desk, Route, check_part};
use crate::entry::Payload;
use crate::error::{Damage, Doubt, Fault, Refusal};
use crate::founding::{Founding, Verdict};
use crate::id::{EntryId, Incarnation, Index, NodeId, Term, Ticket};
use crate::io::{Answer, Effect, Event, Input, Read, Request};
use crate::kv::{Applied, Machine};
use crate::members::Membership;
use crate::mesh::{Delivery, Heard, Mesh};
use crate::mutants::{Mutant, is};
use crate::raft::Raft;
use crate::status::{Metrics, Standing};
use crate::storage::Recoverer;
use crate::time::{Deadline, Instant, Timer};
use compaction::Compaction;
use damaged::NextLife;
use disk::Opener;
use recovery::Recovering;
use transfers::Transfers;
pub use turn::{Effects, Turn};
use wishes::{Want, Wishes};

/// One node: consensus, state, links and pending requests, without any IO.
///
/// It is driven in turns. Two turns at once, or a new one while effects of the last are still being
/// performed, do not compile:
///
/// ```compile_fail,E0499
/// # use diskeyval_core::{Config, Engine, Instant, Seed};
/// # let settings = Config::new("node-1").unwrap().validate().unwrap();
/// # let mut engine = Engine::open(settings, Seed::from_u64(1));
/// let one = engine.turn(Instant::ZERO);
/// let two = engine.turn(Instant::ZERO);
/// let effects = one.end();
/// ```
///
/// ```compile_fail,E0499
/// # use diskeyval_core::{Config, Engine, Instant, Seed};
/// # let settings = Config::new("node-1").unwrap().validate().unwrap();
/// # let mut engine = Engine::open(settings, Seed::from_u64(1));
/// for effect in engine.turn(Instant::ZERO).end() {
///     engine.turn(Instant::ZERO);
/// }
/// ```
///
/// A cluster of one, driven by hand:
///
/// ```
/// use core::time::Duration;
/// use diskeyval_core::*;
///
/// let settings = Config::new("node-1")?.validate()?;
/// let mut engine = Engine::open(settings, Seed::from_u64(1));
/// let mut turn = engine.turn(Instant::ZERO);
/// let command = Command::Set { key: "k".into(), value: "v".into() };
/// turn.input(Input::Ask { ticket: Ticket(1), request: Request::Write(command), budget: Duration::from_secs(1) });
/// let answered = turn.end().any(|effect| matches!(effect, Effect::Answer { answer: Answer::Written(Ok(_)), .. }));
/// assert!(answered);
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    id: NodeId,
    incarnation: Incarnation,
    boot: u128,
    own_address: String,
    limits: Limits,
    election_timeout: Duration,
    heartbeat: Duration,
    now: Instant,
    begun: bool,
    raft: Raft,
    mesh: Mesh,
    kv: Machine,
    desk: Desk,
    founding: Founding,
    compaction: Compaction,
    transfers: Transfers,
    wishes: Wishes,
    recovering: Option<Recovering>,
    /// What a damaged node holds is being made the storage of its next cluster.
    salvaging: Option<Box<Recoverer>>,
    /// The entry of the configuration that the mesh knows.
    known: EntryId,
    /// Entries were applied that an earlier run has told, and that this has not happened is still to be told.
    owes_resync: bool,
    admitted: bool,
    /// Its storage came into being behind one that was damaged: it may have belonged to a cluster, and founds none.
    is_anew: bool,
    /// It joins a cluster that exists, and founds none.
    joins: bool,
    /// The number of the next operation on the disk, as far as any was asked for.
    next_op: u64,
    told_not_admitted: bool,
    /// It was a member, and others say that it is none any more, by this entry.
    removed_by: Option<Index>,
    listening: bool,
    told_leader: (Option<NodeId>, Term),
    phase: Phase,
    /// What is read before anything else is done; `None` once that is over.
    opening: Option<Box<Opener>>,
    /// What that has come to.
    #[cfg(any(test, feature = "inspect"))]
    kept: Option<alloc::vec::Vec<crate::store::Record>>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Debug)]
enum Phase {
    Running,
    /// Leadership is being handed over, and the log is sealed; then the node stops, and these are told.
    Stopping {
        tickets: Vec<Ticket>,
        give_up_at: Instant,
    },
    Stopped,
    Halted(Fault),
    /// It keeps out of everything, until it may begin anew.
    Damaged(Damage, Box<NextLife>),
}

impl Engine {
    /// Opens a turn. `now` must have been read after the last input of the turn arrived: an answer that
    /// is given in it holds at that time.
    pub fn turn(&mut self, now: Instant) -> Turn<'_> {
        self.now = self.now.max(now);
        self.mesh.wake(self.now);
        self.desk.wake(self.now);
        self.wake_wishes();
        if let Some(opener) = &mut self.opening {
            self.begun = true;
            opener.opening.wake(self.now);
            return Turn { engine: self };
        }
        if !self.begun {
            self.begin();
        }
        // Before anything that arrived while this node may have been frozen.
        self.raft.wake(self.now);
        Turn { engine: self }
    }

    /// When the next turn is wanted although nothing arrives, and why. `None`: never.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.is_over() {
            return None;
        }
        if !self.begun {
            return Some(Deadline { at: Instant::ZERO, why: Timer::Dial });
        }
        if self.is_damaged() {
            return self.mesh.deadline().into_iter().chain(self.recovery_deadline()).min();
        }
        let request = self.desk.deadline().map(|at| Deadline { at, why: Timer::Request });
        let request = [request, self.wishes_deadline(), self.recovery_deadline()].into_iter().flatten().min();
        if let Some(opener) = &self.opening {
            let disk = opener.opening.deadline().map(|at| Deadline { at, why: Timer::Disk });
            return [disk, request].into_iter().flatten().min();
        }
        let compaction = self.compaction_deadline();
        let stop = match self.phase {
            Phase::Stopping { give_up_at, .. } => Some(Deadline { at: give_up_at, why: Timer::Disk }),
            _ => None,
        };
        [Some(self.raft.deadline()), self.mesh.deadline(), request, stop, compaction]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing comes out of it any more but answers.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Stopped | Phase::Halted(_))
    }

    /// The leader, if this node knows one.
    pub fn leader(&self) -> Option<&NodeId> {
        self.raft.leader()
    }

    /// Whether this node leads. It may have been replaced already, and not know it yet.
    pub fn is_leader(&self) -> bool {
        self.raft.is_leader()
    }

    /// Whether this node's incarnation is in its seat, a learner's perhaps, by a committed entry: from then on it serves.
    pub fn is_member(&self) -> bool {
        self.admitted
    }

    /// Whether it is in its seat, and no change of members is under way: a rolling restart may go on to the next node.
    pub fn is_ready(&self) -> bool {
        let is_joint = self.kv.members().is_some_and(Membership::is_joint);
        self.admitted && !is_joint && self.raft.configuration().entry().index <= self.kv.applied()
    }

    /// The counters.
    pub fn metrics(&self) -> Metrics {
        let disk = self.raft.store().metrics();
        self.raft.metrics().plus(self.mesh.metrics).plus(self.desk.metrics).plus(disk)
    }

    // One turn.

    fn take(&mut self, input: Input) {
        if self.is_damaged() {
            return self.take_damaged(input);
        }
        if self.is_over() {
            return self.turn_away(input);
        }
        match input {
            Input::Ask { ticket, request, budget } => self.ask(ticket, request, budget),
            Input::Listen { changes } => self.listening = changes,
            Input::Disk { op, result } => self.disk_done(op, result),
            of_a_link => self.take_of_link(of_a_link),
        }
        self.deliver_all();
    }

    /// What comes of connections is the mesh's.
    fn take_of_link(&mut self, input: Input) {
        match input {
            Input::Opened { conn, who, origin } => self.mesh.opened(conn, who, origin),
            Input::DialFailed { dial, why } => self.mesh.dial_failed(dial, why),
            Input::Received { conn, bytes } => self.mesh.received(conn, bytes),
            Input::Drained { conn, bytes } => self.mesh.drained(conn, bytes),
            Input::Closed { conn, why } => self.mesh.closed(conn, why),
            Input::Ask { .. } | Input::Listen { .. } | Input::Disk { .. } => {}
        }
    }

    fn deliver_all(&mut self) {
        while let Some(delivery) = self.mesh.next_delivery() {
            self.deliver(delivery);
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request, budget: Duration) {
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        match request {
            Request::Write(_) if stopping => self.desk.refuse(ticket, Refusal::Stopped),
            Request::Write(command) => self.desk.write(ticket, command, self.now + budget),
            Request::Get { key, read } => {
                let refused = check_part("key", key.len(), self.limits.max_key).err();
                match (refused.or(stopping.then_some(Refusal::Stopped)), read) {
                    (Some(refusal), _) => self.desk.answer(ticket, Answer::Read(Err(refusal.into()))),
                    (None, Read::Linearizable) => self.desk.read(ticket, key, false, self.now + budget),
                    (None, Read::Lease) => self.desk.read(ticket, key, true, self.now + budget),
                    (None, Read::Local) => {
                        let found = self.kv.get(&key).cloned();
                        self.desk.answer(ticket, Answer::Read(Ok(found)));
                    }
                }
            }
            Request::View => self.desk.answer(ticket, Answer::View(self.kv.view())),
            Request::Status => self.desk.answer(ticket, Answer::Status(Box::new(self.status()))),
            Request::Snapshot if stopping => {
                self.desk.answer(ticket, Answer::Snapshot(Err(Refusal::Stopped.into())));
            }
            Request::Snapshot => self.ask_snapshot(ticket, budget),
            Request::TransferLeadership { to } => self.wish(ticket, Want::Lead(to), self.now + budget),
            Request::Recover => self.recover(ticket, self.now + budget),
            Request::RenewLinks => self.renew_links(ticket),
            Request::ChangeMembers { change } => {
                self.wish(ticket, Want::Members(change), self.now + budget);
            }
            Request::Stop => match &mut self.phase {
                Phase::Stopping { tickets, .. } => tickets.push(ticket),
                Phase::Running | Phase::Stopped | Phase::Halted(_) | Phase::Damaged(..) => {
                    self.raft.hand_over();
                    let give_up_at = self.now + self.election_timeout;
                    self.phase = Phase::Stopping { tickets: alloc::vec![ticket], give_up_at };
                }
            },
        }
    }

    fn renew_links(&mut self, ticket: Ticket) {
        self.mesh.renew();
        self.desk.answer(ticket, Answer::LinksRenewed);
    }

    /// A node that has stopped, or keeps out, answers, and does nothing else of what it is asked.
    fn turn_away(&mut self, input: Input) {
        let (ticket, request) = match input {
            Input::Ask { ticket, request, .. } => (ticket, request),
            _ => return,
        };
        let refusal = match &self.phase {
            Phase::Halted(fault) => Refusal::Halted(fault.clone()),
            Phase::Damaged(damage, _) => Refusal::Damaged(damage.clone()),
            Phase::Running | Phase::Stopping { .. } | Phase::Stopped => Refusal::Stopped,
        };
        let answer = match request {
            Request::Write(_) => Answer::Written(Err(refusal.into())),
            Request::Get { .. } => Answer::Read(Err(refusal.into())),
            Request::Snapshot => Answer::Snapshot(Err(refusal.into())),
            Request::TransferLeadership { .. } => Answer::Transferred(Err(refusal.into())),
            Request::ChangeMembers { .. } => Answer::MembersChanged(Err(refusal.into())),
            Request::Recover => Answer::Recovered(Err(refusal.into())),
            Request::View => Answer::View(self.kv.view()),
            Request::Status => Answer::Status(Box::new(self.status())),
            // There are none.
            Request::RenewLinks => Answer::LinksRenewed,
            Request::Stop => {
                self.give_recovery_up(Doubt::Stopped);
                self.mesh.stop();
                self.phase = Phase::Stopped;
                Answer::Stopped
            }
        };
        self.desk.answer(ticket, answer);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            // Nothing can be said to that yet.
            Delivery::Raft(..) | Delivery::Service(..) if self.opening.is_some() => {}
            Delivery::Up(peer, incarnation) => {
                self.check_founding();
                self.raft.note_priority(&peer, self.mesh.priority_of(&peer).unwrap_or_default());
                self.raft.note_address(&peer, self.mesh.address_of(&peer));
                self.raft.link_up(&peer, incarnation);
                self.introduce(&peer, incarnation);
            }
            Delivery::UpDamaged(peer) => {
                self.check_founding();
                self.raft.link_up_damaged(&peer);
            }
            Delivery::Down(peer) => {
                self.raft.link_down(&peer);
                self.wishes_link_down(&peer);
                if matches!(self.desk.route(), Some(Route::There(leader, _)) if *leader == peer) {
                    // What was handed over on that link is of unknown fate, even if it comes up again.
                    self.desk.set_route(None);
                }
            }
            // Who never was in its seat cannot have lost it.
            Delivery::Superseded if self.admitted => self.raft.fail(Fault::Superseded),
            Delivery::Superseded => {}
            Delivery::Removed { .. } if self.removed_by.is_some() => {}
            Delivery::Removed { by } => {
                self.removed_by = Some(by);
                self.effects.push_back(Effect::Event(Event::Removed));
            }
            Delivery::Raft(from, message) => {
                if let Err(why) = self.raft.receive(&from, message).and_then(|()| self.hear_of_snapshots()) {
                    self.mesh.cut(&from, why);
                }
            }
            Delivery::Service(from, service, payload) => self.serve(&from, service, payload),
        }
    }

    fn finish_turn(&mut self) {
        if self.opening.is_some() {
            self.expire();
            self.finish_stop();
            self.take_disk_ops();
        } else if self.is_damaged() {
            self.finish_damaged_turn();
        } else if !self.is_over() {
            self.check_founding();
            self.raft.tick();
            self.mesh.tick();
            self.deliver_all();
            loop {
                self.send_requests();
                self.pass_wishes_on();
                let moved = self.raft.settle();
                let applied = self.apply_committed();
                self.send_snapshots();
                let answered = self.pass_on();
                // Who goes has been told so by now.
                self.meet_members();
                if !(moved || applied || answered) {
                    break;
                }
            }
            self.compact();
            self.finish_recovery();
            self.answer_reads();
            self.grant_wishes();
            self.expire();
            self.tell_leader();
            self.tell_not_admitted();
            self.finish_stop();
            self.check_fault();
            self.take_disk_ops();
        }
        while let Some((ticket, answer)) = self.desk.next_answer() {
            self.effects.push_back(Effect::Answer { ticket, answer });
        }
        self.mesh.flush(&mut self.effects);
    }

    fn expire(&mut self) {
        if self.desk.is_anything_late() {
            let refusal = self.refusal();
            self.desk.expire(&refusal);
        }
        self.expire_wishes();
        self.expire_recovery();
    }

    fn check_founding(&mut self) {
        if self.raft.is_founded() {
            return;
        }
        let verdict = self.founding.judge(self.now, self.mesh.peers());
        if let Some(own) = self.raft.log().genesis().map(|genesis| genesis.cluster)
            && self.mesh.peers().any(|peer| matches!(peer.heard, Heard::Founded(other) if other != own))
        {
            self.raft.drop_founding();
        }
        self.raft.allow_founding(verdict == Verdict::Allowed && !self.is_anew && !self.joins);
    }

    /// Applies what is committed. Tells whether anything was.
    fn apply_committed(&mut self) -> bool {
        let before = self.kv.applied();
        self.pay_resync();
        while let Some((index, mut payload)) = self.raft.take_committed() {
            // An earlier run has told it, or it is the past of a cluster that takes this node in.
            let is_told = index <= self.raft.recalled();
            let is_silent = is_told || !self.admitted;
            self.owes_resync |= is_told || (is_silent && matches!(payload, Payload::Write(_)));
            if let Payload::Write(write) = &mut payload
                && !self.raft.is_leader()
                && is(Mutant::FollowersKeepNoAnswers)
            {
                write.floor = write.seq;
            }
            match self.kv.apply(index, payload) {
                Applied::Nothing => {}
                Applied::Members => self.members_applied(),
                Applied::Session { owner, id } => {
                    if owner.node == self.id && owner.boot == self.boot {
                        self.desk.session_opened(id);
                    } else if owner.node == self.id && id.is_some() && !self.admitted {
                        self.desk.session_ended();
                    }
                }
                Applied::Write { session, seq, decision, change } => {
                    let follows = matches!(self.effects.back(), Some(Effect::Event(Event::Change(_))));
                    if let Some(change) = change.filter(|_| self.listening && !is_silent)
                        && !(follows && is(Mutant::EventsMerged))
                    {
                        self.effects.push_back(Effect::Event(Event::Change(change)));
                    }
                    self.desk.decided(session, seq, decision);
                }
            }
            self.raft.note_applied(self.kv.checkpoint());
            self.pay_resync();
        }
        self.note_cluster();
        self.kv.applied() > before
    }

    /// When everything is applied that an earlier run has kept, and this node is in its seat, all that was before is told
    /// as one.
    fn pay_resync(&mut self) {
        if self.owes_resync && self.admitted && self.kv.applied() >= self.raft.recalled() {
            self.resync();
        }
    }

    /// W8: every transition is told once, on followers too.
    fn tell_leader(&mut self) {
        let (told, told_term) = &self.told_leader;
        let leader = self.raft.leader();
        let same_reign = *told_term == self.raft.term() || leader.is_none();
        if told.as_ref() == leader && same_reign {
            return;
        }
        self.told_leader = (leader.cloned(), self.raft.term());
        let (leader, term) = self.told_leader.clone();
        self.effects.push_back(Effect::Event(Event::Leader { leader, term }));
    }

    fn tell_not_admitted(&mut self) {
        if self.admitted || self.told_not_admitted || !self.is_shut_out() {
            return;
        }
        self.told_not_admitted = true;
        if let Standing::Waiting(why) | Standing::Removed(why) = self.standing() {
            self.effects.push_back(Effect::Event(Event::NotAdmitted { why }));
        }
    }

    fn finish_stop(&mut self) {
        let Phase::Stopping { give_up_at, .. } = &self.phase else { return };
        let patient = self.opening.is_none() && self.now < *give_up_at;
        if patient && self.raft.is_handing_over() {
            return;
        }
        self.raft.store_mut().seal();
        if patient && !self.raft.store().is_sealed() {
            return;
        }
        self.desk.close(None);
        self.give_snapshots_up(&Refusal::Stopped);
        self.give_wishes_up(&Refusal::Stopped);
        self.give_recovery_up(Doubt::Stopped);
        self.mesh.stop();
        self.answer_stops();
        self.phase = Phase::Stopped;
    }

    fn check_fault(&mut self) {
        let storage = self.raft.store().fault().cloned().map(Fault::Storage);
        let Some(fault) = storage.or_else(|| self.raft.fault().cloned()) else { return };
        self.halt(fault);
    }

    fn halt(&mut self, fault: Fault) {
        self.desk.close(Some(&fault));
        self.give_snapshots_up(&Refusal::Halted(fault.clone()));
        self.give_wishes_up(&Refusal::Halted(fault.clone()));
        self.give_recovery_up(Doubt::Halted(fault.clone()));
        self.mesh.stop();
        self.effects.push_back(Effect::Halt { fault: fault.clone() });
        self.answer_stops();
        self.phase = Phase::Halted(fault);
    }

    /// It ends now, if not as whoever wanted to stop it meant it. Tells whether anybody did.
    fn answer_stops(&mut self) -> bool {
        let Phase::Stopping { tickets, .. } = &mut self.phase else { return false };
        for ticket in core::mem::take(tickets) {
            self.desk.answer(ticket, Answer::Stopped);
        }
        true
    }
}
