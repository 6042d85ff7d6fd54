//! Queues of a test: what is sent to them, and what is found in them.

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
    /// Its URL.
    pub(crate) url: String,
    /// Its ARN.
    pub(crate) arn: String,
}

/// A message to be sent, to a queue or through a topic.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The body.
    pub(crate) body: String,
    /// The attributes by name.
    pub(crate) attributes: BTreeMap<String, MessageAttributeValue>,
    /// Message group, for FIFO queues and topics.
    pub(crate) group: Option<String>,
}

/// A message that was found in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The body, as it is.
    pub(crate) body: String,
    /// The attributes by name.
    pub(crate) attributes: BTreeMap<String, MessageAttributeValue>,
    /// Message group, in FIFO queues.
    pub(crate) group: Option<String>,
    /// How often it was received.
    pub(crate) receive_count: u32,
}

impl Queue {
    /// Makes a queue. It is a FIFO queue if its name says so.
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

    /// Sends messages, ten at a time and in this order. Returns the ids that SQS gave them.
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
                    .expect("id and body are given")
            })
            .collect();
        let mut ids = BTreeMap::new();
        for batch in entries.chunks(10) {
            let request = self.sqs.send_message_batch().queue_url(&self.url).set_entries(Some(batch.into()));
            let sent = request.send().await.expect("the batch is sent");
            assert!(sent.failed().is_empty(), "not sent: {:?}", sent.failed());
            let sent =
                sent.successful.into_iter().map(|sent| (sent.id.parse::<usize>().expect("ours"), sent.message_id));
            ids.extend(sent);
        }
        ids.into_values().collect()
    }

    /// Takes as many messages out as there have to be, in the order of their receipt.
    ///
    /// # Panics
    ///
    /// They do not come, or more come with them.
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

    /// Takes out what one receive returns.
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
            entry.expect("id and receipt handle are given")
        });
        let request = self.sqs.delete_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
        let deleted = request.send().await.expect("the batch is deleted");
        assert!(deleted.failed().is_empty(), "not deleted: {:?}", deleted.failed());
        messages.into_iter().map(Message::from).collect()
    }

    /// How many messages it has, hidden ones included.
    pub(crate) async fn depth(&self) -> u32 {
        let visible = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
        let hidden = self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await;
        [visible, hidden].iter().map(|count| count.parse::<u32>().expect("a count")).sum()
    }

    /// Returns when it has no message any more, hidden ones included.
    pub(crate) async fn is_empty(&self) {
        let what = format!("{} is empty", self.url);
        wait::until(&what, async || (self.depth().await == 0).then_some(())).await;
    }

    async fn attribute(&self, name: QueueAttributeName) -> String {
        let request = self.sqs.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let attributes = request.send().await.expect("the queue exists").attributes.unwrap_or_default();
        attributes.get(&name).unwrap_or_else(|| panic!("{name} of {}", self.url)).clone()
    }
}

impl Input {
    /// An event as base64 in the body, with its type as an attribute.
    pub(crate) fn body(event: &Sample) -> Self {
        Self::text(BASE64_STANDARD.encode(&event.payload)).attribute("message-type", &event.message_type)
    }

    /// An event as a Binary attribute, with its type as another.
    pub(crate) fn binary(event: &Sample) -> Self {
        let value = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(&*event.payload));
        let mut input = Self::text("-").attribute("message-type", &event.message_type);
        input.attributes.insert("payload".to_owned(), value.build().expect("the data type is given"));
        input
    }

    /// A body and nothing else.
    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), attributes: BTreeMap::new(), group: None }
    }

    /// With a text attribute.
    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
        self.attributes.insert(name.to_owned(), value.expect("the data type is given"));
        self
    }

    /// Without an attribute.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.attributes.remove(name);
        self
    }

    /// In a message group.
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
    /// The value of a text attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        oracle::parse(&self.body)
    }

    /// The note that is on a message in quarantine.
    pub(crate) fn quarantine_note(&self) -> Value {
        let note = self.attribute("protobridge-quarantine").unwrap_or_else(|| panic!("no note on {self:#?}"));
        oracle::parse(note)
    }

    /// The message that SNS wrapped into this one; this one if it did not.
    pub(crate) fn unwrapped(mut self) -> Self {
        let Ok(mut notification) = serde_json::from_str::<Value>(&self.body) else { return self };
        if notification["Type"] != "Notification" {
            return self;
        }
        self.body = notification["Message"].as_str().expect("a notification has a message").to_owned();
        let attributes = notification["MessageAttributes"].take();
        for (name, attribute) in attributes.as_object().into_iter().flatten() {
            let text = |key: &str| attribute[key].as_str().expect("type and value are texts").to_owned();
            let value = MessageAttributeValue::builder().data_type(text("Type")).string_value(text("Value"));
            self.attributes.insert(name.clone(), value.build().expect("the data type is given"));
        }
        self
    }
}
