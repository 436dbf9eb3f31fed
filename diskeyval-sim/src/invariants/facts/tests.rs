//! Every rule about facts can fail: hand-made steps of three nodes.

mod members;
mod recoveries;
mod reigns;

use bytes::Bytes;
use diskeyval_core::inspect::{self, Belief, Claim};

use super::*;

struct Script {
    facts: Facts,
    findings: Findings,
    numbers: [u64; 3],
    commits: [u64; 3],
    leads: [bool; 3],
}

/// The incarnation of the first life of a node.
fn incarnation(node: usize) -> Incarnation {
    Incarnation(node as u128 + 1)
}

fn id(node: usize) -> NodeId {
    NodeId::new(&name(node)).expect("a good name")
}

fn ballot(term: u64, vote: Option<usize>) -> Record {
    Record::Ballot { term: Term(term), vote: vote.map(id) }
}

fn entry(index: u64, bytes: &[u8]) -> Record {
    Record::Entry { index: Index(index), bytes: Bytes::copy_from_slice(bytes) }
}

fn truncate(behind: u64) -> Record {
    Record::Truncate { behind: Index(behind) }
}

// The bytes of entries, as `docs/src/wire.md` has them.

fn seats(bytes: &mut Vec<u8>, bound: &[(&str, Option<u8>)]) {
    bytes.push(u8::try_from(bound.len()).expect("small"));
    for (name, bound) in bound {
        bytes.push(2);
        bytes.extend(name.bytes());
        bytes.extend(bound.map_or(vec![0], |incarnation| vec![1, incarnation]));
        // Where it is, nobody says.
        bytes.push(0);
    }
}

fn named(bound: [Option<u8>; 3]) -> Vec<(&'static str, Option<u8>)> {
    ["n1", "n2", "n3"].into_iter().zip(bound).collect()
}

fn genesis(term: u8, cluster: u8, bound: [Option<u8>; 3]) -> Vec<u8> {
    let mut bytes = vec![term, 0, cluster, 1];
    lists(&mut bytes, [&named(bound), &[], &[]]);
    bytes
}

fn members(term: u8, bound: [Option<u8>; 3]) -> Vec<u8> {
    changed(term, [&named(bound), &[], &[]])
}

/// Voters, those who go, and learners.
fn changed(term: u8, bound: [&[(&str, Option<u8>)]; 3]) -> Vec<u8> {
    let mut bytes = vec![term, 2];
    lists(&mut bytes, bound);
    bytes
}

fn lists(bytes: &mut Vec<u8>, bound: [&[(&str, Option<u8>)]; 3]) {
    bound.into_iter().for_each(|bound| seats(bytes, bound));
}

fn noop(term: u8) -> Vec<u8> {
    vec![term, 1]
}

fn set(term: u8, value: u8) -> Vec<u8> {
    vec![term, 4, 2, 1, 1, 1, 1, b'k', value]
}

const ALL: [Option<u8>; 3] = [Some(1), Some(2), Some(3)];

impl Script {
    /// Three nodes at their first start, with their incarnations.
    fn new() -> Script {
        let names: Vec<NodeId> = (0..3).map(id).collect();
        let facts = Facts::new(&names, names.len());
        let mut script = Script {
            facts,
            findings: Findings::default(),
            numbers: [0; 3],
            commits: [0; 3],
            leads: [false; 3],
        };
        for node in 0..3 {
            script.open(node, &[Record::Incarnation(incarnation(node))]);
        }
        script
    }

    /// A turn of a node that wants these records to be kept.
    fn turn(&mut self, node: usize, records: &[Record]) {
        self.facts.begin_turn(node);
        for (place, record) in records.iter().enumerate() {
            self.numbers[node] += 1;
            let next = records.get(place + 1);
            self.facts.recorded(node, self.numbers[node], record, next, &mut self.findings);
        }
        let vitals = self.vitals(node);
        self.facts.stands(node, vitals, &mut self.findings);
    }

