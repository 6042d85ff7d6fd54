//! The outermost layer: the SQS message, or the SNS notification in its body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Deserialize;

use super::{Envelope, Error, Origin, Pointer, decode_base64, decode_base64_bytes, framing, inflate, pointer};
use crate::config;
use crate::message::steps::{About, Step, Witness};

/// The place of the text in a notification.
const NOTIFICATION: &str = "notification's message";

/// A message without its SNS notification, if it had one. All other layers are still there.
#[derive(Debug)]
pub struct Outer<'m> {
    place: &'static str,
    text: Cow<'m, str>,
    notification_id: Option<Cow<'m, str>>,
    attributes: InboundAttributes<'m>,
}

/// The attributes of the notification and of the message. The notification's take precedence.
#[derive(Debug)]
pub(super) struct InboundAttributes<'m> {
    notification: HashMap<Cow<'m, str>, NotificationAttribute<'m>>,
    message: &'m HashMap<String, MessageAttributeValue>,
}

/// The fields of the JSON in which SNS wraps a message for SQS. Other fields are ignored.
#[derive(Deserialize)]
struct Notification<'m> {
    #[serde(borrow, rename = "Type")]
    kind: Cow<'m, str>,
    #[serde(borrow, rename = "MessageId")]
    message_id: Option<Cow<'m, str>>,
    #[serde(borrow, rename = "Message")]
    message: Cow<'m, str>,
    #[serde(borrow, default, rename = "MessageAttributes")]
    attributes: HashMap<Cow<'m, str>, NotificationAttribute<'m>>,
}

#[derive(Deserialize)]
struct NotificationAttribute<'m> {
    #[serde(borrow, rename = "Type")]
    kind: Cow<'m, str>,
    #[serde(borrow, rename = "Value")]
    value: Cow<'m, str>,
}

impl fmt::Debug for NotificationAttribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value can be the payload, which is never shown.
        f.debug_struct("NotificationAttribute").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<'m> Outer<'m> {
    /// Reads a message's body and attributes.
    pub fn read(body: &'m str, attributes: &'m HashMap<String, MessageAttributeValue>) -> Self {
        let (place, text, notification_id, notification) = match notification(body) {
            Some(n) => (NOTIFICATION, n.message, n.message_id, n.attributes),
            None => ("body", Cow::Borrowed(body), None, HashMap::new()),
        };
        Self { place, text, notification_id, attributes: InboundAttributes { notification, message: attributes } }
    }

    /// Notes the notification, if the message had one.
    pub fn note(&self, witness: &mut impl Witness) {
        if self.place == NOTIFICATION {
            let id = self.notification_id.as_deref().unwrap_or("without a message id");
            let because = "the body has `Type: Notification`; its attributes take precedence over those of the message";
            witness.note(|| Step::new(About::Layer, format_args!("SNS notification {id}"), because));
        }
    }

    /// Returns the S3 object that has the payload, if the body points to one.
    ///
    /// # Errors
    /// Returns an error if the body is an incomplete pointer.
    pub fn pointer(&self, settings: &config::Envelope) -> Result<Option<Pointer>, Error> {
        if self.attributes.has_payload(&settings.payload_attribute) {
            return Ok(None);
        }
        pointer::read(&self.text).map_err(|missing| Error::BadPointer { place: self.place, missing })
    }

    /// Removes the other layers. `object` is the content of the S3 object that the body points to.
    ///
    /// # Errors
    /// Returns an error if there is no payload, or if a layer around it is not in the expected form.
    pub fn open(
        self,
        object: Option<&[u8]>,
        settings: &config::Envelope,
        framing: config::Framing,
        witness: &mut impl Witness,
    ) -> Result<Envelope<'m>, Error> {
        let Self { place, text, notification_id, attributes } = self;
        let no_payload = |place| {
            let attribute = &settings.payload_attribute;
            move |error| Error::NoPayload { place, error, attribute: attribute.clone() }
        };
        let in_attribute = attributes.payload(&settings.payload_attribute, witness)?;
        let mut in_text = |place, decoded: Result<Vec<u8>, base64::DecodeError>| {
            let payload = decoded.map_err(no_payload(place))?;
            note_base64(place, payload.len(), &settings.payload_attribute, witness);
            Ok(Cow::Owned(payload))
        };
        let payload = match (in_attribute, object) {
            (Some(payload), _) => payload,
            (None, Some(object)) => in_text("S3 object", decode_base64_bytes(object))?,
            (None, None) => in_text(place, decode_base64(&text))?,
        };
        let most = settings.max_payload_bytes;
        let payload = inflate::undo(payload, attributes.text("content-encoding"), most, witness)?;
        let (payload, frame) = framing::open(payload, framing, most, witness)?;
        Ok(Envelope { payload, attributes, notification_id, frame })
    }
}

