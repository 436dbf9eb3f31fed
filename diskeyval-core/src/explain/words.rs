//! Findings as sentences.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{Explanation, Finding};
use crate::id::{Incarnation, NodeId};
use crate::status::{RoleName, Standing};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&Finding> = None;
        for finding in &self.findings {
            match (before, finding) {
                (None, _) => {}
                (Some(Finding::NoLeader), _) => f.write_str(": ")?,
                (Some(_), Finding::Fine { .. }) => f.write_str(", and ")?,
                (Some(_), _) => f.write_str("; ")?,
            }
            finding.fmt(f)?;
            before = Some(finding);
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NothingKnown => f.write_str("nothing is known: no node has told its status"),
            Finding::Apart { clusters } => {
                let each = clusters.iter().map(|(id, nodes)| alloc::format!("{id} ({})", commas(nodes)));
                let each: Vec<String> = each.collect();
                write!(
                    f,
                    "these clusters were founded apart and refuse each other, and the rest is about the first: {}",
                    each.join(", ")
                )
            }
            Finding::SameName { node, incarnations } => {
                let lives: Vec<String> = incarnations.iter().map(|life| short(*life)).collect();
                let lives = and(&lives);
                write!(f, "{node} is the name of several lives: {lives}")
            }
            Finding::TwoLeaders { term, leaders } => {
                write!(f, "{} lead in term {term}, which must never be", and(leaders))
            }
            Finding::Diverged { at, states } => {
                let states: Vec<String> = states.iter().map(|nodes| and(nodes)).collect();
                let states = states.join(" against ");
                write!(f, "at index {at} the states differ, which must never be: {states}")
            }
            Finding::Led { leader, term } => write!(f, "there is a leader, {leader}, in term {term}"),
            Finding::NoLeader => f.write_str("no leader"),
            Finding::Fine { says } if says.is_empty() => f.write_str("nothing is wrong"),
            Finding::Fine { says } => {
                let verb = if says.len() == 1 { "knows" } else { "know" };
                write!(f, "nothing is wrong as far as {} {verb}", and(says))
            }
            Finding::Overtaken { node, term, latest } if term < latest => {
                write!(f, "{node} still leads in term {term}, and the latest is {latest}")
            }
            Finding::Overtaken { node, term, .. } => write!(f, "{node} still leads in term {term}"),
            Finding::FollowsFormer { node, leader, term } => {
                write!(f, "{node} still follows {leader}, the leader of term {term}")
            }
            Finding::Leaderless { nodes } => {
                let verb = if nodes.len() == 1 { "knows" } else { "know" };
                write!(f, "{} {verb} no leader", and(nodes))
            }
            Finding::Reach { node, reached, members, needed, absent } => {
                write!(f, "{reached} of {members} members within reach of {node}")?;
                if reached < needed {
                    write!(f, ", and {needed} {} needed", are(*needed))?;
                }
                let each = absent.iter().map(|(node, why)| alloc::format!("{node}: {why}"));
                let each: Vec<String> = each.collect();
                if each.is_empty() { Ok(()) } else { write!(f, " ({})", each.join("; ")) }
            }
            Finding::NoMajority { up, members, needed, could_return } => {
                write!(
                    f,
                    "{up} of {members} members {} up, and {needed} {} needed: ",
                    are(*up),
                    are(*needed)
                )?;
                let missing = needed.saturating_sub(*up);
                if could_return.len() < missing {
                    return f.write_str("too few others are left that could come back as what they were");
                }
                if could_return.len() > missing {
                    write!(f, "{missing} of ")?;
                }
                let what = if missing == 1 { "what it was" } else { "what they were" };
                write!(f, "{} would have to come back as {what}", and(could_return))
            }
            Finding::Split { up, members, most } => write!(
                f,
                "{up} of {members} members {} up, but none reaches a majority ({most} at the most, itself included)",
                are(*up)
            ),
            Finding::Electable { nodes } => {
                let verb = if nodes.len() == 1 { "reaches" } else { "reach" };
                write!(f, "{} {verb} a majority, so an election is due", and(nodes))
            }
            Finding::Stand { nodes, role, term } => {
                let one = nodes.len() == 1;
                match role {
                    RoleName::PreCandidate => {
                        let (verb, who) = if one { ("asks", "it") } else { ("ask", "they") };
                        write!(f, "{} {verb} whether {who} would be elected after term {term}", and(nodes))
                    }
                    RoleName::Candidate | RoleName::Follower | RoleName::Leader => {
                        let verb = if one { "stands" } else { "stand" };
                        write!(f, "{} {verb} for election in term {term}", and(nodes))
                    }
                }
            }
            Finding::Unheard { node, by } => unheard(f, node, by),
            Finding::OneWay { deaf, unheard, trouble } => {
                write!(f, "{deaf} does not hear {unheard} ({trouble}), although {unheard} hears {deaf}")
            }
            Finding::Silent { leader, node, span } => {
                write!(f, "{node} has a link to {leader}, and has not answered it for {}", seconds(*span))
            }
            Finding::Standing { node, standing } => match standing {
                Standing::Opening => write!(f, "{node} still reads what it has kept"),
                Standing::Damaged(why) => write!(f, "{node} keeps out of everything: {why}"),
                Standing::Founding(why) => write!(f, "{node} waits for the founding: {why}"),
                Standing::Waiting(why) => write!(f, "{node} waits for its seat: {why}"),
                Standing::Removed(why) => write!(f, "{node} is no member any more: {why}"),
                Standing::Member => write!(f, "{node} is in its seat"),
                Standing::Learner => write!(f, "{node} is a learner"),
                Standing::Stopping => write!(f, "{node} is stopping"),
                Standing::Halted(why) => write!(f, "{node} has halted: {why}"),
            },
            Finding::AnotherLife { node, incarnation, seat } => write!(
                f,
                "{node} has another incarnation ({}) than its seat ({})",
                short(*incarnation),
                short(*seat)
            ),
            Finding::EmptySeat { node } => write!(f, "the seat of {node} is empty"),
            Finding::Stranger { node } => write!(f, "{node} is no member"),
            Finding::Lags { node, last, committed } => {
                let behind = committed.0.saturating_sub(last.0);
                let entries = if behind == 1 { "entry" } else { "entries" };
                write!(
                    f,
                    "{node} is {behind} {entries} behind: it has the log up to {last}, and {committed} is committed"
                )
            }
            Finding::Applies { node, applied, committed } => {
                write!(f, "{node} has applied the log up to {applied}, and {committed} is committed")
            }
            Finding::Uncommitted { leader, committed, last } => {
                write!(f, "the log of {leader} goes up to {last}, and is committed up to {committed}")
            }
        }
    }
}

