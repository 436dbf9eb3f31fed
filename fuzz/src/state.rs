//! A whole state: read of bytes that are cut anywhere, whatever they are.

use bytes::Bytes;
use diskeyval_core::inspect::decode::{Decoded, Format, StateReader};
use xxhash_rust::xxh3::xxh3_128;

/// One byte says whether the checksum is made right, and one where the bytes are cut.
pub fn run(bytes: &[u8]) {
    let Some((&[how, cut], state)) = bytes.split_first_chunk() else { return };
    let mut state = state.to_vec();
    if how % 2 == 0 {
        seal(&mut state);
    }
    let whole = Format::State.decode(&Bytes::copy_from_slice(&state));
    let mut reader = Some(StateReader::default());
    for piece in state.chunks(usize::from(cut).max(1)) {
        reader = reader.and_then(|reader| reader.push(piece));
    }
    let parts = reader.and_then(StateReader::finish);
    let written = |decoded: &Decoded| decoded.encode();
    assert_eq!(parts.as_ref().map(written), whole.as_ref().map(written), "cut into pieces of {cut}");
    if let Some(written) = whole.as_ref().map(written) {
        let again = Format::State.decode(&written).expect("what was written is read");
        assert_eq!(again.encode(), written);
    }
}

/// Puts the checksum of all before it at the end.
pub fn seal(state: &mut [u8]) {
    if let Some((before, sum)) = state.split_last_chunk_mut::<16>() {
        *sum = xxh3_128(before).to_le_bytes();
    }
}
