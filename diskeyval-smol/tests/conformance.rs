//! The suite that every adapter has to pass. It asks from threads of its own, which block on each answer.

use std::process::ExitCode;
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
use diskeyval_sim::conformance::{self, Adapter};
use diskeyval_smol::Node;
use diskeyval_smol::certs::Authority;
use smol::block_on;

pub(crate) struct Smol;

pub(crate) struct Started(Node);

impl Adapter for Smol {
    type Node = Started;

    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> {
        let authority = Authority::new("conformance").map_err(|error| error.to_string())?;
        let issue = |node| {
            let issued = authority.issue_node(node).map_err(|error| error.to_string())?;
            let (cert, key) = (issued.cert_pem, issued.key_pem);
            Ok(Tls { cert, key, ca: authority.cert_pem().to_owned() })
        };
        nodes.iter().map(issue).collect()
    }

    fn start(&self, config: Config) -> Result<Started, String> {
        block_on(Node::start(config)).map(Started).map_err(|error| error.to_string())
    }

    /// The pool behind `unblock`, which keeps as many threads as were ever busy at once.
    fn is_of_the_process(&self, thread: &str) -> bool {
        thread.starts_with("blocking-")
    }
}

impl conformance::Node for Started {
    fn ask(&self, request: Request, budget: Duration) -> Answer {
        let node = self.0.with_timeout(budget);
        match request {
            Request::Write(command) => Answer::Written(block_on(node.submit(command))),
            Request::Get { key, read } => Answer::Read(block_on(node.get_with(key, read))),
            Request::Snapshot => Answer::Snapshot(block_on(node.snapshot())),
            Request::TransferLeadership { to } => {
                Answer::Transferred(block_on(node.transfer_leadership(to.as_ref(), budget)))
            }
            Request::ChangeMembers { change } => Answer::MembersChanged(block_on(node.submit_change(change))),
            Request::View => match block_on(node.view()) {
                Ok(view) => Answer::View(view),
                Err(_) => Answer::Stopped,
            },
            Request::Status => match block_on(node.status()) {
                Ok(status) => Answer::Status(Box::new(status)),
                Err(_) => Answer::Stopped,
            },
            other => unreachable!("the suite asks for nothing like it: {other:?}"),
        }
    }

    fn stop(&self) {
        block_on(self.0.end());
    }
}

fn main() -> ExitCode {
    conformance::main(&Smol)
}
