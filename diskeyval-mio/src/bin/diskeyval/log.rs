//! What the library tells on stderr.

use std::io;

use tracing_subscriber::filter::LevelFilter;

use crate::args::LogLevel;

/// From now on, what is as grave as `level` is written to stderr: a line each, without colours.
pub(crate) fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(io::stderr).init();
}
