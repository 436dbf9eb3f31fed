//! Every log that any node ever had, as one tree.
//!
//! An entry hangs under the entry that it was put behind. So a place in the tree is an entry *and* everything that
//! stands before it, payloads included: two logs are equal up to an index if they are at the same place there, and
//! a whole log is remembered as the place of its last entry.

use bytes::Bytes;
use diskeyval_core::inspect::What;

/// An entry with everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u32);

/// The empty log.
pub(crate) const EMPTY: Place = Place(0);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) bytes: Bytes,
    pub(crate) what: What,
    /// The last entry up to this one that says who the members are; [`EMPTY`] if none does.
    pub(crate) configuration: Place,
    /// Whether there are only geneses up to here.
    pub(crate) is_unfounded: bool,
    parent: Place,
    /// An entry further before, so that a distant one is found in few steps.
    jump: Place,
    child: Option<Place>,
    sibling: Option<Place>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tree {
    entries: Vec<Entry>,
}

impl Default for Tree {
    fn default() -> Tree {
        let nothing = Entry {
            index: 0,
            term: 0,
            bytes: Bytes::new(),
            what: What::Noop,
            configuration: EMPTY,
            is_unfounded: true,
            parent: EMPTY,
            jump: EMPTY,
            child: None,
            sibling: None,
        };
        Tree { entries: vec![nothing] }
    }
}

impl Tree {
    pub(crate) fn entry(&self, place: Place) -> &Entry {
        &self.entries[place.0 as usize]
    }

    pub(crate) fn index(&self, place: Place) -> u64 {
        self.entry(place).index
    }

    pub(crate) fn parent(&self, place: Place) -> Place {
        self.entry(place).parent
    }

    /// The place of these bytes behind another, if any log ever had them there.
    pub(crate) fn find(&self, behind: Place, bytes: &Bytes) -> Option<Place> {
        let mut next = self.entry(behind).child;
        while let Some(place) = next {
            let entry = self.entry(place);
            if entry.bytes == *bytes {
                return Some(place);
            }
            next = entry.sibling;
        }
        None
    }

    /// Puts a new entry behind another.
    pub(crate) fn grow(&mut self, behind: Place, term: u64, what: What, bytes: Bytes) -> Place {
        let place = Place(u32::try_from(self.entries.len()).expect("no run has so many entries"));
        let parent = self.entry(behind);
        let is_genesis = matches!(what, What::Genesis { .. });
        let names_members = is_genesis || matches!(what, What::Members { .. });
        let entry = Entry {
            index: parent.index + 1,
            term,
            bytes,
            what,
            configuration: if names_members { place } else { parent.configuration },
            is_unfounded: parent.is_unfounded && is_genesis,
            parent: behind,
            jump: self.jump_behind(behind),
            child: None,
            sibling: parent.child,
        };
        self.entries.push(entry);
        self.entries[behind.0 as usize].child = Some(place);
        place
    }

    /// Puts an entry behind nothing, at whatever index: a cluster goes on from there.
    pub(crate) fn root(&mut self, index: u64, term: u64, what: What) -> Place {
        let place = self.grow(EMPTY, term, what, Bytes::new());
        let root = &mut self.entries[place.0 as usize];
        (root.index, root.is_unfounded) = (index, false);
        place
    }

    /// Jumps have lengths such that from any entry to any before it is a logarithm of steps (Myers, 1983).
    fn jump_behind(&self, parent: Place) -> Place {
        let once = self.entry(parent).jump;
        let twice = self.entry(once).jump;
        let (from, middle, to) = (self.index(parent), self.index(once), self.index(twice));
        if from - middle == middle - to { twice } else { parent }
    }

    /// The entry at an index of the log that ends here; `None` if it ends before, or has none there.
    pub(crate) fn at(&self, last: Place, index: u64) -> Option<Place> {
        if index > self.index(last) {
            return None;
        }
        let mut place = last;
        while self.index(place) > index {
            let entry = self.entry(place);
            place = if self.index(entry.jump) >= index { entry.jump } else { entry.parent };
        }
        (self.index(place) == index).then_some(place)
    }

    /// Whether the log that ends at `last` holds this entry, with all before it.
    pub(crate) fn holds(&self, last: Place, entry: Place) -> bool {
        self.at(last, self.index(entry)) == Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_before_is_found() {
        let mut tree = Tree::default();
        let mut log = vec![EMPTY];
        for n in 0..300u16 {
            let last = *log.last().expect("it begins with one");
            log.push(tree.grow(last, 1, What::Noop, Bytes::copy_from_slice(&n.to_le_bytes())));
        }
        for (last, &place) in log.iter().enumerate() {
            for (index, &expected) in log.iter().enumerate() {
                let found = tree.at(place, index as u64);
                assert_eq!(found, (index <= last).then_some(expected));
            }
        }
    }

    #[test]
    fn the_same_entry_behind_another_is_another_place() {
        let mut tree = Tree::default();
        let grow = |tree: &mut Tree, behind, bytes: &'static [u8]| {
            tree.grow(behind, 1, What::Noop, Bytes::from_static(bytes))
        };
        let (one, other) = (grow(&mut tree, EMPTY, b"a"), grow(&mut tree, EMPTY, b"b"));
        let (left, right) = (grow(&mut tree, one, b"c"), grow(&mut tree, other, b"c"));
        assert_ne!(left, right);
        assert_eq!(tree.find(one, &Bytes::from_static(b"c")), Some(left));
        assert_eq!(tree.find(other, &Bytes::from_static(b"c")), Some(right));
        assert_eq!(tree.find(left, &Bytes::from_static(b"c")), None);
        assert!(tree.holds(left, one) && !tree.holds(left, other));
    }
}
