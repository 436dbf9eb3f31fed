//! Memberships: what leaders may propose about them, and that there is one cluster.
//!
//! Today seats are filled and emptied, one at a time. Learners and joint configurations will be
//! added to [`Facts::check_members`] with the features themselves; `majority` then asks every half.

use diskeyval_core::inspect::What;
use diskeyval_core::{Incarnation, NodeId};

use super::super::findings::Findings;
use super::super::tree::{EMPTY, Place};
use super::Facts;
use crate::notes::name;

pub(super) type Seats = [(NodeId, Option<Incarnation>)];

impl Facts {
    /// The seats that a configuration names; `None` before there are any.
    pub(super) fn seats(&self, configuration: Place) -> Option<&Seats> {
        if configuration == EMPTY {
            return None;
        }
        match &self.tree.entry(configuration).what {
            What::Genesis { seats, .. } | What::Members { seats } => Some(seats),
            What::Noop | What::OpenSession { .. } | What::Write { .. } => None,
        }
    }

    /// Whether the storages of a majority of all seats hold an entry durably. Nothing counts for an empty seat.
    pub(super) fn majority_holds(&self, configuration: Place, entry: Place) -> bool {
        let Some(seats) = self.seats(configuration) else { return false };
        let bound = seats.iter().filter_map(|(_, bound)| self.storage_of((*bound)?));
        let holds = |storage: &usize| self.tree.holds(self.storages[*storage].durable.last, entry);
        bound.filter(holds).count() > seats.len() / 2
    }

    /// A leader has put a new entry into its log. What depends on commits is judged at the end of its turn.
    pub(super) fn judge_proposal(&mut self, at: usize, place: Place, findings: &mut Findings) {
        let entry = self.tree.entry(place);
        let parent = self.tree.parent(place);
        let behind_geneses = self.tree.entry(parent).is_unfounded;
        if parent == EMPTY {
            self.check_genesis(at, place, findings);
        } else if behind_geneses && entry.is_unfounded {
            self.check_copy(at, place, findings);
        } else if behind_geneses {
            self.proposed.push(place);
            self.check_one_cluster(at, place, findings);
        } else if entry.configuration == place {
            self.proposed.push(place);
            self.check_members(at, place, findings);
        }
    }

    /// What begins a log names all initial members, and binds the seats of a majority, its writer's among them.
    fn check_genesis(&self, at: usize, place: Place, findings: &mut Findings) {
        let What::Genesis { seats, .. } = &self.tree.entry(place).what else {
            return findings.broken("S12", || format!("{} begins a log without a genesis", name(at)));
        };
        let mut names = self.names.clone();
        names.sort();
        if !seats.iter().map(|(id, _)| id).eq(&names) {
            findings
                .broken("S12", || format!("the genesis of {} does not name the initial members", name(at)));
        }
        let own = self.nodes[at].storage.map(|storage| self.storages[storage].incarnation);
        let is_in = seats.iter().any(|(id, bound)| *id == self.names[at] && *bound == own);
        let bound = seats.iter().filter(|(_, bound)| bound.is_some()).count();
        if !is_in || bound <= seats.len() / 2 {
            findings.broken("S12", || {
                format!("the genesis of {} binds {bound} of {} seats, or not its own", name(at), seats.len())
            });
        }
        for (id, incarnation) in seats.iter().filter_map(|(id, bound)| Some((id, (*bound)?))) {
            self.check_bound(at, id, incarnation, findings);
        }
    }

    /// Who is in a seat is, or was, a life of the node of that name.
    fn check_bound(&self, at: usize, id: &NodeId, incarnation: Incarnation, findings: &mut Findings) {
        let storage = self.storage_of(incarnation).map(|storage| &self.storages[storage]);
        if !storage.is_some_and(|storage| self.names[storage.node] == *id && storage.durable.is_named) {
            findings.broken("S12", || {
                format!("{} puts {incarnation} into the seat of {id}, which has no such life", name(at))
            });
        }
    }

    fn check_copy(&self, at: usize, place: Place, findings: &mut Findings) {
        let parent = self.tree.parent(place);
        if self.tree.entry(place).what != self.tree.entry(parent).what {
            findings.broken("S12", || format!("{} puts another genesis behind that of its log", name(at)));
        }
    }

    /// One cluster, for ever: the first that goes beyond its genesis.
    fn check_one_cluster(&mut self, at: usize, place: Place, findings: &mut Findings) {
        let genesis = self.tree.at(place, 1).expect("something stands before it");
        let founded = *self.founded.get_or_insert(genesis);
        if founded != genesis {
            findings.broken("S12", || format!("{} founds a second cluster", name(at)));
        }
    }

    /// One empty seat is filled by a life of its node, or one that is not is emptied.
    fn check_members(&self, at: usize, place: Place, findings: &mut Findings) {
        let before = self.tree.entry(self.tree.parent(place)).configuration;
        let (Some(before), Some(after)) = (self.seats(before), self.seats(place)) else {
            return findings.broken("S12", || format!("{} puts a genesis into a founded log", name(at)));
        };
        let same_names = before.iter().map(|(id, _)| id).eq(after.iter().map(|(id, _)| id));
        let mut changed = before.iter().zip(after).filter(|(before, after)| before != after);
        let is_genesis = matches!(self.tree.entry(place).what, What::Genesis { .. });
        match (changed.next(), changed.next()) {
            (Some(((_, None), (id, Some(incarnation)))), None) if same_names && !is_genesis => {
                self.check_bound(at, id, *incarnation, findings);
            }
            (Some(((_, Some(_)), (_, None))), None) if same_names && !is_genesis => {}
            _ => findings.broken("S12", || {
                let index = self.tree.index(place);
                format!(
                    "the members that {} proposes at {index} are not those before with one seat filled or emptied",
                    name(at)
                )
            }),
        }
    }

    /// At the end of its turn: a leader proposes members only after an own-term commit, and when no other proposal
    /// of that kind is open. What was committed in this turn was proposed before it.
    pub(super) fn check_proposed(&mut self, at: usize, commit: u64, findings: &mut Findings) {
        let first = self.reign(self.nodes[at].now.term, self.nodes[at].storage).map(|reign| reign.first);
        for place in &self.proposed {
            let index = self.tree.index(*place);
            let open = self.tree.index(self.tree.entry(self.tree.parent(*place)).configuration);
            if open > commit {
                findings.broken("S12", || {
                    format!(
                        "{} appends {index} while the members of entry {open} are not committed",
                        name(at)
                    )
                });
            }
            if first.is_none_or(|first| commit < first) {
                findings.broken("S12", || {
                    format!("{} appends {index} before it has committed an entry of its own term", name(at))
                });
            }
        }
        self.proposed.clear();
    }
}
