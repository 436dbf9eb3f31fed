//! What a program sees of the store at one moment.

use bytes::Bytes;

use super::{Versioned, map::Map};

/// A frozen picture of all keys at one moment. Costs nothing to take.
#[derive(Clone, Debug)]
pub struct View {
    map: Map,
    revision: u64,
}

impl View {
    /// The keys as they are after the entry with this revision.
    pub(crate) fn new(map: Map, revision: u64) -> Self {
        Self { map, revision }
    }

    /// The revision of the last entry that it reflects.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Versioned> {
        self.map.get(key)
    }

    /// All keys with their values, in the order of the keys' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Versioned)> {
        self.map.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_frozen() {
        let (key, other) = (Bytes::from_static(b"key"), Bytes::from_static(b"other"));
        let old = Versioned { value: Bytes::from_static(b"old"), revision: 7 };
        let new = Versioned { value: Bytes::from_static(b"new"), revision: 8 };
        let mut map = Map::<16>::default();
        map.insert(key.clone(), old.clone());
        let view = View::new(map.clone(), 7);
        map.insert(key.clone(), new.clone());
        map.insert(other, new);
        assert_eq!((view.revision(), view.len(), view.is_empty()), (7, 1, false));
        assert_eq!(view.get(b"key"), Some(&old));
        assert!(view.iter().eq([(&key, &old)]));
    }
}
