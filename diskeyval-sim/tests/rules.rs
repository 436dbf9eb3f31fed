//! Every rule, with a tiny history that keeps it and one that breaks it.

use diskeyval_sim::history::{Action, Event, Operation, Outcome, Record};
use diskeyval_sim::linear::Budget;
use diskeyval_sim::report::{Report, Rule, check_within};
use diskeyval_sim::{History, check};

const OK: Outcome<()> = Outcome::Ok(());

fn operation(action: Action, call: u64, end: u64) -> Operation {
    Operation { client: 1, key: "k".into(), action, call, returned: Some(end), revision: None }
}

fn set(value: &str, outcome: Outcome<()>, call: u64, end: u64) -> Operation {
    operation(Action::Set { value: value.into(), outcome }, call, end)
}

fn get(read: Option<&str>, call: u64, end: u64) -> Operation {
    operation(Action::Get { outcome: Outcome::Ok(read.map(str::to_owned)) }, call, end)
}

fn delete(found: bool, call: u64, end: u64) -> Operation {
    operation(Action::Delete { outcome: Outcome::Ok(found) }, call, end)
}

fn cas(expect: Option<&str>, value: &str, outcome: Outcome<bool>, call: u64, end: u64) -> Operation {
    let (expect, value) = (expect.map(str::to_owned), Some(value.into()));
    operation(Action::CompareAndSet { expect, value, outcome }, call, end)
}

fn at(revision: u64, operation: Operation) -> Operation {
    Operation { revision: Some(revision), ..operation }
}

fn event(node: &str, value: Option<&str>, revision: u64) -> Event {
    Event { node: node.into(), key: "k".into(), value: value.map(str::to_owned), revision, at: 0 }
}

fn judge(operations: impl IntoIterator<Item = Operation>, events: impl IntoIterator<Item = Event>) -> Report {
    let operations = operations.into_iter().map(Record::Operation);
    check(&operations.chain(events.into_iter().map(Record::Event)).collect())
}

/// The rules that are broken, in the order of the report.
fn broken(report: &Report) -> Vec<Rule> {
    assert!(report.undecided.is_empty());
    report.violations().map(|violation| violation.rule).collect()
}

#[track_caller]
fn keeps(operations: impl IntoIterator<Item = Operation>, events: impl IntoIterator<Item = Event>) {
    let report = judge(operations, events);
    assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
}

#[track_caller]
fn breaks(
    rules: &[Rule],
    operations: impl IntoIterator<Item = Operation>,
    events: impl IntoIterator<Item = Event>,
) -> Report {
    let report = judge(operations, events);
    assert_eq!(broken(&report), rules, "{report}");
    report
}

#[test]
fn nothing_is_fine() {
    keeps([], []);
}

#[test]
fn reads_find_the_latest_write() {
    keeps([set("a", OK, 0, 1), set("b", OK, 2, 3), get(Some("b"), 4, 5)], []);
    // Both values are possible while the write runs, but not the older one after the newer one.
    keeps([set("a", OK, 0, 1), set("b", OK, 2, 9), get(Some("a"), 3, 4), get(Some("b"), 5, 6)], []);
    let report = breaks(
        &[Rule::NotLinearizable],
        [set("a", OK, 0, 1), set("b", OK, 2, 9), get(Some("b"), 3, 4), get(Some("a"), 5, 6)],
        [],
    );
    assert_eq!((report.lost.len(), report.duplicated.len(), report.stale.len()), (0, 0, 1));
}

#[test]
fn the_window_shows_what_matters_and_nothing_else() {
    let mut operations: Vec<Operation> = (0..50)
        .flat_map(|n: u64| {
            let value = format!("v{n}");
            [set(&value, OK, 10 * n, 10 * n + 1), get(Some(&value), 10 * n + 2, 10 * n + 3)]
        })
        .collect();
    operations.push(get(Some("v40"), 1000, 1001));
    operations.extend([set("later", OK, 2000, 2001), get(Some("later"), 2002, 2003)]);
    let report = breaks(&[Rule::NotLinearizable], operations, []);
    let told = report.to_string();
    assert!(told.contains("not linearizable, key \"k\": no order explains these 3 operations"), "{told}");
    assert!(told.contains("all 100 had an explanation"), "{told}");
    assert!(
        told.contains("line 81: [0.000000400 .. 0.000000401] client 1: set \"k\" = \"v40\" -> ok\n"),
        "{told}"
    );
    assert!(told.contains("get \"k\" -> \"v40\"  <- has no explanation"), "{told}");
}

