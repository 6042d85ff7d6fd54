//! The envelope: reads the payload and its attributes from an SQS message.
//!
//! Bodies of SQS and SNS are text, so a Protobuf payload is sent in a Binary attribute or in base64. The layers are removed
//! from the outside in:
//!
//! 1. The SNS notification, if the queue is subscribed to a topic without raw message delivery. The notification's
//!    attributes take precedence over the message's.
//! 2. The payload: the payload attribute, or else the S3 object that the body points to, or else the body. The attribute
//!    is Binary, or a String with base64. Body and object are base64. Base64 is standard or URL-safe, with or without
//!    padding, in one or more lines.
//! 3. The `content-encoding`.
//! 4. The framing of the queue.
//!
//! This module makes no calls. [`Outer::pointer`] returns the S3 object that the body points to. The caller fetches it and
//! passes it to [`Outer::open`].

mod any;
mod cloud_event;
mod framing;
mod glue;
mod inflate;
mod outer;
mod pointer;
mod stated_type;

use std::borrow::Cow;
use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _};

pub use cloud_event::{CloudEvent, CloudEventError};
pub use framing::{FrameError, SchemaReference};
pub use glue::{GlueError, GlueReference};
pub use inflate::DecompressError;
pub use outer::Outer;
pub use pointer::Pointer;

use framing::Frame;
use outer::InboundAttributes;

/// An opened message: its payload and its attributes.
#[derive(Debug)]
pub struct Envelope<'m> {
    /// The event: its wire bytes, or its ProtoJSON if [`Envelope::is_json`].
    pub payload: Cow<'m, [u8]>,
    attributes: InboundAttributes<'m>,
    notification_id: Option<Cow<'m, str>>,
    frame: Frame,
}

/// The part of a message that has an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The SNS notification in the body.
    Notification,
    /// The SQS message.
    Message,
    /// The CloudEvent around the payload.
    CloudEvent,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notification => "the SNS notification",
            Self::Message => "the message",
            Self::CloudEvent => "the CloudEvent",
        })
    }
}

/// The attribute that names the type of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatedBy {
    /// The type attribute.
    Attribute(Origin),
    /// A parameter of the attribute `content-type`.
    ContentType(Origin),
    /// A parameter of the CloudEvent's `datacontenttype`.
    DataContentType,
}

/// Why a message's payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not base64, and there is no payload attribute either.
    #[error(
        "the {place} is not base64 ({error}), and there is no attribute `{attribute}` of type Binary or String; send the payload as one or the other"
    )]
    NoPayload {
        /// The text that was decoded: the body, the notification's message, or the S3 object.
        place: &'static str,
        /// The first place that is not base64.
        error: base64::DecodeError,
        /// The configured name of the payload attribute.
        attribute: String,
    },
    /// A payload attribute that contains text is not base64.
    #[error(
        "attribute `{attribute}` of the {place} is not base64 ({error}); send the payload as a Binary attribute, or as a String attribute with base64, or give `envelope.payload_attribute` another name"
    )]
    BadAttribute {
        /// The message or the notification.
        place: &'static str,
        /// The attribute's name.
        attribute: String,
        /// The first place that is not base64.
        error: base64::DecodeError,
    },
    /// The body is a pointer of the extended clients, but it is incomplete.
    #[error(
        "the {place} is an S3 pointer of the extended client without {missing}; it must have `s3BucketName` and `s3Key`"
    )]
    BadPointer {
        /// The text that was read: the body or the notification's message.
        place: &'static str,
        /// The key that is missing.
        missing: &'static str,
    },
    /// The `content-encoding` is not supported.
    #[error(
        "`content-encoding` is `{encoding}`; only gzip and zstd are supported; send one of them, or no `content-encoding`"
    )]
    UnknownEncoding {
        /// Its name.
        encoding: String,
    },
    /// The payload is not in the encoding that its `content-encoding` names.
    #[error(
        "the payload is not {encoding}, although its `content-encoding` says so ({error}); encode it, or remove the attribute"
    )]
    NotEncoded {
        /// The encoding that the attribute names.
        encoding: &'static str,
        /// Why decompression failed.
        error: DecompressError,
    },
    /// The payload is not in the compression that its framing states.
    #[error("the payload is not {encoding}, although its header says so ({error}); compress it, or correct the header")]
    NotCompressed {
        /// The compression that the header states.
        encoding: &'static str,
        /// Why decompression failed.
        error: DecompressError,
    },
    /// The decompressed payload is larger than allowed.
    #[error(
        "the payload has more than {most} bytes after its {encoding} is decompressed; to allow this size, raise `envelope.max_payload_bytes`"
    )]
    Inflates {
        /// The compression.
        encoding: &'static str,
        /// The largest allowed size in bytes.
        most: usize,
    },
    /// The payload does not have the framing of the queue.
    #[error(
        "the payload is not {expected}, although the queue's `framing` says so: {error}; send it in this form, or change `framing`"
    )]
    NotFramed {
        /// The form that the framing requires.
        expected: &'static str,
        /// Why it is not in this form.
        error: FrameError,
    },
}

