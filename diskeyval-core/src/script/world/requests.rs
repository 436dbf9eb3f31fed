//! What nodes are asked, and what they are shown to know.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use core::time::Duration;

use super::World;
use crate::engine::Engine;
use crate::id::{NodeId, Ticket};
use crate::io::{Input, Read, Request};
use crate::kv::{Command, Expect};
use crate::members::MemberChange;
use crate::script::print;
use crate::status::MemberStatus;

/// How long a request of a script may take.
const BUDGET: Duration = Duration::from_secs(2);

pub(crate) fn set(key: &str, value: &str) -> Command {
    Command::Set { key: key.to_string().into(), value: value.to_string().into() }
}

pub(crate) fn delete(key: &str) -> Command {
    Command::Delete { key: key.to_string().into() }
}

pub(crate) fn compare_and_set(key: &str, old: &str, new: &str) -> Command {
    let expect = if old == "-" { Expect::Absent } else { Expect::Value(old.to_string().into()) };
    Command::CompareAndSet { key: key.to_string().into(), expect, value: new.to_string().into() }
}

impl World {
    /// Asks a node, and lets it and everybody else do what can be done without time.
    pub(crate) fn ask(&mut self, name: &str, request: Request) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.node(name).inbox.push_back(Input::Ask { ticket, request, budget: BUDGET });
        self.run();
        ticket
    }

    pub(crate) fn write(&mut self, name: &str, command: Command) {
        self.ask(name, Request::Write(command));
    }

    pub(crate) fn get(&mut self, name: &str, key: &str, read: Read) {
        self.ask(name, Request::Get { key: key.to_string().into(), read });
    }

    pub(crate) fn snapshot(&mut self, name: &str) {
        self.ask(name, Request::Snapshot);
    }

    pub(crate) fn transfer(&mut self, name: &str, to: &str) {
        let to = (to != "-").then(|| NodeId::new(to).expect("a good name"));
        self.ask(name, Request::TransferLeadership { to });
    }

    pub(crate) fn change(&mut self, name: &str, what: &[&str]) {
        let member = |text: &&str| text.parse().expect("a member");
        let node = |text: &&str| NodeId::new(text).expect("a good name");
        let change = match what {
            ["reconfigure", members @ ..] => {
                MemberChange::Reconfigure { members: members.iter().map(member).collect() }
            }
            ["add", new] => MemberChange::AddLearner { member: member(new) },
            ["promote", who] => MemberChange::Promote { node: node(who) },
            ["remove", who] => MemberChange::Remove { node: node(who) },
            ["address", who, at] => {
                MemberChange::UpdateAddress { node: node(who), address: at.parse().expect("an address") }
            }
            other => panic!("no such change: {other:?}"),
        };
        self.ask(name, Request::ChangeMembers { change });
    }

    pub(crate) fn recover(&mut self, name: &str) {
        self.ask(name, Request::Recover);
    }

    pub(crate) fn renew(&mut self, name: &str) {
        self.ask(name, Request::RenewLinks);
    }

    pub(crate) fn stop(&mut self, name: &str) {
        self.ask(name, Request::Stop);
    }

    pub(crate) fn listen(&mut self, name: &str) {
        self.node(name).inbox.push_back(Input::Listen { changes: true });
    }

    pub(crate) fn status(&mut self, name: &str) {
        let line = match &self.node(name).engine {
            Some(engine) => print::status(&engine.status()),
            None => format!("{name} is down"),
        };
        self.say(line);
    }

    pub(crate) fn membership(&mut self, name: &str) {
        let status = self.node(name).engine.as_ref().expect("a node that runs").status();
        let member = |member: &MemberStatus| {
            let seat = if member.seat.is_some() { "" } else { ", empty" };
            format!("{}={} ({}{seat})", member.node_id, member.address, member.part)
        };
        let members: Vec<String> = status.members.iter().map(member).collect();
        self.say(format!("{name} knows {}", members.join(" ")));
    }

    pub(crate) fn standing(&mut self, name: &str) {
        let line = match &self.node(name).engine {
            Some(engine) => format!("{name} {:?}", engine.status().standing),
            None => format!("{name} is down"),
        };
        self.say(line);
    }

    pub(crate) fn explain(&mut self, nodes: &[&str]) {
        let mut statuses = Vec::new();
        self.each(nodes, |world, name| statuses.extend(world.node(name).engine.as_ref().map(Engine::status)));
        self.say(crate::explain::explain(&statuses).to_string());
    }
}
