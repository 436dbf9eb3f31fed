//! A turn, as a driver holds it in its hands.

use super::Engine;
use crate::io::{Effect, Input};

/// A turn: open at a time, given everything that has arrived, then ended.
#[must_use = "a turn does nothing before it is ended"]
pub struct Turn<'e> {
    pub(super) engine: &'e mut Engine,
}

/// What a turn came to, to be performed in this order. What is not taken out comes out of the next turn.
#[must_use = "effects must be performed"]
pub struct Effects<'e> {
    engine: &'e mut Engine,
}

impl<'e> Turn<'e> {
    /// Gives the engine something that has arrived. Never fails: guilt becomes an effect.
    pub fn input(&mut self, input: Input) {
        self.engine.take(input);
    }

    /// Ends the turn.
    pub fn end(self) -> Effects<'e> {
        self.engine.finish_turn();
        Effects { engine: self.engine }
    }
}

impl Iterator for Effects<'_> {
    type Item = Effect;

    fn next(&mut self) -> Option<Effect> {
        self.engine.effects.pop_front()
    }
}
