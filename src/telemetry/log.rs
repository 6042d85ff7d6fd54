//! The log on standard error: readable lines on a terminal, otherwise one JSON object per line.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Starts the log. Later calls in the same process have no effect.
///
/// # Errors
/// Returns an error if `log.level` is neither a level nor a list of tracing directives.
pub fn init(settings: &Log) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let terminal = std::io::stderr().is_terminal();
    let human = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // An error means that the log was started before, as in tests. The earlier log stays.
    let _already_started = if human {
        builder.with_target(false).finish().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).finish().try_init()
    };
    Ok(())
}
