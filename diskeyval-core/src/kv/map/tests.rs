use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// As small as it may be, so that a few hundred keys make several levels.
const SMALL: usize = 8;

impl<const FANOUT: usize> Map<FANOUT> {
    /// Checks the invariants of the type; the numbers are those of its documentation.
    fn check(&self) {
        let root = self.root.items();
        match &*self.root {
            Node::Leaf(_) => assert!(root <= FANOUT, "4: a root of {root} entries"),
            Node::Inner(_) => assert!((2..=FANOUT).contains(&root), "4: a root of {root} children"),
        }
        self.root.check(None, None);
        assert_eq!(self.iter().count(), self.len, "5");
        assert_eq!(self.is_empty(), self.iter().next().is_none(), "5");
    }

    /// How many nodes there are from the root to a leaf, both counted.
    fn height(&self) -> usize {
        let mut height = 1;
        let mut node = &*self.root;
        while let Node::Inner(inner) = node {
            height += 1;
            node = &inner.children[0];
        }
        height
    }
}

impl<const FANOUT: usize> Node<FANOUT> {
    /// Checks the node and all below it, whose keys must be `from <= key < below`; returns its height.
    fn check(&self, from: Option<&[u8]>, below: Option<&[u8]>) -> usize {
        match self {
            Node::Leaf(entries) => {
                assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b), "1");
                if let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) {
                    assert!(from.is_none_or(|from| from <= &first[..]), "2: {first:?} is left of {from:?}");
                    assert!(below.is_none_or(|below| &last[..] < below), "2: {last:?} is right of {below:?}");
                }
                1
            }
            Node::Inner(inner) => {
                assert_eq!(inner.separators.len() + 1, inner.children.len(), "2");
                let separators = || inner.separators.iter().map(|separator| Some(&separator[..]));
                let bounds = core::iter::once(from).chain(separators()).zip(separators().chain([below]));
                let mut heights = inner.children.iter().zip(bounds).map(|(child, (from, below))| {
                    let items = child.items();
                    assert!((Self::MIN..=FANOUT).contains(&items), "4: {items} items");
                    child.check(from, below)
                });
                let height = heights.next().expect("2: a child");
                assert!(heights.all(|other| other == height), "3");
                height + 1
            }
        }
    }
}

fn value(revision: u64) -> Versioned {
    Versioned { value: Bytes::copy_from_slice(&revision.to_le_bytes()), revision }
}

fn number(key: u32) -> Bytes {
    Bytes::copy_from_slice(&key.to_be_bytes())
}

fn filled<const FANOUT: usize>(keys: impl IntoIterator<Item = u32>) -> Map<FANOUT> {
    let mut map = Map::default();
    for key in keys {
        assert_eq!(map.insert(number(key), value(key.into())), None);
    }
    map.check();
    map
}

/// The numbers below `count` in an order that jumps about; `count` must be a power of two.
fn jumbled(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| i.wrapping_mul(0x9e37_79b1) % count)
}

#[test]
fn an_empty_map_has_nothing() {
    let mut map = Map::<16>::default();
    map.check();
    assert!(map.is_empty());
    assert_eq!(map.get(b""), None);
    assert_eq!(map.remove(b"key"), None);
    assert_eq!(map.iter().next(), None);
    assert_eq!(map.range_from(b"key").next(), None);
}

#[test]
fn the_empty_key_is_a_key() {
    let mut map = filled::<SMALL>(0..100);
    assert_eq!(map.insert(Bytes::new(), value(7)), None);
    map.check();
    assert_eq!(map.get(b""), Some(&value(7)));
    assert_eq!(map.iter().next(), Some((&Bytes::new(), &value(7))));
    assert_eq!(map.remove(b""), Some(value(7)));
    map.check();
}

#[test]
fn keys_come_in_the_order_of_their_bytes() {
    let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"aa", b"\xff"];
    let mut map = Map::<SMALL>::default();
    for key in keys.iter().rev() {
        map.insert(Bytes::from_static(key), value(0));
    }
    assert!(map.iter().map(|(key, _)| &key[..]).eq(keys));
}

