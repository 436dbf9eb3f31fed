//! The suite that every adapter has to pass, with both of them in each cluster: every second node is driven by the other.

use std::process::ExitCode;
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
use diskeyval_sim::conformance::{self, Adapter, Node};

#[path = "conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod on_mio;
#[path = "../../diskeyval-smol/tests/conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod on_smol;

struct Mixed;

enum Started {
    Mio(on_mio::Started),
    Smol(on_smol::Started),
}

impl Adapter for Mixed {
    type Node = Started;

    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> {
        on_mio::Mio.certificates(nodes)
    }

    fn start(&self, config: Config) -> Result<Started, String> {
        let is_even = config.node_id.as_str().bytes().last().is_some_and(|digit| digit % 2 == 0);
        match is_even {
            true => on_mio::Mio.start(config).map(Started::Mio),
            false => on_smol::Smol.start(config).map(Started::Smol),
        }
    }

    fn is_of_the_process(&self, thread: &str) -> bool {
        on_smol::Smol.is_of_the_process(thread)
    }
}

impl Node for Started {
    fn ask(&self, request: Request, budget: Duration) -> Answer {
        match self {
            Started::Mio(node) => node.ask(request, budget),
            Started::Smol(node) => node.ask(request, budget),
        }
    }

    fn stop(&self) {
        match self {
            Started::Mio(node) => node.stop(),
            Started::Smol(node) => node.stop(),
        }
    }
}

fn main() -> ExitCode {
    conformance::main(&Mixed)
}
