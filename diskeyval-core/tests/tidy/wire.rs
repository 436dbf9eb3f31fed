//! That no message names its sender: the receiver knows it from the certificate, and a name in a message could be
//! believed in its stead.

use std::collections::BTreeSet;

use super::code::is_word;

/// All names on the wire, and what each is for. Whatever is added to a message is judged here.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("Address.host", "where a member is"),
    ("Goodbye.reason", "for people"),
    ("Hello.address", "where the sender is: a hint for dialling"),
    ("Hello.cluster_name", "which cluster is meant"),
    ("Hello.incarnation", "which life of the node that the certificate names"),
    ("Hello.node", "compared with the certificate before anything else, and then forgotten"),
    ("Lagging", "why leadership was not handed over, or the members not changed: who lags"),
    ("Member.node", "a member, in what is asked or told of the members"),
    ("Member.address", "where it is"),
    ("Promote.node", "whom to promote"),
    ("Remove.node", "whom to remove"),
    ("Seatless", "the same: who has no seat"),
    ("Stranger", "the same: who is no member"),
    ("Told", "the same: who was told to stand for election"),
    ("Transfer.to", "who is to lead"),
    ("Unchanged.detail", "for people"),
    ("UnderWay", "the same: to whom it is being handed over already"),
    ("Unlinked", "the same: to whom there is no link"),
    ("UpdateAddress.node", "whose address it is"),
    ("UpdateAddress.address", "where it is"),
];

/// Types that can say who somebody is.
const WHO: &[&str] =
    &["NodeId", "Incarnation", "Identity", "String", "Address", "ConnId", "Seat", "Box", "str"];

/// Words that a message has no use for.
const SENDERS: &[&str] = &[
    "from",
    "sender",
    "source",
    "origin",
    "me",
    "who",
    "whom",
    "author",
    "node_id",
    "peer",
    "candidate",
    "leader",
    "voter",
];

/// Follows the definitions from `Head` on, in sources without comments. Gives the fields that can say who somebody is, as `Type.field`, `Variant.field` or `Variant`, and all that bear the name of a sender.
pub(crate) fn names_on_the_wire<'s>(
    sources: impl Iterator<Item = &'s str> + Clone,
) -> (BTreeSet<String>, Vec<String>) {
    let (mut names, mut senders) = (BTreeSet::new(), Vec::new());
    let (mut open, mut known) = (vec!["Head".to_owned()], BTreeSet::new());
    while let Some(of) = open.pop() {
        if !known.insert(of.clone()) || of == "NodeId" {
            continue;
        }
        let Some(body) = definition(&of, sources.clone()) else { continue };
        let mut owner = of.clone();
        let mut field = String::new();
        let words = tokens(&body);
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).map(String::as_str);
            match next {
                // A variant of an enum.
                Some("{" | "(" | ",")
                    if word.starts_with(char::is_uppercase)
                        && (at == 0 || matches!(words[at - 1].as_str(), "," | "}" | "]")) =>
                {
                    (owner, field) = (word.clone(), String::new());
                    continue;
                }
                Some(":") => {
                    field = word.clone();
                    if SENDERS.contains(&word.as_str()) {
                        senders.push(format!("{owner}.{field}"));
                    }
                    continue;
                }
                _ => {}
            }
            if word.starts_with(char::is_uppercase) {
                open.push(word.clone());
            }
            if WHO.contains(&word.as_str()) {
                names.insert([&owner, ".", &field].concat().trim_end_matches('.').to_owned());
            }
        }
    }
    assert!(known.len() > 20, "the definitions were not found: {known:?}");
    (names, senders)
}

/// What stands between the braces of a type.
fn definition<'s>(name: &str, mut sources: impl Iterator<Item = &'s str>) -> Option<String> {
    sources.find_map(|source| {
        let heads = [format!("enum {name} {{"), format!("struct {name} {{"), format!("struct {name}(")];
        let (at, head) = heads.iter().find_map(|head| Some((source.find(head.as_str())?, head)))?;
        let body = &source[at + head.len()..];
        let mut depth = 1;
        let end = body.find(|c: char| {
            match c {
                '{' | '(' => depth += 1,
                '}' | ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        Some(body[..end?].to_owned())
    })
}

/// Words, and the signs between them; attributes and visibility are left out.
fn tokens(body: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for c in body.chars() {
        match found.last_mut() {
            Some(last) if is_word(c) && last.chars().all(is_word) && !last.is_empty() => last.push(c),
            _ if c.is_whitespace() => found.push(String::new()),
            _ => found.push(c.to_string()),
        }
    }
    found.retain(|word| !word.is_empty() && word != "pub");
    // `(crate)` and `#[…]`.
    let mut kept: Vec<String> = Vec::new();
    let mut words = found.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "#" {
            let mut depth = 0;
            for inner in words.by_ref() {
                match inner.as_str() {
                    "[" => depth += 1,
                    "]" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        } else if word == "(" && words.peek().is_some_and(|next| next == "crate" || next == "super") {
            words.by_ref().take_while(|inner| inner != ")").for_each(drop);
        } else {
            kept.push(word);
        }
    }
    kept
}

#[test]
fn a_name_that_came_in_is_found() {
    let filler: String = (0..30).map(|n| format!("struct T{n} {{ a: T{} }} ", n + 1)).collect();
    let find = |vote: &str| {
        let source = format!("enum Head {{ Vote {{ {vote} }}, Other(T0), }} struct NodeId(String); {filler}");
        names_on_the_wire([source.as_str()].into_iter())
    };
    assert_eq!(find("term: Term"), (BTreeSet::new(), Vec::new()));
    assert_eq!(find("pub(crate) voter: u64").1, ["Vote.voter"]);
    let named = find("term: Term, #[serde(default)] by: Option<NodeId>").0;
    assert_eq!(named, BTreeSet::from(["Vote.by".to_owned()]));
}
