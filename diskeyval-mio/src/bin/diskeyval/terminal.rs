//! The terminal: how it was found, and who writes to it beside the prompt.

use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustyline::ExternalPrinter;

/// How many notices wait for the prompt to make room.
const MAX_WAITING: usize = 1024;

/// Where notices go while there is a prompt: written past it, they would stand in the middle of what is
/// being typed.
static BESIDE_THE_PROMPT: Mutex<Option<SyncSender<String>>> = Mutex::new(None);

/// From now on notices are printed by `printer`. A thread of its own waits for it, since it waits for
/// whoever types; nothing of the node ever does.
pub(crate) fn print_by(mut printer: impl ExternalPrinter + Send + 'static) -> io::Result<()> {
    let (sender, receiver) = mpsc::sync_channel::<String>(MAX_WAITING);
    thread::Builder::new().name("notices".to_owned()).spawn(move || {
        for notice in receiver {
            if printer.print(notice.clone()).is_err() {
                to_stderr(&notice);
            }
        }
    })?;
    *BESIDE_THE_PROMPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    Ok(())
}

/// Shows a notice, which ends with a line feed: above the prompt if there is one, else on stderr.
pub(crate) fn notice(text: &str) {
    let prompt = BESIDE_THE_PROMPT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*prompt {
        Some(sender) if sender.try_send(text.to_owned()).is_ok() => {}
        _ => to_stderr(text),
    }
}

fn to_stderr(text: &str) {
    // Nobody is there to be told of a stderr that cannot be written.
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(unix)]
static FOUND: Mutex<Option<rustix::termios::Termios>> = Mutex::new(None);

/// Remembers how the terminal is.
pub(crate) fn remember() {
    #[cfg(unix)]
    {
        let found = rustix::termios::tcgetattr(io::stdin()).ok();
        *FOUND.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}

/// Leaves the prompt: notices go to stderr, and the terminal is given back as it was found. Without a prompt
/// this does nothing; doing it again does no harm.
pub(crate) fn restore() {
    let prompt = BESIDE_THE_PROMPT.lock().unwrap_or_else(PoisonError::into_inner).take();
    #[cfg(unix)]
    if let Some(found) = &*FOUND.lock().unwrap_or_else(PoisonError::into_inner) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // If the terminal is gone, so is the need.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, found);
    }
    if prompt.is_some() {
        // Away from what was being typed.
        to_stderr("\n");
    }
}
