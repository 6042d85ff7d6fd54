//! What only the wire format can say: messages cut short, and messages of types that are not known.

use std::ops::Range;

use fastrand::Rng;
use prost_reflect::prost::encoding::{self, DecodeContext};

use super::catalogue::pick;

/// Cuts `payload`, a valid message of at least one field, in the middle of one of its later fields.
pub(super) fn cut(random: &mut Rng, payload: &mut Vec<u8>) {
    let fields = fields(payload);
    // The first fields say whose event it is, which is worth knowing of a broken one too.
    let field = pick(random, &fields[fields.len() / 2..]);
    // A field has at least a byte for its key and one for its value.
    payload.truncate(random.usize(field.start + 1..field.end));
}

/// A message with a length-delimited field for each of `values`, numbered from 1.
pub(super) fn length_delimited(values: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, value) in (1..).zip(values) {
        encoding::bytes::encode(number, value, &mut message);
    }
    message
}

/// Where the fields of `message` are, keys included.
fn fields(message: &[u8]) -> Vec<Range<usize>> {
    const VALID: &str = "a message that was just encoded is valid";
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = message.len() - rest.len();
        let (number, wire_type) = encoding::decode_key(&mut rest).expect(VALID);
        encoding::skip_field(wire_type, number, &mut rest, DecodeContext::default()).expect(VALID);
        fields.push(start..message.len() - rest.len());
    }
    fields
}
