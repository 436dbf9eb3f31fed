//! What a node answers to a command: always one line.

use std::time::Duration;

use diskeyval_mio::command::request::{COMMANDS, Request};
use diskeyval_mio::command::text;
use diskeyval_mio::{Error, Expect, Node, Read, Status, Swap, Versioned, View, explain};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Does what is asked, and says what came of it.
pub(crate) fn answer(node: &Node, request: Request) -> String {
    let answer = match request {
        Request::Set { key, value } => node.set(key, value).map(|commit| format!("ok {}", commit.revision)),
        Request::Get { key } => node.get_with(key, Read::Linearizable).map(read),
        Request::GetLocal { key } => node.get_with(key, Read::Local).map(read),
        Request::Delete { key } => node.delete(key).map(|deleted| {
            format!("ok {} {}", deleted.revision, if deleted.found { "found" } else { "absent" })
        }),
        Request::Cas { key, old, new } => {
            let expect = old.map_or(Expect::Absent, |old| Expect::Value(old.into()));
            node.compare_and_set(key, expect, new).map(|swap| match swap {
                Swap::Swapped { revision } => format!("ok {revision}"),
                Swap::Mismatch { actual: Some(actual), .. } => format!("mismatch {actual}"),
                Swap::Mismatch { actual: None, .. } => "mismatch absent".into(),
            })
        }
        Request::State => node.view().map(|view| json(&State(&view))),
        Request::Peers => Ok(json(&node.peers())),
        Request::Members => node.members().map(|members| json(&members)),
        Request::Leader => Ok(leader(node)),
        Request::Status => node.status().map(|status| json(&Explained::from(status))),
        Request::Metrics => Ok(json(&node.metrics())),
        Request::Snapshot => node.snapshot().map(|revision| format!("ok {revision}")),
        Request::Transfer { to } => {
            node.transfer_leadership(to.as_ref(), TRANSFER_WITHIN).map(|()| "ok".to_owned())
        }
        Request::Change(change) => node
            .with_timeout(CHANGE_WITHIN)
            .submit_change(change)
            .wait()
            .map(|revision| format!("ok {revision}")),
        Request::Recover => node
            .recover_accepting_data_loss(RECOVER_WITHIN)
            .map(|recovery| format!("ok {}", recovery.revision)),
        Request::Reload => match node.reload() {
            Ok(()) => Ok("ok".to_owned()),
            Err(error) => Ok(text::one_line(&format!("refused: {error}"))),
        },
        Request::Help => Ok(help()),
        // Said when the node has ended, by whoever ends it.
        Request::Quit => Ok(BYE.to_owned()),
    };
    answer.unwrap_or_else(|error: Error| text::one_line(&error.to_string()))
}

/// How long a hand-over may take: several elections, should the first come to nothing.
const TRANSFER_WITHIN: Duration = Duration::from_secs(5);

/// How long a change of the members may take: who comes has to catch up, with a state of some size.
const CHANGE_WITHIN: Duration = Duration::from_secs(60);

/// How long a state of any size may take to be written.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);

/// The answer to `quit`.
pub(crate) const BYE: &str = "bye";

/// The answer to a line that is no command.
pub(crate) fn mistake(why: &str) -> String {
    format!("error: {}", text::one_line(why))
}

fn read(found: Option<Versioned>) -> String {
    match found {
        Some(found) => format!("value {}", text::escape(&found.value)),
        None => "absent".to_owned(),
    }
}

fn leader(node: &Node) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Leader {
        leader: Option<String>,
        is_leader: bool,
    }

    // Taken once: two questions could fall on both sides of a change.
    let leader = node.leader_id();
    let is_leader = leader.as_ref() == Some(node.id());
    json(&Leader { leader: leader.map(|id| id.to_string()), is_leader })
}

fn help() -> String {
    let forms: Vec<_> = COMMANDS
        .iter()
        .map(|[form, _, answers]| match *answers {
            "" => (*form).to_owned(),
            answers => format!("{form} -> {answers}"),
        })
        .collect();
    format!(
        "commands: {}; else refused: WHY, unknown: WHY (writes, transfer, changes of members) or error: WHY",
        forms.join("; ")
    )
}

/// All keys with their values, as one object.
struct State<'a>(&'a View);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, versioned) in self.0.iter() {
            map.serialize_entry(&text::for_json(key), &text::for_json(&versioned.value))?;
        }
        map.end()
    }
}

/// A status with what it comes to, in words.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    status: Status,
    explanation: String,
}

impl From<Status> for Explained {
    fn from(status: Status) -> Explained {
        let explanation = explain(std::slice::from_ref(&status)).to_string();
        Explained { status, explanation }
    }
}

fn json(what: &impl Serialize) -> String {
    match serde_json::to_string(what) {
        Ok(json) => text::json_line(json),
        Err(error) => mistake(&format!("this cannot be told as JSON: {error}")),
    }
}
