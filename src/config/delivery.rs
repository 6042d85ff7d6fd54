//! From receive to delete: how many, how long, how often.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Most messages that are received and not yet finished, over all queues. There are fewer where more full batches
    /// wait for a publish than are being published: receiving waits for that.
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
            max_pollers: 16,
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
            max_concurrent_calls: 64,
            max_concurrent_calls_per_topic: 16,
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
    /// often its schema is only late. The same holds for an S3 object that is not there. The queue's redrive policy has to allow for these receives.
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
