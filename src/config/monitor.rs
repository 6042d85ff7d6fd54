//! The configuration of what tells quiet from broken: heartbeats and silence rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The heartbeats of sources. `protobridge.v1.Heartbeat` is a heartbeat without any configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeats {
    /// The events that are heartbeats, in addition to `protobridge.v1.Heartbeat`. Such an event is also routed as
    /// always. The first entry that matches an event is used.
    pub types: Vec<HeartbeatType>,
    /// The sources that must be heard. Each is shown as `unknown` from the start until its first heartbeat.
    pub expect: Vec<ExpectedSource>,
    /// The largest number of sources with a name of their own in metrics and on `/status`, besides the expected ones.
    /// All others are shown together as `other`.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_sources: u32,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self { types: Vec::new(), expect: Vec::new(), max_sources: 1_000 }
    }
}

/// Events that are heartbeats, for example the row changes of a table `heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeartbeatType {
    /// The full name of the message type, for example `shop.v1.ChangeEvent`.
    pub r#type: String,
    /// The condition that an event of this type must meet. Default: every event of this type is a heartbeat.
    pub r#where: Option<Condition>,
    /// The time between two heartbeats of a source, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: u64,
    /// The path of the field that names the source, for example `source.name`.
    pub source: String,
    /// The path of the field with the number of the heartbeat, which grows by one with each heartbeat of a source.
    /// Default: gaps and restarts are not found.
    pub sequence: Option<String>,
    /// The path of the field with the time at which the source sent the heartbeat: a `google.protobuf.Timestamp`, or a
    /// text in the format of RFC 3339. Default: the lag before the queue is unknown.
    pub sent_at: Option<String>,
}

impl Default for HeartbeatType {
    fn default() -> Self {
        let (source, sequence, sent_at) = (String::new(), None, None);
        Self { r#type: String::new(), r#where: None, interval_seconds: 10, source, sequence, sent_at }
    }
}

/// A condition on one field of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The path of the field.
    pub path: String,
    /// The value that the field must have, as text.
    pub equals: String,
}

/// A source that must be heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedSource {
    /// The name of the source, as its heartbeats have it.
    pub source: String,
    /// The message types of the source's events. `*` in a type is a wildcard. Default: every event of the queues on
    /// which the source was heard.
    pub events: Vec<String>,
    /// The number of intervals without a heartbeat after which the source is `stale`.
    #[schemars(range(min = 2, max = 1_000))]
    pub stale_after_intervals: u32,
}

impl Default for ExpectedSource {
    fn default() -> Self {
        Self { source: String::new(), events: Vec::new(), stale_after_intervals: STALE_AFTER_INTERVALS }
    }
}

/// The number of intervals without a heartbeat after which a source is `stale`, unless the configuration says
/// otherwise.
pub const STALE_AFTER_INTERVALS: u32 = 3;

/// The most characters of a source's name, which is a label of metrics. A longer name is cut.
pub const MAX_SOURCE_NAME: usize = 100;

/// The name of all sources beyond `heartbeats.max_sources`.
pub const OTHER_SOURCES: &str = "other";

/// Event types that must not stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SilenceRule {
    /// The message types, each of which must not stop. `*` in a type is a wildcard.
    pub types: Vec<String>,
    /// The longest time between two events of one of the types, in seconds.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub within_seconds: u64,
    /// The message types whose events make the rule count: a type is silent only if one of these had an event within
    /// the same time. `*` in a type is a wildcard. Default: the rule always counts.
    pub r#while: Vec<String>,
}

impl Default for SilenceRule {
    fn default() -> Self {
        Self { types: Vec::new(), within_seconds: 900, r#while: Vec::new() }
    }
}
