//! Violations that are planted into histories of real runs, as a file would have them: `check` must find each, call it
//! what it is, and name the line.
//!
//! `broken.rs` does the same to a register that was made up. These histories are those of a cluster under faults:
//! concurrent, with operations of unknown fate, nodes that come and go, and large values.

mod common;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use common::sim;
use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::Wishes;
use diskeyval_sim::faults::Fault;
use diskeyval_sim::history::{Action, Event, Operation, Outcome, Record};
use diskeyval_sim::hunt::run_seed;
use diskeyval_sim::report::{Report, Rule, Violation};
use diskeyval_sim::run::Wanted;
use diskeyval_sim::{History, check, lines};

/// In how many places each kind is planted.
const PLACES: usize = 12;

/// The history of a real run, as the lines of its file.
static RECORDED: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let wishes = Wishes {
        nodes: Some(5),
        hostile: Some(core::time::Duration::from_secs(60)),
        faults: Some(vec![Fault::Crash, Fault::Partition, Fault::CutLink]),
        whole: true,
    };
    let history = (0..)
        .map(|seed| run_seed(seed, &wishes, Wanted { notes: None, history: true }, &[]))
        .inspect(|ran| assert_eq!(ran.violation, None))
        .filter_map(|ran| ran.history.filter(|_| ran.unknown > 0 && ran.most_in_flight >= 4))
        .find(|history| history.operations().len() >= 500)
        .expect("there are many seeds");
    history.records().collect()
});

fn judge(records: &[Record]) -> Report {
    let text: String = records.iter().map(|record| format!("{}\n", lines::to_line(record))).collect();
    check(&lines::read(text.as_bytes()).expect("a history that was written is read"))
}

fn operation(record: &Record) -> Option<&Operation> {
    if let Record::Operation(operation) = record { Some(operation) } else { None }
}

fn event(record: &Record) -> Option<&Event> {
    if let Record::Event(event) = record { Some(event) } else { None }
}

/// The value that an answered set has given to its key.
fn set_value(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::Set { value, outcome: Outcome::Ok(()) } => Some(value),
        _ => None,
    }
}

/// The value that a read found.
fn read_value(operation: &Operation) -> Option<&str> {
    match &operation.action {
        Action::Get { outcome: Outcome::Ok(found) } => found.as_deref(),
        _ => None,
    }
}

/// The line that a place in the list will stand in.
fn line(place: usize) -> u64 {
    place as u64 + 1
}

/// Plants at several places, drawn from all that there are. `plant` gives the line that must be named.
#[track_caller]
fn each_is_found(
    places: impl Fn(&[Record]) -> Vec<usize>,
    plant: impl Fn(&mut Vec<Record>, usize) -> u64,
    found: impl Fn(&Report) -> Vec<&Violation>,
) {
    let sound = &*RECORDED;
    let report = judge(sound);
    assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
    assert!(report.operations >= 500 && report.unknown > 0 && report.nodes > 5, "{report}");
    let mut places = places(sound);
    assert!(places.len() >= PLACES, "there are only {} places", places.len());
    let mut choices = Choices::from_seed(1);
    for _ in 0..PLACES {
        let place = places.swap_remove(choices.place(places.len()));
        let mut records = sound.clone();
        let line = plant(&mut records, place);
        let report = judge(&records);
        let named = |violation: &&Violation| violation.evidence.iter().any(|evidence| evidence.line == line);
        assert!(found(&report).iter().any(named), "place {place}, line {line} is not named: {report}");
        assert!(report.to_string().contains(&format!("line {line}: ")), "line {line}: {report}");
    }
}

fn by_rule(rule: Rule) -> impl Fn(&Report) -> Vec<&Violation> {
    move |report| report.violations().filter(|violation| violation.rule == rule).collect()
}

/// Of each key: when its answered sets were called and had returned, and what they wrote.
fn sets(records: &[Record]) -> BTreeMap<&str, Vec<&Operation>> {
    let mut sets = BTreeMap::<_, Vec<_>>::new();
    for operation in records.iter().filter_map(operation).filter(|operation| set_value(operation).is_some()) {
        sets.entry(operation.key.as_str()).or_default().push(operation);
    }
    sets
}

/// A set whose value was certainly overwritten before something was called.
fn overwritten<'r>(sets: &[&'r Operation], before: u64) -> Option<&'r Operation> {
    let last =
        sets.iter().filter(|set| set.returned.is_some_and(|end| end < before)).max_by_key(|set| set.call)?;
    sets.iter()
        .copied()
        .filter(|set| set.returned.is_some_and(|end| end < last.call))
        .max_by_key(|set| set.call)
}

