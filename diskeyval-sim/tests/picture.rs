//! The picture of a run in a real browser: a mistake in the page's script is seen nowhere else.
//!
//! Needs Chromium (`$CHROMIUM`, the path, or what Playwright has installed); without it the tests here say so and are
//! skipped. `PICTURES=folder` keeps the pages, and takes a screenshot of each.

mod synthetic;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use diskeyval_core::RoleName;
use diskeyval_core::Term;
use diskeyval_sim::notes::{Note, What};
use diskeyval_sim::observe::Time;
use diskeyval_sim::picture::{Title, Verdict, draw};
use synthetic::{Plan, run};

#[test]
fn a_run_with_a_violation_opens_at_it() {
    let notes = run(Plan { nodes: 5, millis: 3000, pace: 9000, seed: 7, violation: true });
    assert!(notes.len() >= 10_000, "{} notes", notes.len());
    let Some(drawn) = look("five", "", 5, &notes) else { return };
    let expected = count(&notes);
    for (what, number) in &expected {
        assert_eq!(drawn.get(what), Some(number), "{what} of {drawn:?}");
    }
    assert_eq!(drawn["violations"], "1");
    assert_eq!(drawn["chosen"], (notes.len() - 1).to_string(), "it opens at the violation");
    assert!(number(&drawn, "arrows") > 5, "{drawn:?}");
    assert!(number(&drawn, "lines") > 5, "{drawn:?}");
    assert!(number(&drawn, "rows") < notes.len(), "routine is hidden at first");
}

#[test]
fn everything_can_be_seen_at_once_and_true_to_scale() {
    let notes = run(Plan { nodes: 3, millis: 2000, pace: 15000, seed: 3, violation: true });
    let Some(drawn) = look("three-whole", "#axis=true&routine=1&whole=1", 3, &notes) else { return };
    assert_eq!(number(&drawn, "rows"), notes.len(), "nothing is hidden");
    assert_eq!(drawn["axis"], "true");
    assert!(number(&drawn, "arrows") > 500, "{drawn:?}");
    picture("three", "", 3, &notes);
    picture("three-true", "#axis=true", 3, &notes);
}

#[test]
fn a_search_jumps_to_what_it_finds() {
    let notes = run(Plan { nodes: 7, millis: 2000, pace: 9000, seed: 5, violation: true });
    let Some(drawn) = look("seven-search", "#search=nothing+passes", 7, &notes) else { return };
    let blocks = notes.iter().filter(|note| matches!(note.what, What::Block { .. })).count();
    assert_eq!(number(&drawn, "found"), blocks);
    let chosen = &notes[number(&drawn, "chosen")];
    assert!(matches!(chosen.what, What::Block { .. }), "{chosen}");
    picture("seven", "", 7, &notes);
    picture("seven-election", "#search=pre-candidate+t2", 7, &notes);
    picture("seven-crash", "#search=dies", 7, &notes);
    picture("seven-whole", "#whole=1", 7, &notes);
}

/// Keys, mouse and buttons, as a person would use them.
const USE: &str = concat!("<script>", include_str!("synthetic/use.js"), "</script>");

#[test]
fn keys_mouse_and_buttons_do_what_they_say() {
    let notes = run(Plan { nodes: 3, millis: 1000, pace: 15000, seed: 2, violation: true });
    let Some(drawn) = look_after("used", "", 3, &notes, USE) else { return };
    assert_eq!(drawn["axis"], "true");
    // Every box was turned over: routine is shown now, and little else.
    let beats = |note: &&Note| matches!(note.what, What::Send { kind: "heartbeat", .. });
    assert_eq!(number(&drawn, "found"), notes.iter().filter(beats).count());
    let chosen = &notes[number(&drawn, "chosen")];
    assert!(beats(&chosen), "{chosen}");
    let shown = notes.iter().filter(|note| matches!(note.what, What::Commit { .. })).count();
    assert!(number(&drawn, "rows") <= notes.len() - shown, "commits are hidden");
}

#[test]
fn a_very_long_run_is_drawn_in_time() {
    let notes = run(Plan { nodes: 5, millis: 9000, pace: 3000, seed: 11, violation: false });
    assert!(notes.len() >= 50_000, "{} notes", notes.len());
    let before = Instant::now();
    let Some(drawn) = look("dense", "#routine=1&whole=1", 5, &notes) else { return };
    assert!(number(&drawn, "arrows") >= 3000, "{drawn:?}");
    assert!(before.elapsed() < Duration::from_secs(60), "it took {:?}", before.elapsed());
}

#[test]
fn hostile_texts_stay_texts() {
    let evil = "</script><script>document.body.dataset.evil='1'</script> {{script}} <!-- \" ' \u{2028} \u{202e} \0 \\ ";
    let notes: Vec<Note> = [
        What::Start { node: 0, life: 1 },
        What::Role { node: 0, role: RoleName::Leader, term: Term(1) },
        What::Phase { text: evil.into() },
        What::Disturb { nodes: vec![0, 1], text: evil.into() },
        What::Send { word: 1, from: 0, to: 1, kind: "later-kind", routine: false, text: evil.into() },
        What::Ask { client: 1, ticket: 1, node: 0, text: evil.into() },
        What::Answer { ticket: 1, node: 0, text: evil.into() },
        // These belong to nothing, and end nothing.
        What::Arrive { word: 99 },
        What::Answer { ticket: 99, node: 5, text: evil.into() },
        What::Violation { node: Some(1), rule: evil.into(), text: evil.into() },
    ]
    .into_iter()
    .map(|what| Note { at: Time(5), what })
    .collect();
    let Some(drawn) = look("hostile", "", 2, &notes) else { return };
    assert_eq!((drawn["nodes"].as_str(), drawn["violations"].as_str()), ("6", "1"));
    let Some(drawn) = look("empty", "", 3, &[]) else { return };
    assert_eq!((drawn["nodes"].as_str(), drawn["notes"].as_str()), ("3", "0"));
}

