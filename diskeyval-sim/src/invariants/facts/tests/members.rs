//! The founding, and changes of the members.

use super::*;

#[test]
fn s12_a_genesis_names_all_and_binds_a_majority() {
    for bad in [[Some(1), None, None], [None, Some(2), Some(3)], [Some(1), Some(7), None]] {
        let mut script = Script::new();
        script.elect(0, 1, &[1], &genesis(1, 9, bad));
        script.breaks("S12");
    }
    let mut script = Script::new();
    script.elect(0, 1, &[1], &noop(1));
    script.breaks("S12");
}

#[test]
fn s12_nothing_but_a_copy_stands_behind_a_genesis_that_is_not_committed() {
    let mut script = Script::new();
    script.elect(0, 1, &[1], &genesis(1, 9, ALL));
    script = script.legal();
    script.keep(0, &[entry(2, &noop(1))]);
    script.breaks("S12");
    let mut script = Script::new();
    script.elect(0, 1, &[1], &genesis(1, 9, ALL));
    script.elect(0, 2, &[1], &genesis(2, 9, ALL));
    script = script.legal();
    script.elect(0, 3, &[1], &genesis(3, 8, ALL));
    script.breaks("S12");
}

/// `n3` has no seat yet.
fn with_an_empty_seat() -> Script {
    let mut script = Script::new();
    let some = [Some(1), Some(2), None];
    script.elect(0, 1, &[1], &genesis(1, 9, some));
    script.keep(1, &[entry(1, &genesis(1, 9, some))]);
    script.commit(0, 1);
    script.keep(0, &[entry(2, &noop(1))]);
    script.keep(1, &[entry(2, &noop(1))]);
    script.commit(0, 2);
    script.legal()
}

#[test]
fn s12_one_empty_seat_is_filled_by_a_life_of_its_node() {
    let mut script = with_an_empty_seat();
    script.keep(0, &[entry(3, &members(1, ALL))]);
    script = script.legal();
    // One proposal is open already.
    script.keep(0, &[entry(4, &members(1, ALL))]);
    script.breaks("S12");
    for bad in [[Some(1), Some(2), Some(2)], [Some(1), None, Some(3)], [Some(1), Some(3), None]] {
        let mut script = with_an_empty_seat();
        script.keep(0, &[entry(3, &members(1, bad))]);
        script.breaks("S12");
    }
}

const BEFORE: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2)), ("n3", None)];

/// The steps of a change of the voters, and what is none.
#[test]
fn s12_the_voters_change_by_way_of_both_halves() {
    let begin: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2))];
    let mut script = with_an_empty_seat();
    script.keep(0, &[entry(3, &changed(1, [begin, BEFORE, &[]]))]);
    script = script.legal();
    script.keep(1, &[entry(3, &changed(1, [begin, BEFORE, &[]]))]);
    script.commit(0, 3);
    script.keep(0, &[entry(4, &changed(1, [begin, &[], &[]]))]);
    script = script.legal();
    script.keep(1, &[entry(4, &changed(1, [begin, &[], &[]]))]);
    script.commit(0, 4);
    script.legal();

    // At once; from voters that were none; with somebody who was no learner.
    let stranger: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n4", Some(4))];
    for bad in [[begin, &[], &[]], [begin, begin, &[]], [stranger, BEFORE, &[]]] {
        let mut script = with_an_empty_seat();
        script.keep(0, &[entry(3, &changed(1, bad))]);
        script.breaks("S12");
    }
}

#[test]
fn s12_a_change_of_the_voters_is_undone_by_its_own_leader_alone() {
    let begin: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2))];
    let begun = || {
        let mut script = with_an_empty_seat();
        script.keep(0, &[entry(3, &changed(1, [begin, BEFORE, &[]]))]);
        script.keep(1, &[entry(3, &changed(1, [begin, BEFORE, &[]]))]);
        script.legal()
    };
    let mut script = begun();
    script.keep(0, &[entry(4, &changed(1, [BEFORE, &[], &[]]))]);
    script.legal();
    // Ended before it is committed that it has begun.
    let mut script = begun();
    script.keep(0, &[entry(4, &changed(1, [begin, &[], &[]]))]);
    script.breaks("S12");
    // Undone by another leader.
    let mut script = begun();
    script.elect(1, 2, &[0], &noop(2));
    script = script.legal();
    script.keep(1, &[entry(5, &changed(2, [BEFORE, &[], &[]]))]);
    script.breaks("S12");
}

/// FAULTS 33.
#[test]
fn s9_while_the_voters_change_both_halves_have_to_hold_what_is_committed() {
    let begin: &[(&str, Option<u8>)] = &[("n1", Some(1))];
    let mut script = with_an_empty_seat();
    script.keep(0, &[entry(3, &changed(1, [begin, BEFORE, &[]]))]);
    script = script.legal();
    script.commit(0, 3);
    script.breaks("S9");
}

