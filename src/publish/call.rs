//! PublishBatch calls.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use tokio::time::Instant;

use super::Entry;
use super::lanes::Waiting;
use crate::aws::Failure;
use crate::telemetry::Metrics;

/// Makes the calls of one publisher.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) sns: aws_sdk_sns::Client,
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
        let mut request = self.sns.publish_batch().topic_arn(topic);
        for (index, waiting) in batch.iter().enumerate() {
            request = request.publish_batch_request_entries(request_entry(index, &waiting.pending.entry)?);
        }
        let answer = request.send().await;
        let bytes = batch.iter().map(|waiting| waiting.pending.entry.size()).sum();
        let customer = batch.first().and_then(|waiting| waiting.pending.entry.customer.as_deref());
        self.metrics.transfer("sns", "PublishBatch", answer.is_ok().then_some(bytes), customer);
        self.metrics.batch_entries.record(batch.len() as f64);
        let answer = answer.map_err(|error| Failure::of_call(&error))?;
        let mut failures: HashMap<usize, Failure> = (0..batch.len()).map(|i| (i, Failure::unanswered())).collect();
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