#[test]
fn grows_and_shrinks_in_any_order() {
    let ascending: Vec<u32> = (0..4096).collect();
    let descending: Vec<u32> = (0..4096).rev().collect();
    let orders = [ascending, descending, jumbled(4096).collect()];
    for inserted in &orders {
        for removed in &orders {
            let mut map = filled::<SMALL>(inserted.iter().copied());
            assert!(map.height() >= 4);
            for (count, &key) in removed.iter().enumerate() {
                assert_eq!(map.remove(&key.to_be_bytes()), Some(value(key.into())));
                if count % 64 == 0 || map.len() < 64 {
                    map.check();
                }
            }
            assert!(map.is_empty());
            assert_eq!(map.height(), 1);
        }
    }
}

#[test]
fn ascending_keys_fill_the_nodes() {
    let map = filled::<16>(0..4096);
    let mut nodes = vec![&*map.root];
    let mut leaves = 0;
    while let Some(node) = nodes.pop() {
        match node {
            Node::Leaf(_) => leaves += 1,
            Node::Inner(inner) => nodes.extend(inner.children.iter().map(|child| &**child)),
        }
    }
    assert!(leaves <= 4096 / 12 + 2, "{leaves} leaves");
}

#[test]
fn an_overwrite_takes_the_new_key() {
    let mut map = filled::<SMALL>(0..100);
    let both = Bytes::from_static(b"\0\0\0\x2anew value");
    let new = Versioned { value: both.slice(4..), revision: 1000 };
    assert_eq!(map.insert(both.slice(..4), new.clone()), Some(value(42)));
    let (key, found) = map.range_from(&both[..4]).next().expect("the key");
    assert_eq!(found, &new);
    assert_eq!(key.as_ptr(), both.as_ptr());
    assert_eq!(map.len(), 100);
}

#[test]
fn nothing_holds_the_memory_of_a_key_that_is_gone() {
    let keys: Vec<Bytes> = (0..1000).map(number).collect();
    let mut map = Map::<SMALL>::default();
    for key in &keys {
        map.insert(key.clone(), value(0));
    }
    assert!(keys.iter().all(|key| !key.is_unique()));
    // Half of them are overwritten with an equal key, half are removed.
    for (i, key) in keys.iter().enumerate() {
        if i % 2 == 0 {
            map.insert(Bytes::copy_from_slice(key), value(1));
        } else {
            map.remove(key);
        }
    }
    assert!(keys.iter().all(Bytes::is_unique));
}

#[test]
fn a_change_copies_one_path_and_no_more() {
    fn nodes(node: &Arc<Node<SMALL>>, into: &mut Vec<*const Node<SMALL>>) {
        into.push(Arc::as_ptr(node));
        if let Node::Inner(inner) = &**node {
            inner.children.iter().for_each(|child| nodes(child, into));
        }
    }
    let fresh = |map: &Map<SMALL>, old: &Map<SMALL>| {
        let (mut now, mut before) = (Vec::new(), Vec::new());
        nodes(&map.root, &mut now);
        nodes(&old.root, &mut before);
        now.iter().filter(|node| !before.contains(node)).count()
    };
    let mut map = filled::<SMALL>(jumbled(1024));
    let clone = map.clone();
    assert_eq!(fresh(&map, &clone), 0);
    assert_eq!(map.remove(b"no such key"), None);
    assert_eq!(fresh(&map, &clone), 0);
    map.insert(number(500), value(1));
    assert_eq!(fresh(&map, &clone), map.height());
    // What is no longer shared is changed in place.
    map.insert(number(500), value(2));
    assert_eq!(fresh(&map, &clone), map.height());
    assert_eq!(clone.get(&500_u32.to_be_bytes()), Some(&value(500)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Bytes),
    Remove(Bytes),
    /// Removes so many keys from the first one on that is not less: empties whole nodes.
    Cut(Bytes, usize),
    Get(Bytes),
    RangeFrom(Bytes),
    Clone,
    /// Goes on with an older clone in place of the newest map.
    GoBack(prop::sample::Index),
}

/// Keys of few different bytes, so that many collide, share prefixes, or are prefixes of each other.
fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), 0..6).prop_map(Bytes::from),
        (0..600_u32).prop_map(number),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => key().prop_map(Step::Insert),
        20 => key().prop_map(Step::Remove),
        2 => (key(), 0..150_usize).prop_map(|(from, count)| Step::Cut(from, count)),
        5 => key().prop_map(Step::Get),
        5 => key().prop_map(Step::RangeFrom),
        2 => Just(Step::Clone),
        1 => any::<prop::sample::Index>().prop_map(Step::GoBack),
    ]
}

