//! Measures the costs that justify the home-made parts of the lean client, each beside its rival:
//!
//! - `form`: percent-encoding of a message body, by the table of `form.rs` and by the crate `percent-encoding`;
//! - `publish_answer`: reading an answer of PublishBatch, by `xml.rs` and by quick-xml's deserializer;
//! - `receive`, `publish`, `delete`: one whole call of ten messages, from its arguments to its result, over a connector
//!   that answers at once, by the lean client and by the SDK's.
//!
//! Every bench asserts first that both sides return the same result.

// A bench that cannot make its calls must stop.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lean::scripted::{connector, published, sharing};
use aws_lean::{Auth, LeanClient, PublishAttribute, PublishEntry};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName as System};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::runtime::Runtime;

#[allow(dead_code)]
#[path = "../src/form.rs"]
mod form;
#[allow(dead_code)]
#[path = "../src/publish_answer.rs"]
mod publish_answer;
#[allow(dead_code)]
#[path = "../src/xml.rs"]
mod xml;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";
const HANDLE: &str =
    "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a+/AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0aAQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a==";
const ATTRIBUTES: [(&str, &str); 2] = [("event-id", "f8a5c1d2-7e0b"), ("event-type", "shop.v1.OrderPlaced")];
const BATCH: usize = 10;

