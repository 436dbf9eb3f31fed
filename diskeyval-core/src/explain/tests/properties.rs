//! Of statuses that say what they like: something is said, and the same in any order.

use proptest::prelude::*;

use super::*;

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
            certificates: None,
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
