//! A consumer that a user would write instead of protobridge, in Rust: it receives Protobuf events from SQS, and
//! publishes each as JSON to the SNS topic of its customer.
//!
//! The load test measures it beside protobridge. `../README.md` lists the variables that it reads.

mod convert;
mod settings;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::sync::Arc;

use anyhow::Context as _;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use aws_smithy_http_client::tls;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;

use convert::Converter;
use settings::Settings;

/// The most bytes that one publish can carry.
const MAX_BYTES: usize = 256 * 1024;
/// An upper bound for the attributes of one message, in bytes.
const ATTRIBUTE_BYTES: usize = 512;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let converter = Converter::new(&settings.descriptor_set()?)?;
    if std::env::args().any(|argument| argument == "--hard") {
        return convert_lines(&converter);
    }
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // As for the SDK calls alone: bodies are small.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&settings.endpoint)
        .load()
        .await;
    let consumer = Arc::new(Consumer {
        sqs: aws_sdk_sqs::Client::new(&shared),
        sns: aws_sdk_sns::Client::new(&shared),
        settings,
        converter,
    });
    let loops = (0..consumer.settings.loops).map(|_| tokio::spawn(Arc::clone(&consumer).run_loop()));
    for ended in join_all(loops).await {
        ended?;
    }
    Ok(())
}

struct Consumer {
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    settings: Settings,
    converter: Converter,
}

/// A message that is ready to be published.
struct Outgoing {
    entry: PublishBatchRequestEntry,
    receipt_handle: String,
}

impl Consumer {
    async fn run_loop(self: Arc<Self>) {
        loop {
            if let Err(error) = self.pass().await {
                // The messages stay on the queue, and return after their visibility timeout.
                eprintln!("a batch failed: {error:#}");
            }
        }
    }

    /// Receives up to ten messages, publishes them and deletes those that were published.
    async fn pass(&self) -> anyhow::Result<()> {
        let request = self.sqs.receive_message().queue_url(&self.settings.queue_url);
        let request = request.max_number_of_messages(10).wait_time_seconds(20).message_attribute_names("All");
        let messages = request.send().await?.messages.unwrap_or_default();
        let mut topics: BTreeMap<String, Vec<Outgoing>> = BTreeMap::new();
        for (index, message) in messages.into_iter().enumerate() {
            match self.outgoing(index, message) {
                Ok((topic, outgoing)) => topics.entry(topic).or_default().push(outgoing),
                // The message returns until the redrive policy of the queue moves it to the dead-letter queue.
                Err(error) => eprintln!("a message cannot be converted: {error:#}"),
            }
        }
        let publishes = topics.into_iter().map(|(topic, batch)| self.publish(topic, batch));
        let published = join_all(publishes).await.concat();
        self.delete(published).await
    }

    /// Converts a message. Returns the topic and the entry to publish.
    fn outgoing(&self, index: usize, message: Message) -> anyhow::Result<(String, Outgoing)> {
        let attributes = message.message_attributes.context("the message has no attributes")?;
        let attribute = |name: &str| {
            let value = attributes.get(name).and_then(|value| value.string_value());
            value.with_context(|| format!("the message has no attribute {name}"))
        };
        let (event_type, event_id) = (attribute("message-type")?, attribute("event-id")?);
        let customer = attribute("customer-id")?;
        let payload = BASE64_STANDARD.decode(message.body.context("the message has no body")?)?;
        let event = self.converter.convert(event_type, &payload)?;
        let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(event.json);
        for (name, value) in [
            ("event-id", event_id),
            ("event-type", event_type),
            ("customer-id", customer),
            ("event-time", &event.time),
            ("content-type", "application/json"),
            ("schema-hash", &self.converter.schema_hash),
        ] {
            // SNS refuses an attribute without a value.
            if value.is_empty() {
                continue;
            }
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
            entry = entry.message_attributes(name, value);
        }
        let topic = self.settings.topic_template.replace("{customer}", customer);
        let receipt_handle = message.receipt_handle.context("the message has no receipt handle")?;
        Ok((topic, Outgoing { entry: entry.build()?, receipt_handle }))
    }

    /// Publishes the messages, in several calls if they do not fit into one. Returns the receipt handles of those that
    /// SNS accepted.
    async fn publish(&self, topic: String, batch: Vec<Outgoing>) -> Vec<String> {
        let (mut handles, mut calls, mut bytes) = (BTreeMap::new(), vec![Vec::new()], 0);
        for Outgoing { entry, receipt_handle } in batch {
            let size = entry.message().len() + ATTRIBUTE_BYTES;
            if bytes + size > MAX_BYTES {
                calls.push(Vec::new());
                bytes = 0;
            }
            bytes += size;
            handles.insert(entry.id().to_owned(), receipt_handle);
            calls.last_mut().expect("there is at least one call").push(entry);
        }
        let mut accepted = Vec::new();
        for entries in calls.into_iter().filter(|entries| !entries.is_empty()) {
            let request = self.sns.publish_batch().topic_arn(&topic).set_publish_batch_request_entries(Some(entries));
            match request.send().await {
                Ok(answer) => {
                    let ids = answer.successful().iter().filter_map(|entry| entry.id());
                    accepted.extend(ids.filter_map(|id| handles.remove(id)));
                    for failed in answer.failed() {
                        eprintln!("SNS refused an entry for {topic}: {}", failed.code());
                    }
                }
                Err(error) => eprintln!("cannot publish to {topic}: {:#}", anyhow::Error::new(error)),
            }
        }
        accepted
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> anyhow::Result<()> {
        if receipt_handles.is_empty() {
            return Ok(());
        }
        let entry = |(index, handle): (usize, String)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle).build()
        };
        let entries = receipt_handles.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let request = self.sqs.delete_message_batch().queue_url(&self.settings.queue_url).set_entries(Some(entries));
        for failed in request.send().await?.failed() {
            eprintln!("SQS did not delete a message: {}", failed.code());
        }
        Ok(())
    }
}

/// Converts the payloads on standard input, for the comparison of hard payloads.
fn convert_lines(converter: &Converter) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (event_type, payload) = line.split_once(' ').context("expected a type and a payload in base64")?;
        match converter.convert(event_type, &BASE64_STANDARD.decode(payload)?) {
            Ok(event) => println!("ok {}", event.json),
            Err(error) => println!("error {}", format!("{error:#}").replace('\n', " ")),
        }
    }
    Ok(())
}