impl<'m> Envelope<'m> {
    /// Returns the value of a text attribute of the notification, or else of the message, or else of the CloudEvent.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.find_attribute(name).map(|(value, _)| value)
    }

    /// Returns the same as [`Envelope::attribute`], with the part of the message that has the attribute.
    pub fn find_attribute(&self, name: &str) -> Option<(&str, Origin)> {
        if self.attributes.has(name) {
            return self.attributes.find(name);
        }
        self.cloud_event()?.attribute(name).map(|value| (value, Origin::CloudEvent))
    }

    /// Returns the message id that SNS assigned, if the event arrived in a notification.
    pub fn notification_id(&self) -> Option<&str> {
        self.notification_id.as_deref()
    }

    /// Returns the CloudEvent around the payload, if there is one.
    pub fn cloud_event(&self) -> Option<&CloudEvent> {
        match &self.frame {
            Frame::CloudEvent(event) => Some(event),
            _ => None,
        }
    }

    /// Whether the payload is the ProtoJSON of the event.
    pub fn is_json(&self) -> bool {
        self.cloud_event().is_some_and(CloudEvent::is_json)
    }

    /// Returns the type that the attributes name: the value of `attribute`, or else the parameter `messageType` or `proto`
    /// of `content-type`.
    pub fn stated_type(&self, attribute: &str) -> Option<Cow<'_, str>> {
        self.find_stated_type(attribute).map(|(name, _)| name)
    }

    /// Returns the same as [`Envelope::stated_type`], with the attribute that names the type.
    pub fn find_stated_type(&self, attribute: &str) -> Option<(Cow<'_, str>, StatedBy)> {
        if let Some((name, origin)) = self.find_attribute(attribute) {
            return Some((Cow::Borrowed(name), StatedBy::Attribute(origin)));
        }
        let from_event = || Some((self.cloud_event()?.content_type()?, StatedBy::DataContentType));
        let (content_type, by) = match self.find_attribute("content-type") {
            Some((content_type, origin)) => (content_type, StatedBy::ContentType(origin)),
            None => from_event()?,
        };
        stated_type::in_content_type(content_type).map(|name| (name, by))
    }

    /// Returns the type URL of the `google.protobuf.Any` around the payload, if there is one.
    pub fn type_url(&self) -> Option<&str> {
        match &self.frame {
            Frame::Any(url) => Some(url),
            Frame::CloudEvent(event) => event.type_url(),
            Frame::None | Frame::Confluent(_) | Frame::Glue(_) => None,
        }
    }

    /// Returns the reference to the payload's schema in Confluent's wire format, if the payload is in this format.
    pub fn schema(&self) -> Option<&SchemaReference> {
        match &self.frame {
            Frame::Confluent(reference) => Some(reference),
            _ => None,
        }
    }

    /// Returns the reference to the payload's type in Glue's wire format, if the payload is in this format.
    pub fn glue(&self) -> Option<&GlueReference> {
        match &self.frame {
            Frame::Glue(reference) => Some(reference),
            _ => None,
        }
    }
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Decodes base64 in the standard or the URL-safe alphabet, with or without padding. Ignores white space, because some
/// encoders break the text into lines.
///
/// # Errors
/// Returns an error with the first position that is neither base64 nor white space.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    decode_base64_bytes(text.as_bytes())
}

fn decode_base64_bytes(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let text = text.trim_ascii();
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    engine.decode(text).or_else(|error| decode_lines(engine, text, error))
}

/// Decodes base64 with white space in it. `error` is the error of the text as it is.
#[cold]
fn decode_lines(engine: &GeneralPurpose, text: &[u8], error: DecodeError) -> Result<Vec<u8>, DecodeError> {
    let digits = || text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    let joined: Vec<u8> = digits().map(|(_, byte)| *byte).collect();
    if joined.len() == text.len() {
        return Err(error);
    }
    let original = |at| digits().nth(at).map_or(at, |(at, _)| at);
    engine.decode(joined).map_err(|error| match error {
        DecodeError::InvalidByte(at, byte) => DecodeError::InvalidByte(original(at), byte),
        DecodeError::InvalidLastSymbol(at, byte) => DecodeError::InvalidLastSymbol(original(at), byte),
        other => other,
    })
}

#[cfg(test)]
mod tests;
