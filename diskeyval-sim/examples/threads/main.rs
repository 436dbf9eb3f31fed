//! An adapter of one's own, over nothing but blocking threads of `std`: the guide tells of it in "Write your own
//! adapter". This program starts three nodes of it, writes on one and reads on another.
//!
//! ```text
//! cargo run -p diskeyval-sim --example threads
//! cargo test -p diskeyval-sim --test conformance
//! ```

#![allow(clippy::print_stdout)]

mod adapter;
mod certs;

use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;

use adapter::Node;
use diskeyval_core::{Answer, Command, Config, NodeId, Read, Request};

fn main() -> Result<(), Box<dyn Error>> {
    let names = ["node-1", "node-2", "node-3"];
    let ids = names.into_iter().map(NodeId::new).collect::<Result<Vec<_>, _>>()?;
    let listeners = names.map(|_| TcpListener::bind("127.0.0.1:0"));
    let ports =
        listeners.iter().flatten().map(|listener| listener.local_addr().map(|address| address.port()));
    let ports = ports.collect::<Result<Vec<_>, _>>()?;

    let mut nodes = Vec::new();
    for (own, (listener, tls)) in listeners.into_iter().zip(certs::of(&ids)?).enumerate() {
        let mut config = Config::new(names[own])?.listen("127.0.0.1", ports[own]);
        for other in (0..names.len()).filter(|other| *other != own) {
            config = config.peer(names[other], "127.0.0.1", ports[other])?;
        }
        config.tls = Some(tls);
        nodes.push(Node::start(listener?, config)?);
    }

    let budget = Duration::from_secs(30);
    let command = Command::Set { key: "greeting".into(), value: "hello".into() };
    let Answer::Written(written) = nodes[0].ask(Request::Write(command), budget) else { return Ok(()) };
    println!("{} has written: {:?}", names[0], written?);
    let get = Request::Get { key: "greeting".into(), read: Read::Linearizable };
    let Answer::Read(found) = nodes[1].ask(get, budget) else { return Ok(()) };
    println!("{} has read:    {:?}", names[1], found?);
    nodes.iter().for_each(Node::stop);
    Ok(())
}
