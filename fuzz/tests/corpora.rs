//! Replays everything that is kept in `corpus`: what was found once, and what reaches furthest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use diskeyval_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What is printed last, should one fail, is the file that did it.
#[test]
#[allow(clippy::print_stderr)] // A test is not shown it unless it fails.
fn everything_that_is_kept_is_replayed() {
    let mut files = 0;
    for (name, run) in TARGETS {
        let corpus = folder("corpus").join(name);
        for file in names(&corpus) {
            eprintln!("fuzz/corpus/{name}/{file}");
            run(&fs::read(corpus.join(file)).expect("readable"));
            files += 1;
        }
    }
    assert!(files >= 50, "only {files} are left");
}

#[test]
fn each_target_has_a_corpus_and_each_corpus_a_target() {
    assert_eq!(names(&folder("corpus")), targets());
    for (name, _) in TARGETS {
        assert!(!names(&folder("corpus").join(name)).is_empty(), "the corpus of {name} is empty");
    }
}

#[test]
fn each_target_has_a_file_for_the_fuzzer() {
    let files: BTreeSet<String> = targets().iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&folder("fuzz_targets")), files);
    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("readable");
    for (name, _) in TARGETS {
        let file = folder("fuzz_targets").join(format!("{name}.rs"));
        let source = fs::read_to_string(file).expect("readable");
        assert!(source.contains(&format!("diskeyval_fuzz::{name}::run(bytes)")), "{name} runs another");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}
