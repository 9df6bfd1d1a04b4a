//! What the sensor says about its own work: standard error, for a person or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;

use super::Context;
use crate::config::{Level, Log, LogFormat};

/// Starts the log. Only the first call in a process counts.
pub(super) fn start(settings: &Log, context: Context) {
    let level = match (settings.level, context.verbose) {
        (Level::Trace, _) | (_, 2..) => LevelFilter::TRACE,
        (Level::Debug, _) | (_, 1) => LevelFilter::DEBUG,
        (Level::Info, 0) => LevelFilter::INFO,
        (Level::Warn, 0) => LevelFilter::WARN,
        (Level::Error, 0) => LevelFilter::ERROR,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    // Where the log cannot be written, saying so in the same place would only make the sensor panic.
    let builder = builder.log_internal_errors(false);
    let colour = context.colour && std::io::stderr().is_terminal();
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(colour).compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A log that is there already stays.
    let _ = started;
}
