//! What became of a message that was sent again.

use std::sync::Arc;

use crate::aws::sns::publish::Confirmed;
use crate::delivery::EntryError;
use crate::delivery::dedupe::PublishedBefore;
use crate::message::{EventId, PartlyDelivered, QuarantineReason, Recipient};
use crate::schema::registry::EventType;

/// What became of a message that was sent again, or would become of it.
#[derive(Debug)]
pub struct Resent {
    /// The event's type, if it is known.
    pub event_type: Option<Arc<EventType>>,
    /// The event's id, if it is known.
    pub event_id: Option<EventId>,
    /// What became of each selected destination.
    pub destinations: Vec<Destination>,
    /// The outcome of a message without deliveries: filtered, to be quarantined, or to be tried later.
    pub without_deliveries: Option<Undelivered>,
}

/// Why a message has no deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// This rule of the configuration drops the event.
    Filtered(&'static str),
    /// The message can never be published as it is.
    Quarantine(QuarantineReason),
    /// protobridge has a defect; what is known of it.
    Defect(String),
    /// Something outside does not answer; the reason.
    Later(String),
}

/// A destination of an event.
#[derive(Debug)]
pub struct Destination {
    /// The topic and its customer.
    pub recipient: Recipient,
    /// The customer of the topic, or the one that the event names.
    pub customer: Option<Arc<str>>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an event for one destination.
#[derive(Debug)]
pub enum Fate {
    /// A preview: it would be published.
    WouldPublish {
        /// The JSON.
        body: Arc<String>,
        /// The size in bytes as SNS counts it.
        bytes: usize,
        /// Whether it leaves as a claim check.
        is_offloaded: bool,
    },
    /// SNS confirmed it.
    Published {
        /// The proof.
        confirmed: Confirmed,
        /// The size in bytes as SNS counts it.
        bytes: usize,
    },
    /// The destination had it before.
    Had(PublishedBefore),
    /// The destination cannot get the event.
    Refused(QuarantineReason),
    /// It did not reach its topic.
    Failed(EntryError),
    /// Another process publishes the same event at the moment.
    Elsewhere,
}

impl Fate {
    /// Whether the destination has the event.
    pub fn has_event(&self) -> bool {
        matches!(self, Self::Published { .. } | Self::Had(_))
    }

    /// Whether sending the message again later can succeed without a change of the configuration.
    pub fn can_pass_later(&self) -> bool {
        match self {
            Self::Elsewhere => true,
            Self::Failed(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl Resent {
    /// Returns the destinations that have the event, for the quarantine note; `None` if the event is not known.
    pub fn delivered(&self) -> Option<PartlyDelivered> {
        let (event_type, event_id) = (self.event_type.as_ref()?, self.event_id.as_ref()?);
        let having = self.destinations.iter().filter(|destination| destination.fate.has_event());
        let recipients = having.map(|destination| destination.recipient.clone()).collect();
        Some(PartlyDelivered {
            event_type: Arc::clone(&event_type.name),
            event_id: event_id.as_str().to_owned(),
            recipients,
        })
    }

    /// Whether every destination has the event, or a rule drops it: nothing is left to do.
    pub fn is_done(&self) -> bool {
        match &self.without_deliveries {
            Some(Undelivered::Filtered(_)) => true,
            Some(_) => false,
            None => self.destinations.iter().all(|destination| destination.fate.has_event()),
        }
    }
}
