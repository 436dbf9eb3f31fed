//! The suite that every adapter has to pass, with nodes of all kinds in each cluster: on a thread of mio's adapter, in a loop
//! of the program's own, and on smol.

use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::{Answer, Config, NodeId, Request, Tls};
use diskeyval_sim::conformance::{self, Adapter, Node};
use mio::{Events, Interest, Poll, Token};

#[path = "conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod on_mio;
#[path = "../../diskeyval-smol/tests/conformance.rs"]
#[allow(dead_code, reason = "it is a test of its own as well")]
mod on_smol;

struct Mixed;

enum Started {
    Mio(on_mio::Started),
    OwnLoop(on_mio::Started, Mutex<Option<JoinHandle<()>>>),
    Smol(on_smol::Started),
}

impl Adapter for Mixed {
    type Node = Started;

    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String> {
        on_mio::Mio.certificates(nodes)
    }

    fn start(&self, config: Config) -> Result<Started, String> {
        match config.node_id.as_str().bytes().last().map(|digit| digit % 3) {
            Some(0) => on_mio::Mio.start(config).map(Started::Mio),
            Some(1) => on_smol::Smol.start(config).map(Started::Smol),
            _ => start_in_own_loop(config),
        }
    }

    fn is_of_the_process(&self, thread: &str) -> bool {
        on_smol::Smol.is_of_the_process(thread)
    }
}

impl Node for Started {
    fn ask(&self, request: Request, budget: Duration) -> Answer {
        match self {
            Started::Mio(node) | Started::OwnLoop(node, _) => node.ask(request, budget),
            Started::Smol(node) => node.ask(request, budget),
        }
    }

    fn stop(&self) {
        match self {
            Started::Mio(node) => node.stop(),
            Started::OwnLoop(node, looping) => {
                node.stop();
                if let Some(looping) = looping.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    looping.join().expect("it does not panic");
                }
            }
            Started::Smol(node) => node.stop(),
        }
    }
}

/// A loop as a program would have it, which turns no more often than it has to.
fn start_in_own_loop(config: Config) -> Result<Started, String> {
    let is_kept = config.persistence.is_some();
    let (node, mut driver) = diskeyval_mio::Node::with_driver(config).map_err(|error| error.to_string())?;
    let looping = thread::spawn(move || {
        let mut poll = Poll::new().expect("a poll");
        let mut events = Events::with_capacity(8);
        poll.registry().register(&mut driver, Token(0), Interest::READABLE).expect("registered");
        while driver.turn().is_continue() {
            match poll.poll(&mut events, driver.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
        }
    });
    if is_kept && let Err(fault) = node.wait_open() {
        looping.join().map_err(|_| "the loop panicked")?;
        return Err(fault.to_string());
    }
    Ok(Started::OwnLoop(on_mio::Started(node), Mutex::new(Some(looping))))
}

fn main() -> ExitCode {
    conformance::main(&Mixed)
}
