//! The frame around the payload of a canary, as the `framing` of its queue requires.
//!
//! The type attribute of the message names the type, so a frame with a schema id refers to no schema: its id is zero.

use prost::encoding::encode_varint;

use crate::config::Framing;
use crate::schema::registry::CANARY;

/// The length of the schema version id in Glue's wire format, in bytes.
const GLUE_ID: usize = 16;

/// Returns the payload in a frame.
pub(super) fn frame(framing: Framing, id: &str, payload: &[u8]) -> Vec<u8> {
    match framing {
        Framing::None => payload.to_vec(),
        Framing::Any => {
            let url = format!("type.googleapis.com/{CANARY}");
            [field(1, url.as_bytes()), field(2, payload)].concat()
        }
        Framing::CloudEvents => [
            field(1, id.as_bytes()),
            field(2, b"protobridge/canary"),
            field(3, b"1.0"),
            field(4, CANARY.as_bytes()),
            field(6, payload),
        ]
        .concat(),
        // The zero byte, a schema id of four bytes, and the index of the first message.
        Framing::Confluent => [&[0; 6], payload].concat(),
        // The version, no compression, the id of a schema version, and the index of the first message.
        Framing::Glue => [&[3, 0], [0; GLUE_ID].as_slice(), &[0], payload].concat(),
        Framing::Delimited => {
            let mut framed = varint(payload.len() as u64);
            framed.extend_from_slice(payload);
            framed
        }
    }
}

/// Returns a length-delimited field of a message in the wire format.
pub(super) fn field(number: u64, value: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u64 = 2;
    let mut bytes = varint(number << 3 | LENGTH_DELIMITED);
    bytes.extend(varint(value.len() as u64));
    bytes.extend_from_slice(value);
    bytes
}

/// Returns a varint field of a message in the wire format.
pub(super) fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_varint(value, &mut bytes);
    bytes
}
