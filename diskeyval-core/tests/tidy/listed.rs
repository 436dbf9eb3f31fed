//! What sources list that a chapter has to explain: commands of scripts, options, and cases of a suite.

use std::collections::BTreeSet;
use std::fs;

/// The first words of the patterns in `run_command`.
pub(crate) fn script_commands(source: &str) -> BTreeSet<String> {
    let arms = source.lines().map(str::trim).filter_map(|line| line.strip_prefix("[\""));
    let commands: BTreeSet<String> = arms
        .filter(|line| line.contains("=>"))
        .filter_map(|line| Some(line.split_once('"')?.0.to_owned()))
        .collect();
    assert!(commands.len() > 10, "the commands were not found: {commands:?}");
    commands
}

/// The options of `Config` and `Limits`, as serde reads them.
pub(crate) fn options(source: &str) -> Vec<String> {
    let mut options = Vec::new();
    let mut renamed = None;
    let mut inside = false;
    for line in source.lines() {
        match line {
            "pub struct Config {" | "pub struct Limits {" => inside = true,
            "}" => inside = false,
            _ => {}
        }
        let line = line.trim();
        if let Some((_, rest)) = line.split_once("rename = \"") {
            renamed = rest.split_once('"').map(|(name, _)| name.to_owned());
        }
        if let Some((name, _)) =
            line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")).filter(|_| inside)
        {
            options.push(renamed.take().unwrap_or_else(|| camel(name)));
        }
    }
    assert!(options.len() > 15, "the options were not found: {options:?}");
    options
}

/// The cases of the suite for adapters, and what they demand: the first two texts behind each `case(`.
pub(crate) fn cases(source: &str) -> Vec<(String, String)> {
    let list = source.split_once("CASES: &[Case] = &[").and_then(|(_, rest)| rest.split_once("\n];"));
    let (list, _) = list.expect("the list was not found");
    let mut found = Vec::new();
    for case in list.split("case(").skip(1) {
        let mut texts = case.split('"').skip(1).step_by(2);
        let texts = texts.next().zip(texts.next()).expect("a name, and what is demanded");
        found.push((texts.0.to_owned(), texts.1.to_owned()));
    }
    assert!(found.len() > 20, "the cases were not found: {found:?}");
    found
}

/// The rows about what one product alone has: three texts each.
pub(crate) fn alone(source: &str) -> Vec<String> {
    let list = source.split_once("ALONE: &[").and_then(|(_, rest)| rest.split_once("= &["));
    let list = list.and_then(|(_, rest)| rest.split_once("\n];")).map(|(list, _)| list);
    let texts: Vec<&str> = list.expect("the list was not found").split('"').skip(1).step_by(2).collect();
    assert!(texts.len() > 5 && texts.len().is_multiple_of(3), "the rows were not found: {texts:?}");
    texts.chunks(3).map(|row| format!("| {} | `{}` | {} |", row[0], row[1], row[2])).collect()
}

fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut chars = word.chars();
        let head = chars.next().map(|c| c.to_ascii_uppercase());
        name + &head.into_iter().chain(chars).collect::<String>()
    })
}

#[test]
fn options_and_commands_are_read_from_the_sources() {
    assert_eq!(camel("max_write_bytes"), "maxWriteBytes");
    let config = fs::read_to_string(crate::root().join("diskeyval-core/src/config.rs")).expect("config.rs");
    let options = options(&config);
    assert!(
        options.iter().any(|o| o == "electionTimeoutMs") && options.iter().any(|o| o == "logBytes"),
        "{options:?}"
    );
}
