//! What happens on a node, as an iterator and as a function that is called.
//!
//! `cargo run -p diskeyval-mio --features dev-certs --example events`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use diskeyval_mio::{Cluster, Event, Notice};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::dev(3)?;
    let (a, b) = (cluster.node(0), cluster.node(1));

    // Called on a thread of its own: a slow function never holds up the node.
    let id = a.on(|notice| {
        if let Notice::Event(Event::Leader { leader, term }) = notice {
            println!("in term {term} the leader is {leader:?}");
        }
    })?;

    // An iterator that waits. It tells of what happens from now on.
    let mut events = b.events()?;
    a.set("k", "1")?;
    a.set("k", "2")?;
    let deleted = a.delete("k")?;

    // Every committed update, once, in the order of revisions, whichever node was asked to write.
    let mut copy: Option<Vec<u8>> = None;
    for notice in events.by_ref() {
        match notice {
            Notice::Event(Event::Change(change)) => {
                println!("revision {}: {:?} = {:?}", change.revision, change.key, change.value);
                copy = change.value.map(|value| value.to_vec());
                if change.revision == deleted.revision {
                    break;
                }
            }
            // This reader was too slow. Nothing is left out in silence: read the store anew.
            Notice::Lagged { missed } => {
                println!("{missed} events missed");
                copy = b.view()?.get(b"k").map(|versioned| versioned.value.to_vec());
            }
            _ => {}
        }
    }
    assert_eq!(copy, None);

    a.off(id);
    cluster.end();
    Ok(())
}
