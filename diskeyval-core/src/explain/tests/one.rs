//! By the word of one node.

use super::*;

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
