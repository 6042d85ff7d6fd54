//! Log events as JSON, one object per line, each value cut.
//!
//! The subscriber's own JSON format writes values whole and has no place to cut them. This format has the same keys in
//! the same order: `timestamp`, `level`, the fields of the event, `target`.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::base::cut;

/// The field in which an event of the crate `log` has its target. Its other fields with this prefix name the source
/// line.
const LOG_TARGET: &str = "log.target";
const LOG_PREFIX: &str = "log.";

/// Formats events as JSON. Spans are left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = line(event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn line(event: &Event<'_>) -> Result<String, Box<dyn std::error::Error>> {
    let mut timestamp = String::new();
    SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
    let metadata = event.metadata();
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", &timestamp)?;
    map.serialize_entry("level", metadata.level().as_str())?;
    let mut fields = Fields { map, result: Ok(()), target: None };
    event.record(&mut fields);
    let Fields { mut map, result, target } = fields;
    result?;
    map.serialize_entry("target", target.as_deref().unwrap_or(metadata.target()))?;
    map.end()?;
    Ok(String::from_utf8(bytes)?)
}

/// Writes fields into a map, each value cut.
struct Fields<M: SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
    /// The target that a field of the event names.
    target: Option<String>,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, field: &Field, value: impl Serialize) {
        if self.result.is_ok() && !field.name().starts_with(LOG_PREFIX) {
            self.result = self.map.serialize_entry(field.name(), &value);
        }
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == LOG_TARGET {
            self.target = Some(cut(value));
        }
        self.put(field, cut(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, cut(format_args!("{value:?}")));
    }
}
