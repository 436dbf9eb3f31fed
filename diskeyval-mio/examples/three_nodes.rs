//! Three nodes in one process, over loopback and mutual TLS, with certificates that are forgotten at the end.
//!
//! `cargo run -p diskeyval-mio --features dev-certs --example three_nodes`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::time::Duration;

use diskeyval_mio::{Cluster, Expect, Read, Swap};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::dev(3)?;
    let (a, b) = (cluster.node(0), cluster.node(1));

    // Any node takes writes, and passes them on to the leader.
    let commit = a.set("greeting", "hello")?;
    println!("committed on a majority, as revision {}", commit.revision);

    // Any node answers reads. This one reflects every write that was acknowledged before it.
    assert_eq!(b.get("greeting")?.as_deref(), Some(&b"hello"[..]));

    // A local read is the cheaper one. On the node that wrote, it sees the write at once.
    let local = a.get_with("greeting", Read::Local)?;
    assert_eq!(local.map(|versioned| versioned.revision), Some(commit.revision));

    // Of all who expect the same revision, one wins; that another one was first is an answer, not an error.
    match b.compare_and_set("greeting", Expect::Revision(commit.revision), "good day")? {
        Swap::Swapped { revision } => println!("changed by revision {revision}"),
        Swap::Mismatch { actual, .. } => println!("somebody was faster: {actual:?}"),
    }

    // The leader goes; the others elect another, and nothing is lost.
    let leader = cluster.leader(Duration::from_secs(10))?;
    println!("{} leads, and ends", leader.id());
    leader.end();
    let other = cluster.nodes().iter().find(|node| node.id() != leader.id()).ok_or("three nodes")?;
    assert_eq!(other.get("greeting")?.as_deref(), Some(&b"good day"[..]));

    cluster.end();
    Ok(())
}
