//! Sends the events of the demo to the input queue, directly or through the topic that feeds it.

use anyhow::{Context as _, bail};
use aws_sdk_sns::types::{MessageAttributeValue as TopicAttribute, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{MessageAttributeValue as QueueAttribute, SendMessageBatchRequestEntry};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::stage::Stage;
use crate::aws::Clients;
use crate::cli::embedded::samples::Sample;
use crate::schema::registry::HEARTBEAT;

/// The queue and the topic that events are sent to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    clients: Clients,
    queue: String,
    topic: String,
}

/// An event in the form in which it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) body: String,
    pub(super) message_type: String,
    /// The event id as a message attribute, for events whose payload contains none.
    pub(super) event_id: Option<String>,
}

impl Outgoing {
    pub(super) fn new(sample: &Sample) -> Self {
        let event_id = (sample.message_type == HEARTBEAT).then(|| sample.event_id.clone());
        Self { body: BASE64_STANDARD.encode(&sample.payload), message_type: sample.message_type.clone(), event_id }
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let event_id = self.event_id.as_deref().map(|id| ("event-id", id));
        [("message-type", self.message_type.as_str())].into_iter().chain(event_id)
    }
}

impl Target {
    pub(super) fn new(stage: &Stage) -> Self {
        let Stage { clients, queue, input_topic, .. } = stage;
        Self { clients: clients.clone(), queue: queue.clone(), topic: input_topic.clone() }
    }

    /// Sends events to the queue, at most ten.
    pub(super) async fn send(&self, events: Vec<Outgoing>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut request = self.clients.sqs.send_message_batch().queue_url(&self.queue);
        for (index, event) in events.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&event.body);
            for (name, value) in event.attributes() {
                let value = QueueAttribute::builder().data_type("String").string_value(value).build()?;
                entry = entry.message_attributes(name, value);
            }
            request = request.entries(entry.build()?);
        }
        let answer = request.send().await.context("cannot send events to the queue")?;
        if let Some(refused) = answer.failed().first() {
            bail!("the queue refused an event: {}", refused.message().unwrap_or(refused.code()));
        }
        Ok(())
    }

    /// Publishes events to the topic that feeds the queue, at most ten.
    pub(super) async fn publish(&self, events: Vec<Outgoing>) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut request = self.clients.sns.publish_batch().topic_arn(&self.topic);
        for (index, event) in events.iter().enumerate() {
            let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(&event.body);
            for (name, value) in event.attributes() {
                let value = TopicAttribute::builder().data_type("String").string_value(value).build()?;
                entry = entry.message_attributes(name, value);
            }
            request = request.publish_batch_request_entries(entry.build()?);
        }
        let answer = request.send().await.context("cannot publish events to the input topic")?;
        if let Some(refused) = answer.failed().first() {
            bail!("the input topic refused an event: {}", refused.message().unwrap_or(refused.code()));
        }
        Ok(())
    }
}
