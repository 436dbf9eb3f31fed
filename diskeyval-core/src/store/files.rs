//! The names of the files in a node's directory.

use core::fmt;

/// A file of a node's storage. Its text is its name in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// Names all others.
    Superblock,
    /// A piece of the write-ahead log. Files of both kinds are counted together from 1, and no number is used twice.
    Segment(u64),
    /// The state after some entry.
    Snapshot(u64),
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Superblock => f.write_str("superblock"),
            FileName::Segment(number) => write!(f, "wal-{number:016x}"),
            FileName::Snapshot(index) => write!(f, "snapshot-{index:016x}"),
        }
    }
}

/// No store comes to so many files. There is always a next number.
const MAX_NUMBER: u64 = 1 << 62;

impl FileName {
    /// Reads a name as it is written; `None` if it is none of ours.
    pub fn parse(name: &str) -> Option<FileName> {
        let number = |hex: &str| u64::from_str_radix(hex, 16).ok().filter(|number| *number < MAX_NUMBER);
        let file = match name.split_once('-') {
            None => FileName::Superblock,
            Some(("wal", hex)) => FileName::Segment(number(hex)?),
            Some(("snapshot", hex)) => FileName::Snapshot(number(hex)?),
            Some(_) => return None,
        };
        // One name, one file: neither capitals nor signs nor missing zeros.
        (alloc::format!("{file}") == name).then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_are_read_as_they_are_written_and_in_no_other_form() {
        for file in [FileName::Superblock, FileName::Segment(1), FileName::Snapshot(MAX_NUMBER - 1)] {
            assert_eq!(FileName::parse(&file.to_string()), Some(file));
        }
        for foreign in [
            "",
            "super",
            "wal-1",
            "wal-000000000000000A",
            "wal-+00000000000000a",
            "wal-ffffffffffffffff",
            "lost+found",
            "-",
        ] {
            assert_eq!(FileName::parse(foreign), None, "{foreign:?}");
        }
    }
}
