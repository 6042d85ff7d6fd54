//! A row of the journal: one destination of one received message, or a received message without a destination.

use serde::Serialize;

use super::stamp;

/// One row. `T` is the text of its fields: `String` for rows that were read, `&str` for rows that are recorded.
///
/// Times are microseconds since the Unix epoch, in UTC: those of SQS for `sent_at`, those of this process's clock
/// otherwise. In JSON they are texts in the format of RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Row<T = String> {
    /// The event's id, once the event was decoded, or if an attribute names it. An id that SNS does not accept is
    /// replaced by its hash, as in the published attribute `event-id`.
    pub event_id: Option<T>,
    /// The full name of the event's type, if it is known.
    pub event_type: Option<T>,
    /// The customer, if the event has a destination.
    pub customer: Option<T>,
    /// The ARN of the destination's topic.
    pub topic: Option<T>,
    /// The name of the queue, as in metrics.
    pub queue: T,
    /// The SQS message id.
    pub message_id: T,
    /// How often the message was received, this receive included.
    pub receive_count: u32,
    /// When the producer sent the message to the queue.
    #[serde(serialize_with = "stamp::serialize")]
    pub sent_at: i64,
    /// When this replica received the message.
    #[serde(serialize_with = "stamp::serialize")]
    pub received_at: i64,
    /// When SNS confirmed the event for this destination.
    #[serde(serialize_with = "stamp::serialize_option")]
    pub published_at: Option<i64>,
    /// When the message was settled.
    #[serde(serialize_with = "stamp::serialize")]
    pub settled_at: i64,
    /// What became of this destination, or of a message without one: the code of an
    /// [`OutcomeLabel`](crate::message::OutcomeLabel).
    pub outcome: T,
    /// The code of the quarantine reason or the retry cause; for a filtered message the rule.
    pub reason: Option<T>,
    /// The problem of this message, at most 200 bytes.
    pub detail: Option<T>,
    /// The number of times that the entry was sent to SNS, throttled attempts included.
    pub attempts: Option<u32>,
    /// How many of the attempts SNS throttled.
    pub throttles: Option<u32>,
    /// The message id that SNS gave to the published message.
    pub sns_message_id: Option<T>,
    /// The sequence number that SNS gave to it, on a FIFO topic.
    pub sequence_number: Option<T>,
    /// The id of the request that failed last, as AWS Support asks for it.
    pub request_id: Option<T>,
    /// The code of the [`DuplicateCause`](crate::message::DuplicateCause) of a suppressed duplicate.
    pub duplicate_cause: Option<T>,
    /// The SQS message id of the message with which the destination got the event first.
    pub first_message_id: Option<T>,
    /// The hash of the type's definition.
    pub schema_hash: Option<T>,
    /// The id of the message's trace, in hexadecimal digits.
    pub trace_id: Option<T>,
    /// The name of the replay that the message belongs to.
    pub replay: Option<T>,
    /// Whether the message came back from a quarantine queue.
    pub redrive: bool,
    /// The replica that received the message.
    pub replica: T,
}
