//! A mutant acts when it is armed, is counted, and acts no more when it is not. In a process of its own: what is armed
//! is armed for all engines of the process.

#![cfg(feature = "mutants")]

use std::collections::BTreeSet;
use std::time::Duration;

use diskeyval_core::mutants::{ALL, Mutant, arm, hits};
use diskeyval_core::{Change, Command, Config, Effect, Engine, Event, Input, Instant, Request, Seed, Ticket};

/// What a cluster of one tells of a key that is set and removed.
fn changes() -> Vec<Change> {
    let settings = Config::new("n1").and_then(|config| config.validate()).expect("a good configuration");
    let mut engine = Engine::open(settings, Seed::from_u64(1));
    let mut turn = engine.turn(Instant::ZERO);
    turn.input(Input::Listen { changes: true });
    let set = Command::Set { key: "k".into(), value: "v".into() };
    for (ticket, command) in [set, Command::Delete { key: "k".into() }].into_iter().enumerate() {
        turn.input(Input::Ask {
            ticket: Ticket(ticket as u64),
            request: Request::Write(command),
            budget: Duration::from_secs(1),
        });
    }
    let told = |effect| match effect {
        Effect::Event(Event::Change(change)) => Some(change),
        _ => None,
    };
    turn.end().filter_map(told).collect()
}

#[test]
fn a_mutant_acts_while_it_is_armed() {
    assert_eq!((changes().len(), hits()), (2, 0));
    arm(Some(Mutant::DeleteEmitsNothing));
    assert_eq!((changes().len(), hits()), (1, 1));
    assert_eq!((changes().len(), hits()), (1, 2));
    arm(Some(Mutant::VoteNotStored));
    assert_eq!((changes().len(), hits()), (2, 0), "there is no disk, so this one cannot act");
    arm(None);
    assert_eq!((changes().len(), hits()), (2, 0));
}

#[test]
fn names_are_kebab_case_and_unique() {
    let kebab = |name: &str| {
        name.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
    };
    for mutant in ALL {
        assert!(kebab(mutant.name()), "{}", mutant.name());
        assert_eq!(Mutant::from_name(mutant.name()), Some(*mutant));
        assert!(mutant.what().ends_with('.'), "{} is told in a sentence", mutant.name());
        assert!(mutant.ledger().starts_with(|c: char| c.is_ascii_digit()), "{} has a number", mutant.name());
    }
    let names: BTreeSet<&str> = ALL.iter().map(|mutant| mutant.name()).collect();
    assert_eq!(names.len(), ALL.len());
    assert_eq!(Mutant::from_name("no-such-mutant"), None);
}
