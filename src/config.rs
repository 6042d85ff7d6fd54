//! The configuration: one YAML file, every key typed, each with its default and its unit.
//!
//! The doc comment of a field is what `protobridge config schema` shows for the key, so it is written for the
//! person who fills in the file. Reading a file, applying `PROTOBRIDGE_…` variables and refusing unknown keys is
//! the business of [`load`]; what a value may be beyond its type is the business of [`Config::problems`].

mod check;
pub mod load;
pub mod names;
mod problem;
mod profile;
mod shape;
mod tree;
mod validate;
mod variables;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use problem::{Error, Position, Problem, Source};
pub use profile::{Bytes, Enums, FieldNames, Int64, Profile};
pub use shape::{EXAMPLE, json_schema};

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
}

/// How AWS is reached. Credentials come from the SDK's default chain: environment, shared profile, web identity
/// (IRSA), container (Pod Identity), instance metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// AWS region, for example `eu-west-1`. Default: from the environment or the shared profile.
    pub region: Option<String>,
    /// Base URL of SQS and SNS, for an emulator or a VPC endpoint. Default: the region's public endpoints.
    pub endpoint_url: Option<String>,
    /// Longest time to establish a connection, in milliseconds.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// Longest time for one attempt of a call, in milliseconds; a long poll gets its wait time on top.
    #[schemars(range(min = 1))]
    pub attempt_timeout_ms: u64,
    /// How often the SDK tries one call before it reports the failure, the first attempt included.
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
    /// URL of the queue that takes messages which cannot be published, unchanged and with the reason. Default:
    /// they stay on the source, for its redrive policy to take.
    pub quarantine_url: Option<String>,
}

/// Receiving: pollers and the in-flight budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Receive {
    /// Long polls of each queue that are always under way.
    #[schemars(range(min = 1, max = 256))]
    pub min_pollers: usize,
    /// Most long polls of each queue at a time. A poll that comes back full starts another, one that comes back empty
    /// ends.
    #[schemars(range(min = 1, max = 256))]
    pub max_pollers: usize,
    /// How long one poll waits for a message, in seconds. SQS allows 20 at most; 0 is a short poll and costs more.
    #[schemars(range(min = 0, max = 20))]
    pub wait_seconds: u32,
    /// Most messages that are received and not yet finished, over all queues.
    #[schemars(range(min = 10))]
    pub max_in_flight_messages: usize,
    /// Most bytes of message bodies and attributes that are received and not yet finished, over all queues. A poll
    /// takes 1 MiB of it until it returns, because that is what one receive can bring; with less than that for each
    /// poller, pollers wait for each other.
    #[schemars(range(min = 1_048_576))]
    pub max_in_flight_bytes: usize,
    /// How often SQS is asked how much is on each queue, in seconds; 0 is never.
    #[schemars(range(max = 3_600))]
    pub depth_seconds: u64,
}

impl Default for Receive {
    fn default() -> Self {
        Self {
            min_pollers: 1,
            max_pollers: 8,
            wait_seconds: 20,
            max_in_flight_messages: 2_000,
            max_in_flight_bytes: 64 * 1024 * 1024,
            depth_seconds: 30,
        }
    }
}

/// How long a received message stays hidden from other receivers, and when that is extended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Visibility {
    /// Visibility timeout of what is received, in seconds; it is extended by as much again before it lapses, for
    /// as long as the message is in flight. A message of a killed process comes back after at most this time.
    #[schemars(range(min = 5, max = 43_200))]
    pub timeout_seconds: u32,
}

impl Default for Visibility {
    fn default() -> Self {
        Self { timeout_seconds: 30 }
    }
}

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
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            payload_attribute: "payload".into(),
            type_attribute: "message-type".into(),
            event_id_attribute: "event-id".into(),
        }
    }
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

/// Whose event it is, and what happens to events that are nobody's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// YAML file of the customers (`customers:` with a list of {id, topic, events, profile, enabled}). A relative
    /// path starts at the configuration file.
    pub customers_file: PathBuf,
    /// Message attribute that carries the customer's id; it is asked before the `taps.customer` paths.
    pub customer_attribute: String,
    /// Topic ARN of customers who name none, with `{customer}` in the place of the id, for example
    /// `arn:aws:sns:eu-west-1:123456789012:json-events-{customer}`. Default: each customer has to name a topic.
    pub topic_template: Option<String>,
    /// What happens to an event without a customer: `quarantine`, `drop` (counted as filtered), or a topic ARN.
    pub without_customer: Nobody,
    /// What happens to an event of a customer who is not in the customers file: `quarantine`, `drop`, or a topic ARN.
    pub unknown_customer: Nobody,
    /// Message types, globs allowed, that go to every customer whose `events` ask for them.
    pub broadcast: Vec<String>,
    /// Whether SNS is asked in the background if each topic exists (`sns:GetTopicAttributes`), ten topics a second.
    pub check_topics: bool,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            customers_file: "customers.yaml".into(),
            customer_attribute: "customer-id".into(),
            topic_template: None,
            without_customer: Nobody::Quarantine,
            unknown_customer: Nobody::Quarantine,
            broadcast: vec!["protobridge.v1.Heartbeat".into()],
            check_topics: true,
        }
    }
}

