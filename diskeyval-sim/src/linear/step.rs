//! Operations on one register, stripped to what the search needs.

use std::collections::BTreeMap;

use crate::history::{Action, Effect, Operation, Outcome};

/// What the register holds: a number for each value that occurs.
pub(crate) type Value = u32;

/// The register holds nothing. So it begins.
pub(super) const ABSENT: Value = 0;

/// Stands for every value that no operation asks for: which of them it is makes no difference.
pub(super) const JUNK: Value = 1;

/// Gives numbers to values.
#[derive(Default)]
pub(crate) struct Values<'h>(BTreeMap<&'h str, Value>);

impl<'h> Values<'h> {
    fn number(&mut self, value: Option<&'h str>) -> Value {
        let next = Value::try_from(self.0.len()).expect("fewer than 2^32 values") + JUNK + 1;
        value.map_or(ABSENT, |value| *self.0.entry(value).or_insert(next))
    }
}

/// One operation that must, or may, be given a place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(super) call: u64,
    /// The end of time if it was never answered.
    pub(super) returned: u64,
    /// Whether it must have a place. If not, it may also have none.
    pub(super) must: bool,
    pub(super) kind: Kind,
}

/// What it asks of the register, and does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It found this.
    Read(Value),
    /// It leaves this.
    Set(Value),
    /// It leaves nothing. `found`: it found something, or nothing, or nobody knows.
    Delete { found: Option<bool> },
    /// It leaves `value` if it finds `expect`. `swapped`: it did, or not, or nobody knows.
    Cas { expect: Value, value: Value, swapped: Option<bool> },
}

impl Step {
    /// The step of an operation; `None` if it can have no bearing on any other.
    pub(crate) fn of<'h>(operation: &'h Operation, values: &mut Values<'h>) -> Option<Step> {
        let kind = match &operation.action {
            Action::Set { value, .. } => Kind::Set(values.number(Some(value))),
            Action::Get { outcome: Outcome::Ok(read) } => Kind::Read(values.number(read.as_deref())),
            Action::Get { .. } => return None,
            Action::Delete { outcome } => Kind::Delete { found: told(outcome) },
            Action::CompareAndSet { expect, value, outcome } => Kind::Cas {
                expect: values.number(expect.as_deref()),
                value: values.number(value.as_deref()),
                swapped: told(outcome),
            },
        };
        let (call, end) = (operation.call, u64::MAX);
        match operation.outcome() {
            Outcome::Ok(()) => {
                let returned = operation.returned.unwrap_or(end).max(call);
                Some(Step { call, returned, must: true, kind })
            }
            Outcome::Unknown => Some(Step { call, returned: end, must: false, kind }),
            Outcome::Refused => None,
        }
    }

    /// The same without what it observed; `None` if nothing is left of it.
    pub(crate) fn blind(self, operation: &Operation) -> Option<Step> {
        let kind = match self.kind {
            _ if operation.effect() == Effect::None => return None,
            Kind::Cas { value, swapped: Some(_), .. } => Kind::Set(value),
            Kind::Delete { .. } => Kind::Delete { found: None },
            kind => kind,
        };
        Some(Step { kind, ..self })
    }

    /// What is known of it at a time at which it was not yet answered. An operation that will turn out to
    /// change nothing is nothing at that time.
    pub(super) fn pending(self) -> Option<Step> {
        let kind = match self.kind {
            kind if kind.is_pure() => return None,
            Kind::Delete { .. } => Kind::Delete { found: None },
            Kind::Cas { expect, value, .. } => Kind::Cas { expect, value, swapped: None },
            kind => kind,
        };
        Some(Step { kind, returned: u64::MAX, must: false, ..self })
    }
}

fn told(outcome: &Outcome<bool>) -> Option<bool> {
    if let Outcome::Ok(told) = outcome { Some(*told) } else { None }
}

impl Kind {
    /// What the register holds after it; `None` if it cannot have come across this state.
    pub(super) fn apply(self, state: Value) -> Option<Value> {
        match self {
            Kind::Read(found) => (found == state).then_some(state),
            Kind::Set(value) => Some(value),
            Kind::Delete { found: None } => Some(ABSENT),
            Kind::Delete { found: Some(found) } => (found == (state != ABSENT)).then_some(ABSENT),
            Kind::Cas { expect, value, swapped } => match (expect == state, swapped) {
                (true, None | Some(true)) => Some(value),
                (false, None | Some(false)) => Some(state),
                _ => None,
            },
        }
    }

    /// Whether it never changes the register, and only says something about it.
    pub(super) fn is_pure(self) -> bool {
        matches!(
            self,
            Kind::Read(_) | Kind::Delete { found: Some(false) } | Kind::Cas { swapped: Some(false), .. }
        )
    }

    /// Whether it asks that the register holds anything *but* some value.
    pub(super) fn is_averse(self) -> bool {
        matches!(self, Kind::Delete { found: Some(true) } | Kind::Cas { swapped: Some(false), .. })
    }

    /// What it leaves in the register if it changes it.
    pub(super) fn target(self) -> Option<Value> {
        match self {
            kind if kind.is_pure() => None,
            Kind::Set(value) | Kind::Cas { value, .. } => Some(value),
            Kind::Delete { .. } => Some(ABSENT),
            Kind::Read(_) => None,
        }
    }

    /// The only thing that it can have found.
    pub(super) fn wants(self) -> Option<Value> {
        match self {
            Kind::Read(found) => Some(found),
            Kind::Delete { found: Some(false) } => Some(ABSENT),
            Kind::Cas { expect, swapped: Some(true), .. } => Some(expect),
            _ => None,
        }
    }

    /// The value that its result may depend on in any way.
    pub(super) fn names(self) -> Option<Value> {
        match self {
            Kind::Read(value) | Kind::Cas { expect: value, .. } => Some(value),
            Kind::Delete { found: Some(_) } => Some(ABSENT),
            Kind::Delete { found: None } | Kind::Set(_) => None,
        }
    }
}
