//! Why there is no leader, or no progress: what the statuses of one or several nodes come to, in words.
//!
//! It only reads what [`Status`] holds, so it can be wrong where a node is, and where statuses were taken at different
//! moments. Whatever it is given, it says something, and the same for the same statuses in any order.

mod scene;
#[cfg(test)]
mod tests;
mod words;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::{ClusterId, Incarnation, Index, NodeId, Term};
use crate::status::{RoleName, Standing, Status};
use scene::{Scene, is_at_work};

/// What statuses come to. As text it is one line: who leads, or that nobody does, and then all that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// One thing after the other, what matters most first.
    pub findings: Vec<Finding>,
}

/// One thing that statuses say.
///
/// *Up* is a member that is in its seat and at work, by its own status, or whom another node hears where there is none of
/// it. Before the founding, seats do not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// No status was given.
    NothingKnown,
    /// The nodes belong to clusters that were founded apart. What follows is about the first.
    /// From: `cluster_id`.
    Apart {
        /// The clusters with their nodes: the one with most of them first.
        clusters: Vec<(ClusterId, Vec<NodeId>)>,
    },
    /// There are statuses of several lives under one name. What follows is about the one in the seat, or else the latest.
    /// From: `node_id`, `incarnation`.
    SameName {
        /// The name.
        node: NodeId,
        /// The lives.
        incarnations: Vec<Incarnation>,
    },
    /// Several nodes lead in the same term, which must never be.
    /// From: `role`, `term`.
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who leads in it.
        leaders: Vec<NodeId>,
    },
    /// The states of nodes differ that have applied the same entries, which must never be.
    /// From: `last_applied`, `state_hash`.
    Diverged {
        /// The last entry that they have applied.
        at: Index,
        /// The nodes, those with the same state together.
        states: Vec<Vec<NodeId>>,
    },
    /// There is a leader: by its own status, or by that of a follower where there is none of its own.
    /// From: `role`, `leader`, `term`.
    Led {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
    },
    /// Nobody leads.
    NoLeader,
    /// Nothing else was found.
    Fine {
        /// Whose word that is, where it is not the leader's own.
        says: Vec<NodeId>,
    },
    /// It takes itself for the leader of a term that is over.
    /// From: `role`, `term`.
    Overtaken {
        /// The former leader.
        node: NodeId,
        /// The term in which it leads.
        term: Term,
        /// The latest term that anybody is in.
        latest: Term,
    },
    /// It follows a leader that is none any more, or of a term that is over.
    /// From: `leader`, `term`.
    FollowsFormer {
        /// Who follows.
        node: NodeId,
        /// Whom.
        leader: NodeId,
        /// The term of both.
        term: Term,
    },
    /// These know no leader.
    /// From: `leader`.
    Leaderless {
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// How many members a node reaches: those that are up, and that hear it too if there are statuses of them. Told of a leader
    /// that reaches no majority, and of a single node that has no leader.
    /// From: `members`.
    Reach {
        /// The node.
        node: NodeId,
        /// How many members it reaches, itself included.
        reached: usize,
        /// How many members there are.
        members: usize,
        /// How many are a majority.
        needed: usize,
        /// The others, and why each is out of reach.
        absent: Vec<(NodeId, String)>,
    },
    /// Too few members are up for any leader.
    /// From: `standing`, `incarnation`, `members`.
    NoMajority {
        /// How many are up.
        up: usize,
        /// How many members there are.
        members: usize,
        /// How many are a majority.
        needed: usize,
        /// Who could make it one by coming back as what it was: in a seat, and neither damaged nor another life.
        could_return: Vec<NodeId>,
    },
    /// Enough members are up, and none of those that could lead reaches a majority of them.
    /// From: `members`.
    Split {
        /// How many are up.
        up: usize,
        /// How many members there are.
        members: usize,
        /// How many a member reaches at the most, itself included.
        most: usize,
    },
    /// These reach a majority, so that one of them could be elected.
    /// From: `members`.
    Electable {
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// These stand for election, or ask whether they would win.
    /// From: `role`, `term`.
    Stand {
        /// The nodes.
        nodes: Vec<NodeId>,
        /// Their part.
        role: RoleName,
        /// The term that they are in.
        term: Term,
    },
    /// Nobody of these has a link to the node.
    /// From: `linked`, `trouble`, `heard` of `members`.
    Unheard {
        /// Whom they do not hear.
        node: NodeId,
        /// Who does not, what was wrong at the last attempt, and for how long, where that is known.
        by: Vec<(NodeId, String, Option<Duration>)>,
    },
    /// One hears the other, and not the other way round.
    /// From: `linked` of `members`, on both sides.
    OneWay {
        /// Who does not hear.
        deaf: NodeId,
        /// Whom, although that one hears it.
        unheard: NodeId,
        /// What was wrong at the last attempt.
        trouble: String,
    },
    /// A follower has a link to the leader, and has not answered it for long.
    /// From: `heard` of `members`.
    Silent {
        /// The leader.
        leader: NodeId,
        /// The follower.
        node: NodeId,
        /// For how long.
        span: Duration,
    },
    /// It is not at work in its seat.
    /// From: `standing`.
    Standing {
        /// The node.
        node: NodeId,
        /// Where it stands instead.
        standing: Standing,
    },
    /// It is another life than the one in its seat.
    /// From: `incarnation`, `seat` of `members`.
    AnotherLife {
        /// The node.
        node: NodeId,
        /// Its incarnation.
        incarnation: Incarnation,
        /// The incarnation that its seat is bound to.
        seat: Incarnation,
    },
    /// A seat is empty, and nobody waits for it.
    /// From: `seat` of `members`.
    EmptySeat {
        /// The member.
        node: NodeId,
    },
    /// It is no member.
    /// From: `members`.
    Stranger {
        /// The node.
        node: NodeId,
    },
    /// Its log ends before what is committed.
    /// From: `last_index` of its own status, else what the leader has `matched`; `commit_index`.
    Lags {
        /// The node.
        node: NodeId,
        /// The end of its log.
        last: Index,
        /// Up to where the log is committed, as far as anybody knows.
        committed: Index,
    },
    /// It has what is committed, and has not applied all of it.
    /// From: `last_applied`, `commit_index`.
    Applies {
        /// The node.
        node: NodeId,
        /// Up to where it has applied the log.
        applied: Index,
        /// Up to where the log is committed, as far as anybody knows.
        committed: Index,
    },
    /// The leader has entries that are not committed.
    /// From: `last_index`, `commit_index`.
    Uncommitted {
        /// The leader.
        leader: NodeId,
        /// Up to where its log is committed.
        committed: Index,
        /// The end of its log.
        last: Index,
    },
}

/// A follower that has a link and is silent for this long is worth a word: far longer than between two heartbeats.
const LONG: Duration = Duration::from_secs(10);

/// Says in words why there is no leader, or no progress, or that nothing is wrong: by what these nodes know. One status is
/// enough; those of more nodes say more.
///
/// Of several statuses of the same life of a node, the latest counts.
pub fn explain(statuses: &[Status]) -> Explanation {
    let (scene, mut findings) = match Scene::of(statuses) {
        Some(scene) => scene,
        None => return Explanation { findings: alloc::vec![Finding::NothingKnown] },
    };
    removed(&scene, &mut findings);
    let leader = find_leader(&scene, &mut findings);
    diverged(&scene, &mut findings);
    let whole = findings.len();
    match leader {
        Some((leader, term)) => {
            findings.push(Finding::Led { leader: leader.clone(), term });
            led(&scene, leader, term, &mut findings);
        }
        None => leaderless(&scene, &mut findings),
    }
    links(&scene, &mut findings);
    standings(&scene, &mut findings);
    logs(&scene, leader, &mut findings);
    if let (Some((leader, _)), 0, 1) = (leader, whole, findings.len()) {
        let says = match scene.view(leader) {
            Some(_) => Vec::new(),
            None => scene.names(),
        };
        findings.push(Finding::Fine { says });
    }
    Explanation { findings }
}

/// Who is no member any more: what it remembers of a leader and of the others is the past, and is not what is told of it.
fn removed(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for view in scene.views.iter().filter(|view| matches!(view.standing, Standing::Removed(_))) {
        let (node, standing) = (view.node_id.clone(), view.standing.clone());
        findings.push(Finding::Standing { node, standing });
    }
}

/// The leader of the latest term in which there is one, unless a majority has gone on to later terms.
fn find_leader<'s>(scene: &Scene<'s>, findings: &mut Vec<Finding>) -> Option<(&'s NodeId, Term)> {
    let mut leaders: BTreeMap<Term, Vec<&'s NodeId>> = BTreeMap::new();
    for view in scene.views.iter().filter(|view| leads(view)) {
        leaders.entry(view.term).or_default().push(&view.node_id);
    }
    for (term, leaders) in leaders.iter().filter(|(_, leaders)| leaders.len() > 1) {
        let leaders = leaders.iter().copied().cloned().collect();
        findings.push(Finding::TwoLeaders { term: *term, leaders });
    }
    let own = leaders.into_iter().filter_map(|(term, leaders)| Some((term, *leaders.first()?)));
    // Where the leader says nothing itself, the word of its followers counts.
    let told = scene.views.iter().filter(|view| is_at_work(view)).filter_map(|view| {
        let leader = view.leader.as_ref().filter(|leader| scene.view(leader).is_none())?;
        Some((view.term, leader))
    });
    // Of two in one term, which must never be, the first by name.
    let best = own.chain(told).max_by(|one, other| one.0.cmp(&other.0).then_with(|| other.1.cmp(one.1)));
    let beyond =
        |term: Term| scene.up().filter(|member| member.view.is_some_and(|view| view.term > term)).count();
    best.filter(|(term, _)| beyond(*term) < scene.needed()).map(|(term, leader)| (leader, term))
}

