//! Messages, answers and nodes as one line each.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;

use crate::entry::{Entry, Payload};
use crate::io::{Answer, Event};
use crate::kv::{Command, Expect, Outcome};
use crate::mesh::{Frame, Service};
use crate::raft::{Directive, Pledge, Received};
use crate::status::Status;

/// A frame, and whether it is one of those that come all the time.
pub(super) fn frame(frame: &Frame) -> (String, bool) {
    let line = match frame {
        Frame::Hello(hello) => format!("hello{}", if hello.cluster.is_some() { " founded" } else { "" }),
        Frame::Welcome { hello, .. } => {
            format!("welcome{}", if hello.cluster.is_some() { " founded" } else { "" })
        }
        Frame::Confirm => "confirm".into(),
        Frame::Goodbye { reason } => format!("goodbye: {reason}"),
        Frame::Ping => "ping".into(),
        Frame::Raft(Received::Directive(directive, entries)) => self::directive(directive, entries),
        Frame::Raft(Received::Pledge(pledge)) => self::pledge(pledge),
        Frame::Service(service, payload) => self::service(service, payload),
    };
    let common = match frame {
        Frame::Hello(_) | Frame::Welcome { .. } | Frame::Confirm | Frame::Ping => true,
        Frame::Raft(Received::Directive(Directive::Heartbeat(heartbeat), _)) => heartbeat.round == 0,
        Frame::Raft(Received::Pledge(Pledge::Confirmed { round, .. })) => *round == 0,
        Frame::Goodbye { .. } | Frame::Raft(_) | Frame::Service(..) => false,
    };
    (line, common)
}

fn directive(directive: &Directive, entries: &[Entry]) -> String {
    match directive {
        Directive::Append(append) => {
            let entries: Vec<String> = (append.prev.index.0 + 1..)
                .zip(entries)
                .map(|(index, entry)| format!("{index}@{} {}", entry.term, payload(&entry.payload)))
                .collect();
            let (term, prev, commit) = (append.term, append.prev, append.commit);
            format!("append t{term} prev={prev} commit={commit} [{}]", entries.join(", "))
        }
        Directive::Commit { term, commit } => format!("commit t{term} {commit}"),
        Directive::Heartbeat(heartbeat) => {
            let (term, commit, round) = (heartbeat.term, heartbeat.commit, heartbeat.round);
            format!("heartbeat t{term} commit={commit} round={round}")
        }
        Directive::TimeoutNow { term } => format!("timeout-now t{term}"),
    }
}

fn pledge(pledge: &Pledge) -> String {
    match pledge {
        Pledge::VoteRequest(request) => {
            let kind = if request.pre { "pre-vote-request" } else { "vote-request" };
            let handed = if request.handed_over { " handed over" } else { "" };
            format!("{kind} t{} last={}{handed}", request.term, request.last)
        }
        Pledge::VoteReply { term, pre, granted } => {
            let kind = if *pre { "pre-vote" } else { "vote" };
            format!("{kind} t{term} {}", if *granted { "granted" } else { "refused" })
        }
        Pledge::Appended { term, matched } => format!("appended t{term} matched={matched}"),
        Pledge::Conflict { term, probed, hint } => format!("conflict t{term} probed={probed} hint={hint}"),
        Pledge::Confirmed { term, round, .. } => format!("confirmed t{term} round={round}"),
    }
}

fn service(service: &Service, payload: &Bytes) -> String {
    match service {
        Service::OpenSession => "open-session".into(),
        Service::Write { attempt, .. } => {
            let write = Entry::parse(payload.clone()).map(|entry| self::payload(&entry.payload));
            format!("please {} (attempt {attempt})", write.unwrap_or_else(|_| "?".into()))
        }
        Service::Refused { seq, attempt, why } => format!("refused #{seq} (attempt {attempt}): {why:?}"),
        Service::Read { question } => format!("read-index question={question}"),
        Service::ReadAt { question, index } => format!("read-at question={question} {index}"),
        Service::ReadRefused { question } => format!("read-refused question={question}"),
    }
}

fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Genesis(genesis) => format!("genesis({})", seats(&genesis.members)),
        Payload::Noop => "noop".into(),
        Payload::Members(members) => format!("members({})", seats(members)),
        Payload::OpenSession(owner) => format!("open-session({})", owner.node),
        Payload::Write(write) => format!("{}#{}.{}", command(&write.command), write.session, write.seq),
    }
}

/// The seats: a dash for an empty one.
fn seats(members: &crate::members::Membership) -> String {
    let seats: Vec<String> = members
        .seats
        .iter()
        .map(|seat| if seat.bound.is_some() { seat.id.to_string() } else { format!("-{}", seat.id) })
        .collect();
    seats.join(" ")
}

fn command(command: &Command) -> String {
    match command {
        Command::Set { key, value } => format!("{}={}", text(key), text(value)),
        Command::Delete { key } => format!("delete {}", text(key)),
        Command::CompareAndSet { key, expect, value } => {
            let expected = match expect {
                Expect::Absent => "-".into(),
                Expect::Value(expected) => text(expected),
                Expect::Revision(revision) => format!("revision {revision}"),
            };
            format!("{}: {expected}=>{}", text(key), text(value))
        }
    }
}

fn text(bytes: &Bytes) -> String {
    if bytes.len() > 100 {
        return format!("<{} bytes>", bytes.len());
    }
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Written(Ok(outcome)) => match outcome {
            Outcome::Set { revision } | Outcome::Swapped { revision } => format!("ok {revision}"),
            Outcome::Deleted { revision, found } => format!("ok {revision} found={found}"),
            Outcome::Mismatch { actual, .. } => format!("mismatch: revision {actual}"),
        },
        Answer::Read(Ok(Some(found))) => {
            format!("value {} of revision {}", text(&found.value), found.revision)
        }
        Answer::Read(Ok(None)) => "absent".into(),
        Answer::Written(Err(error)) | Answer::Read(Err(error)) => error.to_string(),
        Answer::View(_) | Answer::Status(_) => "shown elsewhere".into(),
        Answer::Stopped => "stopped".into(),
    }
}

pub(super) fn event(event: &Event) -> Option<String> {
    match event {
        Event::Change(change) => {
            let value =
                change.value.as_ref().map_or_else(|| "deleted".into(), |value| format!("= {}", text(value)));
            Some(format!("change {} {value} (revision {})", text(&change.key), change.revision))
        }
        Event::Leader { leader: Some(leader), term } => Some(format!("follows {leader} t{term}")),
        Event::Leader { leader: None, term } => Some(format!("follows nobody t{term}")),
        Event::Admitted => Some("is admitted".into()),
        Event::NotAdmitted { why } => Some(format!("is not admitted: {why}")),
        Event::LinkDown { peer, why } => Some(format!("lost {peer}: {why}")),
        Event::LinkUp { .. } | Event::Unreachable { .. } => None,
    }
}

pub(super) fn status(status: &Status) -> String {
    let leader = status.leader.as_ref().map_or("-".into(), ToString::to_string);
    let mut line = format!(
        "{} {} t{} leader={leader} last={}@{} commit={} applied={} keys={}",
        status.node_id,
        status.role,
        status.term,
        status.last_index,
        status.last_term,
        status.commit_index,
        status.last_applied,
        status.keys
    );
    let matched: Vec<String> = status
        .members
        .iter()
        .filter(|member| member.node_id != status.node_id)
        .filter_map(|member| member.matched.map(|matched| format!("{}:{matched}", member.node_id)))
        .collect();
    if !matched.is_empty() {
        line += &format!(" matched={}", matched.join(","));
    }
    line
}