#[test]
fn the_window_keeps_what_could_have_explained_it() {
    // Three removals found something, but there were only two writes, one of them of unknown fate. Without that
    // one, a single removal would look guilty.
    let doubtful = Operation { returned: None, ..set("x", Outcome::Unknown, 0, 0) };
    let removals = [delete(true, 2, 3), delete(true, 4, 5), delete(true, 6, 7)];
    keeps([set("a", OK, 0, 1), doubtful.clone()].into_iter().chain(removals[..2].to_vec()), []);
    let report = judge([set("a", OK, 0, 1), doubtful].into_iter().chain(removals), []);
    assert_eq!(report.stale.len(), 1);
    assert_eq!(report.stale[0].evidence.len(), 5, "{report}");
}

#[test]
fn deletes_and_swaps_say_what_they_found() {
    keeps([delete(false, 0, 1), set("a", OK, 2, 3), delete(true, 4, 5), get(None, 6, 7)], []);
    breaks(&[Rule::NotLinearizable], [delete(true, 0, 1), set("a", OK, 2, 3)], []);
    breaks(&[Rule::NotLinearizable], [set("a", OK, 0, 1), delete(false, 2, 3)], []);
    let swap = |expect, swapped| cas(expect, "b", Outcome::Ok(swapped), 2, 3);
    keeps([set("a", OK, 0, 1), swap(Some("a"), true), get(Some("b"), 4, 5)], []);
    keeps([set("a", OK, 0, 1), swap(None, false), get(Some("a"), 4, 5)], []);
    breaks(&[Rule::NotLinearizable], [set("a", OK, 0, 1), swap(None, true)], []);
    breaks(&[Rule::NotLinearizable], [set("a", OK, 0, 1), swap(Some("a"), false)], []);
    // Two cannot both have swapped the same value.
    let twice = cas(Some("a"), "c", Outcome::Ok(true), 2, 3);
    breaks(&[Rule::NotLinearizable], [set("a", OK, 0, 1), swap(Some("a"), true), twice], []);
}

#[test]
fn the_unknown_may_happen_late_or_never_but_not_twice() {
    let doubtful = || Operation { returned: None, ..set("x", Outcome::Unknown, 0, 0) };
    keeps([doubtful(), get(None, 10, 11), get(Some("x"), 20, 21)], []);
    keeps([doubtful(), get(None, 10, 11), set("a", OK, 12, 13), get(Some("a"), 20, 21)], []);
    let again = [get(Some("x"), 2, 3), set("a", OK, 4, 5), get(Some("a"), 6, 7), get(Some("x"), 8, 9)];
    breaks(&[Rule::NotLinearizable], again.into_iter().chain([doubtful()]), []);
    // A chain of them: x, then y from x, then a read of y.
    let chained = Operation { returned: None, ..cas(Some("x"), "y", Outcome::Unknown, 0, 0) };
    keeps([doubtful(), chained.clone(), set("a", OK, 1, 2), get(Some("y"), 3, 4)], []);
    breaks(&[Rule::NotLinearizable], [chained, get(Some("y"), 3, 4)], []);
}

#[test]
fn phantom_read() {
    breaks(&[Rule::PhantomRead], [set("a", OK, 0, 1), get(Some("z"), 2, 3)], []);
    breaks(&[Rule::PhantomRead], [cas(Some("z"), "a", Outcome::Ok(true), 2, 3), get(Some("a"), 4, 5)], []);
    // It does not hide what else is wrong.
    let stale = [set("a", OK, 0, 1), set("b", OK, 2, 3), get(Some("z"), 4, 5), get(Some("a"), 6, 7)];
    let report = breaks(&[Rule::NotLinearizable, Rule::PhantomRead], stale, []);
    assert_eq!(report.stale.len(), 1);
}

#[test]
fn read_before_its_write() {
    keeps([get(Some("a"), 0, 2), set("a", OK, 2, 3)], []);
    breaks(&[Rule::EarlyRead], [get(Some("a"), 0, 1), set("a", OK, 2, 3)], []);
}

#[test]
fn refused_is_never_seen() {
    let refused = || set("a", Outcome::Refused, 0, 1);
    keeps([refused(), get(None, 2, 3)], []);
    // A second try with the same value is another write.
    keeps([refused(), set("a", OK, 2, 3), get(Some("a"), 4, 5)], [event("n", Some("a"), 1)]);
    breaks(&[Rule::RefusedSeen], [refused(), get(Some("a"), 2, 3)], []);
    breaks(&[Rule::RefusedSeen], [refused()], [event("n", Some("a"), 1)]);
    let not_swapped = cas(Some("x"), "a", Outcome::Ok(false), 0, 1);
    breaks(&[Rule::RefusedSeen], [not_swapped], [event("n", Some("a"), 1)]);
}

