//! The message that a subscription without raw delivery puts on its queue.

use std::collections::HashMap;

use serde::Deserialize;

/// An SNS notification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notification {
    /// The message that was published.
    #[serde(rename = "Message")]
    pub message: String,
    /// The ARN of the topic that the message was published to.
    #[serde(rename = "TopicArn")]
    pub topic_arn: String,
    #[serde(default, rename = "MessageAttributes")]
    attributes: HashMap<String, Attribute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Attribute {
    #[serde(rename = "Type")]
    data_type: String,
    #[serde(rename = "Value")]
    value: String,
}

impl Notification {
    /// Parses the body of an SQS message.
    ///
    /// # Errors
    /// Returns an error if the body is not a notification.
    pub fn parse(body: &str) -> serde_json::Result<Self> {
        serde_json::from_str(body)
    }

    /// Returns the value of a message attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|attribute| attribute.value.as_str())
    }

    /// Returns the name, the data type and the value of each message attribute. The value of a Binary attribute is in
    /// base64.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.attributes.iter().map(|(name, attribute)| (&**name, &*attribute.data_type, &*attribute.value))
    }
}
