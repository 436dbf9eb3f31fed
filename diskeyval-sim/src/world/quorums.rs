//! V6, while the members change: who hears no majority of those who vote does not go on leading, whoever else it hears.
//! By its own clock, whatever that shows.

use diskeyval_core::{NodeId, RoleName};

use super::World;
use crate::notes::name;
use crate::observe::Violation;

impl World<'_, '_, '_> {
    /// A node takes a turn with all that has arrived, which says that others live, however long it was on its way.
    pub(super) fn hears_all(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        let (now, arrived) = (this.clock.reckon(self.now), core::mem::take(&mut this.arrived));
        for (from, heard) in this.heard.iter_mut().enumerate() {
            if arrived & (1 << from) != 0 {
                *heard = Some(now);
            }
        }
    }

    /// After a turn of a node. It has given up leading when nobody was heard for one election timeout; two are given to it, from
    /// when it began.
    pub(super) fn must_hear_a_majority(&mut self, node: usize) {
        let limit = self.setting.election_timeout * 2;
        let this = &mut self.nodes[node];
        let now = this.clock.reckon(self.now);
        let leads = this.engine.as_ref().is_some_and(|engine| engine.vitals().role == RoleName::Leader);
        this.leads_since = this.leads_since.filter(|_| leads).or(leads.then_some(now));
        let this = &self.nodes[node];
        let has_led = this.leads_since.is_some_and(|since| now.since(since) >= limit);
        let Some(members) = this.members.as_ref().filter(|_| has_led && !this.goes_on_alone) else { return };
        let is_heard = |id: &NodeId| {
            let mut lives = this.heard.iter().enumerate().filter(|(from, _)| self.names[*from] == *id);
            *id == self.names[node]
                || lives.any(|(_, heard)| heard.is_some_and(|heard| now.since(heard) < limit))
        };
        // A change of the voters that is not committed cannot cost a leader its reign by those who come.
        let voters = if members.outgoing.is_empty() { &members.seats } else { &members.outgoing };
        let heard = voters.iter().filter(|(id, _)| is_heard(id)).count();
        if heard <= voters.len() / 2 {
            let what = format!(
                "{} leads, and has heard {heard} of {} voters for {limit:?}, itself included",
                name(node),
                voters.len()
            );
            self.blame(Violation { rule: "V6", what });
        }
    }
}
