//! From a message to the payload's bytes and what stands beside them.
//!
//! SQS and SNS bodies are text, so a Protobuf payload travels in a Binary attribute or as base64. The layers come off
//! from the outside in: an SNS notification (a queue subscribed without raw delivery), whose own attributes then count
//! before the message's; the payload attribute, else the body, in base64, standard or URL-safe, padded or not, or in
//! the S3 object that the body points to; a `content-encoding`; and the framing of the queue.
//!
//! Nothing here asks anybody. [`Outer`] says which object a body points to, and is opened with it; whoever opens it has
//! fetched the object.

mod any;
mod cloud_event;
mod framing;
mod inflate;
mod outer;
mod pointer;
mod stated_type;

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use cloud_event::CloudEvent;
pub use framing::SchemaReference;
pub use outer::Outer;
pub use pointer::Pointer;

use crate::config;
use framing::Frame;
use outer::Attributes;

/// What a message carries.
#[derive(Debug)]
pub struct Envelope<'m> {
    /// The wire bytes of the event.
    pub payload: Cow<'m, [u8]>,
    attributes: Attributes<'m>,
    notification_id: Option<Cow<'m, str>>,
    frame: Frame,
}

/// Why a message's payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not base64, and there is no payload attribute either.
    #[error(
        "the {place} is not base64 ({error}), and there is no Binary attribute `{attribute}`; send the payload as one or the other"
    )]
    NoPayload {
        /// What was read: the body, the notification's message, or the S3 object.
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
    /// The body is a pointer of the extended clients, and says not where to.
    #[error(
        "the {place} is an S3 pointer of the extended client without {missing}; it should have `s3BucketName` and `s3Key`"
    )]
    BadPointer {
        /// What was read.
        place: &'static str,
        /// The key that is missing.
        missing: &'static str,
    },
    /// A `content-encoding` that nobody here can undo.
    #[error("`content-encoding` is `{encoding}`; only gzip and zstd can be undone, so send one of them or none")]
    UnknownEncoding {
        /// Its name.
        encoding: String,
    },
    /// The payload is not what its `content-encoding` says.
    #[error(
        "the payload is not the {encoding} that its `content-encoding` says it is ({error}); send it as that, or without the attribute"
    )]
    NotEncoded {
        /// What it should be.
        encoding: &'static str,
        /// What is wrong.
        error: String,
    },
    /// The payload is larger than it may be once its `content-encoding` is undone.
    #[error(
        "the payload is more than {most} bytes once its {encoding} is undone; if it is meant to be, raise `envelope.max_payload_bytes`"
    )]
    Inflates {
        /// How it is compressed.
        encoding: &'static str,
        /// The most that it may have.
        most: usize,
    },
    /// The payload is not wrapped in what the queue says.
    #[error(
        "the payload is not {expected}, though the queue's `framing` says so: {error}; send it as that, or change `framing`"
    )]
    NotFramed {
        /// What it should be.
        expected: &'static str,
        /// What is wrong.
        error: String,
    },
}

impl<'m> Envelope<'m> {
    /// Reads a message's body and attributes, where the body does not point elsewhere.
    ///
    /// # Errors
    /// When no payload is found, or a layer around it is not what it says it is.
    pub fn open(
        body: &'m str,
        attributes: &'m HashMap<String, MessageAttributeValue>,
        settings: &config::Envelope,
        framing: config::Framing,
    ) -> Result<Self, Error> {
        Outer::read(body, attributes).open(None, settings, framing)
    }

    /// The value of a text attribute: the notification's, else the message's own, else the CloudEvent's.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        if self.attributes.has(name) {
            return self.attributes.text(name);
        }
        self.cloud_event()?.attribute(name)
    }

    /// The message id that SNS gave the event, if it came as a notification.
    pub fn notification_id(&self) -> Option<&str> {
        self.notification_id.as_deref()
    }

    /// What the CloudEvent around the payload says, if there is one.
    pub fn cloud_event(&self) -> Option<&CloudEvent> {
        match &self.frame {
            Frame::CloudEvent(event) => Some(event),
            _ => None,
        }
    }

    /// The type that an attribute states: the one of this name, else the parameter `messageType` or `proto` of
    /// `content-type`.
    pub fn stated_type(&self, attribute: &str) -> Option<Cow<'_, str>> {
        if let Some(name) = self.attribute(attribute) {
            return Some(Cow::Borrowed(name));
        }
        let from_event = || self.cloud_event()?.content_type();
        stated_type::in_content_type(self.attribute("content-type").or_else(from_event)?)
    }

    /// The type URL of the `google.protobuf.Any` that the payload was in.
    pub fn type_url(&self) -> Option<&str> {
        match &self.frame {
            Frame::Any(url) => Some(url),
            Frame::CloudEvent(event) => event.type_url(),
            Frame::None | Frame::Confluent(_) => None,
        }
    }

    /// What Confluent's wire format says about the payload's type.
    pub fn schema(&self) -> Option<&SchemaReference> {
        match &self.frame {
            Frame::Confluent(reference) => Some(reference),
            _ => None,
        }
    }
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
    decode_base64_bytes(text.as_bytes())
}

fn decode_base64_bytes(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let text = text.trim_ascii();
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    if url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) }
}

#[cfg(test)]
mod tests;
