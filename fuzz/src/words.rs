//! Every word of the protocol, and every entry: what is read can be told in words and written again, and is then the same.

use arbitrary::Unstructured;
use bytes::Bytes;
use diskeyval_core::inspect::decode::Format;
use diskeyval_core::inspect::{Ear, Said};

use crate::seeds::scene;
use crate::write;

/// By the first byte: bytes as they are, or words that are written by hand with them.
pub fn run(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 4 {
        0 => read(rest),
        1 => {
            for format in [Format::Entry, Format::Batch, Format::Records, Format::Slot] {
                again(format, Bytes::copy_from_slice(rest));
            }
        }
        2 => {
            if let Ok(body) = write::frame(&scene(), &mut Unstructured::new(rest)) {
                read(&body);
            }
        }
        _ => {
            if let Ok(entry) = write::entry(&scene(), &mut Unstructured::new(rest)) {
                again(Format::Entry, entry.clone().into());
                if let Some(said) = Said::parse(entry.into()) {
                    assert_eq!(said.to_string().lines().count(), 1, "{said}");
                }
            }
        }
    }
}

/// A frame: heard by whoever listens to a wire, and read by itself.
fn read(body: &[u8]) {
    let mut ear = Ear::default();
    ear.push(write::framed(body).into());
    let word = ear.next_word();
    assert_eq!(word.is_some(), again(Format::Frame, Bytes::copy_from_slice(body)));
    if let Some(word) = word {
        assert_eq!(word.to_string().lines().count(), 1, "{word}");
        let _ = (word.kind(), word.claim(), word.is_routine());
    }
}

/// Tells whether it was read.
pub(crate) fn again(format: Format, bytes: Bytes) -> bool {
    let Some(value) = format.decode(&bytes) else { return false };
    let written = value.encode();
    let same = format.decode(&written).expect("what was written is read");
    assert_eq!(format!("{same:?}"), format!("{value:?}"), "{format:?} of {bytes:x?} as {written:x?}");
    assert_eq!(same.encode(), written);
    true
}
