//! Entries that can be published.

use super::TopicEntry;
use crate::aws::s3::claims::{ClaimBucket, StoreError, Stored};
use crate::message::{Offload, TopicArn};
use crate::telemetry::Metrics;

/// An entry that can be published: its body is the event, or points to an object that S3 has confirmed. The publisher takes
/// no other entry, so no pointer is published without its object.
#[derive(Debug)]
pub struct ReadyEntry {
    entry: TopicEntry,
    stored: Option<Stored>,
}

/// An entry whose body points to an object that is not stored yet.
#[derive(Debug)]
pub struct OffloadedEntry {
    entry: TopicEntry,
    offload: Box<Offload>,
}

impl TopicEntry {
    /// Returns the entry as one that can be published.
    ///
    /// # Errors
    /// Returns the entry as one whose object must be stored first, if it has one.
    pub fn ready(mut self) -> Result<ReadyEntry, Box<OffloadedEntry>> {
        match self.offload.take() {
            None => Ok(ReadyEntry { entry: self, stored: None }),
            Some(offload) => Err(Box::new(OffloadedEntry { entry: self, offload })),
        }
    }
}

impl OffloadedEntry {
    /// Returns the topic.
    pub fn topic(&self) -> &TopicArn {
        &self.entry.topic
    }

    /// Stores the object, and frees the JSON.
    ///
    /// # Errors
    /// Returns the entry with the error if S3 does not confirm the object.
    pub async fn store(
        self: Box<Self>,
        bucket: &ClaimBucket,
        metrics: &Metrics,
    ) -> Result<ReadyEntry, (Box<Self>, StoreError)> {
        match bucket.store(&self.offload, self.entry.customer.as_ref(), metrics).await {
            Ok(stored) => Ok(ReadyEntry { entry: self.entry, stored: Some(stored) }),
            Err(error) => Err((self, error)),
        }
    }
}

impl ReadyEntry {
    /// Returns the topic.
    pub fn topic(&self) -> &TopicArn {
        &self.entry.topic
    }

    /// Takes the proof that the object is stored; `None` for an entry without an object.
    pub fn take_proof(&mut self) -> Option<Stored> {
        self.stored.take()
    }

    pub(super) fn into_entry(self) -> TopicEntry {
        self.entry
    }
}
