//! Statuses put in order: one for each node, beside the members that they tell of.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Finding;
use crate::id::{ClusterId, Incarnation, NodeId};
use crate::status::{MemberStatus, Standing, Status};

/// What is said of a member that has no link, and of which no attempt is known.
pub(super) const NOT_YET: &str = "not reached yet";

pub(super) struct Scene<'s> {
    /// One status for each node, sorted by name.
    pub(super) views: Vec<&'s Status>,
    /// The members that vote, sorted by name.
    pub(super) members: Vec<Member<'s>>,
    /// Whether anybody knows the cluster to be founded. Before, seats do not count.
    pub(super) founded: bool,
}

pub(super) struct Member<'s> {
    pub(super) id: &'s NodeId,
    pub(super) seat: Option<Incarnation>,
    pub(super) view: Option<&'s Status>,
    /// In its seat and at work: by its own status, or because it is heard.
    pub(super) up: bool,
}

/// What a node knows of a member.
pub(super) fn member<'s>(view: &'s Status, id: &NodeId) -> Option<&'s MemberStatus> {
    view.members.iter().find(|member| member.node_id == *id)
}

/// Whether a node has a link to another one.
pub(super) fn hears(view: &Status, id: &NodeId) -> bool {
    member(view, id).is_some_and(|member| member.linked)
}

/// Whether a node takes part, so that its links say something of the others.
pub(super) fn is_at_work(view: &Status) -> bool {
    match view.standing {
        Standing::Founding(_) | Standing::Waiting(_) | Standing::Member | Standing::Learner => true,
        Standing::Opening
        | Standing::Damaged(_)
        | Standing::Removed(_)
        | Standing::Stopping
        | Standing::Halted(_) => false,
    }
}

impl<'s> Scene<'s> {
    /// Puts statuses in order, and tells what does not fit together. Nothing is made of nothing.
    pub(super) fn of(statuses: &'s [Status]) -> Option<(Scene<'s>, Vec<Finding>)> {
        let mut findings = Vec::new();
        let mut all: Vec<&Status> = statuses.iter().collect();
        // The text decides last, so that the order in which they were given never does.
        all.sort_by_cached_key(|view| {
            (view.node_id.clone(), view.incarnation, progress(view), format!("{view:?}"))
        });
        let views = of_one_cluster(all, &mut findings);
        // Who stops has taken leave of its peers, and names nobody but itself.
        let telling = views.iter().filter(|view| view.standing != Standing::Stopping);
        let source = telling.max_by_key(|view| {
            let log = (view.last_term, view.last_index, view.commit_index);
            (is_at_work(view), view.cluster_id.is_some(), log, view.members.len())
        });
        let voters = source.iter().flat_map(|view| &view.members).filter(|member| member.part.votes());
        let mut members: Vec<&MemberStatus> = voters.collect();
        members.sort_by(|one, other| one.node_id.cmp(&other.node_id));
        members.dedup_by(|one, other| one.node_id == other.node_id);
        let views = one_for_each(views, &members, &mut findings);
        let founded = views.iter().any(|view| view.cluster_id.is_some());
        let members = members.into_iter().map(|member| Member {
            id: &member.node_id,
            seat: member.seat,
            view: find(&views, &member.node_id),
            up: false,
        });
        let mut members: Vec<Member<'s>> = members.collect();
        for member in &mut members {
            member.up = is_up(member, &views, founded);
        }
        (!views.is_empty()).then_some((Scene { views, members, founded }, findings))
    }

    pub(super) fn view(&self, id: &NodeId) -> Option<&'s Status> {
        find(&self.views, id)
    }

    pub(super) fn names(&self) -> Vec<NodeId> {
        self.views.iter().map(|view| view.node_id.clone()).collect()
    }

    /// What a member's seat is bound to; nothing for who is no member.
    pub(super) fn seat(&self, id: &NodeId) -> Option<Option<Incarnation>> {
        self.members.iter().find(|member| member.id == id).map(|member| member.seat)
    }

    pub(super) fn up(&self) -> impl Iterator<Item = &Member<'s>> {
        self.members.iter().filter(|member| member.up)
    }

    /// How many members are a majority.
    pub(super) fn needed(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// How many members a node reaches, itself included.
    pub(super) fn reach(&self, view: &Status) -> usize {
        self.members.iter().filter(|member| self.reaches(view, member)).count()
    }

    fn reaches(&self, view: &Status, member: &Member<'_>) -> bool {
        let itself = *member.id == view.node_id;
        let mutual = || hears(view, member.id) && member.view.is_none_or(|other| hears(other, &view.node_id));
        member.up && (itself || mutual())
    }

    /// The members that a node does not reach, and why.
    pub(super) fn out_of_reach(&self, view: &Status) -> Vec<(NodeId, String)> {
        let absent = self.members.iter().filter(|member| !self.reaches(view, member));
        let others = absent.filter(|member| *member.id != view.node_id);
        others.map(|absent| (absent.id.clone(), self.why_absent(view, absent))).collect()
    }

    fn why_absent(&self, view: &Status, absent: &Member<'_>) -> String {
        let Some(seen) = member(view, absent.id) else {
            return format!("{} does not know it", view.node_id);
        };
        match &seen.trouble {
            Some(trouble) => trouble.clone(),
            None if !seen.linked => NOT_YET.into(),
            None if absent.up => format!("it does not hear {}", view.node_id),
            None if self.founded && absent.seat.is_none() => "its seat is empty".into(),
            None => "it is not at work in its seat".into(),
        }
    }

    /// Who is not up, and could be by coming back as what it was.
    pub(super) fn could_return(&self) -> Vec<NodeId> {
        let able = self.members.iter().filter(|member| {
            let in_seat = !self.founded || member.seat.is_some();
            let same_life = member.view.is_none_or(|view| match view.standing {
                Standing::Damaged(_) | Standing::Waiting(_) | Standing::Removed(_) => false,
                Standing::Opening | Standing::Stopping | Standing::Halted(_) => true,
                Standing::Founding(_) | Standing::Member | Standing::Learner => {
                    member.seat == Some(view.incarnation)
                }
            });
            !member.up && in_seat && same_life
        });
        able.map(|member| member.id.clone()).collect()
    }
}

