//! The configuration of the path from receive to delete: numbers, times and attempts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Receiving: the pollers and the in-flight budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Receive {
    /// The number of long polls per queue that always run.
    #[schemars(range(min = 1, max = 256))]
    pub min_pollers: usize,
    /// The most long polls per queue that run at the same time. Polls that return full batches start more pollers, as
    /// long as polls do not wait for each other; a poll that returns nothing ends its poller.
    #[schemars(range(min = 1, max = 256))]
    pub max_pollers: usize,
    /// The time for which one poll waits for a message, in seconds. SQS allows at most 20. 0 makes short polls, which
    /// cost more calls.
    #[schemars(range(min = 0, max = 20))]
    pub wait_seconds: u32,
    /// The most messages in flight, over all queues: received and not yet finished. Half of them are divided among the
    /// queues, so that each queue has a share of its own. Receiving pauses below this number
    /// while more full batches wait for a publish call than calls are under way.
    #[schemars(range(min = 10))]
    pub max_in_flight_messages: usize,
    /// The most bytes in flight, over all queues: bodies and attributes as received, and the JSON that is not published
    /// yet. Half of it is divided among the queues, so that each queue has a share of its own. Each poll reserves 1 MiB until it
    /// returns, because one receive call can return that much. With less than 1 MiB per poller, pollers wait for each
    /// other.
    #[schemars(range(min = 1_048_576))]
    pub max_in_flight_bytes: usize,
    /// The most messages per queue that protobridge keeps hidden, out of memory, while their customer's topic, SNS, a
    /// bucket or the schema registry does not work. Further messages go into quarantine with the reason `destination_down`.
    /// SQS allows 120,000 messages in flight per queue, over all replicas: this number times the number of replicas must
    /// stay well below that. Each held message takes about 1 KB of memory.
    #[schemars(range(min = 10, max = 100_000))]
    pub max_held_messages: usize,
    /// The interval, in seconds, at which protobridge asks SQS for the number of messages on each queue. 0 turns this
    /// off.
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
            max_held_messages: 20_000,
            depth_seconds: 30,
        }
    }
}

/// The time for which a received message stays hidden from other receivers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Visibility {
    /// The visibility timeout of a received message, in seconds. While the message is in flight, protobridge extends it
    /// by the same time before it lapses. If the process is killed, its messages are visible again after at most this
    /// time.
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
    /// The time for which a batch that is not full waits for more entries, in milliseconds. A higher value saves calls;
    /// a lower value reduces latency.
    #[schemars(range(min = 0, max = 60_000))]
    pub linger_ms: u64,
    /// The most bytes in one batch, bodies and attributes together. The limit of a topic is 256 KiB unless its
    /// `MaximumMessageSize` is higher. SNS accepts at most 1 MiB.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub max_batch_bytes: usize,
    /// The most PublishBatch calls at the same time, over all topics.
    #[schemars(range(min = 1, max = 4_096))]
    pub max_concurrent_calls: usize,
    /// The most PublishBatch calls per topic at the same time. It keeps a slow topic from delaying the others.
    #[schemars(range(min = 1, max = 4_096))]
    pub max_concurrent_calls_per_topic: usize,
    /// The number of times that an entry is sent to SNS while its topic accepts other entries. After that, the message
    /// returns to its queue and is tried again later. An entry whose topic accepts nothing waits, and is not counted.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// The quota of SNS for the messages published per second by the account in the region, as AWS states it. It limits
    /// nothing: `protobridge throttles` compares it with the rates at which SNS throttled. Default: the quota that AWS
    /// documents for the region.
    #[schemars(range(min = 1))]
    pub quota_messages_per_second: Option<u32>,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            linger_ms: 10,
            max_batch_bytes: 256 * 1024,
            max_concurrent_calls: 64,
            max_concurrent_calls_per_topic: 16,
            max_attempts: 4,
            quota_messages_per_second: None,
        }
    }
}

/// Suppression of duplicates. If SNS has confirmed an event for a topic, the event is not published to that topic
/// again, whether it arrives with the same SQS message or with another message that has the same event type, event id
/// and customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedupe {
    /// Whether duplicates are suppressed.
    pub enabled: bool,
    /// The time for which protobridge remembers a published event, in seconds. It remembers an event with several
    /// destinations at least until each of them has it.
    #[schemars(range(min = 1, max = 1_209_600))]
    pub window_seconds: u64,
    /// The most published events that this process remembers. An event counts once per topic and takes about 100
    /// bytes. Older events that other topics still wait for have the same limit of their own.
    #[schemars(range(min = 1))]
    pub max_entries: usize,
    /// The URL of a Redis in which the replicas share the published events and the numbers of heartbeats, such as
    /// `rediss://host:6379`. It can contain a user and a password. Default: each replica remembers only the events that
    /// it published itself. If Redis cannot be reached, events are delivered anyway.
    pub redis_url: Option<String>,
    /// The prefix of all keys in Redis. Each key also depends on the ARN of the topic or on the URL of the queue, so
    /// installations with different topics and queues can share one Redis and one prefix.
    pub redis_prefix: String,
    /// The longest time to wait for an answer of Redis, in milliseconds. An event waits at most twice this time.
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

/// Retries of messages that protobridge could not finish: a message becomes visible again after a delay that doubles with
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
    /// The time from the first receive, in seconds, for which an event of unknown type is tried again before it is
    /// quarantined: often its schema is merely late. The same time applies to a missing S3 object. The queue's redrive
    /// policy must allow for these receives.
    #[schemars(range(max = 345_600))]
    pub unknown_type_grace_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min_seconds: 2, max_seconds: 300, unknown_type_grace_seconds: 600 }
    }
}

/// Shutdown after SIGTERM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// The time that messages in flight get to finish after SIGTERM, in seconds. After that, protobridge makes the
    /// remaining messages visible again. The value must be below the pod's `terminationGracePeriodSeconds`.
    #[schemars(range(max = 3_600))]
    pub drain_timeout_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout_seconds: 25 }
    }
}

impl Publish {
    /// Returns the time for which a batch that is not full waits for more entries.
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

impl Visibility {
    /// Returns the visibility timeout of a received message.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }
}

impl Shutdown {
    /// Returns the time that messages in flight get to finish.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_seconds)
    }
}
