//! Words as one line each.

use core::fmt::{Formatter, Result, Write};

use bytes::Bytes;

use super::{Said, What};
use crate::entry::Entry;
use crate::id::{Incarnation, NodeId};
use crate::kv::{Command, Expect};
use crate::mesh::{Frame, Hello, Service};
use crate::raft::{Directive, Pledge, Received};

pub(super) fn frame(f: &mut Formatter<'_>, frame: &Frame) -> Result {
    match frame {
        Frame::Hello(hello) => self::hello(f, "hello", hello),
        Frame::Welcome { hello, .. } => self::hello(f, "welcome", hello),
        Frame::Confirm => f.write_str("confirm"),
        Frame::Goodbye { reason } => {
            f.write_str("goodbye: ")?;
            one_line(f, reason)
        }
        Frame::Removed { by } => write!(f, "removed by {by}"),
        Frame::Ping => f.write_str("ping"),
        Frame::Raft(Received::Directive(directive, entries)) => self::directive(f, directive, entries),
        Frame::Raft(Received::Pledge(pledge)) => self::pledge(f, pledge),
        Frame::Service(service, payload) => self::service(f, service, payload),
    }
}

/// What somebody else has written stays on the line that it stands on.
fn one_line(f: &mut Formatter<'_>, text: &str) -> Result {
    let mut chars = text.chars();
    chars.try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
}

fn hello(f: &mut Formatter<'_>, kind: &str, hello: &Hello) -> Result {
    let founded = if hello.cluster.is_some() { " founded" } else { "" };
    write!(f, "{kind}{founded}{}", if hello.damaged { " damaged" } else { "" })
}

fn directive(f: &mut Formatter<'_>, directive: &Directive, entries: &[Entry]) -> Result {
    match directive {
        Directive::Append(append) => {
            write!(f, "append t{} prev={} commit={} [", append.term, append.prev, append.commit)?;
            // A liar may begin where no log goes on.
            let mut index = append.prev.index;
            for (nth, entry) in entries.iter().enumerate() {
                index = index.next();
                f.write_str(if nth == 0 { "" } else { ", " })?;
                write!(f, "{index}")?;
                said(f, &entry.bytes)?;
            }
            f.write_str("]")
        }
        Directive::Commit { term, commit } => write!(f, "commit t{term} {commit}"),
        Directive::Heartbeat(heartbeat) => {
            write!(f, "heartbeat t{} commit={} round={}", heartbeat.term, heartbeat.commit, heartbeat.round)
        }
        Directive::TimeoutNow { term } => write!(f, "timeout-now t{term}"),
        Directive::Offer { term } => write!(f, "offer t{term}: begin anew"),
        Directive::Snapshot(piece) => {
            let end = piece.offset.saturating_add(piece.bytes.len() as u64);
            write!(f, "snapshot t{} last={} {}..{end}", piece.term, piece.last, piece.offset)?;
            f.write_str(if piece.done { " done" } else { "" })
        }
    }
}

fn pledge(f: &mut Formatter<'_>, pledge: &Pledge) -> Result {
    match pledge {
        Pledge::VoteRequest(request) => {
            let kind = if request.pre { "pre-vote-request" } else { "vote-request" };
            let handed = if request.handed_over { " handed over" } else { "" };
            write!(f, "{kind} t{} last={}{handed}", request.term, request.last)
        }
        Pledge::VoteReply { term, pre, granted } => {
            let kind = if *pre { "pre-vote" } else { "vote" };
            write!(f, "{kind} t{term} {}", if *granted { "granted" } else { "refused" })
        }
        Pledge::Appended { term, matched } => write!(f, "appended t{term} matched={matched}"),
        Pledge::Conflict { term, probed, hint } => write!(f, "conflict t{term} probed={probed} hint={hint}"),
        Pledge::Confirmed { term, round, .. } => write!(f, "confirmed t{term} round={round}"),
        Pledge::Received { term, last, offset, .. } => {
            write!(f, "received t{term} last={last} ..{offset}")
        }
    }
}

