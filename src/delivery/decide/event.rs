//! An event's properties besides its JSON: id, time, group, and the attributes that carry them.

use std::sync::Arc;

use crate::aws::sns::publish::EntryAttributes;
use crate::aws::sqs::quarantine::first_message_id;
use crate::base::time::rfc3339;
use crate::message::attributes as names;
use crate::message::envelope::Envelope;
use crate::message::{EventId, Message};
use crate::schema::registry::EventType;
use crate::schema::transcode::Transcoder;
use crate::telemetry::TraceHeaders;

/// The properties that all entries of an event share.
pub(super) struct Event<'e> {
    pub(super) event_type: &'e EventType,
    pub(super) id: EventId,
    time: String,
    /// The message group on a FIFO topic, if it differs from the id.
    group: Option<String>,
    trace: &'e TraceHeaders,
}

/// The most bytes of an event's time. RFC 3339 needs 35 with nanoseconds and an offset.
const MAX_TIME_BYTES: usize = 64;

/// Whether a text from the event can be the value of its attribute `event-time`. The next source is used otherwise.
fn is_time(text: &&str) -> bool {
    !text.is_empty() && text.len() <= MAX_TIME_BYTES && names::is_accepted(text)
}

/// Returns the id of a decoded event. `stated` is the id that an attribute names.
pub(super) fn id(
    message: &Message,
    envelope: &Envelope<'_>,
    event_type: &EventType,
    transcoder: &Transcoder<'_>,
    stated: Option<&str>,
) -> EventId {
    match (stated.or_else(|| transcoder.tap(&event_type.taps.event_id)), envelope.cloud_event()) {
        (Some(id), _) => EventId::new(id),
        (None, Some(event)) => EventId::new(&event.event_id()),
        (None, None) => match (envelope.notification_id(), first_message_id(message)) {
            (Some(id), _) => EventId::new(id),
            (None, first) => EventId::new(first.as_deref().unwrap_or(&message.message_id)),
        },
    }
}

impl<'e> Event<'e> {
    pub(super) fn new(
        id: EventId,
        message: &'e Message,
        envelope: &'e Envelope<'_>,
        event_type: &'e EventType,
        transcoder: &Transcoder<'_>,
        trace: &'e TraceHeaders,
    ) -> Self {
        let cloud_event = envelope.cloud_event();
        let time = transcoder.tap(&event_type.taps.event_time).filter(is_time);
        let time = time.or_else(|| cloud_event?.time().filter(is_time));
        let time = time.map_or_else(|| rfc3339(message.sent), str::to_owned);
        // The alphabet of an event id is that of a message group.
        let ordering = || transcoder.tap(&event_type.taps.ordering).map(|key| EventId::new(key).as_str().to_owned());
        let group = message.group.clone().or_else(ordering);
        Self { event_type, id, time, group, trace }
    }

    /// Returns the message group on a FIFO topic.
    pub(super) fn group(&self) -> String {
        self.group.clone().unwrap_or_else(|| self.id.as_str().to_owned())
    }

    /// Returns the attributes of the entry for a customer, or for no customer.
    pub(super) fn attributes(&self, customer: Option<&Arc<str>>) -> EntryAttributes {
        let mut attributes = EntryAttributes::default();
        attributes.add(names::EVENT_ID, self.id.as_str().to_owned());
        attributes.add(names::EVENT_TYPE, &self.event_type.name);
        if let Some(customer) = customer {
            attributes.add(names::CUSTOMER_ID, customer);
        }
        attributes.add(names::EVENT_TIME, self.time.clone());
        attributes.add(names::CONTENT_TYPE, "application/json");
        attributes.add(names::SCHEMA_HASH, &self.event_type.schema_hash);
        attributes.add(names::TRACEPARENT, self.trace.traceparent.clone());
        attributes.add(names::TRACESTATE, self.trace.tracestate.clone());
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_sns_refuses_or_that_is_too_long_is_no_time() {
        for time in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789+01:00", "1767225600"] {
            assert!(is_time(&time), "{time}");
        }
        for text in ["", "2026\0", "2026\u{ffff}", &"2".repeat(300_000)] {
            assert!(!is_time(&text), "{} bytes", text.len());
        }
    }
}
