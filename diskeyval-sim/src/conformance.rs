//! One suite for all adapters: whoever drives the engine with real sockets, real files and a real clock can have it
//! tested here whether everything is done that [`diskeyval_core::Effect`] asks for, and told that [`Input`](diskeyval_core::Input) has words for.
//!
//! An adapter needs no hooks for it. It implements [`Adapter`] and [`Node`], which is a page, and calls [`main`] from a
//! test without a harness:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! # use std::time::Duration;
//! # use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
//! # use diskeyval_sim::conformance::{self, Adapter, Node};
//! struct Mine;
//! # struct MyNode;
//!
//! impl Adapter for Mine {
//!     type Node = MyNode;
//! #   fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> { Err("no CA".into()) }
//! #   fn start(&self, config: Config) -> Result<MyNode, String> { Err("not yet".into()) }
//!     // …
//! }
//! # impl Node for MyNode {
//! #   fn ask(&self, request: Request, budget: Duration) -> Answer { Answer::Stopped }
//! #   fn stop(&self) {}
//! # }
//!
//! fn main() -> std::process::ExitCode {
//!     conformance::main(&Mine)
//! }
//! ```
//!
//! ```text
//!  this process                                                 the same program, once for each node
//!  cases ──▶ cluster.rs ──▶ remote.rs ══ pipes, words.rs ══▶ served.rs ──▶ Adapter::start, Node::ask, Node::stop
//!                └────────▶ proxy.rs  ◀════════ sockets ════════┘
//! ```
//!
//! Each node is a process, so that it can be killed as nodes are killed: without a word. Between any two nodes there is
//! a proxy that can cut, stall and tear what they say.
//!
//! This part of the crate simulates nothing: it has time, threads, sockets and files. Its cases are listed in the guide, and
//! none is left out for anybody.

pub mod api;
mod cases;
pub mod certificates;
mod cluster;
mod leftovers;
mod load;
mod proxy;
mod remote;
mod runner;
mod scratch;
mod served;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};

/// What can start nodes.
pub trait Adapter: Sync {
    /// A node of it.
    type Node: Node;

    /// Certificates of these nodes, in their order, by an authority that is made for this call and forgotten with it.
    ///
    /// # Errors
    /// Why there are none.
    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String>;

    /// Starts a node: from now on it listens where `config` says. Nobody else is waited for.
    ///
    /// # Errors
    /// Why it cannot run: the address is taken, the directory is another's, and so on.
    fn start(&self, config: Config) -> Result<Self::Node, String>;

    /// Whether a thread of this name belongs to a runtime, for as long as the process lives, and to no node: a pool that
    /// grows and never shrinks, say. All others have to be gone when their node is.
    fn is_of_the_process(&self, thread: &str) -> bool {
        let _ = thread;
        false
    }
}

/// A node that runs. It is asked from many threads at once.
pub trait Node: Send + Sync {
    /// Hands a request to the engine, and waits for its answer, however long that takes. One that the node does not
    /// get to any more is answered as [`Refusal::Stopped`](diskeyval_core::Refusal::Stopped), one whose answer is
    /// lost as [`Doubt::Stopped`](diskeyval_core::Doubt::Stopped), and what cannot be refused (a status, a view) by [`Answer::Stopped`].
    ///
    /// An adapter that is asynchronous blocks on it here. [`Request::Stop`] is not asked for: that is [`stop`](Node::stop).
    fn ask(&self, request: Request, budget: Duration) -> Answer;

    /// Ends the node in order, and waits until nothing of it is left: its address and its directory are free, its
    /// connections closed, its threads over. Called once.
    fn stop(&self);
}

/// Runs all cases, or those whose names hold what the command line says. It understands `--list`, `--exact`,
/// `--test-threads` and passes over what else the harness of Rust would understand.
///
/// It has to be called first thing in the program: the program is started anew for each node.
pub fn main(adapter: &impl Adapter) -> ExitCode {
    match served::part() {
        Some(part) => served::serve(adapter, &part),
        None => {
            let certificates = |nodes: &[NodeId]| adapter.certificates(nodes);
            let ready = |case: &'static cases::Case| {
                let certificates = &certificates;
                runner::Ready { name: case.name, run: Box::new(move || (case.run)(certificates)) }
            };
            runner::run(&cases::CASES.iter().map(ready).collect::<Vec<_>>(), usize::MAX).into()
        }
    }
}

/// How long anything may take on a machine that is very busy. No case waits for it to pass.
const AGES: Duration = Duration::from_secs(300);