#[test]
fn stale_read_by_revisions() {
    let written = || [at(5, set("a", OK, 0, 1)), at(7, set("b", OK, 2, 4))];
    keeps(written().into_iter().chain([at(7, get(Some("b"), 5, 6))]), []);
    keeps(written().into_iter().chain([at(5, get(Some("a"), 3, 6))]), []);
    let report = breaks(&[Rule::StaleRead], written().into_iter().chain([at(5, get(Some("a"), 5, 6))]), []);
    assert!(report.to_string().contains("revision 5 was read after revision 7 was there already"));
    // What did not change or find anything has no say.
    keeps(written().into_iter().chain([at(1, cas(None, "c", Outcome::Ok(false), 5, 6))]), []);
}

#[test]
fn revisions_follow_time_and_are_unique() {
    let late = || at(4, set("b", OK, 2, 3));
    breaks(&[Rule::RevisionOrder], [at(5, set("a", OK, 0, 1)), late()], []);
    breaks(&[Rule::RevisionMismatch], [at(4, set("a", OK, 0, 3)), late()], []);
    breaks(&[Rule::RevisionMismatch], [late(), at(5, get(Some("b"), 4, 5))], []);
    let reads = [at(4, get(Some("a"), 2, 3)), at(6, get(Some("a"), 4, 5))];
    breaks(&[Rule::DuplicatedWrite], [set("a", OK, 0, 1)].into_iter().chain(reads), []);
}

#[test]
fn duplicated_write() {
    let writes = || [set("a", OK, 0, 1), set("b", OK, 2, 3)];
    keeps(writes(), [event("n", Some("a"), 1), event("n", Some("b"), 2)]);
    let twice = [event("n", Some("a"), 1), event("n", Some("b"), 2), event("n", Some("a"), 3)];
    let report = breaks(&[Rule::DuplicatedWrite], writes(), twice);
    assert_eq!(report.duplicated.len(), 1);
    // What clients saw of it is no stale read on top.
    let seen = writes().into_iter().chain([get(Some("b"), 4, 5), get(Some("a"), 6, 7)]);
    let twice = [event("n", Some("a"), 1), event("n", Some("b"), 2), event("n", Some("a"), 3)];
    let report = breaks(&[Rule::DuplicatedWrite, Rule::NotLinearizable], seen, twice);
    assert_eq!((report.duplicated.len(), report.stale.len(), report.others.len()), (1, 0, 1));
    // Nodes that saw it at different revisions prove it too, and disagree where both looked.
    breaks(
        &[Rule::DuplicatedWrite],
        [set("a", OK, 0, 1)],
        [event("n", Some("a"), 1), event("m", Some("a"), 3)],
    );
    // Removals have no value to tell them apart.
    let removals = [set("a", OK, 0, 1), delete(true, 2, 3), set("b", OK, 4, 5), delete(true, 6, 7)];
    let events = [("a", 1), ("", 2), ("b", 3), ("", 4)];
    keeps(
        removals,
        events.map(|(value, revision)| event("n", Some(value).filter(|value| !value.is_empty()), revision)),
    );
}

#[test]
fn lost_write() {
    let writes = || [set("a", OK, 0, 1), set("b", OK, 2, 3), set("c", OK, 4, 5)];
    let all = |node| [event(node, Some("a"), 1), event(node, Some("b"), 2), event(node, Some("c"), 3)];
    let [a, b, c] = all("n");
    keeps(writes(), all("n"));
    // A stream may end early and begin late.
    keeps(writes(), [a.clone(), b.clone()]);
    keeps(writes(), [b.clone(), c.clone()]);
    keeps(writes(), all("m").into_iter().chain([b.clone()]));
    // But it has no hole, whether or not others or the client know the revision.
    let hole = || [a.clone(), c.clone()];
    let report = breaks(&[Rule::LostWrite], writes(), hole());
    assert_eq!(report.lost.len(), 1);
    breaks(&[Rule::LostWrite], writes(), all("m").into_iter().chain(hole()));
    let [first, second, third] = writes();
    breaks(&[Rule::LostWrite], [first.clone(), at(2, second.clone()), third.clone()], hole());
    // Of a write of unknown fate nothing is known; nor of one that may have been the last.
    let doubtful = Operation { returned: None, ..set("b", Outcome::Unknown, 2, 3) };
    keeps([first.clone(), doubtful, third.clone()], hole());
    keeps([first.clone(), set("b", OK, 2, 4), third], hole());
    // A removal is known by its revision alone.
    let removal = || at(2, delete(true, 2, 3));
    let after = set("c", OK, 4, 5);
    keeps([first.clone(), removal(), after.clone()], [a.clone(), event("n", None, 2), c.clone()]);
    breaks(&[Rule::LostWrite], [first, removal(), after], hole());
}