fn service(f: &mut Formatter<'_>, service: &Service, payload: &Bytes) -> Result {
    match service {
        Service::OpenSession => f.write_str("open-session"),
        Service::Write { attempt, .. } => {
            f.write_str("please ")?;
            match Said::parse(payload.clone()) {
                Some(said) => what(f, &said.what)?,
                None => f.write_str("?")?,
            }
            write!(f, " (attempt {attempt})")
        }
        Service::Refused { seq, attempt, why } => write!(f, "refused #{seq} (attempt {attempt}): {why:?}"),
        Service::Read { question, by_lease } => {
            write!(f, "read-index question={question}{}", if *by_lease { " by lease" } else { "" })
        }
        Service::ReadAt { question, index } => write!(f, "read-at question={question} {index}"),
        Service::ReadRefused { question } => write!(f, "read-refused question={question}"),
        Service::Transfer { to: Some(to), .. } => write!(f, "transfer to {to}"),
        Service::Transfer { to: None, .. } => f.write_str("transfer to whoever is most advanced"),
        Service::Kept { why, .. } => write!(f, "not transferred: {why:?}"),
        Service::ChangeMembers { change, .. } => write!(f, "change the members: {change}"),
        Service::Members { known } => {
            f.write_str("there are")?;
            known.iter().try_for_each(|member| write!(f, " {member}"))
        }
        Service::Changed { at, .. } => write!(f, "members changed by {at}"),
        Service::Unchanged { why, .. } => write!(f, "members not changed: {why:?}"),
    }
}

fn said(f: &mut Formatter<'_>, bytes: &Bytes) -> Result {
    match Said::parse(bytes.clone()) {
        Some(said) => write!(f, "{said}"),
        None => f.write_str("?"),
    }
}

pub(super) fn what(f: &mut Formatter<'_>, what: &What) -> Result {
    match what {
        What::Genesis { seats, .. } => {
            f.write_str("genesis(")?;
            self::seats(f, seats)
        }
        What::Noop => f.write_str("noop"),
        What::Members { seats, outgoing, learners } => {
            f.write_str("members(")?;
            self::seats(f, seats)?;
            for (what, seats) in [(" from(", outgoing), (" learners(", learners)] {
                if !seats.is_empty() {
                    f.write_str(what)?;
                    self::seats(f, seats)?;
                }
            }
            Ok(())
        }
        What::OpenSession { node, .. } => write!(f, "open-session({node})"),
        What::Write { session, seq, command, .. } => {
            self::command(f, command)?;
            write!(f, "#{session}.{seq}")
        }
    }
}

/// The seats: a dash for an empty one.
fn seats(f: &mut Formatter<'_>, seats: &[(NodeId, Option<Incarnation>)]) -> Result {
    for (at, (id, bound)) in seats.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { " " })?;
        write!(f, "{}{id}", if bound.is_some() { "" } else { "-" })?;
    }
    f.write_str(")")
}

fn command(f: &mut Formatter<'_>, command: &Command) -> Result {
    match command {
        Command::Set { key, value } => write!(f, "{}={}", Text(key), Text(value)),
        Command::Delete { key } => write!(f, "delete {}", Text(key)),
        Command::CompareAndSet { key, expect, value } => {
            write!(f, "{}: ", Text(key))?;
            match expect {
                Expect::Absent => f.write_str("-")?,
                Expect::Value(expected) => write!(f, "{}", Text(expected))?,
                Expect::Revision(revision) => write!(f, "revision {revision}")?,
            }
            write!(f, "=>{}", Text(value))
        }
    }
}

/// Bytes as text, if they are not too many.
struct Text<'t>(&'t [u8]);

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.len() > 100 {
            return write!(f, "<{} bytes>", self.0.len());
        }
        one_line(f, &alloc::string::String::from_utf8_lossy(self.0))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use crate::id::{ClusterId, EntryId, Term};
    use crate::inspect::{Ear, forge};
    use crate::kv::Command;

    /// Found by a fuzzer: the first was two lines, and of the second nothing could be told.
    #[test]
    fn whatever_a_liar_says_is_told_on_one_line() {
        let mut ear = Ear::default();
        ear.push(forge::goodbye("one\ntwo: ü"));
        ear.push(forge::append(Term(1), ClusterId(9), EntryId::new(u64::MAX, 1), Term(1)));
        ear.push(forge::write(1, &Command::Delete { key: "k\ney".into() }));
        let mut told = || ear.next_word().map(|word| word.to_string());
        assert_eq!(told().as_deref(), Some("goodbye: one\\ntwo: ü"));
        assert!(told().is_some_and(|word| word.starts_with("append t1 prev=18446744073709551615@1")));
        assert!(told().is_some_and(|word| word.contains("k\\ney")));
    }
}
