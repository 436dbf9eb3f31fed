//! The same seed is the same run, event by event: twice in one process, in two processes, in debug and in release,
//! today and tomorrow.

mod common;

use core::time::Duration;
use std::fs;

use common::{prints, scratch, told, word_after};
use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::{Wishes, draw};
use diskeyval_sim::hunt::run_seed;
use diskeyval_sim::plan::text::parse_span;
use diskeyval_sim::run::{Ran, Wanted, run};

fn short() -> Wishes {
    Wishes { hostile: Some(Duration::from_secs(2)), ..Wishes::default() }
}

fn passes(ran: &Ran) -> u128 {
    assert_eq!(ran.violation, None);
    ran.digest
}

#[test]
fn a_seed_is_the_same_run_twice_in_one_process() {
    for seed in 0..20 {
        let once = run_seed(seed, &short(), Wanted::default(), &[]);
        let again = run_seed(seed, &short(), Wanted::default(), &[]);
        assert_eq!(passes(&once), passes(&again), "seed {seed}");
        assert_eq!((once.coverage, once.simulated), (again.coverage, again.simulated), "seed {seed}");
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let mut digests: Vec<u128> =
        (0..20).map(|seed| run_seed(seed, &short(), Wanted::default(), &[]).digest).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 20);
}

#[test]
fn looking_on_changes_nothing() {
    for seed in 0..10 {
        let alone = run_seed(seed, &short(), Wanted::default(), &[]);
        let mut seen = 0u64;
        let notes: diskeyval_sim::run::Tell<'_> = Box::new(|_| seen += 1);
        let watched = run_seed(seed, &short(), Wanted { notes: Some(notes), history: true }, &[]);
        assert_eq!(passes(&alone), passes(&watched), "seed {seed}");
        assert!(seen > 100, "seed {seed} shows {seen} events only");
    }
}

#[test]
fn the_noise_is_a_part_of_the_plan() {
    let mut plan = draw(&mut Choices::from_seed(3), &short());
    let before = run(&plan, Wanted::default()).digest;
    plan.setting.noise += 1;
    assert_ne!(run(&plan, Wanted::default()).digest, before);
}

/// Each process has hashers with seeds of its own, and memory at other places.
#[test]
fn a_seed_is_the_same_run_in_two_processes() {
    for seed in ["0", "1", "2"] {
        let typed = ["run", "--seed", seed, "--time", "2s"];
        let (one, other) = (prints(0, &typed), prints(0, &typed));
        assert_eq!(one, other);
        let ran = run_seed(seed.parse().expect("a number"), &short(), Wanted::default(), &[]);
        assert_eq!(word_after(&one, "digest "), format!("{:032x}", ran.digest), "seed {seed}");
    }
}

#[test]
fn a_trace_is_the_same_twice_byte_by_byte() {
    let write = |name: &str| {
        let file = scratch(name);
        let path = file.to_str().expect("a plain path");
        prints(0, &["run", "--seed", "4", "--time", "3s", "--faults", "all", "--trace", path]);
        fs::read(file).expect("it was written")
    };
    let (one, other) = (write("trace-one.txt"), write("trace-other.txt"));
    assert!(one == other, "two traces of one seed differ");
    let trace = told(&one);
    assert!(trace.lines().count() > 1000 && trace.contains("is leader t"), "{}", trace.len());
}

/// A line of the list: a seed, what is not left to it, and what it came to.
struct Golden<'l> {
    line: &'l str,
    seed: u64,
    wishes: Wishes,
    digest: &'l str,
}

fn golden(line: &str) -> Option<Golden<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [seed, nodes, time, digest] = words.as_slice() else { panic!("a seed, nodes, time, digest: {line}") };
    let wished = |word: &str| Some(word.to_owned()).filter(|word| word != "drawn");
    let wishes = Wishes {
        nodes: wished(nodes).map(|nodes| nodes.parse().expect("a number of nodes")),
        hostile: wished(time).map(|time| parse_span(&time).expect("a span of time")),
        faults: None,
        ..Wishes::default()
    };
    Some(Golden { line, seed: seed.parse().expect("a seed"), wishes, digest })
}

#[test]
fn seeds_mean_what_they_meant() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
    let before = fs::read_to_string(file).expect("tests/golden.txt");
    let (mut after, mut changed, mut known) = (String::new(), Vec::new(), 0);
    for line in before.lines() {
        let Some(Golden { line, seed, wishes, digest }) = golden(line) else {
            after.push_str(&format!("{line}\n"));
            continue;
        };
        let ran = run_seed(seed, &wishes, Wanted::default(), &[]);
        let now = format!("{:032x}", passes(&ran));
        if now != digest {
            changed.push(format!("  {line} is now {now}"));
        }
        known += 1;
        after.push_str(&format!("{} {now}\n", line.trim_end_matches(digest).trim_end()));
    }
    assert!(known >= 20, "the list has {known} seeds only");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file, after).expect("tests/golden.txt is written");
        return;
    }
    assert!(
        changed.is_empty(),
        "\nthe same seed no longer means the same run: {} of {known} seeds in tests/golden.txt have another digest.\n{}\n\
        If you have changed what a node does, what a seed draws, or how the simulated world behaves, that has to be so:\n  \
        UPDATE=1 cargo test -p diskeyval-sim --test determinism\n\
        writes the list anew. The seeds that are recorded as killing mutants may then be others, too: `cargo sim mutants \
        --recorded`.\nIf not, or if it happens in release only, something depends on more than the seed: an order of \
        hashes, the time, memory, an overflow.\n",
        changed.len(),
        changed.join("\n")
    );
}
