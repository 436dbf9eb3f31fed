//! The notes in the form that the page's script reads.

use serde::Serialize;

use super::{Title, Verdict, escape};
use crate::notes::{Note, What};

/// All that the script is given.
#[derive(Serialize)]
struct Data {
    nodes: usize,
    failed: bool,
    notes: Vec<Row>,
}

/// One note. What a kind does not have is left out; the text is that of the trace, so that both say the same.
#[derive(Default, Serialize)]
struct Row {
    at: u64,
    is: &'static str,
    line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<usize>,
    /// What holds the notes of one message or of one request together.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u64>,
    /// A term, an index, a life or the number of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// A kind of message, a role or the fate of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    routine: bool,
}

pub(super) fn json(title: &Title, nodes: usize, notes: &[Note]) -> String {
    let notes: Vec<Row> = notes.iter().map(row).collect();
    let mentioned =
        |row: &Row| row.nodes.iter().copied().chain(row.node).chain(row.to).max().map_or(0, |last| last + 1);
    let nodes = notes.iter().map(mentioned).max().unwrap_or(0).max(nodes);
    let data = Data { nodes, failed: title.verdict != Verdict::Passed, notes };
    escape::json(&serde_json::to_string(&data).expect("numbers and strings have a JSON form"))
}

fn row(note: &Note) -> Row {
    let row = Row { at: note.at.0, line: note.to_string(), ..Row::default() };
    let of = |is, node: &usize| (is, Some(*node));
    let (is, node) = match &note.what {
        What::Start { node, .. } => of("start", node),
        What::Crash { node, .. } => of("crash", node),
        What::Freeze { node } => of("freeze", node),
        What::Thaw { node } => of("thaw", node),
        What::Block { from, .. } => of("block", from),
        What::Unblock { from, .. } => of("unblock", from),
        What::Cut { one, .. } => of("cut", one),
        What::Disturb { .. } => ("disturb", None),
        What::Role { node, .. } => of("role", node),
        What::Send { from, .. } => of("send", from),
        What::Arrive { .. } => ("arrive", None),
        What::Lose { .. } => ("lose", None),
        What::Disk { node, .. } | What::Store { node, .. } | What::Durable { node, .. } => of("event", node),
        What::Commit { node, .. } => of("commit", node),
        What::Ask { node, .. } => of("ask", node),
        What::Answer { node, .. } => of("answer", node),
        What::Event { node, .. } => of("event", node),
        What::Halt { node, .. } => of("halt", node),
        What::Phase { .. } => ("phase", None),
        What::Violation { node, .. } => ("violation", *node),
    };
    let row = Row { is, node, ..row };
    match &note.what {
        What::Start { life, .. } => Row { number: Some(u64::from(*life)), ..row },
        What::Block { to, .. } | What::Unblock { to, .. } => Row { to: Some(*to), ..row },
        What::Cut { other, .. } => Row { to: Some(*other), ..row },
        What::Disturb { nodes, .. } => Row { nodes: nodes.clone(), ..row },
        What::Role { role, term, .. } => Row { kind: Some(role.to_string()), number: Some(term.0), ..row },
        What::Send { word, to, kind, routine, .. } => {
            Row { to: Some(*to), key: Some(*word), kind: Some((*kind).to_owned()), routine: *routine, ..row }
        }
        What::Arrive { word } | What::Lose { word } => Row { key: Some(*word), ..row },
        What::Commit { index, .. } => Row { number: Some(*index), ..row },
        What::Ask { client, ticket, .. } => Row { key: Some(*ticket), number: Some(*client), ..row },
        What::Answer { ticket, text, .. } => {
            Row { key: Some(*ticket), kind: Some(fate(text).to_owned()), ..row }
        }
        _ => row,
    }
}

/// What an answer means to the one who asked.
fn fate(answer: &str) -> &'static str {
    match answer.split(|char: char| !char.is_ascii_alphabetic()).next() {
        Some("refused") => "refused",
        Some("unknown") => "unknown",
        _ => "ok",
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}
