//! The ARN of an SNS topic.

use std::fmt;
use std::sync::Arc;

/// The ARN of an SNS topic. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicArn(Arc<str>);

impl TopicArn {
    /// Returns the ARN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic is a FIFO topic. SNS requires the suffix `.fifo` for these and refuses it for others.
    pub fn is_fifo(&self) -> bool {
        super::queue::is_fifo(&self.0)
    }
}

impl From<&str> for TopicArn {
    fn from(arn: &str) -> Self {
        Self(arn.into())
    }
}

impl From<String> for TopicArn {
    fn from(arn: String) -> Self {
        Self(arn.into())
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
