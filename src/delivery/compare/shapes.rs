//! Which keys of an event's JSON are fields, and which are keys of maps. A key of a map is data of the event.

use std::collections::HashMap;
use std::sync::Arc;

use protojson::Additions;
use serde_json::Value;

use crate::base::json_diff::Part;
use crate::schema::registry::EventType;

/// The JSON Schemas of the types that have differences, of both sides and in all profiles.
#[derive(Debug, Default)]
pub(super) struct Shapes(HashMap<Arc<str>, Vec<Value>>);

/// The most nodes of schemas that one part of a path leads to. There is one per profile and side.
const MAX_NODES: usize = 64;

impl Shapes {
    /// Returns the schemas of an event's types. Both sides have a type of this name, or one of them.
    pub(super) fn of(&mut self, sides: [Option<&Arc<EventType>>; 2]) -> &[Value] {
        let Some(name) = sides.iter().flatten().map(|event_type| Arc::clone(&event_type.name)).next() else {
            return &[];
        };
        self.0.entry(name).or_insert_with(|| {
            let types = sides.into_iter().flatten();
            let mut all: Vec<Value> = types
                .flat_map(|known| known.profiles().map(|profile| known.json_schema(profile, Additions::Accepted)))
                .collect();
            all.dedup();
            all
        })
    }
}

/// Returns a path without data of the event: `[]` for an index, and `{}` for a key that no schema has as a field.
pub(super) fn general(path: &[Part<'_>], schemas: &[Value]) -> String {
    let mut nodes: Vec<(&Value, &Value)> = schemas.iter().map(|schema| (schema, schema)).collect();
    let mut text = String::new();
    for part in path {
        let mut here = Vec::new();
        nodes.iter().for_each(|(document, node)| resolve(document, node, 0, &mut here));
        here.truncate(MAX_NODES);
        let next = |key: &str| here.iter().filter_map(|(document, node)| Some((*document, node.get(key)?))).collect();
        match part {
            Part::Item(_) => {
                text.push_str("[]");
                nodes = next("items");
            }
            Part::Field(name) => {
                let fields =
                    here.iter().filter_map(|(document, node)| Some((*document, node.get("properties")?.get(*name)?)));
                let fields: Vec<_> = fields.collect();
                if fields.is_empty() {
                    text.push_str("{}");
                    nodes = next("additionalProperties");
                } else {
                    text.push('.');
                    text.push_str(name);
                    nodes = fields;
                }
            }
        }
    }
    without_dot(text)
}

/// Returns a path with all indexes and keys.
pub(super) fn exact(path: &[Part<'_>]) -> String {
    without_dot(path.iter().map(Part::to_string).collect())
}

/// `$` is the whole JSON.
fn without_dot(text: String) -> String {
    match text.strip_prefix('.') {
        Some(path) => path.to_owned(),
        None if text.is_empty() => "$".to_owned(),
        None => text,
    }
}

/// Adds the nodes that a node refers to: itself, the target of a reference, and all alternatives.
fn resolve<'v>(document: &'v Value, node: &'v Value, depth: usize, nodes: &mut Vec<(&'v Value, &'v Value)>) {
    /// References of the writer lead to a definition, and alternatives to a reference or a type.
    const MAX_DEPTH: usize = 8;
    if depth > MAX_DEPTH {
        return;
    }
    nodes.push((document, node));
    let target = node.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    if let Some(target) = target.and_then(|target| document.pointer(target)) {
        resolve(document, target, depth + 1, nodes);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for alternative in node.get(key).and_then(Value::as_array).into_iter().flatten() {
            resolve(document, alternative, depth + 1, nodes);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn indexes_and_keys_of_maps_are_no_part_of_a_general_path() {
        let schema = json!({
            "$ref": "#/$defs/Order",
            "$defs": {
                "Order": {"type": "object", "additionalProperties": true, "properties": {
                    "items": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/Item"}]}},
                    "by_email": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Item"}},
                }},
                "Item": {"type": "object", "properties": {"sku": {"type": "string"}, "item": {"$ref": "#/$defs/Item"}}},
            }
        });
        let (field, item) = (|name| Part::Field(name), Part::Item);
        for (path, expected, text) in [
            (vec![], "$", "$"),
            (vec![field("items")], "items", "items"),
            (vec![field("items"), item(3), field("item"), field("sku")], "items[].item.sku", "items[3].item.sku"),
            (vec![field("by_email"), field("a@b.c"), field("sku")], "by_email{}.sku", "by_email.a@b.c.sku"),
            (vec![field("by_email"), field("a@b.c"), field("x")], "by_email{}{}", "by_email.a@b.c.x"),
            (vec![field("unknown"), field("x")], "{}{}", "unknown.x"),
        ] {
            assert_eq!(general(&path, std::slice::from_ref(&schema)), expected);
            assert_eq!(exact(&path), text);
        }
        let other = json!({"properties": {"unknown": {"type": "string"}}});
        assert_eq!(general(&[field("unknown")], &[schema, other]), "unknown", "one of the schemas has the field");
    }
}
