use alloc::string::ToString;
use alloc::vec;

use proptest::prelude::*;

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

fn only(all: &mut Vec<Status>, number: usize) {
    *all = vec![all.remove(number - 1)];
}

#[test]
fn one_node_says_what_it_knows() {
    check(&[
        (|all| only(all, 1), "there is a leader, node-1, in term 7, and nothing is wrong"),
        (
            |all| only(all, 2),
            "there is a leader, node-1, in term 7, and nothing is wrong as far as node-2 knows",
        ),
        (
            |all| {
                nobody_leads(all);
                loses(all, 2, 1, REFUSED);
                loses(all, 2, 3, SILENT);
                only(all, 2);
            },
            "no leader: 1 of 3 members within reach of node-2, and 2 are needed (node-1: connection refused; node-3: no answer)",
        ),
        (
            |all| {
                nobody_leads(all);
                loses(all, 2, 1, REFUSED);
                all[1].role = RoleName::PreCandidate;
                only(all, 2);
            },
            "no leader: 2 of 3 members within reach of node-2 (node-1: connection refused); node-2 reaches a majority, so an \
             election is due; node-2 asks whether it would be elected after term 7",
        ),
        (
            |all| {
                nobody_leads(all);
                all[1].role = RoleName::Candidate;
                all[1].members[0].trouble = Some("it restarted without its memory".into());
                all[1].members[2].seat = None;
                only(all, 2);
            },
            "no leader: 1 of 3 members within reach of node-2, and 2 are needed (node-1: it restarted without its memory; \
             node-3: its seat is empty); node-2 stands for election in term 7; the seat of node-3 is empty",
        ),
        (
            |all| {
                loses(all, 1, 2, REFUSED);
                loses(all, 1, 3, REFUSED);
                all[0].last_index = Index(104);
                only(all, 1);
            },
            "there is a leader, node-1, in term 7; 1 of 3 members within reach of node-1, and 2 are needed (node-2: \
             connection refused; node-3: connection refused); the log of node-1 goes up to 104, and is committed up to 100",
        ),
        (
            |all| {
                loses(all, 1, 3, REFUSED);
                all[0].members[2].heard = Some(Duration::from_millis(4250));
                all[0].members[2].matched = Some(Index(60));
                only(all, 1);
            },
            "there is a leader, node-1, in term 7; node-1 does not hear node-3 (connection refused, for 4.2 s); node-3 is 40 \
             entries behind: it has the log up to 60, and 100 is committed",
        ),
        (
            |all| {
                all[0].members[1].heard = Some(Duration::from_secs(12));
                only(all, 1);
            },
            "there is a leader, node-1, in term 7; node-2 has a link to node-1, and has not answered it for 12.0 s",
        ),
        (
            |all| {
                loses(all, 2, 1, SILENT);
                only(all, 2);
            },
            "there is a leader, node-1, in term 7; node-2 does not hear node-1 (no answer)",
        ),
    ]);
}

#[test]
fn a_node_that_is_not_in_its_seat_says_why() {
    fn stands(all: &mut Vec<Status>, standing: Standing) {
        nobody_leads(all);
        all[1].standing = standing;
        only(all, 2);
    }
    check(&[
        (|all| stands(all, Standing::Opening), "node-2 still reads what it has kept"),
        (|all| stands(all, Standing::Stopping), "node-2 is stopping"),
        (
            |all| stands(all, Standing::Damaged("wal-1 is damaged".into())),
            "node-2 keeps out of everything: wal-1 is damaged",
        ),
        (
            |all| stands(all, Standing::Halted("the disk has failed".into())),
            "node-2 has halted: the disk has failed",
        ),
        (
            |all| stands(all, Standing::Waiting("its seat is empty".into())),
            "node-2 knows no leader; node-2 waits for its seat: its seat is empty",
        ),
        (
            |all| {
                all[1].standing = Standing::Waiting("its seat is filled".into());
                only(all, 2);
            },
            "there is a leader, node-1, in term 7; node-2 waits for its seat: its seat is filled",
        ),
        (
            |all| {
                all[1].standing = Standing::Removed("it was removed".into());
                loses(all, 2, 1, REFUSED);
                only(all, 2);
            },
            "node-2 is no member any more: it was removed",
        ),
        (
            |all| {
                unfounded(all);
                only(all, 2);
            },
            "no leader: node-2 waits for the founding: the cluster is not founded yet; waiting for X",
        ),
    ]);
}

