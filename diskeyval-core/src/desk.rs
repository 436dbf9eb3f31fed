//! The front desk: what the embedding program asked for and was not answered yet.
//!
//! A write gets its number here, once, and keeps it through every attempt, so that it is applied once. It
//! is answered by this node's own application of its entry, so a local read sees it then. It ends as
//! refused only while no attempt is of unknown fate.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::config::{Limits, Settings};
use crate::entry::Write;
use crate::error::{Doubt, Error, Fault, Refusal};
use crate::id::{Index, NodeId, Term, Ticket};
use crate::io::Answer;
use crate::kv::{Command, Decision, Outcome, Owner, SessionId, Sessions, WINDOW};
use crate::mesh::Turned;
use crate::mutants::{Mutant, is};
use crate::status::Metrics;
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Desk {
    limits: Limits,
    route: Option<Route>,
    session: Session,
    /// Writes by number: the first has the number `floor`, and is pending.
    writes: VecDeque<Option<PendingWrite>>,
    floor: u64,
    pending_writes: usize,
    pending_bytes: usize,
    /// Numbers that are to be handed to the leader, in their order.
    to_send: VecDeque<u64>,
    /// Numbers that a leader turned away, to be handed over again after a pause.
    turned_away: Vec<u64>,
    /// The end of that pause. The session is not asked for before it either.
    pause_until: Option<Instant>,
    /// No question is put to the leader before this: it has said that it does not lead.
    ask_again_at: Option<Instant>,
    pause: Duration,
    now: Instant,
    /// Reads that no question was asked for yet.
    waiting: Vec<PendingRead>,
    /// Reads for which the leader was asked, with the number of the question.
    asked: Option<(u64, Vec<PendingRead>)>,
    /// Reads that may be answered once this index is applied.
    granted: VecDeque<(Index, Vec<PendingRead>)>,
    next_question: u64,
    /// No request has its deadline before this.
    earliest: Option<Instant>,
    answers: VecDeque<(Ticket, Answer)>,
    pub(crate) metrics: Metrics,
}

/// Which leader is asked. Another term, or another link, is another route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This node itself leads.
    Here(Term),
    /// That node leads, and is linked.
    There(NodeId, Term),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// This node is not in its seat yet.
    Closed,
    /// It is to be asked for, or was asked for on the present route.
    Wanted {
        asked: bool,
    },
    Open(SessionId),
}

#[derive(Clone, Debug)]
struct PendingWrite {
    ticket: Ticket,
    command: Command,
    deadline: Instant,
    attempt: u32,
    /// The present attempt is with a leader.
    sent: bool,
    /// The fate of an earlier attempt is not known.
    in_doubt: bool,
}

#[derive(Clone, Debug)]
struct PendingRead {
    ticket: Ticket,
    key: Bytes,
    by_lease: bool,
    deadline: Instant,
}

impl Desk {
    pub(crate) fn new(settings: &Settings) -> Desk {
        Desk {
            limits: settings.limits.clone(),
            route: None,
            session: Session::Closed,
            writes: VecDeque::new(),
            floor: 1,
            pending_writes: 0,
            pending_bytes: 0,
            to_send: VecDeque::new(),
            turned_away: Vec::new(),
            pause_until: None,
            ask_again_at: None,
            pause: settings.heartbeat,
            now: Instant::ZERO,
            waiting: Vec::new(),
            asked: None,
            granted: VecDeque::new(),
            next_question: 1,
            earliest: None,
            answers: VecDeque::new(),
            metrics: Metrics::default(),
        }
    }

    // What the program asks for.

    pub(crate) fn write(&mut self, ticket: Ticket, command: Command, deadline: Instant) {
        self.metrics.proposals_received += 1;
        if let Err(refusal) = self.admit(&command) {
            return self.refuse(ticket, refusal);
        }
        self.pending_writes += 1;
        self.pending_bytes += command.payload();
        self.to_send.push_back(self.floor + self.writes.len() as u64);
        self.note_deadline(deadline);
        self.writes.push_back(Some(PendingWrite {
            ticket,
            command,
            deadline,
            attempt: 0,
            sent: false,
            in_doubt: false,
        }));
    }

