//! A cluster of three in which nothing is wrong, what may be wrong with it, and what is said then.

mod one;
mod properties;
mod several;

use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::status::{MemberStatus, Part};

const NAMES: [&str; 3] = ["node-1", "node-2", "node-3"];
const REFUSED: &str = "connection refused";
const SILENT: &str = "no answer";

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn life(number: u128) -> Incarnation {
    Incarnation(number << 96)
}

/// Three nodes in their seats, the first of which leads in term 7; nothing is wrong.
fn three() -> Vec<Status> {
    (1..=3).map(node).collect()
}

fn node(number: usize) -> Status {
    let leads = number == 1;
    let member = |(seat, name): (u128, &&str)| MemberStatus {
        part: Part::Voter,
        node_id: id(name),
        address: "127.0.0.1:1".into(),
        seat: Some(life(seat)),
        linked: true,
        trouble: None,
        matched: leads.then_some(Index(100)),
        heard: None,
    };
    Status {
        node_id: id(NAMES[number - 1]),
        incarnation: life(number as u128),
        cluster_id: Some(ClusterId(5)),
        standing: Standing::Member,
        role: if leads { RoleName::Leader } else { RoleName::Follower },
        term: Term(7),
        leader: Some(id("node-1")),
        last_index: Index(100),
        last_term: Term(7),
        commit_index: Index(100),
        last_applied: Index(100),
        keys: 3,
        released_index: Index(0),
        log_bytes: 1000,
        state_hash: 9,
        members: (1..).zip(&NAMES).map(member).collect(),
        certificates: None,
    }
}

/// What one node, by its number, sees of another one from now on.
fn loses(all: &mut [Status], one: usize, other: usize, trouble: &str) {
    for seen in all[one - 1].members.iter_mut().filter(|seen| seen.node_id.as_str() == NAMES[other - 1]) {
        seen.linked = false;
        seen.trouble = Some(trouble.into());
    }
}

/// The seat of a node, by its number, as all see it.
fn seat(all: &mut [Status], number: usize, bound: Option<Incarnation>) {
    for status in all {
        status.members[number - 1].seat = bound;
    }
}

fn nobody_leads(all: &mut [Status]) {
    for status in all {
        status.role = RoleName::Follower;
        status.leader = None;
    }
}

fn unfounded(all: &mut [Status]) {
    nobody_leads(all);
    for status in all {
        (status.cluster_id, status.term) = (None, Term(0));
        (status.last_index, status.last_term) = (Index(0), Term(0));
        (status.commit_index, status.last_applied) = (Index(0), Index(0));
        status.standing = Standing::Founding("the cluster is not founded yet; waiting for X".into());
        status.members.iter_mut().for_each(|member| member.seat = None);
    }
}

/// What a row does to [`three`].
type Deed = fn(&mut Vec<Status>);

#[track_caller]
fn check(rows: &[(Deed, &str)]) {
    for (deed, text) in rows {
        let mut statuses = three();
        deed(&mut statuses);
        assert_eq!(explain(&statuses).to_string(), *text);
    }
}

#[test]
fn nothing_is_made_of_nothing() {
    assert_eq!(explain(&[]).findings, [Finding::NothingKnown]);
    assert_eq!(explain(&[]).to_string(), "nothing is known: no node has told its status");
}
