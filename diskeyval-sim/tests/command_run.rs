//! What the command runs: `sim run`, `replay`, `hunt` and `shrink`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{prints, refuses, scratch, word_after};
use diskeyval_sim::plan::Plan;

/// A seed and options that are quickly run.
const SHORT: [&str; 5] = ["run", "--seed", "7", "--time", "2s"];

/// A cluster that can have no leader: its messages take longer than it waits for them.
const HOPELESS: &str = "diskeyval schedule 1\nnodes 3\nhostile 2s\ndelay 2s 2s\n\
    at 300ms client 1 asks n1 set k0 within 2s\nat 500ms crash n2 n1 group 0 for 100ms strength 0\n";

fn path(file: &Path) -> &str {
    file.to_str().expect("a plain path")
}

fn file(name: &str, text: &str) -> PathBuf {
    let file = scratch(name);
    fs::write(&file, text).expect("it is written");
    file
}

#[test]
fn a_run_that_passes_prints_its_settings_and_its_digest() {
    let printed = prints(0, &SHORT);
    for word in ["noise ", "nodes ", "hostile 2s", "core n", "rest ", "delay ", "disk "] {
        assert!(printed.lines().any(|line| line.starts_with(word)), "no {word:?}: {printed}");
    }
    assert_eq!(word_after(&printed, "digest ").len(), 32);
    assert!(printed.ends_with("nothing is violated\n"), "{printed}");
}

#[test]
fn wishes_are_granted() {
    let wished =
        ["run", "--seed", "1", "--nodes", "4", "--time", "1.5s", "--faults", "crash, wipe", "--plan"];
    let plan = Plan::parse(&prints(0, &wished)).expect("a schedule");
    assert_eq!((plan.setting.nodes, plan.setting.hostile.as_millis()), (4, 1500));
    let faults = |plan: &Plan| plan.to_string().lines().filter(|line| line.contains(" strength ")).count();
    let of = |names: &str| prints(0, &["run", "--seed", "1", "--time", "60s", "--faults", names, "--plan"]);
    assert_eq!(faults(&Plan::parse(&of("none")).expect("a schedule")), 0);
    assert!(faults(&Plan::parse(&of("all")).expect("a schedule")) > 0);
}

#[test]
fn a_plan_that_was_printed_is_replayed_bit_for_bit() {
    for seed in ["7", "8", "9"] {
        let typed = ["run", "--seed", seed, "--time", "2s"];
        let schedule = file(&format!("{seed}.schedule"), &prints(0, &[&typed[..], &["--plan"]].concat()));
        assert_eq!(prints(0, &["replay", path(&schedule)]), prints(0, &typed));
    }
}

#[test]
fn what_is_wanted_of_a_run_is_written() {
    let [trace, history, html] = ["run.trace", "run.jsonl", "run.html"].map(scratch);
    let wanted = ["--trace", path(&trace), "--history", path(&history), "--html", path(&html)];
    let printed = prints(0, &[&SHORT[..], &wanted].concat());
    assert_eq!(printed, prints(0, &SHORT), "looking on changes nothing");

    let trace = fs::read_to_string(trace).expect("a trace");
    assert!(trace.lines().next().is_some_and(|line| line.ends_with("    starts (life 1)")), "{trace:.200}");
    assert!(trace.contains("==    from now on the core is left alone"));

    let report = prints(0, &["check", path(&history)]);
    assert!(report.contains("every answer has an explanation"), "{report}");
    let operations: u64 = report.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    assert!(operations > 10, "{report}");

    let page = fs::read_to_string(html).expect("a page");
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{page:.100}");
    assert!(page.contains("--seed 7") && page.trim_end().ends_with("</html>"));

    let shown = prints(0, &[&SHORT[..], &["--trace", "-"]].concat());
    assert!(shown.contains(&trace), "on standard output it is the same trace");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    for option in ["--trace", "--history", "--html"] {
        for place in ["no/such/folder/file", "."] {
            let complaint = refuses(&[&SHORT[..], &[option, place]].concat());
            assert!(complaint.contains(&format!("{place}: ")), "{complaint}");
        }
        if Path::new("/dev/full").exists() {
            let complaint = refuses(&[&SHORT[..], &[option, "/dev/full"]].concat());
            assert!(complaint.contains("/dev/full: "), "{complaint}");
        }
    }
}

/// What clients are told is not that of one cluster.
#[test]
fn of_a_plan_in_which_a_node_goes_on_alone_there_is_no_history() {
    let file = scratch("none.jsonl");
    let schedule = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schedules/goes-on-alone.schedule");
    let complaint = refuses(&["replay", schedule, "--history", path(&file)]);
    assert!(complaint.contains("a node goes on alone"), "{complaint}");
    assert!(!file.exists());
}

