//! Memberships: what leaders may propose about them, and that there is one cluster.
//!
//! Seats are filled and emptied, one at a time. Learners come and go. The voters change in two steps, and while they do,
//! a majority of each half has to agree.

use diskeyval_core::inspect::{self, What};
use diskeyval_core::{EntryId, Incarnation, NodeId};

use super::super::findings::Findings;
use super::super::tree::{EMPTY, Place};
use super::Facts;
use crate::notes::name;

pub(super) type Seats = [(NodeId, Option<Incarnation>)];

/// What an entry says of the members.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Members<'t> {
    pub(super) seats: &'t Seats,
    outgoing: &'t Seats,
    learners: &'t Seats,
}

impl<'t> Members<'t> {
    /// Each has to agree.
    pub(super) fn halves(self) -> impl Iterator<Item = &'t Seats> {
        [self.seats, self.outgoing].into_iter().filter(|seats| !seats.is_empty())
    }

    pub(super) fn learners(self) -> &'t Seats {
        self.learners
    }

    pub(super) fn all(self) -> impl Iterator<Item = &'t (NodeId, Option<Incarnation>)> {
        self.seats.iter().chain(self.outgoing).chain(self.learners)
    }
}

fn bound_of(seats: &Seats, id: &NodeId) -> Option<Option<Incarnation>> {
    seats.iter().find(|(name, _)| name == id).map(|(_, bound)| *bound)
}

fn names(seats: &Seats) -> impl Iterator<Item = &NodeId> {
    seats.iter().map(|(id, _)| id)
}

