//! Messages that are built on the wire level: truncated messages, and messages of unknown types.

use std::ops::Range;

use fastrand::Rng;
use prost_reflect::prost::encoding::{self, DecodeContext};

use super::catalogue::pick;

/// Truncates `payload`, a valid message with at least one field, in the middle of a field in its second half.
pub(super) fn truncate(random: &mut Rng, payload: &mut Vec<u8>) {
    let fields = fields(payload);
    // The first fields name the customer of the event, and must stay readable.
    let field = pick(random, &fields[fields.len() / 2..]);
    // A field has at least one byte for its tag and one for its value.
    payload.truncate(random.usize(field.start + 1..field.end));
}

/// Returns a message with one length-delimited field per value, numbered from 1.
pub(super) fn length_delimited(values: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, value) in (1..).zip(values) {
        encoding::bytes::encode(number, value, &mut message);
    }
    message
}

/// Returns the byte ranges of the fields of `message`, tags included.
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
