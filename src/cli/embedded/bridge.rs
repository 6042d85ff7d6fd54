//! Delivery from SNS topics to the SQS queues that are subscribed to them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustack_sns_core::publisher::{DeliveryError, SqsPublisher};
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_model::input::SendMessageInput;
use rustack_sqs_model::types::MessageAttributeValue;

use super::Notification;
use super::subscriptions::{Form, Subscriptions};

/// Delivers the messages of SNS topics to queues of the embedded SQS.
#[derive(Debug)]
pub(super) struct Bridge {
    sqs: Arc<RustackSqs>,
    subscriptions: Arc<Subscriptions>,
}

impl Bridge {
    pub(super) fn new(sqs: Arc<RustackSqs>, subscriptions: Arc<Subscriptions>) -> Self {
        Self { sqs, subscriptions }
    }

    /// Returns the SQS message for a notification, in the form of the subscription.
    ///
    /// # Errors
    /// Returns an error if the subscription is raw and the notification cannot be taken apart.
    fn message(&self, queue_arn: &str, notification: &str) -> Result<SendMessageInput, String> {
        let unchanged = || SendMessageInput { message_body: notification.to_owned(), ..SendMessageInput::default() };
        if !self.subscriptions.is_raw_for_any_topic(queue_arn) {
            return Ok(unchanged());
        }
        let parsed = Notification::parse(notification).map_err(|error| error.to_string())?;
        if self.subscriptions.form(&parsed.topic_arn, queue_arn) != Some(Form::Raw) {
            return Ok(unchanged());
        }
        let mut message_attributes = HashMap::new();
        for (name, data_type, value) in parsed.attributes() {
            let mut attribute =
                MessageAttributeValue { data_type: data_type.to_owned(), ..MessageAttributeValue::default() };
            if data_type.starts_with("Binary") {
                let bytes = BASE64_STANDARD.decode(value).map_err(|error| format!("attribute {name}: {error}"))?;
                attribute.binary_value = Some(bytes);
            } else {
                attribute.string_value = Some(value.to_owned());
            }
            message_attributes.insert(name.to_owned(), attribute);
        }
        Ok(SendMessageInput { message_body: parsed.message, message_attributes, ..SendMessageInput::default() })
    }
}

#[async_trait]
impl SqsPublisher for Bridge {
    fn validate(&self, queue_arn: &str) -> Result<(), DeliveryError> {
        self.sqs.queue_url_for_arn(queue_arn).map(drop).map_err(|error| delivery_error(queue_arn, error))
    }

    async fn send_message(
        &self,
        queue_arn: &str,
        message_body: &str,
        message_group_id: Option<&str>,
        message_deduplication_id: Option<&str>,
    ) -> Result<(), DeliveryError> {
        let queue_url = self.sqs.queue_url_for_arn(queue_arn).map_err(|error| delivery_error(queue_arn, error))?;
        let message = self.message(queue_arn, message_body).map_err(|error| delivery_error(queue_arn, error))?;
        let message = SendMessageInput {
            queue_url,
            message_group_id: message_group_id.map(str::to_owned),
            message_deduplication_id: message_deduplication_id.map(str::to_owned),
            ..message
        };
        self.sqs.send_message(message).await.map(drop).map_err(|error| delivery_error(queue_arn, error))
    }
}

fn delivery_error(queue_arn: &str, reason: impl ToString) -> DeliveryError {
    DeliveryError::SqsDeliveryFailed { queue_arn: queue_arn.to_owned(), reason: reason.to_string() }
}
