//! The cases. Their names and what they demand stand in the guide as well.

mod answers;
mod directory;
mod durable;
mod life;
mod links;
mod strangers;

use super::cluster::Certificates;

pub(super) struct Case {
    pub(super) name: &'static str,
    /// What it demands, for the guide.
    #[expect(dead_code, reason = "it is read where the guide is held to it")]
    demand: &'static str,
    pub(super) run: fn(Certificates<'_>),
}

const fn case(name: &'static str, demand: &'static str, run: fn(Certificates<'_>)) -> Case {
    Case { name, demand, run }
}

/// All of them, in the order in which they are best read.
pub(super) const CASES: &[Case] = &[
    // Lives.
    case("one-alone", "A node without peers founds its cluster, serves, and stops.", life::one_alone),
    case(
        "nothing-is-left",
        "A node that was stopped leaves no thread and no descriptor behind, and its address is free.",
        life::nothing_is_left,
    ),
    case(
        "an-address-in-use",
        "A node whose address is taken does not start, and says why.",
        life::an_address_in_use,
    ),
    case(
        "the-leader-stops",
        "A leader that is stopped hands over; the others go on; it comes back.",
        life::the_leader_stops,
    ),
    case(
        "the-leader-is-killed",
        "A leader that is killed is replaced; what was acknowledged is there; it comes back as another life of its node.",
        life::the_leader_is_killed,
    ),
    case(
        "members-come-and-go",
        "A node of which nobody was told at the start joins, is found, votes and comes back; another is removed, and told so.",
        life::members_come_and_go,
    ),
    case(
        "stopped-with-a-full-desk",
        "Each request that was handed over before the stop is answered, and the stop ends in time.",
        life::stopped_with_a_full_desk,
    ),
    case(
        "stopped-under-load",
        "Nodes are stopped and started one after the other under load: no acknowledged write is lost, no refused one is seen.",
        life::stopped_under_load,
    ),
    // Answers.
    case(
        "every-node-serves",
        "What one node writes, every node reads; a local read sees one's own write; every kind of write says what it found.",
        answers::every_node_serves,
    ),
    case(
        "each-answer-to-its-request",
        "Many threads ask one node at once, and each gets the answer to its own request.",
        answers::each_answer_to_its_request,
    ),
    case(
        "large-values",
        "Values as large as the limit allows are written through every node, and come back whole.",
        answers::large_values,
    ),
    case(
        "a-quorum-is-lost",
        "Without a majority, requests end by themselves: reads as refused, writes as refused or unknown. With one, all goes on.",
        answers::a_quorum_is_lost,
    ),
    // Links.
    case(
        "torn-at-every-byte",
        "A cluster founds itself and serves although each byte on each link comes alone.",
        links::torn_at_every_byte,
    ),
    case(
        "cut-anywhere",
        "Each connection breaks after some bytes, in the handshake or behind it: what is acknowledged stays, and all goes on when links hold.",
        links::cut_anywhere,
    ),
    case(
        "cut-again-and-again",
        "All connections break at once under load, several times: no acknowledged write is lost.",
        links::cut_again_and_again,
    ),
    case(
        "the-leader-is-cut-off",
        "The others elect another; what the former one could not commit is not taken for committed; it finds its way back.",
        links::the_leader_is_cut_off,
    ),
    case(
        "silence",
        "The leader falls silent without a word, as behind a dead cable: the others notice, and so does it.",
        links::silence,
    ),
    case(
        "by-name",
        "Peers are found by the name of their host, at whichever of its addresses they are.",
        links::by_name,
    ),
    case(
        "nobody-listens",
        "Two of three found their cluster although nobody listens at the address of the third.",
        links::nobody_listens,
    ),
    case(
        "nobody-answers",
        "Two of three found their cluster although who connects to the third is never answered.",
        links::nobody_answers,
    ),
    case(
        "who-does-not-read",
        "A peer stops reading while much is written: the others go on, nobody waits for it, and it catches up.",
        links::who_does_not_read,
    ),
    case(
        "credit-comes-back",
        "Many times what may wait for one connection goes through it without a halt.",
        links::credit_comes_back,
    ),
    // Strangers.
    case(
        "strangers",
        "Whoever connects and talks nonsense, falls silent or hangs up disturbs nobody.",
        strangers::strangers,
    ),
    case(
        "another-authority",
        "A node whose certificate is signed by another authority is let in nowhere, and told so.",
        strangers::another_authority,
    ),
    case(
        "not-whom-it-dialled",
        "Who is at the other end is said by its certificate, not by its address: a link to the wrong node is none.",
        strangers::not_whom_it_dialled,
    ),
    // Directories.
    case(
        "killed-all-at-once",
        "What was acknowledged is there after all nodes were killed at once.",
        durable::killed_all_at_once,
    ),
    case(
        "killed-under-load",
        "Nodes are killed and started again under load: no acknowledged write is lost, no refused one is seen.",
        durable::killed_under_load,
    ),
    case(
        "restarted-in-order",
        "A node that was stopped and started again is the same life of its node, and holds what it held.",
        durable::restarted_in_order,
    ),
    case(
        "files-come-and-go",
        "The log is cut into files and given up behind snapshots, the directory stays small, and all is there after a restart.",
        durable::files_come_and_go,
    ),
    case(
        "far-behind",
        "A node that was away while the log was given up is brought up to date by a snapshot.",
        durable::far_behind,
    ),
    case(
        "a-directory-is-held",
        "A second node on a directory in use does not start, and the first is not disturbed.",
        directory::a_directory_is_held,
    ),
    case(
        "another-node's-directory",
        "A node does not go on with what another has left.",
        directory::another_nodes_directory,
    ),
    case(
        "a-directory-is-lost",
        "A node whose directory is gone comes back as another life, and is brought up to date.",
        directory::a_directory_is_lost,
    ),
    case(
        "a-file-is-damaged",
        "A damaged file is set aside, whole, under another name, and its node comes back.",
        directory::a_file_is_damaged,
    ),
    case(
        "a-file-is-missing",
        "A node that misses a file keeps the others, set aside, and comes back.",
        directory::a_file_is_missing,
    ),
    case(
        "what-is-nobody's-business",
        "Other files in the directory are left alone.",
        directory::what_is_nobodys_business,
    ),
];

#[cfg(test)]
mod tests {
    use super::CASES;

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
