//! Schedules that are kept, in `tests/schedules`: every bug that was found by a seed leaves one, made small by `sim
//! shrink`, with a comment on what it has found; some exercise what a seed seldom meets. All have to pass.
//!
//! A schedule is in words, and so means the same when seeds no longer do.

use core::time::Duration;
use std::fs;
use std::path::PathBuf;

use diskeyval_core::RoleName;
use diskeyval_sim::faults::Fault;
use diskeyval_sim::notes::{Note, What};
use diskeyval_sim::observe::Time;
use diskeyval_sim::plan::Plan;
use diskeyval_sim::run::{Ran, Wanted, run};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/schedules")
}

fn read(name: &str) -> Plan {
    let text = fs::read_to_string(folder().join(name)).expect(name);
    Plan::parse(&text).unwrap_or_else(|misread| panic!("{name}: {misread}"))
}

/// Runs a schedule, and gives everything that happened.
fn replay(name: &str) -> (Ran, Vec<Note>) {
    let mut notes = Vec::new();
    let ran = run(&read(name), Wanted { notes: Some(Box::new(|note| notes.push(note))), history: true });
    assert_eq!(ran.violation, None, "{name}: cargo sim replay diskeyval-sim/tests/schedules/{name}");
    (ran, notes)
}

/// When something happened first.
fn first(notes: &[Note], is_it: impl Fn(&What) -> bool) -> Option<Time> {
    notes.iter().find(|note| is_it(&note.what)).map(|note| note.at)
}

fn at(millis: u64) -> Time {
    Time(0) + Duration::from_millis(millis)
}

fn is_seated(notes: &[Note], which: usize) -> Option<Time> {
    first(
        notes,
        |what| matches!(what, What::Event { node, text } if *node == which && text == "is in its seat"),
    )
}

/// When a node first led in a term above one, and in which.
fn leads(notes: &[Note], above: u64) -> Option<(Time, u64)> {
    notes.iter().find_map(|note| match note.what {
        What::Role { role: RoleName::Leader, term, .. } if term.0 > above => Some((note.at, term.0)),
        _ => None,
    })
}

/// What a request was answered, and when.
fn answer(notes: &[Note], which: u64) -> (Time, &str) {
    let answer = notes.iter().find_map(|note| match &note.what {
        What::Answer { ticket, text, .. } if *ticket == which => Some((note.at, text.as_str())),
        _ => None,
    });
    answer.unwrap_or_else(|| panic!("#{which} was not answered"))
}

#[test]
fn every_kept_schedule_passes() {
    let entries = fs::read_dir(folder()).expect("tests/schedules");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    for name in names {
        assert!(name.ends_with(".schedule"), "{name} is no schedule");
        let text = fs::read_to_string(folder().join(&name)).expect(&name);
        let why = text.lines().nth(1).is_some_and(|line| line.starts_with("# "));
        assert!(why, "{name}: below its first line stands what it has found, or what it exercises");
        // What is about many requests at once does not get smaller.
        assert!(read(&name).deeds.len() <= 120, "{name}: make it small by `cargo sim shrink`");
        replay(&name);
    }
}

#[test]
fn every_fault_is_one_of_the_kept() {
    let (ran, notes) = replay("every-fault.schedule");
    let rows = ran.coverage.rows();
    let count = |name: &str| rows.iter().find(|(row, _)| row == name).map_or(0, |(_, count)| *count);
    // Members change in a schedule of their own.
    for fault in Fault::ALL.iter().filter(|fault| **fault != Fault::Reshape) {
        assert!(count(&format!("fault: {fault}")) > 0, "every-fault.schedule needs a line with `{fault}`");
    }
    // They do something, too.
    assert!(count("wiped") > 0 && count("stopped in good order") > 0, "{}", ran.coverage);
    let happens = |name: &str, is_it: &dyn Fn(&What) -> bool| {
        assert!(first(&notes, is_it).is_some(), "{name} never happens");
    };
    happens("a crash", &|what| matches!(what, What::Crash { wiped: false, .. }));
    happens("a lost disk", &|what| matches!(what, What::Crash { wiped: true, .. }));
    happens("a pause", &|what| matches!(what, What::Freeze { .. }));
    happens("a partition", &|what| matches!(what, What::Block { .. }));
    happens("a broken connection", &|what| matches!(what, What::Cut { .. }));
    let words =
        ["link from", "gets slow", "stalls", "runs at", "by 3600000 ms", "by -3600000 ms", "a stranger"];
    for word in words {
        happens(word, &|what| matches!(what, What::Disturb { text, .. } if text.contains(word)));
    }
}

