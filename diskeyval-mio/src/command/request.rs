//! What can be typed to a node: one command a line.
//!
//! Lines are bytes. Keys and expected values are words: they hold no space and no tab. The value of `set` and
//! of `cas` is the rest of the line behind one space or tab, as it is; it may be empty, and cannot hold a line
//! break. A carriage return at the end of a line belongs to the line break.

use crate::{Member, MemberChange, NodeId};

/// A command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // [`COMMANDS`] says what each does.
pub enum Request {
    Set {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Get {
        key: Vec<u8>,
    },
    GetLocal {
        key: Vec<u8>,
    },
    Delete {
        key: Vec<u8>,
    },
    Cas {
        key: Vec<u8>,
        /// `None` is for absence.
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    },
    State,
    Peers,
    Members,
    Leader,
    Status,
    Metrics,
    Snapshot,
    Transfer {
        /// `None` is for whoever is most advanced.
        to: Option<NodeId>,
    },
    Change(MemberChange),
    /// That data may be lost was accepted.
    Recover,
    Reload,
    Help,
    Quit,
}

/// Each command with what it takes, what it does, and what it answers.
pub const COMMANDS: [[&str; 3]; 22] = [
    ["set K V", "gives K the value V (the rest of the line)", "ok REVISION"],
    ["get K", "reads K, linearizable", "value V | absent"],
    ["getlocal K", "reads K as this node knows it, which may be behind", "value V | absent"],
    ["delete K", "removes K", "ok REVISION found | ok REVISION absent"],
    ["cas K OLD NEW", "sets K to NEW if it is OLD (-: absent)", "ok REVISION | mismatch REVISION|absent"],
    ["state", "all keys and values as this node knows them", "JSON"],
    ["peers", "the other nodes, as it was told at its start", "JSON"],
    ["members", "the members as this node knows them", "JSON"],
    ["leader", "the leader, if one is known", "JSON"],
    ["status", "what this node knows, and what that comes to", "JSON"],
    ["metrics", "the counters of this node", "JSON"],
    ["snapshot", "writes a snapshot of the state now", "ok REVISION"],
    ["transfer ID", "has ID lead; without ID, whoever is most advanced", "ok"],
    ["add ID[=HOST:PORT]", "ID is brought up to date, and does not vote", "ok REVISION"],
    ["promote ID", "ID votes, once it has caught up", "ok REVISION"],
    ["remove ID", "ID is no member any more, and ends", "ok REVISION"],
    ["reconfigure ID[=HOST:PORT]...", "these vote, and no others", "ok REVISION"],
    ["address ID=HOST:PORT", "ID is dialled there", "ok REVISION"],
    ["recover --accept-data-loss", "goes on alone: the majority is lost for good", "ok REVISION"],
    ["reload", "looks at the files of the certificates now", "ok"],
    ["help", "this", ""],
    ["quit", "ends the node in order", "bye"],
];

impl Request {
    /// Understands a line. A blank line is nothing.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(line: &[u8]) -> Result<Option<Request>, String> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, rest) = word(line);
        let request = match name {
            b"" => return Ok(None),
            b"set" => {
                let (key, value) = word(rest.unwrap_or_default());
                match value {
                    Some(value) if !key.is_empty() => Request::Set { key: key.into(), value: value.into() },
                    _ => return Err(takes("set K V")),
                }
            }
            b"get" => Request::Get { key: one(rest, "get K")? },
            b"getlocal" => Request::GetLocal { key: one(rest, "getlocal K")? },
            b"delete" => Request::Delete { key: one(rest, "delete K")? },
            b"cas" => {
                let (key, rest) = word(rest.unwrap_or_default());
                let (old, new) = word(rest.unwrap_or_default());
                let Some(new) = new.filter(|_| !old.is_empty()) else {
                    return Err(takes("cas K OLD NEW"));
                };
                let old = (old != b"-").then(|| old.into());
                Request::Cas { key: key.into(), old, new: new.into() }
            }
            b"state" => none(Request::State, rest, "state")?,
            b"peers" => none(Request::Peers, rest, "peers")?,
            b"members" => none(Request::Members, rest, "members")?,
            b"leader" => none(Request::Leader, rest, "leader")?,
            b"status" => none(Request::Status, rest, "status")?,
            b"metrics" => none(Request::Metrics, rest, "metrics")?,
            b"snapshot" => none(Request::Snapshot, rest, "snapshot")?,
            b"transfer" => Request::Transfer { to: node(rest)? },
            b"add" | b"promote" | b"remove" | b"reconfigure" | b"address" => {
                Request::Change(change(name, rest.unwrap_or_default())?)
            }
            b"recover" if one(rest, "").is_ok_and(|word| word == b"--accept-data-loss") => Request::Recover,
            b"recover" => {
                let why = "what a lost majority has acknowledged and this node does not hold is gone then";
                return Err(format!("{}: {why}", takes("recover --accept-data-loss")));
            }
            b"reload" => none(Request::Reload, rest, "reload")?,
            b"help" => none(Request::Help, rest, "help")?,
            b"quit" => none(Request::Quit, rest, "quit")?,
            _ => {
                let shown: String = String::from_utf8_lossy(name).chars().take(40).collect();
                return Err(format!("{shown:?} is no command: `help` lists them"));
            }
        };
        Ok(Some(request))
    }
}

