//! What is left when nodes have ended: no task, and no descriptor. This is a process of its own, with one test.

mod common;

use common::{AGES, Scratch, members, until};
use diskeyval_smol::Node;
use smol::{Executor, block_on};

/// How many descriptors this process has open; `None` where that cannot be seen.
fn descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

async fn live_and_end(scratch: &Scratch, executor: &Executor<'static>, in_order: bool) {
    let mut nodes = Vec::new();
    let mut drivers = Vec::new();
    for (listener, config) in members(3, |config| {
        let dir = scratch.path(config.node_id.as_str());
        config.persist(&dir)
    }) {
        let (node, driver) = Node::with_driver_on(listener, config).await.expect("it starts");
        drivers.push(executor.spawn(driver));
        nodes.push(node);
    }
    for node in &nodes {
        node.wait_ready(AGES).await.expect("in its seat");
        // A stranger that says nothing.
        drop(std::net::TcpStream::connect(node.local_addr()).expect("connected"));
    }
    nodes[0].set("k", "v").await.expect("committed");
    if in_order {
        for node in &nodes {
            node.end().await;
        }
        for driver in drivers {
            driver.await;
        }
    } else {
        drop(drivers);
    }
    until("no task is left", || executor.is_empty()).await;
}

#[test]
fn nothing_is_left_when_nodes_have_ended() {
    let executor = Executor::new();
    block_on(executor.run(async {
        // The reactor and its own descriptors come with the first.
        live_and_end(&Scratch::new(), &executor, true).await;
        let before = descriptors();
        for round in 0..4 {
            live_and_end(&Scratch::new(), &executor, round % 2 == 0).await;
            // A thread that closes files may have a moment's work left.
            until("no descriptor is left", || descriptors() <= before).await;
        }
    }));
}
