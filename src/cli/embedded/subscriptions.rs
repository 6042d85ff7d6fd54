//! The form in which each subscription delivers: a notification, or the raw message.

use std::collections::HashMap;

use parking_lot::RwLock;

/// The form in which a subscription delivers messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A notification wraps the message and its attributes.
    Notification,
    /// The body is the message, and the message attributes are those of the SQS message.
    Raw,
}

/// The form of each subscription. SNS allows one subscription per topic and queue.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By queue ARN, then by topic ARN.
    forms: RwLock<HashMap<String, HashMap<String, Form>>>,
}

impl Subscriptions {
    /// Returns the form of a subscription, or `None` if the queue is not subscribed to the topic.
    pub(super) fn form(&self, topic_arn: &str, queue_arn: &str) -> Option<Form> {
        self.forms.read().get(queue_arn)?.get(topic_arn).copied()
    }

    /// Whether a subscription of this queue delivers raw messages.
    pub(super) fn is_raw_for_any_topic(&self, queue_arn: &str) -> bool {
        self.forms.read().get(queue_arn).is_some_and(|topics| topics.values().any(|form| *form == Form::Raw))
    }

    /// Sets the form of a subscription.
    pub(super) fn set(&self, topic_arn: &str, queue_arn: &str, form: Form) {
        self.forms.write().entry(queue_arn.to_owned()).or_default().insert(topic_arn.to_owned(), form);
    }

    /// Forgets a subscription.
    pub(super) fn remove(&self, topic_arn: &str, queue_arn: &str) {
        if let Some(topics) = self.forms.write().get_mut(queue_arn) {
            topics.remove(topic_arn);
        }
    }

    /// Forgets all subscriptions of a topic.
    pub(super) fn remove_topic(&self, topic_arn: &str) {
        for topics in self.forms.write().values_mut() {
            topics.remove(topic_arn);
        }
    }
}
