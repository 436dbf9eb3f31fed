//! The standard clients: they ask what the plan says, with values that are unique, and record what they are told.

use std::collections::BTreeMap;

use bytes::Bytes;
use diskeyval_core::{
    Answer, Change, Command, Error, Event, Expect, Outcome, Read, Request, Ticket, Versioned,
};

use crate::history::{self, Action, Operation, Record};
use crate::notes::name;
use crate::plan::{self, Ask};
use crate::program::{Hands, Program};
use crate::run;

/// Clients, and what they know.
#[derive(Default)]
pub(crate) struct Clients {
    values: u64,
    /// What each client has last seen of each key.
    seen: BTreeMap<(u64, u64), Versioned>,
    pending: BTreeMap<Ticket, Pending>,
    /// How often each node was started.
    lives: Vec<u32>,
    /// How often each has said, in its present life, that its state has moved at once.
    resyncs: Vec<u32>,
    /// Everything that was asked and told, if it is to be kept.
    pub(crate) history: Option<Vec<Record>>,
    pub(crate) most_in_flight: usize,
    pub(crate) asked: u64,
    pub(crate) unknown: u64,
}

struct Pending {
    client: u64,
    key: u64,
    node: usize,
    call: u64,
    request: Request,
    /// What the client had seen of the key when it asked.
    seen: Option<Versioned>,
}

fn key(key: u64) -> Bytes {
    Bytes::from(format!("k{key}"))
}

impl Clients {
    fn value(&mut self, size: usize) -> Bytes {
        self.values += 1;
        let mut value = format!("v{}", self.values);
        while value.len() < size {
            value.push('.');
        }
        value.into()
    }

    fn request(&mut self, ask: &Ask) -> Request {
        let key = key(ask.key);
        let seen = self.seen.get(&(ask.client, ask.key)).cloned();
        let command = match ask.request {
            plan::Request::Get => return Request::Get { key, read: Read::Linearizable },
            plan::Request::GetLease => return Request::Get { key, read: Read::Lease },
            plan::Request::GetLocal => return Request::Get { key, read: Read::Local },
            plan::Request::Set => Command::Set { key, value: self.value(0) },
            plan::Request::SetLarge(size) => Command::Set { key, value: self.value(size) },
            plan::Request::Delete => Command::Delete { key },
            plan::Request::Create => {
                Command::CompareAndSet { key, expect: Expect::Absent, value: self.value(0) }
            }
            plan::Request::Swap => {
                let expect = seen.map_or(Expect::Absent, |seen| Expect::Value(seen.value));
                Command::CompareAndSet { key, expect, value: self.value(0) }
            }
            plan::Request::SwapRevision => {
                let expect = seen.map_or(Expect::Absent, |seen| Expect::Revision(seen.revision));
                Command::CompareAndSet { key, expect, value: self.value(0) }
            }
        };
        Request::Write(command)
    }

    fn record(&mut self, pending: &Pending, returned: Option<u64>, answer: Option<&Answer>) {
        let Some(history) = &mut self.history else { return };
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let write = |ok: fn(&Outcome) -> bool| match answer {
            Some(Answer::Written(Ok(outcome))) => history::Outcome::Ok(ok(outcome)),
            Some(Answer::Written(Err(Error::Refused(_)))) => history::Outcome::Refused,
            _ => history::Outcome::Unknown,
        };
        let mut revision = match answer {
            Some(Answer::Written(Ok(outcome))) => Some(outcome.revision()),
            _ => None,
        };
        let action = match &pending.request {
            Request::Write(Command::Set { value, .. }) => Action::Set {
                value: text(value),
                outcome: match write(|_| true) {
                    history::Outcome::Ok(_) => history::Outcome::Ok(()),
                    history::Outcome::Refused => history::Outcome::Refused,
                    history::Outcome::Unknown => history::Outcome::Unknown,
                },
            },
            Request::Write(Command::Delete { .. }) => Action::Delete {
                outcome: write(|outcome| matches!(outcome, Outcome::Deleted { found: true, .. })),
            },
            Request::Write(Command::CompareAndSet { expect, value, .. }) => {
                let expect = match expect {
                    Expect::Absent => None,
                    Expect::Value(value) => Some(text(value)),
                    // The checker knows values only; one that was seen stands for its revision.
                    Expect::Revision(_) => pending.seen.as_ref().map(|seen| text(&seen.value)),
                };
                let outcome = write(|outcome| matches!(outcome, Outcome::Swapped { .. }));
                Action::CompareAndSet { expect, value: Some(text(value)), outcome }
            }
            Request::Get { read: Read::Linearizable | Read::Lease, .. } => Action::Get {
                outcome: match answer {
                    Some(Answer::Read(Ok(found))) => {
                        revision = found.as_ref().map(|found| found.revision);
                        history::Outcome::Ok(found.as_ref().map(|found| text(&found.value)))
                    }
                    Some(_) => history::Outcome::Refused,
                    None => history::Outcome::Unknown,
                },
            },
            _ => return,
        };
        let operation = Operation {
            client: pending.client,
            key: format!("k{}", pending.key),
            action,
            call: pending.call,
            returned,
            revision,
        };
        history.push(Record::Operation(operation));
    }

