//! PublishBatch calls, and what each answer means for each entry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{Entry, Pending};
use crate::aws::{Failure, Kind};
use crate::telemetry::Metrics;

/// Makes the calls of one publisher.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) sns: aws_sdk_sns::Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) max_attempts: u32,
}

impl Caller {
    /// Publishes one batch and answers every entry of it.
    ///
    /// Entries that fail in passing are sent again, the others go on without them. A call that is refused as a whole
    /// is split in halves until the entry that is to blame stands alone.
    pub(super) async fn publish(self: Arc<Self>, topic: Arc<str>, entries: Vec<Pending>) {
        let mut waiting = vec![(entries, 1)];
        while let Some((entries, attempt)) = waiting.pop() {
            match self.call(&topic, &entries).await {
                Ok(failures) => {
                    let (again, failure) = self.answer(entries, failures, attempt);
                    if let Some(failure) = failure {
                        self.pause(&topic, &failure, attempt).await;
                        waiting.push((again, attempt + 1));
                    }
                }
                Err(failure) if failure.is_passing() && attempt < self.max_attempts => {
                    self.pause(&topic, &failure, attempt).await;
                    waiting.push((entries, attempt + 1));
                }
                Err(failure) if failure.kind == Kind::Refused && entries.len() > 1 => {
                    warn!(%failure, topic = &*topic, entries = entries.len(), "batch refused, splitting it");
                    let mut first = entries;
                    let second = first.split_off(first.len() / 2);
                    waiting.push((second, attempt));
                    waiting.push((first, attempt));
                }
                Err(failure) => {
                    warn!(%failure, topic = &*topic, entries = entries.len(), attempt, "failed to publish batch");
                    for pending in entries {
                        self.verdict(pending, Err(failure.clone()));
                    }
                }
            }
        }
    }

    /// One call. Failures by index of the entry; an entry that the answer leaves out has failed, too.
    async fn call(&self, topic: &str, entries: &[Pending]) -> Result<HashMap<usize, Failure>, Failure> {
        let mut request = self.sns.publish_batch().topic_arn(topic);
        for (index, pending) in entries.iter().enumerate() {
            request = request.publish_batch_request_entries(request_entry(index, &pending.entry)?);
        }
        let answer = request.send().await;
        self.metrics.call("sns", "PublishBatch", answer.is_ok());
        self.metrics.batch_entries.record(entries.len() as f64);
        let answer = answer.map_err(|error| Failure::of_call(&error))?;
        let mut failures: HashMap<usize, Failure> = (0..entries.len()).map(|i| (i, Failure::unanswered())).collect();
        for entry in answer.successful() {
            if let Some(index) = entry.id().and_then(|id| id.parse().ok()) {
                failures.remove(&index);
            }
        }
        for entry in answer.failed() {
            if let Ok(index) = entry.id().parse() {
                failures.insert(index, Failure::of_entry(entry.code(), entry.message(), entry.sender_fault()));
            }
        }
        Ok(failures)
    }

    /// Answers what is decided. Returns the entries to send again, and with them a failure that says why.
    fn answer(
        &self,
        entries: Vec<Pending>,
        mut failures: HashMap<usize, Failure>,
        attempt: u32,
    ) -> (Vec<Pending>, Option<Failure>) {
        let mut again = Vec::new();
        let mut reason = None;
        for (index, pending) in entries.into_iter().enumerate() {
            match failures.remove(&index) {
                None => self.verdict(pending, Ok(())),
                Some(failure) => {
                    self.metrics.publish_failures.with(&[failure.label()]).add(1);
                    if failure.is_passing() && attempt < self.max_attempts {
                        again.push(pending);
                        reason = Some(failure);
                    } else {
                        warn!(%failure, topic = &*pending.entry.topic, attempt, "failed to publish entry");
                        self.verdict(pending, Err(failure));
                    }
                }
            }
        }
        (again, reason)
    }

    fn verdict(&self, pending: Pending, verdict: Result<(), Failure>) {
        if verdict.is_ok() {
            self.metrics.entry_published(&pending.entry.event_type, pending.entry.customer.as_deref());
        }
        // Nobody waits for it any more: the drain timed out, and the message is on its way back to the queue.
        let _gone = pending.verdict.send(verdict);
    }

    /// Waits before the next attempt: doubling from 100 ms, with jitter, up to 5 s.
    async fn pause(&self, topic: &str, failure: &Failure, attempt: u32) {
        debug!(%failure, topic, attempt, "publishing again");
        let full = (100u64 << attempt.min(6)).min(5_000);
        sleep(Duration::from_millis(fastrand::u64(full / 2..=full))).await;
    }
}

fn request_entry(index: usize, entry: &Entry) -> Result<PublishBatchRequestEntry, Failure> {
    let mut request = PublishBatchRequestEntry::builder()
        .id(index.to_string())
        .message(&*entry.body)
        .set_message_group_id(entry.group.clone())
        .set_message_deduplication_id(entry.deduplication_id.clone());
    for (name, value) in entry.attributes.iter() {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value)
            .build()
            .map_err(|error| Failure::invalid_entry(&error))?;
        request = request.message_attributes(name, value);
    }
    request.build().map_err(|error| Failure::invalid_entry(&error))
}
