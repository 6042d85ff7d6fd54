//! Asks for a topic and for the permissions on it.

use super::{Permission, Preflight, TopicSize};
use crate::aws::{Failure, PublishAttribute, PublishEntry, is_denied_by_a_policy};
use crate::message::TopicArn;

/// Why `sns:Publish` cannot be proven.
const NOT_PUBLISHED: &str = "only an event can prove it; SNS did not deny a publish of no entries";

impl Preflight<'_> {
    pub(super) async fn topic(&mut self, topic: &TopicArn) {
        let is_canary = self.config.canary_path().is_some_and(|path| path.topic == topic.as_str());
        let key = if is_canary { "canary.topic" } else { "route.customers_file" }.to_owned();
        let publish = Permission { action: "sns:Publish", resource: topic.to_string(), key };
        if !self.attributes_of(topic, &publish.for_action("sns:GetTopicAttributes")).await {
            return self.leave_unproven(&publish, "the topic could not be asked for");
        }
        // A batch of no entries publishes nothing, whatever SNS checks first.
        let answer = self.attempt(async || self.clients.lean.publish(topic.as_str(), no_entries()).await).await;
        self.judge(&publish, answer.map(drop), Some(NOT_PUBLISHED));
    }

    /// Asks for the attributes of a topic. Returns whether further calls to the topic make sense.
    async fn attributes_of(&mut self, topic: &TopicArn, permission: &Permission) -> bool {
        let sns = &self.clients.sns;
        let answer = self.attempt(async || {
            let request = sns.get_topic_attributes().topic_arn(topic.as_str());
            request.send().await.map_err(|error| Failure::of_call(&error))
        });
        let attributes = match answer.await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            // The service asks for the attributes only if the configuration says so.
            Err(failure) if is_denied_by_a_policy(&failure) && !self.config.route.check_topics => {
                self.leave_unproven(permission, "not needed, because `route.check_topics` is off");
                return true;
            }
            Err(failure) => return self.judge(permission, Err(failure), None),
        };
        self.judge(permission, Ok(()), None);
        let number = |name: &str| attributes.get(name).and_then(|value| value.parse().ok());
        let (max_bytes, readers) = (number("MaximumMessageSize"), number("SubscriptionsConfirmed"));
        self.sizes.push(TopicSize { topic: topic.clone(), max_bytes, readers });
        let key_id = attributes.get("KmsMasterKeyId");
        self.key_unproven(key_id, &["kms:GenerateDataKey*", "kms:Decrypt"], &permission.key);
        true
    }
}

fn no_entries<'e>() -> impl ExactSizeIterator<Item = PublishEntry<'e, std::iter::Empty<PublishAttribute<'e>>>> + Clone {
    std::iter::empty()
}
