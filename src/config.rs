//! The configuration: one YAML file, every key typed, each with its default and its unit.
//!
//! `protobridge config schema` shows the doc comment of a field as the description of the key. It is therefore written
//! for the person who fills in the file.
//!
//! [`load`] reads a file and the `PROTOBRIDGE_…` variables; [`strict_config`] checks both against the types here.
//! [`Config::problems`] checks the rules that types cannot express.

mod canary;
mod changes;
mod claim_check;
mod delivery;
mod envelope;
pub mod load;
mod location;
mod monitor;
pub mod names;
mod profile;
pub mod region;
mod route;
mod schema;
mod store;
mod telemetry;
mod validate;
mod warnings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use canary::{Canary, CanaryPath};
pub use changes::{APPLIED, Change};
pub use claim_check::{ClaimCheck, MAX_KEY_PREFIX_BYTES};
pub use delivery::{Dedupe, Publish, Receive, Retry, Shutdown, Visibility};
pub use envelope::{Confluent, Envelope, Framing, Glue};
pub use location::{InBucket, Location};
pub use monitor::{
    Condition, ExpectedSource, HeartbeatType, Heartbeats, MAX_SOURCE_NAME, OTHER_SOURCES, STALE_AFTER_INTERVALS,
    SilenceRule,
};
pub use profile::{Bytes, Enums, FieldNames, Int64, InvalidUtf8, Profile, UnknownAny};
pub use route::{CustomerMismatch, FallbackPolicy, Route};
pub use schema::{EXAMPLE, json_schema};
pub use store::{Archive, Journal, OnArchiveFailure, Prices, Store};
pub use telemetry::{Log, LogFormat, Metrics, Traces};
pub use warnings::Warning;

/// Configuration of protobridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The connection to AWS.
    pub aws: Aws,
    /// The queues to receive from; at least one.
    pub queues: Vec<Queue>,
    /// Receiving: the pollers and the in-flight budget.
    pub receive: Receive,
    /// The time for which a received message stays hidden from other receivers.
    pub visibility: Visibility,
    /// The parts of a message that carry the payload, the message type and the event id.
    pub envelope: Envelope,
    /// The lookup of the schema ids of Confluent's wire format.
    pub confluent: Confluent,
    /// The lookup of the schema version ids of the AWS Glue Schema Registry.
    pub glue: Glue,
    /// The compiled descriptor sets.
    pub descriptors: Descriptors,
    /// Field paths whose values protobridge reads from an event while it transcodes the event.
    pub taps: Taps,
    /// Named ways to render JSON. Each customer has one. `default` is canonical ProtoJSON unless you redefine it here.
    pub profiles: BTreeMap<String, Profile>,
    /// The routing of events to customers, and the treatment of events that belong to no customer.
    pub route: Route,
    /// Publishing to the customers' topics.
    pub publish: Publish,
    /// The claim check: large events leave as objects of S3.
    pub claim_check: ClaimCheck,
    /// Duplicates: an event that was published recently is not published again.
    pub dedupe: Dedupe,
    /// Retries of messages that protobridge could not finish.
    pub retry: Retry,
    /// The heartbeats of sources, which tell a quiet source from a broken one.
    pub heartbeats: Heartbeats,
    /// The event types that must not stop.
    pub silence: Vec<SilenceRule>,
    /// Shutdown after SIGTERM.
    pub shutdown: Shutdown,
    /// The canary: a test event that travels the whole path of events, from an input queue to a topic and back.
    pub canary: Canary,
    /// The object store for everything that must last longer than a process.
    pub store: Store,
    /// The journal: what became of each received message.
    pub journal: Journal,
    /// The archive: every received message as it came.
    pub archive: Archive,
    /// The prices of AWS for the cost report.
    pub prices: Prices,
    /// The HTTP endpoint for health, metrics and status.
    pub admin: Admin,
    /// Logging.
    pub log: Log,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces.
    pub traces: Traces,
}

/// The connection to AWS. The credentials come from the SDK's default chain: environment, shared profile, web identity
/// (IRSA), container (Pod Identity), instance metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// The AWS region, for example `eu-west-1`. Default: the region of the environment or the shared profile.
    pub region: Option<String>,
    /// The base URL of SQS, SNS and S3, for an emulator or a VPC endpoint. Default: `AWS_ENDPOINT_URL` and the shared
    /// profile, then the region's public endpoints.
    pub endpoint_url: Option<String>,
    /// The base URL of SQS, in place of `aws.endpoint_url`. Default: `aws.endpoint_url`, then `AWS_ENDPOINT_URL_SQS`.
    pub sqs_endpoint_url: Option<String>,
    /// The base URL of SNS, in place of `aws.endpoint_url`. Default: `aws.endpoint_url`, then `AWS_ENDPOINT_URL_SNS`.
    pub sns_endpoint_url: Option<String>,
    /// The base URL of S3, in place of `aws.endpoint_url`. The bucket is the first segment of the path. Default:
    /// `aws.endpoint_url`, then `AWS_ENDPOINT_URL_S3`.
    pub s3_endpoint_url: Option<String>,
    /// The longest time to establish a connection, in milliseconds.
    #[schemars(range(min = 1))]
    pub connect_timeout_ms: u64,
    /// The longest time for one attempt of a call, in milliseconds. A long poll gets its wait time on top.
    #[schemars(range(min = 1))]
    pub attempt_timeout_ms: u64,
    /// The number of attempts, including the first, before a call counts as failed. It does not apply to calls that
    /// receive, hide, return, quarantine, publish or delete messages: protobridge decides message by message what happens
    /// next.
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: u32,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            sqs_endpoint_url: None,
            sns_endpoint_url: None,
            s3_endpoint_url: None,
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
    /// The URL of the queue. The URL of a FIFO queue ends in `.fifo`.
    pub url: String,
    /// The name of the queue in metrics and logs. Default: the last segment of the URL.
    pub name: Option<String>,
    /// The full name of the message type of events that name no type, for example `shop.v1.OrderPlaced`. Default: such
    /// events are quarantined as `unknown_type`.
    pub default_type: Option<String>,
    /// The format that wraps the payloads of this queue: `none`, `any` (`google.protobuf.Any`), `cloudevents`
    /// (CloudEvents in the Protobuf format), `confluent` (Confluent's wire format, see the section `confluent`), `glue`
    /// (the wire format of the AWS Glue Schema Registry, see the section `glue`) or `delimited` (the length of the event
    /// as a varint, then the event).
    pub framing: Framing,
    /// The URL of the queue for messages that cannot be published. They arrive unchanged, with the reason. Default:
    /// they stay on their queue until its redrive policy moves them.
    pub quarantine_url: Option<String>,
}