    fn vitals(&self, node: usize) -> Vitals {
        let now = self.facts.nodes[node].now;
        let last = self.facts.tree.entry(now.last);
        Vitals {
            role: if self.leads[node] { RoleName::Leader } else { RoleName::Follower },
            term: Term(now.term),
            last: EntryId { index: Index(last.index), term: Term(last.term) },
            commit: Index(self.commits[node]),
            applied: Index(0),
            hands_over: false,
        }
    }

    /// The same, and the disk is done at once.
    fn keep(&mut self, node: usize, records: &[Record]) {
        self.turn(node, records);
        self.store(node);
    }

    fn store(&mut self, node: usize) {
        self.facts.stored(node, self.numbers[node], &mut self.findings);
    }

    fn commit(&mut self, node: usize, index: u64) {
        self.commits[node] = index;
        self.turn(node, &[]);
    }

    fn say(&mut self, from: usize, to: usize, claim: Claim) {
        self.facts.says(from, to, &claim, &mut self.findings);
    }

    fn open(&mut self, node: usize, kept: &[Record]) {
        self.facts.started(node, kept, &mut self.findings);
    }

    fn restart(&mut self, node: usize, kept: &[Record]) {
        self.facts.crashed(node, false);
        self.open(node, kept);
        (self.numbers[node], self.commits[node], self.leads[node]) = (0, 0, false);
    }

    /// A node stands in a term, others vote for it, and it begins its reign with this entry.
    fn elect(&mut self, node: usize, term: u64, voters: &[usize], opening: &[u8]) {
        self.leads = [false; 3];
        self.keep(node, &[ballot(term, Some(node))]);
        for voter in voters {
            self.keep(*voter, &[ballot(term, Some(node))]);
            let granted = Claim::VoteReply { term: Term(term), pre: false, granted: true };
            self.say(*voter, node, granted);
        }
        self.leads[node] = true;
        let last = self.facts.tree.index(self.facts.nodes[node].now.last);
        self.keep(node, &[entry(last + 1, opening)]);
    }

    /// `n1` leads term 1; the genesis and one ordinary entry are on `n1` and `n2`, and committed.
    fn founded() -> Script {
        let mut script = Script::new();
        script.elect(0, 1, &[1], &genesis(1, 9, ALL));
        script.keep(1, &[entry(1, &genesis(1, 9, ALL))]);
        script.say(1, 0, appended(1, 1));
        script.commit(0, 1);
        script.keep(0, &[entry(2, &noop(1))]);
        script.keep(1, &[entry(2, &noop(1))]);
        script.commit(0, 2);
        script.commit(1, 2);
        script.legal()
    }

    fn legal(mut self) -> Script {
        assert_eq!(self.findings.take(), Ok(()), "nothing was wrong up to here");
        self
    }

    fn breaks(&mut self, rule: &str) {
        let found = self.findings.take().expect_err("something is wrong");
        assert_eq!(found.rule, rule, "{found}");
    }

    fn believe(&mut self, matched: u64, next: u64) {
        let peer = id(1);
        let belief = Belief {
            peer: &peer,
            incarnation: incarnation(1),
            matched: Index(matched),
            next: Index(next),
            before_last_append: 0,
        };
        self.facts.believes(0, 0, &belief, &mut self.findings);
        self.facts.remember(0, [(belief.incarnation, matched)].into_iter());
    }
}

fn appended(term: u64, matched: u64) -> Claim {
    Claim::Appended { term: Term(term), matched: Index(matched) }
}

/// What `n2` keeps once it is founded.
fn kept() -> Vec<Record> {
    vec![
        Record::Incarnation(incarnation(1)),
        ballot(1, Some(0)),
        entry(1, &genesis(1, 9, ALL)),
        entry(2, &noop(1)),
    ]
}