/// The first word, and what stands behind the one space or tab that ends it, if one does.
fn word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let line = skip_blanks(line);
    match line.iter().position(is_blank) {
        Some(end) => (&line[..end], Some(&line[end + 1..])),
        None => (line, None),
    }
}

/// The one word that there is.
fn one(rest: Option<&[u8]>, form: &str) -> Result<Vec<u8>, String> {
    let (key, rest) = word(rest.unwrap_or_default());
    let more = rest.is_some_and(|rest| !skip_blanks(rest).is_empty());
    if key.is_empty() || more { Err(takes(form)) } else { Ok(key.into()) }
}

/// The one name that there is, or none.
fn node(rest: Option<&[u8]>) -> Result<Option<NodeId>, String> {
    if skip_blanks(rest.unwrap_or_default()).is_empty() {
        return Ok(None);
    }
    let id = one(rest, "transfer ID")?;
    NodeId::new(&String::from_utf8_lossy(&id)).map(Some).map_err(|error| error.to_string())
}

/// A change of the members, whose name is one of these.
fn change(name: &[u8], rest: &[u8]) -> Result<MemberChange, String> {
    let rest = String::from_utf8_lossy(rest);
    let named: Vec<Member> = rest
        .split_ascii_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|error: crate::ConfigError| error.to_string())?;
    match (name, &named[..]) {
        (b"add", [member]) => Ok(MemberChange::AddLearner { member: member.clone() }),
        (b"add", _) => Err(takes("add ID[=HOST:PORT]")),
        (b"promote", [Member { node, address: None }]) => Ok(MemberChange::Promote { node: node.clone() }),
        (b"promote", _) => Err(takes("promote ID")),
        (b"remove", [Member { node, address: None }]) => Ok(MemberChange::Remove { node: node.clone() }),
        (b"remove", _) => Err(takes("remove ID")),
        (b"address", [Member { node, address: Some(address) }]) => {
            Ok(MemberChange::UpdateAddress { node: node.clone(), address: address.clone() })
        }
        (b"address", _) => Err(takes("address ID=HOST:PORT")),
        (_, []) => {
            Err(format!("{}, and names every voter that is to be", takes("reconfigure ID[=HOST:PORT]...")))
        }
        (_, _) => Ok(MemberChange::Reconfigure { members: named }),
    }
}

fn none(request: Request, rest: Option<&[u8]>, form: &str) -> Result<Request, String> {
    if skip_blanks(rest.unwrap_or_default()).is_empty() { Ok(request) } else { Err(takes(form)) }
}

