//! The note of a quarantined message: why it is there, and which destinations have its event.
//!
//! A message that is sent back to its queue with its note keeps its event id, and is published only to the destinations
//! that the note does not list.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

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

/// The content of the attribute [`QUARANTINE_NOTE`].
#[derive(Debug, Serialize)]
struct Note<'n> {
    reason: &'static str,
    detail: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_hash: Option<&'n str>,
    queue: &'n str,
    message_id: &'n str,
    quarantined_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<Folded>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    event: Option<NotedEvent>,
    /// The number of destinations that have the event, if the message has no room for their list.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_omitted: Option<usize>,
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

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotedRecipient {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
}

/// An attribute of the original message that made room for the note.
#[derive(Debug, Serialize)]
struct Folded {
    name: String,
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// In standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
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

fn text(message: &Message) -> Option<&str> {
    message.attributes.get(QUARANTINE_NOTE)?.string_value()
}

/// Returns the original attributes together with the note. `delivered` are the destinations that have the event.
pub(super) fn with_note(
    message: &Message,
    reason: &QuarantineReason,
    schema_hash: Option<&str>,
    delivered: Option<&PartlyDelivered>,
) -> Result<HashMap<String, MessageAttributeValue>, Failure> {
    let mut attributes = message.attributes.clone();
    // A message that was sent back can still carry the note of its earlier quarantine; the new note replaces it.
    attributes.remove(QUARANTINE_NOTE);
    let first = first_message_id(message);
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
        reason: reason.kind.code(),
        detail: &reason.detail,
        schema_hash,
        queue: message.queue.url.as_str(),
        message_id: first.as_deref().unwrap_or(&message.message_id),
        quarantined_at: rfc3339(SystemTime::now()),
        folded,
        event: event.filter(|event| !event.delivered.is_empty()),
        delivered_omitted: None,
    };
    let mut text = json(&note)?;
    let size = message_size(&message.body, &attributes) + attribute_size(QUARANTINE_NOTE, "String", text.len());
    if size > MAX_BATCH_BYTES
        && let Some(event) = note.event.take()
    {
        note.delivered_omitted = Some(event.delivered.len());
        text = json(&note)?;
    }
    let value = MessageAttributeValue::builder().data_type("String").string_value(text).build();
    attributes.insert(QUARANTINE_NOTE.to_owned(), value.map_err(|error| Failure::invalid_entry(&error))?);
    Ok(attributes)
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
