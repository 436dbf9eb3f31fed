//! Lists that are read of bytes from elsewhere: none is longer than it may be, and what a list says of its length makes no
//! room for anything.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Reads a list of so many items at the most.
pub(crate) fn few<'de, const MOST: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Few::<MOST, T>(PhantomData))
}

/// The same, for both ends of it to be used.
pub(crate) fn few_queued<'de, const MOST: usize, D, T>(deserializer: D) -> Result<VecDeque<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    few::<MOST, D, T>(deserializer).map(VecDeque::from)
}

struct Few<const MOST: usize, T>(PhantomData<T>);

impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Few<MOST, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Lists {
        #[serde(deserialize_with = "few::<3, _, _>")]
        one: Vec<u8>,
        #[serde(deserialize_with = "few_queued::<2, _, _>")]
        other: VecDeque<u8>,
    }

    fn read(bytes: &[u8]) -> Option<Lists> {
        postcard::from_bytes(bytes).ok()
    }

    #[test]
    fn no_list_is_longer_than_it_may_be() {
        let full = Lists { one: alloc::vec![7, 8, 9], other: [1, 2].into() };
        assert_eq!(read(&[3, 7, 8, 9, 2, 1, 2]), Some(full));
        assert_eq!(read(&[0, 0]), Some(Lists { one: Vec::new(), other: VecDeque::new() }));
        assert_eq!(read(&[4, 7, 8, 9, 9, 2, 1, 2]), None);
        assert_eq!(read(&[3, 7, 8, 9, 3, 1, 2, 3]), None);
        assert_eq!(read(&[0xff, 0xff, 0x7f, 0]), None, "and none is shorter than it says");
    }
}
