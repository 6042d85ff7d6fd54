//! A destination of an event.

use std::sync::Arc;

use super::{ClaimCheckMode, Customer};
use crate::message::TopicArn;
use crate::schema::registry::ProfileId;

/// A topic that receives an event, and how the event is rendered for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The ARN of the topic.
    pub topic: TopicArn,
    /// The configured customer's id; `None` for a topic that receives events without a configured customer.
    pub customer: Option<Arc<str>>,
    /// The customer that the event names although it is not configured, as the value of an attribute.
    pub stranger: Option<Arc<str>>,
    /// The profile that renders the JSON.
    pub profile: ProfileId,
    /// Which events leave as a claim check. Only topics of configured customers have one.
    pub claim_check: ClaimCheckMode,
    /// Whether the event is a canary, which has a mark and does not count in the account of a customer.
    pub is_canary: bool,
}

impl Destination {
    pub(super) fn of(customer: &Customer) -> Self {
        let id = Arc::clone(&customer.id);
        let Customer { topic, profile, claim_check, .. } = customer;
        let (topic, profile, claim_check) = (topic.clone(), *profile, *claim_check);
        Self { topic, customer: Some(id), stranger: None, profile, claim_check, is_canary: false }
    }

    /// Returns the configured customer in whose account the event counts. A canary counts in none.
    pub fn account(&self) -> Option<&Arc<str>> {
        self.customer.as_ref().filter(|_| !self.is_canary)
    }

    /// Returns the customer that the event is for: the configured one, or else the one that the event names. It is a
    /// part of the delivery's identity and the value of the attribute `customer-id`.
    pub fn customer_id(&self) -> Option<&Arc<str>> {
        self.customer.as_ref().or(self.stranger.as_ref())
    }
}
