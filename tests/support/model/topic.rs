//! One topic: its subscribed queues and the deduplication ids that it remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::queue::DEDUPLICATION;
use super::world::topic_arn;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) arn: Arc<str>,
    pub(super) fifo: bool,
    /// Whether the body serves as the deduplication id if a message has none.
    pub(super) by_content: bool,
    /// The URLs of the queues that are subscribed with raw delivery.
    pub(super) queues: Vec<String>,
    known: BTreeMap<String, (Instant, String)>,
}

impl Topic {
    pub(super) fn new(name: &str) -> Self {
        Self {
            arn: topic_arn(name).into(),
            fifo: name.ends_with(".fifo"),
            by_content: false,
            queues: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Remembers the deduplication id of a message that is published as `id`. If the message is a duplicate, returns
    /// the id of the earlier one.
    pub(super) fn take(&mut self, deduplication_id: Option<&str>, id: &str, now: Instant) -> Option<String> {
        let deduplication_id = deduplication_id.filter(|_| self.fifo)?;
        match self.known.get(deduplication_id) {
            Some((at, known)) if now - *at < DEDUPLICATION => Some(known.clone()),
            _ => {
                self.known.insert(deduplication_id.to_owned(), (now, id.to_owned()));
                None
            }
        }
    }
}
