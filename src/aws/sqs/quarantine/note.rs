//! The note of a quarantined message: why it is there, and which destinations have its event.
//!
//! A message that is sent back to its queue with its note keeps its event id, and is published only to the destinations
//! that the note does not list.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};

use super::MAX_BATCH_BYTES;
use crate::aws::Failure;
use crate::base::time::rfc3339;
use crate::message::attributes::{MAX_ATTRIBUTES, QUARANTINE_NOTE, attribute_size, message_size, value_bytes};
use crate::message::{Message, PartlyDelivered, QuarantineReason, Recipient};

/// The most characters of a message id (Amazon SQS developer guide, queue and message identifiers).
const MAX_MESSAGE_ID: usize = 100;
/// The most characters of a message group and of a deduplication id (Amazon SQS API reference, `SendMessage`).
const MAX_GROUP: usize = 128;
/// The most bytes of an X-Ray header that the note keeps. The header has a trace, a parent and a decision.
const MAX_TRACE_HEADER: usize = 1_024;

/// The content of the attribute [`QUARANTINE_NOTE`].
#[derive(Debug, Serialize)]
struct Note<'n> {
    reason: &'n str,
    detail: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_hash: Option<&'n str>,
    queue: &'n str,
    #[serde(flatten)]
    identity: Identity,
    quarantined_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<Folded>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    event: Option<NotedEvent>,
    /// The number of destinations that have the event, if the message has no room for their list.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_omitted: Option<usize>,
}

/// What SQS told about a message before its first quarantine. SQS assigns new values each time a message is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) message_id: String,
    /// When the producer sent the message, in the format of RFC 3339. Notes of earlier versions do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deduplication_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sequence_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace_header: Option<String>,
}

impl Identity {
    /// Returns the identity that a message had before its first quarantine.
    fn of(message: &Message) -> Self {
        let own = Self::of_received(message);
        match text(message).and_then(|text| serde_json::from_str::<Self>(text).ok()).filter(Self::is_plausible) {
            Some(noted) if noted.sent_at.is_some() => noted,
            Some(Self { message_id, .. }) => Self { message_id, ..own },
            None => own,
        }
    }

    fn of_received(message: &Message) -> Self {
        Self {
            message_id: message.message_id.clone(),
            sent_at: Some(rfc3339(message.sent)).filter(|time| !time.is_empty()),
            group: message.group.clone(),
            deduplication_id: message.deduplication_id.clone(),
            sequence_number: message.sequence_number.clone(),
            trace_header: message.trace_header.clone().filter(|header| header.len() <= MAX_TRACE_HEADER),
        }
    }

    /// Whether the values have lengths that SQS gives them. A producer can send a forged note, which must not push the
    /// message over the size limit.
    fn is_plausible(&self) -> bool {
        let is_short = |value: &Option<String>, most| value.as_ref().is_none_or(|value| value.len() <= most);
        self.message_id.len() <= MAX_MESSAGE_ID
            && is_short(&self.sent_at, MAX_MESSAGE_ID)
            && is_short(&self.group, MAX_GROUP)
            && is_short(&self.deduplication_id, MAX_GROUP)
            && is_short(&self.sequence_number, MAX_GROUP)
            && is_short(&self.trace_header, MAX_TRACE_HEADER)
    }
}

/// The event of a message, and the destinations that have it.
#[derive(Debug, Serialize, Deserialize)]
struct NotedEvent {
    event_type: String,
    event_id: String,
    delivered: Vec<NotedRecipient>,
}

impl NotedEvent {
    fn is_about(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.event_id == other.event_id
    }

