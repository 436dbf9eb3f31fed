//! The ordered map that holds all keys: a B+tree whose nodes are shared until they are changed.
//!
//! A clone copies one pointer. A change copies the nodes on the way from the root to its leaf, and only those
//! that a clone still holds, so a clone never sees it. That is what makes snapshots and views free to take
//! while writes go on.

mod ascending;
mod emptied;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::{fmt, mem, slice};

use bytes::Bytes;

use super::Versioned;
pub(crate) use ascending::Ascending;
pub(crate) use emptied::Emptied;

/// Keys with their versioned values, in the order of the keys' bytes.
///
/// `FANOUT` is the most entries of a leaf and the most children of an inner node. The default is measured:
/// from 12 to 32 all is about as fast, but the smaller a node, the less there is to copy after a clone.
///
/// Invariants, all checked by `check` in the tests:
///
/// 1. The keys of a leaf ascend strictly.
/// 2. An inner node has one separator less than children. All keys below `children[i]` are less than
///    `separators[i]`, and no key below `children[i + 1]` is.
/// 3. All leaves are equally deep.
/// 4. A node has at most `FANOUT` items, and at least `MIN`; the root alone may have fewer, and if it is an
///    inner node it has at least two.
/// 5. `len` is the number of entries.
#[derive(Clone)]
pub(crate) struct Map<const FANOUT: usize = 16> {
    root: Arc<Node<FANOUT>>,
    len: usize,
}

impl<const FANOUT: usize> Default for Map<FANOUT> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<const FANOUT: usize> Map<FANOUT> {
    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Versioned> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(inner) => node = &inner.children[inner.child_for(key)],
                Node::Leaf(entries) => return find(entries, key).ok().map(|at| &entries[at].1),
            }
        }
    }

    /// Gives a key a value, and returns the one that it had.
    pub(crate) fn insert(&mut self, key: Bytes, value: Versioned) -> Option<Versioned> {
        match Arc::make_mut(&mut self.root).insert(key, value) {
            Inserted::Replaced(before) => return Some(before),
            Inserted::Added => {}
            Inserted::Split(split) => {
                let left = Arc::clone(&self.root);
                self.root = Arc::new(Node::Inner(Inner::of_two(left, split)));
            }
        }
        self.len += 1;
        None
    }

    /// Removes a key, and returns the value that it had.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Versioned> {
        // Looked for first: a key that is not there must not cost the copy of a path that a clone holds.
        self.get(key)?;
        let root = Arc::make_mut(&mut self.root);
        let removed = root.remove(key)?;
        self.len -= 1;
        if let Node::Inner(inner) = root
            && inner.children.len() == 1
        {
            self.root = inner.children.remove(0);
        }
        Some(removed)
    }

    /// All entries in the order of the keys.
    pub(crate) fn iter(&self) -> Iter<'_, FANOUT> {
        self.range_from(&[])
    }

    /// The entries from the first key on that is not less than the given one.
    pub(crate) fn range_from(&self, key: &[u8]) -> Iter<'_, FANOUT> {
        let mut iter = Iter { ahead: Vec::new(), leaf: [].iter() };
        iter.descend(&self.root, key);
        iter
    }
}

/// Says how large the map is, not what is in it: it may be huge, and its values are nobody's business.
impl<const FANOUT: usize> fmt::Debug for Map<FANOUT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Entries of a [`Map`], in the order of the keys.
#[derive(Clone)]
pub(crate) struct Iter<'a, const FANOUT: usize = 16> {
    /// For each inner node on the way to the leaf, the children that are still to come.
    ahead: Vec<slice::Iter<'a, Arc<Node<FANOUT>>>>,
    /// What is left of the leaf.
    leaf: slice::Iter<'a, Entry>,
}

impl<'a, const FANOUT: usize> Iter<'a, FANOUT> {
    /// Goes down to the leaf in which the key is or would be, and stops in front of it.
    fn descend(&mut self, mut node: &'a Node<FANOUT>, key: &[u8]) {
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = inner.child_for(key);
                    self.ahead.push(inner.children[at + 1..].iter());
                    node = &inner.children[at];
                }
                Node::Leaf(entries) => {
                    let (Ok(at) | Err(at)) = find(entries, key);
                    self.leaf = entries[at..].iter();
                    return;
                }
            }
        }
    }
}

