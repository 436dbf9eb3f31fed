//! The checker against a second one that is too simple to be wrong: it tries every order, and shares nothing with the
//! first but the form of a history.

use diskeyval_sim::choice::{Choices, for_all};
use diskeyval_sim::history::{Action, Operation, Outcome};
use diskeyval_sim::linear::{Budget, Verdict, check};

mod generate;

use generate::Chance;

/// Whether some order explains the operations that are not placed yet, from this value of the key on.
fn some_order(operations: &[Operation], placed: u32, value: Option<&str>) -> bool {
    let is_placed = |at: usize| placed & (1 << at) != 0;
    let must = |operation: &Operation| match &operation.action {
        Action::Set { outcome, .. } => *outcome == Outcome::Ok(()),
        Action::Get { outcome } => matches!(outcome, Outcome::Ok(_)),
        Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => {
            matches!(outcome, Outcome::Ok(_))
        }
    };
    let open = || (0..operations.len()).filter(|&at| !is_placed(at));
    if !open().any(|at| must(&operations[at])) {
        return true;
    }
    open().any(|at| {
        let next = &operations[at];
        let overdue = |other: usize| {
            must(&operations[other]) && operations[other].returned.is_some_and(|end| end < next.call)
        };
        if open().any(overdue) {
            return false;
        }
        let after = match &next.action {
            Action::Set { outcome: Outcome::Refused, .. }
            | Action::Get { outcome: Outcome::Refused | Outcome::Unknown }
            | Action::Delete { outcome: Outcome::Refused }
            | Action::CompareAndSet { outcome: Outcome::Refused, .. } => return false,
            Action::Set { value, .. } => Some(value.as_str()),
            Action::Get { outcome: Outcome::Ok(read) } if read.as_deref() != value => return false,
            Action::Get { .. } => value,
            Action::Delete { outcome: Outcome::Ok(found) } if *found != value.is_some() => return false,
            Action::Delete { .. } => None,
            Action::CompareAndSet { expect, value: new, outcome } => {
                let fits = expect.as_deref() == value;
                if matches!(outcome, Outcome::Ok(swapped) if *swapped != fits) {
                    return false;
                }
                if fits { new.as_deref() } else { value }
            }
        };
        some_order(operations, placed | 1 << at, after)
    })
}

/// A few operations on one key, near enough to sense that about half of such histories have an explanation.
fn small_history(chance: &mut Chance) -> Vec<Operation> {
    let count = 2 + chance.below(6);
    let span = 4 + chance.below(30);
    let kinds = [1 + chance.below(5), 1 + chance.below(8), chance.below(4), chance.below(5)];
    let unknown = [0, 100, 300, 600][usize::try_from(chance.below(4)).expect("small")];
    let repeats = chance.permille(100);
    let mut written: Vec<String> = Vec::new();
    let mut operations = Vec::new();
    for number in 0..count {
        let call = chance.below(span);
        let returned = call + chance.below(span / 2);
        let fresh = if repeats { format!("v{}", chance.below(3)) } else { format!("v{number}") };
        let seen = |chance: &mut Chance| match chance.below(3 + written.len() as u64) {
            0 | 1 => None,
            2 => Some(format!("v{}", chance.below(count))),
            other => Some(written[usize::try_from(other - 3).expect("small")].clone()),
        };
        let fate = chance.below(1000);
        let (lost, refused) = (fate < unknown, fate > 970);
        fn ended<T>(lost: bool, refused: bool, told: T) -> Outcome<T> {
            match (lost, refused) {
                (true, _) => Outcome::Unknown,
                (_, true) => Outcome::Refused,
                _ => Outcome::Ok(told),
            }
        }
        let mut kind = chance.below(kinds.iter().sum());
        let mut chosen = 0;
        while kind >= kinds[chosen] {
            kind -= kinds[chosen];
            chosen += 1;
        }
        let action = match chosen {
            0 => Action::Set { value: fresh.clone(), outcome: ended(lost, refused, ()) },
            1 => Action::Get { outcome: ended(lost, refused, seen(chance)) },
            2 => Action::Delete { outcome: ended(lost, refused, chance.permille(600)) },
            _ => Action::CompareAndSet {
                expect: seen(chance),
                value: chance.permille(850).then(|| fresh.clone()),
                outcome: ended(lost, refused, chance.permille(600)),
            },
        };
        if matches!(chosen, 0 | 3) {
            written.push(fresh);
        }
        let returned = (!lost || chance.permille(500)).then_some(returned);
        operations.push(Operation {
            client: number,
            key: "k".into(),
            action,
            call,
            returned,
            revision: None,
        });
    }
    operations
}

fn tell(operations: &[Operation]) -> String {
    operations.iter().map(|operation| format!("\n  {operation}")).collect()
}

