//! Whatever is done to the nodes: no invariant is violated, and what clients were told has an explanation. A plan that
//! breaks this is shrunk by proptest.
//!
//! `PROPTEST_CASES=1000 cargo test --release -p diskeyval-sim --test proptest`

use core::time::Duration;

use diskeyval_sim::draw::Wishes;
use diskeyval_sim::plan::{Plan, Setting, What};
use diskeyval_sim::run::{Wanted, run};
use diskeyval_sim::strategies::{deeds, plans_with};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseResult, TestRunner};

/// Few, since each is a whole run, unless `PROPTEST_CASES` says otherwise. Shrinking tries as many as it needs.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { usual.cases } else { 12 };
    ProptestConfig { cases, max_shrink_iters: 5000, failure_persistence: None, ..usual }
}

fn short() -> Wishes {
    Wishes { hostile: Some(Duration::from_secs(6)), ..Wishes::default() }
}

fn is_linearizable(plan: &Plan) -> TestCaseResult {
    let ran = run(plan, Wanted { history: true, ..Wanted::default() });
    prop_assert_eq!(ran.violation, None, "by this schedule:\n{}", plan);
    // Nodes that are made to forget what they promised keep to no rule: nothing panicked. Of two clusters there is no one
    // history.
    if plan.forgets() || plan.parts() {
        return Ok(());
    }
    let history = ran.history.expect("it was wanted");
    let report = diskeyval_sim::check(&history);
    prop_assert!(report.is_clean(), "{}\nby this schedule:\n{}", report, plan);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_run_of_every_plan_is_linearizable(plan in plans_with(short())) {
        is_linearizable(&plan)?;
    }

    #[test]
    fn so_is_whatever_is_done_in_one_setting(
        deeds in deeds(&Setting { hostile: Duration::from_secs(4), ..Setting::plain(3) })
    ) {
        let setting = Setting { hostile: Duration::from_secs(4), ..Setting::plain(3) };
        is_linearizable(&Plan { setting, deeds })?;
    }
}

/// What a person reads in the end is what matters, and nothing else.
#[test]
fn what_fails_gets_as_small_as_it_can() {
    let writes = |plan: &Plan| plan.deeds.iter().filter(|deed| matches!(deed.what, What::Ask(_))).count();
    let mut runner = TestRunner::deterministic();
    let mut tree = any::<Plan>().new_tree(&mut runner).expect("a plan");
    assert!(writes(&tree.current()) > 50);
    // It fails if there are three requests: first as it was drawn, then whatever is proposed.
    let mut more = tree.simplify();
    while more {
        more = if writes(&tree.current()) >= 3 { tree.simplify() } else { tree.complicate() };
    }
    let smallest = tree.current();
    assert_eq!((smallest.deeds.len(), writes(&smallest)), (3, 3), "{smallest}");
    assert_eq!((smallest.setting.noise, smallest.setting.torn, smallest.setting.steady), (0, 0, false));
}
