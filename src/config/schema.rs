//! The annotated example of the configuration file and its JSON Schema.

use serde_json::Value;

use super::Config;

/// The annotated example: every key with its default, its unit and its purpose. It is a valid configuration.
pub const EXAMPLE: &str = include_str!("../../config/protobridge.yaml");

/// Returns the JSON Schema (2020-12) of the configuration file, with a description and a default for each key.
pub fn json_schema() -> Value {
    let mut schema = strict_config::json_schema::<Config>("protobridge configuration");
    // The URL of a queue is required. The empty text in `Queue::default()` is not a default of the key.
    if let Some(Value::Object(queue)) = schema.pointer_mut("/$defs/Queue") {
        queue.insert("required".into(), vec!["url"].into());
    }
    if let Some(Value::Object(url)) = schema.pointer_mut("/$defs/Queue/properties/url") {
        url.remove("default");
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Collects the schema of each key under its path. The path of a list item contains `0`, that of a map value `*`.
    fn leaves(root: &Value, schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        let target = match schema["$ref"].as_str() {
            Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        let inner = if target["items"].is_object() { &target["items"] } else { &target["additionalProperties"] };
        if let Some(properties) = target["properties"].as_object() {
            for (name, property) in properties {
                leaves(root, property, &format!("{path}/{name}"), found);
            }
        } else if inner["$ref"].is_string() {
            let step = if target["items"].is_object() { "0" } else { "*" };
            leaves(root, inner, &format!("{path}/{step}"), found);
        } else {
            found.insert(path.into(), schema.clone());
        }
    }

    fn keys() -> BTreeMap<String, Value> {
        let schema = json_schema();
        let mut found = BTreeMap::new();
        leaves(&schema, &schema, "", &mut found);
        found
    }

    #[test]
    fn every_key_has_a_description_and_a_default() {
        let keys = keys();
        assert!(keys.contains_key("/publish/linger_ms") && keys.contains_key("/queues/0/url"), "{keys:#?}");
        for (key, schema) in &keys {
            let description = schema["description"].as_str().unwrap_or_else(|| panic!("{key} has no description"));
            assert!(!description.replace("\n\n", "").contains('\n'), "the description of {key} has a line break");
            assert!(schema.get("default").is_some() || key == "/queues/0/url", "{key} has no default");
        }
        assert_eq!(keys["/publish/linger_ms"]["default"], 10);
        assert_eq!(keys["/profiles/*/int64"]["default"], "string");
    }

    #[test]
    fn the_schema_has_a_title_and_requires_the_url_of_a_queue() {
        let schema = json_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "protobridge configuration");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema.pointer("/$defs/Queue/required"), Some(&serde_json::json!(["url"])));
    }

    /// Returns the example with its commented-out keys active. A key follows its `#` directly; prose follows a space.
    fn whole_example() -> String {
        let uncomment = |line: &str| match line.trim_start().strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| !first.is_whitespace()) => line.replacen('#', "", 1),
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_is_valid_with_and_without_the_commented_out_keys() {
        for text in [EXAMPLE.to_owned(), whole_example()] {
            let config: Config = strict_config::document("protobridge.yaml".as_ref(), &text).unwrap();
            assert_eq!(config.problems(), []);
        }
    }

    #[test]
    fn the_example_names_every_key_and_states_the_defaults() {
        // Keys without a default, and keys that are absent by default.
        const WITHOUT_DEFAULT: [&str; 37] = [
            "/confluent/schemas_file",
            "/confluent/registry_url",
            "/glue/schemas_file",
            "/dedupe/redis_url",
            "/descriptors/baseline",
            "/aws/region",
            "/aws/endpoint_url",
            "/aws/sqs_endpoint_url",
            "/aws/sns_endpoint_url",
            "/aws/s3_endpoint_url",
            "/queues/0/url",
            "/queues/0/name",
            "/queues/0/default_type",
            "/queues/0/quarantine_url",
            "/route/topic_template",
            "/publish/quota_messages_per_second",
            "/claim_check/bucket",
            "/claim_check/kms_key_id",
            "/store/url",
            "/store/kms_key_id",
            "/archive/hold_delete",
            "/taps/customer",
            "/taps/event_time",
            "/taps/ordering",
            "/traces/otlp_endpoint",
            "/canary/queue",
            "/canary/topic",
            "/canary/return_queue_url",
            "/heartbeats/types/0/type",
            "/heartbeats/types/0/where",
            "/heartbeats/types/0/source",
            "/heartbeats/types/0/sequence",
            "/heartbeats/types/0/sent_at",
            "/heartbeats/expect/0/source",
            "/heartbeats/expect/0/events",
            "/silence/0/types",
            "/silence/0/while",
        ];
        let example: Value = serde_saphyr::from_str(&whole_example()).unwrap();
        for (key, schema) in keys() {
            let value = example.pointer(&key.replace('*', "default"));
            let value = value.unwrap_or_else(|| panic!("config/protobridge.yaml lacks {key}"));
            if !WITHOUT_DEFAULT.contains(&key.as_str()) {
                assert_eq!(value, &schema["default"], "{key}");
            }
        }
    }
}
