//! Ballots and elections.

use super::*;

#[test]
fn s1_a_term_has_one_leader() {
    let mut script = Script::founded();
    script.elect(0, 2, &[1], &noop(2));
    // The third votes for itself and counts a vote that it was not given.
    script.keep(2, &[ballot(2, Some(2))]);
    script.leads = [true, false, true];
    script.turn(2, &[]);
    script.breaks("S1");
}

#[test]
fn s1_a_leader_is_elected_by_a_majority_of_durable_votes() {
    let mut script = Script::founded();
    script.keep(0, &[ballot(2, Some(0))]);
    script.turn(1, &[ballot(2, Some(0))]);
    script.keep(0, &[entry(3, &noop(2))]);
    script.breaks("S1");
}

#[test]
fn s1_another_life_than_the_one_in_the_seat_does_not_vote() {
    let mut script = Script::founded();
    script.facts.crashed(1, true);
    script.open(1, &[Record::Incarnation(Incarnation(99))]);
    script.commits[1] = 0;
    script.keep(1, &[ballot(2, Some(0))]);
    script = script.legal();
    script.keep(0, &[ballot(2, Some(0)), entry(3, &noop(2))]);
    script.breaks("S1");
}

#[test]
fn s1_only_a_leader_gives_directions() {
    let mut script = Script::founded();
    script.say(1, 2, Claim::Commit { term: Term(1), commit: Index(1) });
    script.breaks("S1");
}

/// FAULTS 39: a vote is for one life.
#[test]
fn s2_a_vote_is_not_given_to_the_next_life_too() {
    let granted = Claim::VoteReply { term: Term(2), pre: false, granted: true };
    let mut script = Script::founded();
    script.keep(1, &[ballot(2, Some(0))]);
    script.say(1, 0, granted);
    script.say(1, 0, granted);
    script = script.legal();
    script.facts.crashed(0, true);
    script.open(0, &[Record::Incarnation(Incarnation(99))]);
    script.say(1, 0, granted);
    script.breaks("S2");
}

#[test]
fn s2_a_vote_is_not_given_twice() {
    let mut script = Script::founded();
    script.keep(1, &[ballot(2, Some(0))]);
    script = script.legal();
    script.keep(1, &[ballot(2, Some(2))]);
    script.breaks("S2");
}

#[test]
fn s2_a_vote_that_was_cast_for_another_is_not_granted() {
    let mut script = Script::founded();
    script.keep(1, &[ballot(2, Some(0))]);
    script.say(1, 2, Claim::VoteReply { term: Term(2), pre: true, granted: true });
    script = script.legal();
    script.say(1, 2, Claim::VoteReply { term: Term(2), pre: false, granted: true });
    script.breaks("S2");
}

#[test]
fn s3_terms_and_indexes_do_not_go_back() {
    let mut script = Script::founded();
    script.keep(1, &[ballot(0, None)]);
    script.breaks("S3");
    let mut script = Script::founded();
    script.commit(1, 1);
    script.breaks("S3");
}

#[test]
fn s3_and_s15_a_restart_finds_what_was_durable() {
    let all = [
        Record::Incarnation(incarnation(1)),
        ballot(1, Some(0)),
        entry(1, &genesis(1, 9, ALL)),
        entry(2, &noop(1)),
    ];
    let mut script = Script::founded();
    script.restart(1, &all);
    script = script.legal();
    script.restart(1, &all[..3]);
    script.breaks("S15");
    let mut forgetful = all.to_vec();
    forgetful[1] = ballot(1, None);
    script.restart(1, &forgetful);
    script.breaks("S3");
    script.restart(1, &[]);
    script.breaks("S15");
}

#[test]
fn s8_a_leader_has_what_is_committed() {
    let mut script = Script::founded();
    script.keep(2, &[ballot(1, None), entry(1, &genesis(1, 9, ALL))]);
    script = script.legal();
    // The second votes for a log that is less complete than its own.
    script.elect(2, 2, &[1], &genesis(2, 9, ALL));
    script.breaks("S8");
}
