//! A run as a picture: one HTML page that needs nothing but itself, and no network.
//!
//! Time goes down, a lane for each node, messages are arrows between them. This side only puts what happened into the
//! page as data; what becomes of it is in the scripts of the folder `picture`, which a browser runs.

mod data;
mod escape;

use core::fmt;

use crate::notes::Note;

/// What is written over a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// The command that replays the run.
    pub command: String,
    /// The seed of the run.
    pub seed: u64,
    /// What the run was set to do, line by line.
    pub settings: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Passed,
    /// This was: a [`Violation`](crate::observe::Violation), say, as text.
    Failed(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => f.write_str("passed"),
            Verdict::Failed(why) => f.write_str(why),
        }
    }
}

const PAGE: &str = include_str!("picture/page.html");
const STYLE: &str = include_str!("picture/style.css");

/// The parts of the script, in the order in which they stand in the page. They share one scope.
const SCRIPTS: &[&str] = &[
    include_str!("picture/model.js"),
    include_str!("picture/layout.js"),
    include_str!("picture/paint.js"),
    include_str!("picture/labels.js"),
    include_str!("picture/map.js"),
    include_str!("picture/list.js"),
    include_str!("picture/main.js"),
];

/// The page that shows a run. The same notes give the same bytes.
///
/// `nodes` is how many there are; nodes that are only mentioned in the notes get a lane too.
pub fn draw(title: &Title, nodes: usize, notes: &[Note]) -> String {
    let (class, word) = match title.verdict {
        Verdict::Passed => ("passed", "passed"),
        Verdict::Failed(_) => ("failed", "FAILED"),
    };
    let why = match &title.verdict {
        Verdict::Passed => "no invariant was violated",
        Verdict::Failed(why) => why,
    };
    let data = data::json(title, nodes, notes);
    let script = SCRIPTS.concat();
    fill(
        PAGE,
        &[
            ("seed", title.seed.to_string()),
            ("class", class.to_owned()),
            ("verdict", word.to_owned()),
            ("why", escape::html(why)),
            ("command", escape::html(&title.command)),
            ("settings", escape::html(&title.settings.join("\n"))),
            ("style", STYLE.to_owned()),
            ("data", data),
            ("script", script),
        ],
    )
}

/// Puts the parts into the places of the template that name them. What is put in is not looked at again: a key of
/// the store may well look like a place.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page =
        String::with_capacity(template.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("a place in the template ends");
        let (_, part) =
            parts.iter().find(|(known, _)| *known == name).expect("a place in the template has a part");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests;
