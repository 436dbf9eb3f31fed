//! Where checkers put what they find.

use crate::observe::Violation;

/// The first violation of a rule that is on, until it is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    off: Vec<&'static str>,
    first: Option<Violation>,
}

impl Findings {
    /// From now on violations of this rule are not found.
    pub(crate) fn turn_off(&mut self, rule: &'static str) {
        self.off.push(rule);
    }

    /// A rule was broken. The sentence is made only if anybody will read it.
    pub(crate) fn broken(&mut self, rule: &'static str, what: impl FnOnce() -> String) {
        if self.first.is_none() && !self.off.contains(&rule) {
            self.first = Some(Violation { rule, what: what() });
        }
    }

    pub(crate) fn take(&mut self) -> Result<(), Violation> {
        match self.first.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }
}
