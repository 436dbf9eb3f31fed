//! The examples run to their end: what nobody runs breaks unseen. One of them shows that drivers live on another executor.

#[path = "../examples/three_nodes.rs"]
mod three_nodes;
#[path = "../examples/tokio_host.rs"]
mod tokio_host;

#[test]
fn three_nodes_on_smol() {
    three_nodes::main().expect("it shows what it says");
}

#[test]
fn three_drivers_on_tokio() {
    tokio_host::main().expect("it shows what it says");
}
