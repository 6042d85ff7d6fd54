//! The wire format of SQS SendMessageBatch
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).

use std::collections::HashMap;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use crate::sqs_batch;

/// One message of a batch to send to a queue.
#[derive(Debug, Clone, Copy)]
pub struct SendEntry<'e> {
    /// The body.
    pub body: &'e str,
    /// The message attributes, by name.
    pub attributes: &'e HashMap<String, MessageAttributeValue>,
    /// The message group.
    pub group: Option<&'e str>,
    /// The deduplication id, for a FIFO queue.
    pub deduplication_id: Option<&'e str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'r> {
    #[serde(serialize_with = "sqs_batch::id")]
    id: usize,
    message_body: &'r str,
    #[serde(serialize_with = "attributes")]
    message_attributes: &'r HashMap<String, MessageAttributeValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<&'r str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Value<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    data_type: &'r str,
}

fn attributes<S: Serializer>(from: &&HashMap<String, MessageAttributeValue>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(from.iter().map(|(name, value)| {
        let binary_value = value.binary_value().map(|bytes| STANDARD.encode(bytes));
        (name, Value { string_value: value.string_value(), binary_value, data_type: value.data_type() })
    }))
}

/// Writes the body of one call.
///
/// # Errors
/// Never fails in practice: the body consists of texts only.
pub(crate) fn request<'r>(
    queue_url: &str,
    entries: impl Iterator<Item = SendEntry<'r>>,
) -> serde_json::Result<Vec<u8>> {
    let entry = |(id, entry): (usize, SendEntry<'r>)| Entry {
        id,
        message_body: entry.body,
        message_attributes: entry.attributes,
        message_deduplication_id: entry.deduplication_id,
        message_group_id: entry.group,
    };
    sqs_batch::request(queue_url, entries.enumerate().map(entry))
}
