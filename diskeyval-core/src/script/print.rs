//! Answers and nodes as one line each.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;

use crate::io::{Answer, Event, Recovery};
use crate::kv::Outcome;
use crate::status::Status;

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
        Answer::Snapshot(Ok(revision)) => format!("snapshot of {revision}"),
        Answer::Snapshot(Err(error)) => error.to_string(),
        Answer::Transferred(Ok(())) => "transferred".into(),
        Answer::Transferred(Err(error)) => error.to_string(),
        Answer::MembersChanged(Ok(revision)) => format!("members changed by {revision}"),
        Answer::MembersChanged(Err(error)) => error.to_string(),
        Answer::Recovered(Ok(found)) => {
            let Recovery { committed, kept, revision, seen, .. } = found;
            let told = format!("recovered up to {kept} (committed {committed}), goes on at {revision}");
            let left_out = found.left_out.iter().map(|damage| format!("; {damage}"));
            let told = left_out.fold(told, |told, damage| told + &damage);
            if seen > kept { format!("{told}; entries up to {seen} are lost") } else { told }
        }
        Answer::Recovered(Err(error)) => error.to_string(),
        Answer::LinksRenewed => "links renewed".into(),
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
        Event::Resync { revision } => Some(format!("resyncs at revision {revision}")),
        Event::Rotten(damage) => Some(format!("heals: {damage}")),
        Event::Damaged(damage) => Some(format!("keeps out: {damage}")),
        Event::PeerDamaged { peer } => Some(format!("meets {peer}, of which a file is damaged")),
        Event::BegunAnew { set_aside, under } => {
            Some(format!("begins anew, with {set_aside} files set aside under {under:016x}"))
        }
        Event::Removed => Some("is removed".into()),
        Event::Admitted => Some("is admitted".into()),
        Event::NotAdmitted { why } => Some(format!("is not admitted: {why}")),
        Event::LinkDown { peer, why } => Some(format!("lost {peer}: {why}")),
        Event::LinkUp { .. }
        | Event::Unreachable { .. }
        | Event::CertsRenewed
        | Event::CertsRefused { .. }
        | Event::CertExpires { .. } => None,
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
    if status.released_index.0 > 0 {
        line += &format!(" released={}", status.released_index);
    }
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
