//! The checker is checked: histories of a store as it should be are accepted, and rejected once a fault is
//! put in.

use diskeyval_sim::history::{Action, Event, Operation, Outcome, Record};
use diskeyval_sim::report::{Report, Rule};
use diskeyval_sim::{History, check};

mod generate;

use generate::{Chance, Plan, history};

fn small(seed: u64) -> Plan {
    let mut chance = Chance::new(seed);
    Plan {
        seed,
        clients: 1 + chance.below(8),
        keys: 1 + chance.below(5),
        operations: 300,
        unknown: [0, 10, 100][usize::try_from(chance.below(3)).expect("small")],
        revisions: chance.permille(500),
        ..Plan::default()
    }
}

fn judge(records: &[Record]) -> Report {
    check(&records.iter().cloned().collect::<History>())
}

fn operation(record: &Record) -> Option<&Operation> {
    if let Record::Operation(operation) = record { Some(operation) } else { None }
}

fn read_value(record: &Record) -> Option<&str> {
    match &operation(record)?.action {
        Action::Get { outcome: Outcome::Ok(read) } => read.as_deref(),
        _ => None,
    }
}

/// The value of a set that was answered.
fn set_value(record: &Record) -> Option<&str> {
    match &operation(record)?.action {
        Action::Set { value, outcome: Outcome::Ok(()) } => Some(value),
        _ => None,
    }
}

/// Break histories of many seeds in one way, and see each rejected. `fault` gives false if it finds no place.
fn each_is_rejected(
    fault: impl Fn(&mut Vec<Record>, &mut Chance) -> bool,
    rejected: impl Fn(&Report) -> bool,
) {
    let mut broken = 0;
    for seed in 0..100 {
        let mut records = history(&small(seed));
        if !fault(&mut records, &mut Chance::new(seed)) {
            continue;
        }
        let report = judge(&records);
        assert!(rejected(&report), "seed {seed}: {report}");
        broken += 1;
    }
    assert!(broken >= 80, "only {broken} histories had a place for the fault");
}

fn has(rule: Rule) -> impl Fn(&Report) -> bool {
    move |report| report.violations().any(|violation| violation.rule == rule)
}

fn pick(places: &[usize], chance: &mut Chance) -> Option<usize> {
    let count = u64::try_from(places.len()).expect("small");
    (count > 0).then(|| places[usize::try_from(chance.below(count)).expect("small")])
}

fn places(records: &[Record], is_one: impl Fn(&Record) -> bool) -> Vec<usize> {
    (0..records.len()).filter(|&at| is_one(&records[at])).collect()
}

fn is_read(records: &[Record], key: &str, value: &str) -> bool {
    let reads = |record: &Record| {
        read_value(record) == Some(value) && operation(record).is_some_and(|reader| reader.key == key)
    };
    records.iter().any(reads)
}

#[test]
fn sound_histories_are_accepted() {
    for seed in 0..300 {
        let report = judge(&history(&small(seed)));
        assert!(report.is_clean() && report.undecided.is_empty(), "seed {seed}: {report}");
    }
}

#[test]
fn a_large_sound_history_is_accepted() {
    for (keys, clients) in [(100, 16), (1, 16), (3, 64)] {
        let report = judge(&history(&Plan { keys, clients, unknown: 30, ..Plan::default() }));
        assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
        assert_eq!((report.operations, report.keys), (10_000, usize::try_from(keys).expect("small")));
    }
}

#[test]
fn streams_may_begin_late_and_end_early() {
    for seed in 0..100 {
        let mut chance = Chance::new(seed);
        let mut records = history(&small(seed));
        for node in ["n0", "n1", "n2"] {
            let revisions: Vec<u64> = records.iter().filter_map(|record| event(record, node)).collect();
            let Some(highest) = revisions.iter().max() else { continue };
            let (from, to) = (chance.below(*highest), chance.below(highest + 20));
            records.retain(|record| {
                event(record, node).is_none_or(|revision| from <= revision && revision <= to)
            });
        }
        let report = judge(&records);
        assert!(report.is_clean(), "seed {seed}: {report}");
    }
}

fn event(record: &Record, of: &str) -> Option<u64> {
    match record {
        Record::Event(Event { node, revision, .. }) if node == of => Some(*revision),
        _ => None,
    }
}

