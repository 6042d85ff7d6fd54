//! PublishBatch calls.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lean::{PublishAttribute, PublishEntry};
use tokio::time::Instant;

use super::TopicEntry;
use super::lanes::LaneEntry;
use crate::aws::{Failure, LeanClient, Published, call_end};
use crate::message::TopicArn;
use crate::telemetry::{AnsweredEntry, Call, Carried, Metrics, Operation};

/// Makes the calls of one publisher.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) lean: LeanClient,
    pub(super) metrics: Arc<Metrics>,
}

/// A finished call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) topic: TopicArn,
    pub(super) batch: Vec<LaneEntry>,
    /// When the call was made.
    pub(super) called: Instant,
    /// When SNS answered; `None` if it did not. The answer of a proxy does not count.
    pub(super) answered_at: Option<SystemTime>,
    /// The results of the entries in their order, if SNS answered the call; the failure of the whole call otherwise.
    pub(super) result: Result<Vec<CallResult>, Failure>,
}

/// The ids that SNS gave to the message of an entry, or the entry's failure.
pub(super) type CallResult = Result<Published, Failure>;

impl Caller {
    /// Sends one batch once.
    pub(super) async fn send_batch(self, topic: TopicArn, batch: Vec<LaneEntry>) -> Answer {
        let called = Instant::now();
        self.metrics.usage.attempted(batch.len());
        let result = self.call(&topic, &batch).await;
        let has_answer = result.as_ref().map_or_else(Failure::is_answer, |_| true);
        Answer { topic, batch, called, answered_at: has_answer.then(SystemTime::now), result }
    }

    /// Makes one call. An entry that the answer does not mention counts as failed.
    async fn call(&self, topic: &TopicArn, batch: &[LaneEntry]) -> Result<Vec<CallResult>, Failure> {
        let entries = batch.iter().map(|waiting| &waiting.queued.entry);
        let answer = self.lean.publish(topic.as_str(), entries.clone().map(publish_entry)).await;
        let carried = Carried::sizes(batch.iter().map(|waiting| waiting.bytes));
        let call = Call { customer: customer(batch), ..Call::new(Operation::PublishBatch, topic.is_fifo()) };
        self.metrics.transfer(&call, call_end(&answer, |_| carried));
        if let Ok(results) = &answer {
            self.metrics.usage.published(topic.is_fifo(), carried, batch.iter().zip(results).map(answered_entry));
        }
        self.metrics.batch_entries.record(batch.len() as f64);
        answer
    }
}

/// Returns the customer in whose account a batch counts. An entry without one, such as a canary, can share a batch with
/// events of the topic's customer.
pub(super) fn customer(batch: &[LaneEntry]) -> Option<&Arc<str>> {
    batch.iter().find_map(|waiting| waiting.queued.entry.customer.as_ref())
}

fn answered_entry<'b>((waiting, result): (&'b LaneEntry, &CallResult)) -> AnsweredEntry<'b> {
    let TopicEntry { customer, event_type, .. } = &waiting.queued.entry;
    AnsweredEntry { customer: customer.as_ref(), event_type, bytes: waiting.bytes, is_confirmed: result.is_ok() }
}

/// Returns the entry in the form that the lean client sends.
fn publish_entry(entry: &TopicEntry) -> PublishEntry<'_, impl Iterator<Item = PublishAttribute<'_>> + Clone> {
    PublishEntry {
        body: &entry.body,
        attributes: entry.attributes.wire(),
        group: entry.group.as_deref(),
        deduplication_id: entry.deduplication_id.as_deref(),
    }
}
