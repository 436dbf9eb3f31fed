//! The logical disk of a node in a script: what is durable, and what waits to be.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::inspect::Said;
use crate::store::Record;

#[derive(Default)]
pub(super) struct Disk {
    durable: Vec<Record>,
    /// Written, and not durable: what a crash loses.
    waiting: Vec<Record>,
    /// The number of the last record that was written in this life of the node.
    written: u64,
    held: bool,
}

impl Disk {
    /// Everything that a node that starts finds.
    pub(super) fn kept(&self) -> Vec<Record> {
        self.durable.clone()
    }

    /// Takes records in. What is durable at once is reported at once, by its number.
    pub(super) fn write(&mut self, number: u64, records: Vec<Record>) -> Option<u64> {
        assert_eq!(number, self.written + records.len() as u64, "records are counted one by one");
        self.written = number;
        self.waiting.extend(records);
        if self.held {
            return None;
        }
        self.durable.append(&mut self.waiting);
        Some(number)
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Makes durable what was held; says what that is, and the number of the last.
    pub(super) fn release(&mut self) -> (String, u64) {
        self.held = false;
        let stored = names(&self.waiting);
        self.durable.append(&mut self.waiting);
        (stored, self.written)
    }

    /// The node dies: says what is lost, if anything is. What waits no more is held no more.
    pub(super) fn crash(&mut self) -> Option<String> {
        self.written = 0;
        self.held = false;
        let lost = core::mem::take(&mut self.waiting);
        (!lost.is_empty()).then(|| names(&lost))
    }
}

fn names(records: &[Record]) -> String {
    if records.is_empty() {
        return "nothing".into();
    }
    records.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn name(record: &Record) -> String {
    match record {
        Record::Incarnation(_) => "incarnation".into(),
        Record::Ballot { term, vote: None } => format!("ballot t{term}"),
        Record::Ballot { term, vote: Some(vote) } => format!("ballot t{term} for {vote}"),
        Record::Entry { index, bytes } => {
            let said = Said::parse(bytes.clone()).map_or("?".into(), |said| said.to_string());
            format!("{index}{said}")
        }
        Record::Truncate { behind } => format!("no more behind {behind}"),
        Record::Base { last } => format!("log begins behind {last}"),
    }
}
