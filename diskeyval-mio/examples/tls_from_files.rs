//! One node of a cluster, with certificates from files (`diskeyval certs` makes them).
//!
//! `cargo run -p diskeyval-mio --example tls_from_files -- certs node-1 8051 node-2=8052 node-3=8053`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::time::Duration;

use diskeyval_mio::{Config, Node};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, id, port, peers @ ..] = args.as_slice() else {
        return Err("usage: DIR ID PORT PEER=PORT…".into());
    };
    let (cert, key, ca) = (format!("{dir}/{id}.pem"), format!("{dir}/{id}-key.pem"), format!("{dir}/ca.pem"));

    // They are looked at again and again: others that are put in their place are used without a restart.
    let mut config = Config::new(id)?.listen("127.0.0.1", port.parse()?).tls_files(&cert, &key, &ca);
    for peer in peers {
        let (name, port) = peer.split_once('=').ok_or("a peer is written PEER=PORT")?;
        config = config.peer(name, "127.0.0.1", port.parse()?)?;
    }

    // What is wrong with a certificate is said here, before anybody is dialled.
    let node = Node::start(config)?;
    println!("{} listens on {}", node.id(), node.local_addr());

    // Until it is in its seat, calls wait, and say what for if their time runs out.
    while let Err(error) = node.wait_ready(Duration::from_secs(5)) {
        println!("{error}");
    }
    println!("{} leads; Enter ends this node", node.wait_leader(Duration::from_secs(5))?);
    std::io::stdin().read_line(&mut String::new())?;

    // Leadership is handed over, pending calls are answered, connections are closed in order.
    node.end();
    Ok(())
}
