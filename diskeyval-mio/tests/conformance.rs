//! The suite that every adapter has to pass.

use std::process::ExitCode;
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
use diskeyval_mio::Node;
use diskeyval_mio::certs::Authority;
use diskeyval_sim::conformance::{self, Adapter};

pub(crate) struct Mio;

pub(crate) struct Started(pub(crate) Node);

impl Adapter for Mio {
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
        // What a node has to say is shown if a case fails. One process may start several.
        #[cfg(feature = "cli")]
        let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
        Node::start(config).map(Started).map_err(|error| error.to_string())
    }
}

impl conformance::Node for Started {
    fn ask(&self, request: Request, budget: Duration) -> Answer {
        let node = self.0.with_timeout(budget);
        match request {
            Request::Write(command) => Answer::Written(node.submit(command).wait()),
            Request::Get { key, read } => Answer::Read(node.get_with(key, read)),
            Request::Snapshot => Answer::Snapshot(node.snapshot()),
            Request::TransferLeadership { to } => {
                Answer::Transferred(node.transfer_leadership(to.as_ref(), budget))
            }
            Request::ChangeMembers { change } => Answer::MembersChanged(node.submit_change(change).wait()),
            Request::View => match node.view() {
                Ok(view) => Answer::View(view),
                Err(_) => Answer::Stopped,
            },
            Request::Status => match node.status() {
                Ok(status) => Answer::Status(Box::new(status)),
                Err(_) => Answer::Stopped,
            },
            other => unreachable!("the suite asks for nothing like it: {other:?}"),
        }
    }

    fn stop(&self) {
        self.0.end();
    }
}

fn main() -> ExitCode {
    conformance::main(&Mio)
}
