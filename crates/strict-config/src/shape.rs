//! The shape of a type: the parts of its JSON Schema that [`crate::check`] and [`crate::variables`] need.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// The kind of value that a schema describes.
#[derive(Debug, PartialEq)]
pub(crate) enum Shape {
    /// A mapping with these keys and no others.
    Struct(Vec<Field>),
    /// A mapping with any keys.
    Map(Box<Shape>),
    List(Box<Shape>),
    Text {
        /// The allowed texts. If empty, any text is allowed.
        choices: Vec<String>,
        /// The `format` of the schema.
        format: Option<String>,
    },
    Integer {
        min: Option<i128>,
        max: Option<i128>,
    },
    Number,
    Boolean,
    /// Any value. Serde decides whether it fits.
    Any,
}

/// A key of a [`Shape::Struct`].
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Whether the key must be present.
    pub(crate) required: bool,
    /// Whether the key can be absent or null, as opposed to having a default.
    pub(crate) nullable: bool,
}

impl Shape {
    /// Returns the shape of `T`, whose definition must not contain itself.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let root = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
        Self::compile(&root, &root)
    }

    fn compile(root: &Value, schema: &Value) -> Self {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            return target.map_or(Self::Any, |target| Self::compile(root, target));
        }
        if let Some(alternatives) = ["oneOf", "anyOf"].iter().find_map(|key| schema[key].as_array()) {
            return Self::compile_alternatives(root, alternatives);
        }
        if let Some(choice) = schema["const"].as_str() {
            return Self::Text { choices: vec![choice.into()], format: None };
        }
        let choices = strings(&schema["enum"]);
        match type_name(schema) {
            Some("object") => Self::compile_object(root, schema),
            Some("array") => Self::List(Box::new(Self::compile(root, &schema["items"]))),
            Some("string") => Self::Text { choices, format: schema["format"].as_str().map(Into::into) },
            Some("integer") => Self::Integer {
                min: integer(&schema["minimum"]),
                max: integer(&schema["maximum"]).or_else(|| widest(schema["format"].as_str())),
            },
            Some("number") => Self::Number,
            Some("boolean") => Self::Boolean,
            _ => Self::Any,
        }
    }

    /// Compiles an optional value, or an enum whose variants have schemas of their own.
    fn compile_alternatives(root: &Value, alternatives: &[Value]) -> Self {
        let mut shapes: Vec<Self> = alternatives
            .iter()
            .filter(|alternative| alternative["type"] != "null")
            .map(|alternative| Self::compile(root, alternative))
            .collect();
        if shapes.len() == 1 {
            return shapes.remove(0);
        }
        let mut all = Vec::new();
        for shape in shapes {
            match shape {
                Self::Text { choices, format: None } if !choices.is_empty() => all.extend(choices),
                _ => return Self::Any,
            }
        }
        Self::Text { choices: all, format: None }
    }

    fn compile_object(root: &Value, schema: &Value) -> Self {
        let Some(properties) = schema["properties"].as_object() else {
            return match &schema["additionalProperties"] {
                values @ Value::Object(_) => Self::Map(Box::new(Self::compile(root, values))),
                _ => Self::Any,
            };
        };
        let required = strings(&schema["required"]);
        let field = |(name, property): (&String, &Value)| Field {
            name: name.clone(),
            shape: Self::compile(root, property),
            required: required.contains(name),
            nullable: is_nullable(property),
        };
        Self::Struct(properties.iter().map(field).collect())
    }

    /// Returns every path that ends in the key `name`, to suggest the right section for a key.
    pub(crate) fn paths_to(&self, name: &str) -> Vec<String> {
        let Self::Struct(fields) = self else { return Vec::new() };
        let mut paths = Vec::new();
        for field in fields {
            if field.name == name {
                paths.push(name.to_owned());
            }
            paths.extend(field.shape.paths_to(name).iter().map(|path| format!("{}.{path}", field.name)));
        }
        paths
    }
}

/// Returns the type of the schema, apart from `null`, if it is a single one.
fn type_name(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut others = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            others.next().filter(|_| others.next().is_none())
        }
        _ => None,
    }
}

fn is_nullable(schema: &Value) -> bool {
    let types = schema["type"].as_array().into_iter().flatten();
    let alternatives = schema["anyOf"].as_array().into_iter().flatten().map(|alternative| &alternative["type"]);
    types.chain(alternatives).any(|name| name == "null")
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// Returns a bound, which a schema can spell as a float.
fn integer(bound: &Value) -> Option<i128> {
    bound.as_i64().map(Into::into).or_else(|| bound.as_u64().map(Into::into)).or(bound.as_f64().map(|f| f as i128))
}

/// Returns the largest value of an integer type that schemars names in `format` without a `maximum`.
fn widest(format: Option<&str>) -> Option<i128> {
    match format? {
        "int32" => Some(i32::MAX.into()),
        "uint32" => Some(u32::MAX.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::Library;

    #[test]
    fn a_type_becomes_a_shape() {
        let Shape::Struct(fields) = Shape::of::<Library>() else { panic!("not a struct") };
        let shapes: Vec<_> = fields.iter().map(|field| format!("{}: {:?}\n", field.name, field.shape)).collect();
        insta::assert_snapshot!(shapes.concat().replace(", Field {", ",\n  Field {").replace("[Field {", "[\n  Field {"), @r#"
        name: Text { choices: [], format: None }
        door: Struct([
          Field { name: "width_mm", shape: Integer { min: Some(1), max: Some(5000) }, required: false, nullable: false },
          Field { name: "max_weight_grams", shape: Integer { min: Some(1024), max: None }, required: false, nullable: false },
          Field { name: "is_open", shape: Boolean, required: false, nullable: false },
          Field { name: "opening_share", shape: Number, required: false, nullable: false },
          Field { name: "paint", shape: Text { choices: ["none", "oil", "varnish"], format: None }, required: false, nullable: false },
          Field { name: "keeper", shape: Text { choices: [], format: None }, required: false, nullable: true },
          Field { name: "signs", shape: List(Text { choices: [], format: None }), required: false, nullable: false },
          Field { name: "bell", shape: Text { choices: [], format: Some("socket-address") }, required: false, nullable: false }])
        shelves: List(Struct([
          Field { name: "id", shape: Text { choices: [], format: None }, required: true, nullable: false },
          Field { name: "books", shape: Integer { min: Some(0), max: Some(4294967295) }, required: false, nullable: false }]))
        readers: Map(Struct([
          Field { name: "max_loans", shape: Integer { min: Some(0), max: Some(4294967295) }, required: false, nullable: false }]))
        "#);
    }
}
