//! What is seen while it runs: on a terminal one line that is refreshed, else a line for each event.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Tells on standard error how it goes. If nobody can be told, nothing is missing.
pub(super) struct Progress {
    is_terminal: bool,
    start: Instant,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { is_terminal: io::stderr().is_terminal(), start: Instant::now() }
    }

    /// From now on time is counted anew.
    pub(super) fn restart(&mut self) {
        self.start = Instant::now();
    }

    /// Something happened.
    pub(super) fn event(&self, what: &str) {
        if self.is_terminal {
            self.refresh(what);
        } else {
            let _ = writeln!(io::stderr(), "{:6.1} s  {what}", self.start.elapsed().as_secs_f64());
        }
    }

    /// How it stands: for terminals only.
    pub(super) fn refresh(&self, how: &str) {
        if self.is_terminal {
            let seconds = self.start.elapsed().as_secs_f64();
            // Back to the margin, and clear the line.
            let _ = write!(io::stderr(), "\r\x1b[2K{seconds:6.1} s  {how}");
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
