//! The configuration of the canary: the path that test events travel, and their pace.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, Queue};

/// The canary: a test event that travels the whole path of events, from an input queue through the service to a topic,
/// and from there to a queue that `protobridge canary` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// The input queue that canaries are sent to, by its name: the `name` in `queues`, or else the last segment of the
    /// URL. Default: the only queue of `queues`.
    pub queue: Option<String>,
    /// The ARN of the topic that the service publishes canaries to. It must belong to no customer. Default: there is no
    /// canary, and the service drops canaries that it receives.
    pub topic: Option<String>,
    /// The URL of the queue that is subscribed to `canary.topic`, without raw message delivery. Only `protobridge
    /// canary` may receive from it. Required with `canary.topic`.
    pub return_queue_url: Option<String>,
    /// The time between two canaries, in seconds.
    #[schemars(range(min = 1, max = 300))]
    pub interval_seconds: u64,
    /// The time, in seconds, within which a canary must return. A canary that does not counts as lost.
    #[schemars(range(min = 1, max = 3_600))]
    pub deadline_seconds: u64,
}

impl Default for Canary {
    fn default() -> Self {
        Self { queue: None, topic: None, return_queue_url: None, interval_seconds: 10, deadline_seconds: 60 }
    }
}

impl Canary {
    /// Whether a key is set that describes the path of canaries.
    pub(super) fn is_set(&self) -> bool {
        self.queue.is_some() || self.topic.is_some() || self.return_queue_url.is_some()
    }

    /// Returns the time between two canaries.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_seconds)
    }

    /// Returns the time within which a canary must return.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }
}

/// The path that canaries travel.
#[derive(Debug, Clone, Copy)]
pub struct CanaryPath<'c> {
    /// The input queue.
    pub queue: &'c Queue,
    /// The ARN of the topic.
    pub topic: &'c str,
    /// The URL of the queue that is subscribed to the topic.
    pub return_queue_url: &'c str,
}

impl Config {
    /// Returns the path of canaries; `None` if the configuration has no canary.
    pub fn canary_path(&self) -> Option<CanaryPath<'_>> {
        let Canary { queue, topic, return_queue_url, .. } = &self.canary;
        let queue = match queue {
            Some(name) => self.queues.iter().find(|queue| queue.label() == name)?,
            None => self.queues.first()?,
        };
        Some(CanaryPath { queue, topic: topic.as_deref()?, return_queue_url: return_queue_url.as_deref()? })
    }
}
