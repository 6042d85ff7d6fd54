//! The queues of a test, the messages that it sends to them, and the messages that it takes out of them.

use std::collections::BTreeMap;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message as SqsMessage, MessageAttributeValue, MessageSystemAttributeName as System,
    QueueAttributeName, SendMessageBatchRequestEntry,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::cli::embedded::samples::Sample;
use serde_json::Value;

use crate::emulator::Emulator;
use crate::{oracle, wait};

/// A queue on an emulator.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    sqs: aws_sdk_sqs::Client,
    /// The queue's URL.
    pub(crate) url: String,
    /// The queue's ARN.
    pub(crate) arn: String,
}

/// A message to send to a queue or to publish to a topic.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The body.
    pub(crate) body: String,
    /// The message attributes by name.
    pub(crate) attributes: BTreeMap<String, MessageAttributeValue>,
    /// The message group, for FIFO queues and topics.
    pub(crate) group: Option<String>,
}

/// A message that was taken out of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The body, not decoded.
    pub(crate) body: String,
    /// The message attributes by name.
    pub(crate) attributes: BTreeMap<String, MessageAttributeValue>,
    /// The message group, in FIFO queues.
    pub(crate) group: Option<String>,
    /// The number of times that SQS has handed out the message.
    pub(crate) receive_count: u32,
}

impl Queue {
    /// Creates a queue: a FIFO queue if the name ends with `.fifo`.
    pub(crate) async fn create(emulator: &Emulator, name: &str) -> Self {
        let mut request = emulator.sqs.create_queue().queue_name(name);
        if name.ends_with(".fifo") {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
            request = request.attributes(QueueAttributeName::ContentBasedDeduplication, "true");
        }
        let created = request.send().await.expect("the queue is created");
        let url = created.queue_url.expect("a queue has a URL");
        let mut queue = Self { sqs: emulator.sqs.clone(), url, arn: String::new() };
        queue.arn = queue.attribute(QueueAttributeName::QueueArn).await;
        queue
    }

    /// Sends messages in order, ten per call. Returns their message ids.
    pub(crate) async fn send(&self, inputs: impl IntoIterator<Item = Input>) -> Vec<String> {
        let entries: Vec<_> = inputs
            .into_iter()
            .enumerate()
            .map(|(index, input)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(input.body)
                    .set_message_attributes(Some(input.attributes.into_iter().collect()))
                    .set_message_group_id(input.group)
                    .build()
                    .expect("the id and the body are given")
            })
            .collect();
        let mut ids = BTreeMap::new();
        for batch in entries.chunks(10) {
            let request = self.sqs.send_message_batch().queue_url(&self.url).set_entries(Some(batch.into()));
            let sent = request.send().await.expect("the batch is sent");
            assert!(sent.failed().is_empty(), "not sent: {:?}", sent.failed());
            let sent = sent
                .successful
                .into_iter()
                .map(|sent| (sent.id.parse::<usize>().expect("the entry id is an index"), sent.message_id));
            ids.extend(sent);
        }
        ids.into_values().collect()
    }

    /// Takes out exactly `count` messages, in the order in which they are received.
    ///
    /// # Panics
    ///
    /// Panics if fewer messages arrive before the deadline, or if the last receive returns too many.
    pub(crate) async fn take(&self, count: usize) -> Vec<Message> {
        let mut taken: Vec<Message> = Vec::new();
        wait::until(&format!("{count} messages are in {}", self.url), async || {
            taken.extend(self.take_some(1).await);
            (taken.len() >= count).then_some(())
        })
        .await;
        assert_eq!(taken.len(), count, "more than expected in {}: {taken:#?}", self.url);
        taken
    }

    /// Takes out the only message.
    pub(crate) async fn take_one(&self) -> Message {
        self.take(1).await.remove(0)
    }

    /// Receives once, and deletes and returns the messages of that receive.
    pub(crate) async fn take_some(&self, wait_seconds: i32) -> Vec<Message> {
        let request = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let request = request.message_system_attribute_names(System::All).message_attribute_names("All");
        let received = request.wait_time_seconds(wait_seconds).send().await.expect("the queue can be received from");
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return Vec::new();
        }
        let entries = messages.iter().enumerate().map(|(index, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.set_receipt_handle(message.receipt_handle.clone()).build();
            entry.expect("the id and the receipt handle are given")
        });
        let request = self.sqs.delete_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
        let deleted = request.send().await.expect("the batch is deleted");
        assert!(deleted.failed().is_empty(), "not deleted: {:?}", deleted.failed());
        messages.into_iter().map(Message::from).collect()
    }

    /// Returns the number of messages in the queue, including hidden ones.
    pub(crate) async fn depth(&self) -> u32 {
        let visible = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
        let hidden = self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await;
        [visible, hidden].iter().map(|count| count.parse::<u32>().expect("the value is a count")).sum()
    }

    /// Whether every message of the queue is hidden.
    pub(crate) async fn is_hidden(&self) -> bool {
        self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await == "0"
    }

    /// Waits until the queue holds no messages, not even hidden ones.
    pub(crate) async fn wait_until_empty(&self) {
        let what = format!("{} is empty", self.url);
        wait::until(&what, async || (self.depth().await == 0).then_some(())).await;
    }

    async fn attribute(&self, name: QueueAttributeName) -> String {
        let request = self.sqs.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let attributes = request.send().await.expect("the queue exists").attributes.unwrap_or_default();
        attributes.get(&name).unwrap_or_else(|| panic!("{} has no attribute {name}", self.url)).clone()
    }
}

