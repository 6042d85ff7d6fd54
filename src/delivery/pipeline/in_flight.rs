//! A message between its receive and its settlement.

use std::sync::Arc;

use tracing::debug;

use crate::aws::sns::publish::Confirmed;
use crate::aws::sqs::{Receipt, Received};
use crate::delivery::account::Account;
use crate::delivery::decide::Delivery;
use crate::message::{EventId, Message};
use crate::schema::registry::EventType;
use crate::telemetry::{Metrics, Trace};

/// A message in flight, with what was found out about it.
pub(super) struct InFlightMessage {
    pub(super) message: Message,
    pub(super) receipt: Receipt,
    pub(super) account: Account,
    /// The event's type, once it was looked up and if it is known.
    pub(super) event_type: Option<Arc<EventType>>,
    /// The event's id, once its destinations are known.
    pub(super) event_id: Option<EventId>,
    /// The trace, once processing began.
    pub(super) trace: Option<Trace>,
}

impl InFlightMessage {
    /// Creates a message that was just received.
    pub(super) fn new(received: Received, metrics: &Arc<Metrics>) -> Self {
        let Received { message, receipt } = received;
        let account = Account::new(&message.queue, metrics);
        Self { message, receipt, account, event_type: None, event_id: None, trace: None }
    }

    /// Counts the JSON of the deliveries in the in-flight budget. Deliveries of one profile share it.
    pub(super) fn count_rendered(&mut self, deliveries: &[Delivery]) {
        let mut bodies: Vec<&Arc<String>> = deliveries.iter().map(|delivery| &delivery.entry.body).collect();
        bodies.sort_unstable_by_key(|body| Arc::as_ptr(body));
        bodies.dedup_by_key(|body| Arc::as_ptr(body));
        self.receipt.permit.count_rendered(bodies.iter().map(|body| body.capacity()).sum());
    }

    /// Notes that SNS confirmed the event for one topic, in a line of the log and in the span. Both have the SNS
    /// message id, the only id that a customer and SNS know as well.
    pub(super) fn note_published(&mut self, confirmed: &Confirmed) {
        let (topic, sns_message_id) = (confirmed.topic(), confirmed.message_id());
        let event_type = self.event_type.as_ref().map(|event_type| &*event_type.name);
        let event_id = self.event_id.as_ref().map(EventId::as_str);
        debug!(message_id = self.message.message_id, event_type, event_id, %topic, sns_message_id, "published");
        if let Some(trace) = &mut self.trace {
            trace.published(topic.as_str(), sns_message_id);
        }
    }

    /// Opens the account, once the event type was looked up.
    pub(super) fn open_account(&mut self) {
        self.account.open(self.event_type.as_ref().map(|event_type| &event_type.name));
    }
}
