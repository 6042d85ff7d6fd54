//! Reads a PublishBatch request from form fields, in one pass and without copying the bodies.

use crate::events;

/// A PublishBatch request.
#[derive(Debug, Default)]
pub(super) struct PublishBatch<'b> {
    pub(super) topic: String,
    pub(super) entries: Vec<PublishEntry<'b>>,
}

/// An entry of a PublishBatch request.
#[derive(Debug, Default)]
pub(super) struct PublishEntry<'b> {
    pub(super) id: String,
    /// The body, still percent-encoded.
    pub(super) message: &'b [u8],
    /// The number of the event, from the attribute `event-id`.
    pub(super) event: Option<u64>,
    /// The size of the attributes, as SNS counts it.
    pub(super) attribute_bytes: u64,
    /// The number of attributes.
    pub(super) attributes: u32,
    /// The size of the stored JSON in bytes, from the attribute `ExtendedPayloadSize`.
    pub(super) stored_bytes: Option<u64>,
}

/// Returns the value of the first field with this name.
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    fields(body).find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| unescape(value))
}

impl<'b> PublishBatch<'b> {
    /// Reads the fields. They must be in the order of the entries, with each attribute's name and type before its value.
    pub(super) fn read(body: &'b [u8]) -> Self {
        let mut publish = Self::default();
        let mut last = 0;
        let (mut attribute, mut kind) = (b"".as_slice(), b"".as_slice());
        for (name, value) in fields(body) {
            let Some((number, part)) = member(name) else {
                if name == b"TopicArn" {
                    publish.topic = unescape(value);
                }
                continue;
            };
            if number != last {
                publish.entries.push(PublishEntry::default());
                last = number;
            }
            let Some(entry) = publish.entries.last_mut() else { continue };
            match part {
                b"Id" => entry.id = unescape(value),
                b"Message" => entry.message = value,
                _ => {
                    let Some(part) = part.strip_prefix(b"MessageAttributes.entry.") else { continue };
                    let part = part.iter().position(|byte| *byte == b'.').map_or(part, |dot| &part[dot + 1..]);
                    entry.attribute_bytes += length(value);
                    match part {
                        b"Name" => {
                            entry.attributes += 1;
                            attribute = value;
                        }
                        b"Value.DataType" => kind = value,
                        b"Value.StringValue" if attribute == b"event-id" => entry.event = events::number(value),
                        b"Value.StringValue" if attribute == b"ExtendedPayloadSize" && kind == b"Number" => {
                            entry.stored_bytes = unescape(value).parse().ok();
                        }
                        _ => {}
                    }
                }
            }
        }
        publish
    }
}

fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    body.split(|byte| *byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((&pair[..equals], &pair[equals + 1..]))
    })
}

/// Splits `PublishBatchRequestEntries.member.3.Message` into the number of the entry and the rest of the name.
fn member(name: &[u8]) -> Option<(u32, &[u8])> {
    let rest = name.strip_prefix(b"PublishBatchRequestEntries.member.")?;
    let dot = rest.iter().position(|byte| *byte == b'.')?;
    let number = std::str::from_utf8(&rest[..dot]).ok()?.parse().ok()?;
    Some((number, &rest[dot + 1..]))
}

/// Returns the bytes of percent-encoded text.
fn unescaped(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
                rest = after;
                Some(digit(*high) << 4 | digit(*low))
            }
            (b'+', _) => Some(b' '),
            _ => Some(*first),
        }
    })
}

/// Returns percent-encoded text.
pub(super) fn unescape(text: &[u8]) -> String {
    String::from_utf8_lossy(&unescaped(text).collect::<Vec<u8>>()).into_owned()
}

/// Returns the number of bytes after percent-decoding.
pub(super) fn length(text: &[u8]) -> u64 {
    let escapes = text.iter().filter(|byte| **byte == b'%').count();
    (text.len() - 2 * escapes) as u64
}

/// Whether the text is `expected` after percent-decoding.
pub(super) fn is(text: &[u8], expected: &str) -> bool {
    unescaped(text).eq(expected.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_with_event_size_and_body() {
        let body = format!(
            "Action=PublishBatch&TopicArn=arn%3Aaws%3Asns\
             &PublishBatchRequestEntries.member.1.Id=0\
             &PublishBatchRequestEntries.member.1.Message=%7B%22a%22%3A%22b+c%22%7D\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Name=event-type\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.DataType=String\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.1.Value.StringValue=a.B\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.2.Name=event-id\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.2.Value.DataType=String\
             &PublishBatchRequestEntries.member.1.MessageAttributes.entry.2.Value.StringValue={}\
             &PublishBatchRequestEntries.member.2.Id=second&PublishBatchRequestEntries.member.2.Message=%C3%A4",
            events::event_id(77)
        );
        let publish = PublishBatch::read(body.as_bytes());
        assert_eq!((publish.topic.as_str(), publish.entries.len()), ("arn:aws:sns", 2));
        let [first, second] = publish.entries.as_slice() else { panic!("expected two entries") };
        assert_eq!((first.id.as_str(), first.event, first.attributes), ("0", Some(77), 2));
        assert_eq!(first.attribute_bytes, (10 + 6 + 3) + (8 + 6 + 36));
        assert!(is(first.message, r#"{"a":"b c"}"#) && !is(first.message, r#"{"a":"b c"} "#));
        assert_eq!(length(first.message), 11);
        assert_eq!((second.id.as_str(), second.event), ("second", None));
        assert!(is(second.message, "ä"));
        assert_eq!(field(body.as_bytes(), "Action").as_deref(), Some("PublishBatch"));
    }
}
