use diskeyval_core::{RoleName, Term};

use super::{Title, Verdict, draw, fill};
use crate::notes::{Note, What};
use crate::observe::Time;

/// One of each kind, and what names it in the data.
fn one_of_each() -> Vec<(What, &'static str)> {
    let text = || "something".to_owned();
    vec![
        (What::Start { node: 0, life: 1 }, "start"),
        (What::Crash { node: 0, wiped: true }, "crash"),
        (What::Freeze { node: 0 }, "freeze"),
        (What::Thaw { node: 0 }, "thaw"),
        (What::Block { from: 0, to: 1 }, "block"),
        (What::Unblock { from: 0, to: 1 }, "unblock"),
        (What::Cut { one: 0, other: 1 }, "cut"),
        (What::Disturb { nodes: vec![0, 2], text: text() }, "disturb"),
        (What::Role { node: 0, role: RoleName::PreCandidate, term: Term(7) }, "role"),
        (What::Send { word: 3, from: 0, to: 1, kind: "append", routine: false, text: text() }, "send"),
        (What::Arrive { word: 3 }, "arrive"),
        (What::Lose { word: 3 }, "lose"),
        (What::Commit { node: 0, index: 9 }, "commit"),
        (What::Ask { client: 4, ticket: 5, node: 0, text: text() }, "ask"),
        (What::Answer { ticket: 5, node: 0, text: "refused: no quorum".into() }, "answer"),
        (What::Event { node: 0, text: text() }, "event"),
        (What::Halt { node: 0, text: text() }, "halt"),
        (What::Phase { text: text() }, "phase"),
        (What::Violation { node: None, rule: "S1".into(), text: text() }, "violation"),
    ]
}

fn title(why: &str) -> Title {
    Title {
        command: format!("sim run '{why}'"),
        seed: 7,
        settings: vec!["nodes = 3".into(), why.into()],
        verdict: Verdict::Failed(why.into()),
    }
}

fn notes(whats: impl IntoIterator<Item = What>) -> Vec<Note> {
    whats.into_iter().zip(1000..).map(|(what, at)| Note { at: Time(at), what }).collect()
}

/// What the script of the page will read.
fn data(page: &str) -> serde_json::Value {
    let (_, data) = page.split_once("id=\"data\">").expect("the data begins");
    let (data, _) = data.split_once("</script>").expect("the data ends");
    serde_json::from_str(data).expect("JSON")
}

#[test]
fn the_same_notes_give_the_same_page() {
    let notes = notes(one_of_each().into_iter().map(|(what, _)| what));
    assert_eq!(draw(&title("x"), 3, &notes), draw(&title("x"), 3, &notes));
}

#[test]
fn every_kind_of_note_gets_into_the_page() {
    let (whats, names): (Vec<_>, Vec<_>) = one_of_each().into_iter().unzip();
    let notes = notes(whats);
    let data = data(&draw(&title("x"), 3, &notes));
    let rows = data["notes"].as_array().expect("a list");
    assert_eq!(rows.len(), names.len());
    for ((row, name), note) in rows.iter().zip(names).zip(&notes) {
        assert_eq!((row["is"].as_str(), row["at"].as_u64()), (Some(name), Some(note.at.0)));
        assert_eq!(row["line"], note.to_string());
    }
    let of = |is: &str| rows.iter().find(|row| row["is"] == is).expect(is);
    assert_eq!((&of("role")["kind"], &of("role")["number"]), (&"pre-candidate".into(), &7.into()));
    assert_eq!(
        (&of("send")["node"], &of("send")["to"], &of("send")["key"]),
        (&0.into(), &1.into(), &3.into())
    );
    assert_eq!((&of("answer")["key"], &of("answer")["kind"]), (&5.into(), &"refused".into()));
    assert_eq!(of("disturb")["nodes"], serde_json::json!([0, 2]));
}

#[test]
fn the_fate_of_a_request_is_told_by_its_answer() {
    for (text, fate) in [
        ("ok 6", "ok"),
        ("value refused of revision 7", "ok"),
        ("refused: overloaded", "refused"),
        ("unknown: the time ran out", "unknown"),
        ("unknowns", "ok"),
        ("", "ok"),
    ] {
        let answer = What::Answer { ticket: 1, node: 0, text: text.into() };
        assert_eq!(data(&draw(&title("x"), 1, &notes([answer])))["notes"][0]["kind"], fate, "{text}");
    }
}

#[test]
fn hostile_texts_end_nothing() {
    let evil = "</script><!--<script> & \" ' {{script}} {{ \u{2028}\u{2029} \0 \u{1}";
    let event = What::Event { node: 0, text: evil.into() };
    let page = draw(&title(evil), 1, &notes([event]));
    let plain = draw(&title(""), 1, &[]);
    for mark in ["<script", "</script", "<!--", "<b>", "\u{2028}", "\u{2029}", "\0", "\u{1}"] {
        assert_eq!(page.matches(mark).count(), plain.matches(mark).count(), "{mark:?}");
    }
    let line = data(&page)["notes"][0]["line"].as_str().expect("a text").to_owned();
    assert!(line.ends_with(evil), "{line}");
    assert!(page.contains("{{script}}"), "what is put in is not looked at again");
}

#[test]
fn a_page_needs_neither_notes_nor_nodes() {
    let data = data(&draw(&title("x"), 0, &[]));
    assert_eq!((&data["nodes"], &data["notes"]), (&0.into(), &serde_json::json!([])));
}

#[test]
fn nodes_that_are_only_mentioned_have_a_lane() {
    let block = What::Block { from: 1, to: 4 };
    assert_eq!(data(&draw(&title("x"), 2, &notes([block])))["nodes"], 5);
}

#[test]
fn a_page_needs_no_network_and_says_its_verdict_without_scripts() {
    let page = draw(&title("S1: n1 and n2 both lead t4"), 2, &[]);
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<noscript>"));
    assert!(page.contains("S1: n1 and n2 both lead t4"));
    let passed = Title { verdict: Verdict::Passed, ..title("x") };
    assert!(draw(&passed, 2, &[]).contains("<b>passed</b>"));
}

#[test]
fn a_template_is_filled_once() {
    let parts = [("a", "{{b}}".to_owned()), ("b", "2".to_owned())];
    assert_eq!(fill("1{{a}}-{{b}}3", &parts), "1{{b}}-23");
}
