//! What the library tells of its doings: on stderr, a line each, without colours.

use std::io;

use tracing_subscriber::filter::LevelFilter;

use crate::args::LogLevel;
use diskeyval_mio::command::text;

use crate::terminal;

/// From now on, what is as grave as `level` is written.
pub(crate) fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(|| Lines).init();
}

/// Takes a whole line with each write, as the subscriber writes it.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        // What a stranger has sent may stand in it.
        terminal::notice(&format!("{}\n", text::one_line(line.trim_end_matches('\n'))));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
