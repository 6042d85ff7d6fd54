//! Schemas of single values, map keys and well-known types.

use std::collections::HashSet;

use prost_types::{EnumOptions, EnumValueOptions};
use serde_json::{Map, Value, json};

use super::annotate;
use crate::program::{AnyFallback, Kind, Program, Shape};
use crate::schema::{Comments, EnumDescriptor};
use crate::{Additions, Bytes};

/// Decimal integers of at most 64 bits.
const SIGNED: &str = "^(0|-?[1-9][0-9]{0,18})$";
const UNSIGNED: &str = "^(0|[1-9][0-9]{0,19})$";
/// Decimal integers of at most 32 bits.
const SIGNED_32: &str = "^(0|-?[1-9][0-9]{0,9})$";
const UNSIGNED_32: &str = "^(0|[1-9][0-9]{0,9})$";

const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
const BASE64_URL: &str = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$";

const HEX: &str = "^([0-9a-f]{2})*$";

/// A full name, or anything before it that ends with a slash.
const TYPE_URL: &str = "(^|/)[A-Za-z_][A-Za-z0-9_.]*$";

/// Either no fraction of a second, or 3, 6 or 9 digits.
const TIMESTAMP: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{3}([0-9]{3}([0-9]{3})?)?)?Z$";
const DURATION: &str = "^-?(0|[1-9][0-9]{0,11})([.][0-9]{3}([0-9]{3}([0-9]{3})?)?)?s$";
/// Paths of lowerCamelCase names, or `*`, joined by commas.
const FIELD_MASK: &str =
    "^(([*]|[A-Za-z][A-Za-z0-9]*([.][A-Za-z][A-Za-z0-9]*)*)(,([*]|[A-Za-z][A-Za-z0-9]*([.][A-Za-z][A-Za-z0-9]*)*))*)?$";

/// The largest float, as the shortest decimal number that reads back as it.
const MAX_FLOAT: f64 = 3.402_823_5e38;

/// Returns the schema of a value that is neither a message nor an enum.
pub(super) fn scalar(kind: Kind, program: &Program) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => integer(i32::MIN, i32::MAX),
        Kind::Uint32 => integer(u32::MIN, u32::MAX),
        Kind::Int64 { quoted: true } | Kind::Sint64 { quoted: true } => json!({"type": "string", "pattern": SIGNED}),
        Kind::Int64 { quoted: false } | Kind::Sint64 { quoted: false } => integer(i64::MIN, i64::MAX),
        Kind::Uint64 { quoted: true } => json!({"type": "string", "pattern": UNSIGNED}),
        Kind::Uint64 { quoted: false } => integer(u64::MIN, u64::MAX),
        Kind::Float => float(json!({"type": "number", "minimum": -MAX_FLOAT, "maximum": MAX_FLOAT})),
        Kind::Double => float(json!({"type": "number"})),
        Kind::String { .. } => json!({"type": "string"}),
        Kind::Bytes => {
            let (encoding, pattern) = match program.bytes {
                Bytes::Base64 => ("base64", BASE64),
                Bytes::Base64Url => ("base64url", BASE64_URL),
                Bytes::Hex => ("base16", HEX),
            };
            json!({"type": "string", "contentEncoding": encoding, "pattern": pattern})
        }
        Kind::Null => json!({"type": "null"}),
        // The callers handle these kinds themselves.
        Kind::Enum(_) | Kind::EnumNumber | Kind::Message(_) | Kind::Map(_) => json!({}),
    }
}

fn integer(minimum: impl Into<Value>, maximum: impl Into<Value>) -> Value {
    json!({"type": "integer", "minimum": minimum.into(), "maximum": maximum.into()})
}

