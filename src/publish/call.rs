//! PublishBatch calls.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lean::PublishEntry;
use tokio::time::Instant;

use super::Entry;
use super::lanes::Waiting;
use crate::aws::{DataPlane, Failure};
use crate::telemetry::Metrics;

/// Makes the calls of one publisher.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) data_plane: DataPlane,
    pub(super) metrics: Arc<Metrics>,
}

/// What came of one call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) topic: Arc<str>,
    pub(super) batch: Vec<Waiting>,
    /// When the call was made.
    pub(super) called: Instant,
    /// Of a call that was answered the entries that failed, by index.
    pub(super) result: Result<HashMap<usize, Failure>, Failure>,
}

impl Caller {
    /// Publishes one batch, once.
    pub(super) async fn publish(self, topic: Arc<str>, batch: Vec<Waiting>) -> Answer {
        let called = Instant::now();
        let result = self.call(&topic, &batch).await;
        Answer { topic, batch, called, result }
    }

    /// One call. An entry that the answer leaves out has failed, too.
    async fn call(&self, topic: &str, batch: &[Waiting]) -> Result<HashMap<usize, Failure>, Failure> {
        let entries = batch.iter().map(|waiting| &waiting.pending.entry);
        let answer = self.data_plane.publish(topic, entries.clone().map(publish_entry)).await;
        let bytes = entries.map(Entry::size).sum();
        let customer = batch.first().and_then(|waiting| waiting.pending.entry.customer.as_deref());
        self.metrics.transfer("sns", "PublishBatch", answer.is_ok().then_some(bytes), customer);
        self.metrics.batch_entries.record(batch.len() as f64);
        answer
    }
}

fn publish_entry(entry: &Entry) -> PublishEntry<'_, impl Iterator<Item = (&str, &str)> + Clone> {
    PublishEntry {
        body: &entry.body,
        attributes: entry.attributes.iter(),
        group: entry.group.as_deref(),
        deduplication_id: entry.deduplication_id.as_deref(),
    }
}
