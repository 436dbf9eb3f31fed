//! Nodes in a program that runs on tokio: the drivers are spawned there, unchanged, and calls are awaited there. Sockets and
//! timers are still those of smol's reactor, which has a thread of its own.
//!
//! `cargo run -p diskeyval-smol --features dev-certs --example tokio_host`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::net::TcpListener;
use std::time::Duration;

use diskeyval_smol::certs::Authority;
use diskeyval_smol::{Config, Node};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a runtime of its own.
pub(crate) fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?.block_on(host())
}

async fn host() -> Result<(), Failure> {
    let names = ["node-1", "node-2", "node-3"];
    let authority = Authority::new("example")?;
    let listeners = names.map(|_| TcpListener::bind("127.0.0.1:0"));
    let mut bound = Vec::new();
    for (name, listener) in names.into_iter().zip(listeners) {
        let listener = listener?;
        bound.push((name, listener.local_addr()?.port(), listener));
    }
    let ports: Vec<_> = bound.iter().map(|(name, port, _)| (*name, *port)).collect();

    let (mut nodes, mut drivers) = (Vec::new(), Vec::new());
    for (name, port, listener) in bound {
        let mut config = Config::new(name)?.listen("127.0.0.1", port);
        for (peer, port) in ports.iter().filter(|(peer, _)| *peer != name) {
            config = config.peer(peer, "127.0.0.1", *port)?;
        }
        let issued = authority.issue_node(&config.node_id)?;
        let config = config.tls(&issued.cert_pem, &issued.key_pem, authority.cert_pem());
        let (node, driver) = Node::with_driver_on(listener, config).await?;
        drivers.push(tokio::spawn(driver));
        nodes.push(node);
    }

    for node in &nodes {
        node.wait_ready(Duration::from_secs(10)).await?;
    }
    // Calls can be made from any task.
    let writer = nodes[0].clone();
    let commit = tokio::spawn(async move { writer.set("greeting", "hello").await }).await??;
    println!("committed on a majority, as revision {}", commit.revision);
    println!("and read from another node: {:?}", nodes[2].get("greeting").await?);

    for node in &nodes {
        node.end().await;
    }
    // Each driver is done when its node has ended.
    for driver in drivers {
        driver.await?;
    }
    Ok(())
}
