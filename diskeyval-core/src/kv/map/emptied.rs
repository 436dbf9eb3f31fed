//! A map that is read once, from its first key to its last, and let go on the way.
//!
//! What nobody else holds any more is given back leaf by leaf, not all at once at the end; and what was read already
//! need not be copied by whoever changes the map that it was cloned from.

use alloc::sync::Arc;
use alloc::vec::{self, Vec};

use bytes::Bytes;

use super::{Entry, Map, Node, Versioned};

/// What is left of a map.
#[derive(Clone)]
pub(crate) struct Emptied<const FANOUT: usize = 16> {
    /// For each inner node on the way to the leaf, the children that are still to come.
    ahead: Vec<vec::IntoIter<Arc<Node<FANOUT>>>>,
    leaf: Arc<Node<FANOUT>>,
    /// How many entries of the leaf were read.
    read: usize,
}

impl<const FANOUT: usize> Emptied<FANOUT> {
    pub(crate) fn new(map: Map<FANOUT>) -> Self {
        let ahead = alloc::vec![alloc::vec![map.root].into_iter()];
        Self { ahead, leaf: Arc::new(Node::Leaf(Vec::new())), read: 0 }
    }

    /// The next entry in the order of the keys.
    pub(crate) fn next(&mut self) -> Option<(&Bytes, &Versioned)> {
        while self.read == entries(&self.leaf).len() {
            self.next_leaf()?;
        }
        self.read += 1;
        entries(&self.leaf).get(self.read - 1).map(|(key, versioned)| (key, versioned))
    }

    fn next_leaf(&mut self) -> Option<()> {
        loop {
            match self.ahead.last_mut()?.next() {
                Some(node) if matches!(*node, Node::Leaf(_)) => {
                    (self.leaf, self.read) = (node, 0);
                    return Some(());
                }
                Some(node) => self.ahead.push(children(node).into_iter()),
                None => _ = self.ahead.pop(),
            }
        }
    }
}

fn entries<const FANOUT: usize>(node: &Node<FANOUT>) -> &[Entry] {
    match node {
        Node::Leaf(entries) => entries,
        Node::Inner(_) => &[],
    }
}

/// The children of a node that is let go itself.
fn children<const FANOUT: usize>(node: Arc<Node<FANOUT>>) -> Vec<Arc<Node<FANOUT>>> {
    let of_shared = |node: &Node<FANOUT>| match node {
        Node::Inner(inner) => inner.children.clone(),
        Node::Leaf(_) => Vec::new(),
    };
    match Arc::try_unwrap(node) {
        Ok(Node::Inner(inner)) => inner.children,
        Ok(Node::Leaf(_)) => Vec::new(),
        Err(shared) => of_shared(&shared),
    }
}