fn leads(view: &Status) -> bool {
    view.role == RoleName::Leader && is_at_work(view)
}

/// Whether the same entries have come to the same state everywhere.
fn diverged(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let mut states: BTreeMap<Index, BTreeMap<u128, Vec<NodeId>>> = BTreeMap::new();
    for view in scene.views.iter().filter(|view| view.cluster_id.is_some()) {
        let same = states.entry(view.last_applied).or_default().entry(view.state_hash).or_default();
        same.push(view.node_id.clone());
    }
    for (at, states) in states.into_iter().filter(|(_, states)| states.len() > 1) {
        let mut states: Vec<Vec<NodeId>> = states.into_values().collect();
        states.sort();
        findings.push(Finding::Diverged { at, states });
    }
}

/// What is wrong although there is a leader.
fn led(scene: &Scene<'_>, leader: &NodeId, term: Term, findings: &mut Vec<Finding>) {
    let latest = scene.views.iter().map(|view| view.term).max().unwrap_or(term);
    former(scene, Some((leader, term)), latest, findings);
    let lost = scene.views.iter().filter(|view| is_at_work(view) && view.leader.is_none() && !leads(view));
    let nodes: Vec<NodeId> = lost.map(|view| view.node_id.clone()).collect();
    if !nodes.is_empty() {
        findings.push(Finding::Leaderless { nodes });
    }
    let view = scene.view(leader);
    if let Some(view) = view.filter(|view| scene.reach(view) < scene.needed()) {
        findings.push(reach(scene, view));
    }
    if scene.views.len() > 1 && scene.up().count() < scene.needed() {
        findings.push(no_majority(scene));
    }
    stand(scene, findings);
    for member in view.iter().flat_map(|view| &view.members) {
        if let Some(span) = member.heard.filter(|span| member.linked && *span >= LONG) {
            let (leader, node) = (leader.clone(), member.node_id.clone());
            findings.push(Finding::Silent { leader, node, span });
        }
    }
}

