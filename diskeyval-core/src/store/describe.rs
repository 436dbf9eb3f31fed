//! What stands in files, in words, for people who look into a directory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::FileName;
use super::format::Written;
use super::superblock::{Mark, Names, NoSlot};
use super::verdict::{Scanned, Stop};
use crate::entry::{Entry, Payload};
use crate::kv::Command;

pub(super) fn slots(slots: &[Result<Names, NoSlot>; 2]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (place, slot) in slots.iter().enumerate() {
        match slot {
            Ok(names) => lines.push(format!("slot {place}: generation {}", names.generation)),
            Err(NoSlot::Blank) => lines.push(format!("slot {place}: blank")),
            Err(NoSlot::Newer(format)) => lines.push(format!("slot {place}: of format {format}")),
            Err(NoSlot::Bad) => lines.push(format!("slot {place}: cannot be read")),
        }
    }
    if let Some(names) = slots.iter().flatten().max_by_key(|names| names.generation) {
        let cluster = names.cluster.map_or("not founded yet".into(), |id| id.to_string());
        lines.push(format!("node {}, incarnation {}", names.node, names.incarnation));
        lines.push(format!("cluster {:?}, {cluster}", names.cluster_name));
        let segments: Vec<String> =
            names.segments.iter().map(|named| FileName::Segment(named.number).to_string()).collect();
        lines.push(format!("log: {}", if segments.is_empty() { "none".into() } else { segments.join(", ") }));
        match names.mark {
            Mark::None => {}
            Mark::Void if names.snapshot.is_some() => lines.push(
                "recovered: whatever else is here is to be set aside, and the node goes on alone from the snapshot"
                    .into(),
            ),
            Mark::Void => {
                lines.push("void: whatever else is here is to be set aside, and the node begins anew".into())
            }
            Mark::Anew => lines.push("begun anew behind a damaged life, whose files were set aside".into()),
        }
        lines.push(match names.snapshot {
            Some(named) => format!("snapshot: {}, up to {}", FileName::Snapshot(named.number), named.last),
            None => "snapshot: none".into(),
        });
    }
    lines
}

pub(super) fn segment(scanned: &Scanned) -> Vec<String> {
    let mut lines = Vec::new();
    for flush in &scanned.flushes {
        let header = &flush.header;
        lines.push(format!(
            "byte {}: flush {} behind {}, {} bytes",
            header.at, header.number, header.previous, header.body_len
        ));
        lines.extend(flush.records.iter().map(|written| format!("  {}", record(written))));
    }
    lines.push(match &scanned.stop {
        Stop::Blank { at } => format!("byte {at}: zeros from here on"),
        Stop::Torn { at, what, later: None } => format!("byte {at}: {what}"),
        Stop::Torn { at, what, later: Some(later) } => {
            format!("byte {at}: {what}; a later flush stands at byte {later}")
        }
    });
    lines
}

fn record(written: &Written) -> String {
    match written {
        Written::Head(head) => format!(
            "segment of {}, incarnation {}, generation {}, behind entry {}",
            head.node, head.incarnation, head.generation, head.log_end
        ),
        Written::Ballot { term, vote: None } => format!("term {term}"),
        Written::Ballot { term, vote: Some(vote) } => format!("term {term}, vote for {vote}"),
        Written::Entry { index, bytes } => match Entry::parse(bytes.clone()) {
            Ok(entry) => format!("entry {index}@{}: {}", entry.term, payload(&entry.payload)),
            Err(_) => format!("entry {index}: {} bytes that cannot be understood", bytes.len()),
        },
        Written::Truncate { behind } => format!("nothing behind entry {behind} counts any more"),
        Written::Seal => "seal: nothing is on its way behind this".into(),
        Written::Base { last } => format!("the log goes on behind the snapshot up to {last}"),
    }
}

/// Values are nobody's business, and may be long.
fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Genesis(genesis) => format!("genesis of cluster {}", genesis.cluster),
        Payload::Noop => "the first of its term".into(),
        Payload::Members(members) => format!("{} members", members.seats.len()),
        Payload::OpenSession(owner) => format!("a session of {}", owner.node),
        Payload::Write(write) => {
            let (verb, key, value) = match &write.command {
                Command::Set { key, value } => ("set", key, value.len()),
                Command::Delete { key } => ("delete", key, 0),
                Command::CompareAndSet { key, value, .. } => ("compare-and-set", key, value.len()),
            };
            let number = format!("write {}.{}", write.session, write.seq);
            format!("{number}: {verb} {:?}, {value} bytes", String::from_utf8_lossy(key))
        }
    }
}
