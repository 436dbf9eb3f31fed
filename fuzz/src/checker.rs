//! The checker against one that is too simple to be wrong: it tries every order of a small history.

use arbitrary::{Result, Unstructured};
use diskeyval_sim::history::{Action, History, Operation, Outcome, Record};
use diskeyval_sim::report::{Report, check};

/// A few operations on two keys at the most, and what both say of them.
pub fn run(bytes: &[u8]) {
    let Ok(operations) = operations(&mut Unstructured::new(bytes)) else { return };
    let mut history = History::new();
    operations.iter().cloned().for_each(|operation| history.push(Record::Operation(operation)));
    let report: Report = check(&history);
    assert!(report.undecided.is_empty(), "so few operations are decided");
    let explained = ["a", "b"].iter().all(|key| {
        let of_key: Vec<&Operation> = operations.iter().filter(|operation| operation.key == **key).collect();
        has_an_order(&of_key, 0, None)
    });
    let told: String = operations.iter().map(|operation| format!("\n  {operation}")).collect();
    assert_eq!(report.is_clean(), explained, "an order explains these: {explained}:{told}\n{report}");
}

/// Whether what is not placed yet can be placed behind this value of the key.
fn has_an_order(operations: &[&Operation], placed: u32, value: Option<&str>) -> bool {
    let open = || (0..operations.len()).filter(|at| placed & (1 << at) == 0);
    let answered = |at: usize| is_answered(&operations[at].action);
    if !open().any(answered) {
        return true;
    }
    open().any(|at| {
        let next = operations[at];
        let is_late = |other: usize| {
            answered(other) && operations[other].returned.is_some_and(|returned| returned < next.call)
        };
        !open().any(is_late) && {
            let after = take(next, value);
            after.is_some_and(|after| has_an_order(operations, placed | 1 << at, after))
        }
    })
}

fn is_answered(action: &Action) -> bool {
    match action {
        Action::Set { outcome, .. } => matches!(outcome, Outcome::Ok(())),
        Action::Get { outcome } => matches!(outcome, Outcome::Ok(_)),
        Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => {
            matches!(outcome, Outcome::Ok(_))
        }
    }
}

/// What an operation makes of a value, if it can come there.
fn take<'v>(operation: &'v Operation, value: Option<&'v str>) -> Option<Option<&'v str>> {
    match &operation.action {
        Action::Set { outcome: Outcome::Refused, .. }
        | Action::Delete { outcome: Outcome::Refused }
        | Action::CompareAndSet { outcome: Outcome::Refused, .. }
        | Action::Get { outcome: Outcome::Refused | Outcome::Unknown } => None,
        Action::Set { value: new, .. } => Some(Some(new)),
        Action::Get { outcome: Outcome::Ok(read) } => (read.as_deref() == value).then_some(value),
        Action::Delete { outcome } => {
            (*outcome == Outcome::Unknown || *outcome == Outcome::Ok(value.is_some())).then_some(None)
        }
        Action::CompareAndSet { expect, value: new, outcome } => {
            let fits = expect.as_deref() == value;
            let can_be = *outcome == Outcome::Unknown || *outcome == Outcome::Ok(fits);
            can_be.then_some(if fits { new.as_deref() } else { value })
        }
    }
}

/// Each writes a value of its own, as a history must.
fn operations(chance: &mut Unstructured<'_>) -> Result<Vec<Operation>> {
    let count = chance.int_in_range(1..=7usize)?;
    let mut operations = Vec::new();
    for at in 0..count {
        let call = u64::from(chance.int_in_range(0..=15u8)?);
        let lasting = chance.int_in_range(0..=9u8)?;
        let fate = chance.int_in_range(0..=5u8)?;
        let some_value = |chance: &mut Unstructured<'_>| -> Result<Option<String>> {
            let of = chance.int_in_range(0..=count)?;
            Ok((of < count && of != at).then(|| format!("v{of}")))
        };
        let action = match chance.int_in_range(0..=3u8)? {
            0 => Action::Set { value: format!("v{at}"), outcome: ended(fate, ()) },
            1 => Action::Get { outcome: ended(fate, some_value(chance)?) },
            2 => Action::Delete { outcome: ended(fate, chance.arbitrary()?) },
            _ => Action::CompareAndSet {
                expect: some_value(chance)?,
                value: chance.ratio(3u8, 4u8)?.then(|| format!("v{at}")),
                outcome: ended(fate, chance.arbitrary()?),
            },
        };
        let returned = (fate != 0 || lasting < 5).then(|| call + u64::from(lasting));
        let key = if chance.ratio(1u8, 4u8)? { "b" } else { "a" }.to_owned();
        operations.push(Operation { client: at as u64, key, action, call, returned, revision: None });
    }
    Ok(operations)
}

fn ended<T>(fate: u8, told: T) -> Outcome<T> {
    match fate {
        0 => Outcome::Unknown,
        1 => Outcome::Refused,
        _ => Outcome::Ok(told),
    }
}