impl<'a, const FANOUT: usize> Iterator for Iter<'a, FANOUT> {
    type Item = (&'a Bytes, &'a Versioned);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            match self.ahead.last_mut()?.next() {
                Some(child) => self.descend(child, &[]),
                None => _ = self.ahead.pop(),
            }
        }
    }
}

type Entry = (Bytes, Versioned);

/// Where the key is in a leaf, or where it belongs.
///
/// One after the other: each comparison reads memory of its own, which is seldom in a cache. A processor
/// guesses that a scan goes on and fetches ahead; a binary search has it wait for each answer in turn, and
/// takes more than twice as long in a map of a million keys.
fn find(entries: &[Entry], key: &[u8]) -> Result<usize, usize> {
    for (at, (other, _)) in entries.iter().enumerate() {
        match other[..].cmp(key) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(at),
            Ordering::Greater => return Err(at),
        }
    }
    Err(entries.len())
}

enum Node<const FANOUT: usize> {
    Leaf(Vec<Entry>),
    Inner(Inner<FANOUT>),
}

struct Inner<const FANOUT: usize> {
    /// Copies of as much of a key as tells two neighbours apart, never slices of a key: those would keep the
    /// key's allocation, and the value in it, alive after the entry is gone.
    separators: Vec<Arc<[u8]>>,
    children: Vec<Arc<Node<FANOUT>>>,
}

/// What became of a node into which an entry went.
enum Inserted<const FANOUT: usize> {
    /// The key was there, with this value.
    Replaced(Versioned),
    /// It was not.
    Added,
    /// It was not, and the node was full: it has kept the left part of its items.
    Split(Split<FANOUT>),
}

/// The right part of a node that was full.
struct Split<const FANOUT: usize> {
    separator: Arc<[u8]>,
    right: Arc<Node<FANOUT>>,
}

impl<const FANOUT: usize> Node<FANOUT> {
    /// The fewest items of a node other than the root.
    ///
    /// A quarter and not a half: two halves that were just split need not be merged again by the next few
    /// removals, and a node that grows at its end can be split unevenly. At least two, for an inner node.
    const MIN: usize = {
        assert!(FANOUT >= 8);
        FANOUT / 4
    };

    fn insert(&mut self, key: Bytes, value: Versioned) -> Inserted<FANOUT> {
        match self {
            Node::Leaf(entries) => match find(entries, &key) {
                Ok(at) => {
                    // The key too, though it is equal: key and value are slices of one allocation, and the
                    // old key would keep the old value's memory.
                    let (_, before) = mem::replace(&mut entries[at], (key, value));
                    Inserted::Replaced(before)
                }
                Err(at) => insert_entry(entries, at, (key, value)),
            },
            Node::Inner(inner) => {
                let at = inner.child_for(&key);
                match Arc::make_mut(&mut inner.children[at]).insert(key, value) {
                    Inserted::Split(split) => inner.insert_child(at, split),
                    done => done,
                }
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Versioned> {
        match self {
            Node::Leaf(entries) => find(entries, key).ok().map(|at| entries.remove(at).1),
            Node::Inner(inner) => {
                let at = inner.child_for(key);
                let child = Arc::make_mut(&mut inner.children[at]);
                let removed = child.remove(key);
                if child.items() < Self::MIN {
                    inner.refill(at);
                }
                removed
            }
        }
    }

    fn items(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    /// How many items a full node keeps when it is split to insert one at `at`.
    ///
    /// Half of them; but keys that come in ascending order, as from a snapshot, only ever go to the end, and
    /// would leave all nodes half empty behind them.
    fn kept(at: usize) -> usize {
        if at == FANOUT { FANOUT - Self::MIN } else { FANOUT / 2 }
    }
}

/// Copied because a clone holds the original and the copy is about to change: with room to grow.
impl<const FANOUT: usize> Clone for Node<FANOUT> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(entries) => Node::Leaf(with_room::<FANOUT, _>(entries.iter().cloned())),
            Node::Inner(inner) => Node::Inner(Inner {
                separators: with_room::<FANOUT, _>(inner.separators.iter().cloned()),
                children: with_room::<FANOUT, _>(inner.children.iter().cloned()),
            }),
        }
    }
}

/// Inserts into a leaf that has not got the key.
fn insert_entry<const FANOUT: usize>(entries: &mut Vec<Entry>, at: usize, entry: Entry) -> Inserted<FANOUT> {
    if entries.len() < FANOUT {
        entries.insert(at, entry);
        return Inserted::Added;
    }
    let kept = Node::<FANOUT>::kept(at);
    let mut right = with_room::<FANOUT, _>(entries.drain(kept..));
    if at <= kept {
        entries.insert(at, entry);
    } else {
        right.insert(at - kept, entry);
    }
    let separator = separator(entries, &right);
    Inserted::Split(Split { separator, right: Arc::new(Node::Leaf(right)) })
}

impl<const FANOUT: usize> Inner<FANOUT> {
    fn of_two(left: Arc<Node<FANOUT>>, Split { separator, right }: Split<FANOUT>) -> Self {
        Self {
            separators: with_room::<FANOUT, _>([separator].into_iter()),
            children: with_room::<FANOUT, _>([left, right].into_iter()),
        }
    }