/// Why there is no leader.
fn leaderless(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let latest = scene.views.iter().map(|view| view.term).max().unwrap_or_default();
    if let [view] = &scene.views[..] {
        return alone(scene, view, findings);
    }
    findings.push(Finding::NoLeader);
    former(scene, None, latest, findings);
    let (up, members, needed) = (scene.up().count(), scene.members.len(), scene.needed());
    if members > 0 && up < needed {
        findings.push(no_majority(scene));
    } else if members > 0 {
        let able: Vec<&Status> = scene.up().filter_map(|member| member.view).collect();
        let electable = able.iter().filter(|view| scene.reach(view) >= needed);
        let nodes: Vec<NodeId> = electable.map(|view| view.node_id.clone()).collect();
        if !nodes.is_empty() {
            findings.push(Finding::Electable { nodes });
        } else if let Some(most) = able.iter().map(|view| scene.reach(view)).max() {
            findings.push(Finding::Split { up, members, most });
        }
    }
    stand(scene, findings);
}

/// The same, by the word of one node.
fn alone(scene: &Scene<'_>, view: &Status, findings: &mut Vec<Finding>) {
    match &view.standing {
        Standing::Member | Standing::Learner => {
            findings.push(Finding::NoLeader);
            former(scene, None, view.term, findings);
            findings.push(reach(scene, view));
            if scene.reach(view) >= scene.needed() {
                findings.push(Finding::Electable { nodes: scene.names() });
            }
            stand(scene, findings);
        }
        // What it says of itself names whom it waits for.
        Standing::Founding(_) => {
            findings.push(Finding::NoLeader);
            stand(scene, findings);
        }
        Standing::Waiting(_) => findings.push(Finding::Leaderless { nodes: scene.names() }),
        // It keeps out, and knows nothing of the others.
        Standing::Opening
        | Standing::Damaged(_)
        | Standing::Removed(_)
        | Standing::Stopping
        | Standing::Halted(_) => {}
    }
}

