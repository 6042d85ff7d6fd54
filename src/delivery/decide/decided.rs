//! What was decided about a message.

use std::sync::Arc;

use super::{Deliveries, Refused};
use crate::aws::sns::publish::TopicEntry;
use crate::delivery::dedupe::DeliveryKey;
use crate::delivery::outcome::Outcome;
use crate::message::EventId;
use crate::monitor::sources::Heartbeat;
use crate::schema::registry::EventType;

/// The decision about a message, with what was found out about its event on the way.
#[derive(Debug)]
pub struct Decided {
    /// The event's type, if it is known.
    pub event_type: Option<Arc<EventType>>,
    /// The event's id and the number of its destinations. The id is known once the event was decoded, or if an
    /// attribute names it.
    pub event: Option<(EventId, usize)>,
    /// The heartbeat that the event is, if it is one.
    pub heartbeat: Option<Heartbeat>,
    /// The destinations that cannot get the event, each with its reason.
    pub refused: Vec<Refused>,
    /// The deliveries that the event needs, or the outcome that the message has without any.
    pub decision: Result<Deliveries, Outcome>,
    /// Whether a destination with a claim check takes JSON that was too large to be rendered without a turn.
    pub is_large: bool,
}

impl Default for Decided {
    /// Nothing is known about the event, and it needs no delivery.
    fn default() -> Self {
        Self {
            event_type: None,
            event: None,
            heartbeat: None,
            refused: Vec::new(),
            decision: Ok(Deliveries::default()),
            is_large: false,
        }
    }
}

/// One event for one topic, with the key by which a duplicate of it is recognized.
#[derive(Debug)]
pub struct Delivery {
    /// Identifies the delivery in the window of duplicates.
    pub key: DeliveryKey,
    /// The entry that is published.
    pub entry: TopicEntry,
}
