//! An event's properties besides its JSON: id, time, group, and the attributes that carry them.

use std::time::SystemTime;

use crate::aws::sns::publish::EntryAttributes;
use crate::aws::sqs::quarantine::first_message_id;
use crate::base::time::rfc3339;
use crate::config;
use crate::message::attributes as names;
use crate::message::envelope::Envelope;
use crate::message::steps::{About, Step, Witness};
use crate::message::{EventId, Message};
use crate::route::Destination;
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
    /// When the message was sent.
    pub(super) sent: SystemTime,
    trace: &'e TraceHeaders,
}

/// The most bytes of an event's time. RFC 3339 needs 35 with nanoseconds and an offset.
const MAX_TIME_BYTES: usize = 64;

/// Whether a text from the event can be the value of its attribute `event-time`. The next source is used otherwise.
fn is_time(text: &&str) -> bool {
    !text.is_empty() && text.len() <= MAX_TIME_BYTES && names::is_accepted(text)
}

/// Returns the id of a decoded event that has no destinations.
pub(super) fn id(
    (message, envelope): (&Message, &Envelope<'_>),
    event_type: &EventType,
    transcoder: &Transcoder<'_>,
    settings: &config::Envelope,
) -> EventId {
    Sources { message, envelope, event_type, transcoder }.id(&settings.event_id_attribute, &mut ())
}

impl<'e> Event<'e> {
    pub(super) fn new(
        (message, envelope): (&'e Message, &'e Envelope<'_>),
        event_type: &'e EventType,
        transcoder: &Transcoder<'_>,
        settings: &config::Envelope,
        trace: &'e TraceHeaders,
        witness: &mut impl Witness,
    ) -> Self {
        let sources = Sources { message, envelope, event_type, transcoder };
        let id = sources.id(&settings.event_id_attribute, witness);
        let time = sources.time(witness);
        let group = sources.group(witness);
        Self { event_type, id, time, group, sent: message.sent, trace }
    }

    /// Returns the message group on a FIFO topic.
    pub(super) fn group(&self) -> String {
        self.group.clone().unwrap_or_else(|| self.id.as_str().to_owned())
    }

    /// Returns the attributes of the entry for a destination.
    pub(super) fn attributes(&self, destination: &Destination) -> EntryAttributes {
        let mut attributes = EntryAttributes::default();
        attributes.add(names::EVENT_ID, self.id.as_str().to_owned());
        attributes.add(names::EVENT_TYPE, &self.event_type.name);
        if let Some(customer) = destination.customer_id() {
            attributes.add(names::CUSTOMER_ID, customer);
        }
        attributes.add(names::EVENT_TIME, self.time.clone());
        attributes.add(names::CONTENT_TYPE, "application/json");
        attributes.add(names::SCHEMA_HASH, &self.event_type.schema_hash);
        if destination.is_canary {
            attributes.add(names::CANARY, names::IS_CANARY);
        }
        attributes.add(names::TRACEPARENT, self.trace.traceparent.clone());
        attributes.add(names::TRACESTATE, self.trace.tracestate.clone());
        attributes
    }
}

/// The parts of a message that can have the properties of its event.
struct Sources<'s, 'e> {
    message: &'e Message,
    envelope: &'e Envelope<'e>,
    event_type: &'e EventType,
    transcoder: &'s Transcoder<'s>,
}

impl Sources<'_, '_> {
    /// Returns the id of the event. The first part that has one decides.
    fn id(&self, attribute: &str, witness: &mut impl Witness) -> EventId {
        let Self { message, envelope, event_type, transcoder } = self;
        let mut chosen = |text: &str, because: &dyn Fn() -> String| {
            let id = EventId::new(text);
            witness.note(|| Step::new(About::EventId, id.as_str(), because()));
            id
        };
        if let Some((id, origin)) = envelope.find_attribute(attribute) {
            return chosen(id, &|| format!("{origin} has the attribute `{attribute}` (envelope.event_id_attribute)"));
        }
        if let Some((id, tap)) = transcoder.find_tap(&event_type.taps.event_id) {
            return chosen(id, &|| format!("the field {} (taps.event_id) has it", event_type.path(tap)));
        }
        if let Some(event) = envelope.cloud_event() {
            return chosen(&event.event_id(), &|| "it is the source and the id of the CloudEvent".to_owned());
        }
        match (envelope.notification_id(), first_message_id(message)) {
            (Some(id), _) => chosen(id, &|| "the event has no id, so the message id from SNS is used".to_owned()),
            (None, Some(first)) => {
                chosen(&first, &|| "the event has no id, so the message id before the quarantine is used".to_owned())
            }
            (None, None) => {
                chosen(&message.message_id, &|| "the event has no id, so the message id from SQS is used".to_owned())
            }
        }
    }

    /// Returns the time of the event in the form of its attribute.
    fn time(&self, witness: &mut impl Witness) -> String {
        let Self { message, envelope, event_type, transcoder } = self;
        let mut chosen = |time: &str, because: &dyn Fn() -> String| {
            witness.note(|| Step::new(About::EventTime, time, because()));
        };
        if let Some((time, tap)) = transcoder.find_tap(&event_type.taps.event_time).filter(|(time, _)| is_time(time)) {
            chosen(time, &|| format!("the field {} (taps.event_time) has it", event_type.path(tap)));
            return time.to_owned();
        }
        if let Some(time) = envelope.cloud_event().and_then(|event| event.time()).filter(is_time) {
            chosen(time, &|| "the CloudEvent has it".to_owned());
            return time.to_owned();
        }
        let sent = rfc3339(message.sent);
        chosen(&sent, &|| "the event has no time, so the time at which the message was sent is used".to_owned());
        sent
    }

    /// Returns the message group on a FIFO topic, if it differs from the id.
    fn group(&self, witness: &mut impl Witness) -> Option<String> {
        if let Some(group) = &self.message.group {
            witness.note(|| Step::new(About::Group, group, "the message has it"));
            return Some(group.clone());
        }
        let (key, tap) = self.transcoder.find_tap(&self.event_type.taps.ordering)?;
        // The alphabet of an event id is that of a message group.
        let group = EventId::new(key).as_str().to_owned();
        witness.note(|| {
            let because = format!("the field {} (taps.ordering) has it", self.event_type.path(tap));
            Step::new(About::Group, &group, because)
        });
        Some(group)
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
