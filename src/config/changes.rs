//! The differences between the running configuration and a changed one, key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Config;

/// The keys whose change takes effect at once. Every other key is built into parts of the service at its start.
pub const APPLIED: [&str; 2] = ["descriptors.poll_seconds", "log.level"];

/// The keys whose values can contain a password. Their values are never shown.
const SECRETS: [&str; 3] = ["confluent.registry_url", "dedupe.redis_url", "traces.otlp_endpoint"];

/// A key whose value changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path of the key, such as `queues[0].url`.
    pub key: String,
    /// The value before as JSON, `unset`, or `(secret)`.
    pub old: String,
    /// The new value in the same form.
    pub new: String,
}

impl Change {
    /// Whether the change takes effect without a restart.
    pub fn is_applied(&self) -> bool {
        APPLIED.contains(&self.key.as_str())
    }
}

impl Config {
    /// Returns the keys whose values differ in `new`, sorted. A list of plain values is one key.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let (old, new) = (self.values(), new.values());
        let keys: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|key| (key, ())).collect();
        let changed = keys.into_keys().filter(|key| old.get(*key) != new.get(*key));
        changed
            .map(|key| Change { key: key.clone(), old: shown(key, old.get(key)), new: shown(key, new.get(key)) })
            .collect()
    }

    /// Takes the values of the keys that can change without a restart from `new`.
    pub fn apply(&mut self, new: &Self) {
        self.descriptors.poll_seconds = new.descriptors.poll_seconds;
        self.log.level.clone_from(&new.log.level);
    }

    /// Returns the value of each key that has one, by the path of the key.
    fn values(&self) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        // A configuration consists of values that JSON can hold, because it was read from YAML.
        collect("", serde_json::to_value(self).unwrap_or_default(), &mut values);
        values
    }
}

fn collect(path: &str, value: Value, values: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                collect(&path, value, values);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.into_iter().enumerate() {
                collect(&format!("{path}[{index}]"), item, values);
            }
        }
        value => _ = values.insert(path.to_owned(), value),
    }
}

fn shown(key: &str, value: Option<&Value>) -> String {
    match value {
        None => "unset".to_owned(),
        Some(_) if SECRETS.contains(&key) => "(secret)".to_owned(),
        Some(Value::String(text)) => Value::from(without_user(text)).to_string(),
        Some(value) => value.to_string(),
    }
}

/// Returns the text without the user and the password, if it is a URL that has them.
fn without_user(text: &str) -> String {
    let with_user = || {
        let (scheme, rest) = text.split_once("://")?;
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://(secret)@{host}{}", &rest[authority.len()..]))
    };
    with_user().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, Queue, json_schema};
    use super::*;

    #[test]
    fn a_changed_key_has_its_old_and_its_new_value() {
        let mut old =
            Config { queues: vec![Queue { url: "http://a/1".into(), ..Queue::default() }], ..Config::default() };
        old.aws.endpoint_url = Some("http://user:word@proxy:1/x".into());
        let mut new = old.clone();
        assert_eq!(old.changes(&new), []);
        new.aws.endpoint_url = Some("http://user:pass@proxy:1/x".into());
        new.publish.linger_ms = 20;
        new.taps.customer = vec!["tenant_id".into()];
        new.queues.push(Queue { url: "http://a/2".into(), ..Queue::default() });
        new.dedupe.redis_url = Some("rediss://:secret@cache".into());
        new.profiles.insert("web".into(), Profile::default());
        let changes = old.changes(&new);
        let line = |change: &Change| format!("{}: {} -> {}", change.key, change.old, change.new);
        let lines: Vec<String> =
            changes.iter().filter(|change| !change.key.starts_with("profiles.")).map(line).collect();
        assert_eq!(
            lines,
            [
                r#"aws.endpoint_url: "http://(secret)@proxy:1/x" -> "http://(secret)@proxy:1/x""#,
                "dedupe.redis_url: unset -> (secret)",
                "publish.linger_ms: 10 -> 20",
                r#"queues[1].framing: unset -> "none""#,
                r#"queues[1].url: unset -> "http://a/2""#,
                r#"taps.customer: [] -> ["tenant_id"]"#,
            ]
        );
        assert!(changes.iter().any(|change| change.key == "profiles.web.int64"), "{changes:?}");
        let shown = format!("{changes:?}");
        assert!(!shown.contains(":secret@") && !shown.contains("word") && !shown.contains("pass"), "{shown}");
    }

    #[test]
    fn exactly_the_applied_keys_change_without_a_restart() {
        let mut new = Config::default();
        new.log.level = "debug".into();
        new.descriptors.poll_seconds = 7;
        let keys: Vec<String> = Config::default().changes(&new).into_iter().map(|change| change.key).collect();
        assert_eq!(keys, APPLIED);
        let mut applied = Config::default();
        applied.apply(&new);
        assert_eq!(applied, new);
    }

    #[test]
    fn the_operations_page_says_for_each_section_whether_a_change_takes_effect() {
        let page = include_str!("../../docs/operations.md");
        let table = page.split("| key | a change | reason |").nth(1).unwrap().split("\n\n").next().unwrap();
        let effective = table.lines().filter(|row| row.contains("| takes effect")).count();
        assert!(APPLIED.iter().all(|key| table.contains(&format!("| `{key}` | takes effect"))), "{table}");
        assert_eq!(effective, APPLIED.len(), "{table}");
        for section in json_schema()["properties"].as_object().unwrap().keys() {
            assert!(table.contains(&format!("`{section}.")) || table.contains(&format!("`{section}`")), "{section}");
        }
    }

    #[test]
    fn every_key_whose_description_speaks_of_a_password_is_secret() {
        fn visit(root: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
            let target =
                schema["$ref"].as_str().and_then(|name| root.pointer(name.trim_start_matches('#'))).unwrap_or(schema);
            for (name, property) in target["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if property["description"].as_str().is_some_and(|text| text.contains("password")) {
                    found.push(path.clone());
                }
                visit(root, property, &path, found);
            }
        }
        let (schema, mut found) = (json_schema(), Vec::new());
        visit(&schema, &schema, "", &mut found);
        found.sort();
        assert_eq!(found, SECRETS);
    }
}
