//! A message as SQS delivers it, and the vocabulary of what happens to it.
//!
//! The types here are shared by all layers below: the message and its queue, event ids, topics, the reasons and causes of
//! outcomes, the flag that tells whether a message is still ours, and the [envelope] around the payload. Nothing here does
//! I/O.

pub mod attributes;
pub mod envelope;
mod event_id;
mod offload;
mod outcome;
mod ownership;
mod queue;
mod recipient;
pub mod steps;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::time::Instant;

pub use event_id::EventId;
pub use offload::{MAX_CUSTOMER_PART_BYTES, ObjectName, Offload, claim_folder, customer_part};
pub use outcome::{DuplicateCause, OutcomeLabel, QuarantineKind, QuarantineReason, Retry, RetryCause};
pub use ownership::{Ownership, TakenOver};
pub use queue::{Queue, QueueUrl, is_fifo};
pub use recipient::{PartlyDelivered, Recipient};
pub use topic::TopicArn;

/// A message as it was received.
#[derive(Debug, Clone)]
pub struct Message {
    /// The queue that the message was received from.
    pub queue: Arc<Queue>,
    /// The SQS message id. It stays the same when SQS delivers the message again.
    pub message_id: String,
    /// The body, as the producer sent it.
    pub body: String,
    /// The message attributes, as the producer sent them.
    pub attributes: HashMap<String, MessageAttributeValue>,
    /// When the producer sent the message to the queue.
    pub sent: SystemTime,
    /// When any consumer received the message for the first time.
    pub first_received: SystemTime,
    /// When this process received the message, by its own clock.
    pub received: Instant,
    /// How often the message was received, this receive included.
    pub receive_count: u32,
    /// The message group, if the message has one.
    pub group: Option<String>,
    /// The deduplication id; only on FIFO queues.
    pub deduplication_id: Option<String>,
    /// The sequence number that SQS gave to the message: digits, larger for later messages of a group; only on FIFO queues.
    pub sequence_number: Option<String>,
    /// The X-Ray header `AWSTraceHeader`, if the producer's request was traced.
    pub trace_header: Option<String>,
}

impl Message {
    /// Returns the size of the message in bytes, as SQS counts it.
    pub fn size(&self) -> usize {
        attributes::message_size(&self.body, &self.attributes)
    }

    /// Returns the time that the message had spent on the queue when it was received, if it was not received before. Both
    /// ends are times of SQS, so a difference between our clock and the clock of SQS does not change it.
    pub fn first_lag(&self) -> Option<Duration> {
        (self.receive_count <= 1).then(|| self.first_received.duration_since(self.sent).unwrap_or_default())
    }

    /// Returns when the message reached its queue, by our clock, if it was not received before.
    pub fn reached(&self) -> Option<Instant> {
        self.first_lag().map(|lag| self.received.checked_sub(lag).unwrap_or(self.received))
    }
}

#[cfg(test)]
impl Message {
    /// Creates a message with text attributes that is received for the first time.
    pub(crate) fn for_tests(queue: Queue, body: &str, attributes: &[(&str, &str)], group: Option<&str>) -> Self {
        let text = |value: &str| {
            MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .expect("a data type is set")
        };
        Self {
            queue: Arc::new(queue),
            message_id: "m-1".into(),
            body: body.into(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
            sent: SystemTime::now(),
            first_received: SystemTime::now(),
            received: Instant::now(),
            receive_count: 1,
            group: group.map(str::to_owned),
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
        }
    }
}
