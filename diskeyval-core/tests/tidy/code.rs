//! What of a source is code, and what of that counts: the words in it, the modules that it names, its length.

use std::collections::BTreeSet;

use crate::{ABSENT, ALL_MAY_NAME};

/// Modules that a file declares for tests only, as paths without `.rs`.
pub(crate) fn test_modules(path: &str, text: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => stem,
    };
    let bare = blank(text);
    let lines: Vec<&str> = bare.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| is_test_attribute(pair[0]))
        .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'))
        .map(|module| format!("{folder}/{module}"))
        .collect()
}

fn is_test_attribute(line: &str) -> bool {
    line.starts_with("#[cfg(test)]")
        || line.starts_with("#[cfg(all(test")
        || line.starts_with("#[cfg(all(doctest")
}

/// Code alone, in the same number of lines: comments and the insides of texts are blank, and in place of every
/// item behind `#[cfg(test)]` there are lines of [`GONE`].
pub(crate) fn code(text: &str) -> String {
    let code: Vec<char> = blank(text).chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < code.len() {
        let rest: String = code[at..code.len().min(at + 24)].iter().collect();
        if !is_test_attribute(&rest) {
            out.push(code[at]);
            at += 1;
            continue;
        }
        // Up to the end of the item: a semicolon outside of all braces, or the brace that closes the first.
        let mut depth = 0usize;
        while let Some(c) = code.get(at) {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' if depth == 1 => break,
                '}' | ')' | ']' => depth = depth.saturating_sub(1),
                ';' if depth == 0 => break,
                '\n' => out.extend([GONE, '\n']),
                _ => {}
            }
            at += 1;
        }
        out.push(GONE);
        at += 1;
    }
    out
}

/// What stands in the place of tests.
const GONE: char = '\0';

/// The same number of lines, with comments and the insides of texts blank.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let keep = |c: char| if c == '\n' { '\n' } else { ' ' };
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        let end = match (chars[at], next) {
            ('/', Some('/')) => (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len()),
            ('/', Some('*')) => {
                let mut depth = 0;
                let mut i = at;
                loop {
                    match (chars.get(i), chars.get(i + 1)) {
                        (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
                        (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
                        (Some(_), _) => i += 1,
                        (None, _) => break,
                    }
                    if depth == 0 {
                        break;
                    }
                }
                i
            }
            ('"', _) => end_of_text(&chars, at),
            ('r', Some('"' | '#'))
                if !chars.get(at.wrapping_sub(1)).is_some_and(|c| is_word(*c) && *c != 'b') =>
            {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                if chars.get(at + 1 + hashes) == Some(&'"') {
                    let close: Vec<char> =
                        std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                    let from = at + 2 + hashes;
                    (from..chars.len())
                        .find(|i| chars[*i..].starts_with(&close))
                        .map_or(chars.len(), |i| i + close.len())
                } else {
                    at
                }
            }
            // A character, not a lifetime.
            ('\'', Some('\\')) => {
                (at + 3..chars.len()).find(|i| chars[*i] == '\'').map_or(chars.len(), |i| i + 1)
            }
            ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| keep(*c)));
            at = end;
        }
    }
    out
}

fn end_of_text(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Which of the words stand in the code, and in which line. A word is found whole only; what begins or ends with
/// another character is found wherever it stands.
pub(crate) fn found<'w>(code: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let mut hits = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in words {
            let whole = |at: usize| {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                let apart = |inner: Option<char>, outer: Option<char>| {
                    !(inner.is_some_and(is_word) && outer.is_some_and(is_word))
                };
                apart(word.chars().next(), before) && apart(word.chars().next_back(), after)
            };
            if line.match_indices(word).any(|(at, _)| whole(at)) {
                hits.push((number + 1, *word));
            }
        }
    }
    hits
}

/// Modules of the crate that the code names and may not; its own it always may.
pub(crate) fn strangers(code: &str, may_name: &[&str], part: &str) -> BTreeSet<String> {
    let own = part.trim_end_matches('/').trim_end_matches(".rs");
    let name = |rest: &str| rest.chars().take_while(|c| is_word(*c)).collect::<String>();
    code.match_indices("crate::")
        // A list in braces would hide its names from this check.
        .map(|(at, found)| name(&code[at + found.len()..]))
        .map(|name| if name.is_empty() { "{…}".to_owned() } else { name })
        .filter(|name| name != own && !may_name.contains(&name.as_str()))
        .filter(|name| !ALL_MAY_NAME.contains(&name.as_str()))
        .filter(|name| name.starts_with(|c: char| c.is_lowercase() || c == '{'))
        .collect()
}

/// How many lines there are that are not part of a test.
pub(crate) fn length(code: &str) -> usize {
    code.trim_end().lines().filter(|line| !line.contains(GONE)).count()
}

#[test]
fn comments_texts_and_tests_are_not_code() {
    let text = "a(); // std\n/* std /* std */ std */ b(\"std \\\" std\", r#\"std \" std\"#, '\"', 'x');\nfn f<'std_>() {}\n";
    let code = code(text);
    assert!(found(&code, &["std"]).is_empty(), "{code}");
    assert!(code.contains("a();") && code.contains("b(") && code.contains("fn f<'std_>() {}"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn an_item_for_tests_ends_where_it_ends() {
    let text = "#[cfg(test)]\nextern crate std;\nfn kept() {}\n#[cfg(test)]\nmod tests {\n    fn std() { if x { } }\n}\nuse std::x;\n";
    assert_eq!(found(&code(text), &["std"]), [(8, "std")]);
    assert!(code(text).contains("fn kept() {}"));
}

#[test]
fn modules_for_tests_are_found_where_they_are_declared() {
    let text = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(all(test, feature = \"x\"))]\nmod c;\n";
    assert_eq!(test_modules("p/src/lib.rs", text), ["p/src/b", "p/src/c"]);
    assert_eq!(test_modules("p/src/tls.rs", text), ["p/src/tls/b", "p/src/tls/c"]);
}

#[test]
fn a_word_is_found_whole_and_other_code_anywhere() {
    assert_eq!(found("use std::fmt;", &["std"]), [(1, "std")]);
    assert!(found("my_std stdx", &["std"]).is_empty());
    assert_eq!(found("ok\nx.unwrap()?;", &[".unwrap()"]), [(2, ".unwrap()")]);
    assert!(found("x.unwrap_or(y)", &[".unwrap()"]).is_empty());
    for rule in ABSENT {
        for word in rule.words {
            assert_eq!(found(&format!("a {word} b"), rule.words).first().map(|hit| hit.0), Some(1), "{word}");
        }
    }
}

#[test]
fn a_module_that_may_not_be_named_is_found() {
    let code = "use crate::mesh::Frame;\nuse crate::raft::Raft;\nlet x: crate::Limits = y;\n";
    assert_eq!(strangers(code, &["id"], "raft/"), BTreeSet::from(["mesh".to_owned()]));
    assert!(strangers(code, &["mesh"], "raft/").is_empty());
    assert!(strangers("use crate::mutants::is;", &[], "raft/").is_empty(), "what all may name");
    assert_eq!(strangers("use crate::{mesh, kv};", &["mesh"], "raft/").len(), 1, "a list hides its names");
}

#[test]
fn lines_of_tests_are_not_counted() {
    assert_eq!(length(&code("a\nb\n#[cfg(test)]\nmod tests {\n    c\n}\n")), 2);
}
