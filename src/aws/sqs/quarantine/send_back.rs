//! Sending a quarantined message again: to its quarantine queue with a new note, or to the queue that it came from.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Quarantine, Quarantined, Stored, note};
use crate::aws::Failure;
use crate::message::attributes::{MAX_ATTRIBUTES, QUARANTINE_NOTE};
use crate::message::{PartlyDelivered, QuarantineReason, Queue, QueueUrl};

/// Proof that the source queue has the message again.
#[derive(Debug)]
pub struct Sent(());

/// A copy of a quarantined message, with a new note.
#[derive(Debug)]
pub struct StoredCopy {
    /// Proof that the quarantine queue has the copy.
    pub proof: Stored,
    /// The note of the copy.
    pub text: String,
}

/// Whether the note goes along with a message that is sent back to its source queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The note goes along, because it lists the destinations that have the event.
    Note,
    /// The message goes back as the producer sent it.
    Nothing,
}

/// A note that a message must keep does not fit beside its attributes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the message has {MAX_ATTRIBUTES} attributes of its own, so its note does not fit, and without the note the {0} \
     destinations that have the event get it again; redrive it without --to-source"
)]
pub struct NoRoom(usize);

impl Quarantined {
    /// Decides whether the note goes along with the message to its source queue. Destinations that have the event would
    /// get it a second time without the note that lists them.
    ///
    /// # Errors
    /// Returns an error if the note must go along, and the message has ten attributes of its own.
    pub fn kept(&self) -> Result<Kept, NoRoom> {
        let having = self.delivered().len();
        match having {
            0 => Ok(Kept::Nothing),
            _ if self.own_attributes() < MAX_ATTRIBUTES => Ok(Kept::Note),
            _ => Err(NoRoom(having)),
        }
    }

    /// Returns a deduplication id for FIFO queues. It is the same each time the same message is sent for the same purpose,
    /// and never that of an earlier send, which SQS would take the message for.
    fn deduplication_id(&self, purpose: &str) -> String {
        hex::encode(Sha256::digest(format!("{purpose}\n{}\n{}", self.message_id(), self.text())))
    }
}

impl Quarantine {
    /// Stores a copy of a quarantined message whose note also has the destinations of `delivered`. The message must be
    /// deleted then. `reason` is the reason now, if it is another one.
    ///
    /// # Errors
    /// Returns an error if SQS does not accept the copy. The message must then stay.
    pub async fn store_copy(
        &self,
        url: &QueueUrl,
        (quarantined, queue): (&Quarantined, &Arc<Queue>),
        reason: Option<&QuarantineReason>,
        delivered: &PartlyDelivered,
    ) -> Result<StoredCopy, Failure> {
        let mut why = quarantined.why();
        if let Some(reason) = reason {
            (why.reason, why.detail) = (reason.kind.code(), &reason.detail);
        }
        let original = quarantined.original(Arc::clone(queue));
        let attributes = note::with_note_of(&original, why, Some(delivered))?;
        let text = attributes.get(QUARANTINE_NOTE).and_then(|note| note.string_value()).unwrap_or_default();
        let (deduplication_id, text) = (quarantined.deduplication_id(text), text.to_owned());
        self.send(url, &original, attributes, deduplication_id).await?;
        Ok(StoredCopy { proof: Stored(()), text })
    }

    /// Sends the original of a quarantined message to the queue that it came from.
    ///
    /// # Errors
    /// Returns an error if SQS does not accept the message. The quarantined message must then stay.
    pub async fn send_back(&self, quarantined: &Quarantined, queue: &Arc<Queue>, kept: Kept) -> Result<Sent, Failure> {
        let mut original = quarantined.original(Arc::clone(queue));
        let mut attributes = std::mem::take(&mut original.attributes);
        if kept == Kept::Nothing {
            attributes.remove(QUARANTINE_NOTE);
        }
        let deduplication_id = quarantined.deduplication_id("source");
        self.send(&queue.url, &original, attributes, deduplication_id).await.map(|()| Sent(()))
    }
}
