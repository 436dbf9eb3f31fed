//! The text form of a history: one JSON object a line, blank lines between them allowed.
//!
//! An operation, on one line:
//!
//! ```text
//! {"client":int,"op":"set"|"get"|"delete"|"cas","key":str,"value":str|null,"expect":str|null,
//!  "call":int,"return":int|null,"outcome":"ok"|"fail"|"unknown","result":..,"revision":int}
//! ```
//!
//! and a change event:
//!
//! ```text
//! {"op":"event","node":str,"key":str,"value":str|null,"revision":int,"at":int}
//! ```
//!
//! `result` is what a get read (`null`: absent), whether a cas swapped (bool), whether a delete found
//! something (bool), and `null` for a set; if the outcome is not `ok` it is `null` and not looked at.
//! `revision` may be left out. Of the others, a field that does not apply is `null` or left out; one that is
//! needed must be there, also to say `null`. A field that is not named here is an error, so that a misspelt
//! one does not weaken a check in silence.

use core::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::history::{Action, Event, History, Operation, Outcome, Record};

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 16 << 20;

/// The line of a record, without a line feed.
pub fn to_line(record: &Record) -> String {
    match record {
        Record::Operation(operation) => json(&OperationLine::from(operation)),
        Record::Event(Event { node, key, value, revision, at }) => {
            json(&EventLine { op: "event", node, key, value: value.as_deref(), revision: *revision, at: *at })
        }
    }
}

/// The record of a line.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_line(line: &[u8]) -> Result<Record, String> {
    // The JSON reader would take an array of the fields, too.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    let fields: Fields = serde_json::from_slice(line).map_err(|error| explain(&error))?;
    fields.record()
}

/// Read a whole history.
///
/// # Errors
/// The first line that is not understood, and why; or what the reader reports.
pub fn read(mut reader: impl BufRead) -> Result<History, ReadError> {
    let mut history = History::new();
    let mut buffer = Vec::new();
    let mut line = 0;
    loop {
        line += 1;
        buffer.clear();
        let limit = MAX_LINE as u64 + 1;
        let length = reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut buffer)
            .map_err(|source| ReadError::Io { line, source })?;
        if length == 0 {
            return Ok(history);
        }
        let text = buffer.trim_ascii();
        if text.len() > MAX_LINE || (buffer.len() > MAX_LINE && buffer.last() != Some(&b'\n')) {
            let why = format!("longer than {MAX_LINE} bytes");
            return Err(ReadError::Malformed { line, why, beginning: beginning(text) });
        }
        if text.is_empty() {
            continue;
        }
        match parse_line(text) {
            Ok(record) => history.push_at(line, record),
            Err(why) => return Err(ReadError::Malformed { line, why, beginning: beginning(text) }),
        }
    }
}

/// Why a history could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// A line is no record.
    Malformed {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
        /// How it begins.
        beginning: String,
    },
    /// The reader failed.
    Io {
        /// The number of the line that was being read, from 1.
        line: u64,
        /// What it reported.
        source: io::Error,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Malformed { line, why, beginning } => {
                write!(f, "line {line}: {why}; it begins: {beginning}")
            }
            ReadError::Io { line, source } => write!(f, "line {line}: cannot be read: {source}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Malformed { .. } => None,
            ReadError::Io { source, .. } => Some(source),
        }
    }
}

/// How a line begins, fit to be printed.
fn beginning(line: &[u8]) -> String {
    const SHOWN: usize = 100;
    let cut = &line[..line.len().min(SHOWN)];
    let dots = if cut.len() < line.len() { "..." } else { "" };
    let text: String = String::from_utf8_lossy(cut)
        .chars()
        .map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char })
        .collect();
    text + dots
}

/// The JSON reader knows one line only: its line number would mislead.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => format!("{} at column {}", &text[..end], error.column()),
        None => text,
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("strings and integers always have a JSON form")
}

#[derive(Serialize)]
struct EventLine<'a> {
    op: &'a str,
    node: &'a str,
    key: &'a str,
    value: Option<&'a str>,
    revision: u64,
    at: u64,
}

#[derive(Serialize)]
struct OperationLine<'a> {
    client: u64,
    op: &'a str,
    key: &'a str,
    value: Option<&'a str>,
    expect: Option<&'a str>,
    call: u64,
    #[serde(rename = "return")]
    returned: Option<u64>,
    outcome: &'a str,
    result: Answer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
}

impl<'a> From<&'a Operation> for OperationLine<'a> {
    fn from(operation: &'a Operation) -> OperationLine<'a> {
        let (op, value, expect, result) = match &operation.action {
            Action::Set { value, .. } => ("set", Some(value.as_str()), None, Answer::Null),
            Action::Get { outcome } => {
                let read =
                    if let Outcome::Ok(Some(read)) = outcome { Answer::Text(read) } else { Answer::Null };
                ("get", None, None, read)
            }
            Action::Delete { outcome } => ("delete", None, None, answer(outcome)),
            Action::CompareAndSet { expect, value, outcome } => {
                ("cas", value.as_deref(), expect.as_deref(), answer(outcome))
            }
        };
        OperationLine {
            client: operation.client,
            op,
            key: &operation.key,
            value,
            expect,
            call: operation.call,
            returned: operation.returned,
            outcome: match operation.outcome() {
                Outcome::Ok(()) => "ok",
                Outcome::Refused => "fail",
                Outcome::Unknown => "unknown",
            },
            result,
            revision: operation.revision,
        }
    }
}

