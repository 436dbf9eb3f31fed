//! Three nodes in the program's own `mio` loop: one thread drives them all, and does its own work in between.
//!
//! `cargo run -p diskeyval-mio --features dev-certs --example own_mio_loop`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use diskeyval_mio::certs::Authority;
use diskeyval_mio::{Command, Config, Driver, Node, Read};
use mio::{Events, Interest, Poll, Token};

const NAMES: [&str; 3] = ["a", "b", "c"];

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let (nodes, mut drivers): (Vec<Node>, Vec<Driver>) = make()?.into_iter().unzip();
    for (number, driver) in drivers.iter_mut().enumerate() {
        poll.registry().register(driver, Token(number), Interest::READABLE)?;
    }

    // This thread drives the nodes, so it must not wait for them: it hands over, and looks.
    let mut write = Some(nodes[0].submit(Command::Set { key: "greeting".into(), value: "hello".into() }));
    let mut read = None;
    while !drivers.is_empty() {
        let timeout = drivers.iter().filter_map(Driver::timeout).min();
        poll.poll(&mut events, timeout)?;
        // Here the program would look at its own events.
        drivers.retain_mut(|driver| driver.turn().is_continue());

        if let Some(answer) = write.as_mut().and_then(|write| write.try_take()) {
            println!("committed on a majority: {:?}", answer?);
            write = None;
            read = Some(nodes[1].submit_get("greeting", Read::Linearizable));
        }
        if let Some(answer) = read.as_mut().and_then(|read| read.try_take()) {
            println!("read by another node: {:?}", answer?.map(|found| found.value));
            read = None;
            nodes.iter().for_each(Node::stop);
        }
    }
    println!("all have ended");
    Ok(())
}

/// Three nodes that know each other, with certificates that are forgotten at the end.
fn make() -> Result<Vec<(Node, Driver)>, Box<dyn std::error::Error>> {
    let authority = Authority::new("example")?;
    let listeners = NAMES.map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.into_iter().collect::<io::Result<Vec<_>>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<io::Result<Vec<_>>>()?;
    let mut made = Vec::new();
    for (name, listener) in NAMES.into_iter().zip(listeners) {
        let mut config = Config::new(name)?;
        config.proposal_timeout = Duration::from_secs(30);
        for (other, port) in NAMES.into_iter().zip(&ports).filter(|(other, _)| *other != name) {
            config = config.peer(other, "127.0.0.1", *port)?;
        }
        let issued = authority.issue_node(&config.node_id)?;
        let config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
        made.push(Node::with_driver_on(listener, config)?);
    }
    Ok(made)
}
