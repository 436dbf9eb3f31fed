//! What parent and child tell each other, line by line: orders on standard input, tidings on standard
//! output. Lines of the history stand between the tidings as they are.

use std::net::SocketAddr;

use diskeyval_mio::{Config, MemberChange};
use serde::{Deserialize, Serialize};

use super::node::Adapter;

/// The first line that a child is told, as JSON. Keys and certificates travel with it, and so never touch a
/// disk.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    /// What the node is started with.
    pub(super) config: Config,
    /// The how-manieth process of this node it is: from 1.
    pub(super) life: u64,
    /// Whether it is in vain if the node does not come to its seat.
    pub(super) is_expected: bool,
    /// Who drives the node.
    pub(super) adapter: Adapter,
    /// What its clients do.
    pub(super) work: Work,
}

/// What the clients of one node do.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Work {
    /// The numbers of the clients: one thread each.
    pub(super) clients: Vec<u64>,
    /// What chance is drawn from.
    pub(super) seed: u64,
    /// Over how many keys they spread.
    pub(super) keys: u64,
    /// Whether they do nothing but write.
    pub(super) only_writes: bool,
    /// For how long a client waits between two operations, in microseconds: from and to.
    pub(super) pause: (u64, u64),
}

/// What a child is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The clients begin.
    Go,
    /// The clients end; answered by [`Tiding::Stopped`].
    Stop,
    /// Write this value to the key [`MARK`]; answered by [`Tiding::Marked`].
    Mark(String),
    /// Say what was applied; answered by [`Tiding::Applied`].
    Applied,
    /// Change the members; answered by [`Tiding::Changed`].
    Change(MemberChange),
    /// Say for how many elections the node has stood; answered by [`Tiding::Elections`].
    Elections,
    /// The node ends in order, and then the process.
    End,
}

/// The key of marks: writes that every node must report, so that none can be missing before or after.
pub(super) const MARK: &str = "mark";

impl Order {
    pub(super) fn to_line(&self) -> String {
        match self {
            Order::Go => "go".into(),
            Order::Stop => "stop".into(),
            Order::Mark(value) => format!("mark {value}"),
            Order::Applied => "applied".into(),
            Order::Change(change) => format!("change {}", json(change)),
            Order::Elections => "elections".into(),
            Order::End => "end".into(),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Order> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest) {
            ("go", "") => Some(Order::Go),
            ("stop", "") => Some(Order::Stop),
            ("mark", value) if !value.is_empty() => Some(Order::Mark(value.to_owned())),
            ("applied", "") => Some(Order::Applied),
            ("change", change) => serde_json::from_str(change).ok().map(Order::Change),
            ("elections", "") => Some(Order::Elections),
            ("end", "") => Some(Order::End),
            _ => None,
        }
    }
}

/// In one line.
fn json(change: &MemberChange) -> String {
    serde_json::to_string(change).expect("names and addresses are text")
}

/// What a child has to tell, besides the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tiding {
    /// The node will listen there.
    Listening(SocketAddr),
    /// The node is in its seat.
    Ready,
    /// Who leads from now on, and in which term.
    Leader { term: u64, leader: Option<String> },
    /// So many events were left out, because nobody read them in time.
    Lagged(u64),
    /// Whether the mark was written.
    Marked(bool),
    /// The mark with this value stands in a state that came at once, without a change of its own.
    HasMark(String),
    /// The clients have ended.
    Stopped,
    /// Up to which entry the log is applied, and the hash of the state there.
    Applied { index: u64, hash: String },
    /// By which entry the members have changed, or why they have not, as far as is known.
    Changed(Result<u64, String>),
    /// The node was told that it is no member any more.
    Removed,
    /// Another node wanted nothing to do with it.
    TurnedAway,
    /// For how many elections it has stood.
    Elections(u64),
    /// Something went wrong.
    Trouble(String),
}

impl Tiding {
    pub(super) fn to_line(&self) -> String {
        match self {
            Tiding::Listening(address) => format!("listening {address}"),
            Tiding::Ready => "ready".into(),
            Tiding::Leader { term, leader: Some(leader) } => format!("leader {term} {leader}"),
            Tiding::Leader { term, leader: None } => format!("leader {term}"),
            Tiding::Lagged(missed) => format!("lagged {missed}"),
            Tiding::Marked(is_written) => format!("marked {is_written}"),
            Tiding::HasMark(value) => format!("has-mark {value}"),
            Tiding::Stopped => "stopped".into(),
            Tiding::Applied { index, hash } => format!("applied {index} {hash}"),
            Tiding::Changed(Ok(revision)) => format!("changed {revision}"),
            Tiding::Changed(Err(why)) => format!("not-changed {}", one_line(why)),
            Tiding::Removed => "removed".into(),
            Tiding::TurnedAway => "turned-away".into(),
            Tiding::Elections(count) => format!("elections {count}"),
            Tiding::Trouble(why) => format!("trouble {}", one_line(why)),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Tiding> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "listening" => Tiding::Listening(rest.parse().ok()?),
            "ready" => Tiding::Ready,
            "leader" => match rest.split_once(' ') {
                Some((term, leader)) => {
                    Tiding::Leader { term: term.parse().ok()?, leader: Some(leader.to_owned()) }
                }
                None => Tiding::Leader { term: rest.parse().ok()?, leader: None },
            },
            "lagged" => Tiding::Lagged(rest.parse().ok()?),
            "marked" => Tiding::Marked(rest.parse().ok()?),
            "has-mark" => Tiding::HasMark(rest.to_owned()),
            "stopped" => Tiding::Stopped,
            "applied" => {
                let (index, hash) = rest.split_once(' ')?;
                Tiding::Applied { index: index.parse().ok()?, hash: hash.to_owned() }
            }
            "changed" => Tiding::Changed(Ok(rest.parse().ok()?)),
            "not-changed" => Tiding::Changed(Err(rest.to_owned())),
            "removed" => Tiding::Removed,
            "turned-away" => Tiding::TurnedAway,
            "elections" => Tiding::Elections(rest.parse().ok()?),
            "trouble" => Tiding::Trouble(rest.to_owned()),
            _ => return None,
        })
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        let member = "node-4=127.0.0.1:80".parse().expect("a member");
        let orders = [
            Order::Go,
            Order::Stop,
            Order::Mark("m-1".into()),
            Order::Applied,
            Order::Change(MemberChange::AddLearner { member }),
            Order::Elections,
            Order::End,
        ];
        for order in orders {
            assert_eq!(Order::parse(&order.to_line()), Some(order));
        }
        let tidings = [
            Tiding::Listening(([127, 0, 0, 1], 80).into()),
            Tiding::Ready,
            Tiding::Leader { term: 3, leader: Some("node-1".into()) },
            Tiding::Leader { term: 4, leader: None },
            Tiding::Lagged(7),
            Tiding::Marked(true),
            Tiding::HasMark("m-1".into()),
            Tiding::Stopped,
            Tiding::Applied { index: 9, hash: "00ff".into() },
            Tiding::Changed(Ok(12)),
            Tiding::Changed(Err("not yet".into())),
            Tiding::Removed,
            Tiding::TurnedAway,
            Tiding::Elections(0),
            Tiding::Trouble("it broke".into()),
        ];
        for tiding in tidings {
            assert_eq!(Tiding::parse(&tiding.to_line()), Some(tiding));
        }
        assert_eq!(Order::parse("mark "), None);
        assert_eq!(Tiding::parse("applied 9"), None);
        assert_eq!(Tiding::parse(""), None);
    }
}