/// Holds the checker to trying every order. Tells whether there is an explanation.
fn agree(operations: &[Operation], which: u64) -> bool {
    let expected = some_order(operations, 0, None);
    match check(operations, Budget::default()) {
        Verdict::Linearizable => {
            assert!(expected, "history {which}: no order explains this:{}", tell(operations));
        }
        Verdict::Violated(window) => {
            assert!(!expected, "history {which}: an order explains this:{}", tell(operations));
            // What is shown is inexplicable by itself, but for operations that were not answered yet.
            let end = operations[window.culprit].returned;
            let shown: Vec<Operation> =
                window.operations.iter().map(|&at| as_known_at(end, &operations[at])).collect();
            assert!(window.operations.contains(&window.culprit));
            assert!(
                !some_order(&shown, 0, None),
                "history {which}: of{}\nthis has an explanation:{}",
                tell(operations),
                tell(&shown)
            );
        }
        Verdict::Undecided => panic!("history {which}: undecided:{}", tell(operations)),
    }
    expected
}

#[test]
fn agrees_with_trying_every_order_of_random_histories() {
    let mut chance = Chance::new(20_261_122);
    let (mut explained, mut violated) = (0, 0);
    for round in 0..40_000 {
        match agree(&small_history(&mut chance), round) {
            true => explained += 1,
            false => violated += 1,
        }
    }
    assert!(explained > 10_000 && violated > 10_000, "{explained} explained, {violated} violated");
}

/// When operations are called and answered, in every way that they can overlap: one is called, or one of those that
/// are open is answered.
fn times(choices: &mut Choices<'_>, count: usize) -> Vec<(u64, u64)> {
    let (mut times, mut open) = (Vec::<(u64, u64)>::new(), Vec::<usize>::new());
    for now in 0..2 * count as u64 {
        let can_call = usize::from(times.len() < count);
        match choices.place(open.len() + can_call) {
            answered if answered < open.len() => {
                let at = open.remove(answered);
                times[at] = (times[at].0, now);
            }
            _ => {
                open.push(times.len());
                times.push((now, now));
            }
        }
    }
    times
}

/// Everything that can be asked and told where so many values are written: values are `v0`, `v1`, … by their writers.
fn any_action(choices: &mut Choices<'_>, at: usize, count: usize) -> Action {
    let value = |at: usize| format!("v{at}");
    let some_value = |choices: &mut Choices<'_>| match choices.place(count) {
        // Nobody reads what it is itself to write; absent stands in the place of that.
        other if other == at => None,
        other => Some(value(other)),
    };
    match choices.below(4) {
        0 => Action::Set { value: value(at), outcome: *choices.pick(&SET_ENDS) },
        1 => Action::Get { outcome: Outcome::Ok(some_value(choices)) },
        2 => Action::Delete { outcome: *choices.pick(&CHANGE_ENDS) },
        _ => Action::CompareAndSet {
            expect: some_value(choices),
            value: Some(value(at)),
            outcome: *choices.pick(&CHANGE_ENDS),
        },
    }
}

const SET_ENDS: [Outcome<()>; 3] = [Outcome::Ok(()), Outcome::Refused, Outcome::Unknown];
const CHANGE_ENDS: [Outcome<bool>; 4] =
    [Outcome::Ok(true), Outcome::Ok(false), Outcome::Refused, Outcome::Unknown];

/// Not some histories, but all of three operations: each way to overlap, each action, each end.
#[test]
fn agrees_with_trying_every_order_of_every_small_history() {
    let (mut explained, mut violated) = (0u64, 0u64);
    let mut count_all = |count: usize| {
        for_all(|choices| {
            let times = times(choices, count);
            let operations: Vec<Operation> = (0..count)
                .map(|at| Operation {
                    client: at as u64,
                    key: "k".into(),
                    action: any_action(choices, at, count),
                    call: times[at].0,
                    returned: Some(times[at].1),
                    revision: None,
                })
                .collect();
            match agree(&operations, explained + violated) {
                true => explained += 1,
                false => violated += 1,
            }
        })
    };
    // 1 way to overlap, 3, 15; and 3 sets, 4 removals, and for each value that is found 1 get and 4 swaps.
    assert_eq!(count_all(1), 3 + 4 + 1 + 4);
    assert_eq!(count_all(2), 3 * (3 + 4 + 2 + 8u64).pow(2));
    assert_eq!(count_all(3), 15 * (3 + 4 + 3 + 12u64).pow(3));
    assert!(explained > 20_000 && violated > 20_000, "{explained} explained, {violated} violated");
}

/// What was known of an operation at that time.
fn as_known_at(end: Option<u64>, operation: &Operation) -> Operation {
    let mut known = operation.clone();
    if known.returned > end {
        match &mut known.action {
            Action::Set { outcome, .. } => *outcome = Outcome::Unknown,
            Action::Get { outcome } => *outcome = Outcome::Unknown,
            Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => *outcome = Outcome::Unknown,
        }
    }
    known
}
