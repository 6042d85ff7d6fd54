//! Framing: the form in which a queue's payloads are wrapped.

use std::borrow::Cow;
use std::fmt;

use prost::Message as _;

use super::Error;
use super::any::Any;
use super::cloud_event::{self, CloudEvent, CloudEventError};
use super::glue::{self, GlueError, GlueReference};
use super::inflate;
use crate::config::Framing;
use crate::message::steps::{About, Step, Witness};

/// The frame around a payload.
#[derive(Debug)]
pub(super) enum Frame {
    None,
    /// A `google.protobuf.Any` with this type URL.
    Any(String),
    CloudEvent(Box<CloudEvent>),
    Confluent(SchemaReference),
    Glue(GlueReference),
}

/// The reference to a payload's schema in Confluent's wire format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReference {
    /// The schema's id.
    pub id: u32,
    /// The path to the message in the schema: the index among the messages of the file, then the index among the messages
    /// nested in that message, and so on.
    pub indexes: Vec<u32>,
}

impl fmt::Display for SchemaReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:?} of Confluent schema {}", self.indexes, self.id)
    }
}

/// Why a payload is not in the form that the framing requires.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The payload is not a `google.protobuf.Any`.
    #[error(transparent)]
    Any(#[from] prost::DecodeError),
    /// The Any has no type.
    #[error("it has no `type_url`")]
    NoTypeUrl,
    /// The payload is not a usable CloudEvent.
    #[error(transparent)]
    CloudEvent(#[from] CloudEventError),
    /// The payload is not in Glue's wire format.
    #[error(transparent)]
    Glue(#[from] GlueError),
    /// The payload is not as long as its length prefix says.
    #[error("its length prefix says {stated} byte(s), and {found} follow; a payload must be exactly one message")]
    Length {
        /// The length that the prefix states, in bytes.
        stated: u64,
        /// The number of bytes behind the prefix.
        found: usize,
    },
    /// The payload is shorter than the header of Confluent's wire format.
    #[error("it has fewer than 5 bytes")]
    NoHeader,
    /// The payload does not start with the magic byte of Confluent's wire format.
    #[error("it starts with the byte {0:#04x}, not with 0x00")]
    Magic(u8),
    /// The payload ends within this part of the header.
    #[error("{0} is cut off")]
    CutOff(&'static str),
    /// A number in the header is out of range.
    #[error("{what} is {value}")]
    Index {
        /// The part of the header.
        what: &'static str,
        /// The number.
        value: i64,
    },
    /// The message is nested deeper than the codec supports.
    #[error("it has {0} message indexes")]
    TooManyIndexes(u32),
}

/// Removes the frame. Returns the payload and the frame. A compressed payload is decompressed to `most` bytes at most.
pub(super) fn open<'m>(
    payload: Cow<'m, [u8]>,
    framing: Framing,
    most: usize,
    witness: &mut impl Witness,
) -> Result<(Cow<'m, [u8]>, Frame), Error> {
    let (payload, frame) = remove(payload, framing, most)?;
    if framing != Framing::None {
        witness.note(|| {
            let found = format!("{}, with a payload of {} bytes", frame.description(), payload.len());
            Step::new(About::Layer, found, "the queue's `framing` says so")
        });
    }
    Ok((payload, frame))
}

impl Frame {
    /// Returns a description for people.
    fn description(&self) -> String {
        match self {
            Self::None => "length prefix".to_owned(),
            Self::Any(url) => format!("google.protobuf.Any of {url}"),
            Self::CloudEvent(event) => format!("CloudEvent {}", event.event_id()),
            Self::Confluent(reference) => reference.to_string(),
            Self::Glue(reference) => reference.to_string(),
        }
    }
}

fn remove(payload: Cow<'_, [u8]>, framing: Framing, most: usize) -> Result<(Cow<'_, [u8]>, Frame), Error> {
    let refuse = |expected, error| Error::NotFramed { expected, error };
    match framing {
        Framing::None => Ok((payload, Frame::None)),
        Framing::Any => {
            let (value, url) = any(&payload).map_err(|error| refuse("a google.protobuf.Any", error))?;
            Ok((Cow::Owned(value), Frame::Any(url)))
        }
        Framing::CloudEvents => {
            let (data, event) =
                cloud_event::read(&payload).map_err(|error| refuse("a CloudEvent in Protobuf", error.into()))?;
            Ok((Cow::Owned(data), Frame::CloudEvent(Box::new(event))))
        }
        Framing::Confluent => {
            let (reference, length) =
                confluent(&payload).map_err(|error| refuse("in Confluent's wire format", error))?;
            Ok((without(payload, length), Frame::Confluent(reference)))
        }
        Framing::Glue => {
            let expected = "in the wire format of the AWS Glue Schema Registry";
            let header = glue::header(&payload).map_err(|error| refuse(expected, error.into()))?;
            let payload = match header.is_compressed {
                false => without(payload, glue::HEADER),
                true => Cow::Owned(inflate::zlib(&payload[glue::HEADER..], most)?),
            };
            let (index, length) = glue::index(&payload).map_err(|error| refuse(expected, error.into()))?;
            Ok((without(payload, length), Frame::Glue(GlueReference { version: header.version, index })))
        }
        Framing::Delimited => {
            let length = delimited(&payload).map_err(|error| refuse("length-delimited", error))?;
            Ok((without(payload, length), Frame::None))
        }
    }
}

/// Removes this number of bytes from the start.
fn without(payload: Cow<'_, [u8]>, length: usize) -> Cow<'_, [u8]> {
    match payload {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[length..]),
        Cow::Owned(mut bytes) => {
            bytes.drain(..length);
            Cow::Owned(bytes)
        }
    }
}

/// Reads the length prefix of the only message: a varint. Returns the number of bytes of the prefix.
fn delimited(payload: &[u8]) -> Result<usize, FrameError> {
    let mut rest = payload;
    let stated = prost::encoding::decode_varint(&mut rest).map_err(|_| FrameError::CutOff("its length prefix"))?;
    let found = rest.len();
    if u64::try_from(found).is_ok_and(|found| found == stated) {
        Ok(payload.len() - found)
    } else {
        Err(FrameError::Length { stated, found })
    }
}

fn any(payload: &[u8]) -> Result<(Vec<u8>, String), FrameError> {
    let Any { type_url, value } = Any::decode(payload)?;
    if type_url.is_empty() { Err(FrameError::NoTypeUrl) } else { Ok((value, type_url)) }
}

/// Reads the header before the payload: a zero byte, the schema's id in 4 bytes, then the number of indexes and the
/// indexes as zigzag varints. If the number is 0, the indexes are `[0]`. Returns the reference and the header's length.
/// <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>
fn confluent(payload: &[u8]) -> Result<(SchemaReference, usize), FrameError> {
    /// The nesting limit of the codec.
    const MAX_DEPTH: u32 = 100;
    let (header, mut rest) = payload.split_first_chunk::<5>().ok_or(FrameError::NoHeader)?;
    let [magic, id @ ..] = *header;
    if magic != 0 {
        return Err(FrameError::Magic(magic));
    }
    let mut index = |what| -> Result<u32, FrameError> {
        let varint = prost::encoding::decode_varint(&mut rest).map_err(|_| FrameError::CutOff(what))?;
        let value = (varint >> 1) as i64 ^ -((varint & 1) as i64);
        u32::try_from(value).map_err(|_| FrameError::Index { what, value })
    };
    let count = index("the number of its message indexes")?;
    if count > MAX_DEPTH {
        return Err(FrameError::TooManyIndexes(count));
    }
    let mut indexes = (0..count).map(|_| index("a message index")).collect::<Result<Vec<_>, _>>()?;
    if indexes.is_empty() {
        indexes.push(0);
    }
    Ok((SchemaReference { id: u32::from_be_bytes(id), indexes }, payload.len() - rest.len()))
}
