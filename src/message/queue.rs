//! A queue that messages are received from.

use std::fmt;
use std::sync::Arc;

use crate::base::LastSeen;
use crate::config;

/// The URL of an SQS queue. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueUrl(Arc<str>);

impl QueueUrl {
    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the queue is a FIFO queue. SQS requires the suffix `.fifo` for these and refuses it for others.
    pub fn is_fifo(&self) -> bool {
        is_fifo(&self.0)
    }
}

/// Whether a queue or a topic with this URL or ARN is a FIFO one.
pub fn is_fifo(name: &str) -> bool {
    name.ends_with(".fifo")
}

impl From<&str> for QueueUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A queue that messages are received from.
#[derive(Debug)]
pub struct Queue {
    /// The queue's URL.
    pub url: QueueUrl,
    /// The queue's name in metrics and logs.
    pub label: String,
    /// The message type of events that do not name theirs.
    pub default_type: Option<String>,
    /// The framing around the payloads.
    pub framing: config::Framing,
    /// The URL of the queue that receives messages which can never be published.
    pub quarantine: Option<QueueUrl>,
    /// When the last event was received that is neither a heartbeat nor a canary.
    pub last_event: LastSeen,
}

impl From<&config::Queue> for Queue {
    fn from(queue: &config::Queue) -> Self {
        Self {
            url: queue.url.as_str().into(),
            label: queue.label().to_owned(),
            default_type: queue.default_type.clone(),
            framing: queue.framing,
            quarantine: queue.quarantine_url.as_deref().map(Into::into),
            last_event: LastSeen::default(),
        }
    }
}

#[cfg(test)]
impl Queue {
    pub(crate) fn for_tests() -> Self {
        let queue = config::Queue { url: "https://sqs.eu-west-1.amazonaws.com/1/orders".into(), ..Default::default() };
        Self::from(&queue)
    }
}