/// What the page should have counted.
fn count(notes: &[Note]) -> BTreeMap<String, String> {
    let count = |what: fn(&What) -> bool| notes.iter().filter(|note| what(&note.what)).count();
    let sent = count(|what| matches!(what, What::Send { .. }));
    let lost = count(|what| matches!(what, What::Lose { .. }));
    let arrived = count(|what| matches!(what, What::Arrive { .. }));
    [
        ("notes", notes.len()),
        ("messages", sent),
        ("lost", lost),
        ("flying", sent - lost - arrived),
        ("ops", count(|what| matches!(what, What::Ask { .. }))),
        ("violations", count(|what| matches!(what, What::Violation { .. }))),
    ]
    .into_iter()
    .map(|(what, number)| (what.to_owned(), number.to_string()))
    .collect()
}

fn number(drawn: &BTreeMap<String, String>, what: &str) -> usize {
    drawn[what].parse().expect("a number")
}

/// Opens the picture of a run, and returns what its script says that it has drawn; `None` where there is no browser.
fn look(name: &str, hash: &str, nodes: usize, notes: &[Note]) -> Option<BTreeMap<String, String>> {
    look_after(name, hash, nodes, notes, "")
}

/// For a look at the screenshot, where that is wanted.
fn picture(name: &str, hash: &str, nodes: usize, notes: &[Note]) {
    if env::var_os("PICTURES").is_some() {
        look(name, hash, nodes, notes);
    }
}

/// As `look`, with a script at the end of the page.
fn look_after(
    name: &str,
    hash: &str,
    nodes: usize,
    notes: &[Note],
    script: &str,
) -> Option<BTreeMap<String, String>> {
    let Some(browser) = browser() else {
        // Not by `eprintln!`, which is shown for failed tests only.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED: no Chromium, so the picture `{name}` was not looked at");
        return None;
    };
    let violation = notes.iter().rev().find_map(|note| match &note.what {
        What::Violation { rule, text, .. } => Some(format!("{rule}: {text}")),
        _ => None,
    });
    let title = Title {
        command: format!("cargo sim run --seed 18446744073709551615 --nodes {nodes} --faults all"),
        seed: u64::MAX,
        settings: vec![format!("{nodes} nodes"), "partitions, crashes, pauses, slow links".into()],
        verdict: violation.map_or(Verdict::Passed, Verdict::Failed),
    };
    let kept = env::var_os("PICTURES").map(PathBuf::from);
    let folder =
        kept.clone().unwrap_or_else(|| env::temp_dir().join(format!("diskeyval-{}", std::process::id())));
    fs::create_dir_all(&folder).expect("a folder");
    let page = folder.join(format!("{name}.html"));
    fs::write(&page, draw(&title, nodes, notes).replace("</body>", &format!("{script}</body>")))
        .expect("written");
    let profile = folder.join(format!("{name}.profile"));
    let url = format!("file://{}{hash}", page.canonicalize().expect("there").display());
    let chromium = |arguments: &[&str]| {
        let made = Command::new(&browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--window-size=1600,1000",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--hide-scrollbars", "--virtual-time-budget=5000"])
            .args(arguments)
            .arg(&url)
            .stderr(Stdio::null())
            .output()
            .expect("Chromium runs");
        String::from_utf8_lossy(&made.stdout).into_owned()
    };
    let dom = chromium(&["--dump-dom"]);
    if kept.is_some() {
        let to = |dark| folder.join(format!("{name}{dark}.png")).display().to_string();
        chromium(&[&format!("--screenshot={}", to(""))]);
        chromium(&["--blink-settings=preferredColorScheme=0", &format!("--screenshot={}", to("-dark"))]);
    }
    let _ = fs::remove_dir_all(&profile);
    if kept.is_none() {
        let _ = fs::remove_file(&page);
        // Other tests may still have theirs in it.
        let _ = fs::remove_dir(&folder);
    }
    // What the page holds as data is not looked at: the attribute stands in the tag of the body.
    let body = dom
        .split_once("<body")
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(tag, _)| tag)
        .unwrap_or_default();
    assert!(script.is_empty() || body.contains("data-used"), "the test's script failed: <body{body}>");
    assert!(!body.contains("data-evil"), "a text was run as a script: {body}");
    let (_, drawn) =
        body.split_once("data-drawn=\"").unwrap_or_else(|| panic!("the script failed: <body{body}>"));
    let (drawn, _) = drawn.split_once('"').expect("an attribute ends");
    assert!(!body.contains("data-failed"), "the script failed: <body{body}>");
    let pairs = drawn.split(' ').filter_map(|pair| pair.split_once('='));
    Some(pairs.map(|(what, number)| (what.to_owned(), number.to_owned())).collect())
}

fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let folder = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let installed = folder(&home.join(".cache/ms-playwright")).flat_map(|version| {
        ["chrome-linux/chrome", "chrome-linux/headless_shell"].map(|file| version.join(file))
    });
    on_path.chain(installed).find(|file| file.is_file())
}
