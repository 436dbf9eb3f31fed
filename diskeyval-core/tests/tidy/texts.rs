//! What stands in texts for people: links, headings, and what was not meant to stay.

use std::collections::BTreeSet;

use super::code::{found, is_word};

/// Targets of links and includes that are no addresses elsewhere.
pub(crate) fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        for (at, _) in line.match_indices("{{#include ") {
            let target: String = line[at + 11..].chars().take_while(|c| !matches!(c, '}' | ':')).collect();
            found.push(target.trim().to_owned());
        }
        if fenced {
            continue;
        }
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            found.push(line[at + 2..].chars().take_while(|c| *c != ')').collect());
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push(target.trim().to_owned());
        }
    }
    found
        .retain(|target| !target.contains("://") && !target.starts_with("mailto:") && !target.contains("::"));
    found
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// What a renderer makes of the headings of a text, to be linked to.
pub(crate) fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    text.lines()
        .filter(|line| {
            fenced ^= line.trim_start().starts_with("```");
            !fenced && line.starts_with('#')
        })
        .map(|line| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars()
                .filter(|c| is_word(*c) || matches!(c, ' ' | '-'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// What in a line was not meant to stay.
pub(crate) fn leftover(line: &str) -> Option<String> {
    // In two pieces, so that this file may hold them.
    let words =
        [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK"), ("WI", "P")].map(|(a, b)| [a, b].concat());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some((_, word)) = found(line, &words).first() {
        return Some(format!("the marker {word}"));
    }
    let conflict = ["<".repeat(7), ">".repeat(7)];
    if conflict.iter().any(|marker| line.starts_with(marker.as_str())) {
        return Some("the marker of a merge conflict".to_owned());
    }
    line.ends_with(char::is_whitespace).then(|| "white space at the end".to_owned())
}

#[test]
fn links_are_found_and_checked() {
    let text = "[a](b.md#c) [x](https://e.org) `[no](no.md)`\n```\n[no](no.md)\n```\n[d]: e.md\n{{#include ../f.rs:g}}\n";
    assert_eq!(links(text), ["b.md#c", "e.md", "../f.rs"]);
    let anchors = headings("# One, `two` & three\n```\n# none\n```\n## Four\n");
    assert_eq!(anchors, BTreeSet::from(["one-two--three".to_owned(), "four".to_owned()]));
}

#[test]
fn leftovers_are_found() {
    let marker = ["TO", "DO"].concat();
    assert!(leftover(&format!("// {marker}: later")).is_some());
    assert!(leftover(&"<".repeat(7)).is_some());
    assert!(leftover("text ").is_some());
    assert!(leftover("a methodology; todo!() is clippy's").is_none());
}
