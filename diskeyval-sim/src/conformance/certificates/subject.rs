//! The node under test.

use std::net::SocketAddr;
use std::time::Duration;

use diskeyval_core::{Address, Answer, Config, Request};
use serde_json::Value;

use super::cases::Verdict;
use super::mint::{Mint, PEER};
use super::stranger::End;
use super::{Log, log};
use crate::conformance::cluster::{free_address, until};
use crate::conformance::{AGES, Node};

/// What a status says of a member before anything has come of dialling it.
const NOT_YET: &str = "not reached yet";

/// What all cases of a run share.
pub(super) struct World<'a> {
    pub(super) start: &'a (dyn Fn(Config) -> Result<Box<dyn Node>, String> + Sync),
    pub(super) mint: Mint,
    pub(super) log: Log,
}

pub(super) struct Subject {
    name: String,
    pub(super) address: SocketAddr,
    pub(super) node: Box<dyn Node>,
    log: Log,
}

impl Subject {
    /// A node of this name in a cluster of two, whose other member is [`PEER`], at this address.
    pub(super) fn start(world: &World<'_>, name: &str, peer: SocketAddr) -> Subject {
        Subject::start_at(world, name, free_address(), (PEER, peer))
    }

    pub(super) fn start_at(
        world: &World<'_>,
        name: &str,
        address: SocketAddr,
        peer: (&str, SocketAddr),
    ) -> Subject {
        let mut config = Config::new(name).expect("a good name").listen("127.0.0.1", address.port());
        config = config.peer(peer.0, "127.0.0.1", peer.1.port()).expect("a good name");
        config.tls = Some(world.mint.node(name));
        config.advertise = Address::new("127.0.0.1", 1).ok();
        // Nothing here is about speed.
        config.rpc_timeout = Duration::from_secs(60);
        let node = (world.start)(config).unwrap_or_else(|why| panic!("{name} does not start: {why}"));
        Subject { name: name.to_owned(), address, node, log: world.log }
    }

    pub(super) fn stop(self) {
        self.node.stop();
    }

    pub(super) fn status(&self) -> Value {
        match self.node.ask(Request::Status, AGES) {
            Answer::Status(status) => serde_json::to_value(&status).expect("a status has a text"),
            other => panic!("{} tells no status: {other:?}", self.name),
        }
    }

    fn of_member(&self, id: &str) -> Value {
        let status = self.status();
        let found = status["members"].as_array().into_iter().flatten().find(|member| member["nodeId"] == id);
        found.cloned().unwrap_or_default()
    }

    pub(super) fn is_linked(&self, id: &str) -> bool {
        self.of_member(id)["linked"] == true
    }

    pub(super) fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        until(&format!("{}: {what}", self.name), holds);
    }

    /// What comes of dialling [`PEER`], at the first try. If nothing, the status says why.
    pub(super) fn dials(&self, verdict: Verdict) {
        let mut found = Value::Null;
        self.until("something comes of dialling", || {
            found = self.of_member(PEER);
            found["linked"] == true || found["trouble"].as_str().is_some_and(|why| why != NOT_YET)
        });
        match (verdict, found["trouble"].as_str()) {
            (Verdict::Linked, None) => {}
            (Verdict::Refused(words) | Verdict::CutOff(words), Some(why)) if why.contains(words) => {}
            (verdict, Some(why)) => panic!("it is wanted to be {verdict:?}, and the status says: {why}"),
            (verdict, None) => panic!("it is let in, and wanted to be {verdict:?}"),
        }
    }

    /// How a stranger that has dialled was received. It is told by an alert or a goodbye, and the log says why.
    pub(super) fn turned(&self, verdict: Verdict, end: Option<&End>) {
        match (verdict, end) {
            (Verdict::Linked, None) => {}
            (Verdict::Refused(words), Some(End::Goodbye(why))) if why.contains(words) => {}
            (Verdict::Refused(words), Some(End::Alert(_))) | (Verdict::CutOff(words), Some(End::HungUp)) => {
                self.says(words);
            }
            _ => panic!("it is wanted to be {verdict:?}, and its end was {end:?}: {:?}", log::of(&self.name)),
        }
    }

    /// Its log says why it turns somebody away, if it keeps one.
    pub(super) fn says(&self, words: &str) {
        if self.log == Log::Tracing {
            self.until(&format!("{words:?} is said, and not {:?}", log::of(&self.name)), || {
                log::has_said(&self.name, words)
            });
        }
    }
}