impl<'m> InboundAttributes<'m> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.notification.contains_key(name) || self.message.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(text, _)| text)
    }

    /// Returns the value of a text attribute and the part of the message that has it.
    pub(super) fn find(&self, name: &str) -> Option<(&str, Origin)> {
        if let Some(attribute) = self.notification.get(name) {
            return (attribute.kind != "Binary").then_some((&*attribute.value, Origin::Notification));
        }
        self.message.get(name)?.string_value().map(|text| (text, Origin::Message))
    }

    fn has_payload(&self, name: &str) -> bool {
        self.payload_of_notification(name).is_some() || self.payload_of_message(name).is_some()
    }

    /// Returns the bytes of the payload attribute: a Binary one, or base64 in a String one.
    fn payload(&self, name: &str, witness: &mut impl Witness) -> Result<Option<Cow<'m, [u8]>>, Error> {
        let mut decode = |place, text: &str| {
            let bad = |error| Error::BadAttribute { place, attribute: name.to_owned(), error };
            let payload = decode_base64(text).map_err(bad)?;
            witness.note(|| {
                let found = format!("payload of {} bytes, in base64", payload.len());
                let because = format!("the {place} has the attribute `{name}` (envelope.payload_attribute)");
                Step::new(About::Layer, found, because)
            });
            Ok(Some(Cow::Owned(payload)))
        };
        match (self.payload_of_notification(name), self.payload_of_message(name)) {
            (Some(text), _) => decode("SNS notification", text),
            (None, Some(Value::Binary(bytes))) => {
                witness.note(|| {
                    let found = format!("payload of {} bytes", bytes.len());
                    let because = format!("the message has the Binary attribute `{name}` (envelope.payload_attribute)");
                    Step::new(About::Layer, found, because)
                });
                Ok(Some(Cow::Borrowed(bytes)))
            }
            (None, Some(Value::Text(text))) => decode("message", text),
            (None, None) => Ok(None),
        }
    }

    /// Returns the base64 of the notification's payload attribute. A Number is no payload.
    fn payload_of_notification(&self, name: &str) -> Option<&str> {
        let attribute = self.notification.get(name)?;
        (attribute.kind == "Binary" || is_string(&attribute.kind)).then_some(&*attribute.value)
    }

    fn payload_of_message(&self, name: &str) -> Option<Value<'m>> {
        let attribute = self.message.get(name)?;
        if let Some(blob) = attribute.binary_value() {
            return Some(Value::Binary(blob.as_ref()));
        }
        attribute.string_value().filter(|_| is_string(attribute.data_type())).map(Value::Text)
    }
}

/// Notes that the payload was base64 in this place.
fn note_base64(place: &str, bytes: usize, attribute: &str, witness: &mut impl Witness) {
    witness.note(|| {
        let found = format!("payload of {bytes} bytes, in base64");
        let because =
            format!("the message has no attribute `{attribute}` (envelope.payload_attribute), so the {place} is it");
        Step::new(About::Layer, found, because)
    });
}

/// The value of a payload attribute.
enum Value<'m> {
    Binary(&'m [u8]),
    /// Base64.
    Text(&'m str),
}

/// Whether an attribute of this type is a String, with or without a label such as `String.base64`.
fn is_string(kind: &str) -> bool {
    kind.strip_prefix("String").is_some_and(|label| label.is_empty() || label.starts_with('.'))
}

fn notification(body: &str) -> Option<Notification<'_>> {
    if !body.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str::<Notification<'_>>(body).ok().filter(|notification| notification.kind == "Notification")
}
