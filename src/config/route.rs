//! The configuration of the routing of events to customers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Location;

/// The routing of events to customers, and the treatment of events that belong to no customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The YAML file of the customers (`customers:` with a list of {id, topic, events, profile, enabled}). A relative
    /// path starts at the folder of the configuration file. `s3://bucket/key` reads it from a bucket.
    pub customers_file: Location,
    /// The share of the customers, in percent, that a changed customers file can lack without listing them under
    /// `removed`. protobridge refuses a file that lacks more, and a file without customers. One customer can always be
    /// removed. 100 turns both checks off.
    #[schemars(range(max = 100))]
    pub max_removed_percent: u8,
    /// The message attribute that carries the customer's id. If a message does not have it, the paths in
    /// `taps.customer` are used.
    pub customer_attribute: String,
    /// The treatment of an event whose attribute and whose `taps.customer` field name different customers: `quarantine`
    /// (with the reason `customer_mismatch`), `attribute` (the attribute's customer receives the event) or `payload`
    /// (the customer of the field receives it). The customer of a broadcast is not compared.
    pub customer_mismatch: CustomerMismatch,
    /// The topic ARN of customers without a `topic`, with `{customer}` in place of the id, for example
    /// `arn:aws:sns:eu-west-1:123456789012:json-events-{customer}`. Default: each customer must have a `topic`.
    pub topic_template: Option<String>,
    /// The treatment of an event without a customer: `quarantine`, `drop` (counted as filtered), or the ARN of a topic
    /// that receives it.
    pub without_customer: FallbackPolicy,
    /// The treatment of an event whose customer is not in the customers file: `quarantine`, `drop` (counted as
    /// filtered), or the ARN of a topic that receives it, with the attribute `customer-id` as the event names it.
    pub unknown_customer: FallbackPolicy,
    /// The message types that go to every customer whose `events` include them. `*` in a type is a wildcard.
    pub broadcast: Vec<String>,
    /// Whether protobridge asks SNS in the background if each topic exists (`sns:GetTopicAttributes`), at ten topics
    /// per second.
    pub check_topics: bool,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            customers_file: "customers.yaml".into(),
            max_removed_percent: 20,
            customer_attribute: "customer-id".into(),
            customer_mismatch: CustomerMismatch::Quarantine,
            topic_template: None,
            without_customer: FallbackPolicy::Quarantine,
            unknown_customer: FallbackPolicy::Quarantine,
            broadcast: vec!["protobridge.v1.Heartbeat".into()],
            check_topics: true,
        }
    }
}

/// The treatment of an event whose attribute and whose payload name different customers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CustomerMismatch {
    /// The event is quarantined with the reason `customer_mismatch`.
    #[default]
    Quarantine,
    /// The customer that the attribute names receives the event.
    Attribute,
    /// The customer that the payload names receives the event.
    Payload,
}

/// The treatment of an event that belongs to no customer: `quarantine`, `drop`, or the ARN of a topic that receives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FallbackPolicy {
    /// The event is quarantined with the reason `no_customer`.
    #[default]
    Quarantine,
    /// The event is dropped and counted as filtered.
    Drop,
    /// The event is published to the topic with this ARN.
    Topic(String),
}

impl FallbackPolicy {
    /// Returns the kind of the policy, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Drop => "drop",
            Self::Topic(_) => "a topic of no customer",
        }
    }
}

impl From<String> for FallbackPolicy {
    fn from(text: String) -> Self {
        match text.as_str() {
            "quarantine" => Self::Quarantine,
            "drop" => Self::Drop,
            _ => Self::Topic(text),
        }
    }
}

impl From<FallbackPolicy> for String {
    fn from(policy: FallbackPolicy) -> Self {
        match policy {
            FallbackPolicy::Quarantine => "quarantine".into(),
            FallbackPolicy::Drop => "drop".into(),
            FallbackPolicy::Topic(arn) => arn,
        }
    }
}

impl JsonSchema for FallbackPolicy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FallbackPolicy".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(quarantine|drop|arn:[^:]+:sns:.+)$",
            "description": "`quarantine`, `drop`, or the ARN of a topic"
        })
    }
}
