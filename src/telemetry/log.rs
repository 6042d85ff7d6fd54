//! The log, on standard error: readable lines if that is a terminal, one JSON object per line otherwise.
//!
//! Every value is [cut], because values can come from messages: a customer's id or the name of a type can be as long as
//! a message.

mod json;
mod values;

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::{MakeWriter, fmt};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use json::JsonLines;
use values::CutFields;

/// Starts the log. Later calls in the same process have no effect.
///
/// # Errors
/// Returns an error if `log.level` is neither a level nor a list of tracing directives.
pub fn init(settings: &Log) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let terminal = std::io::stderr().is_terminal();
    let is_human = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // An error means that the process has a log already, as in tests. That log stays.
    let _already_started = if is_human {
        human(filter, std::io::stderr, terminal).try_init()
    } else {
        json(filter, std::io::stderr).try_init()
    };
    Ok(())
}

fn human<W>(filter: EnvFilter, writer: W, has_colors: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = fmt().with_env_filter(filter).with_writer(writer).with_ansi(has_colors);
    builder.with_target(false).fmt_fields(CutFields).finish()
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    fmt().with_env_filter(filter).with_writer(writer).event_format(JsonLines).finish()
}

#[cfg(test)]
mod tests;
