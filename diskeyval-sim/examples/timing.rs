//! How long the checker takes for generated histories. With a FILE as argument, the first history is written
//! there too.
//!
//! `cargo run --release -p diskeyval-sim --example timing [-- FILE]`

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use diskeyval_sim::History;
use diskeyval_sim::history::Record;
use diskeyval_sim::lines::{read, to_line};

#[path = "../tests/generate/mod.rs"]
mod generate;

use generate::{Plan, history};

fn main() -> Result<(), Box<dyn Error>> {
    let usual = Plan::default();
    let no_events = Plan { nodes: 0, revisions: false, ..usual.clone() };
    let one_key = Plan { keys: 1, ..no_events.clone() };
    let plans = [
        ("16 clients, 100 keys, 1 % unknown, events of 3 nodes", usual),
        ("the same without events and revisions", no_events.clone()),
        ("the same on one key", one_key.clone()),
        ("on one key, 10 % unknown", Plan { unknown: 100, ..one_key.clone() }),
        ("on one key, 64 clients, 10 % unknown", Plan { clients: 64, unknown: 100, ..one_key.clone() }),
        ("on one key, 16 clients, 50 % unknown", Plan { unknown: 500, ..one_key.clone() }),
        ("on one key, half compare-and-sets", Plan { swaps: 500, unknown: 30, ..one_key.clone() }),
        ("on one key, half deletes", Plan { deletes: 500, unknown: 30, ..one_key }),
        ("1,000,000 operations on 1,000 keys", Plan { operations: 1_000_000, keys: 1000, ..no_events }),
    ];
    let mut out = io::stdout().lock();
    let mut file = std::env::args_os().nth(1);
    for (name, plan) in plans {
        let records = history(&plan);
        let lines: Vec<String> = records.iter().map(|record| to_line(record) + "\n").collect();
        let text = lines.concat();
        if let Some(file) = file.take() {
            std::fs::write(file, &text)?;
        }
        let start = Instant::now();
        let history = read(text.as_bytes())?;
        let parsed = start.elapsed();
        let start = Instant::now();
        let report = diskeyval_sim::check(&history);
        let checked = start.elapsed();
        writeln!(out, "{name}: read in {parsed:.2?}, checked in {checked:.2?}")?;
        if !report.is_clean() || !report.undecided.is_empty() {
            writeln!(out, "{report}")?;
        }
        // One broken read must be found, however late.
        let broken = break_last_read(records);
        let start = Instant::now();
        let report = diskeyval_sim::check(&broken);
        let found = report.violations().count();
        let undecided = report.undecided.len();
        writeln!(
            out,
            "  with one stale read: {found} violations found, {undecided} undecided, in {:.2?}",
            start.elapsed()
        )?;
    }
    Ok(())
}

/// Let the last read of a value find the first value that its key ever had.
fn break_last_read(mut records: Vec<Record>) -> History {
    use diskeyval_sim::history::{Action, Outcome};
    let answer = |record: &Record| match record {
        Record::Operation(operation) => match &operation.action {
            Action::Get { outcome: Outcome::Ok(Some(read)) } => Some((operation.key.clone(), read.clone())),
            _ => None,
        },
        Record::Event(_) => None,
    };
    let last = records.iter().rposition(|record| answer(record).is_some());
    let first = last.and_then(|at| {
        let (key, _) = answer(&records[at])?;
        records.iter().filter_map(answer).find(|(other, _)| *other == key)
    });
    if let (Some(last), Some((_, first))) = (last, first)
        && let Record::Operation(operation) = &mut records[last]
    {
        operation.action = Action::Get { outcome: Outcome::Ok(Some(first)) };
    }
    records.into_iter().collect()
}