#[test]
fn several_nodes_say_who_leads() {
    check(&[
        (|_| (), "there is a leader, node-1, in term 7, and nothing is wrong"),
        (
            |all| drop(all.remove(0)),
            "there is a leader, node-1, in term 7, and nothing is wrong as far as node-2 and node-3 know",
        ),
        (
            |all| {
                all[1].role = RoleName::Leader;
                all[1].leader = Some(id("node-2"));
                all[1].term = Term(8);
                all[2].leader = Some(id("node-2"));
                all[2].term = Term(8);
            },
            "there is a leader, node-2, in term 8; node-1 still leads in term 7, and the latest is 8",
        ),
        (
            |all| {
                all[1].role = RoleName::Leader;
                all[1].leader = Some(id("node-2"));
                all[1].term = Term(6);
                all[2].leader = Some(id("node-2"));
                all[2].term = Term(6);
            },
            "there is a leader, node-1, in term 7; node-2 still leads in term 6, and the latest is 7",
        ),
        (
            |all| {
                all[1].role = RoleName::Leader;
                all[1].leader = Some(id("node-2"));
            },
            "node-1 and node-2 lead in term 7, which must never be; there is a leader, node-1, in term 7",
        ),
        (
            |all| {
                all[2].leader = Some(id("node-2"));
                all[2].term = Term(5);
            },
            "there is a leader, node-1, in term 7; node-3 still follows node-2, the leader of term 5",
        ),
        (
            |all| {
                all[2].leader = None;
                all[2].term = Term(8);
                all[2].role = RoleName::Candidate;
            },
            "there is a leader, node-1, in term 7; node-3 knows no leader; node-3 stands for election in term 8",
        ),
        (
            |all| {
                for number in [1, 2] {
                    all[number].leader = None;
                    all[number].term = Term(8);
                }
            },
            "no leader: node-1 still leads in term 7, and the latest is 8; node-1, node-2 and node-3 reach a majority, so an \
             election is due",
        ),
        (
            |all| {
                all[0].standing = Standing::Halted("the disk has failed".into());
                for number in [2, 3] {
                    loses(all, number, 1, REFUSED);
                }
            },
            "no leader: node-2 still follows node-1, the leader of term 7; node-3 still follows node-1, the leader of term 7; \
             node-2 and node-3 reach a majority, so an election is due; node-2 and node-3 do not hear node-1 (connection \
             refused); node-1 has halted: the disk has failed",
        ),
    ]);
}

#[test]
fn several_nodes_say_whether_there_is_a_majority() {
    check(&[
        (
            |all| {
                nobody_leads(all);
                all[0].standing = Standing::Damaged("wal-1 is damaged".into());
                for (number, trouble) in [(2, REFUSED), (3, SILENT)] {
                    loses(all, number, 1, trouble);
                }
            },
            "no leader: node-2 and node-3 reach a majority, so an election is due; node-2 (connection refused) and node-3 (no \
             answer) do not hear node-1; node-1 keeps out of everything: wal-1 is damaged",
        ),
        (
            |all| {
                nobody_leads(all);
                all[0].standing = Standing::Damaged("wal-1 is damaged".into());
                loses(all, 2, 1, REFUSED);
                loses(all, 2, 3, SILENT);
                all.truncate(2);
            },
            "no leader: 1 of 3 members is up, and 2 are needed: node-3 would have to come back as what it was; node-2 does not \
             hear node-1 (connection refused); node-2 does not hear node-3 (no answer); node-1 keeps out of everything: \
             wal-1 is damaged",
        ),
        (
            |all| {
                nobody_leads(all);
                all[0].standing = Standing::Opening;
                loses(all, 2, 3, SILENT);
                all.truncate(2);
            },
            "no leader: 1 of 3 members is up, and 2 are needed: 1 of node-1 and node-3 would have to come back as what it was; \
             node-2 does not hear node-3 (no answer); node-1 still reads what it has kept",
        ),
        (
            |all| {
                nobody_leads(all);
                for status in &mut all[..] {
                    status.standing = Standing::Halted("the disk has failed".into());
                }
            },
            "no leader: 0 of 3 members are up, and 2 are needed: 2 of node-1, node-2 and node-3 would have to come back as what \
             they were; node-1 has halted: the disk has failed; node-2 has halted: the disk has failed; node-3 has halted: \
             the disk has failed",
        ),
        (
            |all| {
                nobody_leads(all);
                seat(all, 3, None);
                all[1].standing = Standing::Waiting("another life".into());
                all[1].incarnation = life(20);
                all[2].standing = Standing::Waiting("empty".into());
            },
            "no leader: 1 of 3 members is up, and 2 are needed: too few others are left that could come back as what they \
             were; node-2 waits for its seat: another life; node-3 waits for its seat: empty; node-2 has another incarnation \
             (00000014) than its seat (00000002)",
        ),
        (
            |all| {
                nobody_leads(all);
                for (one, other) in [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
                    loses(all, one, other, SILENT);
                    all[one - 1].role = RoleName::PreCandidate;
                }
                all[1].role = RoleName::Candidate;
            },
            "no leader: 3 of 3 members are up, but none reaches a majority (1 at the most, itself included); node-1 and \
             node-3 ask whether they would be elected after term 7; node-2 stands for election in term 7; node-2 and node-3 \
             do not hear node-1 (no answer); node-1 and node-3 do not hear node-2 (no answer); node-1 and node-2 do not \
             hear node-3 (no answer)",
        ),
        (
            |all| {
                loses(all, 1, 2, SILENT);
                all.truncate(2);
                loses(all, 1, 3, REFUSED);
            },
            "there is a leader, node-1, in term 7; 1 of 3 members within reach of node-1, and 2 are needed (node-2: no answer; \
             node-3: connection refused); node-1 does not hear node-2 (no answer), although node-2 hears node-1",
        ),
        (
            |all| {
                for (one, other) in [(1, 2), (1, 3), (2, 1), (2, 3)] {
                    loses(all, one, other, REFUSED);
                }
                all[1].leader = None;
                all.truncate(2);
                all[1].standing = Standing::Halted("the disk has failed".into());
            },
            "there is a leader, node-1, in term 7; 1 of 3 members within reach of node-1, and 2 are needed (node-2: connection \
             refused; node-3: connection refused); 1 of 3 members is up, and 2 are needed: 1 of node-2 and node-3 would have \
             to come back as what it was; node-2 has halted: the disk has failed",
        ),
        (
            |all| {
                unfounded(all);
                loses(all, 1, 3, REFUSED);
                all.truncate(1);
                let mut second = node(2);
                unfounded(core::slice::from_mut(&mut second));
                second.standing = Standing::Opening;
                all.push(second);
            },
            "no leader: 1 of 3 members is up, and 2 are needed: 1 of node-2 and node-3 would have to come back as what it was; \
             node-1 does not hear node-3 (connection refused); node-1 waits for the founding: the cluster is not founded yet; \
             waiting for X; node-2 still reads what it has kept",
        ),
        (
            |all| {
                nobody_leads(all);
                loses(all, 1, 3, REFUSED);
                all[1].members[2].trouble = Some("it restarted without its memory".into());
                all.truncate(2);
            },
            "no leader: node-1 and node-2 reach a majority, so an election is due; node-1 does not hear node-3 (connection refused)",
        ),
    ]);
}