#[test]
fn s15_a_restart_may_find_the_beginning_of_what_was_on_its_way() {
    for found in 0..4 {
        let mut script = Script::founded();
        script.turn(0, &[entry(3, &set(1, b'a')), entry(4, &set(1, b'b'))]);
        script.turn(1, &[entry(3, &set(1, b'a')), entry(4, &set(1, b'b'))]);
        let mut kept = kept();
        kept.extend([entry(3, &set(1, b'a')), entry(4, &set(1, b'b'))].into_iter().take(found));
        if found == 3 {
            kept.remove(3);
        }
        // It dies again before it has opened, which changes nothing.
        script.facts.crashed(1, false);
        script.restart(1, &kept);
        if found == 3 {
            script.breaks("S15");
            continue;
        }
        script = script.legal();
        script.say(1, 0, appended(1, 2 + found as u64));
        script = script.legal();
        script.restart(1, &kept);
        script = script.legal();
        script.restart(1, &kept[..3]);
        script.breaks("S15");
    }
}

#[test]
fn s15_a_vote_that_was_on_its_way_is_cast_once_it_is_found() {
    let mut script = Script::founded();
    script.turn(1, &[ballot(2, Some(0))]);
    let mut kept = kept();
    kept[1] = ballot(2, Some(0));
    script.restart(1, &kept);
    script.say(1, 0, Claim::VoteReply { term: Term(2), pre: false, granted: true });
    script = script.legal();
    script.keep(1, &[ballot(2, Some(2))]);
    script.breaks("S2");
}

#[test]
fn d2_a_damaged_disk_has_everything_or_its_node_does_not_open() {
    let mut script = Script::founded();
    script.facts.damaged(1);
    script.restart(1, &kept());
    script = script.legal();
    script.restart(1, &kept()[..3]);
    script.breaks("D2");
    script.facts.crashed(1, true);
    script.open(1, &[Record::Incarnation(Incarnation(99))]);
    script.legal();
}

fn offer(term: u64) -> Claim {
    Claim::Offer { term: Term(term) }
}

#[test]
fn d3_a_node_is_offered_to_begin_anew_when_a_majority_without_it_holds_everything() {
    // What is committed is on the first two.
    let mut script = Script::founded();
    script.say(0, 2, offer(1));
    script = script.legal();
    script.say(0, 1, offer(1));
    script.breaks("D3");
    // Another life than the one in the seat holds nothing that counts.
    let mut script = Script::founded();
    script.facts.crashed(1, true);
    script.open(1, &[Record::Incarnation(Incarnation(99))]);
    script.keep(2, &[ballot(1, None), entry(1, &genesis(1, 9, ALL)), entry(2, &noop(1))]);
    script.say(0, 1, offer(1));
    script.legal();
    // Only a leader offers anything.
    let mut script = Script::founded();
    script.say(1, 2, offer(1));
    script.breaks("S1");
}

#[test]
fn d3_a_node_begins_anew_only_when_it_was_offered_that() {
    let mut script = Script::founded();
    script.facts.crashed(2, false);
    script.facts.began_anew(2, &mut script.findings);
    script.breaks("D3");
    let mut script = Script::founded();
    script.facts.damaged(2);
    script.facts.crashed(2, false);
    script.say(0, 2, offer(1));
    script.facts.began_anew(2, &mut script.findings);
    // It may have died in between.
    script.facts.crashed(2, false);
    script.facts.began_anew(2, &mut script.findings);
    script.open(2, &[Record::Incarnation(Incarnation(99))]);
    script = script.legal();
    // And the former life is never another's, nor its own again.
    script.say(0, 2, offer(1));
    script.facts.began_anew(2, &mut script.findings);
    script.open(2, &[Record::Incarnation(incarnation(2))]);
    script.breaks("S2");
}

#[test]
fn s13_a_snapshot_stands_for_what_is_committed() {
    let base = |index, term| Record::Base { last: EntryId { index: Index(index), term: Term(term) } };
    let mut script = Script::founded();
    script.restart(1, &[Record::Incarnation(incarnation(1)), ballot(1, Some(0)), base(2, 1)]);
    script = script.legal();
    script.keep(2, &[ballot(1, None), base(2, 1)]);
    script = script.legal();
    script.keep(2, &[base(3, 1)]);
    script.breaks("S13");
}

