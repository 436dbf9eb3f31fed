//! By the word of several nodes.

use super::*;

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
fn of_the_same_life_the_latest_status_counts() {
    let mut statuses = three();
    let mut earlier = three();
    nobody_leads(&mut earlier);
    earlier.iter_mut().for_each(|status| status.term = Term(3));
    statuses.append(&mut earlier);
    statuses.append(&mut three());
    assert_eq!(explain(&statuses), explain(&three()));
}