/// JSON of 1.6 KB with the usual mix of texts and punctuation.
fn json() -> String {
    let mut json = r#"{"orderId":"o-1","lines":["#.to_owned();
    for line in 0..17 {
        let comma = if line == 0 { "" } else { "," };
        let _ = write!(json, r#"{comma}{{"sku":"SKU-{line:05}","name":"A thing of some kind, large","#);
        let _ = write!(json, r#""quantity":{line},"price":{{"units":"12"}}}}"#);
    }
    json.push_str("]}");
    json
}

/// Appends a form value, encoded by the crate `percent-encoding`.
fn by_crate(form: &mut Vec<u8>, value: &str) {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    for part in utf8_percent_encode(value, RESERVED) {
        form.extend_from_slice(part.as_bytes());
    }
}

fn form_value(c: &mut Criterion) {
    let json = json();
    let (mut ours, mut theirs) = (Vec::with_capacity(3 * json.len()), Vec::with_capacity(3 * json.len()));
    form::escape_into(&mut ours, &json);
    by_crate(&mut theirs, &json);
    assert_eq!(ours, theirs);
    let mut group = c.benchmark_group("form");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("table", |b| {
        b.iter(|| {
            ours.clear();
            form::escape_into(&mut ours, black_box(&json));
        });
    });
    group.bench_function("percent-encoding", |b| {
        b.iter(|| {
            theirs.clear();
            by_crate(&mut theirs, black_box(&json));
        });
    });
    group.finish();
}

/// The answer to a PublishBatch for serde.
#[derive(Deserialize)]
enum Document {
    PublishBatchResponse {
        #[serde(rename = "PublishBatchResult")]
        result: BatchResult,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchResult {
    #[serde(default)]
    successful: Members<Successful>,
    #[serde(default)]
    failed: Members<Failed>,
}

#[derive(Deserialize)]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { member: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Successful {
    id: String,
    message_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    code: String,
    message: Option<String>,
    sender_fault: bool,
}

fn publish_answer(c: &mut Criterion) {
    let all: Vec<_> = (0..BATCH).collect();
    for (name, body) in [
        ("publish_answer/all successful", published(&all, &[]).1),
        ("publish_answer/half failed", published(&all[..5], &[5, 6, 7, 8, 9].map(|id| (id, "Throttled", true))).1),
    ] {
        let ours = publish_answer::read(body.as_bytes()).unwrap();
        let Document::PublishBatchResponse { result } = quick_xml::de::from_str(&body).unwrap();
        let theirs = result.successful.member.iter().map(|entry| (entry.id.parse().ok(), &entry.message_id));
        assert!(ours.successful.iter().map(|entry| (entry.index, &entry.message_id)).eq(theirs));
        for (ours, theirs) in ours.failed.iter().zip(&result.failed.member) {
            assert_eq!((&ours.id, &ours.code, &ours.message), (&theirs.id, &theirs.code, &theirs.message));
            assert_eq!(ours.sender_fault, theirs.sender_fault);
        }
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("xml.rs", |b| {
            b.iter(|| publish_answer::read(black_box(body.as_bytes())).unwrap());
        });
        group.bench_function("quick-xml serde", |b| {
            b.iter(|| quick_xml::de::from_str::<Document>(black_box(&body)).unwrap());
        });
        group.finish();
    }
}

/// A lean client and the SDK's configuration for one endpoint that gives the same answer to every call.
fn clients(body: String) -> (LeanClient, SdkConfig) {
    let connector = connector(move |_| {
        let mut response = HttpResponse::new(200.try_into().unwrap(), body.clone().into());
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        response
    });
    let shared = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(sharing(connector.clone()))
        .build();
    let lean = LeanClient::new(&shared, connector, Auth::of(&shared), Duration::from_secs(10));
    (lean, shared)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn receive(c: &mut Criterion) {
    let message = |index: usize| {
        serde_json::json!({
            "MessageId": format!("m-{index}"), "ReceiptHandle": HANDLE, "MD5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
            "Body": "CgZvLTEyMzQSBGFjbWUYKg==".repeat(25),
            "Attributes": {"SentTimestamp": "1767225600000", "ApproximateFirstReceiveTimestamp": "1767225600001",
                "ApproximateReceiveCount": "1"},
            "MessageAttributes": {"message-type": {"DataType": "String", "StringValue": "shop.v1.OrderPlaced"}},
        })
    };
    let messages: Vec<_> = (0..BATCH).map(message).collect();
    let (lean, shared) = clients(serde_json::json!({"Messages": messages}).to_string());
    let sdk = aws_sdk_sqs::Client::new(&shared);
    let sdk_receive = || {
        sdk.receive_message()
            .queue_url(QUEUE)
            .max_number_of_messages(10)
            .wait_time_seconds(20)
            .visibility_timeout(30)
            .message_system_attribute_names(System::SentTimestamp)
            .message_system_attribute_names(System::ApproximateFirstReceiveTimestamp)
            .message_system_attribute_names(System::ApproximateReceiveCount)
            .message_system_attribute_names(System::MessageGroupId)
            .message_system_attribute_names(System::AwsTraceHeader)
            .message_attribute_names("All")
            .send()
    };
    let runtime = runtime();
    let ours = runtime.block_on(lean.receive(QUEUE, 20, 30)).unwrap();
    let theirs = runtime.block_on(sdk_receive()).unwrap().messages.unwrap();
    assert_eq!((ours.len(), &ours[9].body, ours.len()), (theirs.len(), &theirs[9].body, BATCH));
    let mut group = c.benchmark_group("receive");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("aws-lean", |b| b.iter(|| runtime.block_on(lean.receive(QUEUE, 20, 30)).unwrap()));
    group.bench_function("SDK", |b| b.iter(|| runtime.block_on(sdk_receive()).unwrap()));
    group.finish();
}

fn publish(c: &mut Criterion) {
    let json = json();
    let (lean, shared) = clients(published(&(0..BATCH).collect::<Vec<_>>(), &[]).1);
    let sdk = aws_sdk_sns::Client::new(&shared);
    let text = |(name, value)| PublishAttribute { name, data_type: "String", value };
    let lean_publish = || {
        let entries = (0..BATCH).map(|_| PublishEntry {
            body: &json,
            attributes: ATTRIBUTES.into_iter().map(text),
            group: None,
            deduplication_id: None,
        });
        lean.publish(TOPIC, entries)
    };
    let sdk_publish = || {
        let attribute = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let entries = (0..BATCH).map(|index| {
            let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(&json);
            for (name, value) in ATTRIBUTES {
                entry = entry.message_attributes(name, attribute(value).unwrap());
            }
            entry.build().unwrap()
        });
        sdk.publish_batch().topic_arn(TOPIC).set_publish_batch_request_entries(Some(entries.collect())).send()
    };
    let runtime = runtime();
    assert!(runtime.block_on(lean_publish()).unwrap().iter().all(Result::is_ok));
    assert_eq!(runtime.block_on(sdk_publish()).unwrap().successful().len(), BATCH);
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("aws-lean", |b| b.iter(|| runtime.block_on(lean_publish()).unwrap()));
    group.bench_function("SDK", |b| b.iter(|| runtime.block_on(sdk_publish()).unwrap()));
    group.finish();
}

fn delete(c: &mut Criterion) {
    let successful: Vec<_> = (0..BATCH).map(|id| serde_json::json!({"Id": id.to_string()})).collect();
    let (lean, shared) = clients(serde_json::json!({"Successful": successful, "Failed": []}).to_string());
    let sdk = aws_sdk_sqs::Client::new(&shared);
    let sdk_delete = || {
        let entry = |index: usize| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(HANDLE);
            entry.build().unwrap()
        };
        sdk.delete_message_batch().queue_url(QUEUE).set_entries(Some((0..BATCH).map(entry).collect())).send()
    };
    let runtime = runtime();
    assert!(runtime.block_on(lean.delete(QUEUE, [HANDLE; BATCH].into_iter())).unwrap().is_empty());
    assert_eq!(runtime.block_on(sdk_delete()).unwrap().successful().len(), BATCH);
    let mut group = c.benchmark_group("delete");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("aws-lean", |b| {
        b.iter(|| runtime.block_on(lean.delete(QUEUE, [HANDLE; BATCH].into_iter())).unwrap());
    });
    group.bench_function("SDK", |b| b.iter(|| runtime.block_on(sdk_delete()).unwrap()));
    group.finish();
}

criterion_group!(benches, form_value, publish_answer, receive, publish, delete);
criterion_main!(benches);
