//! Configuration of what messages are wrapped in.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the payload, the message type and the event's id stand in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Envelope {
    /// Binary message attribute that carries the payload; where it is absent, the body is base64.
    pub payload_attribute: String,
    /// Message attribute that carries the full name of the message type.
    pub type_attribute: String,
    /// Message attribute that carries the event's id.
    pub event_id_attribute: String,
    /// Most bytes of a payload whose `content-encoding` (gzip or zstd) is undone, and of an S3 object that a message
    /// points to. A message with more is quarantined as `bad_envelope`.
    #[schemars(range(min = 1_024, max = 268_435_456))]
    pub max_payload_bytes: usize,
    /// S3 buckets that messages of the SQS and SNS extended clients may point to; no other is read from. Default:
    /// none, and such messages are quarantined as `bad_envelope`.
    pub s3_buckets: Vec<String>,
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            payload_attribute: "payload".into(),
            type_attribute: "message-type".into(),
            event_id_attribute: "event-id".into(),
            max_payload_bytes: 4 * 1024 * 1024,
            s3_buckets: Vec::new(),
        }
    }
}

/// What the payloads of a queue are wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// Nothing: the payload is the event.
    #[default]
    None,
    /// `google.protobuf.Any`, which names the event's type.
    Any,
    /// CloudEvents in the Protobuf format (`io.cloudevents.v1.CloudEvent`).
    CloudEvents,
    /// Confluent's wire format: a zero byte, the schema's id, and which of its messages it is.
    Confluent,
}

/// Where the ids in Confluent's wire format are looked up, for queues with `framing: confluent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Confluent {
    /// YAML file of schema ids (`schemas:` with a list of {id, types, nested}); it is asked first. A relative path
    /// starts at the configuration file. Default: no file.
    pub schemas_file: Option<PathBuf>,
    /// URL of a schema registry with Confluent's API, which is asked for ids that the file does not have; user and
    /// password can stand in it. Default: no registry.
    pub registry_url: Option<String>,
    /// How long an answer of the registry is waited for, in milliseconds; a message that gets none is tried again later.
    #[schemars(range(min = 1, max = 60_000))]
    pub registry_timeout_ms: u64,
}

impl Default for Confluent {
    fn default() -> Self {
        Self { schemas_file: None, registry_url: None, registry_timeout_ms: 3_000 }
    }
}

impl Confluent {
    /// How long an answer of the registry is waited for.
    pub fn registry_timeout(&self) -> Duration {
        Duration::from_millis(self.registry_timeout_ms)
    }
}
