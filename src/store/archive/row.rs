//! One archived message.

use std::sync::Arc;

use crate::message::{EventId, Message, OutcomeLabel};

/// A message as it was received, and what was found out about its event. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Row {
    /// The message. Of its queue, the segment has the label only; a reader adds the other settings.
    pub message: Arc<Message>,
    /// When the message was received.
    pub received_at: i64,
    /// When the message was finished. Windows of time select by it.
    pub settled_at: i64,
    /// How it was finished.
    pub outcome: OutcomeLabel,
    /// The event's id, if it is known.
    pub event_id: Option<EventId>,
    /// The full name of the event's type, if it is known.
    pub event_type: Option<Arc<str>>,
    /// The customer, if the event has one only.
    pub customer: Option<Arc<str>>,
    /// The hash of the schema that the event was decoded with.
    pub schema_hash: Option<Arc<str>>,
}
