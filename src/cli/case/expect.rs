//! The expected result of a case, and its comparison with the actual one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::diff::{Difference, Match, compare, part_of};
use crate::aws::sns::publish::TopicEntry;
use crate::delivery::dry_run::{Forecast, Predicted};
use crate::message::envelope::Pointer;

/// The expected result of a case. A key that is absent is not compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cli) struct Expect {
    /// The outcome of the message.
    outcome: Option<ExpectedOutcome>,
    /// The reason for quarantine.
    reason: Option<String>,
    /// The cause of the retry.
    cause: Option<String>,
    /// The rule that drops the event.
    rule: Option<String>,
    /// A part of the explanation of the outcome.
    detail_contains: Option<String>,
    /// The full name of the event's type.
    r#type: Option<String>,
    /// The event id.
    event_id: Option<String>,
    /// The destinations that get the event, by the id of the customer, or by the ARN of a topic of no customer. These and
    /// no others; `{}` is none.
    destinations: Option<BTreeMap<String, ExpectedDestination>>,
}

/// The outcomes that a message can have in a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ExpectedOutcome {
    Published,
    Duplicate,
    Filtered,
    Quarantined,
    Retried,
}

/// The expected entry of one destination. A key that is absent is not compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ExpectedDestination {
    /// The ARN of the topic.
    topic: Option<String>,
    /// The message group on a FIFO topic.
    group: Option<String>,
    /// The deduplication id on a FIFO topic.
    deduplication_id: Option<String>,
    /// The JSON, exactly.
    json: Option<Value>,
    /// A part of the JSON: objects can have more keys, arrays cannot have more items.
    json_contains: Option<Value>,
    /// The text of the JSON, byte by byte.
    json_text: Option<String>,
    /// The message attributes; there can be more of them.
    attributes: BTreeMap<String, String>,
    /// Whether the event leaves as a claim check, or the object that has its JSON: `{bucket, key, bytes}`, of which keys
    /// can be absent.
    claim_check: Option<Value>,
}

