//! What the suite and the process of a node say to each other: a line of JSON for each request, and one for each answer.
//! Keys and values are text here.

use std::collections::BTreeMap;

use diskeyval_core::{
    Answer, Command, Error, Expect, MemberChange, NodeId, Outcome, Read, Request, Versioned,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request, and the number under which it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) number: u64,
    pub(super) budget_ms: u64,
    pub(super) ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Set { key: String, value: String },
    Delete { key: String },
    SetIfAbsent { key: String, value: String },
    SetIfValue { key: String, expect: String, value: String },
    SetIfRevision { key: String, expect: u64, value: String },
    Get { key: String },
    GetByLease { key: String },
    GetLocal { key: String },
    View,
    Status,
    Snapshot,
    Transfer { to: Option<String> },
    Change { change: MemberChange },
    Stop,
}

/// An answer, and the number of its request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) number: u64,
    pub(super) told: Told,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Told {
    Written(Result<Outcome, Trouble>),
    Read(Result<Option<Found>, Trouble>),
    View(BTreeMap<String, Found>),
    Status(Value),
    Snapshot(Result<u64, Trouble>),
    Transferred(Result<(), Trouble>),
    MembersChanged(Result<u64, Trouble>),
    Stopped,
    /// An answer to something else than was asked.
    Strange(String),
}

/// A value and its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) value: String,
    pub(super) revision: u64,
}

/// An error, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trouble {
    Refused(String),
    Unknown(String),
}

impl Ask {
    /// The request of the engine that it stands for; `None` for [`Ask::Stop`], and for a name that is none.
    pub(super) fn request(self) -> Option<Request> {
        let swap = |key: String, expect, value: String| {
            Request::Write(Command::CompareAndSet { key: key.into(), expect, value: value.into() })
        };
        Some(match self {
            Ask::Set { key, value } => Request::Write(Command::Set { key: key.into(), value: value.into() }),
            Ask::Delete { key } => Request::Write(Command::Delete { key: key.into() }),
            Ask::SetIfAbsent { key, value } => swap(key, Expect::Absent, value),
            Ask::SetIfValue { key, expect, value } => swap(key, Expect::Value(expect.into()), value),
            Ask::SetIfRevision { key, expect, value } => swap(key, Expect::Revision(expect), value),
            Ask::Get { key } => Request::Get { key: key.into(), read: Read::Linearizable },
            Ask::GetByLease { key } => Request::Get { key: key.into(), read: Read::Lease },
            Ask::GetLocal { key } => Request::Get { key: key.into(), read: Read::Local },
            Ask::View => Request::View,
            Ask::Status => Request::Status,
            Ask::Snapshot => Request::Snapshot,
            Ask::Transfer { to: None } => Request::TransferLeadership { to: None },
            Ask::Transfer { to: Some(to) } => {
                Request::TransferLeadership { to: Some(NodeId::new(&to).ok()?) }
            }
            Ask::Change { change } => Request::ChangeMembers { change },
            Ask::Stop => return None,
        })
    }
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Told {
        match answer {
            Answer::Written(result) => Told::Written(result.map_err(Trouble::from)),
            Answer::Read(result) => {
                Told::Read(result.map(|found| found.as_ref().map(Found::from)).map_err(Trouble::from))
            }
            Answer::View(view) => {
                Told::View(view.iter().map(|(key, found)| (text(key), found.into())).collect())
            }
            Answer::Status(status) => match serde_json::to_value(&status) {
                Ok(status) => Told::Status(status),
                Err(error) => Told::Strange(error.to_string()),
            },
            Answer::Snapshot(result) => Told::Snapshot(result.map_err(Trouble::from)),
            Answer::Transferred(result) => Told::Transferred(result.map_err(Trouble::from)),
            Answer::MembersChanged(result) => Told::MembersChanged(result.map_err(Trouble::from)),
            Answer::Stopped => Told::Stopped,
            other => Told::Strange(format!("{other:?}")),
        }
    }
}

impl From<&Versioned> for Found {
    fn from(found: &Versioned) -> Found {
        Found { value: text(&found.value), revision: found.revision }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error {
            Error::Refused(why) => Trouble::Refused(why.to_string()),
            Error::Unknown(why) => Trouble::Unknown(why.to_string()),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