#[test]
fn missed_event() {
    let doubtful = Operation { returned: None, ..set("b", Outcome::Unknown, 2, 3) };
    let writes = [set("a", OK, 0, 1), doubtful, set("c", OK, 4, 5)];
    let events = [("n", "a", 1), ("n", "b", 2), ("n", "c", 3), ("m", "a", 1), ("m", "c", 3)];
    let events = events.map(|(node, value, revision)| event(node, Some(value), revision));
    breaks(&[Rule::MissedEvent], writes, events);
}

#[test]
fn events_in_order_and_the_same_everywhere() {
    let writes = || [set("a", OK, 0, 9), set("b", OK, 0, 9)];
    let events = |events: [(&str, &str, u64); 3]| {
        events.map(|(node, value, revision)| event(node, Some(value), revision))
    };
    keeps(writes(), events([("n", "a", 1), ("m", "a", 1), ("n", "b", 2)]));
    breaks(&[Rule::EventOrder], writes(), events([("n", "b", 2), ("m", "a", 1), ("n", "a", 1)]));
    breaks(&[Rule::EventOrder], writes(), events([("n", "a", 1), ("n", "b", 2), ("n", "b", 2)]));
    breaks(
        &[Rule::EventDisagreement],
        writes(),
        events([("n", "a", 1), ("m", "b", 1), ("n", "a", 1)]).into_iter().take(2),
    );
    breaks(&[Rule::PhantomEvent], writes(), events([("n", "a", 1), ("n", "b", 2), ("n", "z", 3)]));
}

#[test]
fn answers_tell_the_revision_of_the_event() {
    let written = |revision| at(revision, set("a", OK, 0, 1));
    keeps([written(1), at(1, get(Some("a"), 2, 3))], [event("n", Some("a"), 1)]);
    breaks(&[Rule::RevisionMismatch], [written(2)], [event("n", Some("a"), 1)]);
    breaks(
        &[Rule::RevisionMismatch],
        [set("a", OK, 0, 1), at(2, get(Some("a"), 2, 3))],
        [event("n", Some("a"), 1)],
    );
    let removed = at(2, delete(true, 2, 3));
    breaks(
        &[Rule::RevisionMismatch],
        [set("a", OK, 0, 1), set("b", OK, 4, 5), removed],
        [event("n", Some("b"), 2)],
    );
}

#[test]
fn keys_do_not_mix() {
    let other = Operation { key: "other".into(), ..get(None, 2, 3) };
    keeps([set("a", OK, 0, 1), other], []);
}

#[test]
fn hundreds_of_writes_that_never_happened() {
    let doubtful = |n: u64| Operation { returned: None, ..set(&format!("u{n}"), Outcome::Unknown, n, n) };
    let mut operations: Vec<Operation> = (0..500).map(doubtful).collect();
    for n in 0..500 {
        let value = format!("v{n}");
        operations.push(set(&value, OK, 1000 + 10 * n, 1005 + 10 * n));
        operations.push(get(Some(&value), 1006 + 10 * n, 1007 + 10 * n));
        operations.push(cas(Some(&value), "w", Outcome::Ok(n % 2 == 0), 1008 + 10 * n, 1009 + 10 * n));
    }
    keeps(operations.clone(), []);
    operations.push(get(Some("v7"), 9000, 9001));
    breaks(&[Rule::NotLinearizable], operations, []);
}

#[test]
fn a_spent_budget_is_told() {
    let operations = (0..20).flat_map(|n: u64| {
        let value = format!("v{n}");
        [set(&value, OK, 0, 100), get(Some(&value), 0, 100 + n)]
    });
    let history: History = operations.map(Record::Operation).collect();
    let report = check_within(&history, Budget { steps: 3 });
    assert!(report.is_clean());
    assert_eq!(report.undecided, ["k"]);
    assert!(report.to_string().contains("undecided"), "{report}");
    assert!(check(&history).undecided.is_empty());
}
