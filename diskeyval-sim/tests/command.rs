//! The command `sim`, as one types it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn sim(arguments: &[&str], input: &str) -> Output {
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

fn told(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

const SET: &str = r#"{"client":1,"op":"set","key":"k","value":"v","expect":null,"call":1,"return":2,"outcome":"ok","result":null}"#;
const STALE: &str = r#"{"client":2,"op":"get","key":"k","value":null,"expect":null,"call":3,"return":4,"outcome":"ok","result":null}"#;

#[test]
fn a_sound_history_exits_with_0() {
    let output = sim(&["check", "-"], SET);
    assert_eq!(output.status.code(), Some(0));
    let told = told(&output.stdout);
    assert!(told.contains("0 lost, 0 duplicated, 0 stale, 0 other violations"), "{told}");
}

#[test]
fn a_violated_one_exits_with_1() {
    let output = sim(&["check", "-"], &format!("{SET}\n{STALE}\n"));
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output.stdout);
    assert!(told.contains("1 stale") && told.contains("line 2: "), "{told}");
}

#[test]
fn what_is_no_history_exits_with_2() {
    let output = sim(&["check", "-"], &format!("{SET}\nhello\n"));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(told(&output.stderr), "-: line 2: not a JSON object; it begins: hello\n");
    let output = sim(&["check", "no/such/file"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output.stderr).starts_with("no/such/file: "));
    assert_eq!(sim(&["check"], "").status.code(), Some(2));
}

#[test]
fn an_undecided_one_exits_with_3() {
    let output = sim(&["check", "-", "--steps", "0"], &format!("{SET}\n{STALE}\n").replace(":3,", ":1,"));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output.stdout));
}

#[test]
fn it_tells_about_itself() {
    assert_eq!(told(&sim(&["--version"], "").stdout), format!("sim {}\n", env!("CARGO_PKG_VERSION")));
    assert!(told(&sim(&["--help"], "").stdout).contains("sim check history.jsonl"));
    assert!(told(&sim(&["check", "--help"], "").stdout).contains("Exit codes:"));
}
