//! The calls of AWS APIs that protobridge makes and counts.

use super::label_set::{self, LabelValue};

/// An operation of an AWS API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// S3 returns an object.
    GetObject,
    /// S3 stores an object.
    PutObject,
    /// SNS returns the attributes of a topic.
    GetTopicAttributes,
    /// SNS publishes up to ten entries.
    PublishBatch,
    /// SQS changes the visibility timeouts of up to ten messages.
    ChangeMessageVisibilityBatch,
    /// SQS deletes up to ten messages.
    DeleteMessageBatch,
    /// SQS returns the attributes of a queue.
    GetQueueAttributes,
    /// SQS returns the URL of a queue.
    GetQueueUrl,
    /// SQS returns up to ten messages.
    ReceiveMessage,
    /// SQS stores up to ten messages.
    SendMessageBatch,
}

impl Operation {
    /// All operations, sorted by service and name.
    pub const ALL: [Self; 10] = [
        Self::GetObject,
        Self::PutObject,
        Self::GetTopicAttributes,
        Self::PublishBatch,
        Self::ChangeMessageVisibilityBatch,
        Self::DeleteMessageBatch,
        Self::GetQueueAttributes,
        Self::GetQueueUrl,
        Self::ReceiveMessage,
        Self::SendMessageBatch,
    ];

    /// Returns the code of the service: `s3`, `sns` or `sqs`.
    pub fn service(self) -> &'static str {
        match self {
            Self::GetObject | Self::PutObject => "s3",
            Self::GetTopicAttributes | Self::PublishBatch => "sns",
            Self::ChangeMessageVisibilityBatch
            | Self::DeleteMessageBatch
            | Self::GetQueueAttributes
            | Self::GetQueueUrl
            | Self::ReceiveMessage
            | Self::SendMessageBatch => "sqs",
        }
    }

    /// Returns the name of the operation in the API of the service.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetObject => "GetObject",
            Self::PutObject => "PutObject",
            Self::GetTopicAttributes => "GetTopicAttributes",
            Self::PublishBatch => "PublishBatch",
            Self::ChangeMessageVisibilityBatch => "ChangeMessageVisibilityBatch",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::GetQueueUrl => "GetQueueUrl",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::SendMessageBatch => "SendMessageBatch",
        }
    }
}

/// An operation is two labels: `service` and `operation`.
impl<'v> LabelValue<'v> for Operation {
    fn names(_: &'static str) -> Vec<&'static str> {
        vec!["service", "operation"]
    }

    fn each(self, _: &'static str, each: &mut impl FnMut(&'static str, &'v str)) {
        each("service", self.service());
        each("operation", self.name());
    }

    fn read(values: &mut impl Iterator<Item = &'v str>) -> Self {
        let labels = (label_set::next(values), label_set::next(values));
        let operation = Self::ALL.into_iter().find(|operation| (operation.service(), operation.name()) == labels);
        operation.unwrap_or_else(|| panic!("protobridge calls no operation {labels:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_sorted_by_service_and_name() {
        assert!(Operation::ALL.is_sorted());
        assert!(Operation::ALL.is_sorted_by_key(|operation| (operation.service(), operation.name())));
    }
}
