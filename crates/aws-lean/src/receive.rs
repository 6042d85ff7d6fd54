//! The wire format of SQS ReceiveMessage: JSON in both directions
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::MessageAttributeValue;
use aws_smithy_types::Blob;
use aws_smithy_types::error::operation::BuildError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Failure;
use crate::MAX_BATCH_ENTRIES;
use crate::answer::Answer;

/// A message as SQS returns it. Everything that an answer can leave out is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Message {
    /// The message id, which stays the same across redeliveries.
    pub message_id: Option<String>,
    /// The receipt handle of this receive.
    pub receipt_handle: Option<String>,
    /// The body, as it was sent.
    pub body: Option<String>,
    /// The system attributes, which SQS sets.
    #[serde(deserialize_with = "or_default")]
    pub attributes: SystemAttributes,
    /// The message attributes, which the sender sets.
    #[serde(deserialize_with = "message_attributes")]
    pub message_attributes: HashMap<String, MessageAttributeValue>,
}

/// The system attributes that a receive requests, as texts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SystemAttributes {
    /// When the message was sent, in milliseconds since 1970.
    pub sent_timestamp: Option<String>,
    /// When the message was first received, in milliseconds since 1970.
    pub approximate_first_receive_timestamp: Option<String>,
    /// How often the message was received, this receive included.
    pub approximate_receive_count: Option<String>,
    /// The message group; standard queues can have it, too.
    pub message_group_id: Option<String>,
    /// The deduplication id; only on FIFO queues.
    pub message_deduplication_id: Option<String>,
    /// The sequence number, which increases within a message group; only on FIFO queues.
    pub sequence_number: Option<String>,
    /// The trace header of X-Ray.
    #[serde(rename = "AWSTraceHeader")]
    pub aws_trace_header: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'r> {
    queue_url: &'r str,
    max_number_of_messages: usize,
    visibility_timeout: i32,
    wait_time_seconds: i32,
    message_system_attribute_names: [&'static str; 7],
    message_attribute_names: [&'static str; 1],
}

/// Writes the body of one call. Both times are in seconds.
///
/// # Errors
/// Never fails in practice: the body consists of texts and numbers only.
pub(crate) fn request(queue_url: &str, wait: i32, visibility_timeout: i32) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Request {
        queue_url,
        max_number_of_messages: MAX_BATCH_ENTRIES,
        visibility_timeout,
        wait_time_seconds: wait,
        message_system_attribute_names: [
            "SentTimestamp",
            "ApproximateFirstReceiveTimestamp",
            "ApproximateReceiveCount",
            "MessageGroupId",
            "MessageDeduplicationId",
            "SequenceNumber",
            "AWSTraceHeader",
        ],
        message_attribute_names: ["All"],
    })
}

/// Returns the messages of an answer, often none.
///
/// # Errors
/// Returns an error if the call failed or its answer cannot be read.
pub(crate) fn outcome(answer: &Answer) -> Result<Vec<Message>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        messages: Option<Vec<Message>>,
    }
    if !answer.is_success() {
        return Err(answer.sqs_failure());
    }
    let output: Output = serde_json::from_slice(&answer.body).map_err(|error| answer.unreadable(error))?;
    Ok(output.messages.unwrap_or_default())
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn message_attributes<'de, D>(from: D) -> Result<HashMap<String, MessageAttributeValue>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Attributes;

    impl<'de> Visitor<'de> for Attributes {
        type Value = HashMap<String, MessageAttributeValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("message attributes")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(HashMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut attributes = HashMap::new();
            while let Some((name, attribute)) = map.next_entry::<String, Attribute>()? {
                attributes.insert(name, attribute.try_into().map_err(A::Error::custom)?);
            }
            Ok(attributes)
        }
    }

    from.deserialize_any(Attributes)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
}

/// Why a message attribute is invalid.
#[derive(Debug, thiserror::Error)]
enum InvalidAttribute {
    #[error(transparent)]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Incomplete(#[from] BuildError),
}

impl TryFrom<Attribute> for MessageAttributeValue {
    type Error = InvalidAttribute;

    fn try_from(attribute: Attribute) -> Result<Self, InvalidAttribute> {
        let binary = attribute.binary_value.map(|text| STANDARD.decode(text)).transpose();
        let value = Self::builder()
            .data_type(attribute.data_type.unwrap_or_default())
            .set_string_value(attribute.string_value)
            .set_binary_value(binary?.map(Blob::new))
            .build()?;
        Ok(value)
    }
}
