//! Bytes as text of one line, whatever they hold.

use std::borrow::Cow;
use std::fmt::Write;

/// Bytes as text without line breaks and control characters, such that no two are shown alike: UTF-8 stands
/// as it is, a backslash as `\\`, a line feed, carriage return and tab as `\n`, `\r` and `\t`, and each byte
/// of any other control character, or of what is no UTF-8, as `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => shown.push_str("\\\\"),
                _ => push(&mut shown, char),
            }
        }
        hex(&mut shown, chunk.invalid());
    }
    shown
}

/// A message as one line: as [`escape`], but a backslash stands for itself.
pub fn one_line(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    message.chars().for_each(|char| push(&mut shown, char));
    shown
}

/// Bytes as a string for JSON, which has escapes of its own: UTF-8 is the text itself; what is no UTF-8 takes
/// the form of [`escape`].
pub fn for_json(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(escape(bytes)),
    }
}

/// JSON, as it was made for one line, with what else could break a line or move a cursor escaped too. All of
/// that stands in strings only.
pub fn json_line(json: String) -> String {
    if !json.contains(is_odd) {
        return json;
    }
    let mut line = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        match char {
            // Writing to a string cannot fail.
            _ if is_odd(char) => drop(write!(line, "\\u{:04x}", u32::from(char))),
            _ => line.push(char),
        }
    }
    line
}

/// Whether a character is none of one line. The separators are taken for the end of a line by some programs.
fn is_odd(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

fn push(shown: &mut String, char: char) {
    match char {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if is_odd(char) => hex(shown, char.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => shown.push(char),
    }
}

fn hex(shown: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_value_holds_it_is_one_line() {
        assert_eq!(escape("plain text, höher".as_bytes()), "plain text, höher");
        assert_eq!(escape(b"a\nb\r\tc\\n"), r"a\nb\r\tc\\n");
        assert_eq!(escape(b"\0\x1b[2J\x7f"), r"\x00\x1b[2J\x7f");
        assert_eq!(escape(b"\xff\xc3("), r"\xff\xc3(");
        assert_eq!(escape("\u{85}\u{2028}".as_bytes()), r"\xc2\x85\xe2\x80\xa8");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn json_is_one_line_and_keeps_what_is_text() {
        let told = |bytes| json_line(serde_json::to_string(&for_json(bytes)).expect("JSON"));
        assert_eq!(told(b"a\\b\n"), r#""a\\b\n""#);
        assert_eq!(told("\u{7f}\u{85}\u{2028}".as_bytes()), r#""\u007f\u0085\u2028""#);
        assert_eq!(told(b"\xff\\"), r#""\\xff\\\\""#);
    }

    #[test]
    fn a_message_keeps_its_backslashes() {
        assert_eq!(one_line("C:\\certs:\nno such file"), "C:\\certs:\\nno such file");
    }
}