impl Input {
    /// Returns a message with the event as base64 in its body and the event's type as an attribute.
    pub(crate) fn body(event: &Sample) -> Self {
        Self::text(BASE64_STANDARD.encode(&event.payload)).attribute("message-type", &event.message_type)
    }

    /// Returns a message with the event in a Binary attribute and the event's type in another attribute.
    pub(crate) fn binary(event: &Sample) -> Self {
        let value = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(&*event.payload));
        let mut input = Self::text("-").attribute("message-type", &event.message_type);
        input.attributes.insert("payload".to_owned(), value.build().expect("the data type is given"));
        input
    }

    /// Returns a message that consists of a body only.
    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), attributes: BTreeMap::new(), group: None }
    }

    /// Adds a String attribute.
    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
        self.attributes.insert(name.to_owned(), value.expect("the data type is given"));
        self
    }

    /// Removes an attribute.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.attributes.remove(name);
        self
    }

    /// Sets the message group.
    pub(crate) fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }
}

impl From<SqsMessage> for Message {
    fn from(message: SqsMessage) -> Self {
        let system = message.attributes.unwrap_or_default();
        let count = system.get(&System::ApproximateReceiveCount).and_then(|count| count.parse().ok());
        Self {
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default().into_iter().collect(),
            group: system.get(&System::MessageGroupId).cloned(),
            receive_count: count.unwrap_or_default(),
        }
    }
}

impl Message {
    /// Returns the value of a String attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value()
    }

    /// Parses the body as JSON.
    pub(crate) fn json(&self) -> Value {
        oracle::parse(&self.body)
    }

    /// Returns the note that protobridge adds to a quarantined message.
    pub(crate) fn quarantine_note(&self) -> Value {
        let note = self.attribute("protobridge-quarantine").unwrap_or_else(|| panic!("no note on {self:#?}"));
        oracle::parse(note)
    }

    /// Returns the message inside an SNS notification, or this message unchanged if it is not a notification.
    pub(crate) fn unwrapped(mut self) -> Self {
        let Ok(mut notification) = serde_json::from_str::<Value>(&self.body) else { return self };
        if notification["Type"] != "Notification" {
            return self;
        }
        self.body = notification["Message"].as_str().expect("a notification has a message").to_owned();
        let attributes = notification["MessageAttributes"].take();
        for (name, attribute) in attributes.as_object().into_iter().flatten() {
            let text = |key: &str| attribute[key].as_str().expect("the type and the value are strings").to_owned();
            let value = MessageAttributeValue::builder().data_type(text("Type")).string_value(text("Value"));
            self.attributes.insert(name.clone(), value.build().expect("the data type is given"));
        }
        self
    }
}
