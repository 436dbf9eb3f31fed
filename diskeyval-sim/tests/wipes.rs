//! Nodes that lose all that they know, and are taken in again.
//!
//! Disks are lost at every step of a run, and not only at those that chance would pick: one of three, and two of five,
//! the leader among them or not. `WIPE_EVERY=1 cargo test --release -p diskeyval-sim --test wipes` takes every step;
//! otherwise some are left out. And nodes that keep all in memory are restarted one after the other, for as many
//! simulated seconds as `ROLLING_SECONDS` says.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::env;

use diskeyval_sim::choice::Choices;
use diskeyval_sim::faults::Fault;
use diskeyval_sim::notes::{Note, What as Happened};
use diskeyval_sim::observe::Time;
use diskeyval_sim::plan::{Ask, Deed, Disturbance, Plan, Request, Setting, Target, Targets, What};
use diskeyval_sim::run::{Wanted, run};

/// Until here clients ask, and nodes lose their disks.
const WORK: Duration = Duration::from_millis(1_600);
/// From here on everything has to be as if nothing had happened.
const AFTER: Duration = Duration::from_secs(4);
const END: Duration = Duration::from_secs(6);

/// A cluster that is founded and used: writes, reads, swaps, removals, by clients on all nodes.
fn canonical(nodes: usize) -> Plan {
    let mut setting = Setting::plain(nodes);
    // The clients' writes, what they see, and what the log says are judged all the same.
    (setting.doomed, setting.hostile, setting.noise) = (true, END, 5);
    let ask = |at: Duration, node: usize, key: u64, request| {
        let ask = Ask { client: node as u64 + 1, node, key, request, budget: Duration::from_secs(2) };
        Deed { at, what: What::Ask(ask) }
    };
    let requests =
        [Request::Set, Request::Create, Request::Get, Request::Swap, Request::Delete, Request::SwapRevision];
    let nth = |nth: usize| {
        let at = Duration::from_millis(400 + 50 * nth as u64);
        ask(at, nth % nodes, nth as u64 % 3, requests[nth % requests.len()])
    };
    let mut deeds: Vec<Deed> = (0..24).map(nth).collect();
    for node in 0..nodes {
        for (later, request) in [(0, Request::Set), (300, Request::Get)] {
            deeds.push(ask(AFTER + Duration::from_millis(later), node, node as u64 % 3, request));
        }
    }
    deeds.sort_by_key(|deed| deed.at);
    Plan { setting, deeds }
}

/// All moments at which anything happened, from the first at which somebody knew the genesis to be committed.
fn steps(plan: &Plan) -> Vec<Time> {
    let (mut moments, mut founded) = (BTreeSet::new(), false);
    let tell = |note: Note| {
        founded |= matches!(note.what, Happened::Commit { .. });
        if founded && note.at < Time(0) + WORK {
            moments.insert(note.at.0);
        }
    };
    let ran = run(plan, Wanted { notes: Some(Box::new(tell)), history: false });
    assert_eq!(ran.violation, None);
    moments.into_iter().map(Time).collect()
}

/// Runs the plan with some disks lost at this moment. Everything that was asked in the end has to be served.
fn lose(plan: &Plan, at: Time, victims: &[usize]) {
    let mut plan = plan.clone();
    for victim in victims {
        let one = Target::Node(*victim);
        let what = What::Disturb(Disturbance {
            fault: Fault::Wipe,
            nodes: Targets { one, other: one, group: 0 },
            lasting: Duration::from_millis(100),
            strength: 0,
        });
        plan.deeds.push(Deed { at: at.since(Time(0)), what });
    }
    plan.deeds.sort_by_key(|deed| deed.at);
    let (mut open, mut served, mut wiped, mut back) = (BTreeMap::new(), 0, 0, BTreeSet::new());
    let tell = |note: Note| match note.what {
        Happened::Ask { ticket, node, .. } if note.at >= Time(0) + AFTER => {
            open.insert(ticket, node);
        }
        Happened::Answer { ticket, text, .. } if open.remove(&ticket).is_some() => {
            assert!(
                !text.starts_with("refused") && !text.starts_with("unknown"),
                "{at:?} {victims:?}: {text}"
            );
            served += 1;
        }
        Happened::Crash { wiped: true, .. } => wiped += 1,
        Happened::Event { node, text } if text.contains("is in its seat") && note.at > at => {
            back.insert(node);
        }
        _ => {}
    };
    let ran = run(&plan, Wanted { notes: Some(Box::new(tell)), history: true });
    assert_eq!(ran.violation, None, "disks of {victims:?} lost at {at:?}");
    assert_eq!(wiped, victims.len(), "{at:?}");
    assert!(victims.iter().all(|victim| back.contains(victim)), "{at:?} {victims:?}: only {back:?} are back");
    assert!(open.is_empty(), "{at:?} {victims:?}: {open:?} is not answered");
    assert_eq!(served, 2 * plan.setting.nodes);
}

fn every(otherwise: usize) -> usize {
    env::var("WIPE_EVERY").map_or(otherwise, |every| every.parse().expect("a number of steps"))
}

#[test]
fn one_of_three_may_lose_its_disk_at_any_step() {
    let plan = canonical(3);
    let steps = steps(&plan);
    assert!(steps.len() > 300, "{} steps", steps.len());
    for at in steps.iter().step_by(every(5)) {
        for victim in 0..3 {
            lose(&plan, *at, &[victim]);
        }
    }
}

#[test]
fn two_of_five_may_lose_their_disks_at_any_step() {
    let plan = canonical(5);
    let steps = steps(&plan);
    for at in steps.iter().step_by(every(40)) {
        for one in 0..5 {
            for other in one + 1..5 {
                lose(&plan, *at, &[one, other]);
            }
        }
    }
}

/// Rolling restarts, in any order, under load: each node is ended only when all others are in their seats.
#[test]
fn nodes_in_memory_are_restarted_one_after_the_other_and_keep_every_write() {
    let seconds = env::var("ROLLING_SECONDS").map_or(300, |seconds| seconds.parse().expect("a number"));
    let mut setting = Setting::plain(3);
    (setting.memory, setting.hostile, setting.noise) = (true, Duration::from_secs(seconds), 11);
    let mut choices = Choices::from_seed(11);
    let mut deeds = Vec::new();
    for tenth in 10..seconds * 10 {
        let at = Duration::from_millis(tenth * 100 + choices.below(100));
        let request = *choices.pick(&[Request::Set, Request::Get, Request::Swap, Request::Create]);
        let (node, key) = (choices.place(3), choices.below(5));
        let budget = Duration::from_secs(2);
        let ask = Ask { client: node as u64 + 1, node, key, request, budget };
        deeds.push(Deed { at, what: What::Ask(ask) });
        if tenth % 20 == 0 {
            let one = Target::Node(choices.place(3));
            let what = What::Disturb(Disturbance {
                fault: *choices.pick(&[Fault::Crash, Fault::Stop, Fault::Vanish]),
                nodes: Targets { one, other: one, group: 0 },
                lasting: Duration::from_millis(choices.between(10, 700)),
                strength: 0,
            });
            deeds.push(Deed { at, what });
        }
    }
    deeds.sort_by_key(|deed| deed.at);
    let mut deaths = 0;
    let tell = |note: Note| deaths += usize::from(matches!(note.what, Happened::Crash { .. }));
    let ran = run(&Plan { setting, deeds }, Wanted { notes: Some(Box::new(tell)), history: true });
    assert_eq!(ran.violation, None);
    assert!(deaths as u64 > seconds / 4, "only {deaths} restarts");
}
