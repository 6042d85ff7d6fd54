//! The floor: a loop that makes only the necessary AWS calls, with the clients of the AWS SDK.
//!
//! Each loop receives ten messages, publishes them and deletes them. It publishes the bodies and attributes that the
//! service would publish, but its bodies are made beforehand. The floor is therefore the lowest cost per event with the
//! SDK's clients. The service can be cheaper, because it has its own data plane for these calls. The floor creates its
//! clients itself instead of using the service's, so that the yardstick does not change with the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName as System};
use aws_smithy_http_client::tls;
use tokio::task::JoinSet;

use crate::events::{self, Events};
use crate::spec::Spec;
use crate::subject::AUTHORITY_VARIABLE;

/// A value as long as the service's schema hash.
const SCHEMA_HASH: &str = "0123456789abcdef";
/// The most bytes that a publish can carry, bodies and attributes together.
const MAX_BYTES: usize = 256 * 1024;

/// Runs the loops until the process is killed.
///
/// # Errors
/// Returns an error if a call fails.
pub(crate) fn run(spec: &Spec, endpoint: &str, loops: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let events = Arc::new(Events::new(spec)?);
    runtime.block_on(async {
        let authority = std::env::var_os(AUTHORITY_VARIABLE).map(std::fs::read).transpose()?;
        let clients = Arc::new(FloorClients::new(endpoint, authority).await);
        let mut running = JoinSet::new();
        for _ in 0..loops {
            running.spawn(Arc::clone(&clients).run_loop(Arc::clone(&events)));
        }
        running.join_next().await.context("--loops must be at least 1")??
    })
}

/// The SDK's clients, and the calls of the floor.
pub(crate) struct FloorClients {
    receive: aws_sdk_sqs::Client,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    queue: String,
}

impl FloorClients {
    /// Creates clients with the service's default settings. With TLS they trust `authority`, in PEM.
    pub(crate) async fn new(endpoint: &str, authority: Option<Vec<u8>>) -> Self {
        Self::from_config(&loader(endpoint, authority).load().await, endpoint)
    }

    /// Creates clients with credentials, so that the SDK does not look for any.
    #[cfg(test)]
    pub(crate) async fn for_tests(endpoint: &str, authority: Option<Vec<u8>>) -> Self {
        let credentials = aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test");
        let credentials = aws_sdk_sqs::config::SharedCredentialsProvider::new(credentials);
        Self::from_config(&loader(endpoint, authority).credentials_provider(credentials).load().await, endpoint)
    }

    fn from_config(shared: &SdkConfig, endpoint: &str) -> Self {
        // The service disables the SDK's retries for receives and publishes, and retries by itself.
        let once = RetryConfig::disabled();
        let receive = aws_sdk_sqs::config::Builder::from(shared).retry_config(once.clone()).build();
        let sns = aws_sdk_sns::config::Builder::from(shared).retry_config(once).build();
        Self {
            receive: aws_sdk_sqs::Client::from_conf(receive),
            sqs: aws_sdk_sqs::Client::new(shared),
            sns: aws_sdk_sns::Client::from_conf(sns),
            queue: format!("{endpoint}/000000000000/events"),
        }
    }

    /// Receives, publishes and deletes until a call fails.
    pub(crate) async fn run_loop(self: Arc<Self>, events: Arc<Events>) -> anyhow::Result<()> {
        loop {
            let messages = self.receive().await?;
            let mut batches: BTreeMap<String, Vec<PublishBatchRequestEntry>> = BTreeMap::new();
            for (index, message) in messages.iter().enumerate() {
                let (topic, entry) = publish_entry(index, message, &events)?;
                batches.entry(topic).or_default().push(entry);
            }
            for (topic, entries) in batches {
                self.publish(&topic, entries).await?;
            }
            self.delete(messages).await?;
        }
    }

    pub(crate) async fn receive(&self) -> anyhow::Result<Vec<Message>> {
        let system = [
            System::SentTimestamp,
            System::ApproximateFirstReceiveTimestamp,
            System::ApproximateReceiveCount,
            System::MessageGroupId,
        ];
        let request = self
            .receive
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(10)
            .wait_time_seconds(20)
            .visibility_timeout(30)
            .set_message_system_attribute_names(Some(system.into()))
            .message_attribute_names("All");
        Ok(request.send().await?.messages.unwrap_or_default())
    }

    /// Publishes the entries in one call, or in several if they do not fit into one.
    pub(crate) async fn publish(&self, topic: &str, entries: Vec<PublishBatchRequestEntry>) -> anyhow::Result<()> {
        let mut rest = entries;
        while !rest.is_empty() {
            // The attributes take less than 512 bytes.
            let size = rest[0].message().len() + 512;
            let later = rest.split_off(rest.len().min(MAX_BYTES / size).max(1));
            let request = self.sns.publish_batch().topic_arn(topic);
            let answer = request.set_publish_batch_request_entries(Some(rest)).send().await?;
            anyhow::ensure!(answer.failed().is_empty(), "entries failed: {:?}", answer.failed());
            rest = later;
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, messages: Vec<Message>) -> anyhow::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let entry = |(index, message): (usize, Message)| {
            let builder = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            builder.set_receipt_handle(message.receipt_handle).build()
        };
        let entries = messages.into_iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let request = self.sqs.delete_message_batch().queue_url(&self.queue).set_entries(Some(entries));
        let answer = request.send().await?;
        anyhow::ensure!(answer.failed().is_empty(), "deletes failed: {:?}", answer.failed());
        Ok(())
    }
}

fn loader(endpoint: &str, authority: Option<Vec<u8>>) -> ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(trust(authority))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
}

/// Returns the setting of TLS connections.
fn trust(authority: Option<Vec<u8>>) -> tls::TlsContext {
    let Some(pem) = authority else { return tls::TlsContext::default() };
    let store = tls::TrustStore::empty().with_pem_certificate(pem);
    tls::TlsContext::builder().with_trust_store(store).build().expect("a trust store is all it takes")
}

/// Returns the topic and the entry that the service would publish for the message.
pub(crate) fn publish_entry(
    index: usize,
    message: &Message,
    events: &Events,
) -> anyhow::Result<(String, PublishBatchRequestEntry)> {
    let attributes = message.message_attributes.as_ref().context("the message has no attributes")?;
    let value = |name: &str| attributes.get(name).and_then(|value| value.string_value());
    let event_id = value("event-id").context("the message has no event id")?;
    let number = events::number(event_id.as_bytes()).context("the event id is not one of this run")?;
    let template = events.template(number);
    let customer = events.customer(number);
    let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(&*template.json);
    for (name, value) in [
        ("event-id", event_id),
        ("event-type", template.message_type),
        ("customer-id", &events::customer_id(customer)),
        ("event-time", &template.time),
        ("content-type", "application/json"),
        ("schema-hash", SCHEMA_HASH),
    ] {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
        entry = entry.message_attributes(name, value);
    }
    Ok((events::topic(customer), entry.build()?))
}
