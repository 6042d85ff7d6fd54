//! The configuration of the log, the metrics and the traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The format of the log: `human`, `json`, or `auto`, which is `human` on a terminal and `json` otherwise.
    pub format: LogFormat,
    /// The level (`off`, `error`, `warn`, `info`, `debug` or `trace`), or tracing directives such as
    /// `info,protobridge::aws::sns::publish=debug`. With `debug` or `trace` alone, the libraries that protobridge uses log
    /// at `info`; to see their lines too, write directives, such as `debug,hyper_util=debug`. A change takes effect
    /// without a restart.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into() }
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// One readable line per log event.
    Human,
    /// One JSON object per log event.
    Json,
}

/// Metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Whether the metrics of published entries have a label with the customer's id. Off by default, because ten
    /// thousand customers make ten thousand time series.
    pub customer_label: bool,
}

/// Traces. Each event gets a span in the trace that `traceparent` or `AWSTraceHeader` of its message names.
///
/// The exporter also reads the environment variables of OpenTelemetry, such as `OTEL_EXPORTER_OTLP_HEADERS`,
/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The base URL of the collector that receives spans by OTLP over HTTP (`/v1/traces`), for example
    /// `http://localhost:4318`. It can contain a user and a password. Default: protobridge makes no spans, but passes
    /// the trace of a message on.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is kept, from 0 to 1. For a message that already belongs to a trace, the decision
    /// of that trace applies.
    pub sample_ratio: f64,
}

impl Default for Traces {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}