/// Who leads, or follows, in what is over.
fn former(scene: &Scene<'_>, now: Option<(&NodeId, Term)>, latest: Term, findings: &mut Vec<Finding>) {
    for view in scene.views.iter().filter(|view| is_at_work(view)) {
        let (node, term) = (view.node_id.clone(), view.term);
        if leads(view) {
            // Two in one term are told elsewhere.
            if now.is_none_or(|(_, latest)| term < latest) {
                findings.push(Finding::Overtaken { node, term, latest });
            }
        } else if let Some(leader) = &view.leader
            && now != Some((leader, term))
            && !scene.view(leader).is_some_and(|view| leads(view) && view.term == term)
        {
            findings.push(Finding::FollowsFormer { node, leader: leader.clone(), term });
        }
    }
}

/// Who asks for votes.
fn stand(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for asks in [RoleName::PreCandidate, RoleName::Candidate] {
        let mut terms: BTreeMap<Term, Vec<NodeId>> = BTreeMap::new();
        for view in scene.views.iter().filter(|view| is_at_work(view) && view.role == asks) {
            terms.entry(view.term).or_default().push(view.node_id.clone());
        }
        findings.extend(terms.into_iter().map(|(term, nodes)| Finding::Stand { nodes, role: asks, term }));
    }
}

fn reach(scene: &Scene<'_>, view: &Status) -> Finding {
    Finding::Reach {
        node: view.node_id.clone(),
        reached: scene.reach(view),
        members: scene.members.len(),
        needed: scene.needed(),
        absent: scene.out_of_reach(view),
    }
}

fn no_majority(scene: &Scene<'_>) -> Finding {
    Finding::NoMajority {
        up: scene.up().count(),
        members: scene.members.len(),
        needed: scene.needed(),
        could_return: scene.could_return(),
    }
}