#[test]
fn a_schedule_that_is_none_is_refused_with_a_remedy() {
    assert!(refuses(&["replay", "no/such.schedule"]).contains("`sim run --seed 0 --plan` prints a schedule"));
    for (name, lines, remedy) in [
        ("empty", "", "nothing in it"),
        ("other", "hello", "line 1: a schedule begins with the line `diskeyval schedule 1`"),
        ("word", "$\nnodes 3\ncluster 3", "line 3: `cluster 3` is not understood"),
        ("torn", "$\nnodes 3\nat 1s crash n1", "line 3: `crash n1` is nothing that can be done"),
        ("fault", "$\nat 1s crahs n1 n2 group 0 for 1s strength 0", "line 2: there is no fault \"crahs\""),
        ("verb", "$\nat 1s client 1 asks n1 got k0 within 2s", "line 2: nobody can ask \"got\": say get, "),
        ("span", "$\nhostile 3", "say 2s, 1.5s, 300ms or 20us"),
        ("negative", "$\ntorn -1", "is no number that fits here"),
        ("rest", "$\nrest well", "say fine, dead"),
        ("none", "$\nnodes 0", "take 1 to 7"),
        ("many", "$\nnodes 8", "take 1 to 7"),
        ("minority", "$\nnodes 5\ncore n1 n2", "a core of 2 is no majority of 5: name 3 at least"),
        ("nobody", "$\nnodes 3\ncore", "name 2 at least"),
        ("twice", "$\nnodes 3\ncore n1 n1 n2", "each once"),
        ("stranger", "$\nnodes 3\ncore n1 n2 n9", "some of the 3 nodes"),
        ("upside-down", "$\ndelay 2s 1s", "the shorter first"),
        ("beat", "$\nheartbeat 200ms", "at most a third of the election timeout"),
        ("eternity", "$\nhostile 90000s", "at most a day"),
        ("elsewhere", "$\nnodes 3\nat 1s crash n4 n1 group 0 for 1s strength 0", "say n1 to n3"),
    ] {
        let schedule = file(&format!("bad-{name}.schedule"), &lines.replace('$', "diskeyval schedule 1"));
        for command in [&["replay"][..], &["shrink", "--file"]] {
            let complaint = refuses(&[command, &[path(&schedule)]].concat());
            assert!(complaint.contains(remedy), "{name}: {complaint}");
            assert!(complaint.contains(path(&schedule)), "{name}: {complaint}");
        }
    }
}

#[test]
fn what_fails_exits_with_1_and_tells_how_to_see_it_again() {
    let schedule = file("hopeless.schedule", HOPELESS);
    let printed = prints(1, &["replay", path(&schedule)]);
    assert!(printed.contains("violated: V1: the core has no leader whom all of it follows"), "{printed}");
    assert!(printed.contains(". In the nodes' own words: no leader: "), "{printed}");
    assert!(printed.ends_with(&format!("replay: cargo sim replay {}\n", path(&schedule))), "{printed}");
}

#[test]
fn what_fails_is_shrunk_to_a_schedule_that_fails_alike() {
    let (large, small) = (file("large.schedule", HOPELESS), scratch("small.schedule"));
    let printed = prints(1, &["shrink", "--file", path(&large), "--out", path(&small), "--tries", "100"]);
    assert!(printed.contains("# 0 of 2 deeds are left"), "{printed}");
    assert!(printed.ends_with(&format!("replay: cargo sim replay {}\n", path(&small))), "{printed}");
    let shrunk = fs::read_to_string(&small).expect("it was written");
    assert!(shrunk.contains("# violated: V1: "), "{shrunk}");
    assert!(prints(1, &["replay", path(&small)]).contains("violated: V1: "));
    // Without a file it is printed, and it is if the file cannot be written: it may have taken long to find.
    assert_eq!(prints(1, &["shrink", "--file", path(&large), "--tries", "100"]), shrunk);
    let lost =
        common::sim(&["shrink", "--file", path(&large), "--tries", "100", "--out", "no/such/folder/x"], "");
    assert_eq!((lost.status.code(), common::told(&lost.stdout)), (Some(2), shrunk));
}

#[test]
fn what_passes_is_not_shrunk() {
    let complaint = refuses(&["shrink", "--seed", "7", "--time", "2s"]);
    assert!(
        complaint.contains("nothing is violated by this run, so there is nothing to shrink"),
        "{complaint}"
    );
}

#[test]
fn a_hunt_prints_what_came_about_and_a_summary() {
    let printed = prints(0, &["hunt", "--seeds", "3..9", "--time", "2s", "--jobs", "2"]);
    for row in
        ["fault: crash", "role: candidate to leader", "word: append reaches a follower", "dial: connected"]
    {
        let line = printed.lines().find(|line| line.ends_with(&format!("  {row}")));
        let count =
            line.and_then(|line| line.trim_start().split(' ').next()).and_then(|word| word.parse().ok());
        assert!(count.is_some_and(|count: u64| row == "fault: crash" || count > 0), "{row}: {printed}");
    }
    for word in [
        "\n6 seeds in ",
        " simulated hours",
        " simulated seconds in a second",
        " requests, ",
        "digest of all runs ",
    ] {
        assert!(printed.contains(word), "no {word:?}: {printed}");
    }
    assert!(printed.ends_with("nothing is violated\n"), "{printed}");
    let digest = word_after(&printed, "digest of all runs ");
    let alone = prints(0, &["hunt", "--seeds", "3..9", "--time", "2s", "--jobs", "1"]);
    assert_eq!(word_after(&alone, "digest of all runs "), digest, "threads change nothing");
}
