//! The decision about a message, as plain computation: which deliveries it needs, or which outcome it has.
//!
//! The functions here do no I/O and change nothing, so a dry run, a replay or a test of the configuration can call them as
//! the pipeline does. [`Rules::open`] opens the envelope, or names the lookup that this requires. [`Rules::decide`] turns
//! the open envelope into deliveries: event type, customer, JSON, attributes. Both work on a large payload only in a
//! [turn](Rules::turn). Both tell a [`Witness`] what they found and why, for [`dry_run`](super::dry_run).

mod customer;
mod decided;
mod destinations;
mod entry;
mod event;
mod heartbeat;
mod large;
mod types;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::dedupe::DeliveryKey;
use super::outcome::Outcome;
use crate::aws::sqs::quarantine::NotedRecipients;
use crate::config::{self, Config};
use crate::message::envelope::{self, Envelope, Outer, Pointer};
use crate::message::steps::{About, Step, Witness};
use crate::message::{EventId, Message, QuarantineKind, QuarantineReason, RetryCause};
use crate::route::{Destination, Router, Routing};
use crate::schema::confluent::Schemas;
use crate::schema::glue;
use crate::schema::registry::{EventType, Snapshot};
use crate::schema::transcode::Transcoder;
use crate::telemetry::TraceHeaders;
use customer::Customers;
use entry::ClaimCheck;
use event::Event;
use large::{LARGE, Turns, size};

pub use decided::{Decided, Delivery};
pub use destinations::{Deliveries, NotedDelivery, Refused};
pub use large::{IsLarge, Turn};

/// The parts of the configuration that decisions depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    envelope: config::Envelope,
    /// The same with a limit on payloads that no large one meets.
    small_envelope: config::Envelope,
    customer_attribute: String,
    customer_mismatch: config::CustomerMismatch,
    /// The known schema versions of Glue's wire format.
    glue: glue::Schemas,
    unknown_type_grace: Duration,
    /// The largest size of an entry in bytes, JSON and attributes together.
    max_entry_bytes: usize,
    /// The claim check, if there is a bucket for it.
    claim_check: Option<ClaimCheck>,
    turns: Turns,
}

/// The result of opening a message's envelope.
#[derive(Debug)]
pub enum Opened<'m> {
    /// The envelope is open, and its type can be decided.
    Ready(Envelope<'m>),
    /// Opening the envelope, or finding the type, requires this lookup first.
    Needs(Lookup),
    /// The envelope cannot be opened.
    Refused(QuarantineReason),
}

/// A reference of a message to something outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The object in S3 that has the payload.
    Object(Pointer),
    /// The schema of Confluent's wire format that names the type.
    Schema(u32),
}

/// The state that the decision about one message depends on, besides the rules.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// The descriptor sets in force.
    pub snapshot: &'c Snapshot,
    /// The customers and their topics.
    pub router: &'c Router,
    /// The known schemas of Confluent's wire format.
    pub schemas: &'c Schemas,
}

impl Rules {
    /// Returns the rules of a configuration. `max_entry_bytes` is the largest size of an entry in bytes.
    pub fn new(config: &Config, max_entry_bytes: usize) -> Self {
        let max_payload_bytes = config.envelope.max_payload_bytes.min(LARGE);
        Self {
            envelope: config.envelope.clone(),
            small_envelope: config::Envelope { max_payload_bytes, ..config.envelope.clone() },
            customer_attribute: config.route.customer_attribute.clone(),
            customer_mismatch: config.route.customer_mismatch,
            glue: glue::Schemas::default(),
            unknown_type_grace: Duration::from_secs(config.retry.unknown_type_grace_seconds),
            max_entry_bytes,
            claim_check: ClaimCheck::new(&config.claim_check),
            turns: Turns::new(config.claim_check.bucket.is_some()),
        }
    }

    /// Sets the known schema versions of Glue's wire format.
    pub fn with_glue(self, glue: glue::Schemas) -> Self {
        Self { glue, ..self }
    }

