//! What the service says about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `auto` is `human` on a terminal and `json` otherwise.
    pub format: LogFormat,
    /// Level, or tracing directives such as `info,protobridge::publish=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into() }
    }
}

/// Format of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// One readable line an event.
    Human,
    /// One JSON object an event.
    Json,
}

/// Metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Label published entries with the customer's id. Off by default: ten thousand customers are ten thousand series.
    pub customer_label: bool,
}

/// Traces: a span for the way of each event, in the trace that `traceparent` or the `AWSTraceHeader` of its message names.
///
/// The exporter also reads the variables of OpenTelemetry, such as `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Base URL of the collector that takes spans by OTLP over HTTP (`/v1/traces`), for example `http://localhost:4318`.
    /// Default: no spans are made; the trace of a message is passed on all the same.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is kept, from 0 to 1. A message that belongs to a trace follows that trace's decision.
    pub sample_ratio: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}
