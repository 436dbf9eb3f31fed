//! What the standard clients do to a cluster, as its history has it: really concurrent, of doubtful outcome here and
//! there, and judged alike by both judges.
//!
//! One judge goes along with the run, with the committed log as its witness (`src/invariants/clients.rs`): fast, since
//! it need not look for an order. The other has nothing but the history, and searches (`src/linear.rs`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use diskeyval_sim::draw::Wishes;
use diskeyval_sim::history::{Action, Operation, Outcome};
use diskeyval_sim::hunt::{Quarry, hunt, run_seed};
use diskeyval_sim::run::{Ran, Wanted};
use diskeyval_sim::{History, check};

/// Some standard seeds: nothing of them is wished for but that there is one cluster, and so one history.
static RUNS: LazyLock<Vec<Ran>> = LazyLock::new(|| {
    let wanted = || Wanted { notes: None, history: true };
    (0..30).map(|seed| run_seed(seed, &Wishes { whole: true, ..Wishes::default() }, wanted(), &[])).collect()
});

fn operations(ran: &Ran) -> impl Iterator<Item = &Operation> {
    ran.history.iter().flat_map(History::operations).map(|operation| &operation.record)
}

/// How many operations that were answered overlap at some moment, at most.
fn most_in_flight(ran: &Ran) -> usize {
    let mut changes = BTreeMap::<u64, i64>::new();
    for operation in operations(ran) {
        let Some(returned) = operation.returned else { continue };
        *changes.entry(operation.call).or_default() += 1;
        *changes.entry(returned).or_default() -= 1;
    }
    let (mut now, mut most) = (0, 0);
    for change in changes.values() {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).expect("no fewer than none")
}

fn is_unknown(operation: &Operation) -> bool {
    match &operation.action {
        Action::Set { outcome, .. } => *outcome == Outcome::Unknown,
        Action::Get { .. } => false,
        Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => *outcome == Outcome::Unknown,
    }
}

#[test]
fn standard_histories_are_concurrent_and_doubtful() {
    let concurrent = RUNS.iter().filter(|ran| most_in_flight(ran) >= 4).count();
    let doubtful = RUNS.iter().filter(|ran| operations(ran).any(is_unknown)).count();
    assert!(concurrent * 10 >= RUNS.len() * 9, "{concurrent} of {} are concurrent", RUNS.len());
    assert!(doubtful * 2 >= RUNS.len(), "{doubtful} of {} have outcomes that are unknown", RUNS.len());
    let (asked, unknown): (u64, u64) =
        (RUNS.iter().map(|ran| ran.asked).sum(), RUNS.iter().map(|ran| ran.unknown).sum());
    assert!(asked / 50 < unknown + 1 && unknown < asked / 2, "{unknown} of {asked} are unknown");
}

#[test]
fn both_judges_find_standard_histories_sound() {
    let mut silent = 0;
    for (seed, ran) in RUNS.iter().enumerate() {
        // The run itself has been judged by the log, step by step, and by the search in the end.
        assert_eq!(ran.violation, None, "seed {seed}");
        let report = check(ran.history.as_ref().expect("it was wanted"));
        assert!(report.is_clean(), "seed {seed}: {report}");
        assert!(report.undecided.is_empty(), "seed {seed}: a search that gives up judges nothing: {report}");
        assert!(report.operations > 0, "seed {seed}: {report}");
        silent += usize::from(report.events == 0);
    }
    // Where all clocks stand still, nothing is decided.
    assert!(silent * 10 <= RUNS.len(), "nothing happened in {silent} of {} runs", RUNS.len());
}

/// A history says nothing if the search may look away: one answer that is changed is found by it.
#[test]
fn the_search_needs_no_log_to_find_a_wrong_answer() {
    let mut changed = 0;
    for (seed, ran) in RUNS.iter().enumerate() {
        let mut records: Vec<_> = ran.history.iter().flat_map(History::records).collect();
        // A read of a key that somebody had written, and nobody removed, finds nothing.
        let removes = |key: &str| {
            operations(ran)
                .any(|operation| operation.key == key && matches!(operation.action, Action::Delete { .. }))
        };
        let read = records.iter_mut().rev().find_map(|record| match record {
            diskeyval_sim::history::Record::Operation(read)
                if matches!(&read.action, Action::Get { outcome: Outcome::Ok(Some(_)) })
                    && !removes(&read.key) =>
            {
                Some(read)
            }
            _ => None,
        });
        let Some(read) = read else { continue };
        read.action = Action::Get { outcome: Outcome::Ok(None) };
        // Unless the first write of the key may still have been open.
        let call = read.call;
        let key = read.key.clone();
        let was_there = operations(ran).any(|write| {
            let is_set = matches!(
                &write.action,
                Action::Set { outcome: Outcome::Ok(()), .. }
                    | Action::CompareAndSet { outcome: Outcome::Ok(true), .. }
            );
            is_set && write.key == key && write.returned < Some(call)
        });
        let report = check(&records.into_iter().collect());
        assert_eq!(report.stale.is_empty(), !was_there, "seed {seed}: {report}");
        changed += u32::from(was_there);
    }
    assert!(changed >= 3, "only {changed} histories had such a read");
}

#[test]
fn a_hunt_may_search_all_histories() {
    let wishes = Wishes { hostile: Some(core::time::Duration::from_secs(3)), ..Wishes::default() };
    let quarry = Quarry { seeds: 100..160, wishes, jobs: 2, enough: 1, searched: 1, off: Vec::new() };
    let all = hunt(&quarry, &|_| true);
    let none = hunt(&Quarry { searched: 0, ..quarry }, &|_| true);
    assert_eq!((all.failed, all.seeds), (Vec::new(), 60));
    assert_eq!((none.failed, none.digest), (Vec::new(), all.digest), "searching changes nothing");
}
