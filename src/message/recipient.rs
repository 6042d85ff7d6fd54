//! A destination of an event, by topic and customer.

use std::sync::Arc;

use super::TopicArn;

/// A topic that receives an event, and the customer whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient {
    /// The topic.
    pub topic: TopicArn,
    /// The customer's id; `None` for a topic that receives events without a configured customer.
    pub customer: Option<Arc<str>>,
}

/// The recipients of an event that have it already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartlyDelivered {
    /// The full name of the event's type.
    pub event_type: Arc<str>,
    /// The event's id.
    pub event_id: String,
    /// The recipients.
    pub recipients: Vec<Recipient>,
}
