//! Three nodes in one process.
fn main() {}