/// What happens to an event that is nobody's: `quarantine`, `drop`, or the ARN of a topic that takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Nobody {
    /// Into quarantine, with the reason `no_customer`.
    #[default]
    Quarantine,
    /// Dropped, and counted as filtered.
    Drop,
    /// Published to this topic.
    Topic(String),
}

/// Publishing to the customers' topics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Publish {
    /// How long a batch that is not full waits for more entries, in milliseconds. More saves calls, less saves latency.
    #[schemars(range(min = 0, max = 60_000))]
    pub linger_ms: u64,
    /// Most bytes of one batch, bodies and attributes together. 256 KiB is the limit of a topic unless its
    /// `MaximumMessageSize` says more; 1 MiB is the most that SNS takes.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub max_batch_bytes: usize,
    /// Most PublishBatch calls at a time, over all topics.
    #[schemars(range(min = 1, max = 4_096))]
    pub max_concurrent_calls: usize,
    /// Most PublishBatch calls at a time for one topic, so that a topic that answers slowly does not hold up the others.
    #[schemars(range(min = 1, max = 4_096))]
    pub max_concurrent_calls_per_topic: usize,
    /// How often an entry is sent before the message goes back to its queue to be tried again later.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            linger_ms: 10,
            max_batch_bytes: 256 * 1024,
            max_concurrent_calls: 32,
            max_concurrent_calls_per_topic: 8,
            max_attempts: 4,
        }
    }
}

/// Duplicates. What SNS has confirmed for a customer is not published to that customer again when the event comes once
/// more, by the same SQS message or by another with the same event id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedupe {
    /// Whether duplicates are suppressed at all.
    pub enabled: bool,
    /// How long a published event is remembered, in seconds.
    #[schemars(range(min = 1, max = 1_209_600))]
    pub window_seconds: u64,
    /// How many published events this process remembers at most, each customer counted by itself; about 100 bytes each.
    #[schemars(range(min = 1))]
    pub max_entries: usize,
    /// URL of a Redis in which several replicas share what they remember, such as `rediss://host:6379`. Default: each
    /// replica knows only what it has published itself. While Redis cannot be reached, events are delivered all the same.
    pub redis_url: Option<String>,
    /// Beginning of the names of all keys in Redis, so that several installations can share one.
    pub redis_prefix: String,
    /// How long an answer of Redis is waited for, in milliseconds; an event waits at most twice as long.
    #[schemars(range(min = 1, max = 10_000))]
    pub redis_timeout_ms: u64,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self {
            enabled: true,
            window_seconds: 900,
            max_entries: 200_000,
            redis_url: None,
            redis_prefix: "protobridge".into(),
            redis_timeout_ms: 250,
        }
    }
}

/// When a message that could not be finished is tried again: its visibility is set to a delay that doubles with
/// each receive, with jitter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The first delay, in seconds.
    #[schemars(range(min = 1, max = 43_200))]
    pub min_seconds: u32,
    /// The longest delay, in seconds.
    #[schemars(range(min = 1, max = 43_200))]
    pub max_seconds: u32,
    /// How long an event of unknown type is retried, in seconds from its first receive, before it is quarantined:
    /// often its schema is only late. The queue's redrive policy has to allow for these receives.
    #[schemars(range(max = 345_600))]
    pub unknown_type_grace_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min_seconds: 2, max_seconds: 300, unknown_type_grace_seconds: 600 }
    }
}

/// Stopping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long messages in flight may take to finish after SIGTERM, in seconds; the rest is made visible again.
    /// Keep it below the pod's `terminationGracePeriodSeconds`.
    #[schemars(range(max = 3_600))]
    pub drain_timeout_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout_seconds: 25 }
    }
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

impl Queue {
    /// The queue's name in metrics and logs: the configured one, or the last segment of the URL.
    pub fn label(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.url.rsplit('/').next().unwrap_or(&self.url),
        }
    }
}

impl Publish {
    /// How long a batch that is not full waits for more entries.
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

impl Visibility {
    /// Visibility timeout of what is received.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }
}

impl Shutdown {
    /// How long messages in flight may take to finish.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_seconds)
    }
}

impl From<String> for Nobody {
    fn from(text: String) -> Self {
        match text.as_str() {
            "quarantine" => Self::Quarantine,
            "drop" => Self::Drop,
            _ => Self::Topic(text),
        }
    }
}

impl From<Nobody> for String {
    fn from(nobody: Nobody) -> Self {
        match nobody {
            Nobody::Quarantine => "quarantine".into(),
            Nobody::Drop => "drop".into(),
            Nobody::Topic(arn) => arn,
        }
    }
}

impl JsonSchema for Nobody {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nobody".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(quarantine|drop|arn:[^:]+:sns:.+)$",
            "description": "`quarantine`, `drop`, or the ARN of a topic"
        })
    }
}