/// FAULTS 36: learners come, are bound to lives of theirs, and count for nothing.
#[test]
fn s12_learners_come_and_go() {
    let learns: &[(&str, Option<u8>)] = &[("n3", None)];
    let voters: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2))];
    let mut script = with_an_empty_seat();
    script.keep(0, &[entry(3, &changed(1, [BEFORE, &[], &[("n4", None)]]))]);
    script.legal();
    for bad in [[BEFORE, &[], &[("n4", Some(3))][..]], [voters, &[], learns]] {
        let mut script = with_an_empty_seat();
        script.keep(0, &[entry(3, &changed(1, bad))]);
        script.breaks("S12");
    }
}

/// Ongaro's bug of 2015 (FAULTS 31).
#[test]
fn s12_members_are_proposed_after_a_commit_of_the_own_term() {
    let mut script = with_an_empty_seat();
    script.elect(0, 2, &[1], &noop(2));
    script = script.legal();
    script.keep(0, &[entry(4, &members(2, ALL))]);
    script.breaks("S12");
}

#[test]
fn s12_there_is_one_cluster() {
    let mut script = Script::founded();
    // Two disks are lost, and their nodes found anew.
    for node in 1..3 {
        script.facts.crashed(node, true);
        script.open(node, &[Record::Incarnation(Incarnation(20 + node as u128))]);
        (script.numbers[node], script.commits[node]) = (0, 0);
    }
    let anew = genesis(1, 8, [None, Some(21), Some(22)]);
    script.leads[0] = false;
    script.keep(1, &[ballot(1, Some(1))]);
    script.keep(2, &[ballot(1, Some(1))]);
    script.leads[1] = true;
    script.keep(1, &[entry(1, &anew)]);
    script = script.legal();
    script.keep(1, &[entry(2, &noop(1))]);
    script.breaks("S12");
}

#[test]
fn a_founding_that_came_to_nothing_is_given_up() {
    let mut script = Script::new();
    script.elect(0, 1, &[1], &genesis(1, 9, ALL));
    script.keep(0, &[truncate(0)]);
    script.leads[0] = false;
    script.elect(1, 2, &[2], &genesis(2, 8, ALL));
    script.keep(0, &[ballot(2, None), entry(1, &genesis(2, 8, ALL))]);
    script.legal();
}

/// FAULTS 34 and 46: what a snapshot says of the members is what their entry says.
#[test]
fn s12_whoever_goes_by_other_members_than_its_log_names_is_found() {
    let half: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2))];
    let known = |bound: &[(&str, Option<u8>)]| -> Vec<(NodeId, Option<Incarnation>)> {
        let seat = |(name, bound): &(&str, Option<u8>)| {
            (NodeId::new(name).expect("a good name"), bound.map(|bound| Incarnation(bound.into())))
        };
        bound.iter().map(seat).collect()
    };
    let goes_by = |outgoing: &[(&str, Option<u8>)]| inspect::Members {
        seats: known(half),
        outgoing: known(outgoing),
        learners: Vec::new(),
    };
    let begun = || {
        let mut script = with_an_empty_seat();
        script.keep(0, &[entry(3, &changed(1, [half, BEFORE, &[]]))]);
        script.legal()
    };
    let at = EntryId { index: Index(3), term: Term(1) };
    let mut script = begun();
    script.facts.goes_by(0, at, || Some(goes_by(BEFORE)), &mut script.findings);
    // Nothing has changed: it is not looked at again.
    script.facts.goes_by(0, at, || None, &mut script.findings);
    script.legal();
    let mut script = begun();
    script.facts.goes_by(0, at, || Some(goes_by(&[])), &mut script.findings);
    script.breaks("S12");
}

/// FAULTS 6: a learner neither leads nor asks whether it would.
#[test]
fn s1_a_learner_does_not_stand_for_election() {
    let voters: &[(&str, Option<u8>)] = &[("n1", Some(1)), ("n2", Some(2))];
    let request = |pre, last| {
        let last = EntryId { index: Index(last), term: Term(1) };
        Claim::VoteRequest { term: Term(2), pre, last, handed_over: false }
    };
    for pre in [true, false] {
        let mut script = with_an_empty_seat();
        let entries = [
            entry(3, &changed(1, [voters, BEFORE, &[]])),
            entry(4, &changed(1, [voters, &[], &[]])),
            entry(5, &changed(1, [voters, &[], &[("n3", Some(3))]])),
        ];
        for (index, step) in (3..).zip(&entries) {
            script.keep(0, core::slice::from_ref(step));
            script.keep(1, core::slice::from_ref(step));
            script.commit(0, index);
        }
        script = script.legal();
        let founding = [entry(1, &genesis(1, 9, [Some(1), Some(2), None])), entry(2, &noop(1))];
        script.keep(2, &[ballot(1, None)]);
        script.keep(2, &founding);
        script.keep(2, &entries);
        script.keep(2, &[ballot(2, Some(2))]);
        // That it is one, it did not know when it asked.
        script.say(2, 0, request(pre, 2));
        script = script.legal();
        script.say(2, 0, request(pre, 5));
        script.breaks("S1");
    }
}
