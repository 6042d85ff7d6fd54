//! What of a message is sent again.

use std::sync::Arc;

use crate::delivery::confirmed::ConfirmedDeliveries;
use crate::delivery::decide::Refused;
use crate::delivery::dedupe::DeliveryKey;
use crate::message::{EventId, Recipient};
use crate::route::Glob;
use crate::schema::registry::EventType;

/// What of a message is sent again, and how.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The name of the replay. Its deliveries have the attribute `replay` and keys of their own, so that neither the window
    /// of duplicates nor a FIFO topic takes them for those that were published before. `None` for a redrive, whose
    /// deliveries were never published.
    pub replay: Option<Arc<str>>,
    /// The customer whose deliveries are sent; all of them without it.
    pub customer: Option<Arc<str>>,
    /// The globs of the event types that are sent; all of them without any.
    pub types: Arc<[Glob]>,
    /// The deliveries that were confirmed before. They count as had.
    pub confirmed: Option<Arc<ConfirmedDeliveries>>,
    /// The destinations that have the event since an earlier attempt. They are left out.
    pub reached: Vec<Recipient>,
}

impl Selection {
    /// Whether an event of this type is sent. The type of a message that is tried later can be unknown until then. A replay
    /// sends no message that protobridge makes itself.
    pub(super) fn has_type(&self, event_type: Option<&Arc<EventType>>, is_later: bool) -> bool {
        let Some(event_type) = event_type else { return self.types.is_empty() || is_later };
        let is_own = self.replay.is_some() && is_own_type(&event_type.name);
        !is_own && (self.types.is_empty() || self.types.iter().any(|glob| glob.matches(&event_type.name)))
    }

    pub(super) fn has_recipient(&self, recipient: &Recipient) -> bool {
        self.has_customer(recipient.customer.as_ref()) && !self.reached.contains(recipient)
    }

    pub(super) fn has_customer(&self, customer: Option<&Arc<str>>) -> bool {
        self.customer.is_none() || self.customer.as_ref() == customer
    }

    pub(super) fn is_confirmed(&self, key: &DeliveryKey) -> bool {
        self.confirmed.as_ref().is_some_and(|confirmed| confirmed.contains(key))
    }

    /// Whether a destination that cannot get the event had it before.
    pub(super) fn had(
        &self,
        refused: &Refused,
        event_type: Option<&Arc<EventType>>,
        event_id: Option<&EventId>,
    ) -> bool {
        let (Some(event_type), Some(event_id)) = (event_type, event_id) else { return false };
        let Recipient { topic, customer } = &refused.recipient;
        self.is_confirmed(&DeliveryKey::new(&event_type.name, event_id.as_str(), customer.as_ref(), topic))
    }
}

/// Whether a message type is one that protobridge makes itself: a heartbeat or a canary.
pub fn is_own_type(name: &str) -> bool {
    name.starts_with("protobridge.v1.")
}
