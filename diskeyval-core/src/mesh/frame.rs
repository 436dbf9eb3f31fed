//! Frames: four bytes of length (little endian), then so many bytes of body.
//!
//! A stream may be cut anywhere. A frame that lies whole in one piece of it is handed on without a copy.

use alloc::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::mutants::{Mutant, is};

/// Bytes of the length field.
pub(crate) const LENGTH: usize = 4;

/// Puts the pieces of a stream together and cuts frames out of it.
#[derive(Clone, Debug)]
pub(crate) struct Cutter {
    max_frame: usize,
    /// Whole pieces that were not cut yet.
    pieces: VecDeque<Bytes>,
    /// The beginning of a frame that goes on in the next piece.
    partial: BytesMut,
}

/// A frame says that it is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) size: usize,
    pub(crate) limit: usize,
}

impl Cutter {
    pub(crate) fn new(max_frame: usize) -> Cutter {
        Cutter { max_frame, pieces: VecDeque::new(), partial: BytesMut::new() }
    }

    /// From now on frames may have another size.
    pub(crate) fn set_max_frame(&mut self, max_frame: usize) {
        self.max_frame = max_frame;
    }

    /// Takes the next piece of the stream.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that are no whole frame yet.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn unread(&self) -> usize {
        self.partial.len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// The body of the next frame, if all of it is there. Nothing is allocated for a frame beyond the
    /// limit, and for one within it only as its bytes arrive.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, TooLarge> {
        if self.partial.is_empty() {
            let Some(piece) = self.pieces.front_mut() else { return Ok(None) };
            if let Some(size) = within(self.max_frame, body_size(piece))?
                && piece.len() >= LENGTH + size
            {
                let mut frame = piece.split_to(LENGTH + size);
                if piece.is_empty() {
                    self.pieces.pop_front();
                }
                return Ok(Some(frame.split_off(LENGTH)));
            }
        }
        loop {
            let wanted = match within(self.max_frame, body_size(&self.partial))? {
                Some(size) if self.partial.len() == LENGTH + size => {
                    let mut frame = core::mem::take(&mut self.partial).freeze();
                    return Ok(Some(frame.split_off(LENGTH)));
                }
                Some(size) => LENGTH + size - self.partial.len(),
                None => LENGTH - self.partial.len(),
            };
            let Some(piece) = self.pieces.front_mut() else { return Ok(None) };
            let taken = piece.split_to(wanted.min(piece.len()));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            self.partial.put_slice(&taken);
        }
    }
}

fn within(limit: usize, size: Option<usize>) -> Result<Option<usize>, TooLarge> {
    match size {
        Some(size) if size > limit && !is(Mutant::FrameUnbounded) => Err(TooLarge { size, limit }),
        size => Ok(size),
    }
}

fn body_size(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<LENGTH>().map(|size| u32::from_le_bytes(*size) as usize)
}

/// Writes a frame whose body is put together by `body`.
pub(crate) fn write(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    body(out);
    // `Limits` keeps frames far below what four bytes can say.
    let size = u32::try_from(out.len() - start - LENGTH).unwrap_or(u32::MAX);
    out[start..start + LENGTH].copy_from_slice(&size.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn stream(bodies: &[&[u8]]) -> Bytes {
        let mut out = BytesMut::new();
        for body in bodies {
            write(&mut out, |out| out.put_slice(body));
        }
        out.freeze()
    }

    /// W11: the npm package split multi-byte characters where chunks ended.
    #[test]
    fn w11_frames_are_the_same_however_the_stream_is_cut() {
        let bodies: [&[u8]; 5] = [b"", b"a", "\u{1f980} crab".as_bytes(), &[7; 300], b"end"];
        let stream = stream(&bodies);
        for step in 1..=stream.len() {
            let mut cutter = Cutter::new(300);
            let mut found: Vec<Bytes> = Vec::new();
            for piece in stream.chunks(step) {
                cutter.push(Bytes::copy_from_slice(piece));
                while let Some(frame) = cutter.next().expect("all are within the limit") {
                    found.push(frame);
                }
            }
            assert_eq!(found, bodies, "cut into pieces of {step}");
        }
    }

    #[test]
    fn two_pieces_cut_at_every_byte_pushed_at_once() {
        let stream = stream(&[b"one", b"", b"three"]);
        for cut in 0..=stream.len() {
            let mut cutter = Cutter::new(5);
            cutter.push(stream.slice(..cut));
            cutter.push(stream.slice(cut..));
            for body in [&b"one"[..], b"", b"three"] {
                assert_eq!(cutter.next(), Ok(Some(Bytes::copy_from_slice(body))), "cut at {cut}");
            }
            assert_eq!(cutter.next(), Ok(None));
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_by_its_length_alone() {
        let mut cutter = Cutter::new(300);
        cutter.push(Bytes::from_static(&[0xff, 0xff]));
        assert_eq!(cutter.next(), Ok(None));
        cutter.push(Bytes::from_static(&[0xff, 0xff]));
        assert_eq!(cutter.next(), Err(TooLarge { size: u32::MAX as usize, limit: 300 }));
    }
}
