//! Nodes that go on alone.

use super::*;

fn base(kept: u64) -> EntryId {
    EntryId { index: Index(kept + LEAP), term: Term(1) }
}

#[test]
fn s12_a_node_that_runs_goes_on_with_its_whole_log() {
    let mut script = Script::founded();
    script.turn(0, &[entry(3, &set(1, 7))]);
    let held = script.facts.held(0, base(3), &mut script.findings);
    assert_eq!(script.facts.log(held).len(), 3, "durable or not");
    script = script.legal();
    script.facts.held(0, base(2), &mut script.findings);
    script.breaks("S12");
}

#[test]
fn s12_a_directory_is_gone_on_from_with_what_was_durable_or_on_its_way() {
    let mut script = Script::founded();
    script.turn(0, &[entry(3, &set(1, 7))]);
    script.facts.crashed(0, false);
    for kept in [2, 3] {
        script.facts.held(0, base(kept), &mut script.findings);
    }
    script = script.legal();
    script.facts.held(0, base(1), &mut script.findings);
    script.breaks("S12");
    // Of a disk that is damaged no more is known than that it is the beginning of that.
    script.facts.damaged(0);
    script.facts.held(0, base(1), &mut script.findings);
    script = script.legal();
    script.facts.held(0, base(4), &mut script.findings);
    script.breaks("S12");
}

#[test]
fn a_cluster_that_goes_on_alone_keeps_to_the_rules() {
    let gone_on = || {
        let mut script = Script::founded();
        script.facts = script.facts.gone_on(0, base(2), incarnation(0));
        script.commits[0] = 2 + LEAP;
        script.leads = [false; 3];
        assert!(!script.facts.is_bound_to(0), "it is not durable yet");
        script.keep(0, &[Record::Base { last: base(2) }]);
        assert!(script.facts.is_bound_to(0));
        script.elect(0, 2, &[], &noop(2));
        script.commit(0, 3 + LEAP);
        script.legal()
    };
    let mut script = gone_on();
    assert_eq!(script.facts.committed_up_to(), 3 + LEAP);
    // An entry of the former cluster is none of it.
    script.keep(0, &[entry(3, &set(2, 7))]);
    script.breaks("S6");
    let mut script = gone_on();
    script.facts.held(0, base(3), &mut script.findings);
    script.breaks("S12");
}