/// A leader's snapshot is durable before its node can say that its log begins behind it.
#[test]
fn s15_a_restart_may_find_a_snapshot_in_place_of_the_log() {
    let base = Record::Base { last: EntryId { index: Index(2), term: Term(1) } };
    let found = [Record::Incarnation(incarnation(2)), ballot(1, None), base.clone()];
    let mut script = Script::founded();
    script.keep(2, &[ballot(1, None), entry(1, &genesis(1, 9, ALL))]);
    script.restart(2, &found);
    script = script.legal();
    script.restart(2, &found[..2]);
    script.breaks("S15");
    // But not one that takes a ballot with it.
    let mut script = Script::founded();
    script.keep(2, &[ballot(2, None), entry(1, &genesis(1, 9, ALL))]);
    script.restart(2, &found);
    script.breaks("S3");
}

#[test]
fn s4_nothing_is_promised_before_it_is_durable() {
    let promises = [
        Claim::VoteReply { term: Term(2), pre: false, granted: true },
        Claim::VoteReply { term: Term(2), pre: false, granted: false },
        Claim::Confirmed { term: Term(2), round: 0 },
        Claim::Conflict { term: Term(2), probed: Index(7) },
    ];
    for promise in promises {
        let mut script = Script::founded();
        script.turn(1, &[ballot(2, Some(0))]);
        script = script.legal();
        script.say(1, 0, promise);
        script.breaks("S4");
        script.store(1);
        script.say(1, 0, promise);
        script.legal();
    }
}

#[test]
fn s4_a_candidate_asks_when_its_own_vote_is_durable() {
    let mut script = Script::founded();
    let last = EntryId { index: Index(2), term: Term(1) };
    let ask = |pre| Claim::VoteRequest { term: Term(2), pre, last, handed_over: false };
    script.say(1, 2, ask(true));
    script.turn(1, &[ballot(2, Some(1))]);
    script = script.legal();
    script.say(1, 2, ask(false));
    script.breaks("S4");
}

#[test]
fn s4_an_acknowledgement_waits_for_the_disk() {
    let mut script = Script::founded();
    script.turn(0, &[entry(3, &set(1, b'a'))]);
    script.turn(1, &[entry(3, &set(1, b'a'))]);
    script.say(1, 0, appended(1, 2));
    script = script.legal();
    script.say(1, 0, appended(1, 3));
    script.breaks("S4");
}

#[test]
fn s4_what_is_in_memory_is_on_its_way_to_the_disk() {
    let mut script = Script::founded();
    let vitals = Vitals { term: Term(5), ..script.vitals(1) };
    script.facts.stands(1, vitals, &mut script.findings);
    script.breaks("S4");
}

#[test]
fn s5_an_entry_is_what_its_leader_has_proposed() {
    let mut script = Script::founded();
    script.turn(0, &[entry(3, &set(1, b'a'))]);
    script = script.legal();
    script.keep(1, &[entry(3, &set(1, b'b'))]);
    script.breaks("S5");
}

#[test]
fn s6_a_follower_appends_nothing_of_its_own() {
    let mut script = Script::founded();
    script.keep(1, &[entry(3, &set(1, b'b'))]);
    script.breaks("S6");
}

#[test]
fn s6_a_leader_gives_nothing_up() {
    let mut script = Script::founded();
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script = script.legal();
    script.keep(0, &[truncate(2), entry(3, &set(1, b'b'))]);
    script.breaks("S6");
}

/// `n1` has an entry 3 of term 1 alone; `n2` leads term 2 with another.
fn conflicting() -> Script {
    let mut script = Script::founded();
    script.keep(2, &[ballot(1, None), entry(1, &genesis(1, 9, ALL)), entry(2, &noop(1))]);
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script.elect(1, 2, &[2], &noop(2));
    script.keep(0, &[ballot(2, None)]);
    script.legal()
}

