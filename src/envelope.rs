//! From a message to the payload's bytes and what stands beside them.
//!
//! SQS and SNS bodies are text, so a Protobuf payload travels in a Binary attribute or as base64. What a message is,
//! is recognised in this order: an SNS notification (a queue subscribed without raw delivery), whose own attributes
//! then count before the message's; the payload attribute; a body in base64, standard or URL-safe, padded or not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::config;

/// What a message carries.
#[derive(Debug)]
pub struct Envelope<'m> {
    /// The wire bytes of the event.
    pub payload: Cow<'m, [u8]>,
    attributes: Attributes<'m>,
    notification_id: Option<Cow<'m, str>>,
}

#[derive(Debug)]
struct Attributes<'m> {
    notification: HashMap<Cow<'m, str>, NotificationAttribute<'m>>,
    message: &'m HashMap<String, MessageAttributeValue>,
}

/// Why a message's payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not base64, and there is no payload attribute either.
    #[error(
        "the {place} is not base64 ({error}), and there is no Binary attribute `{attribute}`; send the payload as one or the other"
    )]
    NoPayload {
        /// What was read: the body, or the notification's message.
        place: &'static str,
        /// Where base64 ends.
        error: base64::DecodeError,
        /// The configured name of the payload attribute.
        attribute: String,
    },
    /// An SNS notification's Binary attribute is not base64.
    #[error("attribute `{attribute}` of the SNS notification is not base64 ({error})")]
    BadAttribute {
        /// The attribute's name.
        attribute: String,
        /// Where base64 ends.
        error: base64::DecodeError,
    },
}

/// The fields of an SNS notification that count, as SNS wraps a message for SQS.
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
        // The value may be the payload, which is never shown.
        f.debug_struct("NotificationAttribute").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<'m> Envelope<'m> {
    /// Reads a message's body and attributes.
    ///
    /// # Errors
    /// When no payload is found, or it is not base64 where it has to be.
    pub fn open(
        body: &'m str,
        attributes: &'m HashMap<String, MessageAttributeValue>,
        settings: &config::Envelope,
    ) -> Result<Self, Error> {
        let notification = notification(body);
        let (place, text, notification_id, outer) = match notification {
            Some(n) => ("notification's message", n.message, n.message_id, n.attributes),
            None => ("body", Cow::Borrowed(body), None, HashMap::new()),
        };
        let attributes = Attributes { notification: outer, message: attributes };
        let payload = match attributes.binary(&settings.payload_attribute)? {
            Some(payload) => payload,
            None => Cow::Owned(decode_base64(&text).map_err(|error| Error::NoPayload {
                place,
                error,
                attribute: settings.payload_attribute.clone(),
            })?),
        };
        Ok(Self { payload, attributes, notification_id })
    }

    /// The value of a text attribute: the notification's, else the message's own.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        if let Some(attribute) = self.attributes.notification.get(name) {
            return (attribute.kind != "Binary").then_some(&*attribute.value);
        }
        self.attributes.message.get(name)?.string_value()
    }

    /// The message id that SNS gave the event, if it came as a notification.
    pub fn notification_id(&self) -> Option<&str> {
        self.notification_id.as_deref()
    }
}

impl<'m> Attributes<'m> {
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

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Decodes base64 in either alphabet, with or without padding; white space around it does not count.
///
/// # Errors
/// When the text is neither, with the first position that is not.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let text = text.trim_ascii();
    let url_safe = text.bytes().any(|byte| byte == b'-' || byte == b'_');
    if url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::primitives::Blob;

    use super::*;

    const PAYLOAD: &[u8] = b"\xfb\xff\x00";

    fn attribute(kind: &str, text: Option<&str>, binary: Option<&[u8]>) -> MessageAttributeValue {
        let builder = MessageAttributeValue::builder().data_type(kind);
        builder.set_string_value(text.map(str::to_owned)).set_binary_value(binary.map(Blob::new)).build().unwrap()
    }

    fn check(body: &str, attributes: &[(&str, MessageAttributeValue)], expected: Result<&[u8], &str>) {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let opened = Envelope::open(body, &attributes, &config::Envelope::default());
        match (&opened, expected) {
            (Ok(envelope), Ok(payload)) => assert_eq!(&*envelope.payload, payload, "{body}"),
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text, "{body}"),
            _ => panic!("{body}: {opened:?}"),
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet_with_or_without_padding() {
        for body in ["+/8A", "-_8A", " +/8A\n"] {
            check(body, &[], Ok(PAYLOAD));
        }
        check("CAE=", &[], Ok(b"\x08\x01"));
        check("CAE", &[], Ok(b"\x08\x01"));
    }

    #[test]
    fn a_binary_attribute_counts_before_the_body() {
        check("see attribute", &[("payload", attribute("Binary", None, Some(PAYLOAD)))], Ok(PAYLOAD));
    }

    #[test]
    fn a_notification_is_unwrapped() {
        let body = r#"{"Type":"Notification","MessageId":"n-1","Message":"+\/8A","MessageAttributes":{"message-type":{"Type":"String","Value":"a.B"}}}"#;
        check(body, &[], Ok(PAYLOAD));
        let attributes = HashMap::from([("message-type".to_owned(), attribute("String", Some("outer"), None))]);
        let envelope = Envelope::open(body, &attributes, &config::Envelope::default()).unwrap();
        assert_eq!(envelope.attribute("message-type"), Some("a.B"), "the notification's own attribute counts first");
        assert_eq!(envelope.notification_id(), Some("n-1"));
    }

    #[test]
    fn a_binary_attribute_of_a_notification_is_base64() {
        check(
            r#"{"Type":"Notification","Message":"-","MessageAttributes":{"payload":{"Type":"Binary","Value":"+/8A"}}}"#,
            &[],
            Ok(PAYLOAD),
        );
        check(
            r#"{"Type":"Notification","Message":"-","MessageAttributes":{"payload":{"Type":"Binary","Value":"?"}}}"#,
            &[],
            Err("attribute `payload` of the SNS notification is not base64 (Invalid symbol 63, offset 0.)"),
        );
    }

    #[test]
    fn what_holds_no_payload_says_what_was_tried() {
        check(
            "hello, world",
            &[],
            Err(
                "the body is not base64 (Invalid symbol 44, offset 5.), and there is no Binary attribute `payload`; send the payload as one or the other",
            ),
        );
        check(
            r#"{"Type":"SubscriptionConfirmation","Message":"+/8A"}"#,
            &[],
            Err(
                "the body is not base64 (Invalid symbol 123, offset 0.), and there is no Binary attribute `payload`; send the payload as one or the other",
            ),
        );
    }
}
