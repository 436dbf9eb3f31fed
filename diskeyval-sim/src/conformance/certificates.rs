//! What certificates nodes take, and from whom: an authority of the suite issues good ones and bad ones, strangers show
//! them to a node, over real sockets, and let themselves be dialled with them.
//!
//! An adapter has it tested by a second test without a harness, next to that of [`conformance::main`](super::main):
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # use std::time::Duration;
//! # use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
//! # use diskeyval_sim::conformance::{Adapter, Node, certificates};
//! # struct Mine;
//! # struct MyNode;
//! # impl Adapter for Mine {
//! #     type Node = MyNode;
//! #     fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> { Err("no CA".into()) }
//! #     fn start(&self, config: Config) -> Result<MyNode, String> { Err("not yet".into()) }
//! # }
//! # impl Node for MyNode {
//! #     fn ask(&self, request: Request, budget: Duration) -> Answer { Answer::Stopped }
//! #     fn stop(&self) {}
//! # }
//! fn main() -> ExitCode {
//!     certificates::main(&Mine, certificates::Log::Tracing)
//! }
//! ```
//!
//! Nodes run in the process of the test. The strangers have sessions of rustls that take anybody, certificates by `rcgen`,
//! by `openssl` and by hand, and know of the protocol what stands in its chapter of the guide. The cases are listed in the guide
//! as well.

mod cases;
mod der;
mod log;
mod meetings;
mod mint;
mod rsa;
mod sessions;
mod stranger;
mod subject;
mod talk;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use self::cases::{Case, Verdict};
use self::mint::{Mint, PEER};
use self::stranger::{Conversation, End, Lair};
use self::subject::{Subject, World};
use self::talk::Hello;
use super::remote::lock;
use super::{Adapter, Node, runner};

/// Where an adapter says why it has turned somebody away in the handshake, of whom the engine never hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// In events of `tracing`, in a field `why`, with the node's name in a field `node`. It has to make sense.
    Tracing,
    /// Nowhere.
    Nowhere,
}

/// A case that is more than one certificate.
struct Meeting {
    name: &'static str,
    /// What it demands, for the guide.
    #[cfg_attr(not(test), expect(dead_code, reason = "the guide is held to it"))]
    demand: &'static str,
    run: fn(&World<'_>),
}

const MEETINGS: &[&[Meeting]] = &[sessions::CASES, meetings::CASES];

/// Runs all cases, or those whose names hold what the command line says, as [`conformance::main`](super::main) does.
pub fn main<A: Adapter>(adapter: &A, log: Log) -> ExitCode
where
    A::Node: 'static,
{
    if log == Log::Tracing {
        self::log::listen();
    }
    let start = |config| adapter.start(config).map(|node| Box::new(node) as Box<dyn Node>);
    let world = World { start: &start, mint: Mint::new(), log };
    let world = &world;
    let single =
        cases::all().map(|case| runner::Ready { name: case.name, run: Box::new(move || judge(world, case)) });
    let meetings = MEETINGS.iter().copied().flatten();
    let meetings = meetings
        .map(|meeting| runner::Ready { name: meeting.name, run: Box::new(move || (meeting.run)(world)) });
    runner::run(&single.chain(meetings).collect::<Vec<_>>(), usize::MAX).into()
}

/// The node dials whoever has the certificate, and then is dialled by it.
fn judge(world: &World<'_>, case: &Case) {
    let credentials = (case.make)(&world.mint);
    // A case may be called what no node can be.
    let own = format!("at-{}", case.name);
    let hello = Hello::of(PEER, [&own, PEER]);
    let ends = Arc::new(Mutex::new(Vec::new()));
    let lair = Lair::new(stranger::receive(stranger::server(&credentials), hello.clone(), ends.clone()));
    let subject = Subject::start(world, &own, lair.address);
    subject.dials(case.dialled);
    if matches!(case.dialled, Verdict::Refused(_)) {
        subject.until("the other end is told", || !lock(&ends).is_empty());
        assert_ne!(lock(&ends)[0], End::HungUp, "whoever is turned away is told so");
    }
    drop(lair);
    subject.until("it is gone", || !subject.is_linked(PEER));
    let mut conversation =
        Conversation::dial(subject.address, Arc::new(stranger::client(Some(&credentials))));
    let end = conversation.meet(&hello, || subject.is_linked(PEER));
    subject.turned(case.dials, end.as_ref());
    drop(conversation);
    subject.stop();
}

#[cfg(test)]
mod tests;
