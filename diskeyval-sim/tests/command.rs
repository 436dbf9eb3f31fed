//! The command `sim` itself, and `sim check`. What it runs is tested in `command_run.rs`.

mod common;

use common::{prints, refuses, sim, told};

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
    let complaint = told(&output.stderr);
    assert!(complaint.contains("-: line 2: not a JSON object; it begins: hello ("), "{complaint}");
    assert!(complaint.contains("docs/src/history.md"), "{complaint}");
    assert!(refuses(&["check", "no/such/file"]).contains("no/such/file: "));
    refuses(&["check"]);
}

#[test]
fn a_damaged_history_is_refused_with_its_line() {
    for (from, to) in [
        (r#""call":3"#, r#""call":-3"#),
        (r#""op":"get""#, r#""op":"got""#),
        (r#""outcome":"ok""#, r#""outcome":"perhaps""#),
        (r#"{"client""#, r#"{"claent""#),
        (r#"null}"#, "nul"),
    ] {
        let damaged = STALE.replace(from, to);
        assert_ne!(damaged, STALE);
        let output = sim(&["check", "-"], &format!("{SET}\n{damaged}\n"));
        let complaint = told(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{damaged}: {}", told(&output.stdout));
        assert!(complaint.contains("line 2: "), "{damaged}: {complaint}");
    }
}

#[test]
fn an_undecided_one_exits_with_3() {
    let output = sim(&["check", "-", "--steps", "0"], &format!("{SET}\n{STALE}\n").replace(":3,", ":1,"));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output.stdout));
}

#[test]
fn it_tells_about_itself() {
    assert_eq!(prints(0, &["--version"]), format!("sim {}\n", env!("CARGO_PKG_VERSION")));
    assert!(prints(0, &["check", "--help"]).contains("Exit codes:"));
}

#[test]
fn every_help_has_examples() {
    let top = prints(0, &["--help"]);
    for command in ["run", "hunt", "shrink", "replay", "check", "mutants"] {
        assert!(top.contains(&format!("\n  sim {command} ")), "{command} is not in the examples of --help");
        let help = prints(0, &[command, "--help"]);
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no examples: {help}"));
        assert!(examples.contains(&format!("  sim {command}")), "{help}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_a_remedy() {
    for (typed, remedy) in [
        ("run --sed 7", "--seed"),
        ("rum", "run"),
        ("run --seed -1", "say a whole number"),
        ("run --seed seven", "say a whole number from 0 to 18446744073709551615"),
        ("run --nodes 0", "say 1 to 7"),
        ("run --nodes 8", "say 1 to 7"),
        ("run --nodes many", "say 1 to 7"),
        ("run --time 0s", "at most a day"),
        ("run --time 90000s", "at most a day"),
        ("run --time 3", "say 2s, 1.5s, 300ms or 20us"),
        ("run --faults crahs", "power-cut, vanish"),
        ("run --faults crash,,wipe", "power-cut, vanish"),
        ("hunt --seeds 5..5", "the second number must be larger"),
        ("hunt --seeds 9..3", "the second number must be larger"),
        ("hunt --seeds 9", "say 0..2000"),
        ("hunt --seeds 0..x", "say 0..2000"),
        ("hunt --jobs 0", "1..=1024"),
        ("hunt --time-limit 0s", "say 300s, 5m or 1h"),
        ("hunt --time-limit soon", "5m or 1h"),
        ("shrink", "<--seed <N>|--file <FILE>>"),
        ("shrink --file x --seed 1", "cannot be used with"),
        ("shrink --file x --nodes 3", "cannot be used with"),
        ("replay", "<FILE>"),
        ("mutants --seed 7", "--only"),
    ] {
        let complaint = refuses(&typed.split(' ').collect::<Vec<_>>());
        assert!(complaint.contains(remedy), "sim {typed}: {complaint}");
    }
}

#[test]
fn faults_are_listed() {
    for command in [&["run"][..], &["hunt"], &["shrink", "--seed", "1"]] {
        let list = prints(0, &[command, &["--faults", "help"]].concat());
        for fault in diskeyval_sim::faults::Fault::ALL {
            let (name, what) = (fault.name(), fault.what());
            assert!(
                list.lines().any(|line| line.starts_with(name) && line.ends_with(what)),
                "{name}: {list}"
            );
        }
    }
}