/// The compiled descriptor sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Descriptors {
    /// The folder of the FileDescriptorSets (`*.desc`, `*.binpb`, `*.pb`, `*.protoset`, `*.fds`, `*.bin`, each also with
    /// `.gz`), including its subfolders, or the path of one such file. A relative path starts at the folder of the
    /// configuration file. A set that is gzip is decompressed, whatever its name. `s3://bucket/prefix` reads the sets
    /// from a bucket, and `s3://bucket/key.binpb` one set. Default: `descriptors`.
    pub path: Location,
    /// The treatment of a new version of a set that breaks consumers of the JSON: a field, a message type or an enum
    /// value was removed or renamed, or has another type.
    pub on_break: OnBreak,
    /// The hidden fields that may become visible: the full name of a message type, and a field path in it, such as
    /// `shop.v1.Order.card.number`. protobridge refuses a set in which a path of `redact` or `drop`, or the option
    /// `debug_redact`, no longer hides a field that it hid before, unless the field is listed here. A path of `redact` or
    /// `drop` may match nothing if a field that ends in it is listed here. Consumers may also see the field by a tap.
    pub may_become_visible: Vec<String>,
    /// The folder or file of the released sets. The sets in `path` are compared with these, and a set that is refused is
    /// replaced by the released set of the same name, so every replica decides alike, also after a restart. A relative
    /// path starts at the folder of the configuration file. It is read at the start. Default: the sets are compared
    /// with those in force, which a restarted replica does not know.
    pub baseline: Option<PathBuf>,
    /// The maximum size of one set's file, in bytes, after decompression if it is gzip. protobridge refuses a larger file
    /// and does not read it as a whole; the version in force stays in force. At rest, a set takes about 2.5 times its size
    /// in memory.
    #[schemars(range(min = 1))]
    pub max_file_bytes: u64,
    /// The maximum size of all sets together, in bytes. protobridge admits the smallest sets first and
    /// refuses those that do not fit. A single set is also subject to this limit.
    #[schemars(range(min = 1))]
    pub max_total_bytes: u64,
    /// Whether protobridge watches the folder, the customers file and the configuration file, and applies changes
    /// without a restart. If this is off, it applies them at SIGHUP only.
    pub reload: bool,
    /// The interval, in seconds, at which protobridge also checks the content of these files for changes. If the file
    /// system reports changes, protobridge sees them at once; 0 turns the check off and relies on these reports alone.
    /// A bucket reports no changes, so it needs 1 or more. A change of this key takes effect without a restart.
    #[schemars(range(max = 3_600))]
    pub poll_seconds: u64,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self {
            path: "descriptors".into(),
            on_break: OnBreak::Warn,
            may_become_visible: Vec::new(),
            baseline: None,
            max_file_bytes: 32 * 1024 * 1024,
            max_total_bytes: 64 * 1024 * 1024,
            reload: true,
            poll_seconds: 30,
        }
    }
}

/// The treatment of a new version of a descriptor set that breaks consumers of the JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBreak {
    /// The new version takes effect. The log names the change and the customers who receive the type.
    #[default]
    Warn,
    /// The new version is refused. The previous version stays in force.
    Refuse,
}

/// Field paths, such as `meta.tenant_id`, whose values protobridge reads from an event while it transcodes the event.
/// The first path in a list that exists in the event's type and holds a value is used.
///
/// **Consumers see the value**, also if their profile hides the field. `check` and the start warn about such a tap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Taps {
    /// Paths to the customer's id. If an event has a customer attribute too, `route.customer_mismatch` says what happens
    /// if the two differ.
    pub customer: Vec<String>,
    /// Paths to the event id, for events without an event id attribute. An event that is sent again must have the same
    /// id.
    pub event_id: Vec<String>,
    /// Paths to the time of the event. Default: the time of the CloudEvent, or the time at which the message was sent
    /// to the queue.
    pub event_time: Vec<String>,
    /// Paths to the message group on a FIFO topic, for messages without a message group. Events with the same value are
    /// published in order.
    pub ordering: Vec<String>,
}

/// The HTTP endpoint for health, metrics and status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The address and port to listen on. Port 0 takes a free port.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)) }
    }
}

impl Queue {
    /// Returns the name of the queue in metrics and logs: the configured name, or else the last segment of the URL.
    pub fn label(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.url.rsplit('/').next().unwrap_or(&self.url),
        }
    }

    /// Whether the queue is a FIFO queue, by the end of its URL.
    pub fn is_fifo(&self) -> bool {
        self.url.ends_with(".fifo")
    }
}
