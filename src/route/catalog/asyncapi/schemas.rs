//! JSON Schemas as components: collects the definitions of many schema documents, each once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The components that were collected, by key.
#[derive(Debug, Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

/// The payload of a message.
#[derive(Debug)]
pub(super) struct Reference {
    /// A reference to the component.
    pub(super) schema: Value,
    /// The component's description.
    pub(super) description: Option<Value>,
}

const DEFINITIONS: &str = "#/$defs/";
const COMPONENTS: &str = "#/components/schemas/";

impl Schemas {
    /// Adds the definitions of a schema document with a prefix. Returns a reference to its root.
    pub(super) fn add(&mut self, prefix: &str, mut document: Value) -> Reference {
        let root = document["$ref"].take();
        let root = root.as_str().and_then(|root| root.strip_prefix(DEFINITIONS)).unwrap_or_default();
        let definitions = match document["$defs"].take() {
            Value::Object(definitions) => definitions,
            _ => Map::new(),
        };
        let description = definitions.get(root).and_then(|root| root.get("description")).cloned();
        // Each descriptor set is linked by itself, so a name can mean a newer type in one set and an older type in another.
        // Then all definitions of the second document get a longer prefix.
        let mut prefix = format!("{prefix}-");
        loop {
            let components =
                || definitions.iter().map(|(name, it)| (format!("{prefix}{name}"), relocated(it, &prefix)));
            if components().all(|(name, it)| self.0.get(&name).is_none_or(|known| *known == it)) {
                self.0.extend(components());
                let reference = format!("{COMPONENTS}{prefix}{root}");
                return Reference { schema: json!({"$ref": reference}), description };
            }
            prefix.push('-');
        }
    }

    /// Returns all components, sorted by key.
    pub(super) fn into_components(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }
}

/// Returns a copy of a schema whose references point to components.
fn relocated(schema: &Value, prefix: &str) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| relocated(item, prefix)).collect(),
        Value::Object(members) => {
            if let Some(definition) =
                members.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix(DEFINITIONS))
            {
                // Definitions have no other keywords beside a reference, because draft 7 ignores those.
                return json!({"$ref": format!("{COMPONENTS}{prefix}{definition}")});
            }
            members.iter().map(|(key, value)| (key.clone(), relocated(value, prefix))).collect()
        }
        _ => schema.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Value {
        json!({
            "$ref": "#/$defs/a_Root",
            "$defs": {
                "a_Root": {"properties": {
                    "plain": {"$ref": "#/$defs/a_Inner"},
                    "said": {"description": "says", "allOf": [{"$ref": "#/$defs/a_Inner"}]},
                    "$ref": {"type": "string"}
                }},
                "a_Inner": {"const": text}
            }
        })
    }

    #[test]
    fn references_point_to_components() {
        let mut schemas = Schemas::default();
        assert_eq!(schemas.add("web", document("x")).schema, json!({"$ref": "#/components/schemas/web-a_Root"}));
        let components = schemas.into_components();
        assert_eq!(
            components["web-a_Root"],
            json!({"properties": {
                "plain": {"$ref": "#/components/schemas/web-a_Inner"},
                "said": {"description": "says", "allOf": [{"$ref": "#/components/schemas/web-a_Inner"}]},
                "$ref": {"type": "string"}
            }})
        );
    }

    #[test]
    fn equal_definitions_are_shared_and_different_ones_are_not() {
        let mut schemas = Schemas::default();
        let first = schemas.add("web", document("x")).schema;
        assert_eq!(schemas.add("web", document("x")).schema, first);
        assert_eq!(schemas.add("web", document("y")).schema, json!({"$ref": "#/components/schemas/web--a_Root"}));
        let names: Vec<String> = schemas.into_components().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["web--a_Inner", "web--a_Root", "web-a_Inner", "web-a_Root"]);
    }
}
