//! A map that is built of keys that come in ascending order, as from a snapshot: leaf by leaf, without a way down
//! for each key.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Entry, Inner, Map, Node, Versioned, separator, with_room};

/// A map that is being built.
#[derive(Clone)]
pub(crate) struct Ascending<const FANOUT: usize = 16> {
    leaves: Vec<Arc<Node<FANOUT>>>,
    /// What stands between each leaf and the next.
    separators: Vec<Arc<[u8]>>,
    /// The leaf that is being filled.
    leaf: Vec<Entry>,
    len: usize,
}

impl<const FANOUT: usize> Default for Ascending<FANOUT> {
    fn default() -> Self {
        Self { leaves: Vec::new(), separators: Vec::new(), leaf: Vec::new(), len: 0 }
    }
}

impl<const FANOUT: usize> Ascending<FANOUT> {
    /// As many items as a node keeps that grows at its end: with room for what comes later.
    const FILL: usize = FANOUT - Node::<FANOUT>::MIN;

    /// Puts a pair at the end. Tells whether its key is greater than all before; if not, nothing is done.
    #[must_use]
    pub(crate) fn push(&mut self, key: Bytes, value: Versioned) -> bool {
        if self.leaf.last().is_some_and(|(last, _)| *last >= key) {
            return false;
        }
        if self.leaf.len() == Self::FILL {
            // The last pair stays until its leaf is closed, so there always is one to compare with.
            self.close_leaf();
            let before = self.leaves.last().map(|leaf| &**leaf);
            if let Some(Node::Leaf(before)) = before {
                self.separators.push(separator(before, core::slice::from_ref(&(key.clone(), value.clone()))));
            }
        }
        if self.leaf.capacity() == 0 {
            self.leaf.reserve_exact(FANOUT);
        }
        self.leaf.push((key, value));
        self.len += 1;
        true
    }

    fn close_leaf(&mut self) {
        let leaf = core::mem::take(&mut self.leaf);
        self.leaves.push(Arc::new(Node::Leaf(leaf)));
    }

    /// The map of all pairs.
    pub(crate) fn finish(mut self) -> Map<FANOUT> {
        match self.leaves.last_mut().map(Arc::make_mut) {
            Some(Node::Leaf(last)) if self.leaf.len() < Node::<FANOUT>::MIN => {
                last.append(&mut self.leaf);
                self.separators.pop();
            }
            Some(_) | None => self.close_leaf(),
        }
        let (mut nodes, mut separators) = (self.leaves, self.separators);
        while nodes.len() > 1 {
            (nodes, separators) = level_above(nodes, separators);
        }
        match nodes.pop() {
            Some(root) => Map { root, len: self.len },
            None => Map::default(),
        }
    }
}

/// Says how large it is, as a map does.
impl<const FANOUT: usize> core::fmt::Debug for Ascending<FANOUT> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ascending").field("len", &self.len).finish_non_exhaustive()
    }
}

type Level<const FANOUT: usize> = (Vec<Arc<Node<FANOUT>>>, Vec<Arc<[u8]>>);

/// The inner nodes above a level, and what stands between them.
fn level_above<const FANOUT: usize>(
    nodes: Vec<Arc<Node<FANOUT>>>,
    separators: Vec<Arc<[u8]>>,
) -> Level<FANOUT> {
    let (mut above, mut between) = (Vec::new(), Vec::new());
    let mut left = nodes.len();
    let (mut nodes, mut separators) = (nodes.into_iter(), separators.into_iter());
    while left > 0 {
        let rest = left.saturating_sub(Ascending::<FANOUT>::FILL);
        // Too few to be a node of their own go along with those before.
        let count = if rest < Node::<FANOUT>::MIN { left } else { Ascending::<FANOUT>::FILL };
        left -= count;
        above.push(Arc::new(Node::Inner(Inner {
            separators: with_room::<FANOUT, _>(separators.by_ref().take(count - 1)),
            children: with_room::<FANOUT, _>(nodes.by_ref().take(count)),
        })));
        between.extend(separators.next());
    }
    (above, between)
}
