//! A stream of bytes, cut into frames: the same frames, however the stream is cut, and no more held than has come.

use arbitrary::Unstructured;
use bytes::Bytes;
use diskeyval_core::inspect::decode::Frames;

/// A limit, where the stream is cut, and the stream.
pub fn run(bytes: &[u8]) {
    let mut rest = Unstructured::new(bytes);
    let (Ok(limit), Ok(cuts)) = (rest.arbitrary::<u8>(), rest.arbitrary::<[u8; 8]>()) else { return };
    let (limit, stream) = (usize::from(limit), Bytes::copy_from_slice(rest.take_rest()));
    let expected = by_hand(&stream, limit);
    let mut frames = Frames::up_to(limit);
    let (mut found, mut at, mut cut) = (Vec::new(), 0, cuts.iter().cycle());
    let mut wrong = false;
    while at < stream.len() && !wrong {
        let end = (at + usize::from(*cut.next().unwrap_or(&1)).max(1)).min(stream.len());
        frames.push(stream.slice(at..end));
        at = end;
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(size) => {
                    assert!(size > limit, "a frame of {size} bytes is within {limit}");
                    wrong = true;
                    break;
                }
            }
        }
        assert!(wrong || frames.unread() < limit + 4, "it holds what is a whole frame");
    }
    assert_eq!((found, wrong), expected, "whoever cuts by hand finds other frames");
}

/// The frames of a stream that is there as a whole, and whether one that is too large follows.
fn by_hand(mut stream: &[u8], limit: usize) -> (Vec<Bytes>, bool) {
    let mut frames = Vec::new();
    while let Some((size, rest)) = stream.split_first_chunk() {
        let size = u32::from_le_bytes(*size) as usize;
        if size > limit {
            return (frames, true);
        }
        let Some((frame, rest)) = rest.split_at_checked(size) else { break };
        frames.push(Bytes::copy_from_slice(frame));
        stream = rest;
    }
    (frames, false)
}
