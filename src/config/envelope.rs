//! The configuration of the envelope: the parts of a message around the payload.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parts of a message that carry the payload, the message type and the event id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Envelope {
    /// The message attribute that carries the payload: a Binary attribute, or a String attribute with the payload in
    /// base64. If a message does not have it, its body must be the payload in base64.
    pub payload_attribute: String,
    /// The message attribute that carries the full name of the message type.
    pub type_attribute: String,
    /// The message attribute that carries the event id.
    pub event_id_attribute: String,
    /// The most bytes of a payload after decompression (`content-encoding` gzip or zstd, or zlib in `framing: glue`),
    /// and of an S3 object that a message points to. A message with more is quarantined as `bad_envelope`.
    #[schemars(range(min = 1_024, max = 268_435_456))]
    pub max_payload_bytes: usize,
    /// The S3 buckets that messages of the SQS and SNS extended clients can point to. protobridge reads from no other
    /// bucket. Default: none, so that such messages are quarantined as `bad_envelope`.
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

/// The format that wraps the payloads of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// No wrapper: the payload is the event.
    #[default]
    None,
    /// `google.protobuf.Any`, which names the event's type.
    Any,
    /// CloudEvents in the Protobuf format (`io.cloudevents.v1.CloudEvent`).
    CloudEvents,
    /// Confluent's wire format: a zero byte, the schema id and the indexes of the message in that schema.
    Confluent,
    /// The wire format of the AWS Glue Schema Registry: a header with the id of the schema version, and the index of the
    /// message in that schema.
    Glue,
    /// Length-delimited: the length of the event in bytes as a varint, then the event. A message has exactly one event.
    Delimited,
}

/// The lookup of the schema ids of Confluent's wire format, for queues with `framing: confluent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Confluent {
    /// The YAML file of schema ids (`schemas:` with a list of {id, types, nested}). protobridge looks here first. A
    /// relative path starts at the folder of the configuration file. Default: no file.
    pub schemas_file: Option<PathBuf>,
    /// The URL of a schema registry with Confluent's API, for ids that are not in the file. It can contain a user and a
    /// password. Default: no registry.
    pub registry_url: Option<String>,
    /// The longest time to wait for an answer of the registry, in milliseconds. If there is no answer, the message is
    /// tried again later.
    #[schemars(range(min = 1, max = 60_000))]
    pub registry_timeout_ms: u64,
}

impl Default for Confluent {
    fn default() -> Self {
        Self { schemas_file: None, registry_url: None, registry_timeout_ms: 3_000 }
    }
}

impl Confluent {
    /// Returns the longest time to wait for an answer of the registry.
    pub fn registry_timeout(&self) -> Duration {
        Duration::from_millis(self.registry_timeout_ms)
    }
}

/// The lookup of the schema version ids of the AWS Glue Schema Registry, for queues with `framing: glue`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Glue {
    /// The YAML file of schema version ids (`schemas:` with a list of {id, types}). protobridge does not call AWS Glue. A
    /// relative path starts at the folder of the configuration file. Default: no file.
    pub schemas_file: Option<PathBuf>,
}
