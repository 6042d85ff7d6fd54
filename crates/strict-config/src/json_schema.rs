//! The JSON Schema that an editor or a reader of the document uses.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// Returns the JSON Schema (2020-12) of `T` under `title`, with a description and a default for each key.
///
/// The description of a key is the doc comment of its field, without the line breaks of the source. Only keys have
/// defaults: a section gets none, because each of its keys states its own.
pub fn json_schema<T: JsonSchema>(title: &str) -> Value {
    let Value::Object(generated) = SchemaGenerator::default().into_root_schema_for::<T>().to_value() else {
        return Value::Bool(true);
    };
    let mut schema = Map::new();
    for key in ["$schema", "title", "description"] {
        schema.extend(generated.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    schema.insert("title".into(), title.into());
    schema.extend(generated.into_iter().filter(|(key, _)| key != "title"));
    let mut schema = Value::Object(schema);
    tidy(&mut schema);
    schema
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("$ref") && object.get("default").is_some_and(Value::is_object) {
                object.remove("default");
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                let paragraphs: Vec<_> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    /// Settings of a shop,
    /// in two lines.
    #[derive(Serialize, JsonSchema, Default)]
    #[serde(default)]
    struct Shop {
        /// The door.
        door: Door,
    }

    /// The door of the shop.
    #[derive(Serialize, JsonSchema, Default)]
    #[serde(default)]
    struct Door {
        /// The width
        /// in millimeters.
        ///
        /// Standard doors are wider.
        width_mm: u32,
    }

    #[test]
    fn a_schema_has_descriptions_without_line_breaks_and_defaults_of_keys_only() {
        let schema = json_schema::<Shop>("Shop settings");
        let keys: Vec<_> = schema.as_object().unwrap().keys().take(3).collect();
        assert_eq!(keys, ["$schema", "title", "description"]);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], "Shop settings");
        assert_eq!(schema["description"], "Settings of a shop, in two lines.");
        assert_eq!(schema["properties"]["door"].get("default"), None);
        let width = &schema["$defs"]["Door"]["properties"]["width_mm"];
        assert_eq!(width["default"], 0);
        assert_eq!(width["description"], "The width in millimeters.\n\nStandard doors are wider.");
    }
}