impl Expect {
    /// Returns the differences between this and the actual result.
    pub(in crate::cli) fn differences(&self, forecast: &Forecast) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut text = |path: &str, expected: Option<Value>, found: Option<Value>| {
            if expected.is_some() && expected != found {
                differences.push(Difference { path: path.to_owned(), expected, found });
            }
        };
        let value = |text: &Option<String>| text.as_deref().map(Value::from);
        let outcome = forecast.outcome.label().code();
        text("outcome", self.outcome.and_then(|outcome| serde_json::to_value(outcome).ok()), Some(outcome.into()));
        let Coded { reason, cause, rule } = Coded::of(&forecast.outcome);
        text("reason", value(&self.reason), reason.map(Value::from));
        text("cause", value(&self.cause), cause.map(Value::from));
        text("rule", value(&self.rule), rule.map(Value::from));
        text("type", value(&self.r#type), forecast.event_type.as_ref().map(|known| (*known.name).into()));
        text("event_id", value(&self.event_id), forecast.event_id.as_ref().map(|id| id.as_str().into()));
        let detail = forecast.outcome.detail();
        if let Some(part) = self.detail_contains.as_ref().filter(|part| !detail.contains(part.as_str())) {
            text("detail_contains", Some(part.as_str().into()), Some(detail.into()));
        }
        if let Some(expected) = &self.destinations {
            compare_destinations(expected, forecast, &mut differences);
        }
        differences
    }

    /// Returns the actual result in the syntax of a test file, with the keys that this expectation has.
    pub(in crate::cli) fn corrected(&self, forecast: &Forecast) -> Value {
        let whole = actual(forecast);
        let mut keys = vec!["outcome", "reason", "cause", "rule"];
        keys.extend(self.r#type.is_some().then_some("type"));
        keys.extend(self.event_id.is_some().then_some("event_id"));
        let mut corrected = Map::new();
        for key in keys {
            corrected.extend(whole.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        if let Some(part) = &self.detail_contains {
            let detail = forecast.outcome.detail();
            let text = if detail.contains(part.as_str()) { part } else { detail };
            corrected.insert("detail_contains".to_owned(), text.into());
        }
        if let Some(known) = &self.destinations {
            let all = forecast.entries.iter().map(|entry| {
                let expected = known.get(key(entry));
                (key(entry).to_owned(), expected.map_or_else(|| whole_entry(entry), |known| known.corrected(entry)))
            });
            corrected.insert("destinations".to_owned(), Value::Object(all.collect()));
        }
        Value::Object(corrected)
    }
}

/// Returns the actual result in the syntax of a test file, as far as a new expectation has it.
pub(in crate::cli) fn actual(forecast: &Forecast) -> Value {
    let mut all = Map::new();
    all.insert("outcome".to_owned(), forecast.outcome.label().code().into());
    let Coded { reason, cause, rule } = Coded::of(&forecast.outcome);
    for (key, code) in [("reason", reason), ("cause", cause), ("rule", rule)] {
        all.extend(code.map(|code| (key.to_owned(), code.into())));
    }
    all.extend(forecast.event_type.as_ref().map(|known| ("type".to_owned(), (*known.name).into())));
    all.extend(forecast.event_id.as_ref().map(|id| ("event_id".to_owned(), id.as_str().into())));
    let destinations = forecast.entries.iter().map(|entry| (key(entry).to_owned(), whole_entry(entry)));
    all.insert("destinations".to_owned(), Value::Object(destinations.collect()));
    Value::Object(all)
}

/// The code of an outcome under its key.
struct Coded {
    reason: Option<&'static str>,
    cause: Option<&'static str>,
    rule: Option<&'static str>,
}

impl Coded {
    fn of(outcome: &Predicted) -> Self {
        let mut coded = Self { reason: None, cause: None, rule: None };
        match outcome {
            Predicted::Published | Predicted::Duplicate => {}
            Predicted::Filtered(rule) => coded.rule = Some(rule),
            Predicted::Quarantined(reason) => coded.reason = Some(reason.kind.code()),
            Predicted::Retried(retry) => coded.cause = Some(retry.cause.code()),
        }
        coded
    }
}

/// Returns the key of an entry's destination.
fn key(entry: &TopicEntry) -> &str {
    entry.customer.as_deref().unwrap_or(entry.topic.as_str())
}

fn json(entry: &TopicEntry) -> Value {
    serde_json::from_str(entry.json()).unwrap_or(Value::Null)
}

/// Returns the object that has the JSON of an entry; `null` if the topic carries the JSON.
pub(in crate::cli) fn claim_check(entry: &TopicEntry) -> Value {
    let object = |object: Pointer| json!({"bucket": object.bucket, "key": object.key, "bytes": entry.json().len()});
    entry.claim_check().map_or(Value::Null, object)
}

/// Returns an entry as a new expectation.
fn whole_entry(entry: &TopicEntry) -> Value {
    let mut whole = json!({ "topic": entry.topic.as_str(), "json": json(entry) });
    if entry.offload.is_some() {
        whole["claim_check"] = true.into();
    }
    whole
}

fn compare_destinations(
    expected: &BTreeMap<String, ExpectedDestination>,
    forecast: &Forecast,
    differences: &mut Vec<Difference>,
) {
    for (id, destination) in expected {
        let path = format!("destinations.{id}");
        match forecast.entries.iter().find(|entry| key(entry) == id) {
            Some(entry) => destination.compare(&path, entry, differences),
            None => differences.push(Difference { path, expected: Some("the event".into()), found: None }),
        }
    }
    for entry in forecast.entries.iter().filter(|entry| !expected.contains_key(key(entry))) {
        let path = format!("destinations.{}", key(entry));
        differences.push(Difference { path, expected: None, found: Some("the event".into()) });
    }
}

/// Compares the claim check of an entry. `true` is any claim check, and `false` is none.
fn compare_claim_check(path: &str, expected: &Value, found: &Value, differences: &mut Vec<Difference>) {
    if expected.is_object() && found.is_object() {
        return compare(path, expected, found, Match::Subset, differences);
    }
    let found = if found.is_null() { Value::Bool(false) } else { found.clone() };
    if *expected != Value::Bool(found.is_object()) {
        differences.push(Difference { path: path.to_owned(), expected: Some(expected.clone()), found: Some(found) });
    }
}

impl ExpectedDestination {
    fn compare(&self, path: &str, entry: &TopicEntry, differences: &mut Vec<Difference>) {
        let mut text = |key: &str, expected: &Option<String>, found: Option<&str>| {
            if expected.is_some() && expected.as_deref() != found {
                let (expected, found) = (expected.as_deref().map(Value::from), found.map(Value::from));
                differences.push(Difference { path: format!("{path}.{key}"), expected, found });
            }
        };
        text("topic", &self.topic, Some(entry.topic.as_str()));
        text("group", &self.group, entry.group.as_deref());
        text("deduplication_id", &self.deduplication_id, entry.deduplication_id.as_deref());
        text("json_text", &self.json_text, Some(entry.json()));
        for (name, value) in &self.attributes {
            let found = entry.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            text(&format!("attributes.{name}"), &Some(value.clone()), found);
        }
        if let Some(expected) = &self.claim_check {
            compare_claim_check(&format!("{path}.claim_check"), expected, &claim_check(entry), differences);
        }
        let found = json(entry);
        if let Some(expected) = &self.json {
            compare(&format!("{path}.json"), expected, &found, Match::Exact, differences);
        }
        if let Some(expected) = &self.json_contains {
            compare(&format!("{path}.json_contains"), expected, &found, Match::Subset, differences);
        }
    }

    /// Returns the entry with the keys that this expectation has.
    fn corrected(&self, entry: &TopicEntry) -> Value {
        let mut all = Map::new();
        let mut insert = |is_expected: bool, key: &str, value: Option<Value>| {
            all.extend(value.filter(|_| is_expected).map(|value| (key.to_owned(), value)));
        };
        insert(self.topic.is_some(), "topic", Some(entry.topic.as_str().into()));
        insert(self.group.is_some(), "group", entry.group.as_deref().map(Value::from));
        insert(self.deduplication_id.is_some(), "deduplication_id", entry.deduplication_id.as_deref().map(Value::from));
        insert(self.json.is_some(), "json", Some(json(entry)));
        let part = self.json_contains.as_ref().map(|expected| part_of(&json(entry), expected));
        insert(true, "json_contains", part);
        insert(self.json_text.is_some(), "json_text", Some(entry.json().as_str().into()));
        let found = claim_check(entry);
        let claim = self.claim_check.as_ref().map(|expected| match (expected, &found) {
            (Value::Object(_), Value::Object(_)) => part_of(&found, expected),
            _ => (!found.is_null()).into(),
        });
        insert(true, "claim_check", claim);
        let attributes = entry.attributes.iter().filter(|(name, _)| self.attributes.contains_key(*name));
        let attributes: Map<String, Value> = attributes.map(|(name, value)| (name.to_owned(), value.into())).collect();
        insert(!self.attributes.is_empty(), "attributes", Some(Value::Object(attributes)));
        Value::Object(all)
    }
}