    /// The child below which the key is or would be. A scan for the same reason as in [`find`].
    fn child_for(&self, key: &[u8]) -> usize {
        let greater = self.separators.iter().position(|separator| separator[..] > *key);
        greater.unwrap_or(self.separators.len())
    }

    /// Takes in what was split off the child at `at`, at the risk of being split itself.
    fn insert_child(&mut self, at: usize, Split { separator, right }: Split<FANOUT>) -> Inserted<FANOUT> {
        if self.children.len() < FANOUT {
            self.separators.insert(at, separator);
            self.children.insert(at + 1, right);
            return Inserted::Added;
        }
        let kept = Node::<FANOUT>::kept(at + 1);
        let mut other = Self {
            separators: with_room::<FANOUT, _>(self.separators.drain(kept..)),
            children: with_room::<FANOUT, _>(self.children.drain(kept..)),
        };
        let between = self.separators.remove(kept - 1);
        let (half, at) = if at < kept { (&mut *self, at) } else { (&mut other, at - kept) };
        half.separators.insert(at, separator);
        half.children.insert(at + 1, right);
        Inserted::Split(Split { separator: between, right: Arc::new(Node::Inner(other)) })
    }

    /// Helps the child at `at`, which has too few items, together with a neighbour: makes one node of the two,
    /// or if that would be too large, evens them out.
    fn refill(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if self.children[left].items() + self.children[left + 1].items() <= FANOUT {
            self.merge(left);
        } else {
            self.even_out(left);
        }
    }

    /// Makes one node of the child at `at` and the next.
    fn merge(&mut self, at: usize) {
        let between = self.separators.remove(at);
        let right = Arc::unwrap_or_clone(self.children.remove(at + 1));
        match (Arc::make_mut(&mut self.children[at]), right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.extend(right),
            (Node::Inner(left), Node::Inner(right)) => {
                left.separators.push(between);
                left.separators.extend(right.separators);
                left.children.extend(right.children);
            }
            _ => unreachable!("neighbours are equally deep"),
        }
    }

    /// Gives the child at `at` and the next the same number of items.
    fn even_out(&mut self, at: usize) {
        let [left, right, ..] = &mut self.children[at..] else {
            unreachable!("an only child has no neighbour")
        };
        let half = (left.items() + right.items()) / 2;
        let between = &mut self.separators[at];
        match (Arc::make_mut(left), Arc::make_mut(right)) {
            (Node::Leaf(left), Node::Leaf(right)) => {
                shift(left, right, half);
                *between = separator(left, right);
            }
            (Node::Inner(left), Node::Inner(right)) => {
                shift(&mut left.children, &mut right.children, half);
                // With the one between them, the separators of both form one row. The one that ends up
                // behind the left children is between the two from now on.
                left.separators.push(between.clone());
                shift(&mut left.separators, &mut right.separators, half);
                *between = left.separators.remove(half - 1);
            }
            _ => unreachable!("neighbours are equally deep"),
        }
    }
}

/// The shortest key that is greater than all keys of `left` and not greater than any of `right`.
fn separator(left: &[Entry], right: &[Entry]) -> Arc<[u8]> {
    let (before, after) = (&left[left.len() - 1].0, &right[0].0);
    let common = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    Arc::from(&after[..=common])
}

/// Moves items over the border between two neighbours until `left` has as many as said.
fn shift<T>(left: &mut Vec<T>, right: &mut Vec<T>, wanted: usize) {
    if left.len() < wanted {
        left.extend(right.drain(..wanted - left.len()));
    } else {
        right.splice(..0, left.drain(wanted..));
    }
}

/// The items in a vector that will not have to grow as long as its node is not split.
fn with_room<const FANOUT: usize, T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut vec = Vec::with_capacity(FANOUT);
    vec.extend(items);
    vec
}

#[cfg(test)]
mod tests;