    /// Returns the largest size of an entry in bytes, JSON and attributes together.
    pub fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes
    }

    /// Waits until a message with a large payload can be opened and decided about.
    pub async fn turn(&self) -> Turn<'_> {
        self.turns.next().await
    }

    /// Opens a message's envelope if its payload is not large.
    ///
    /// # Errors
    /// Returns an error if the payload is large, compressed or not. At most the size of a small payload was decompressed.
    pub fn open_small<'m>(
        &self,
        message: &'m Message,
        object: Option<&[u8]>,
        schemas: &Schemas,
    ) -> Result<Opened<'m>, IsLarge> {
        if object.map_or(message.body.len(), <[u8]>::len) > LARGE {
            return Err(IsLarge);
        }
        match self.open_within(&self.small_envelope, message, object, schemas, &mut ()) {
            Ok(Opened::Ready(envelope)) if size(&envelope) > LARGE => Err(IsLarge),
            Err(envelope::Error::Inflates { .. }) => Err(IsLarge),
            opened => Ok(opened.unwrap_or_else(refused)),
        }
    }

    /// Opens a message's envelope. `object` is the content of the S3 object that the body points to, if it was fetched.
    pub fn open<'m>(&self, message: &'m Message, object: Option<&[u8]>, schemas: &Schemas) -> Opened<'m> {
        self.open_noting(message, object, schemas, &mut ())
    }

    /// Opens a message's envelope like [`Rules::open`], and notes each step.
    pub fn open_noting<'m>(
        &self,
        message: &'m Message,
        object: Option<&[u8]>,
        schemas: &Schemas,
        witness: &mut impl Witness,
    ) -> Opened<'m> {
        self.open_within(&self.envelope, message, object, schemas, witness).unwrap_or_else(refused)
    }

    fn open_within<'m>(
        &self,
        settings: &config::Envelope,
        message: &'m Message,
        object: Option<&[u8]>,
        schemas: &Schemas,
        witness: &mut impl Witness,
    ) -> Result<Opened<'m>, envelope::Error> {
        let outer = Outer::read(&message.body, &message.attributes);
        outer.note(witness);
        if let Some(pointer) = outer.pointer(settings)? {
            let Some(object) = object else { return Ok(Opened::Needs(Lookup::Object(pointer))) };
            witness.note(|| {
                let found = format!("S3 object {pointer} of {} bytes", object.len());
                Step::new(About::Layer, found, "the body points to it, and `envelope.s3_buckets` has the bucket")
            });
        }
        let envelope = outer.open(object, settings, message.queue.framing, witness)?;
        Ok(match self.schema_id(&envelope).filter(|id| !schemas.is_learnt(*id)) {
            Some(id) => Opened::Needs(Lookup::Schema(id)),
            None => Opened::Ready(envelope),
        })
    }

    /// Returns the schema of Confluent's wire format that names the type, unless an attribute does.
    fn schema_id(&self, envelope: &Envelope<'_>) -> Option<u32> {
        let schema = envelope.schema()?;
        envelope.stated_type(&self.envelope.type_attribute).is_none().then_some(schema.id)
    }

    /// Decides about a message whose envelope is open, if its JSON is not large. Only the JSON of a claim check can be:
    /// a topic accepts none.
    ///
    /// # Errors
    /// Returns an error if the JSON is large. At most the size that a topic accepts was rendered.
    pub fn decide_small(
        &self,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        trace: &TraceHeaders,
    ) -> Result<Decided, IsLarge> {
        let decided = self.decide_within(self.max_entry_bytes, context, message, envelope, (trace, &mut ()));
        if decided.is_large { Err(IsLarge) } else { Ok(decided) }
    }

    /// Decides about a message whose envelope is open, in its turn.
    ///
    /// # Errors
    /// Returns no error. The type is that of [`Rules::decide_small`] for callers of either.
    pub fn decide_large(
        &self,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        trace: &TraceHeaders,
    ) -> Result<Decided, Infallible> {
        Ok(self.decide(context, message, envelope, trace))
    }

    /// Decides about a message whose envelope is open.
    pub fn decide(
        &self,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        trace: &TraceHeaders,
    ) -> Decided {
        self.decide_noting(context, message, envelope, trace, &mut ())
    }

    /// Decides about a message like [`Rules::decide`], and notes each step.
    pub fn decide_noting(
        &self,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        trace: &TraceHeaders,
        witness: &mut impl Witness,
    ) -> Decided {
        self.decide_within(usize::MAX, context, message, envelope, (trace, witness))
    }

    /// Decides about a message, and renders no JSON beyond `cap` bytes.
    fn decide_within(
        &self,
        cap: usize,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        trace: (&TraceHeaders, &mut impl Witness),
    ) -> Decided {
        let mut decided = Decided::default();
        decided.decision = self.deliveries(cap, context, message, envelope, trace, &mut decided);
        decided
    }

    fn deliveries(
        &self,
        cap: usize,
        context: Context<'_>,
        message: &Message,
        envelope: &Envelope<'_>,
        (trace, witness): (&TraceHeaders, &mut impl Witness),
        found: &mut Decided,
    ) -> Result<Deliveries, Outcome> {
        let without_destinations = |id: EventId| Some((id, 0));
        let not_decoded = || {
            let stated = envelope.attribute(&self.envelope.event_id_attribute);
            stated.map(EventId::new).and_then(without_destinations)
        };
        let event_type = self.event_type_noting(context, message, envelope, witness);
        let event_type = event_type.inspect_err(|_| found.event = not_decoded())?;
        found.event_type = Some(Arc::clone(event_type));
        witness.note(|| set_of(event_type, context.snapshot));

        let router = context.router;
        let attribute = envelope.find_attribute(&self.customer_attribute);
        let named = attribute.map(|(id, _)| id);
        let payload = self.wire(event_type, envelope).inspect_err(|_| found.event = not_decoded())?;
        let max_bytes = self.expected_max_json_bytes(router, named).min(cap);
        let mut transcoder = Transcoder::new(event_type, &payload, router.profile(named), max_bytes)
            .inspect_err(|_| found.event = not_decoded())
            .map_err(|reason| self.unrenderable(message, reason))?
            .with_cap(cap);
        found.heartbeat = heartbeat::read(event_type, &transcoder, witness);
        let customers = Customers { attribute, payload: transcoder.find_tap(&event_type.taps.customer), event_type };
        let destinations = match self.destinations(customers, router, witness) {
            Ok(destinations) => destinations,
            Err(outcome) => {
                let id = event::id((message, envelope), event_type, &transcoder, &self.envelope);
                found.event = without_destinations(id);
                return Err(outcome);
            }
        };
        let event = Event::new((message, envelope), event_type, &transcoder, &self.envelope, trace, witness);
        let count = destinations.len();
        let noted = NotedRecipients::of(message, &event_type.name, event.id.as_str());
        let deliveries =
            self.deliveries_to(destinations, noted.as_ref(), &event, (&mut transcoder, &mut found.refused), witness);
        found.event = Some((event.id, count));
        found.is_large = transcoder.was_capped();
        let deliveries = deliveries.map_err(|reason| self.unrenderable(message, reason))?;
        if let Some(reason) = &deliveries.refused
            && reason.kind == QuarantineKind::UnknownType
            && let retry @ Outcome::Retry(_) = self.unrenderable(message, reason.clone())
        {
            // The type can still arrive, and then all destinations get the event together.
            return Err(retry);
        }
        Ok(deliveries)
    }

    /// Returns the destinations of a decoded event.
    fn destinations(
        &self,
        customers: Customers<'_>,
        router: &Router,
        witness: &mut impl Witness,
    ) -> Result<Vec<Destination>, Outcome> {
        let event_type = &customers.event_type.name;
        let customer = self.customer(customers, router, witness)?;
        match router.route_noting(event_type, customer, witness) {
            Routing::To(destinations) => Ok(destinations),
            Routing::Filtered(filtered) => Err(Outcome::Filtered(filtered)),
            Routing::Unroutable(reason) => Err(reason.into()),
        }
    }

    /// Returns the event in the wire format. Its JSON is then written from that, so that the options of each profile apply
    /// to an event that arrived as JSON, too.
    fn wire<'e>(&self, event_type: &EventType, envelope: &'e Envelope<'_>) -> Result<Cow<'e, [u8]>, QuarantineReason> {
        if !envelope.is_json() {
            return Ok(Cow::Borrowed(&envelope.payload));
        }
        let name = &event_type.name;
        let wire = event_type.wire_from_json(&envelope.payload).map_err(|error| {
            let detail = format_args!("the data of the CloudEvent is not the JSON of {name}: {error}");
            QuarantineKind::MalformedProtobuf.because(detail)
        })?;
        // The memory for rendering depends on the size of the wire format.
        let (size, most) = (wire.len(), self.envelope.max_payload_bytes);
        if size > most {
            return Err(QuarantineKind::BadEnvelope.because(format_args!(
                "the JSON data of the CloudEvent has {size} bytes in the wire format of {name}; to allow this size, raise \
                 `envelope.max_payload_bytes` ({most})"
            )));
        }
        Ok(Cow::Owned(wire))
    }

    /// Returns the outcome of a message whose S3 object does not exist: a retry during the grace period, then quarantine.
    pub fn missing_object(&self, message: &Message, detail: String) -> Outcome {
        self.within_grace(message, RetryCause::MissingObject, QuarantineKind::BadEnvelope, detail)
    }

    /// Returns the outcome of an event that has no JSON: a retry during the grace period if it holds a message of a type
    /// that can still arrive, quarantine otherwise.
    fn unrenderable(&self, message: &Message, reason: QuarantineReason) -> Outcome {
        match reason.kind {
            QuarantineKind::UnknownType => {
                self.within_grace(message, RetryCause::UnknownType, reason.kind, reason.detail)
            }
            _ => reason.into(),
        }
    }

    /// Returns a retry while what is missing can still arrive, and a reason for quarantine after the grace period.
    fn within_grace(&self, message: &Message, cause: RetryCause, kind: QuarantineKind, detail: String) -> Outcome {
        let waited = message.first_received.elapsed().unwrap_or_default();
        if waited < self.unknown_type_grace { cause.because(detail).into() } else { kind.because(detail).into() }
    }
}

/// Returns the step that names the set of a type.
fn set_of(event_type: &EventType, snapshot: &Snapshot) -> Step {
    let because = "its definition of the type serves";
    match snapshot.set_of(event_type) {
        Some(set) => Step::new(About::Set, format_args!("{} ({})", set.name, set.hash), because),
        None => Step::new(About::Set, "built in", because),
    }
}

fn refused<'m>(error: envelope::Error) -> Opened<'m> {
    Opened::Refused(QuarantineKind::BadEnvelope.because(error))
}

/// Identifies the delivery of an event to a destination.
fn key(event: &Event<'_>, destination: &Destination) -> DeliveryKey {
    DeliveryKey::new(&event.event_type.name, event.id.as_str(), destination.customer_id(), &destination.topic)
}

#[cfg(test)]
mod tests;