#[test]
fn every_change_of_the_members_is_one_of_the_kept() {
    let (ran, _) = replay("members-change.schedule");
    let rows = ran.coverage.rows();
    for wanted in [
        "members: reconfigure",
        "members: add a learner",
        "members: promote",
        "members: remove",
        "members: the voters change",
        "members: there are learners",
        "members: changed",
        "members: a node learns that it was removed",
    ] {
        let count = rows.iter().find(|(row, _)| row == wanted).map_or(0, |(_, count)| *count);
        assert!(count > 0, "members-change.schedule needs a line that brings about `{wanted}`");
    }
}

#[test]
fn nodes_go_on_alone_while_they_run_and_by_their_directories() {
    for (name, wanted) in [
        ("goes-on-alone.schedule", "recovery: of a node that runs"),
        ("goes-on-alone-by-its-directory.schedule", "recovery: of a directory"),
    ] {
        let (ran, notes) = replay(name);
        let rows = ran.coverage.rows();
        assert!(rows.iter().any(|(row, count)| row == wanted && *count > 0), "{name}: no {wanted}");
        let alone = |what: &What| matches!(what, What::Role { node: 2, role: RoleName::Leader, .. });
        assert!(first(&notes, alone).is_some(), "{name}: it leads itself");
    }
}

#[test]
fn a_majority_founds_the_cluster_without_those_who_are_cut_off() {
    let (_, notes) = replay("founding-under-partition.schedule");
    let healed = at(16_000);
    for node in 2..5 {
        assert!(is_seated(&notes, node) < Some(healed), "n{} waits for those who are cut off", node + 1);
    }
    for node in 0..2 {
        assert!(
            is_seated(&notes, node) > Some(healed),
            "n{} has a seat that nobody can have given it",
            node + 1
        );
    }
    let (when, text) = answer(&notes, 1);
    assert!(when < healed && text.starts_with("ok"), "{when}: {text}");
    assert!(answer(&notes, 2).1.starts_with("refused: no quorum"), "two of five have founded something");
    assert!(
        answer(&notes, 5).1.starts_with("v1"),
        "who was cut off does not read what was written without it"
    );
}

#[test]
fn the_second_life_of_a_node_fills_the_seat_that_the_first_never_had() {
    let (_, notes) = replay("wiped-before-its-seat.schedule");
    let wiped = first(&notes, |what| matches!(what, What::Crash { node: 2, wiped: true }))
        .expect("it loses its disk");
    assert!(is_seated(&notes, 0) < Some(wiped), "there is no cluster yet");
    assert!(is_seated(&notes, 2) > Some(wiped), "it had a seat already");
    // It counts: with the leader dead, two of three elect another and go on.
    let (when, term) = leads(&notes, 1).expect("another leader");
    assert!(when > at(18_000) && term == 2, "{when}: term {term}");
    let (when, text) = answer(&notes, 3);
    assert!(when < at(21_000) && text.starts_with("ok"), "{when}: {text}");
}

#[test]
fn nobody_is_elected_while_votes_wait_for_disks() {
    let (_, notes) = replay("stalled-disk-at-an-election.schedule");
    let stands =
        |what: &What| matches!(what, What::Role { role: RoleName::Candidate, term, .. } if term.0 == 2);
    let stood = first(&notes, stands).expect("somebody stands for election");
    let (led, _) = leads(&notes, 1).expect("another leader");
    assert!(at(3_100) < stood && stood < at(4_000), "{stood}");
    assert!(
        at(4_500) <= led && led < at(5_600),
        "{led}: by votes that were not durable, or by the one who was dead"
    );
}