fn answer(outcome: &Outcome<bool>) -> Answer<'static> {
    if let Outcome::Ok(told) = outcome { Answer::Bool(*told) } else { Answer::Null }
}

/// Every field that a line can have. Outer `None`: left out; inner `None`: `null`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    op: String,
    key: String,
    client: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    expect: Option<Option<String>>,
    call: Option<u64>,
    #[serde(rename = "return")]
    returned: Option<u64>,
    outcome: Option<String>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Told>,
    revision: Option<u64>,
    node: Option<String>,
    at: Option<u64>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What may stand in `result`.
enum Told {
    Null,
    Bool(bool),
    Text(String),
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Told, D::Error> {
        struct ToldVisitor;
        impl Visitor<'_> for ToldVisitor {
            type Value = Told;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, true, false or a string as the result")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Told, E> {
                Ok(Told::Null)
            }

            fn visit_bool<E: de::Error>(self, told: bool) -> Result<Told, E> {
                Ok(Told::Bool(told))
            }

            fn visit_str<E: de::Error>(self, told: &str) -> Result<Told, E> {
                Ok(Told::Text(told.to_owned()))
            }
        }
        deserializer.deserialize_any(ToldVisitor)
    }
}

impl Fields {
    fn record(self) -> Result<Record, String> {
        match self.op.as_str() {
            "event" => self.event().map(Record::Event),
            "set" | "get" | "delete" | "cas" => self.operation().map(Record::Operation),
            other => {
                let other = crate::history::Quoted(other);
                Err(format!("`op` is {other}; it must be \"set\", \"get\", \"delete\", \"cas\" or \"event\""))
            }
        }
    }

    fn event(self) -> Result<Event, String> {
        let foreign = [
            ("client", self.client.is_some()),
            ("expect", self.expect.is_some()),
            ("call", self.call.is_some()),
            ("return", self.returned.is_some()),
            ("outcome", self.outcome.is_some()),
            ("result", self.result.is_some()),
        ];
        refuse("an event", &foreign)?;
        Ok(Event {
            node: need("node", self.node)?,
            key: self.key,
            value: need("value", self.value)?,
            revision: need("revision", self.revision)?,
            at: need("at", self.at)?,
        })
    }

    fn operation(self) -> Result<Operation, String> {
        let (op, call) = (self.op, need("call", self.call)?);
        refuse("an operation", &[("node", self.node.is_some()), ("at", self.at.is_some())])?;
        if matches!(op.as_str(), "get" | "delete") {
            refuse(&format!("a {op}"), &[("value", matches!(self.value, Some(Some(_))))])?;
        }
        if op != "cas" {
            refuse(&format!("a {op}"), &[("expect", matches!(self.expect, Some(Some(_))))])?;
        }
        let ended = Ended { how: need("outcome", self.outcome)?, result: self.result };
        if let Some(returned) = self.returned
            && returned < call
        {
            return Err(format!("it returned at {returned}, before its call at {call}"));
        }
        if ended.how == "ok" && self.returned.is_none() {
            return Err("`outcome` is \"ok\", but `return` says that there was no answer".to_owned());
        }
        let action = match op.as_str() {
            "set" => {
                let value = need("value", self.value)?.ok_or("a set needs a `value` that is not null")?;
                Action::Set { value, outcome: ended.nothing()? }
            }
            "get" => Action::Get { outcome: ended.value()? },
            "delete" => Action::Delete { outcome: ended.bool()? },
            _ => Action::CompareAndSet {
                expect: need("expect", self.expect)?,
                value: need("value", self.value)?,
                outcome: ended.bool()?,
            },
        };
        let client = need("client", self.client)?;
        Ok(Operation {
            client,
            key: self.key,
            action,
            call,
            returned: self.returned,
            revision: self.revision,
        })
    }
}

/// `outcome` and `result` of a line.
struct Ended {
    how: String,
    result: Option<Told>,
}

impl Ended {
    fn nothing(self) -> Result<Outcome<()>, String> {
        self.told(|told| matches!(told, None | Some(Told::Null)).then_some(()), "null, for a set")
    }

    fn value(self) -> Result<Outcome<Option<String>>, String> {
        let value = |told| match told {
            Some(Told::Null) => Some(None),
            Some(Told::Text(read)) => Some(Some(read)),
            Some(Told::Bool(_)) | None => None,
        };
        self.told(value, "what the get read: a string, or null if the key was absent")
    }

    fn bool(self) -> Result<Outcome<bool>, String> {
        let bool = |told| if let Some(Told::Bool(told)) = told { Some(told) } else { None };
        self.told(bool, "true or false, for a delete or cas")
    }

    fn told<T>(
        self,
        answer: impl FnOnce(Option<Told>) -> Option<T>,
        wanted: &str,
    ) -> Result<Outcome<T>, String> {
        match self.how.as_str() {
            "ok" => answer(self.result).map(Outcome::Ok).ok_or_else(|| format!("`result` must be {wanted}")),
            "fail" => Ok(Outcome::Refused),
            "unknown" => Ok(Outcome::Unknown),
            other => {
                let other = crate::history::Quoted(other);
                Err(format!("`outcome` is {other}; it must be \"ok\", \"fail\" or \"unknown\""))
            }
        }
    }
}

fn need<T>(name: &str, field: Option<T>) -> Result<T, String> {
    field.ok_or_else(|| format!("`{name}` is missing"))
}

fn refuse(what: &str, fields: &[(&str, bool)]) -> Result<(), String> {
    match fields.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(format!("{what} has no `{name}`")),
        None => Ok(()),
    }
}
