//! From a message to its open envelope and its type, with what it refers to outside of itself.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{Carried, Pipeline};
use crate::confluent::Schemas;
use crate::envelope::{Envelope, Outer, Pointer};
use crate::objects::{self, Object, Objects};
use crate::outcome::{Cause, Outcome, Reason};
use crate::publish::Entry;
use crate::receive::Message;
use crate::registry::{EventType, Snapshot};

/// What messages refer to outside of themselves.
#[derive(Debug)]
pub struct Outside {
    /// The objects that bodies point to.
    pub objects: Objects,
    /// The schemas that Confluent's wire format numbers.
    pub schemas: Schemas,
}

impl Pipeline {
    /// Opens the envelope and [prepares](Pipeline::prepare) the event, if the message has everything that this takes. None
    /// means that somebody has to be asked, for which there is [`Pipeline::open`].
    pub(super) fn open_at_once(
        &self,
        snapshot: &Snapshot,
        carried: &mut Carried,
    ) -> Option<Result<Vec<Entry>, Outcome>> {
        let Carried { message, known, .. } = carried;
        let outer = Outer::read(&message.body, &message.attributes);
        let envelope = match outer.pointer(&self.envelope) {
            Ok(Some(_)) => return None,
            Ok(None) => outer.open(None, &self.envelope, message.source.framing),
            Err(error) => Err(error),
        };
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(error) => return Some(Err(Reason::BadEnvelope.because(error).into())),
        };
        if self.unknown_schema(&envelope).is_some_and(|id| !self.outside.schemas.is_learnt(id)) {
            return None;
        }
        Some(self.prepare(snapshot, message, &envelope, known))
    }

    /// As [`Pipeline::open_at_once`], after asking for what the message refers to.
    pub(super) async fn open(&self, snapshot: &Snapshot, carried: &mut Carried) -> Result<Vec<Entry>, Outcome> {
        let Carried { message, known, .. } = carried;
        let bad_envelope = |error| Reason::BadEnvelope.because(error);
        let outer = Outer::read(&message.body, &message.attributes);
        // Kept until the event is rendered, and with it its share of the memory.
        let object = match outer.pointer(&self.envelope).map_err(bad_envelope)? {
            Some(pointer) => Some(self.fetch(message, pointer).await?),
            None => None,
        };
        let object = object.as_ref().map(|object| &*object.bytes);
        let envelope = outer.open(object, &self.envelope, message.source.framing).map_err(bad_envelope)?;
        if let Some(id) = self.unknown_schema(&envelope) {
            let learned = self.outside.schemas.learn(id).await;
            learned.map_err(|detail| Cause::Outside.because(detail))?;
        }
        self.prepare(snapshot, message, &envelope, known)
    }

    /// The schema of Confluent's wire format by which the type is found, unless it is stated.
    fn unknown_schema(&self, envelope: &Envelope<'_>) -> Option<u32> {
        let schema = envelope.schema()?;
        envelope.stated_type(&self.envelope.type_attribute).is_none().then_some(schema.id)
    }

    async fn fetch(&self, message: &Message, pointer: Pointer) -> Result<Object<'_>, Outcome> {
        let fetched = self.outside.objects.fetch(pointer).await;
        match &fetched {
            Err(objects::Error::Forbidden(_) | objects::Error::Impossible { .. }) => {}
            _ => self.metrics.call("s3", "GetObject", fetched.is_ok()),
        }
        fetched.map_err(|error| match error {
            objects::Error::Failed { .. } => Cause::Outside.because(error).into(),
            objects::Error::Missing(_) => {
                self.perhaps_later(message, Cause::MissingObject, Reason::BadEnvelope, error.to_string())
            }
            _ => Reason::BadEnvelope.because(error).into(),
        })
    }

    /// The event's type, named by the first that names one: an attribute, the URL of an Any, the CloudEvent, the schema
    /// of Confluent's wire format, the queue. An unknown one is often a schema that is not there yet, so the message is
    /// retried for a while.
    pub(super) fn event_type<'s>(
        &self,
        snapshot: &'s Snapshot,
        message: &Message,
        envelope: &Envelope<'_>,
    ) -> Result<&'s Arc<EventType>, Outcome> {
        let attribute = &self.envelope.type_attribute;
        let later = |detail| self.perhaps_later(message, Cause::UnknownType, Reason::UnknownType, detail);
        let by_event = || envelope.cloud_event()?.type_names().find_map(|name| snapshot.find(name));
        let schema = envelope.schema().filter(|_| self.outside.schemas.is_configured());
        let stated = envelope.stated_type(attribute).or_else(|| envelope.type_url().map(Cow::Borrowed));
        let name = if let Some(name) = stated {
            name
        } else if let Some(event_type) = by_event() {
            return Ok(event_type);
        } else if let Some(reference) = schema {
            Cow::Owned(self.outside.schemas.type_name(reference).map_err(later)?.to_string())
        } else if let Some(name) = &message.source.default_type {
            Cow::Borrowed(name.as_str())
        } else if let Some(event) = envelope.cloud_event() {
            let names: Vec<&str> = event.type_names().collect();
            return Err(later(format!("no descriptor set defines {}, as the CloudEvent has it", names.join(" or "))));
        } else {
            let detail = format!(
                "the message has no attribute `{attribute}`, nothing else in it names its type, and its queue has no `default_type`"
            );
            return Err(Reason::UnknownType.because(detail).into());
        };
        snapshot.find(&name).ok_or_else(|| later(format!("no descriptor set defines {name}")))
    }

    /// Again, as long as what is missing may still come; then into quarantine.
    fn perhaps_later(&self, message: &Message, cause: Cause, reason: Reason, detail: String) -> Outcome {
        let grace = Duration::from_secs(self.retry.unknown_type_grace_seconds);
        let waited = message.first_received.elapsed().unwrap_or_default();
        if waited < grace { cause.because(detail).into() } else { reason.because(detail).into() }
    }
}