/// Who does not hear whom.
fn links(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    // Whose reach was told: its troubles stand there.
    let told: Vec<NodeId> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Reach { node, .. } => Some(node.clone()),
            _ => None,
        })
        .collect();
    let founds_alone = scene.views.len() == 1 && matches!(scene.views[0].standing, Standing::Founding(_));
    if founds_alone {
        return;
    }
    let mut one_way = Vec::new();
    for member in &scene.members {
        let mut by = Vec::new();
        for view in scene.views.iter().filter(|view| is_at_work(view) && view.node_id != *member.id) {
            let Some(seen) = scene::member(view, member.id).filter(|seen| !seen.linked) else { continue };
            let trouble = seen.trouble.clone().unwrap_or_else(|| scene::NOT_YET.into());
            let hears = |other: &&Status| is_at_work(other) && scene::hears(other, &view.node_id);
            if member.view.filter(hears).is_some() {
                let (deaf, unheard) = (view.node_id.clone(), member.id.clone());
                one_way.push(Finding::OneWay { deaf, unheard, trouble });
            } else if !told.contains(&view.node_id) {
                by.push((view.node_id.clone(), trouble, seen.heard));
            }
        }
        if !by.is_empty() {
            findings.push(Finding::Unheard { node: member.id.clone(), by });
        }
    }
    findings.append(&mut one_way);
}

/// Who is not at work in its seat.
fn standings(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for view in &scene.views {
        match &view.standing {
            // That was told first.
            Standing::Removed(_) => {}
            Standing::Member | Standing::Learner => {}
            Standing::Opening
            | Standing::Damaged(_)
            | Standing::Founding(_)
            | Standing::Waiting(_)
            | Standing::Stopping
            | Standing::Halted(_) => {
                let (node, standing) = (view.node_id.clone(), view.standing.clone());
                findings.push(Finding::Standing { node, standing });
            }
        }
    }
    for view in &scene.views {
        let node = view.node_id.clone();
        match scene.seat(&node) {
            None if matches!(view.standing, Standing::Learner | Standing::Removed(_)) => {}
            None if scene.founded && !scene.members.is_empty() => findings.push(Finding::Stranger { node }),
            // A file that is damaged may be the one that names its life.
            Some(Some(seat)) if seat != view.incarnation && is_at_work(view) => {
                findings.push(Finding::AnotherLife { node, incarnation: view.incarnation, seat });
            }
            Some(_) | None => {}
        }
    }
    for member in scene.members.iter().filter(|member| scene.founded && member.seat.is_none()) {
        if !member.view.is_some_and(|view| matches!(view.standing, Standing::Waiting(_))) {
            findings.push(Finding::EmptySeat { node: member.id.clone() });
        }
    }
}

/// Who is behind by how much.
fn logs(scene: &Scene<'_>, leader: Option<(&NodeId, Term)>, findings: &mut Vec<Finding>) {
    let leader = leader.and_then(|(leader, _)| scene.view(leader));
    let working = || scene.views.iter().filter(|view| is_at_work(view));
    let committed = working().map(|view| view.commit_index).max().unwrap_or_default();
    for member in &scene.members {
        let node = member.id.clone();
        match member.view {
            Some(view) if !is_at_work(view) => {}
            Some(view) if view.last_index < committed => {
                findings.push(Finding::Lags { node, last: view.last_index, committed });
            }
            Some(view) if view.last_applied < committed => {
                findings.push(Finding::Applies { node, applied: view.last_applied, committed });
            }
            Some(_) => {}
            None => {
                let matched = leader.and_then(|leader| scene::member(leader, member.id)?.matched);
                if let Some(last) = matched.filter(|matched| *matched < committed) {
                    findings.push(Finding::Lags { node, last, committed });
                }
            }
        }
    }
    if let Some(leader) = leader.filter(|leader| leader.commit_index < leader.last_index) {
        let (node, committed, last) = (leader.node_id.clone(), leader.commit_index, leader.last_index);
        findings.push(Finding::Uncommitted { leader: node, committed, last });
    }
}