impl Facts {
    /// The members that a configuration names; `None` before there are any.
    pub(super) fn members(&self, configuration: Place) -> Option<Members<'_>> {
        if configuration == EMPTY {
            return None;
        }
        match &self.tree.entry(configuration).what {
            What::Genesis { seats, .. } => Some(Members { seats, outgoing: &[], learners: &[] }),
            What::Members { seats, outgoing, learners } => Some(Members { seats, outgoing, learners }),
            What::Noop | What::OpenSession { .. } | What::Write { .. } => None,
        }
    }

    /// Whether of each half a majority of the seats is bound to a storage of which this is so. Nothing counts for an empty
    /// seat.
    pub(super) fn majority(&self, configuration: Place, is_so: impl Fn(usize) -> bool) -> bool {
        let Some(members) = self.members(configuration) else { return false };
        members.halves().all(|seats| {
            let bound = seats.iter().filter_map(|(_, bound)| self.storage_of((*bound)?));
            bound.filter(|storage| is_so(*storage)).count() > seats.len() / 2
        })
    }

    /// Whether the storages of a majority hold an entry durably.
    pub(super) fn majority_holds(&self, configuration: Place, entry: Place) -> bool {
        self.majority(configuration, |storage| self.tree.holds(self.storages[storage].durable.last, entry))
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
        let mut founders = self.names[..self.founders].to_vec();
        founders.sort();
        if !names(seats).eq(&founders) {
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

    /// Members follow from those before.
    fn check_members(&self, at: usize, place: Place, findings: &mut Findings) {
        let before = self.tree.entry(self.tree.parent(place)).configuration;
        let (Some(before), Some(after)) = (self.members(before), self.members(place)) else {
            return findings.broken("S12", || format!("{} puts a genesis into a founded log", name(at)));
        };
        let is_genesis = matches!(self.tree.entry(place).what, What::Genesis { .. });
        let follows = match (before.outgoing.is_empty(), after.outgoing.is_empty()) {
            (true, true) => self.changes_seats(at, before, after, findings),
            (true, false) => begins(before, after),
            (false, true) => {
                let ends = Members { outgoing: &[], ..before } == after;
                ends || is_undone(before, after)
            }
            (false, false) => false,
        };
        if is_genesis || !follows {
            findings.broken("S12", || {
                let index = self.tree.index(place);
                format!("the members that {} proposes at {index} do not follow from those before", name(at))
            });
        }
    }

    /// One seat of a voter is filled by a life of its node, or one that was not empty is emptied; or learners come, go, and
    /// are bound to lives of theirs. Addresses are no matter.
    fn changes_seats(
        &self,
        at: usize,
        before: Members<'_>,
        after: Members<'_>,
        findings: &mut Findings,
    ) -> bool {
        if !names(before.seats).eq(names(after.seats)) {
            return false;
        }
        let changed: Vec<_> = before.seats.iter().zip(after.seats).filter(|(old, new)| old != new).collect();
        let is_one_step = match &changed[..] {
            [] => true,
            [((_, None), (id, Some(incarnation)))] => {
                self.check_bound(at, id, *incarnation, findings);
                before.learners == after.learners
            }
            [((_, Some(_)), (_, None))] => before.learners == after.learners,
            _ => false,
        };
        for (id, bound) in after.learners {
            match (bound_of(before.learners, id), bound) {
                (None, None) | (Some(_), None) => {}
                (Some(former), Some(incarnation)) if former == Some(*incarnation) => {}
                (_, Some(incarnation)) => self.check_bound(at, id, *incarnation, findings),
            }
        }
        is_one_step
    }

    /// A node goes by the members that its log names, whether they stand in an entry or in a snapshot.
    pub(crate) fn goes_by(
        &mut self,
        at: usize,
        entry: EntryId,
        members: impl FnOnce() -> Option<inspect::Members>,
        findings: &mut Findings,
    ) {
        let place = self.tree.entry(self.nodes[at].now.last).configuration;
        if core::mem::replace(&mut self.nodes[at].goes_by, (entry, place)) == (entry, place) {
            return;
        }
        let members = members();
        let known = members.as_ref().map(|members| Members {
            seats: &members.seats,
            outgoing: &members.outgoing,
            learners: &members.learners,
        });
        if known != self.members(place) {
            findings.broken("S12", || {
                let index = self.tree.index(place);
                format!("{} goes by other members of entry {index} than there are", name(at))
            });
        }
    }

    /// Whether a node is not among the voters that its log names.
    pub(super) fn is_out(&self, at: usize) -> bool {
        let members = self.members(self.tree.entry(self.nodes[at].now.last).configuration);
        members
            .is_some_and(|members| members.halves().all(|seats| bound_of(seats, &self.names[at]).is_none()))
    }

    /// The members by each committed entry about them, in order.
    fn committed_members(&self) -> impl Iterator<Item = Members<'_>> {
        let configurations = self.committed.iter().map(|(place, _)| self.tree.entry(*place).configuration);
        let mut last = EMPTY;
        let changes = configurations.filter(move |now| core::mem::replace(&mut last, *now) != *now);
        changes.filter_map(|configuration| self.members(configuration))
    }

    /// Whether the life that a node lives was a member, by a committed entry, and by a later one another life of it is.
    pub(crate) fn was_superseded(&self, at: usize) -> bool {
        let own = self.nodes[at].storage.map(|storage| self.storages[storage].incarnation);
        let bound =
            |members: Members<'_>| members.all().find(|(id, _)| *id == self.names[at]).map(|seat| seat.1);
        let mut lives = self.committed_members().filter_map(bound);
        lives.any(|bound| bound == own) && lives.any(|bound| bound != own)
    }

    /// Whether a node was a member, by a committed entry, and is none by a later one.
    pub(crate) fn was_removed(&self, at: usize) -> bool {
        let is_member = |members: Members<'_>| members.all().any(|(id, _)| *id == self.names[at]);
        let mut parts = self.committed_members().map(is_member);
        parts.any(|is_member| is_member) && parts.any(|is_member| !is_member)
    }

    /// Whether an entry undoes a change that its own leader has begun: then that need not be committed.
    fn undoes(&self, place: Place) -> bool {
        let before = self.tree.entry(self.tree.parent(place)).configuration;
        let (Some(former), Some(now)) = (self.members(before), self.members(place)) else { return false };
        let is_of_one_reign = self.tree.entry(before).term == self.tree.entry(place).term;
        !former.outgoing.is_empty() && is_undone(former, now) && is_of_one_reign
    }

    /// At the end of its turn: a leader proposes members only after an own-term commit, and when no other proposal
    /// of that kind is open. What was committed in this turn was proposed before it.
    pub(super) fn check_proposed(&mut self, at: usize, commit: u64, findings: &mut Findings) {
        let first = self.reign(self.nodes[at].now.term, self.nodes[at].storage).map(|reign| reign.first);
        for place in &self.proposed {
            let index = self.tree.index(*place);
            let open = self.tree.index(self.tree.entry(self.tree.parent(*place)).configuration);
            if open > commit && !self.undoes(*place) {
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

/// The voters begin to change: those who go are all who voted, and who comes was a learner.
fn begins(before: Members<'_>, after: Members<'_>) -> bool {
    let is_known = |(id, bound): &(NodeId, Option<Incarnation>)| match bound_of(before.seats, id) {
        Some(seat) => seat == *bound,
        None => bound.is_some() && bound_of(before.learners, id) == Some(*bound),
    };
    let learns = |(id, _): &&(NodeId, Option<Incarnation>)| bound_of(after.seats, id).is_none();
    after.outgoing == before.seats
        && !after.seats.is_empty()
        && after.seats.iter().all(is_known)
        && after.learners.iter().eq(before.learners.iter().filter(learns))
}

/// The voters are who they were, and who was to become one may be a learner again.
fn is_undone(before: Members<'_>, after: Members<'_>) -> bool {
    let is_known = |seat: &(NodeId, Option<Incarnation>)| before.all().any(|known| known == seat);
    after.seats == before.outgoing && after.outgoing.is_empty() && after.learners.iter().all(is_known)
}