#[test]
fn s6_only_a_conflict_gives_entries_up() {
    let mut script = conflicting();
    script.keep(0, &[truncate(2), entry(3, &noop(2))]);
    script = script.legal();
    script.keep(1, &[entry(4, &set(2, b'b'))]);
    script.keep(0, &[entry(4, &set(2, b'b'))]);
    script = script.legal();
    script.keep(0, &[truncate(2), entry(3, &noop(2))]);
    script.breaks("S6");
    let mut script = conflicting();
    script.keep(0, &[truncate(2)]);
    script.breaks("S6");
}

#[test]
fn s7_what_is_committed_is_not_given_up_nor_replaced() {
    let mut script = conflicting();
    script.keep(0, &[truncate(1), entry(2, &noop(2))]);
    script.breaks("S7");
    // A follower takes its own tail for committed.
    let mut script = conflicting();
    script.keep(2, &[entry(3, &noop(2))]);
    script.commit(1, 3);
    script = script.legal();
    script.commit(0, 3);
    script.breaks("S7");
}

#[test]
fn s7_only_a_leader_is_the_first_to_commit() {
    let mut script = Script::founded();
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script.keep(1, &[entry(3, &set(1, b'a'))]);
    script.commit(1, 3);
    script.breaks("S7");
    let mut script = Script::founded();
    script.say(0, 1, Claim::Commit { term: Term(1), commit: Index(3) });
    script.breaks("S7");
}

#[test]
fn s9_a_leader_commits_what_a_majority_holds_durably() {
    let mut script = Script::founded();
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script.turn(1, &[entry(3, &set(1, b'a'))]);
    script.commit(0, 3);
    script.breaks("S9");
}

/// Figure 8 of the Raft paper.
#[test]
fn s9_a_leader_does_not_commit_by_counting_an_older_entry() {
    let mut script = Script::founded();
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script.keep(1, &[entry(3, &set(1, b'a'))]);
    script.elect(1, 2, &[2], &noop(2));
    script = script.legal();
    script.commit(1, 3);
    script.breaks("S9");
}

#[test]
fn s10_what_a_follower_says_of_its_log_is_true() {
    let mut script = conflicting();
    script.say(0, 1, Claim::Conflict { term: Term(2), probed: Index(3) });
    script.say(0, 1, appended(2, 2));
    script = script.legal();
    script.say(0, 1, appended(2, 3));
    script.breaks("S10");
    script.say(0, 1, Claim::Conflict { term: Term(2), probed: Index(2) });
    script.breaks("S10");
}

#[test]
fn s10_an_acknowledgement_may_arrive_after_its_term() {
    let mut script = conflicting();
    script.keep(0, &[truncate(2), entry(3, &noop(2))]);
    script.say(0, 1, appended(1, 3));
    script.legal();
}

#[test]
fn s10_a_leader_believes_what_is_durable() {
    let mut script = Script::founded();
    script.keep(0, &[entry(3, &set(1, b'a'))]);
    script.believe(1, 2);
    script.believe(2, 3);
    script = script.legal();
    script.believe(3, 4);
    script.breaks("S10");
    script.believe(1, 4);
    script.breaks("S10");
    script.believe(2, 2);
    script.breaks("S10");
}

#[test]
fn s11_states_are_equal_at_equal_indexes_and_are_compared() {
    let mut script = Script::founded();
    script.facts.applied(0, 2, 7, &mut script.findings);
    script.facts.applied(1, 1, 8, &mut script.findings);
    script = script.legal();
    for node in 0..2 {
        script.facts.nodes[node].vitals.applied = Index(2);
    }
    script.facts.finished(&mut script.findings);
    script.breaks("S11");
    script.facts.applied(1, 2, 8, &mut script.findings);
    script.breaks("S11");
    script.facts.finished(&mut script.findings);
    script.legal();
}

#[test]
fn s13_applied_committed_and_last_are_in_order() {
    let mut script = Script::founded();
    let vitals = Vitals { applied: Index(3), ..script.vitals(1) };
    script.facts.stands(1, vitals, &mut script.findings);
    script.breaks("S13");
}
