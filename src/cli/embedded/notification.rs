//! What a subscriber without raw delivery finds on its queue.

use std::collections::HashMap;

use serde::Deserialize;

/// An SNS notification, as a subscriber reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notification {
    /// What was published.
    #[serde(rename = "Message")]
    pub message: String,
    /// The topic it was published to.
    #[serde(rename = "TopicArn")]
    pub topic_arn: String,
    #[serde(default, rename = "MessageAttributes")]
    attributes: HashMap<String, Attribute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Attribute {
    #[serde(rename = "Value")]
    value: String,
}

impl Notification {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// When the body is no notification.
    pub fn parse(body: &str) -> serde_json::Result<Self> {
        serde_json::from_str(body)
    }

    /// The value of a message attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|attribute| attribute.value.as_str())
    }
}
