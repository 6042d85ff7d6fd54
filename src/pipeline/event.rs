//! What is known of an event besides its JSON: id, time, group, and the attributes that tell of them.

use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_sqs::primitives::{DateTime, DateTimeFormat};

use crate::config;
use crate::envelope::Envelope;
use crate::outcome::quarantine::first_message_id;
use crate::publish::{Attributes, EventId, TRACEPARENT, TRACESTATE};
use crate::receive::Message;
use crate::registry::EventType;
use crate::telemetry::Trace;
use crate::transcode::Transcoder;

/// What every entry of an event has in common.
pub(super) struct Event<'e> {
    pub(super) event_type: &'e EventType,
    pub(super) id: EventId,
    time: String,
    /// The group that it has on a FIFO topic, where that is not its id.
    group: Option<String>,
    traceparent: String,
    tracestate: String,
}

impl<'e> Event<'e> {
    pub(super) fn new(
        message: &'e Message,
        envelope: &'e Envelope<'_>,
        event_type: &'e EventType,
        transcoder: &Transcoder<'_>,
        settings: &config::Envelope,
        trace: &Trace,
    ) -> Self {
        let cloud_event = envelope.cloud_event();
        let in_event = || {
            let id = envelope.attribute(&settings.event_id_attribute);
            id.or_else(|| transcoder.tap(&event_type.taps.event_id))
        };
        let id = match (in_event(), cloud_event) {
            (Some(id), _) => EventId::new(id),
            (None, Some(event)) => EventId::new(&event.event_id()),
            (None, None) => match (envelope.notification_id(), first_message_id(message)) {
                (Some(id), _) => EventId::new(id),
                (None, first) => EventId::new(first.as_deref().unwrap_or(&message.message_id)),
            },
        };
        let time = transcoder.tap(&event_type.taps.event_time).or_else(|| cloud_event?.time());
        let time = time.map_or_else(|| rfc3339(message.sent), str::to_owned);
        // A group id has the same alphabet as a deduplication id.
        let ordering = || transcoder.tap(&event_type.taps.ordering).map(|key| EventId::new(key).as_str().to_owned());
        let group = message.group.clone().or_else(ordering);
        let (traceparent, tracestate) = trace.passed_on();
        Self { event_type, id, time, group, traceparent, tracestate }
    }

    /// Its message group on a FIFO topic.
    pub(super) fn group(&self) -> String {
        self.group.clone().unwrap_or_else(|| self.id.as_str().to_owned())
    }

    pub(super) fn attributes(&self, customer: Option<&Arc<str>>) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.add("event-id", self.id.as_str().to_owned());
        attributes.add("event-type", &self.event_type.name);
        if let Some(customer) = customer {
            attributes.add("customer-id", customer);
        }
        attributes.add("event-time", self.time.clone());
        attributes.add("content-type", "application/json");
        attributes.add("schema-hash", &self.event_type.schema_hash);
        attributes.add(TRACEPARENT, self.traceparent.clone());
        attributes.add(TRACESTATE, self.tracestate.clone());
        attributes
    }
}

fn rfc3339(time: SystemTime) -> String {
    // A time that SQS gave is always within the years that have four digits.
    DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap_or_default()
}