#[test]
fn several_nodes_say_who_does_not_hear_whom() {
    check(&[
        (
            |all| loses(all, 2, 3, SILENT),
            "there is a leader, node-1, in term 7; node-2 does not hear node-3 (no answer), although node-3 hears node-2",
        ),
        (
            |all| {
                loses(all, 2, 3, SILENT);
                loses(all, 3, 2, SILENT);
            },
            "there is a leader, node-1, in term 7; node-3 does not hear node-2 (no answer); node-2 does not hear node-3 (no answer)",
        ),
        (
            |all| {
                loses(all, 1, 2, SILENT);
                all[2].members.remove(0);
                all[0].members[2].linked = true;
            },
            "there is a leader, node-1, in term 7; 1 of 3 members within reach of node-1, and 2 are needed (node-2: no answer; \
             node-3: it does not hear node-1); node-1 does not hear node-2 (no answer), although node-2 hears node-1",
        ),
    ]);
}

#[test]
fn several_nodes_say_who_is_behind_and_who_is_somebody_else() {
    check(&[
        (
            |all| {
                all[2].last_index = Index(60);
                all[2].commit_index = Index(60);
                all[2].last_applied = Index(60);
            },
            "there is a leader, node-1, in term 7; node-3 is 40 entries behind: it has the log up to 60, and 100 is committed",
        ),
        (
            |all| all[2].last_applied = Index(98),
            "there is a leader, node-1, in term 7; node-3 has applied the log up to 98, and 100 is committed",
        ),
        (
            |all| all[2].state_hash = 1,
            "at index 100 the states differ, which must never be: node-1 and node-2 against node-3; there is a leader, \
             node-1, in term 7",
        ),
        (
            |all| {
                all[2].incarnation = life(9);
                all[2].standing = Standing::Waiting("its seat is bound".into());
            },
            "there is a leader, node-1, in term 7; node-3 waits for its seat: its seat is bound; node-3 has another \
             incarnation (00000009) than its seat (00000003)",
        ),
        (
            |all| {
                seat(all, 3, None);
                all.truncate(2);
            },
            "there is a leader, node-1, in term 7; the seat of node-3 is empty",
        ),
        (
            |all| {
                all[1].standing = Standing::Removed("it was removed".into());
                all[1].leader = Some(id("node-3"));
                all[1].commit_index = Index(200);
                for status in [0, 2] {
                    all[status].members.remove(1);
                }
            },
            "node-2 is no member any more: it was removed; there is a leader, node-1, in term 7",
        ),
        (|all| all[2].node_id = id("node-9"), "there is a leader, node-1, in term 7; node-9 is no member"),
        (
            |all| {
                let mut former = all[2].clone();
                former.incarnation = life(9);
                former.term = Term(9);
                all.push(former);
            },
            "node-3 is the name of several lives: 00000003 and 00000009; there is a leader, node-1, in term 7",
        ),
        (
            |all| {
                all[2].cluster_id = Some(ClusterId(6));
            },
            "these clusters were founded apart and refuse each other, and the rest is about the first: \
             00000000000000000000000000000005 (node-1, node-2), 00000000000000000000000000000006 (node-3); there is a leader, \
             node-1, in term 7",
        ),
    ]);
}

