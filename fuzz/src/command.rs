//! What is typed to the command.

use std::io::BufReader;

use diskeyval_mio::command::line::{Line, read_line};
use diskeyval_mio::command::peer::peer;
use diskeyval_mio::command::request::Request;
use diskeyval_mio::command::text;

/// The longest line that is taken here.
const LONGEST: usize = 200;

/// One byte says how the input is cut, and all lines are understood.
pub fn run(bytes: &[u8]) {
    let Some((&buffer, input)) = bytes.split_first() else { return };
    let mut reader = BufReader::with_capacity(usize::from(buffer).max(1), input);
    let mut lines = Vec::new();
    loop {
        match read_line(&mut reader, LONGEST).expect("memory can be read") {
            Line::End => break,
            Line::TooLong => lines.push(None),
            Line::Whole(line) => lines.push(Some(line)),
        }
    }
    let mut expected: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    // Behind the last line feed there is no line.
    expected.pop_if(|last| last.is_empty());
    let expected: Vec<Option<Vec<u8>>> =
        expected.into_iter().map(|line| (line.len() <= LONGEST).then(|| line.to_vec())).collect();
    assert_eq!(lines, expected);
    lines.iter().flatten().for_each(|line| understand(line));
}

fn understand(line: &[u8]) {
    match Request::parse(line) {
        Ok(_) => {}
        Err(why) => is_one_line(&text::one_line(&why)),
    }
    is_one_line(&text::escape(line));
    is_one_line(&text::json_line(format!("{:?}", text::for_json(line))));
    if let Ok(given) = str::from_utf8(line) {
        match peer(given) {
            Ok(peer) => assert!(given.starts_with(peer.node_id.as_str())),
            Err(why) => is_one_line(&text::one_line(&why.to_string())),
        }
    }
}

fn is_one_line(shown: &str) {
    assert!(!shown.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{shown:?}");
}
