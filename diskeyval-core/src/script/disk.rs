//! The disk of a node in a script: a directory, what waits to be done to it, and what the node has wanted to be kept.

use std::collections::VecDeque;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use crate::id::OpId;
use crate::inspect::Said;
use crate::io::{DiskError, DiskOp, Input};
use crate::store::folder::Folder;
use crate::store::{FileName, Record};

#[derive(Default)]
pub(super) struct Disk {
    folder: Folder,
    waiting: VecDeque<(OpId, DiskOp)>,
    /// What this life of the node has recorded, by number.
    recorded: Vec<(u64, Record)>,
    held: bool,
    full: bool,
}

impl Disk {
    /// Takes an operation in. What came of it, if it was not held.
    pub(super) fn ask(&mut self, op: OpId, what: DiskOp) -> Vec<Input> {
        self.waiting.push_back((op, what));
        if self.held { Vec::new() } else { self.perform() }
    }

    fn perform(&mut self) -> Vec<Input> {
        let Disk { folder, waiting, full, .. } = self;
        let mut perform = |op, what: DiskOp| {
            let makes = matches!(what, DiskOp::Create { .. });
            let result = if makes && *full { Err(DiskError::Full) } else { folder.perform(&what) };
            Input::Disk { op, result }
        };
        waiting.drain(..).map(|(op, what)| perform(op, what)).collect()
    }

    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub(super) fn spoil(&mut self, file: &str, at: usize) {
        let name = FileName::parse(file).expect("the name of a file");
        let bytes = self.folder.files.get_mut(&name).expect("a file that is there");
        bytes[at] ^= 1;
    }

    /// The node wants these to be kept; `last` is the number of the last of them.
    pub(super) fn note(&mut self, records: &[Record], last: u64) {
        let first = last + 1 - records.len() as u64;
        self.recorded.extend((first..).zip(records.iter().cloned()));
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Does what was held; says what that keeps, of what is not durable yet.
    pub(super) fn release(&mut self, durable: u64) -> (String, Vec<Input>) {
        self.held = false;
        (self.names_behind(durable), self.perform())
    }

    /// The node dies: says what is lost, if anything is. What waits no more is held no more.
    pub(super) fn crash(&mut self, durable: u64) -> Option<String> {
        let lost = self.names_behind(durable);
        self.held = false;
        self.waiting.clear();
        self.recorded.clear();
        (lost != NOTHING).then_some(lost)
    }

    fn names_behind(&self, durable: u64) -> String {
        let records = self.recorded.iter().filter(|(number, _)| *number > durable);
        let names: Vec<String> = records.map(|(_, record)| name(record)).collect();
        if names.is_empty() { NOTHING.to_string() } else { names.join(", ") }
    }
}

const NOTHING: &str = "nothing";

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
