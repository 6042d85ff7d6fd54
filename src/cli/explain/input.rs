//! Reads a message: as SQS prints it, as the text of its body, or as the bytes of its payload.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use clap::ValueEnum;
use serde::Deserialize;
use tokio::time::Instant;

use crate::cli::case::MESSAGE_ID;
use crate::message::envelope;
use crate::message::{Message, Queue};
use crate::schema::confluent::SchemaEntry;

/// The forms of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// JSON with `Body` or `body` is an SQS message; other text is a body; anything else is a payload
    Auto,
    /// The JSON of `aws sqs receive-message`, of one message in it, or of a record that a Lambda function receives
    Sqs,
    /// The text of the body: base64, an SNS notification, or a pointer to S3
    Body,
    /// The bytes of the payload
    Raw,
}

/// An attribute on the command line.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("an attribute is NAME=VALUE".to_owned()),
        }
    }
}

/// A Confluent schema on the command line.
#[derive(Debug, Clone)]
pub(super) struct SchemaArg(pub(super) SchemaEntry);

impl FromStr for SchemaArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('=').and_then(|(id, types)| {
            let types = types.split(',').map(str::to_owned).collect();
            Some(SchemaEntry::new(id.parse().ok()?, types))
        });
        parsed.map(Self).ok_or_else(|| "a schema is ID=TYPE,…, such as 7=shop.v1.OrderPlaced".to_owned())
    }
}

/// The messages of `aws sqs receive-message`.
#[derive(Debug, Deserialize)]
struct Received {
    #[serde(rename = "Messages", alias = "Records")]
    messages: Vec<SqsMessage>,
}

/// A message as the AWS CLI prints it, or as a Lambda function receives it.
#[derive(Debug, Deserialize)]
struct SqsMessage {
    #[serde(rename = "Body", alias = "body")]
    body: String,
    #[serde(rename = "MessageId", alias = "messageId")]
    message_id: Option<String>,
    #[serde(default, rename = "Attributes", alias = "attributes")]
    system: HashMap<String, String>,
    #[serde(default, rename = "MessageAttributes", alias = "messageAttributes")]
    attributes: HashMap<String, SqsAttribute>,
}

#[derive(Debug, Deserialize)]
struct SqsAttribute {
    #[serde(rename = "DataType", alias = "dataType")]
    data_type: String,
    #[serde(rename = "StringValue", alias = "stringValue")]
    string_value: Option<String>,
    /// In base64.
    #[serde(rename = "BinaryValue", alias = "binaryValue")]
    binary_value: Option<String>,
}

/// Reads the message in a file. `payload_attribute` carries the bytes of a payload.
pub(in crate::cli) fn read(
    path: &Path,
    form: Form,
    queue: Arc<Queue>,
    payload_attribute: &str,
) -> anyhow::Result<Message> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    }
    let text = std::str::from_utf8(&bytes).ok().map(str::trim_ascii_end);
    let form = match (form, text) {
        (Form::Auto, Some(text)) if is_sqs(text) => Form::Sqs,
        (Form::Auto, Some(text)) if is_body(text) => Form::Body,
        (Form::Auto, _) => Form::Raw,
        (form, _) => form,
    };
    match (form, text) {
        (Form::Sqs | Form::Body, None) => bail!("{}: the message is not UTF-8; use --input raw", path.display()),
        (Form::Sqs, Some(text)) => sqs(text, queue).with_context(|| path.display().to_string()),
        (Form::Body, Some(text)) => Ok(of_text(text, queue)),
        (Form::Raw | Form::Auto, _) => {
            let payload = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(bytes));
            let mut message = of_text("-", queue);
            message.attributes.insert(payload_attribute.to_owned(), payload.build()?);
            Ok(message)
        }
    }
}

/// Whether a text is JSON that has the body of a message.
fn is_sqs(text: &str) -> bool {
    serde_json::from_str::<Received>(text).is_ok() || serde_json::from_str::<SqsMessage>(text).is_ok()
}

/// Whether a text can be a body: JSON, or base64.
fn is_body(text: &str) -> bool {
    text.starts_with(['{', '[']) || envelope::decode_base64(text).is_ok()
}

fn sqs(text: &str, queue: Arc<Queue>) -> anyhow::Result<Message> {
    let found = match serde_json::from_str::<Received>(text) {
        Ok(Received { mut messages }) => match messages.len() {
            1 => messages.remove(0),
            count => bail!("it has {count} messages; `explain` takes one"),
        },
        Err(_) => serde_json::from_str::<SqsMessage>(text)?,
    };
    let SqsMessage { body, message_id, system, attributes } = found;
    let mut message = of_text(&body, queue);
    message.message_id = message_id.unwrap_or(message.message_id);
    for (name, attribute) in attributes {
        message.attributes.insert(name.clone(), value(attribute).with_context(|| format!("attribute {name}"))?);
    }
    let time = |name: &str| {
        let milliseconds = system.get(name)?.parse().ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    };
    message.sent = time("SentTimestamp").unwrap_or(message.sent);
    message.first_received = time("ApproximateFirstReceiveTimestamp").unwrap_or(message.first_received);
    message.receive_count = system.get("ApproximateReceiveCount").and_then(|text| text.parse().ok()).unwrap_or(1);
    message.group = system.get("MessageGroupId").cloned();
    message.deduplication_id = system.get("MessageDeduplicationId").cloned();
    message.sequence_number = system.get("SequenceNumber").cloned();
    message.trace_header = system.get("AWSTraceHeader").cloned();
    Ok(message)
}

fn value(attribute: SqsAttribute) -> anyhow::Result<MessageAttributeValue> {
    let binary = attribute.binary_value.as_deref().map(envelope::decode_base64).transpose()?;
    let value = MessageAttributeValue::builder().data_type(attribute.data_type);
    Ok(value.set_string_value(attribute.string_value).set_binary_value(binary.map(Blob::new)).build()?)
}

/// Returns a String attribute.
pub(super) fn text_attribute(value: &str) -> anyhow::Result<MessageAttributeValue> {
    Ok(MessageAttributeValue::builder().data_type("String").string_value(value).build()?)
}

/// Returns a message with this body, which was sent and received now.
pub(super) fn of_text(body: &str, queue: Arc<Queue>) -> Message {
    let now = SystemTime::now();
    Message {
        queue,
        message_id: MESSAGE_ID.to_owned(),
        body: body.to_owned(),
        attributes: HashMap::new(),
        sent: now,
        first_received: now,
        received: Instant::now(),
        receive_count: 1,
        group: None,
        deduplication_id: None,
        sequence_number: None,
        trace_header: None,
    }
}
