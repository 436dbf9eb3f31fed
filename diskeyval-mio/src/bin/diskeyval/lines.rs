//! Commands from another program: one command a line on stdin, one answer a line on stdout.

use std::io::{self, BufRead, Write};

use diskeyval_mio::command::line::{Line, read_line};
use diskeyval_mio::command::request::Request;
use diskeyval_mio::{Limits, Node};

use crate::answer;
use crate::session::Session;

/// Answers line by line until `quit`, which is told by true, or the end of what comes in.
pub(crate) fn serve(
    node: &Node,
    longest: usize,
    input: &mut impl BufRead,
    output: &mut impl Write,
    session: &Session,
) -> io::Result<bool> {
    loop {
        let line = read_line(input, longest)?;
        let _busy = session.busy();
        let answer = match &line {
            Line::End => return Ok(false),
            Line::TooLong => answer::mistake(&format!("the line is longer than {longest} bytes")),
            Line::Whole(line) => match Request::parse(line) {
                Ok(None) => continue,
                Ok(Some(Request::Quit)) => return Ok(true),
                Ok(Some(request)) => answer::answer(node, request),
                Err(why) => answer::mistake(&why),
            },
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
}

/// The longest line that is of use: a `cas` with the largest key and values.
pub(crate) fn longest(limits: &Limits) -> usize {
    limits.max_value.saturating_mul(2).saturating_add(limits.max_key).saturating_add(64)
}
