//! The configuration: one YAML file, every key typed, each with its default and its unit.
//!
//! The doc comment of a field is what `protobridge config schema` shows for the key, so it is written for the
//! person who fills in the file. Reading a file, applying `PROTOBRIDGE_…` variables and refusing unknown keys is
//! the business of [`load`] and of [`strict_config`]; what a value may be beyond its type is the business of [`Config::problems`].

mod delivery;
mod envelope;
pub mod load;
pub mod names;
mod profile;
mod route;
mod schema;
mod telemetry;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use delivery::{Dedupe, Publish, Receive, Retry, Shutdown, Visibility};
pub use envelope::{Confluent, Envelope, Framing};
pub use profile::{Bytes, Enums, FieldNames, Int64, Profile};
pub use route::{Nobody, Route};
pub use schema::{EXAMPLE, json_schema};
pub use telemetry::{Log, LogFormat, Metrics, Traces};

/// Configuration of protobridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How AWS is reached.
    pub aws: Aws,
    /// The queues to receive from; at least one.
    pub queues: Vec<Queue>,
    /// Receiving: pollers and the in-flight budget.
    pub receive: Receive,
    /// How long a received message stays hidden from other receivers, and when that is extended.
    pub visibility: Visibility,
    /// Where the payload, the message type and the event's id stand in a message.
    pub envelope: Envelope,
    /// Where the schema ids of Confluent's wire format are looked up.
    pub confluent: Confluent,
    /// The compiled descriptor sets.
    pub descriptors: Descriptors,
    /// Field paths whose values are noted while an event is transcoded.
    pub taps: Taps,
    /// Named ways to render JSON; customers choose one. `default` is canonical ProtoJSON unless redefined here.
    pub profiles: BTreeMap<String, Profile>,
    /// Whose event it is, and what happens to events that are nobody's.
    pub route: Route,
    /// Publishing to the customers' topics.
    pub publish: Publish,
    /// Duplicates: what was published lately is not published again.
    pub dedupe: Dedupe,
    /// When a message that could not be finished is tried again.
    pub retry: Retry,
    /// Stopping.
    pub shutdown: Shutdown,
    /// The HTTP endpoint for health, metrics and status.
    pub admin: Admin,
    /// Logging.
    pub log: Log,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces.
    pub traces: Traces,
}

/// How AWS is reached. Credentials come from the SDK's default chain: environment, shared profile, web identity
/// (IRSA), container (Pod Identity), instance metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// AWS region, for example `eu-west-1`. Default: from the environment or the shared profile.
    pub region: Option<String>,
    /// Base URL of SQS, SNS and S3, for an emulator or a VPC endpoint. Default: the region's public endpoints.
    pub endpoint_url: Option<String>,
    /// Longest time to establish a connection, in milliseconds.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// Longest time for one attempt of a call, in milliseconds; a long poll gets its wait time on top.
    #[schemars(range(min = 1))]
    pub attempt_timeout_ms: u64,
    /// How often a call is tried before it counts as failed, the first attempt included. Receives, publishes and deletes are
    /// tried once: what becomes of their messages is decided message by message.
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: u32,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            connect_timeout_ms: 3_000,
            attempt_timeout_ms: 10_000,
            max_attempts: 3,
        }
    }
}

/// A queue to receive from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// URL of the queue. A FIFO queue's ends in `.fifo`.
    pub url: String,
    /// Name of the queue in metrics and logs. Default: the last segment of the URL.
    pub name: Option<String>,
    /// Full name of the message type of events that name none, for example `shop.v1.OrderPlaced`. Default: such
    /// events are quarantined as `unknown_type`.
    pub default_type: Option<String>,
    /// What the payloads of this queue are wrapped in: `none`, `any` (`google.protobuf.Any`), `cloudevents` (CloudEvents
    /// in the Protobuf format) or `confluent` (Confluent's wire format, see `confluent`).
    pub framing: Framing,
    /// URL of the queue that takes messages which cannot be published, unchanged and with the reason. Default:
    /// they stay on the source, for its redrive policy to take.
    pub quarantine_url: Option<String>,
}

/// The compiled descriptor sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Descriptors {
    /// Folder of FileDescriptorSets (`*.desc`, `*.binpb`, `*.pb`), searched with its sub-folders, or one such file.
    /// A relative path starts at the configuration file.
    pub path: PathBuf,
    /// What happens to a new version of a set that breaks those who read the JSON: a field, a message type or an enum
    /// value that is gone, renamed, or of another type.
    pub on_break: OnBreak,
    /// Whether the folder and the customers file are watched, and what changes in them comes into force without a restart.
    pub reload: bool,
    /// How often the folder and the customers file are read again to see whether they have changed, in seconds. Where the
    /// file system tells of changes, they are seen at once; 0 relies on that alone.
    #[schemars(range(max = 3_600))]
    pub poll_seconds: u64,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self { path: "descriptors".into(), on_break: OnBreak::Warn, reload: true, poll_seconds: 30 }
    }
}

/// What happens to a change that breaks those who read the JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBreak {
    /// It comes into force, and the log names it with the customers who receive the type.
    #[default]
    Warn,
    /// The set is refused, and what was in force stays so.
    Refuse,
}

/// Field paths whose values are noted while an event is transcoded, such as `meta.tenant_id`. Of each list the
/// first path that the event's type has, and that holds a value, counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Taps {
    /// Whose event it is, where no attribute says so.
    pub customer: Vec<String>,
    /// The event's id, where no attribute gives one. It has to be the same whenever the same event is sent again.
    pub event_id: Vec<String>,
    /// When the event happened. Default: when it was sent to the queue.
    pub event_time: Vec<String>,
    /// What has to stay in order on a FIFO topic, where the source has no message group.
    pub ordering: Vec<String>,
}

/// The HTTP endpoint for health, metrics and status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port to listen on; port 0 takes a free one.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}

impl Queue {
    /// The queue's name in metrics and logs: the configured one, or the last segment of the URL.
    pub fn label(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.url.rsplit('/').next().unwrap_or(&self.url),
        }
    }
}
