//! The AWS operations that the service calls while it runs.

use std::fmt;

/// An operation of SQS, SNS or S3, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Receives messages, through the lean client.
    ReceiveMessage,
    /// Deletes messages, through the lean client.
    DeleteMessageBatch,
    /// Extends or ends the visibility timeout of messages.
    ChangeMessageVisibilityBatch,
    /// Sends messages to a quarantine queue.
    SendMessageBatch,
    /// Reads the depth of a queue.
    GetQueueAttributes,
    /// Publishes events, through the lean client.
    PublishBatch,
    /// Checks whether a topic exists.
    GetTopicAttributes,
    /// Fetches a payload from S3.
    GetObject,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 8] = [
        Self::ReceiveMessage,
        Self::DeleteMessageBatch,
        Self::ChangeMessageVisibilityBatch,
        Self::SendMessageBatch,
        Self::GetQueueAttributes,
        Self::PublishBatch,
        Self::GetTopicAttributes,
        Self::GetObject,
    ];

    /// The service: `sqs`, `sns` or `s3`.
    pub fn service(self) -> &'static str {
        match self {
            Self::ReceiveMessage
            | Self::DeleteMessageBatch
            | Self::ChangeMessageVisibilityBatch
            | Self::SendMessageBatch
            | Self::GetQueueAttributes => "sqs",
            Self::PublishBatch | Self::GetTopicAttributes => "sns",
            Self::GetObject => "s3",
        }
    }

    /// The name in the API of the service, such as `PublishBatch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReceiveMessage => "ReceiveMessage",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
            Self::ChangeMessageVisibilityBatch => "ChangeMessageVisibilityBatch",
            Self::SendMessageBatch => "SendMessageBatch",
            Self::GetQueueAttributes => "GetQueueAttributes",
            Self::PublishBatch => "PublishBatch",
            Self::GetTopicAttributes => "GetTopicAttributes",
            Self::GetObject => "GetObject",
        }
    }
}

impl fmt::Display for Operation {
    /// Writes service and name, such as `sns:PublishBatch`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_the_service_and_name_of_its_metrics() {
        let names: Vec<_> = Operation::ALL.iter().map(ToString::to_string).collect();
        let expected = [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessageBatch",
            "sqs:ChangeMessageVisibilityBatch",
            "sqs:SendMessageBatch",
            "sqs:GetQueueAttributes",
            "sns:PublishBatch",
            "sns:GetTopicAttributes",
            "s3:GetObject",
        ];
        assert_eq!(names, expected);
        for operation in Operation::ALL {
            assert_eq!(operation.name(), format!("{operation:?}"), "the API's name is the variant's name");
        }
    }
}
