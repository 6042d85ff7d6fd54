//! The outermost layer: the SQS message, or the SNS notification in its body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Deserialize;

use super::{Envelope, Error, Pointer, decode_base64, decode_base64_bytes, framing, inflate, pointer};
use crate::config;

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
            Some(n) => ("notification's message", n.message, n.message_id, n.attributes),
            None => ("body", Cow::Borrowed(body), None, HashMap::new()),
        };
        Self { place, text, notification_id, attributes: InboundAttributes { notification, message: attributes } }
    }

    /// Returns the S3 object that has the payload, if the body points to one.
    ///
    /// # Errors
    /// Returns an error if the body is an incomplete pointer.
    pub fn pointer(&self, settings: &config::Envelope) -> Result<Option<Pointer>, Error> {
        if self.attributes.has_binary(&settings.payload_attribute) {
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
    ) -> Result<Envelope<'m>, Error> {
        let Self { place, text, notification_id, attributes } = self;
        let no_payload = |place| {
            let attribute = &settings.payload_attribute;
            move |error| Error::NoPayload { place, error, attribute: attribute.clone() }
        };
        let payload = match (attributes.binary(&settings.payload_attribute)?, object) {
            (Some(payload), _) => payload,
            (None, Some(object)) => Cow::Owned(decode_base64_bytes(object).map_err(no_payload("S3 object"))?),
            (None, None) => Cow::Owned(decode_base64(&text).map_err(no_payload(place))?),
        };
        let payload = inflate::undo(payload, attributes.text("content-encoding"), settings.max_payload_bytes)?;
        let (payload, frame) = framing::open(payload, framing)?;
        Ok(Envelope { payload, attributes, notification_id, frame })
    }
}

impl<'m> InboundAttributes<'m> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.notification.contains_key(name) || self.message.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        if let Some(attribute) = self.notification.get(name) {
            return (attribute.kind != "Binary").then_some(&*attribute.value);
        }
        self.message.get(name)?.string_value()
    }

    fn has_binary(&self, name: &str) -> bool {
        let outer = self.notification.get(name).is_some_and(|attribute| attribute.kind == "Binary");
        outer || self.message.get(name).is_some_and(|value| value.binary_value().is_some())
    }

    fn binary(&self, name: &str) -> Result<Option<Cow<'m, [u8]>>, Error> {
        if let Some(attribute) = self.notification.get(name).filter(|attribute| attribute.kind == "Binary") {
            let bad = |error| Error::BadAttribute { attribute: name.to_owned(), error };
            return Ok(Some(Cow::Owned(decode_base64(&attribute.value).map_err(bad)?)));
        }
        Ok(self.message.get(name).and_then(|value| value.binary_value()).map(|blob| Cow::Borrowed(blob.as_ref())))
    }
}

fn notification(body: &str) -> Option<Notification<'_>> {
    if !body.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str::<Notification<'_>>(body).ok().filter(|notification| notification.kind == "Notification")
}