    /// Adds the recipients of an earlier note. They have the event even if they are no destinations any more.
    fn add(&mut self, earlier: Vec<NotedRecipient>) {
        let missing: Vec<_> = earlier.into_iter().filter(|one| !self.delivered.contains(one)).collect();
        self.delivered.extend(missing);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotedRecipient {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
}

/// An attribute of the original message that made room for the note.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Folded {
    name: String,
    data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In standard base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl Folded {
    /// Returns the name and the value of the attribute; `None` if the note is damaged.
    pub(super) fn unfold(&self) -> Option<(String, MessageAttributeValue)> {
        let binary = self.binary_value.as_ref().map(|text| BASE64_STANDARD.decode(text)).transpose().ok()?;
        let value = MessageAttributeValue::builder()
            .data_type(&self.data_type)
            .set_string_value(self.string_value.clone())
            .set_binary_value(binary.map(Blob::new));
        Some((self.name.clone(), value.build().ok()?))
    }
}

/// The destinations that have an event according to the note of its message, which was quarantined and sent back.
#[derive(Debug)]
pub struct NotedRecipients {
    /// The message id that the message had before its first quarantine.
    pub first_message_id: String,
    recipients: HashSet<Recipient>,
}

impl NotedRecipients {
    /// Reads the note of a message, if it has one that is about this event. A note that came along with another event says
    /// nothing about this one.
    pub fn of(message: &Message, event_type: &str, event_id: &str) -> Option<Self> {
        let event = noted_event(message)?;
        if event.event_type != event_type || event.event_id != event_id {
            return None;
        }
        let recipients = event.delivered.into_iter().map(Recipient::from).collect();
        Some(Self { first_message_id: first_message_id(message)?, recipients })
    }

    /// Whether the destination has the event.
    pub fn contains(&self, recipient: &Recipient) -> bool {
        self.recipients.contains(recipient)
    }
}

impl From<NotedRecipient> for Recipient {
    fn from(NotedRecipient { topic, customer }: NotedRecipient) -> Self {
        Self { topic: topic.into(), customer: customer.map(Into::into) }
    }
}

impl From<&PartlyDelivered> for NotedEvent {
    fn from(PartlyDelivered { event_type, event_id, recipients }: &PartlyDelivered) -> Self {
        let noted = |Recipient { topic, customer }: &Recipient| NotedRecipient {
            topic: topic.as_str().to_owned(),
            customer: customer.as_deref().map(str::to_owned),
        };
        let delivered = recipients.iter().map(noted).collect();
        Self { event_type: event_type.to_string(), event_id: event_id.clone(), delivered }
    }
}

/// Returns the message id that the message had before its first quarantine, if it was quarantined and sent back. SQS
/// assigns another id each time a message is sent.
pub fn first_message_id(message: &Message) -> Option<String> {
    #[derive(Deserialize)]
    struct First {
        message_id: String,
    }
    let First { message_id } = serde_json::from_str(text(message)?).ok()?;
    // A producer can send a forged note, which must not push the message over the size limit.
    (message_id.len() <= MAX_MESSAGE_ID).then_some(message_id)
}

fn noted_event(message: &Message) -> Option<NotedEvent> {
    serde_json::from_str(text(message)?).ok()
}

pub(super) fn text(message: &Message) -> Option<&str> {
    message.attributes.get(QUARANTINE_NOTE)?.string_value()
}

/// Why a message is in quarantine, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why<'w> {
    pub(super) reason: &'w str,
    pub(super) detail: &'w str,
    pub(super) schema_hash: Option<&'w str>,
    /// When the message went into quarantine, in the format of RFC 3339; `None` if it goes there now.
    pub(super) since: Option<&'w str>,
}

/// Returns the original attributes together with the note. `delivered` are the destinations that have the event.
pub(super) fn with_note(
    message: &Message,
    reason: &QuarantineReason,
    schema_hash: Option<&str>,
    delivered: Option<&PartlyDelivered>,
) -> Result<HashMap<String, MessageAttributeValue>, Failure> {
    let why = Why { reason: reason.kind.code(), detail: &reason.detail, schema_hash, since: None };
    with_note_of(message, why, delivered)
}

/// Returns the original attributes together with the note.
pub(super) fn with_note_of(
    message: &Message,
    why: Why<'_>,
    delivered: Option<&PartlyDelivered>,
) -> Result<HashMap<String, MessageAttributeValue>, Failure> {
    let mut attributes = message.attributes.clone();
    // A message that was sent back can still carry the note of its earlier quarantine; the new note replaces it.
    attributes.remove(QUARANTINE_NOTE);
    let folded = if attributes.len() >= MAX_ATTRIBUTES { fold(&mut attributes) } else { None };
    // If a message that was sent back does not get as far as its destinations this time, its earlier note is still true.
    let earlier = noted_event(message);
    let event = match (delivered.map(NotedEvent::from), earlier) {
        (Some(mut event), Some(earlier)) if event.is_about(&earlier) => {
            event.add(earlier.delivered);
            Some(event)
        }
        (event, earlier) => event.or(earlier),
    };
    let mut note = Note {
        reason: why.reason,
        detail: why.detail,
        schema_hash: why.schema_hash,
        queue: message.queue.url.as_str(),
        identity: Identity::of(message),
        quarantined_at: why.since.map_or_else(|| rfc3339(SystemTime::now()), str::to_owned),
        folded,
        event: event.filter(|event| !event.delivered.is_empty()),
        delivered_omitted: omitted(message),
    };
    let mut text = json(&note)?;
    let size_with =
        |text: &str| message_size(&message.body, &attributes) + attribute_size(QUARANTINE_NOTE, "String", text.len());
    if size_with(&text) > MAX_BATCH_BYTES
        && let Some(event) = note.event.take()
    {
        note.delivered_omitted = Some(event.delivered.len() + note.delivered_omitted.unwrap_or(0));
        text = json(&note)?;
    }
    if size_with(&text) > MAX_BATCH_BYTES {
        (note.identity.trace_header, note.identity.deduplication_id) = (None, None);
        text = json(&note)?;
    }
    let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
    attributes.insert(QUARANTINE_NOTE.to_owned(), value.map_err(|error| Failure::invalid_entry(&error))?);
    Ok(attributes)
}

/// Returns the number of destinations that have the event and that an earlier note could not list.
fn omitted(message: &Message) -> Option<usize> {
    #[derive(Deserialize)]
    struct Omitted {
        delivered_omitted: Option<usize>,
    }
    serde_json::from_str::<Omitted>(text(message)?).ok()?.delivered_omitted
}

/// Removes the smallest attribute, so that the note stays small.
fn fold(attributes: &mut HashMap<String, MessageAttributeValue>) -> Option<Folded> {
    let (_, name) = attributes.iter().map(|(name, value)| (value_bytes(value), name.clone())).min()?;
    let value = attributes.remove(&name)?;
    Some(Folded {
        name,
        data_type: value.data_type().to_owned(),
        string_value: value.string_value().map(str::to_owned),
        binary_value: value.binary_value().map(|blob| BASE64_STANDARD.encode(blob)),
    })
}

/// Returns the note as JSON. Escapes the characters that SQS refuses in an attribute and that JSON does not have to escape.
fn json(note: &Note<'_>) -> Result<String, Failure> {
    let json = serde_json::to_string(note).map_err(|error| Failure::invalid_entry(&error))?;
    Ok(json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"))
}

#[cfg(test)]
mod tests;
