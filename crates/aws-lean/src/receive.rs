//! SQS ReceiveMessage: JSON there and back
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::MessageAttributeValue;
use aws_smithy_types::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Failure;
use crate::MAX_BATCH_ENTRIES;
use crate::answer::Answer;

/// A message as SQS gives it. All that it may leave out is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Message {
    /// The same whenever the message is delivered again.
    pub message_id: Option<String>,
    /// Of this receive.
    pub receipt_handle: Option<String>,
    /// As it was sent.
    pub body: Option<String>,
    /// What SQS says of the message.
    #[serde(deserialize_with = "or_default")]
    pub attributes: SystemAttributes,
    /// What the sender says of it.
    #[serde(deserialize_with = "message_attributes")]
    pub message_attributes: HashMap<String, MessageAttributeValue>,
}

/// The system attributes that are asked for, as texts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SystemAttributes {
    /// Milliseconds since 1970.
    pub sent_timestamp: Option<String>,
    /// Milliseconds since 1970.
    pub approximate_first_receive_timestamp: Option<String>,
    /// This time included.
    pub approximate_receive_count: Option<String>,
    /// On standard queues, too.
    pub message_group_id: Option<String>,
    /// Of X-Ray.
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
    message_system_attribute_names: [&'static str; 5],
    message_attribute_names: [&'static str; 1],
}

/// The body of a poll that waits for so many seconds, and hides for so many what it returns.
///
/// # Errors
/// Never; what is written is text and numbers.
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
            "AWSTraceHeader",
        ],
        message_attribute_names: ["All"],
    })
}

/// The messages of an answer, often none.
///
/// # Errors
/// When the call failed, or nobody knows.
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

impl TryFrom<Attribute> for MessageAttributeValue {
    type Error = String;

    fn try_from(attribute: Attribute) -> Result<Self, String> {
        let binary = attribute.binary_value.map(|text| STANDARD.decode(text)).transpose();
        Self::builder()
            .data_type(attribute.data_type.unwrap_or_default())
            .set_string_value(attribute.string_value)
            .set_binary_value(binary.map_err(|error| error.to_string())?.map(Blob::new))
            .build()
            .map_err(|error| error.to_string())
    }
}
