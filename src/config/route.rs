//! Whose event it is.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose event it is, and what happens to events that are nobody's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// YAML file of the customers (`customers:` with a list of {id, topic, events, profile, enabled}). A relative
    /// path starts at the configuration file.
    pub customers_file: PathBuf,
    /// Message attribute that carries the customer's id; it is asked before the `taps.customer` paths.
    pub customer_attribute: String,
    /// Topic ARN of customers who name none, with `{customer}` in the place of the id, for example
    /// `arn:aws:sns:eu-west-1:123456789012:json-events-{customer}`. Default: each customer has to name a topic.
    pub topic_template: Option<String>,
    /// What happens to an event without a customer: `quarantine`, `drop` (counted as filtered), or a topic ARN.
    pub without_customer: Nobody,
    /// What happens to an event of a customer who is not in the customers file: `quarantine`, `drop`, or a topic ARN.
    pub unknown_customer: Nobody,
    /// Message types, globs allowed, that go to every customer whose `events` ask for them.
    pub broadcast: Vec<String>,
    /// Whether SNS is asked in the background if each topic exists (`sns:GetTopicAttributes`), ten topics a second.
    pub check_topics: bool,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            customers_file: "customers.yaml".into(),
            customer_attribute: "customer-id".into(),
            topic_template: None,
            without_customer: Nobody::Quarantine,
            unknown_customer: Nobody::Quarantine,
            broadcast: vec!["protobridge.v1.Heartbeat".into()],
            check_topics: true,
        }
    }
}

/// What happens to an event that is nobody's: `quarantine`, `drop`, or the ARN of a topic that takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Nobody {
    /// Into quarantine, with the reason `no_customer`.
    #[default]
    Quarantine,
    /// Dropped, and counted as filtered.
    Drop,
    /// Published to this topic.
    Topic(String),
}

impl From<String> for Nobody {
    fn from(text: String) -> Self {
        match text.as_str() {
            "quarantine" => Self::Quarantine,
            "drop" => Self::Drop,
            _ => Self::Topic(text),
        }
    }
}

impl From<Nobody> for String {
    fn from(nobody: Nobody) -> Self {
        match nobody {
            Nobody::Quarantine => "quarantine".into(),
            Nobody::Drop => "drop".into(),
            Nobody::Topic(arn) => arn,
        }
    }
}

impl JsonSchema for Nobody {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nobody".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(quarantine|drop|arn:[^:]+:sns:.+)$",
            "description": "`quarantine`, `drop`, or the ARN of a topic"
        })
    }
}