#[test]
fn nothing_is_made_of_nothing() {
    assert_eq!(explain(&[]).findings, [Finding::NothingKnown]);
    assert_eq!(explain(&[]).to_string(), "nothing is known: no node has told its status");
}

#[test]
fn of_the_same_life_the_latest_status_counts() {
    let mut statuses = three();
    let mut earlier = three();
    nobody_leads(&mut earlier);
    earlier.iter_mut().for_each(|status| status.term = Term(3));
    statuses.append(&mut earlier);
    statuses.append(&mut three());
    assert_eq!(explain(&statuses), explain(&three()));
}

fn standings() -> impl Strategy<Value = Standing> {
    prop_oneof![
        4 => Just(Standing::Member),
        1 => Just(Standing::Opening),
        1 => Just(Standing::Stopping),
        1 => Just(Standing::Damaged("damage".into())),
        1 => Just(Standing::Halted("a fault".into())),
        1 => Just(Standing::Founding("others".into())),
        1 => Just(Standing::Waiting("its seat".into())),
        1 => Just(Standing::Removed("removed".into())),
    ]
}

fn some_id() -> impl Strategy<Value = NodeId> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")].prop_map(id)
}

fn some_member() -> impl Strategy<Value = MemberStatus> {
    let trouble = prop::option::of(Just(REFUSED.into()));
    let heard = prop::option::of(any::<u64>().prop_map(Duration::from_millis));
    let seat = prop::option::of((0..3u128).prop_map(Incarnation));
    let matched = prop::option::of(prop_oneof![0..4u64, Just(u64::MAX)].prop_map(Index));
    (some_id(), seat, any::<bool>(), trouble, matched, heard).prop_map(
        |(node_id, seat, linked, trouble, matched, heard)| MemberStatus {
            part: Part::Voter,
            node_id,
            address: "x:1".into(),
            seat,
            linked,
            trouble,
            matched,
            heard,
        },
    )
}

fn some_status() -> impl Strategy<Value = Status> {
    let role = prop_oneof![
        Just(RoleName::Follower),
        Just(RoleName::PreCandidate),
        Just(RoleName::Candidate),
        Just(RoleName::Leader),
    ];
    let number = || prop_oneof![0..3u64, Just(u64::MAX)];
    let who = (some_id(), 0..3u128, prop::option::of(0..2u128), standings(), role);
    let logs = (number(), number(), number(), number(), 0..2u128);
    let members = prop::collection::vec(some_member(), 0..6);
    (who, prop::option::of(some_id()), number(), logs, members).prop_map(
        |(who, leader, term, logs, members)| Status {
            node_id: who.0,
            incarnation: Incarnation(who.1),
            cluster_id: who.2.map(ClusterId),
            standing: who.3,
            role: who.4,
            term: Term(term),
            leader,
            last_index: Index(logs.0),
            last_term: Term(logs.1),
            commit_index: Index(logs.2),
            last_applied: Index(logs.3),
            keys: 0,
            released_index: Index(0),
            log_bytes: 0,
            state_hash: logs.4,
            members,
        },
    )
}

proptest! {
    #[test]
    fn whatever_they_say_it_comes_to_the_same_text_in_any_order(
        statuses in prop::collection::vec(some_status(), 0..7),
        turn in any::<prop::sample::Index>(),
    ) {
        let explanation = explain(&statuses);
        prop_assert!(!explanation.findings.is_empty());
        prop_assert!(explanation.findings.iter().all(|finding| !finding.to_string().is_empty()));
        let mut turned = statuses.clone();
        turned.reverse();
        prop_assert_eq!(&explain(&turned), &explanation);
        if !turned.is_empty() {
            let middle = turn.index(turned.len());
            turned.rotate_left(middle);
        }
        prop_assert_eq!(explain(&turned), explanation);
    }
}