    fn learn(&mut self, pending: &Pending, answer: &Answer) {
        let at = (pending.client, pending.key);
        let written = |value: &Bytes, revision| Versioned { value: value.clone(), revision };
        match (&pending.request, answer) {
            (_, Answer::Read(Ok(Some(found)))) => {
                self.seen.insert(at, found.clone());
            }
            (_, Answer::Read(Ok(None)) | Answer::Written(Ok(Outcome::Deleted { .. }))) => {
                self.seen.remove(&at);
            }
            (
                Request::Write(Command::Set { value, .. } | Command::CompareAndSet { value, .. }),
                Answer::Written(Ok(Outcome::Set { revision } | Outcome::Swapped { revision })),
            ) => {
                self.seen.insert(at, written(value, *revision));
            }
            _ => {}
        }
    }

    /// What was never answered is of unknown fate, and so ends the history.
    pub(crate) fn close(&mut self) {
        for (_, pending) in core::mem::take(&mut self.pending) {
            self.record(&pending, None, None);
        }
    }
}

impl Program for Clients {
    fn planned(&mut self, hands: &mut Hands<'_, '_>, ask: &Ask) {
        // A client whose node is down asks another.
        let nodes = hands.nodes();
        let Some(node) = (0..nodes).map(|n| (ask.node + n) % nodes).find(|node| hands.is_up(*node)) else {
            return;
        };
        let request = self.request(ask);
        if let Some(ticket) = hands.ask(ask.client, node, request.clone(), ask.budget) {
            let seen = self.seen.get(&(ask.client, ask.key)).cloned();
            let pending =
                Pending { client: ask.client, key: ask.key, node, call: hands.now.0, request, seen };
            self.pending.insert(ticket, pending);
            self.asked += 1;
            self.most_in_flight = self.most_in_flight.max(self.pending.len());
        }
    }

    fn answered(&mut self, hands: &mut Hands<'_, '_>, _: usize, ticket: Ticket, answer: &Answer) {
        let Some(pending) = self.pending.remove(&ticket) else { return };
        if matches!(answer, Answer::Written(Err(Error::Unknown(_)))) {
            self.unknown += 1;
        }
        self.record(&pending, Some(hands.now.0), Some(answer));
        self.learn(&pending, answer);
    }

    fn event(&mut self, hands: &mut Hands<'_, '_>, node: usize, event: &Event) {
        if let (Event::Resync { .. }, Some(resyncs)) = (event, self.resyncs.get_mut(node)) {
            // What it tells from now on is another story: there may be a gap between the two.
            *resyncs += 1;
        }
        let (Some(history), Event::Change(change)) = (&mut self.history, event) else { return };
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let Change { key, value, revision } = change;
        if **key == *run::OWN_KEY.as_bytes() {
            // The run itself has written it, and no client.
            return;
        }
        let life = self.lives.get(node).copied().unwrap_or(0);
        history.push(Record::Event(history::Event {
            node: match self.resyncs.get(node).copied().unwrap_or(0) {
                0 => format!("{}#{life}", name(node)),
                resyncs => format!("{}#{life}.{resyncs}", name(node)),
            },
            key: text(key),
            value: value.as_ref().map(text),
            revision: *revision,
            at: hands.now.0,
        }));
    }

    fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        self.lives.resize(hands.nodes(), 0);
        self.lives[node] += 1;
        self.resyncs.resize(hands.nodes(), 0);
        self.resyncs[node] = 0;
    }

    fn down(&mut self, _: &mut Hands<'_, '_>, node: usize) {
        let lost: Vec<Ticket> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.node == node)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in lost {
            if let Some(pending) = self.pending.remove(&ticket) {
                self.unknown += 1;
                self.record(&pending, None, None);
            }
        }
    }
}

// In words.

fn text(bytes: &[u8]) -> String {
    if bytes.len() > 60 {
        format!("<{} bytes>", bytes.len())
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// A request, in words.
pub(crate) fn describe(request: &Request) -> String {
    match request {
        Request::Write(Command::Set { key, value }) => format!("set {} = {}", text(key), text(value)),
        Request::Write(Command::Delete { key }) => format!("delete {}", text(key)),
        Request::Write(Command::CompareAndSet { key, expect, value }) => {
            let expect = match expect {
                Expect::Absent => "absent".into(),
                Expect::Value(value) => text(value),
                Expect::Revision(revision) => format!("revision {revision}"),
            };
            format!("swap {} from {expect} to {}", text(key), text(value))
        }
        Request::Get { key, read: Read::Lease } => format!("get {} by lease", text(key)),
        Request::Get { key, read: Read::Local } => format!("get {} as it is here", text(key)),
        Request::Get { key, .. } => format!("get {}", text(key)),
        Request::TransferLeadership { to: Some(to) } => format!("have {to} lead"),
        Request::TransferLeadership { to: None } => "have another node lead".into(),
        Request::Stop => "stop".into(),
        Request::View => "view".into(),
        Request::Status => "status".into(),
        other => format!("{other:?}"),
    }
}

/// An answer, in words.
pub(crate) fn tell(answer: &Answer) -> String {
    match answer {
        Answer::Written(Ok(Outcome::Set { revision } | Outcome::Swapped { revision })) => {
            format!("ok, revision {revision}")
        }
        Answer::Written(Ok(Outcome::Deleted { revision, found })) => {
            format!("ok, revision {revision}, found: {found}")
        }
        Answer::Written(Ok(Outcome::Mismatch { actual, .. })) => format!("no match, revision {actual}"),
        Answer::Read(Ok(Some(found))) => format!("{} of revision {}", text(&found.value), found.revision),
        Answer::Read(Ok(None)) => "absent".into(),
        Answer::Written(Err(error)) | Answer::Read(Err(error)) | Answer::Transferred(Err(error)) => {
            error.to_string()
        }
        Answer::Transferred(Ok(())) => "it leads".into(),
        Answer::Stopped => "stopped".into(),
        _ => "…".into(),
    }
}

/// An event, in words, if it is worth them.
pub(crate) fn tell_event(event: &Event) -> Option<String> {
    match event {
        Event::Change(change) => {
            let value = change.value.as_ref().map_or("gone".into(), |value| text(value));
            Some(format!("sees {} = {value} (revision {})", text(&change.key), change.revision))
        }
        Event::Leader { leader: Some(leader), term } => Some(format!("follows {leader} t{term}")),
        Event::Leader { leader: None, term } => Some(format!("follows nobody t{term}")),
        Event::LinkUp { peer } => Some(format!("has a link to {peer}")),
        Event::LinkDown { peer, why } => Some(format!("has lost its link to {peer}: {why}")),
        Event::Unreachable { peer, why } => Some(format!("does not reach {peer}: {why}")),
        Event::PeerDamaged { peer } => Some(format!("meets {peer}, of which a file is damaged")),
        Event::BegunAnew { set_aside, .. } => Some(format!("begins anew, with {set_aside} files set aside")),
        Event::Removed => Some("learns that it was removed".into()),
        Event::Admitted => Some("is in its seat".into()),
        Event::NotAdmitted { why } => Some(format!("is not admitted: {why}")),
        _ => None,
    }
}
