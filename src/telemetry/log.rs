//! The log, on standard error: readable lines if that is a terminal, one JSON object per line otherwise.
//!
//! Every value is [cut], because values can come from messages: a customer's id or the name of a type can be as long as
//! a message.

mod json;
mod values;

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::{MakeWriter, fmt};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use json::JsonLines;
use values::CutFields;

/// The level of a running log, which can be changed. Libraries that log through the crate `log` keep the level of the
/// start.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(EnvFilter) + Send + Sync>);

/// The crates whose lines a lone level is about.
const OWN_CRATES: [&str; 2] = ["protobridge", "aws_lean"];

/// Returns the filter of a `log.level`. With a lone `debug` or `trace`, the dependencies log at `info`, because the HTTP
/// library alone logs several lines per call.
///
/// # Errors
/// Returns an error if the text is neither a level nor a list of tracing directives.
fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    match level.trim().parse::<LevelFilter>() {
        Ok(lone) if lone > LevelFilter::INFO => {
            let own = OWN_CRATES.map(|name| format!("{name}={lone}")).join(",");
            EnvFilter::builder().parse(format!("info,{own}"))
        }
        _ => EnvFilter::builder().parse(level),
    }
}

impl LogLevel {
    /// Sets the level.
    ///
    /// # Errors
    /// Returns an error if the level is neither a level nor a list of tracing directives. The level stays as it is.
    pub fn set(&self, level: &str) -> Result<(), ParseError> {
        (self.0)(filter(level)?);
        Ok(())
    }
}

#[cfg(test)]
impl LogLevel {
    /// Returns a level that notes what it is set to.
    pub(crate) fn noted() -> (Self, Arc<parking_lot::Mutex<Vec<String>>>) {
        let levels: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&levels);
        (Self(Arc::new(move |filter| noted.lock().push(filter.to_string()))), levels)
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogLevel")
    }
}

/// Starts the log, and returns its level. Later calls in the same process have no effect, and neither has their level.
///
/// # Errors
/// Returns an error if `log.level` is neither a level nor a list of tracing directives.
pub fn init(settings: &Log) -> Result<LogLevel, ParseError> {
    let filter = filter(&settings.level)?;
    let terminal = std::io::stderr().is_terminal();
    let is_human = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // An error means that the process has a log already, as in tests. That log stays.
    let (_already_started, level) = if is_human {
        let (log, level) = human(filter, std::io::stderr, terminal);
        (log.try_init(), level)
    } else {
        let (log, level) = json(filter, std::io::stderr);
        (log.try_init(), level)
    };
    Ok(level)
}

fn human<W>(filter: EnvFilter, writer: W, has_colors: bool) -> (impl Subscriber + Send + Sync, LogLevel)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = fmt().with_env_filter(filter).with_writer(writer).with_ansi(has_colors);
    let builder = builder.with_target(false).fmt_fields(CutFields).with_filter_reloading();
    let handle = builder.reload_handle();
    // The log is gone if it was never started. Its level then has no effect.
    (builder.finish(), LogLevel(Arc::new(move |filter| drop(handle.reload(filter)))))
}

fn json<W>(filter: EnvFilter, writer: W) -> (impl Subscriber + Send + Sync, LogLevel)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = fmt().with_env_filter(filter).with_writer(writer).event_format(JsonLines).with_filter_reloading();
    let handle = builder.reload_handle();
    (builder.finish(), LogLevel(Arc::new(move |filter| drop(handle.reload(filter)))))
}

#[cfg(test)]
mod tests;
