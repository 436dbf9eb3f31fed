//! The cases. Their names and what they demand stand in the guide as well.

mod addresses;
mod answers;
mod bounds;
mod events;
mod leaders;
mod lives;
mod members;
mod start;

use super::town::{Town, end_all};

pub(super) struct Case {
    pub(super) name: &'static str,
    /// What it demands, for the guide.
    #[expect(dead_code, reason = "it is read where the guide is held to it")]
    demand: &'static str,
    pub(super) run: fn(&Town<'_>),
}

const fn case(name: &'static str, demand: &'static str, run: fn(&Town<'_>)) -> Case {
    Case { name, demand, run }
}

/// Has the process come to what stays as long as it lives.
pub(super) fn warm_up(town: &Town<'_>) {
    let nodes = town.found(&super::town::NAMES, |name| town.durable(name));
    nodes[0].set("k", "v").expect("committed");
    end_all(&nodes);
}

/// All of them, in the order in which they are best read.
pub(super) const CASES: &[Case] = &[
    // Starting.
    case(
        "the-same-names",
        "What is public in the sources of the product is what this level calls, and what the guide says that it alone has.",
        start::the_same_names,
    ),
    case(
        "what-is-wrong-with-a-configuration",
        "Each option that is wrong is named, before anything is made or listened on.",
        start::what_is_wrong_with_a_configuration,
    ),
    case(
        "where-it-cannot-listen",
        "An address that is taken, or another machine's, is named with a remedy.",
        start::where_it_cannot_listen,
    ),
    case(
        "where-it-listens",
        "Port 0 becomes a real one, on IPv6 too; a listener that is handed in is used; a node tells its name and its peers.",
        start::where_it_listens,
    ),
    case(
        "driven-by-the-program",
        "A node is driven wherever the program likes; it says whether it could read what it had kept, and ends without being waited for.",
        start::driven_by_the_program,
    ),
    case(
        "directories-that-cannot-be-used",
        "A file in its place, one in use, another node's and another cluster's are told apart, and are left as they were.",
        start::directories_that_cannot_be_used,
    ),
    case(
        "certificates",
        "One of another name is refused at the start; one by another authority links with nobody, and its node says so.",
        start::certificates,
    ),
    case(
        "certificates-are-renewed",
        "Others are taken while it runs, and links are made anew by them; what is wrong is named, and what was in force stays.",
        start::certificates_are_renewed,
    ),
    case(
        "a-cluster-for-development",
        "It starts with one call, tells its leader, ends, and says why it does not start.",
        start::a_cluster_for_development,
    ),
    // Answers.
    case(
        "every-kind-of-write",
        "Set, delete and compare-and-set say through every node what they found; revisions grow.",
        answers::every_kind_of_write,
    ),
    case(
        "every-kind-of-read",
        "Linearizable, by lease and local; what is absent; a view stays as it was; a snapshot tells its revision.",
        answers::every_kind_of_read,
    ),
    case(
        "typed-values",
        "They come back as they were; what cannot be written, or is no such value, is refused by the codec.",
        answers::typed_values,
    ),
    case(
        "an-answer-on-its-way",
        "It can be waited for, waited for some time, and taken once; to drop it withdraws nothing.",
        answers::an_answer_on_its_way,
    ),
    // Bounds.
    case(
        "too-large",
        "A key and a value of the largest size are taken, and one byte more is refused with both numbers.",
        bounds::too_large,
    ),
    case(
        "too-much-at-once",
        "Writes, their bytes and reads that wait are bounded; what is over is refused by the name of its limit.",
        bounds::too_much_at_once,
    ),
    case(
        "a-full-log",
        "A full log refuses writes and serves reads, until a snapshot has released it.",
        bounds::a_full_log,
    ),
    case(
        "a-call-uses-its-budget",
        "Without a majority each call waits for as long as it may, and ends as refused or unknown, saying what is in the way.",
        bounds::a_call_uses_its_budget,
    ),
    case(
        "what-is-not-known",
        "A write that a leader has taken and that is not decided in time, or at the end of the node, ends as unknown.",
        bounds::what_is_not_known,
    ),
    // Events.
    case(
        "each-change-once-and-in-order",
        "Every node tells of every change of any node once, in the order of revisions, also while leadership moves.",
        events::each_change_once_and_in_order,
    ),
    case(
        "too-many-readers",
        "Of more readers than there may be each is refused, and counted; who leaves makes room.",
        events::too_many_readers,
    ),
    case(
        "who-is-too-slow",
        "A reader that lags is told, in their place, how many events it has missed, and reads on.",
        events::who_is_too_slow,
    ),
    case(
        "what-else-is-told",
        "Leaders, links that come and go, nodes that are not reached; the end ends the events, and none come behind it.",
        events::what_else_is_told,
    ),
    // Leaders, and the end.
    case(
        "leadership-goes-where-it-is-wanted",
        "Whoever is asked, whoever is wanted; who is in the way is named.",
        leaders::leadership_goes_where_it_is_wanted,
    ),
    case(
        "the-leader-ends",
        "It hands over before it ends, the others go on, and it says that it was stopped.",
        leaders::the_leader_ends,
    ),
    case(
        "everything-after-the-end",
        "Ending twice, and from several threads at once, does no harm; every method still answers.",
        leaders::everything_after_the_end,
    ),
    case(
        "the-last-handle",
        "The node lives as long as one of its handles, and ends when the last is dropped; events hold none.",
        leaders::the_last_handle,
    ),
    // Members.
    case(
        "one-joins-is-promoted-and-is-removed",
        "It serves as a learner, then as a voter, is told that it is removed, and is taken in anew.",
        members::one_joins_is_promoted_and_is_removed,
    ),
    case(
        "all-but-one-by-one-call",
        "A cluster is reconfigured: those who come are brought up to date first, those who go know it.",
        members::all_but_one_by_one_call,
    ),
    case(
        "the-leader-removes-itself",
        "Another takes over. The last voter cannot go.",
        members::the_leader_removes_itself,
    ),
    case(
        "removed-while-it-was-away",
        "It comes back as a voter, as far as it knows, disturbs nobody, and can be taken in anew.",
        members::removed_while_it_was_away,
    ),
    case(
        "who-joins-stands-for-no-election",
        "Not before it is announced, and not as a learner, however long there is no leader.",
        members::who_joins_stands_for_no_election,
    ),
    case(
        "one-change-at-a-time",
        "Another is refused, wherever it is asked for, in the words of the one that is under way.",
        members::one_change_at_a_time,
    ),
    case(
        "what-is-in-the-way-of-a-change",
        "Nobody left, named twice, too many, no member, no majority: each is named, and nothing has changed.",
        members::what_is_in_the_way_of_a_change,
    ),
    case(
        "a-node-announces-where-it-listens",
        "Its real port; who listens everywhere can be told where it is, or is told by others.",
        addresses::a_node_announces_where_it_listens,
    ),
    case(
        "its-own-word-goes-first",
        "What a node says of its address goes before what others say.",
        addresses::its_own_word_goes_first,
    ),
    case(
        "back-elsewhere",
        "A node that comes back at another address is found there by those who were never told.",
        addresses::back_elsewhere,
    ),
    case(
        "moved-as-a-whole",
        "All members come back elsewhere, and then again without being told where the others are.",
        addresses::moved_as_a_whole,
    ),
    // Directories.
    case(
        "restarted-as-a-whole",
        "All is there after all nodes have ended, revisions grow, and nothing old is told again.",
        lives::restarted_as_a_whole,
    ),
    case(
        "the-members-of-the-log",
        "After a restart the members are those of the log, and not those of the options.",
        lives::the_members_of_the_log,
    ),
    case(
        "a-damaged-file",
        "Its node starts, says which file it is, serves nobody, and goes on alone when it is told to.",
        lives::a_damaged_file,
    ),
    case(
        "another-life-in-its-seat",
        "A node whose seat was given to another life of it halts, says why, and refuses everything with that.",
        lives::another_life_in_its_seat,
    ),
    case(
        "a-quorum-lost-for-good",
        "A survivor goes on alone while it runs, with what it held; who need not is refused.",
        lives::a_quorum_lost_for_good,
    ),
    case(
        "a-directory-that-is-left",
        "A survivor's directory is looked into without a change, goes on alone, and what is none is told apart.",
        lives::a_directory_that_is_left,
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