/// Those who hear a node no more, with the reason once if it is the same for all.
fn unheard(
    f: &mut fmt::Formatter<'_>,
    node: &NodeId,
    by: &[(NodeId, String, Option<Duration>)],
) -> fmt::Result {
    let why = |(_, trouble, span): &(NodeId, String, Option<Duration>)| match span {
        // Less than that is within what a link that is well may be silent.
        Some(span) if span.as_secs() > 0 => alloc::format!("{trouble}, for {}", seconds(*span)),
        Some(_) | None => trouble.clone(),
    };
    let verb = if by.len() == 1 { "does" } else { "do" };
    let first = by.first().map(why).unwrap_or_default();
    if by.iter().all(|deaf| why(deaf) == first) {
        let names: Vec<&NodeId> = by.iter().map(|(name, ..)| name).collect();
        return write!(f, "{} {verb} not hear {node} ({first})", and(&names));
    }
    let each: Vec<String> = by.iter().map(|deaf| alloc::format!("{} ({})", deaf.0, why(deaf))).collect();
    write!(f, "{} {verb} not hear {node}", and(&each))
}

/// `a`, `a and b`, `a, b and c`.
fn and(names: &[impl ToString]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => "nobody".into(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => alloc::format!("{} and {last}", others.join(", ")),
    }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn commas(names: &[NodeId]) -> String {
    names.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}

/// The first eight digits: enough to tell lives apart.
fn short(life: Incarnation) -> String {
    life.to_string().chars().take(8).collect()
}

fn seconds(span: Duration) -> String {
    alloc::format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100)
}
