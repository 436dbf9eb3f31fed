//! Reads by lease rest on clocks. Where those run as evenly as is said, no read is stale; where they do not, some are,
//! and this simulator finds them: a check that could not fail would say nothing.

use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::{Wishes, draw};
use diskeyval_sim::faults::Fault;
use diskeyval_sim::plan::{Plan, Request, What};
use diskeyval_sim::run::{Wanted, run};

/// Leaders are cut off with clocks that stand still, or run at half speed.
fn with_wrong_clocks(seed: u64) -> Plan {
    let faults = vec![Fault::ClockRate, Fault::ClockStop, Fault::Isolate, Fault::Partition, Fault::Crash];
    draw(&mut Choices::from_seed(seed), &Wishes { faults: Some(faults), ..Wishes::default() })
}

/// The same requests, by lease.
fn by_lease(mut plan: Plan) -> Plan {
    plan.setting.lease = true;
    for deed in &mut plan.deeds {
        if let What::Ask(ask) = &mut deed.what
            && ask.request == Request::Get
        {
            ask.request = Request::GetLease;
        }
    }
    plan
}

#[test]
fn with_clocks_beyond_the_bound_stale_reads_are_found() {
    let stale = |seed: &u64| {
        let violation = run(&by_lease(with_wrong_clocks(*seed)), Wanted::default()).violation;
        violation.is_some_and(|violation| matches!(violation.rule, "E1" | "E8"))
    };
    let found = (0..200).find(stale).expect("a stale read within 200 seeds");
    // It was the lease: the same run without one is right.
    assert_eq!(run(&with_wrong_clocks(found), Wanted::default()).violation, None);
}

#[test]
fn without_a_bound_for_clocks_nobody_relies_on_them() {
    for seed in 0..60 {
        let mut plan = by_lease(with_wrong_clocks(seed));
        plan.setting.lease = false;
        assert_eq!(run(&plan, Wanted::default()).violation, None, "seed {seed}");
    }
}
