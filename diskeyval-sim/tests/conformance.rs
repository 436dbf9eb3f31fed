//! The example of the guide passes the suite that every adapter has to pass.

#[path = "../examples/threads/adapter/mod.rs"]
mod adapter;
#[path = "../examples/threads/certs.rs"]
mod certs;

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
use diskeyval_sim::conformance::{self, Adapter, Node};

pub(crate) struct Threads;

impl Adapter for Threads {
    type Node = adapter::Node;

    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> {
        certs::of(nodes).map_err(|error| error.to_string())
    }

    fn start(&self, config: Config) -> Result<adapter::Node, String> {
        let listener =
            TcpListener::bind((config.host.as_str(), config.port)).map_err(|error| error.to_string())?;
        adapter::Node::start(listener, config).map_err(|error| error.to_string())
    }
}

impl Node for adapter::Node {
    fn ask(&self, request: Request, budget: Duration) -> Answer {
        self.ask(request, budget)
    }

    fn stop(&self) {
        self.stop();
    }
}

fn main() -> ExitCode {
    conformance::main(&Threads)
}
