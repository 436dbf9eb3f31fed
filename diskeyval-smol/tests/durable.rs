//! Nodes that keep what they promise in a directory: ended in order, dropped in the middle of it, and started again.

mod common;

use std::fs;

use common::{Scratch, members};
use diskeyval_smol::{
    Config, ConfigError, Error, Node, Read, Recoverable, Refusal, StartError, StorageFault,
};
use smol::{Executor, block_on, unblock};

#[test]
fn what_was_acknowledged_is_there_after_all_nodes_have_ended() {
    let scratch = Scratch::new();
    block_on(async {
        let members = members(3, |config| {
            let dir = scratch.path(config.node_id.as_str());
            config.persist(&dir)
        });
        let configs: Vec<_> = members.iter().map(|(_, config)| config.clone()).collect();
        let mut nodes = Vec::new();
        for (listener, config) in members {
            nodes.push(Node::start_on(listener, config).await.expect("it starts"));
        }
        for n in 0..20 {
            nodes[n % 3].set(format!("k{n}"), format!("v{n}")).await.expect("durable on a majority");
        }
        let revision = nodes[1].snapshot().await.expect("durable");
        assert!(revision >= 20);
        for node in nodes {
            node.end().await;
        }
        let mut nodes = Vec::new();
        for config in configs.clone() {
            nodes.push(Node::start(config).await.expect("its directory and its address are free"));
        }
        for n in 0..20 {
            let found = nodes[(n + 1) % 3].get(format!("k{n}")).await.expect("read");
            assert_eq!(found.as_deref(), Some(format!("v{n}").as_bytes()));
        }
        for node in nodes {
            node.end().await;
        }

        // Two of them are lost for good.
        let survivor = configs[0].clone();
        let found = Recoverable::open(scratch.path("n1")).await.expect("it can go on");
        assert_eq!(found.report().node, survivor.node_id);
        let refused = Node::start(survivor.clone()).await.expect_err("it is being looked at");
        assert!(matches!(refused, StartError::DirectoryInUse { .. }), "{refused:?}");
        found.accept_data_loss().await.expect("done");
        let alone = Node::start(survivor).await.expect("it starts");
        assert_eq!(alone.get("k7").await.expect("it leads alone").as_deref(), Some(&b"v7"[..]));
        alone.end().await;
    });
}

/// The drivers are dropped: no goodbye, no last flush. As if the process had been killed.
#[test]
fn what_was_acknowledged_is_there_after_all_drivers_were_dropped() {
    let scratch = Scratch::new();
    block_on(async {
        let members = members(3, |config| {
            let dir = scratch.path(config.node_id.as_str());
            config.persist(&dir)
        });
        let configs: Vec<_> = members.into_iter().map(|(_, config)| config).collect();
        for life in 0..4 {
            let executor = Executor::new();
            let driven = async {
                let mut nodes = Vec::new();
                for config in &configs {
                    let (node, driver) = Node::with_driver(config.clone()).await.expect("it starts");
                    executor.spawn(driver).detach();
                    node.wait_open().await.expect("it can read what it had kept");
                    nodes.push(node);
                }
                for life in 0..life {
                    let found = nodes[life % 3].get(format!("life-{life}")).await.expect("read");
                    assert_eq!(found.as_deref(), Some(&b"lived"[..]));
                }
                nodes[life % 3].set(format!("life-{life}"), "lived").await.expect("committed");
                nodes
            };
            let nodes = executor.run(driven).await;

            drop(executor);
            for node in &nodes {
                assert_eq!(node.set("k", "v").await, Err(Error::Refused(Refusal::Stopped)));
                node.end().await;
            }
        }
    });
}

#[test]
fn a_directory_is_held_until_its_node_has_ended_and_errors_name_the_guilty() {
    let scratch = Scratch::new();
    block_on(async {
        let (_, mut elsewhere) = members(1, |config| config.persist(&scratch.path("n1"))).remove(0);
        elsewhere.port = 0;
        let node = Node::start(elsewhere.clone()).await.expect("it starts");
        let refused = Node::start(elsewhere.clone()).await.expect_err("it is in use");
        assert!(matches!(refused, StartError::DirectoryInUse { .. }), "{refused:?}");
        node.set("k", "v").await.expect("committed");
        node.end().await;

        let mut nameless = elsewhere.clone();
        nameless.tls = None;
        let refused = Node::start(nameless).await.expect_err("nodes speak TLS only");
        assert!(matches!(refused, StartError::Config(ConfigError::BadTls { .. })), "{refused:?}");

        let node = Node::start(elsewhere.clone()).await.expect("it is free");
        let kept = node.get_with("k", Read::Linearizable).await.expect("read").expect("kept");
        assert_eq!(&kept.value[..], b"v");
        node.end().await;
    });
}

#[test]
fn a_directory_of_another_node_is_refused_and_let_go() {
    let scratch = Scratch::new();
    block_on(async {
        let alone = |mut config: Config| {
            (config.peers, config.port) = (Vec::new(), 0);
            config.persist(&scratch.path("dir"))
        };
        let configs: Vec<_> = members(2, alone).into_iter().map(|(_, config)| config).collect();
        let node = Node::start(configs[0].clone()).await.expect("it starts");
        node.set("k", "v").await.expect("committed");
        node.end().await;
        let refused = Node::start(configs[1].clone()).await.expect_err("it is not its own");
        assert!(matches!(refused, StartError::Storage(StorageFault::OtherNode { .. })), "{refused:?}");
        Node::start(configs[0].clone()).await.expect("it is free").end().await;
        let dir = scratch.path("dir");
        assert!(unblock(move || fs::read_dir(dir).expect("a directory").count()).await > 1);
    });
}
