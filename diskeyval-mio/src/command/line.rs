//! Lines of bytes, of which none takes more memory than it may.

use std::io::{self, BufRead};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line.
    Whole(Vec<u8>),
    /// A line that was too long.
    TooLong,
    /// There are no more.
    End,
}

/// Takes a line, without its end. One that is longer than this is read to its end, and not kept.
///
/// # Errors
/// What the reader reports.
pub fn read_line(input: &mut impl BufRead, longest: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut begun = false;
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let over = chunk.is_empty();
        begun |= !over;
        if line.len() + part.len() > longest {
            too_long = true;
            line = Vec::new();
        } else if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() || over {
            return Ok(match (begun, too_long) {
                (false, _) => Line::End,
                (true, true) => Line::TooLong,
                (true, false) => Line::Whole(line),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(input: &[u8], buffer: usize) -> Vec<Line> {
        let mut input = BufReader::with_capacity(buffer, input);
        let mut lines = Vec::new();
        loop {
            match read_line(&mut input, 5).expect("memory can be read") {
                Line::End => return lines,
                line => lines.push(line),
            }
        }
    }

    #[test]
    fn lines_are_cut_and_long_ones_are_skipped_however_they_arrive() {
        let whole = |text: &str| Line::Whole(text.into());
        for buffer in [1, 2, 3, 7, 64] {
            let cut = lines(b"12345\n123456\n\n1234567890123\nab\r\nend", buffer);
            let expected =
                [whole("12345"), Line::TooLong, whole(""), Line::TooLong, whole("ab\r"), whole("end")];
            assert_eq!(cut, expected, "{buffer}");
        }
        assert_eq!(lines(b"", 8), []);
    }
}
