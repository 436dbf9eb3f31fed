//! What is public in the sources of a product.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{METHODS, Product};

/// What one product alone has, of this name: which product, the method, and why. The guide has the same table.
pub const ALONE: &[(&str, &str, &str)] = &[
    (
        "mio",
        "Node::on",
        "it has a thread on which functions are called; an async program spawns a task that reads events",
    ),
    ("mio", "Node::off", "as `Node::on`"),
    ("mio", "Pending::on_complete", "as `Node::on`; an async program spawns a task that awaits"),
    ("mio", "Pending::wait", "an async program awaits, and a `Pending` is a future in both"),
    ("smol", "Events::next", "the blocking one is an iterator, which has it from there"),
    (
        "mio",
        "Driver::turn",
        "a loop of the program's takes turns; the async driver is a future, which is polled",
    ),
    ("mio", "Driver::turn_within", "as `Driver::turn`"),
    ("mio", "Driver::timeout", "as `Driver::turn`"),
];

/// What a product has to have, and nothing else.
pub(super) fn wanted(product: &str) -> BTreeSet<String> {
    let has = |method: &str| {
        let mut alone = ALONE.iter().filter(|(_, alone, _)| *alone == method);
        alone.next().is_none_or(|(who, _, _)| *who == product)
    };
    let all = METHODS.iter().copied().chain(ALONE.iter().map(|(_, method, _)| *method));
    all.filter(|method| has(method)).map(str::to_owned).collect()
}

/// The public methods in the sources of a product, as `Type::method`.
pub(super) fn found(product: &dyn Product) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in product.sources() {
        walk(&path, &mut found);
    }
    found
}

fn walk(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        // Programs offer nothing to others; nor does what is typed to one, which is a module for fuzzers.
        if path.ends_with("bin") || path.ends_with("command") {
            return;
        }
        for entry in fs::read_dir(path).expect("a folder of sources") {
            walk(&entry.expect("an entry").path(), found);
        }
    } else if path.extension().is_some_and(|ending| ending == "rs") {
        methods(&fs::read_to_string(path).expect("a source"), found);
    }
}

/// Sources are laid out by rustfmt: a block begins and ends at the edge, and what is in it stands four spaces in.
fn methods(source: &str, found: &mut BTreeSet<String>) {
    let mut of = None;
    for line in source.lines() {
        if let Some(head) = line.strip_prefix("impl") {
            of = type_of(head);
        } else if line.starts_with('}') {
            of = None;
        } else if let Some((of, method)) = of.as_ref().zip(line.strip_prefix("    pub ")) {
            let words = ["const ", "async "]
                .iter()
                .fold(method, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
            if let Some(rest) = words.strip_prefix("fn ") {
                found.insert(format!("{of}::{}", name(rest)));
            }
        }
    }
}

/// What `impl…` is about; none of a trait.
fn type_of(head: &str) -> Option<String> {
    let mut depth = 0usize;
    let begin = head.find(|c| {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => return depth == 0 && c != ' ',
        }
        false
    })?;
    let head = &head[begin..];
    (!head.contains(" for ")).then(|| name(head).to_owned())
}

fn name(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_methods_are_found_with_their_types() {
        let source = "impl<T: Clone> Pending<T> {\n    pub fn wait(self) {\n        pub fn no() {}\n    }\n    pub(crate) fn no() {}\n}\n\
            impl Node {\n    pub async fn set(&self) {}\n    pub const fn id() {}\n}\nimpl<T> Future for Pending<T> {\n    pub fn no() {}\n}\n\
            impl<'n, T> Typed<'n, T> {\n    fn no() {}\n    pub fn get<T>(&self) {}\n}\npub fn no() {}\n";
        let mut found = BTreeSet::new();
        methods(source, &mut found);
        assert!(found.iter().eq(["Node::id", "Node::set", "Pending::wait", "Typed::get"]), "{found:?}");
    }

    #[test]
    fn what_one_alone_has_the_other_need_not_have() {
        let (mio, smol) = (wanted("mio"), wanted("smol"));
        assert!(mio.contains("Node::on") && !smol.contains("Node::on"));
        assert!(smol.contains("Events::next") && !mio.contains("Events::next"));
        assert!(mio.contains("Node::set") && smol.contains("Node::set"));
    }
}
