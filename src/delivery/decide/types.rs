//! The type of an event: several parts of a message can name it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Context, Opened, Rules};
use crate::delivery::outcome::Outcome;
use crate::message::envelope::{Envelope, StatedBy};
use crate::message::steps::{About, Step, Witness};
use crate::message::{Message, QuarantineKind, RetryCause};
use crate::schema::confluent::Schemas;
use crate::schema::registry::EventType;

impl Rules {
    /// Returns the event's type. The first of these that is present names it: an attribute, the URL of an Any, the
    /// CloudEvent, the schema of Confluent's or Glue's wire format, the default of the queue.
    ///
    /// # Errors
    /// Returns a retry while a type that no descriptor set defines can still arrive, and a reason for quarantine after the
    /// grace period or if nothing names a type.
    pub fn event_type<'s>(
        &self,
        context: Context<'s>,
        message: &Message,
        envelope: &Envelope<'_>,
    ) -> Result<&'s Arc<EventType>, Outcome> {
        self.event_type_noting(context, message, envelope, &mut ())
    }

    /// Returns the name that a message states as its type, whether a descriptor set defines it or not. Returns `None` if the
    /// payload must be fetched first, or if nothing in the message names the type.
    pub fn stated_type(&self, message: &Message, schemas: &Schemas) -> Option<String> {
        let Opened::Ready(envelope) = self.open(message, None, schemas) else { return None };
        let stated = envelope.find_stated_type(&self.envelope.type_attribute).map(|(name, _)| name.into_owned());
        let of_event = || envelope.cloud_event()?.type_names().next().map(str::to_owned);
        stated
            .or_else(|| envelope.type_url().map(str::to_owned))
            .or_else(|| message.queue.default_type.clone())
            .or_else(of_event)
    }

    /// Returns the same as [`Rules::event_type`], and notes what names the type.
    pub(super) fn event_type_noting<'s>(
        &self,
        context: Context<'s>,
        message: &Message,
        envelope: &Envelope<'_>,
        witness: &mut impl Witness,
    ) -> Result<&'s Arc<EventType>, Outcome> {
        let Context { snapshot, schemas, .. } = context;
        let attribute = &self.envelope.type_attribute;
        let later = |detail| self.within_grace(message, RetryCause::UnknownType, QuarantineKind::UnknownType, detail);
        let by_event = || envelope.cloud_event()?.type_names().find_map(|name| snapshot.find(name));
        let schema = envelope.schema().filter(|_| schemas.is_configured());
        let glue = envelope.glue().filter(|_| self.glue.is_configured());
        let mut note = |name: &str, because: &dyn fmt::Display| {
            witness.note(|| Step::new(About::Type, name, because));
        };
        let name = if let Some((name, by)) = envelope.find_stated_type(attribute) {
            note(&name, &Stated { by, attribute });
            name
        } else if let Some(name) = envelope.type_url() {
            note(name, &"the type URL of the google.protobuf.Any names it");
            Cow::Borrowed(name)
        } else if let Some(event_type) = by_event() {
            note(&event_type.name, &"the `dataschema` or the `type` of the CloudEvent is the name of a known type");
            return Ok(event_type);
        } else if let Some(reference) = schema {
            let name = schemas.type_name(reference).map_err(|error| later(error.to_string()))?;
            note(&name, &format_args!("it is {reference} (confluent.schemas_file or confluent.registry_url)"));
            Cow::Owned(name.to_string())
        } else if let Some(reference) = glue {
            let name = self.glue.type_name(reference).map_err(|error| later(error.to_string()))?;
            note(name, &format_args!("it is {reference} (glue.schemas_file)"));
            Cow::Borrowed(&**name)
        } else if let Some(name) = &message.queue.default_type {
            note(name, &"nothing in the message names its type, and the queue has this `default_type`");
            Cow::Borrowed(name.as_str())
        } else if let Some(event) = envelope.cloud_event() {
            let names: Vec<&str> = event.type_names().collect();
            return Err(later(format!("no descriptor set defines {}, which the CloudEvent names", names.join(" or "))));
        } else {
            let detail = format!(
                "the message has no attribute `{attribute}`, nothing else in it names its type, and its queue has no \
                 `default_type`"
            );
            return Err(QuarantineKind::UnknownType.because(detail).into());
        };
        snapshot.find(&name).ok_or_else(|| later(snapshot.why_unknown(&name)))
    }
}

/// The attribute that states the type, for people.
struct Stated<'r> {
    by: StatedBy,
    /// The name of the type attribute.
    attribute: &'r str,
}

impl fmt::Display for Stated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            StatedBy::Attribute(origin) => {
                write!(f, "{origin} has the attribute `{}` (envelope.type_attribute)", self.attribute)
            }
            StatedBy::ContentType(origin) => write!(f, "{origin} has the attribute `content-type` with this parameter"),
            StatedBy::DataContentType => f.write_str("the CloudEvent has `datacontenttype` with this parameter"),
        }
    }
}
