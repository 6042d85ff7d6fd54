//! From the open envelope to what is published: type, JSON, destinations, entries.

use std::sync::Arc;

use super::event::Event;
use super::{Known, Pipeline};
use crate::dedupe::Pair;
use crate::envelope::Envelope;
use crate::outcome::{Outcome, Reason, Verdict};
use crate::publish::Entry;
use crate::receive::Message;
use crate::registry::Snapshot;
use crate::route::{Decision, Destination};
use crate::transcode::Transcoder;

impl Pipeline {
    /// From the open envelope to the entries, or to the outcome that there are none. Notes the event's type on the way.
    pub(super) fn prepare(
        &self,
        snapshot: &Snapshot,
        message: &Message,
        envelope: &Envelope<'_>,
        known: &mut Known,
    ) -> Result<Vec<Entry>, Outcome> {
        known.trace.follow(|name| envelope.attribute(name));
        let event_type = self.event_type(snapshot, message, envelope)?;
        known.event_type = Some(Arc::clone(event_type));

        let router = self.routes.current();
        let named = envelope.attribute(&self.customer_attribute);
        let mut transcoder = Transcoder::new(event_type, &envelope.payload, router.profile(named))?;
        let customer = named.or_else(|| transcoder.tap(&event_type.taps.customer));
        let destinations = match router.route(&event_type.name, customer) {
            Decision::To(destinations) => destinations,
            Decision::Out(filtered) => return Err(Outcome::Filtered(filtered)),
            Decision::Nobody(verdict) => return Err(verdict.into()),
        };
        let event = Event::new(message, envelope, event_type, &transcoder, &self.envelope, &known.trace);
        known.trace.event(&event_type.name, event.id.as_str(), destinations.len());
        let mut entries = Vec::with_capacity(destinations.len());
        for destination in destinations {
            let body = transcoder.json(destination.profile)?;
            entries.push(self.entry(&event, destination, body)?);
        }
        Ok(entries)
    }

    fn entry(&self, event: &Event<'_>, destination: Destination, body: Arc<String>) -> Result<Entry, Verdict> {
        let fifo = destination.topic.ends_with(".fifo");
        let whose = destination.customer.as_ref().unwrap_or(&destination.topic);
        let mut entry = Entry {
            pair: Pair::new(&event.event_type.name, event.id.as_str(), whose),
            attributes: event.attributes(destination.customer.as_ref()),
            topic: destination.topic,
            customer: destination.customer,
            event_type: Arc::clone(&event.event_type.name),
            body,
            group: fifo.then(|| event.group()),
            deduplication_id: fifo.then(|| event.id.as_str().to_owned()),
        };
        let most = self.publisher.max_bytes();
        if entry.size() > most {
            entry.attributes.make_room();
        }
        let size = entry.size();
        if size > most {
            let detail = format!("{size} bytes of JSON and attributes, and {} takes {most}", entry.topic);
            return Err(Reason::TooLarge.because(detail));
        }
        Ok(entry)
    }
}