#[test]
fn a_read_of_an_overwritten_value() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        // A value that was certainly overwritten before the read was called.
        let is_old = |value: &Operation, read: &Operation| {
            records.iter().filter(|record| set_value(record).is_some()).filter_map(operation).any(|over| {
                over.key == read.key && value.returned < Some(over.call) && over.returned < Some(read.call)
            })
        };
        let old_value = |read: &Operation| {
            records.iter().find_map(|record| {
                let (value, writer) = (set_value(record)?, operation(record)?);
                (writer.key == read.key && is_old(writer, read)).then(|| value.to_owned())
            })
        };
        let can_break =
            |record: &Record| read_value(record).is_some() && operation(record).and_then(old_value).is_some();
        let Some(at) = pick(&places(records, can_break), chance) else { return false };
        let old = operation(&records[at]).and_then(old_value);
        if let Record::Operation(read) = &mut records[at] {
            read.action = Action::Get { outcome: Outcome::Ok(old) };
            read.revision = None;
        }
        true
    };
    each_is_rejected(fault, |report| report.stale.len() == 1 && report.lost.is_empty());
}

#[test]
fn a_write_that_was_read_and_never_made() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let is_one = |record: &Record| {
            let key = operation(record).map_or("", |writer| writer.key.as_str());
            set_value(record).is_some_and(|value| is_read(records, key, value))
        };
        let Some(at) = pick(&places(records, is_one), chance) else { return false };
        records.remove(at);
        true
    };
    each_is_rejected(fault, |report| has(Rule::PhantomRead)(report) && has(Rule::PhantomEvent)(report));
}

#[test]
fn a_refused_write_that_took_effect() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let Some(at) = pick(&places(records, |record| set_value(record).is_some()), chance) else {
            return false;
        };
        if let Record::Operation(Operation { action: Action::Set { outcome, .. }, .. }) = &mut records[at] {
            *outcome = Outcome::Refused;
        }
        true
    };
    each_is_rejected(fault, has(Rule::RefusedSeen));
}

#[test]
fn a_swap_that_denies_itself() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let swapped = |record: &Record| {
            operation(record).is_some_and(|operation| {
                matches!(operation.action, Action::CompareAndSet { outcome: Outcome::Ok(true), .. })
            })
        };
        let Some(at) = pick(&places(records, swapped), chance) else { return false };
        if let Record::Operation(Operation { action: Action::CompareAndSet { outcome, .. }, .. }) =
            &mut records[at]
        {
            *outcome = Outcome::Ok(false);
        }
        true
    };
    each_is_rejected(fault, has(Rule::RefusedSeen));
}

/// The events of a node but for the first and the last few.
fn inner_events(records: &[Record], node: &str) -> Vec<usize> {
    let events = places(records, |record| event(record, node).is_some());
    events.get(20..events.len().saturating_sub(20)).unwrap_or_default().to_vec()
}

#[test]
fn a_write_that_no_node_has() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let is_set = |&at: &usize| {
            let Record::Event(Event { key, value, .. }) = &records[at] else { return false };
            let wrote = |record: &Record| {
                set_value(record) == value.as_deref()
                    && operation(record).is_some_and(|writer| writer.key == *key)
            };
            value.is_some() && records.iter().any(wrote)
        };
        let candidates: Vec<usize> = inner_events(records, "n0").into_iter().filter(is_set).collect();
        let Some(at) = pick(&candidates, chance) else { return false };
        let Record::Event(Event { revision: gone, .. }) = records[at] else { return false };
        records.retain(|record| !matches!(record, Record::Event(event) if event.revision == gone));
        true
    };
    each_is_rejected(fault, |report| report.lost.len() == 1 && report.violations().count() == 1);
}

#[test]
fn a_change_that_one_node_missed() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let Some(at) = pick(&inner_events(records, "n1"), chance) else { return false };
        records.remove(at);
        true
    };
    each_is_rejected(fault, |report| has(Rule::LostWrite)(report) || has(Rule::MissedEvent)(report));
}

#[test]
fn a_write_that_took_effect_again() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let has_value = |&at: &usize| matches!(&records[at], Record::Event(event) if event.value.is_some());
        let candidates: Vec<usize> = inner_events(records, "n2").into_iter().filter(has_value).collect();
        let Some(at) = pick(&candidates, chance) else { return false };
        let Record::Event(again) = records[at].clone() else { return false };
        records.push(Record::Event(Event { revision: again.revision + 100_000, ..again }));
        true
    };
    each_is_rejected(fault, |report| report.duplicated.len() == 1 && report.violations().count() == 1);
}

#[test]
fn a_node_that_goes_back() {
    let fault = |records: &mut Vec<Record>, chance: &mut Chance| {
        let events = inner_events(records, "n0");
        let Some(at) = pick(&events, chance) else { return false };
        let Some(&next) = events.iter().find(|&&other| other > at) else { return false };
        records.swap(at, next);
        true
    };
    each_is_rejected(fault, |report| has(Rule::EventOrder)(report) && report.violations().count() == 1);
}
