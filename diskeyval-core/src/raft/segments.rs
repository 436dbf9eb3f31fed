//! A list that grows at its end, and is given up at its beginning, in steps of the same small cost, however long
//! it has become.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How many elements a segment has room for.
const ROOM: usize = 1024;

/// Segments of equal size; only the last is not full. Of the first, some elements at its beginning may be gone.
#[derive(Clone, Debug)]
pub(super) struct Segments<T> {
    segments: VecDeque<Vec<T>>,
    /// How many elements of the first segment are gone. Their room is given back with the segment.
    gone: usize,
    len: usize,
}

impl<T> Default for Segments<T> {
    fn default() -> Segments<T> {
        Segments { segments: VecDeque::new(), gone: 0, len: 0 }
    }
}

impl<T> Segments<T> {
    pub(super) fn push(&mut self, element: T) {
        if (self.gone + self.len).is_multiple_of(ROOM) {
            self.segments.push_back(Vec::with_capacity(ROOM));
        }
        if let Some(last) = self.segments.back_mut() {
            last.push(element);
            self.len += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let last = self.segments.back_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.segments.pop_back();
        }
        self.len -= usize::from(element.is_some());
        if self.len == 0 {
            self.segments.clear();
            self.gone = 0;
        }
        element
    }

    /// Gives up so many elements at the beginning, or all if there are no more.
    pub(super) fn release(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        if self.len == 0 {
            self.segments.clear();
            self.gone = 0;
            return;
        }
        self.gone += count;
        while self.gone >= ROOM {
            self.segments.pop_front();
            self.gone -= ROOM;
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        let at = at.checked_add(self.gone)?;
        self.segments.get(at / ROOM)?.get(at % ROOM)
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.segments.back()?.last()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Elements from a place on.
    pub(super) fn from(&self, at: usize) -> impl DoubleEndedIterator<Item = &T> {
        (at..self.len).filter_map(|at| self.get(at))
    }

    /// How many elements at the beginning fulfil a condition that none fulfils behind the first that does not.
    pub(super) fn partition_point(&self, fulfils: impl Fn(&T) -> bool) -> usize {
        let full = self.segments.partition_point(|segment| segment.last().is_some_and(&fulfils));
        // What is gone from the first segment comes before all that is there.
        let gone = if full == 0 { self.gone } else { 0 };
        let within = self.segments.get(full).map_or(0, |segment| {
            segment.get(gone..).map_or(0, |segment| gone + segment.partition_point(&fulfils))
        });
        (full * ROOM + within).saturating_sub(self.gone).min(self.len)
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
        for count in [1, 5, ROOM - 7, 1, 2, ROOM + 3, 0] {
            segments.release(count);
            vector.drain(..count);
            segments.push(vector[vector.len() - 1] + 1);
            vector.push(vector[vector.len() - 1] + 1);
            assert_eq!((segments.len(), segments.last()), (vector.len(), vector.last()));
            for at in [0, 1, ROOM - 1, ROOM, vector.len() - 1, vector.len()] {
                assert_eq!(segments.get(at), vector.get(at));
                assert!(segments.from(at).eq(vector.iter().skip(at)));
                let limit = vector[0] + at;
                assert_eq!(segments.partition_point(|n| *n < limit), vector.partition_point(|n| *n < limit));
            }
        }
        while let Some(last) = vector.pop() {
            assert_eq!(segments.pop(), Some(last));
            assert_eq!(segments.len(), vector.len());
        }
        assert_eq!((segments.pop(), segments.len()), (None, 0));
    }

    #[test]
    fn what_is_given_up_gives_its_memory_back() {
        let mut segments = Segments::default();
        for n in 0..10 * ROOM {
            segments.push(n);
            segments.release(usize::from(n >= 5));
            assert!(segments.segments.len() <= 2);
        }
        segments.release(usize::MAX);
        assert!(segments.len() == 0 && segments.segments.is_empty());
        segments.push(7);
        assert_eq!(segments.get(0), Some(&7));
    }
}