#[test]
fn a_stale_read() {
    let old = |records: &[Record], place: usize| {
        let read = operation(&records[place]).filter(|read| read_value(read).is_some())?;
        let sets = sets(records);
        let old = overwritten(sets.get(read.key.as_str())?, read.call)?;
        Some((set_value(old).map(ToOwned::to_owned), old.revision))
    };
    // Once with the revision that gives it away, and once without, so that the search has to find it.
    for tells_revision in [true, false] {
        each_is_found(
            |records| (0..records.len()).filter(|place| old(records, *place).is_some()).collect(),
            |records, place| {
                let (value, revision) = old(records, place).expect("a place");
                let Record::Operation(read) = &mut records[place] else { panic!("a place is a read") };
                read.action = Action::Get { outcome: Outcome::Ok(value) };
                read.revision = revision.filter(|_| tells_revision);
                line(place)
            },
            |report| report.stale.iter().collect(),
        );
    }
}

/// Whether somebody read the value, or swapped from it.
fn is_observed(records: &[Record], key: &str, value: &str) -> bool {
    records.iter().filter_map(operation).any(|other| {
        let swaps =
            matches!(&other.action, Action::CompareAndSet { expect, .. } if expect.as_deref() == Some(value));
        other.key == key && (swaps || read_value(other) == Some(value))
    })
}

/// The node, and the revisions before the last event and behind the first, of each stream.
fn spans(records: &[Record]) -> BTreeMap<&str, (u64, u64)> {
    let mut spans = BTreeMap::new();
    for event in records.iter().filter_map(event) {
        let span = spans.entry(event.node.as_str()).or_insert((event.revision, event.revision));
        *span = (span.0.min(event.revision), span.1.max(event.revision));
    }
    spans
}

/// Whether some stream reports what is before a revision and what is behind it.
fn is_spanned(records: &[Record], revision: u64) -> bool {
    spans(records).values().any(|(first, last)| *first < revision && revision < *last)
}

/// An acknowledged write of which there is no trace: no node reports it, and nobody reads it.
#[test]
fn a_lost_write_that_no_node_reports() {
    each_is_found(
        |records| {
            let is_place = |place: &usize| {
                let set = operation(&records[*place]).filter(|set| set_value(set).is_some());
                set.and_then(|set| set.revision).is_some_and(|revision| is_spanned(records, revision))
            };
            (0..records.len()).filter(is_place).collect()
        },
        |records, place| {
            let (revision, key) =
                operation(&records[place]).map(|set| (set.revision, set.key.clone())).expect("a set");
            let value = operation(&records[place]).and_then(set_value).expect("a set").to_owned();
            // It stands before all that is taken away but reads, which were before it at the most.
            let before =
                records[..place].iter().filter(|record| is_of(record, revision, &key, &value)).count();
            let mut at = 0;
            records.retain(|record| {
                at += 1;
                at == place + 1 || !is_of(record, revision, &key, &value)
            });
            line(place - before)
        },
        |report| report.lost.iter().collect(),
    );
}

/// Whether a record shows a write: as an event, a read, or a swap from its value.
fn is_of(record: &Record, revision: Option<u64>, key: &str, value: &str) -> bool {
    match record {
        Record::Event(event) => Some(event.revision) == revision,
        Record::Operation(operation) => is_observed(&[Record::Operation(operation.clone())], key, value),
    }
}

/// An acknowledged write that later reads do not see, without events that could tell.
#[test]
fn a_lost_write_that_reads_do_not_see() {
    // A read behind the last set of its key that returned before it finds what was there before that set.
    let lost = |records: &[Record], place: usize| {
        let read = operation(&records[place]).filter(|read| read_value(read).is_some())?;
        let value = read_value(read)?;
        let set = records.iter().position(|record| {
            let set = operation(record);
            set.is_some_and(|set| {
                set.key == read.key && set_value(set) == Some(value) && set.returned < Some(read.call)
            })
        })?;
        let call = operation(&records[set])?.call;
        let sets = sets(records);
        let before = sets.get(read.key.as_str())?.iter().filter(|older| older.returned < Some(call));
        let before = before.max_by_key(|older| older.call)?;
        Some(set_value(before)?.to_owned())
    };
    each_is_found(
        |records| (0..records.len()).filter(|place| lost(records, *place).is_some()).collect(),
        |records, place| {
            let old = lost(records, place).expect("a place");
            let Record::Operation(read) = &mut records[place] else { panic!("a place is a read") };
            read.action = Action::Get { outcome: Outcome::Ok(Some(old)) };
            read.revision = None;
            // No events: what is left are answers. Their places are kept by their lines.
            let before = records[..place].iter().filter(|record| event(record).is_some()).count();
            records.retain(|record| event(record).is_none());
            line(place - before)
        },
        |report| report.stale.iter().chain(&report.lost).collect(),
    );
}

