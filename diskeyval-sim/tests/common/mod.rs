//! The command `sim`, as one types it.
#![allow(dead_code)] // Each user needs a part of it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Calls the command.
pub(crate) fn sim(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("ends")
}

pub(crate) fn told(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What the command prints, if it ends with this exit code.
#[track_caller]
pub(crate) fn prints(code: i32, arguments: &[&str]) -> String {
    let output = sim(arguments, "");
    let (printed, complaint) = (told(&output.stdout), told(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}{complaint}");
    printed
}

/// What the command complains of, if it refuses what it was given: it says so on stderr, and in one exit code.
#[track_caller]
pub(crate) fn refuses(arguments: &[&str]) -> String {
    let output = sim(arguments, "");
    let complaint = told(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}{complaint}", told(&output.stdout));
    assert!(complaint.starts_with("error: "), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    complaint
}

/// A file for one test: its name must be its own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("a folder for tests");
    folder.join(name)
}

/// The word behind another in a text.
pub(crate) fn word_after<'t>(text: &'t str, word: &str) -> &'t str {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    rest.split_whitespace().next().expect("a word")
}
