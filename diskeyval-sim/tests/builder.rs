//! What a user is promised of `Sim`.

use std::collections::BTreeMap;
use std::time::Duration;

use diskeyval_sim::Sim;
use diskeyval_sim::builder::Impossible;
use diskeyval_sim::faults::Fault;
use diskeyval_sim::observe::{Checker, Turn, Violation};
use diskeyval_sim::plan::{Ask, Plan};
use diskeyval_sim::program::{Answer, Hands, Program, Ticket};

fn short() -> Sim {
    let faults = [Fault::Crash, Fault::Freeze, Fault::ClockStep];
    Sim::builder().nodes(3).faults(faults).time(Duration::from_secs(5)).build().expect("possible")
}

/// Ticks on every node, and remembers what it should not.
#[derive(Default)]
struct Ticker {
    /// How often each life of each node has ticked.
    ticks: BTreeMap<usize, u64>,
    answers: u64,
    asks: u64,
    calm: bool,
    /// It breaks a rule of its own once a node has died.
    fragile: bool,
    fallen: bool,
    /// It never comes to an end.
    restless: bool,
}

impl Program for Ticker {
    fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        assert!(self.ticks.insert(node, 0).is_none(), "it was down");
        hands.wake_node_in(node, Duration::from_millis(10), 7);
    }

    fn down(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        assert!(!hands.is_up(node));
        assert_eq!(hands.get(node, "k"), None, "it is down");
        self.ticks.remove(&node);
        self.fallen = true;
    }

    fn wake_node(&mut self, hands: &mut Hands<'_, '_>, node: usize, tag: u64) {
        assert_eq!(tag, 7);
        let ticks = self.ticks.get_mut(&node).expect("a timer dies with its process");
        *ticks += 1;
        hands.say(node, || format!("tick {ticks}"));
        if let Some(leader) = hands.leader() {
            hands.set(leader, "ticks", ticks.to_string());
        }
        if !self.calm {
            hands.wake_node_in(node, Duration::from_millis(50), 7);
        }
    }

    fn planned(&mut self, _: &mut Hands<'_, '_>, _: &Ask) {
        self.asks += 1;
    }

    fn answered(&mut self, _: &mut Hands<'_, '_>, _: usize, _: Ticket, _: &Answer) {
        self.answers += 1;
    }

    fn calm(&mut self, _: &mut Hands<'_, '_>) {
        self.calm = true;
    }

    fn done(&self) -> bool {
        !self.restless
    }

    fn check(&self) -> Result<(), Violation> {
        match self.fragile && self.fallen {
            true => Err(Violation::new("NO-FALL", "a node has fallen")),
            false => Ok(()),
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_a_trace_changes_nothing() {
    let mut programs = [Ticker::default(), Ticker::default(), Ticker::default()];
    let [one, other, another] = &mut programs;
    let first = short().run_seed(1, one);
    let again = short().run_seed(1, other);
    let faults = [Fault::Crash, Fault::Freeze, Fault::ClockStep];
    let traced = Sim::builder().nodes(3).faults(faults).time(Duration::from_secs(5)).seed(1).trace(true);
    let traced = traced.run(another).expect("possible");
    assert!(first.passed(), "{first}");
    assert_eq!((first.digest, first.simulated), (again.digest, again.simulated));
    assert_eq!(first.digest, traced.digest);
    assert!(traced.trace().contains("tick 1") && first.trace().is_empty());
    assert!(one.answers > 20 && one.asks == 0, "{} answers, {} asks", one.answers, one.asks);
}

#[test]
fn what_the_standard_clients_would_ask_is_there_if_it_is_wanted() {
    let mut ticker = Ticker::default();
    let sim = Sim::builder().nodes(1).faults([]).time(Duration::from_secs(2)).planned_asks(true);
    assert!(sim.run(&mut ticker).expect("possible").passed());
    assert!(ticker.asks > 5, "{} asks", ticker.asks);
}

#[test]
fn a_rule_of_the_program_is_found_broken_shrunk_and_switched_off() {
    let fragile = || Ticker { fragile: true, ..Ticker::default() };
    let failure = short().hunt(0..10, fragile).expect("seeds").failure.expect("a crash");
    let shrunk = short().shrink(&failure.plan, fragile).expect("it fails again");
    assert_eq!((shrunk.plan.deeds.len(), shrunk.violation.rule), (1, "NO-FALL"), "{}", shrunk.plan);
    let text = shrunk.plan.to_string();
    let read = Plan::parse(&text).expect("its own text");
    let outcome = short().run_plan(&read, &mut fragile()).expect("a good plan");
    assert_eq!(outcome.violation, Some(shrunk.violation));

    let lenient = Sim::builder().nodes(3).faults([Fault::Crash]).time(Duration::from_secs(2));
    lenient.without(["NO-FALL"]).build().expect("possible").assert_clean(0..3, fragile);
}

#[test]
#[should_panic(expected = "diskeyval schedule 1")]
fn a_test_that_fails_shows_the_smallest_schedule() {
    short().assert_clean(0..10, || Ticker { fragile: true, ..Ticker::default() });
}

#[test]
fn a_program_that_does_not_come_to_its_end_is_found() {
    let outcome = short().run(&mut Ticker { restless: true, ..Ticker::default() });
    assert_eq!(outcome.violation.map(|violation| violation.rule), Some("P1"));
}

#[test]
fn a_checker_of_ones_own_sees_every_turn() {
    struct NoEntries;
    impl Checker for NoEntries {
        fn turn(&mut self, turn: &Turn<'_>) -> Result<(), Violation> {
            match turn.vitals.commit.0 {
                0..5 => Ok(()),
                more => Err(Violation::new("FEW", format!("{more} entries are committed"))),
            }
        }
    }
    let sim = short();
    let plan = sim.plan(0);
    let outcome = sim.run_watched(&plan, &mut Ticker::default(), vec![&mut NoEntries]).expect("a good plan");
    assert_eq!(outcome.violation.map(|violation| violation.rule), Some("FEW"));
}

#[test]
fn a_panic_of_the_program_is_a_finding() {
    struct Clumsy;
    impl Program for Clumsy {
        fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
            assert!(node < 2, "node {node} of {}", hands.nodes());
        }
    }
    let violation = short().run(&mut Clumsy).violation.expect("a panic");
    assert_eq!(violation.rule, "assert");
    assert!(violation.what.contains("node 2 of 3"), "{violation}");
}

#[test]
fn what_is_impossible_is_said_with_a_remedy() {
    let refused = |sim: diskeyval_sim::builder::Builder| sim.build().expect_err("impossible");
    for nodes in [0, 8] {
        let error = refused(Sim::builder().nodes(nodes));
        assert_eq!(error, Impossible::Nodes(nodes));
        assert!(error.to_string().contains("take 1 to 7"), "{error}");
    }
    let day = Duration::from_secs(24 * 3600);
    for time in [Duration::ZERO, day + Duration::from_nanos(1)] {
        let error = refused(Sim::builder().time(time));
        assert_eq!(error, Impossible::Time(time));
        assert!(error.to_string().contains("more than nothing and at most a day"), "{error}");
    }
    #[allow(clippy::reversed_empty_ranges)]
    for seeds in [3..3, 5..2] {
        let error = short().hunt(seeds.clone(), Ticker::default).expect_err("no seed");
        assert_eq!(error, Impossible::Seeds(seeds));
    }
    let mut plan = short().plan(0);
    plan.setting.core.clear();
    let error = short().run_plan(&plan, &mut Ticker::default()).expect_err("no core");
    assert!(matches!(error, Impossible::Plan(_)), "{error}");
}