/// A write takes effect again behind all others: a node reports it once more.
#[test]
fn a_doubled_write() {
    each_is_found(
        |records| {
            let is_place = |place: &usize| event(&records[*place]).is_some_and(|event| event.value.is_some());
            (0..records.len()).filter(is_place).collect()
        },
        |records, place| {
            let again = event(&records[place]).expect("an event").clone();
            let highest = records.iter().filter_map(event).map(|event| event.revision).max().expect("some");
            records.push(Record::Event(Event { revision: highest + 1, ..again }));
            line(records.len() - 1)
        },
        |report| report.duplicated.iter().collect(),
    );
}

/// The same, seen by reads alone: a value is there again although it was overwritten.
#[test]
fn a_doubled_write_that_only_reads_see() {
    let end = |records: &[Record]| records.iter().filter_map(operation).filter_map(|op| op.returned).max();
    each_is_found(
        |records| {
            let end = end(records).expect("some were answered");
            let sets = sets(records);
            let is_place = |place: &usize| {
                let set = operation(&records[*place]).filter(|set| set_value(set).is_some());
                // Somebody has overwritten it, for certain.
                set.is_some_and(|set| {
                    let later =
                        |other: &&&Operation| set.returned < Some(other.call) && other.returned < Some(end);
                    sets[set.key.as_str()].iter().any(|other| later(&other))
                })
            };
            (0..records.len()).filter(is_place).collect()
        },
        |records, place| {
            let set = operation(&records[place]).expect("a set").clone();
            let end = end(records).expect("some were answered");
            let value = set_value(&set).map(ToOwned::to_owned);
            records.push(Record::Operation(Operation {
                client: 99,
                action: Action::Get { outcome: Outcome::Ok(value) },
                call: end + 1,
                returned: Some(end + 2),
                revision: None,
                ..set
            }));
            line(records.len() - 1)
        },
        |report| report.stale.iter().chain(&report.duplicated).collect(),
    );
}

/// A node skips a change that others report, and does not say so.
#[test]
fn a_missed_event() {
    each_is_found(
        |records| {
            let spans = spans(records);
            let is_place = |place: &usize| {
                let Some(event) = event(&records[*place]) else { return false };
                let (first, last) = spans[event.node.as_str()];
                let is_elsewhere =
                    |other: &&Event| other.node != event.node && other.revision == event.revision;
                let others = records[..*place].iter().filter_map(self::event).filter(is_elsewhere).count();
                first < event.revision && event.revision < last && others > 0
            };
            (0..records.len()).filter(is_place).collect()
        },
        |records, place| {
            let missed = event(&records[place]).expect("an event").revision;
            records.remove(place);
            let first = records.iter().position(|record| event(record).is_some_and(|e| e.revision == missed));
            line(first.expect("others report it"))
        },
        // Whose write was acknowledged has lost it there; of the others, it is an event that is missed.
        |report| report.lost.iter().chain(by_rule(Rule::MissedEvent)(report)).collect(),
    );
}

/// The client of a write is told that it has no effect, and it has one.
#[test]
fn a_dishonest_failure() {
    each_is_found(
        |records| {
            let is_seen = |set: &Operation| {
                let value = set_value(set).expect("a set");
                let is_reported =
                    |event: &Event| event.key == set.key && event.value.as_deref() == Some(value);
                is_observed(records, &set.key, value) || records.iter().filter_map(event).any(is_reported)
            };
            let is_place = |place: &usize| {
                operation(&records[*place]).filter(|set| set_value(set).is_some()).is_some_and(is_seen)
            };
            (0..records.len()).filter(is_place).collect()
        },
        |records, place| {
            let Record::Operation(set) = &mut records[place] else { panic!("a place is a set") };
            let Action::Set { outcome, .. } = &mut set.action else { panic!("a place is a set") };
            (*outcome, set.revision) = (Outcome::Refused, None);
            line(place)
        },
        by_rule(Rule::RefusedSeen),
    );
}

/// The same by the command, once: the exit code, the class, the line.
#[test]
fn the_command_says_so() {
    let mut records = RECORDED.clone();
    let text = |records: &[Record]| -> String {
        records.iter().map(|record| format!("{}\n", lines::to_line(record))).collect()
    };
    assert_eq!(sim(&["check", "-"], &text(&records)).status.code(), Some(0));
    let reported =
        records.iter().rposition(|record| event(record).is_some_and(|event| event.value.is_some()));
    let again = event(&records[reported.expect("an event")]).expect("an event").clone();
    records.push(Record::Event(Event { revision: again.revision + 1000, ..again }));
    let output = sim(&["check", "-"], &text(&records));
    let told = common::told(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains(", 1 duplicated, ") && told.contains(&format!("line {}: ", records.len())),
        "{told}"
    );
    // A history that was read and written is the same: nothing of it is lost on the way.
    let again: History = records.iter().cloned().collect();
    assert_eq!(lines::read(text(&records).as_bytes()).expect("a history"), again);
}