fn float(number: Value) -> Value {
    json!({"anyOf": [number, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

/// Returns the schema of a map's keys, or `None` if every string is valid.
pub(super) fn key(kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Bool => json!({"enum": ["false", "true"]}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"pattern": SIGNED_32}),
        Kind::Uint32 => json!({"pattern": UNSIGNED_32}),
        Kind::Int64 { .. } | Kind::Sint64 { .. } => json!({"pattern": SIGNED}),
        Kind::Uint64 { .. } => json!({"pattern": UNSIGNED}),
        _ => return None,
    })
}

/// Returns the schema of a well-known type. `inside` is the schema of the value in a wrapper.
pub(super) fn well_known(shape: Shape, inside: Option<Value>, unknown_any: AnyFallback, additions: Additions) -> Value {
    match shape {
        Shape::Timestamp => json!({
            "description": "A point in time in UTC, in RFC 3339 format.",
            "type": "string", "format": "date-time", "pattern": TIMESTAMP
        }),
        Shape::Duration => json!({
            "description": "Seconds with a fraction of 0, 3, 6 or 9 digits.",
            "type": "string", "pattern": DURATION
        }),
        Shape::FieldMask => json!({
            "description": "Field paths in lowerCamelCase, joined by commas.",
            "type": "string", "pattern": FIELD_MASK
        }),
        Shape::Struct => json!({"description": "Any JSON object.", "type": "object"}),
        Shape::ListValue => json!({"description": "Any JSON array.", "type": "array"}),
        // A schema without types is an object to some code generators.
        Shape::Value => json!({
            "description": "Any JSON value.",
            "type": ["null", "boolean", "number", "string", "array", "object"]
        }),
        Shape::Any => any(unknown_any, additions),
        // A plain message has no JSON form of its own.
        Shape::Wrapper | Shape::Plain => inside.unwrap_or_default(),
    }
}

fn any(unknown: AnyFallback, additions: Additions) -> Value {
    let known = "A message of the type that `@type` names: its fields beside `@type`, or, if it is a well-known type \
        with its own JSON form, that form under `value`.";
    // The type URL of an unknown type can be any string.
    let (description, url) = match unknown {
        AnyFallback::Refused => (known.to_owned(), json!({"type": "string", "pattern": TYPE_URL})),
        AnyFallback::Bytes => {
            (format!("{known} If the type is unknown, its bytes are under `value`."), json!({"type": "string"}))
        }
        AnyFallback::Hidden => (format!("{known} If the type is unknown, `value` is null."), json!({"type": "string"})),
    };
    let mut schema = json!({
        "description": description,
        "type": "object",
        "properties": {"@type": url},
        "additionalProperties": true
    });
    if additions == Additions::Refused {
        schema["anyOf"] = json!([{"required": ["@type"]}, {"maxProperties": 0}]);
    }
    schema
}

/// Returns the schema of an enum, by name or by number. The comments of its values are part of its description.
pub(super) fn enumeration(
    descriptor: &EnumDescriptor,
    as_number: bool,
    additions: Additions,
    comments: &mut Comments,
) -> Value {
    let values = descriptor.values();
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let mut has_more_than_names = as_number;
    // In declaration order, so that the first of several aliases wins.
    for (index, value) in values.iter().enumerate() {
        if !seen.insert(value.number()) {
            continue;
        }
        let (name, number) = (value.name(), value.number());
        let mut line = if as_number { format!("- {number}: `{name}`") } else { format!("- `{name}`") };
        if value.options.as_ref().is_some_and(EnumValueOptions::deprecated) {
            has_more_than_names = true;
            line.push_str(", deprecated");
        }
        if let Some(comment) = comments.of(&descriptor.value_element(index)) {
            has_more_than_names = true;
            line.push_str(": ");
            line.push_str(&comment.replace('\n', "\n  "));
        }
        names.push(name);
        lines.push(line);
    }
    let mut description: Vec<String> = comments.of(&descriptor.element()).into_iter().collect();
    if has_more_than_names {
        description.push(lines.join("\n"));
    }
    let is_deprecated = descriptor.options().as_ref().is_some_and(EnumOptions::deprecated);
    let mut schema = Map::new();
    annotate(&mut schema, Some(description.join("\n\n")).filter(|text| !text.is_empty()), is_deprecated);
    let number = integer(i32::MIN, i32::MAX);
    let known = json!({"type": "string", "enum": names});
    let schema_of_values = match additions {
        _ if as_number => number,
        // Code generators make a union of the known names and any other string.
        Additions::Accepted => json!({"anyOf": [known, {"type": "string"}, number]}),
        Additions::Refused => json!({"anyOf": [known, number]}),
    };
    schema.extend(super::object(schema_of_values));
    schema.into()
}