fn takes(form: &str) -> String {
    let key = if form.contains('K') { ", and K holds no space" } else { "" };
    format!("the form of this command is `{form}`{key}")
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|byte| is_blank(byte)).count()..]
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Request {
        Request::parse(line.as_bytes()).expect(line).expect(line)
    }

    fn set(key: &str, value: &str) -> Request {
        Request::Set { key: key.into(), value: value.into() }
    }

    fn cas(key: &str, old: Option<&str>, new: &str) -> Request {
        Request::Cas { key: key.into(), old: old.map(Into::into), new: new.into() }
    }

    #[test]
    fn a_value_is_the_rest_of_the_line() {
        assert_eq!(parsed("set k v"), set("k", "v"));
        assert_eq!(parsed("  set\tk  two  words \r"), set("k", " two  words "));
        assert_eq!(parsed("set k "), set("k", ""));
        assert_eq!(parsed("cas k - a b"), cas("k", None, "a b"));
        assert_eq!(parsed("cas k a -"), cas("k", Some("a"), "-"));
        assert_eq!(parsed("cas k a "), cas("k", Some("a"), ""));
    }

    #[test]
    fn bytes_that_are_no_text_are_taken() {
        let request = Request::parse(b"get \xff\0").expect("a command");
        assert_eq!(request, Some(Request::Get { key: vec![0xff, 0] }));
    }

    #[test]
    fn a_successor_has_a_name_or_none() {
        let id = NodeId::new("n-2").expect("a name");
        assert_eq!(parsed("transfer n-2 "), Request::Transfer { to: Some(id) });
        assert_eq!(parsed("transfer "), Request::Transfer { to: None });
        let error = Request::parse(b"transfer client").expect_err("reserved");
        assert!(error.contains("\"client\" is no node id"), "{error}");
    }

    #[test]
    fn changes_of_members_name_them() {
        let member = |text: &str| text.parse::<Member>().expect(text);
        let n4 = NodeId::new("n4").expect("a name");
        let changes = [
            ("add n4=[::1]:8054", MemberChange::AddLearner { member: member("n4=[::1]:8054") }),
            ("add n4", MemberChange::AddLearner { member: member("n4") }),
            ("promote n4", MemberChange::Promote { node: n4.clone() }),
            ("remove n4", MemberChange::Remove { node: n4 }),
            (
                "reconfigure n1  n4=h:1\t",
                MemberChange::Reconfigure { members: vec![member("n1"), member("n4=h:1")] },
            ),
        ];
        for (line, change) in changes {
            assert_eq!(parsed(line), Request::Change(change), "{line}");
        }
        for (line, said) in [
            ("add n4=host", "there is no port"),
            ("add n 4=host:1", "`add ID[=HOST:PORT]`"),
            ("add", "`add ID[=HOST:PORT]`"),
            ("promote n4=h:1", "`promote ID`"),
            ("promote", "`promote ID`"),
            ("remove n4 n5", "`remove ID`"),
            ("remove client", "reserved"),
            ("reconfigure", "every voter"),
            ("reconfigure n1 \u{e9}", "is no node id"),
            ("address n4", "`address ID=HOST:PORT`"),
        ] {
            let error = Request::parse(line.as_bytes()).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn what_has_the_wrong_form_is_told_the_right_one() {
        for (line, form) in [
            ("set", "set K V"),
            ("set k", "set K V"),
            ("set  ", "set K V"),
            ("get", "get K"),
            ("get a b", "get K"),
            ("getlocal ", "getlocal K"),
            ("delete a b", "delete K"),
            ("cas k", "cas K OLD NEW"),
            ("cas k -", "cas K OLD NEW"),
            ("state all", "state"),
            ("quit now", "quit"),
            ("transfer a b", "transfer ID"),
            ("recover", "recover --accept-data-loss"),
            ("recover now", "recover --accept-data-loss"),
        ] {
            let error = Request::parse(line.as_bytes()).expect_err(line);
            assert!(error.contains(&format!("`{form}`")), "{line}: {error}");
        }
        let error = Request::parse(b"SET k v\x07").expect_err("unknown");
        assert!(error.contains("\"SET\" is no command") && error.contains("`help`"), "{error}");
    }

    #[test]
    fn a_blank_line_is_nothing() {
        for line in ["", " ", "\t\r", "\r"] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn the_list_of_commands_is_that_of_the_parser() {
        for [form, ..] in COMMANDS {
            let form = form.replace("[=HOST:PORT]", "").replace("HOST:PORT", "h:1").replace("...", "");
            assert!(Request::parse(form.as_bytes()).is_ok_and(|request| request.is_some()), "{form}");
        }
    }
}
