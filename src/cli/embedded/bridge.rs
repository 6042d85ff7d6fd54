//! Delivery from SNS topics to the SQS queues that are subscribed to them.

use std::sync::Arc;

use async_trait::async_trait;
use rustack_sns_core::publisher::{DeliveryError, SqsPublisher};
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::input::SendMessageInput;

/// Delivers the messages of SNS topics to queues of the embedded SQS.
#[derive(Debug)]
pub(super) struct Bridge {
    sqs: Arc<RustackSqs>,
}

impl Bridge {
    pub(super) fn new(sqs: Arc<RustackSqs>) -> Self {
        Self { sqs }
    }
}

#[async_trait]
impl SqsPublisher for Bridge {
    fn validate(&self, queue_arn: &str) -> Result<(), DeliveryError> {
        self.sqs.queue_url_for_arn(queue_arn).map(drop).map_err(|error| delivery_error(queue_arn, &error))
    }

    async fn send_message(
        &self,
        queue_arn: &str,
        message_body: &str,
        message_group_id: Option<&str>,
        message_deduplication_id: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let queue_url = self.sqs.queue_url_for_arn(queue_arn).map_err(|error| delivery_error(queue_arn, &error))?;
        let message = SendMessageInput {
            queue_url,
            message_body: message_body.to_owned(),
            message_group_id: message_group_id.map(str::to_owned),
            message_deduplication_id: message_deduplication_id.map(str::to_owned),
            ..SendMessageInput::default()
        };
        self.sqs.send_message(message).await.map(drop).map_err(|error| delivery_error(queue_arn, &error))
    }
}

fn delivery_error(queue_arn: &str, error: &SqsError) -> DeliveryError {
    DeliveryError::SqsDeliveryFailed { queue_arn: queue_arn.to_owned(), reason: error.to_string() }
}
