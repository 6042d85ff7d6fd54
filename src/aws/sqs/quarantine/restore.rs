//! Reading the note of a quarantined message, and restoring the message that was quarantined.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use super::note::{self, Folded, Identity, NotedRecipient, Why};
use crate::base::time::parse_rfc3339;
use crate::message::attributes::QUARANTINE_NOTE;
use crate::message::{Message, Queue, Recipient};

/// A message of a quarantine queue, with its note.
#[derive(Debug)]
pub struct Quarantined {
    message: Message,
    text: String,
    note: Note,
}

/// A message of a quarantine queue that protobridge did not quarantine, or whose note is damaged.
#[derive(Debug)]
pub struct NoNote;

#[derive(Debug, Deserialize)]
struct Note {
    reason: String,
    #[serde(default)]
    detail: String,
    schema_hash: Option<String>,
    queue: String,
    #[serde(flatten)]
    identity: Identity,
    quarantined_at: String,
    folded: Option<Folded>,
    event_type: Option<String>,
    event_id: Option<String>,
    #[serde(default)]
    delivered: Vec<NotedRecipient>,
    #[serde(default)]
    delivered_omitted: Option<usize>,
}

impl Quarantined {
    /// Reads the note of a message of a quarantine queue.
    ///
    /// # Errors
    /// Returns an error if the message has no note, or if its note cannot be read.
    pub fn read(message: Message) -> Result<Self, NoNote> {
        let text = note::text(&message).ok_or(NoNote)?.to_owned();
        let note: Note = serde_json::from_str(&text).map_err(|_| NoNote)?;
        if note.folded.as_ref().is_some_and(|folded| folded.unfold().is_none()) {
            return Err(NoNote);
        }
        Ok(Self { message, text, note })
    }

    /// Returns the note as it is, a JSON object.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the message id on the quarantine queue.
    pub fn message_id(&self) -> &str {
        &self.message.message_id
    }

    /// Returns the message id before the quarantine.
    pub fn first_message_id(&self) -> &str {
        &self.note.identity.message_id
    }

    /// Returns the code of the reason.
    pub fn reason(&self) -> &str {
        &self.note.reason
    }

    /// Returns the problem of this message.
    pub fn detail(&self) -> &str {
        &self.note.detail
    }

    /// Returns the URL of the queue that the message was received from before the quarantine.
    pub fn queue(&self) -> &str {
        &self.note.queue
    }

    /// Returns when the message went into quarantine, in the format of RFC 3339.
    pub fn quarantined_at(&self) -> &str {
        &self.note.quarantined_at
    }

    /// Returns when the message went into quarantine: what the note says, or when SQS got the message.
    pub fn quarantined(&self) -> SystemTime {
        parse_rfc3339(&self.note.quarantined_at).unwrap_or(self.message.sent)
    }

    /// Returns the event's type, if the note has it: some destinations have the event.
    pub fn event_type(&self) -> Option<&str> {
        self.note.event_type.as_deref()
    }

    /// Returns the event's id, if the note has it.
    pub fn event_id(&self) -> Option<&str> {
        self.note.event_id.as_deref()
    }

    /// Returns the destinations that have the event.
    pub fn delivered(&self) -> Vec<Recipient> {
        self.note.delivered.iter().cloned().map(Recipient::from).collect()
    }

    /// Returns the number of destinations that have the event and that the note had no room to list.
    pub fn omitted(&self) -> usize {
        self.note.delivered_omitted.unwrap_or(0)
    }

    /// Returns why the message is in quarantine, for the note of a copy.
    pub(super) fn why(&self) -> Why<'_> {
        Why {
            reason: &self.note.reason,
            detail: &self.note.detail,
            schema_hash: self.note.schema_hash.as_deref(),
            since: Some(&self.note.quarantined_at),
        }
    }

    /// Returns the message that was quarantined, as it was received from `queue`: its attributes, its id, its group and the
    /// time when it was sent. It has the note besides, so that a decision leaves out the destinations that have the event.
    /// A message with ten attributes of its own has eleven this way, and cannot be sent as it is.
    pub fn original(&self, queue: Arc<Queue>) -> Message {
        let Self { message, note, .. } = self;
        let mut attributes = message.attributes.clone();
        attributes.extend(note.folded.as_ref().and_then(Folded::unfold));
        let Identity { message_id, sent_at, group, deduplication_id, sequence_number, trace_header } =
            note.identity.clone();
        // Notes of earlier versions have no time. Their message has the group of the original, or its id as the group.
        let is_early = sent_at.is_none();
        let early_group = message.group.clone().filter(|group| is_early && *group != message_id);
        let sent = sent_at.as_deref().and_then(parse_rfc3339).unwrap_or(message.sent);
        Message {
            queue,
            message_id,
            body: message.body.clone(),
            attributes,
            sent,
            // The grace period of a type that is unknown is over.
            first_received: sent,
            received: message.received,
            receive_count: message.receive_count,
            group: group.or(early_group),
            deduplication_id,
            sequence_number,
            trace_header,
        }
    }

    /// Returns the number of attributes of the original message.
    pub fn own_attributes(&self) -> usize {
        let besides = self.message.attributes.keys().filter(|name| *name != QUARANTINE_NOTE).count();
        besides + usize::from(self.note.folded.is_some())
    }
}

#[cfg(test)]
mod tests;
