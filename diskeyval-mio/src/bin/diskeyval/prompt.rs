//! Commands from a person: a prompt with a history, which is kept in memory alone.

use std::io::{self, Write};

use diskeyval_mio::Node;
use diskeyval_mio::command::request::{COMMANDS, Request};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use crate::answer;
use crate::session::Session;
use crate::terminal;

/// Makes the prompt. From now on, notices appear above it.
pub(crate) fn open() -> Result<DefaultEditor, ReadlineError> {
    terminal::remember();
    // Bracketed paste would stay on when a signal ends the process.
    let config = Config::builder().auto_add_history(true).bracketed_paste(false).build();
    let mut editor = DefaultEditor::with_config(config)?;
    // Some terminals are too simple for this: then notices go to stderr.
    if let Ok(printer) = editor.create_external_printer() {
        terminal::print_by(printer)?;
    }
    Ok(editor)
}

/// Reads commands and prints answers until the person has had enough.
pub(crate) fn serve(node: &Node, mut editor: DefaultEditor, session: &Session) -> Result<(), ReadlineError> {
    let prompt = format!("{}> ", node.id());
    let mut out = io::stdout();
    writeln!(out, "`help` lists the commands, `quit` ends the node.")?;
    while !session.is_ending() {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => return Err(error),
        };
        let _busy = session.busy();
        match Request::parse(line.as_bytes()) {
            Ok(None) => {}
            Ok(Some(Request::Quit)) => return Ok(()),
            Ok(Some(Request::Help)) => help(&mut out)?,
            Ok(Some(request)) => writeln!(out, "{}", answer::answer(node, request))?,
            Err(why) => writeln!(out, "{}", answer::mistake(&why))?,
        }
    }
    Ok(())
}

fn help(out: &mut impl Write) -> io::Result<()> {
    for [form, does, answers] in COMMANDS {
        writeln!(out, "  {form:<29} {does:<52} {answers}")?;
    }
    writeln!(
        out,
        "  What fails answers `refused: WHY` (certainly no effect), or `unknown: WHY` (read to find out)."
    )
}
