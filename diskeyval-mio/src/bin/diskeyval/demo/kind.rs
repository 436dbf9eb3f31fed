//! What was asked in an operation, and whether it was answered.

use diskeyval_sim::history::{Action, Operation, Outcome};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Get,
    Delete,
    CompareAndSet,
}

impl Kind {
    pub(super) fn of(operation: &Operation) -> Kind {
        match operation.action {
            Action::Set { .. } => Kind::Set,
            Action::Get { .. } => Kind::Get,
            Action::Delete { .. } => Kind::Delete,
            Action::CompareAndSet { .. } => Kind::CompareAndSet,
        }
    }
}

/// How it ended, without the answer.
pub(super) fn ended(operation: &Operation) -> Outcome<()> {
    fn bare<T>(outcome: &Outcome<T>) -> Outcome<()> {
        match outcome {
            Outcome::Ok(_) => Outcome::Ok(()),
            Outcome::Refused => Outcome::Refused,
            Outcome::Unknown => Outcome::Unknown,
        }
    }
    match &operation.action {
        Action::Set { outcome, .. } => *outcome,
        Action::Get { outcome } => bare(outcome),
        Action::Delete { outcome } | Action::CompareAndSet { outcome, .. } => bare(outcome),
    }
}

/// What was asked, if it was answered.
pub(super) fn answered(operation: &Operation) -> Option<Kind> {
    (ended(operation) == Outcome::Ok(())).then(|| Kind::of(operation))
}
