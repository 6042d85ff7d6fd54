//! Names, sizes and the number of message attributes.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use sha2::{Digest as _, Sha256};

/// The largest number of attributes of one message. SQS refuses a message with more, and raw delivery from SNS to SQS
/// silently discards it.
pub const MAX_ATTRIBUTES: usize = 10;

/// The event's id, by which consumers deduplicate, together with [`EVENT_TYPE`].
pub const EVENT_ID: &str = "event-id";
/// The full name of the event's message type.
pub const EVENT_TYPE: &str = "event-type";
/// The id of the customer whose topic carries the event; on a topic of no customer, the customer that the event names.
pub const CUSTOMER_ID: &str = "customer-id";
/// When the event happened.
pub const EVENT_TIME: &str = "event-time";
/// The media type of the body.
pub const CONTENT_TYPE: &str = "content-type";
/// The hash of the descriptor set that the event was decoded with.
pub const SCHEMA_HASH: &str = "schema-hash";
/// The trace and the span that the event belongs to (<https://www.w3.org/TR/trace-context/>).
pub const TRACEPARENT: &str = "traceparent";
/// The data that tracing vendors add to [`TRACEPARENT`].
pub const TRACESTATE: &str = "tracestate";
/// The mark of a canary, with the value [`IS_CANARY`]. Other events do not have it.
pub const CANARY: &str = "canary";
/// The value of [`CANARY`].
pub const IS_CANARY: &str = "true";
/// The name of the replay that published the event again. Other events do not have it.
pub const REPLAY: &str = "replay";
/// The number of bytes of the JSON of an event that leaves as a claim check, as the extended clients name it. Other events
/// do not have it. It is the only attribute of the type Number.
pub const EXTENDED_PAYLOAD_SIZE: &str = "ExtendedPayloadSize";
/// The note that protobridge adds to a quarantined message, a JSON object.
pub const QUARANTINE_NOTE: &str = "protobridge-quarantine";

/// Whether SQS and SNS accept a text as the value of an attribute: every character is one of `#x9`, `#xA`, `#xD`,
/// `#x20` to `#xD7FF`, `#xE000` to `#xFFFD` and `#x10000` to `#x10FFFF` (SQS API reference, `SendMessage`). They refuse
/// the whole entry otherwise.
pub fn is_accepted(text: &str) -> bool {
    // Without an early end, the compiler checks many bytes at a time.
    let is_refused = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    let has_control = text.bytes().fold(false, |found, byte| found | is_refused(byte));
    !has_control && (text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}']))
}

/// The most bytes of the id of a customer that is not in the customers file.
const MAX_CUSTOMER_BYTES: usize = 256;

/// Returns the value of [`CUSTOMER_ID`] for a customer that an event names and the customers file does not list.
///
/// The text itself is the value if SNS accepts it and it has at most 256 bytes. Otherwise the value is `sha256:` and
/// the hash of the text in hexadecimal digits, so that two customers never share a value.
pub fn customer_id(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_CUSTOMER_BYTES && is_accepted(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("sha256:{}", hex::encode(Sha256::digest(text))))
}

/// Returns the size of an attribute in bytes, as SQS and SNS count it: name, data type and value.
pub fn attribute_size(name: &str, data_type: &str, value_bytes: usize) -> usize {
    name.len() + data_type.len() + value_bytes
}

/// Returns the number of bytes of an attribute's value.
pub fn value_bytes(value: &MessageAttributeValue) -> usize {
    value.string_value().map_or(0, str::len) + value.binary_value().map_or(0, |blob| blob.as_ref().len())
}

/// Returns the size of a message in bytes, as SQS counts it: the body and each attribute.
pub fn message_size(body: &str, attributes: &HashMap<String, MessageAttributeValue>) -> usize {
    let sizes = attributes.iter().map(|(name, value)| attribute_size(name, value.data_type(), value_bytes(value)));
    body.len() + sizes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_that_sqs_and_sns_document_are_accepted() {
        for accepted in ["", "\t\n\r ~\u{7f}\u{80}", "\u{d7ff}\u{e000}\u{fffd}", "\u{10000}\u{1fffe}\u{10ffff}"] {
            assert!(is_accepted(accepted), "{accepted:?}");
        }
        for refused in ["a\0", "\u{1}", "\u{8}", "\u{b}", "\u{c}", "\u{e}", "\u{1f}", "ü\u{fffe}", "\u{ffff}"] {
            assert!(!is_accepted(refused), "{refused:?}");
        }
    }

    #[test]
    fn a_customer_that_sns_refuses_as_a_value_is_replaced_by_its_hash() {
        for accepted in ["hooli", "Zwölf GmbH", &"x".repeat(256)] {
            assert_eq!(customer_id(accepted), accepted);
        }
        let hashes = ["a\u{1}", "a\u{2}", &"x".repeat(257)].map(|refused| customer_id(refused).into_owned());
        assert!(hashes.iter().all(|hash| hash.starts_with("sha256:") && hash.len() == 71), "{hashes:?}");
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }
}
