//! A list that grows at its end in steps of the same small cost, however long it has become.

use alloc::vec::Vec;

/// How many elements a segment has room for.
const ROOM: usize = 1024;

/// Segments of equal size; only the last is not full.
#[derive(Clone, Debug)]
pub(super) struct Segments<T> {
    segments: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Segments<T> {
    fn default() -> Segments<T> {
        Segments { segments: Vec::new(), len: 0 }
    }
}

impl<T> Segments<T> {
    pub(super) fn push(&mut self, element: T) {
        if self.len.is_multiple_of(ROOM) {
            self.segments.push(Vec::with_capacity(ROOM));
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(element);
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.segments.last_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.segments.pop();
        }
        self.len -= usize::from(element.is_some());
        element
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.segments.get(at / ROOM)?.get(at % ROOM)
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.segments.last()?.last()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements from a place on.
    pub(super) fn from(&self, at: usize) -> impl Iterator<Item = &T> {
        (at..self.len).map_while(|at| self.get(at))
    }

    /// How many elements at the beginning fulfil a condition that none fulfils behind the first that does not.
    pub(super) fn partition_point(&self, fulfils: impl Fn(&T) -> bool) -> usize {
        let full = self.segments.partition_point(|segment| segment.last().is_some_and(&fulfils));
        let within = self.segments.get(full).map_or(0, |segment| segment.partition_point(&fulfils));
        (full * ROOM + within).min(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_what_a_vector_does() {
        let mut segments = Segments::default();
        let mut vector = Vec::new();
        for round in [ROOM - 1, 1, 1, 3 * ROOM, 7] {
            for _ in 0..round {
                segments.push(vector.len());
                vector.push(vector.len());
            }
            assert_eq!((segments.len(), segments.last()), (vector.len(), vector.last()));
            for at in [0, ROOM - 1, ROOM, vector.len() - 1, vector.len()] {
                assert_eq!(segments.get(at), vector.get(at));
                assert!(segments.from(at).eq(vector.iter().skip(at)));
                assert_eq!(segments.partition_point(|n| *n < at), vector.partition_point(|n| *n < at));
            }
        }
        while let Some(last) = vector.pop() {
            assert_eq!(segments.pop(), Some(last));
            assert_eq!(segments.is_empty(), vector.is_empty());
        }
        assert_eq!((segments.pop(), segments.len()), (None, 0));
    }
}