    fn admit(&self, command: &Command) -> Result<(), Refusal> {
        check_size(command, &self.limits)?;
        // The window of numbers counts what has ended behind a write that is still pending, too.
        let full = self.pending_writes >= self.limits.max_writes && !is(Mutant::PendingUnbounded);
        if full || self.writes.len() >= window(&self.limits) {
            return Err(Refusal::Overloaded { limit: "maxWrites" });
        }
        if self.pending_bytes + command.payload() > self.limits.max_write_bytes {
            return Err(Refusal::Overloaded { limit: "maxWriteBytes" });
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, ticket: Ticket, key: Bytes, by_lease: bool, deadline: Instant) {
        self.metrics.read_barriers_requested += 1;
        if self.pending_reads() >= self.limits.max_reads {
            self.metrics.read_barriers_failed += 1;
            let error = Error::Refused(Refusal::Overloaded { limit: "maxReads" });
            return self.answer(ticket, Answer::Read(Err(error)));
        }
        self.note_deadline(deadline);
        self.waiting.push(PendingRead { ticket, key, by_lease, deadline });
    }

    /// Reads that were not answered, wherever they wait.
    fn pending_reads(&self) -> usize {
        let asked = self.asked.as_ref().map_or(0, |(_, reads)| reads.len());
        let granted: usize = self.granted.iter().map(|(_, reads)| reads.len()).sum();
        self.waiting.len() + asked + granted
    }

    fn note_deadline(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    // The route to the leader.

    /// Another leader, another term, another link, or none: whatever was handed over is of unknown fate.
    pub(crate) fn set_route(&mut self, route: Option<Route>) {
        if self.route == route {
            return;
        }
        self.route = route;
        self.to_send.clear();
        self.turned_away.clear();
        self.pause_until = None;
        self.ask_again_at = None;
        for (seq, write) in (self.floor..).zip(&mut self.writes) {
            if let Some(write) = write {
                write.in_doubt |= write.sent && !is(Mutant::InDoubtForgotten);
                write.sent = false;
                self.to_send.push_back(seq);
            }
        }
        if let Session::Wanted { asked } = &mut self.session {
            *asked = false;
        }
        if let Some((_, reads)) = self.asked.take() {
            self.waiting.extend(reads.into_iter().filter(|_| !is(Mutant::ReadsForgotten)));
        }
    }

    pub(crate) fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    // The session.

    /// This node is in its seat: it may have a session.
    pub(crate) fn want_session(&mut self) {
        if self.session == Session::Closed {
            self.session = Session::Wanted { asked: false };
        }
    }

    /// Whether the session is to be asked for now; it counts as asked for from then on.
    pub(crate) fn take_session_wish(&mut self) -> bool {
        let due = self.session == Session::Wanted { asked: false }
            && self.route.is_some()
            && self.pause_until.is_none();
        if due {
            self.session = Session::Wanted { asked: true };
        }
        due
    }

    /// The leader cannot ask the log for a session now. If that is because the log or the disk is full, nothing that
    /// waits for the session will be taken either, and is told so.
    pub(crate) fn session_turned_away(&mut self, why: Turned) {
        self.pause();
        if matches!(why, Turned::LogFull | Turned::DiskFull) {
            let waiting: Vec<u64> = (self.floor..)
                .zip(&self.writes)
                .filter(|(_, write)| write.is_some())
                .map(|(seq, _)| seq)
                .collect();
            waiting.into_iter().for_each(|seq| self.turn_away(seq, why));
        }
    }

    fn pause(&mut self) {
        self.pause_until.get_or_insert(self.now + self.pause);
    }

    /// The log has answered.
    pub(crate) fn session_opened(&mut self, id: Option<SessionId>) {
        match (self.session, id) {
            (Session::Open(_), _) => {}
            (_, Some(id)) => self.session = Session::Open(id),
            (_, None) => self.session = Session::Closed,
        }
    }

    /// Another process under the name of this node was given a session, while this one was no member: the own is over, and
    /// nothing takes effect in it any more. What it has decided was answered before, so the rest waits for the next.
    pub(crate) fn session_ended(&mut self) {
        if is(Mutant::EndedSessionKept) {
            return;
        }
        self.session = Session::Closed;
        self.turned_away.clear();
        self.to_send.clear();
        for (seq, write) in (self.floor..).zip(&mut self.writes) {
            if let Some(write) = write {
                write.sent = false;
                self.to_send.push_back(seq);
            }
        }
    }

    // Handing writes to the leader.

    /// The next write to be handed to the leader, with the number of the attempt.
    pub(crate) fn next_to_send(&mut self) -> Option<(Write, u32)> {
        let Session::Open(session) = self.session else { return None };
        loop {
            let seq = *self.to_send.front()?;
            let floor = if self.floor < seq && is(Mutant::FloorTooHigh) { seq } else { self.floor };
            let Some(write) = self.pending(seq) else {
                self.to_send.pop_front();
                continue;
            };
            return Some((Write { session, seq, floor, command: write.command.clone() }, write.attempt + 1));
        }
    }

    /// The write that `next_to_send` gave was handed over.
    pub(crate) fn was_sent(&mut self) {
        let Some(seq) = self.to_send.pop_front() else { return };
        if let Some(write) = self.pending(seq) {
            write.sent = true;
            write.attempt += 1;
            if write.attempt > 1 {
                self.metrics.write_retries += 1;
            }
        }
    }

    /// The write that `next_to_send` gave was turned away before it was in any log.
    pub(crate) fn was_turned_away(&mut self, why: Turned) {
        if let Some(seq) = self.to_send.pop_front() {
            self.turn_away(seq, why);
        }
    }

    /// A leader says that this attempt is in no log.
    pub(crate) fn refused(&mut self, seq: u64, attempt: u32, why: Turned) {
        match self.pending(seq) {
            Some(write) if write.sent && write.attempt == attempt => write.sent = false,
            // It speaks of an earlier attempt: whose fate counted as unknown, and now the present one's does.
            Some(_) | None => return,
        }
        self.turn_away(seq, why);
    }

    fn turn_away(&mut self, seq: u64, why: Turned) {
        let limits = (self.limits.log_bytes, self.limits.max_value);
        let Some(write) = self.pending(seq) else { return };
        let refusal = match why {
            // There will be another leader.
            Turned::NotLeader => None,
            Turned::Overloaded => Some(Refusal::Overloaded { limit: "maxUncommitted" }),
            Turned::DiskFull => Some(Refusal::DiskFull),
            Turned::LogFull => Some(Refusal::LogFull { limit: limits.0 }),
            Turned::Invalid => {
                let size = write.command.payload();
                Some(Refusal::TooLarge { what: "write", size, limit: limits.1 })
            }
        };
        match refusal {
            Some(refusal) if !write.in_doubt => self.end_write(seq, Err(Error::Refused(refusal))),
            Some(_) | None => {
                self.turned_away.push(seq);
                self.pause();
            }
        }
    }

    /// Time goes on: what a leader turned away is handed over again after a pause.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.now = now;
        self.ask_again_at.take_if(|at| now >= *at);
        if self.pause_until.take_if(|until| now >= *until).is_some() {
            self.to_send.extend(self.turned_away.drain(..));
            if let Session::Wanted { asked } = &mut self.session {
                *asked = false;
            }
        }
    }

    /// The state was replaced by a later one: what has become of our session and its writes stands in it. A write that
    /// it does not know is still to come.
    pub(crate) fn absorbed(&mut self, sessions: &Sessions, own: &Owner) {
        match self.session {
            Session::Open(id) if sessions.owner(id) == Some(own) => {
                for seq in self.sequence_numbers() {
                    if let Some(outcome) = sessions.answer(id, seq) {
                        self.end_write(seq, Ok(outcome));
                    }
                }
            }
            Session::Open(_) => {
                // What was handed over may have been applied before the session was ended.
                for seq in self.sequence_numbers() {
                    if self.pending(seq).is_some_and(|write| write.sent || write.in_doubt) {
                        self.end_write(seq, Err(Error::Unknown(Doubt::SessionEnded)));
                    }
                }
                self.session_ended();
            }
            // The answer of the log may have been absorbed, too. To ask once more gives the same session.
            Session::Wanted { .. } => {
                let wanted = Session::Wanted { asked: is(Mutant::AbsorbedOpeningForgotten) };
                self.session = sessions.of(own).map_or(wanted, Session::Open);
            }
            Session::Closed => {}
        }
    }

    /// The log has decided a write of our session.
    pub(crate) fn decided(&mut self, session: SessionId, seq: u64, decision: Decision) {
        if self.session != Session::Open(session) {
            return;
        }
        match decision {
            Decision::First(outcome) | Decision::Repeated(outcome) => {
                if decision == Decision::Repeated(outcome) {
                    self.metrics.duplicates_skipped += 1;
                }
                self.end_write(seq, Ok(outcome));
            }
            Decision::Stale => self.metrics.duplicates_skipped += 1,
            Decision::NoSession => {
                let Some(write) = self.pending(seq) else { return };
                let error = if write.in_doubt {
                    Error::Unknown(Doubt::SessionEnded)
                } else {
                    Error::Refused(Refusal::SessionEnded)
                };
                self.end_write(seq, Err(error));
            }
        }
    }

    fn sequence_numbers(&self) -> core::ops::Range<u64> {
        self.floor..self.floor + self.writes.len() as u64
    }

    fn pending(&mut self, seq: u64) -> Option<&mut PendingWrite> {
        let place = usize::try_from(seq.checked_sub(self.floor)?).ok()?;
        self.writes.get_mut(place)?.as_mut()
    }

    fn end_write(&mut self, seq: u64, result: Result<Outcome, Error>) {
        let Some(place) = seq.checked_sub(self.floor).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        let Some(write) = self.writes.get_mut(place).and_then(Option::take) else { return };
        self.pending_writes -= 1;
        if result.is_ok() || !is(Mutant::PendingBytesLeak) {
            self.pending_bytes -= write.command.payload();
        }
        while let Some(None) = self.writes.front() {
            self.writes.pop_front();
            self.floor += 1;
        }
        match &result {
            Ok(_) => self.metrics.proposals_committed += 1,
            Err(Error::Refused(_)) => self.metrics.writes_refused += 1,
            Err(Error::Unknown(_)) => self.metrics.writes_unknown += 1,
        }
        self.answer(write.ticket, Answer::Written(result));
    }

    // Reads.

    /// The number of a question that is to be put to the leader now, for all reads that wait. One is on its
    /// way at a time; whoever comes meanwhile rides with the next.
    pub(crate) fn take_question(&mut self) -> Option<(u64, bool)> {
        let held = self.asked.is_some() || self.route.is_none() || self.ask_again_at.is_some();
        if self.waiting.is_empty() || held {
            return None;
        }
        // A number is never used again, so an answer to an older question is no answer to this one.
        let question = self.next_question;
        self.next_question += 1;
        let by_lease = self.waiting.iter().all(|read| read.by_lease);
        self.asked = Some((question, core::mem::take(&mut self.waiting)));
        Some((question, by_lease))
    }

    /// The leader has answered a question: with an index, or that it does not lead.
    pub(crate) fn question_answered(&mut self, question: u64, index: Option<Index>) {
        let mut asked = self.asked.take_if(|(asked, _)| *asked == question);
        if asked.is_none() && is(Mutant::AnyAnswerToAnyQuestion) {
            asked = self.asked.take().or_else(|| Some((question, core::mem::take(&mut self.waiting))));
        }
        let Some((_, reads)) = asked else { return };
        match index {
            Some(index) => self.granted.push_back((index, reads)),
            None => {
                self.waiting.extend(reads);
                self.ask_again_at.get_or_insert(self.now + self.pause);
            }
        }
    }

    /// Reads that may be answered now that all up to `applied` is applied.
    pub(crate) fn take_granted(&mut self, applied: Index) -> Vec<(Ticket, Bytes)> {
        let mut ready = Vec::new();
        // Indexes of later questions are not below those of earlier ones, but for a change of leaders.
        while self
            .granted
            .front()
            .is_some_and(|(index, _)| *index <= applied || is(Mutant::ReadBeforeApplied))
        {
            let Some((_, reads)) = self.granted.pop_front() else { break };
            ready.extend(reads.into_iter().map(|read| (read.ticket, read.key)));
        }
        ready
    }

    // Deadlines and the end.

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.earliest, self.pause_until, self.ask_again_at].into_iter().flatten().min()
    }

    /// Whether anything may have used up its time.
    pub(crate) fn is_anything_late(&self) -> bool {
        self.earliest.is_some_and(|earliest| self.now >= earliest)
    }

    /// Ends what has used up its time. `refusal` says what stands in the way.
    pub(crate) fn expire(&mut self, refusal: &Refusal) {
        let now = self.now;
        self.end_where(
            |deadline| deadline <= now,
            |in_doubt| match (in_doubt, refusal.clone()) {
                (false, refusal) => Error::Refused(refusal),
                (true, Refusal::NoQuorum { why } | Refusal::NotAdmitted { why }) => {
                    Error::Unknown(Doubt::Deadline { why })
                }
                (true, other) => Error::Unknown(Doubt::Deadline { why: alloc::format!("{other}") }),
            },
        );
        let writes = self.writes.iter().flatten().map(|write| write.deadline);
        let asked = self.asked.iter().flat_map(|(_, reads)| reads);
        let granted = self.granted.iter().flat_map(|(_, reads)| reads);
        let reads = self.waiting.iter().chain(asked).chain(granted).map(|read| read.deadline);
        self.earliest = writes.chain(reads).min();
    }

    /// Ends everything, because the node was stopped or has halted.
    pub(crate) fn close(&mut self, fault: Option<&Fault>) {
        self.end_where(
            |_| true,
            |in_doubt| match (in_doubt, fault) {
                (true, None) => Error::Unknown(Doubt::Stopped),
                (true, Some(fault)) => Error::Unknown(Doubt::Halted(fault.clone())),
                (false, None) => Error::Refused(Refusal::Stopped),
                (false, Some(fault)) => Error::Refused(Refusal::Halted(fault.clone())),
            },
        );
        self.earliest = None;
    }

    fn end_where(&mut self, ends: impl Fn(Instant) -> bool, error: impl Fn(bool) -> Error) {
        let writes: Vec<(u64, bool)> = (self.floor..)
            .zip(&self.writes)
            .filter_map(|(seq, write)| write.as_ref().map(|write| (seq, write)))
            .filter(|(_, write)| ends(write.deadline))
            .map(|(seq, write)| (seq, (write.sent || write.in_doubt) && !is(Mutant::TimeoutIsRefused)))
            .collect();
        for (seq, in_doubt) in writes {
            self.metrics.proposal_timeouts += 1;
            self.end_write(seq, Err(error(in_doubt)));
        }
        let asked = self.asked.as_mut().map(|(_, reads)| reads);
        let granted = self.granted.iter_mut().map(|(_, reads)| reads);
        let mut ended = Vec::new();
        for reads in [&mut self.waiting].into_iter().chain(asked).chain(granted) {
            ended.extend(reads.extract_if(.., |read| ends(read.deadline)));
        }
        for read in ended {
            self.metrics.read_barriers_failed += 1;
            self.answer(read.ticket, Answer::Read(Err(error(false))));
        }
    }

    /// How many writes wait, as how many bytes they are counted, and how many reads wait.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn burden(&self) -> (usize, usize, usize) {
        (self.pending_writes, self.pending_bytes, self.pending_reads())
    }

    pub(crate) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.metrics.writes_refused += 1;
        self.answer(ticket, Answer::Written(Err(Error::Refused(refusal))));
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answers.push_back((ticket, answer));
    }

    pub(crate) fn next_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.answers.pop_front()
    }
}

/// How many numbers may lie between the first write that is pending and the last.
fn window(limits: &Limits) -> usize {
    usize::try_from(WINDOW).unwrap_or(usize::MAX).min(4 * limits.max_writes)
}

/// Whether key and values are within the limits.
pub(crate) fn check_size(command: &Command, limits: &Limits) -> Result<(), Refusal> {
    check_part("key", command.key().len(), limits.max_key)?;
    match command {
        Command::Set { value, .. } => check_part("value", value.len(), limits.max_value),
        Command::Delete { .. } => Ok(()),
        Command::CompareAndSet { value, expect, .. } => {
            if let crate::kv::Expect::Value(expected) = expect {
                check_part("value", expected.len(), limits.max_value)?;
            }
            check_part("value", value.len(), limits.max_value)
        }
    }
}

pub(crate) fn check_part(what: &'static str, size: usize, limit: usize) -> Result<(), Refusal> {
    if size > limit { Err(Refusal::TooLarge { what, size, limit }) } else { Ok(()) }
}
