//! Three nodes in one process, over loopback and mutual TLS, with certificates that are forgotten at the end.
//!
//! `cargo run -p diskeyval-smol --features dev-certs --example three_nodes`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::time::Duration;

use diskeyval_smol::{Cluster, Expect, Read, Swap};

/// Runs on the thread that calls it. The nodes live on smol's own executor.
pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    smol::block_on(async {
        let cluster = Cluster::dev(3).await?;
        let (a, b) = (cluster.node(0), cluster.node(1));
        let mut events = b.events()?;

        // Any node takes writes, and passes them on to the leader.
        let commit = a.set("greeting", "hello").await?;
        println!("committed on a majority, as revision {}", commit.revision);

        // Any node answers reads. This one reflects every write that was acknowledged before it.
        assert_eq!(b.get("greeting").await?.as_deref(), Some(&b"hello"[..]));

        // A local read is the cheaper one. On the node that wrote, it sees the write at once.
        let local = a.get_with("greeting", Read::Local).await?;
        assert_eq!(local.map(|versioned| versioned.revision), Some(commit.revision));

        // Of all who expect the same revision, one wins; that another one was first is an answer, not an error.
        match b.compare_and_set("greeting", Expect::Revision(commit.revision), "good day").await? {
            Swap::Swapped { revision } => println!("changed by revision {revision}"),
            Swap::Mismatch { actual, .. } => println!("somebody was faster: {actual:?}"),
        }

        // Every node tells of every update, once and in order.
        while let Some(notice) = events.next().await {
            if let Some(change) = notice.change() {
                println!("revision {}: {:?}", change.revision, change.value);
                break;
            }
        }

        // The leader goes; the others elect another, and nothing is lost.
        let leader = cluster.leader(Duration::from_secs(10)).await?;
        println!("{} leads, and ends", leader.id());
        leader.end().await;
        let other = cluster.nodes().iter().find(|node| node.id() != leader.id()).ok_or("three nodes")?;
        assert_eq!(other.get("greeting").await?.as_deref(), Some(&b"good day"[..]));

        cluster.end().await;
        Ok(())
    })
}