fn find<'s>(views: &[&'s Status], id: &NodeId) -> Option<&'s Status> {
    views.iter().find(|view| view.node_id == *id).copied()
}

/// What only grows in the life of a node: the later of two statuses has more of it.
fn progress(view: &Status) -> impl Ord + use<> {
    (view.term, view.commit_index, view.last_applied, view.last_index)
}

/// The statuses of the cluster that has most nodes, and of nodes that belong to none.
fn of_one_cluster<'s>(all: Vec<&'s Status>, findings: &mut Vec<Finding>) -> Vec<&'s Status> {
    let mut clusters: Vec<(ClusterId, Vec<NodeId>)> = Vec::new();
    for view in &all {
        let Some(cluster) = view.cluster_id else { continue };
        match clusters.iter_mut().find(|(id, _)| *id == cluster) {
            Some((_, nodes)) if nodes.last() == Some(&view.node_id) => {}
            Some((_, nodes)) => nodes.push(view.node_id.clone()),
            None => clusters.push((cluster, alloc::vec![view.node_id.clone()])),
        }
    }
    clusters.sort_by(|one, other| other.1.len().cmp(&one.1.len()).then_with(|| one.0.cmp(&other.0)));
    if clusters.len() < 2 {
        return all;
    }
    let first = clusters.first().map(|(cluster, _)| *cluster);
    findings.push(Finding::Apart { clusters });
    all.into_iter().filter(|view| view.cluster_id.is_none() || view.cluster_id == first).collect()
}

/// One status for each node: that of the life in the seat, else the latest. They come sorted by name and life.
fn one_for_each<'s>(
    views: Vec<&'s Status>,
    members: &[&MemberStatus],
    findings: &mut Vec<Finding>,
) -> Vec<&'s Status> {
    let mut kept: Vec<&Status> = Vec::new();
    for same_name in views.chunk_by(|one, other| one.node_id == other.node_id) {
        // The last of each life is the latest.
        let lives: Vec<&Status> = same_name
            .chunk_by(|one, other| one.incarnation == other.incarnation)
            .filter_map(|life| life.last().copied())
            .collect();
        let seat = |view: &Status| members.iter().find(|member| member.node_id == view.node_id)?.seat;
        let seated = lives.iter().find(|view| seat(view) == Some(view.incarnation));
        let Some(view) = seated.or_else(|| lives.iter().max_by_key(|view| progress(view))) else { continue };
        if lives.len() > 1 {
            let incarnations = lives.iter().map(|view| view.incarnation).collect();
            findings.push(Finding::SameName { node: view.node_id.clone(), incarnations });
        }
        kept.push(view);
    }
    kept
}

fn is_up(seat: &Member<'_>, views: &[&Status], founded: bool) -> bool {
    if founded && seat.seat.is_none() {
        return false;
    }
    match seat.view {
        Some(view) => match view.standing {
            Standing::Member | Standing::Learner => !founded || seat.seat == Some(view.incarnation),
            // One that knows of the founding counts by its seat; before, by its name.
            Standing::Founding(_) | Standing::Waiting(_) if founded => seat.seat == Some(view.incarnation),
            Standing::Founding(_) => true,
            Standing::Waiting(_)
            | Standing::Removed(_)
            | Standing::Opening
            | Standing::Damaged(_)
            | Standing::Stopping
            | Standing::Halted(_) => false,
        },
        None => views
            .iter()
            .filter(|view| is_at_work(view))
            .any(|view| member(view, seat.id).is_some_and(|seen| seen.linked && seen.trouble.is_none())),
    }
}