type Oracle = BTreeMap<Bytes, Versioned>;

fn same<const FANOUT: usize>(map: &Map<FANOUT>, oracle: &Oracle) {
    map.check();
    assert_eq!(map.len(), oracle.len());
    assert!(map.iter().eq(oracle.iter()));
}

/// Does the same to a map and to the oracle, and compares all that comes of it.
fn run<const FANOUT: usize>(steps: Vec<Step>) {
    let mut map = Map::<FANOUT>::default();
    let mut oracle = Oracle::new();
    let mut clones = vec![(map.clone(), oracle.clone())];
    for (revision, step) in (1..).zip(steps) {
        match step {
            Step::Insert(key) => {
                let before = oracle.insert(key.clone(), value(revision));
                assert_eq!(map.insert(key, value(revision)), before);
            }
            Step::Remove(key) => assert_eq!(map.remove(&key), oracle.remove(&key)),
            Step::Cut(from, count) => {
                let keys: Vec<Bytes> = oracle.range(from..).take(count).map(|(key, _)| key.clone()).collect();
                for key in keys {
                    assert_eq!(map.remove(&key), oracle.remove(&key));
                }
            }
            Step::Get(key) => assert_eq!(map.get(&key), oracle.get(&key)),
            Step::RangeFrom(key) => assert!(map.range_from(&key).eq(oracle.range(key..))),
            Step::Clone => clones.push((map.clone(), oracle.clone())),
            Step::GoBack(which) => {
                let older = which.get(&clones).clone();
                clones.push((mem::replace(&mut map, older.0), mem::replace(&mut oracle, older.1)));
            }
        }
        map.check();
    }
    same(&map, &oracle);
    for (map, oracle) in &clones {
        same(map, oracle);
        same_emptied(map.clone(), oracle);
        same(map, oracle);
    }
    let keys: Vec<Bytes> = oracle.into_keys().collect();
    for key in keys {
        assert!(map.remove(&key).is_some());
        map.check();
    }
    assert!(map.is_empty());
    // Emptying the map has not touched the clones either.
    for (map, oracle) in &clones {
        same(map, oracle);
    }
    for (map, oracle) in clones {
        // The last of them are held by nobody else.
        same_emptied(map, &oracle);
    }
}

/// Reads a map to its end while it is let go.
fn same_emptied<const FANOUT: usize>(map: Map<FANOUT>, oracle: &Oracle) {
    let mut left = Emptied::new(map);
    for expected in oracle {
        assert_eq!(left.next(), Some(expected));
    }
    assert_eq!(left.next(), None);
    assert_eq!(left.next(), None, "and so it stays");
}

proptest! {
    #[test]
    fn does_what_a_btreemap_does(steps in prop::collection::vec(step(), 0..800)) {
        run::<SMALL>(steps);
    }

    #[test]
    fn does_so_with_an_odd_fanout(steps in prop::collection::vec(step(), 0..800)) {
        run::<11>(steps);
    }

    #[test]
    fn does_so_as_shipped(steps in prop::collection::vec(step(), 0..800)) {
        run::<16>(steps);
    }
}

#[test]
fn a_map_that_is_built_in_order_is_the_same_map() {
    for count in (0..300).chain([1_000, 5_000]) {
        let mut ascending = Ascending::<SMALL>::default();
        for key in 0..count {
            assert!(ascending.push(number(key), value(key.into())));
            assert!(!ascending.push(number(key), value(0)), "equal keys do not ascend");
        }
        let mut map = ascending.finish();
        map.check();
        assert!(map.iter().eq(filled::<SMALL>(0..count).iter()));
        map.insert(number(count), value(1));
        map.remove(&number(0));
        map.check();
    }
}

#[test]
fn what_was_read_of_a_map_that_is_let_go_is_held_no_more() {
    let map = filled::<SMALL>(0..1_000);
    let first = map.get(&number(0)).expect("a key").value.clone();
    let mut left = Emptied::new(map.clone());
    let mut leaf = &map.root;
    while let Node::Inner(inner) = &**leaf {
        leaf = &inner.children[0];
    }
    left.next();
    assert_eq!(Arc::strong_count(leaf), 2, "it is being read");
    (0..SMALL).for_each(|_| _ = left.next());
    assert_eq!(Arc::strong_count(leaf), 1, "only by the map");
    assert_eq!(map.get(&number(0)).map(|versioned| &versioned.value), Some(&first));
}
