//! What the payloads of a queue are wrapped in.

use std::borrow::Cow;
use std::fmt;

use prost::Message as _;

use super::any::Any;
use super::{CloudEvent, Error, cloud_event};
use crate::config::Framing;

/// What was around a payload.
#[derive(Debug)]
pub(super) enum Frame {
    None,
    /// A `google.protobuf.Any` with this type URL.
    Any(String),
    CloudEvent(Box<CloudEvent>),
    Confluent(SchemaReference),
}

/// What Confluent's wire format says about a payload's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReference {
    /// The schema's id.
    pub id: u32,
    /// Which of its messages: the number among the messages of the file, then that among those nested in it, and so on.
    pub indexes: Vec<u32>,
}

impl fmt::Display for SchemaReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:?} of Confluent schema {}", self.indexes, self.id)
    }
}

/// The payload, and what was around it.
pub(super) fn open(payload: Cow<'_, [u8]>, framing: Framing) -> Result<(Cow<'_, [u8]>, Frame), Error> {
    let refuse = |expected, error| Error::NotFramed { expected, error };
    match framing {
        Framing::None => Ok((payload, Frame::None)),
        Framing::Any => {
            let (value, url) = any(&payload).map_err(|error| refuse("a google.protobuf.Any", error))?;
            Ok((Cow::Owned(value), Frame::Any(url)))
        }
        Framing::CloudEvents => {
            let (data, event) =
                cloud_event::read(&payload).map_err(|error| refuse("a CloudEvent in Protobuf", error))?;
            Ok((Cow::Owned(data), Frame::CloudEvent(Box::new(event))))
        }
        Framing::Confluent => {
            let (reference, length) =
                confluent(&payload).map_err(|error| refuse("in Confluent's wire format", error))?;
            let payload = match payload {
                Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[length..]),
                Cow::Owned(mut bytes) => {
                    bytes.drain(..length);
                    Cow::Owned(bytes)
                }
            };
            Ok((payload, Frame::Confluent(reference)))
        }
    }
}

fn any(payload: &[u8]) -> Result<(Vec<u8>, String), String> {
    let Any { type_url, value } = Any::decode(payload).map_err(|error| error.to_string())?;
    if type_url.is_empty() { Err("it has no `type_url`".to_owned()) } else { Ok((value, type_url)) }
}

/// Reads what is before the payload: a zero byte, the schema's id in 4 bytes, how many indexes there are and each of
/// them as zigzag varints. No index, which is one zero byte, stands for `[0]`.
/// <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>
fn confluent(payload: &[u8]) -> Result<(SchemaReference, usize), String> {
    /// As deep as the codec goes.
    const MAX_DEPTH: u32 = 100;
    let (header, mut rest) = payload.split_first_chunk::<5>().ok_or("it has less than 5 bytes")?;
    let [magic, id @ ..] = *header;
    if magic != 0 {
        return Err(format!("it starts with the byte {magic:#04x}, not with 0x00"));
    }
    let mut index = |what| -> Result<u32, String> {
        let varint = prost::encoding::decode_varint(&mut rest).map_err(|_| format!("{what} is cut off"))?;
        let value = (varint >> 1) as i64 ^ -((varint & 1) as i64);
        u32::try_from(value).map_err(|_| format!("{what} is {value}"))
    };
    let count = index("the number of its message indexes")?;
    if count > MAX_DEPTH {
        return Err(format!("it has {count} message indexes"));
    }
    let mut indexes = (0..count).map(|_| index("a message index")).collect::<Result<Vec<_>, _>>()?;
    if indexes.is_empty() {
        indexes.push(0);
    }
    Ok((SchemaReference { id: u32::from_be_bytes(id), indexes }, payload.len() - rest.len()))
}
