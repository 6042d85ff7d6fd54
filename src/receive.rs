//! Long polls: messages from SQS, as many as the in-flight budget allows.
//!
//! Each queue has a [crew] of pollers. A poll reserves room for the most that it can return before it asks, so what is in flight never exceeds the budget.
//! What a poller does not do is decide anything about a message: it hands every one to the pipeline with a [`Receipt`],
//! and whoever lets go of a receipt without a decision leaves the message to come back when its visibility lapses.

mod budget;
pub mod crew;
mod depth;
mod poller;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::time::Instant;

pub use budget::{Budget, Permit};
pub use depth::Depth;
pub use poller::Poller;

use crate::aws::data_plane;
use crate::config;
use crate::outcome::Account;
use crate::telemetry::Metrics;
use crate::visibility::{Hold, Visibility};

/// A queue that messages are received from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The queue's URL.
    pub url: Arc<str>,
    /// The queue's name in metrics and logs.
    pub label: String,
    /// Whether order within a message group has to hold.
    pub fifo: bool,
    /// The message type of events that name none.
    pub default_type: Option<String>,
    /// What the payloads are wrapped in.
    pub framing: config::Framing,
    /// URL of the queue that takes what cannot be published.
    pub quarantine: Option<Arc<str>>,
}

impl From<&config::Queue> for Source {
    fn from(queue: &config::Queue) -> Self {
        Self {
            url: queue.url.as_str().into(),
            label: queue.label().to_owned(),
            fifo: queue.url.ends_with(".fifo"),
            default_type: queue.default_type.clone(),
            framing: queue.framing,
            quarantine: queue.quarantine_url.as_deref().map(Into::into),
        }
    }
}

/// A message as it was received.
#[derive(Debug)]
pub struct Message {
    /// Where it came from.
    pub source: Arc<Source>,
    /// The SQS message id; the same whenever the message is delivered again.
    pub message_id: String,
    /// The body, as it was sent.
    pub body: String,
    /// The message attributes, as they were sent.
    pub attributes: HashMap<String, MessageAttributeValue>,
    /// When it was sent to the queue.
    pub sent: SystemTime,
    /// When it was first received, by anyone.
    pub first_received: SystemTime,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// Its message group, if it has one.
    pub group: Option<String>,
    /// Its `AWSTraceHeader`, if its sender is traced by X-Ray.
    pub trace_header: Option<String>,
}

/// The right to settle one message: to delete it, or to give it back.
#[derive(Debug)]
pub struct Receipt {
    /// Where the message came from.
    pub source: Arc<Source>,
    /// The SQS receipt handle of this receive.
    pub handle: Arc<str>,
    /// Keeps the message hidden.
    pub hold: Hold,
    /// What is counted of the message.
    pub account: Account,
    /// The message's share of the in-flight budget.
    _permit: Permit,
}

/// A message together with the right to settle it.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// The right to settle it.
    pub receipt: Receipt,
}

impl Message {
    fn new(source: &Arc<Source>, message: data_plane::Message) -> Option<(Self, Arc<str>)> {
        let system = message.attributes;
        let time = |millis: Option<String>| {
            let millis = millis?.parse().ok()?;
            Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        };
        let count = system.approximate_receive_count.and_then(|count| count.parse().ok());
        let received = Self {
            source: Arc::clone(source),
            message_id: message.message_id?,
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes,
            sent: time(system.sent_timestamp).unwrap_or_else(SystemTime::now),
            first_received: time(system.approximate_first_receive_timestamp).unwrap_or_else(SystemTime::now),
            receive_count: count.unwrap_or(1),
            group: system.message_group_id,
            trace_header: system.aws_trace_header,
        };
        Some((received, message.receipt_handle?.into()))
    }

    /// Size of the message as SQS counts it: body, and name, type and value of each attribute; in bytes.
    pub fn size(&self) -> usize {
        size(&self.body, &self.attributes)
    }
}

/// As SQS counts it, in bytes.
pub fn size(body: &str, attributes: &HashMap<String, MessageAttributeValue>) -> usize {
    let attribute = |(name, value): (&String, &MessageAttributeValue)| {
        let text = value.string_value().map_or(0, str::len);
        let binary = value.binary_value().map_or(0, |blob| blob.as_ref().len());
        name.len() + value.data_type().len() + text + binary
    };
    body.len() + attributes.iter().map(attribute).sum::<usize>()
}

impl Received {
    /// Takes what one receive returned, which counts as received at `at`. Each message takes its share of `reserved`;
    /// what remains of it returns to the budget.
    fn take(
        source: &Arc<Source>,
        messages: Vec<data_plane::Message>,
        visibility: &Visibility,
        mut reserved: Permit,
        metrics: &Arc<Metrics>,
        at: Instant,
    ) -> Vec<Self> {
        let messages = messages.into_iter().filter_map(|message| Message::new(source, message));
        messages
            .map(|(message, handle)| {
                let permit = reserved.split(message.size());
                let hold = visibility.hold(source, (&handle, message.sent), at);
                let account = Account::new(source, metrics);
                let receipt = Receipt { source: Arc::clone(source), handle, hold, account, _permit: permit };
                Self { message, receipt }
            })
            .collect()
    }
}

#[cfg(test)]
impl Source {
    pub(crate) fn for_tests() -> Self {
        let queue = config::Queue { url: "https://sqs.eu-west-1.amazonaws.com/1/orders".into(), ..Default::default() };
        Self::from(&queue)
    }
}

#[cfg(test)]
impl Receipt {
    pub(crate) fn for_tests(handle: &str, visibility: &Visibility, permit: Permit, received: Instant) -> Self {
        let (source, handle) = (Arc::new(Source::for_tests()), handle.into());
        let hold = visibility.hold(&source, (&handle, SystemTime::now()), received);
        let account = Account::new(&source, visibility.metrics());
        Self { source, handle, hold, account, _permit: permit }
    }
}

#[cfg(test)]
impl Message {
    /// A message with text attributes, received for the first time.
    pub(crate) fn for_tests(source: Source, body: &str, attributes: &[(&str, &str)], group: Option<&str>) -> Self {
        let text = |value: &str| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .expect("a data type is set")
        };
        Self {
            source: Arc::new(source),
            message_id: "m-1".into(),
            body: body.into(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
            sent: SystemTime::now(),
            first_received: SystemTime::now(),
            receive_count: 1,
            group: group.map(str::to_owned),
            trace_header: None,
        }
    }
}

#[cfg(test)]
mod tests;
