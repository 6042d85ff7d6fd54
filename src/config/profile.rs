//! The configuration of profiles: named ways to render JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to render JSON. The defaults are canonical ProtoJSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The spelling of field names: `json` (lowerCamelCase) or `proto` (as declared in the schema).
    pub field_names: FieldNames,
    /// The spelling of 64-bit integers: `string` (a JSON string, exact in every reader) or `number` (a JSON number,
    /// which JavaScript rounds beyond 2^53).
    pub int64: Int64,
    /// The spelling of enum values: `name` or `number`.
    pub enums: Enums,
    /// The spelling of bytes: `base64` (standard alphabet) or `base64url` (URL-safe alphabet).
    pub bytes: Bytes,
    /// Whether fields without presence are written even if they hold their default.
    pub emit_defaults: bool,
    /// The field paths to write; all other fields are left out. A path is the names as declared in the schema, joined
    /// by dots, such as `meta.event_id`. It can lead through repeated fields and through the values of maps. Default:
    /// all fields.
    pub include: Vec<String>,
    /// The field paths to leave out.
    pub drop: Vec<String>,
    /// The field paths whose value is hidden: a string becomes `"[REDACTED]"`, any other value becomes null.
    pub redact: Vec<String>,
    /// Whether the values of all fields that the schema marks with `debug_redact` are hidden.
    pub redact_marked: bool,
}

/// The spelling of field names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldNames {
    /// The JSON name, lowerCamelCase unless the schema says otherwise.
    #[default]
    Json,
    /// The name as declared in the schema.
    Proto,
}

/// The spelling of 64-bit integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Int64 {
    /// As JSON strings.
    #[default]
    String,
    /// As JSON numbers.
    Number,
}

/// The spelling of enum values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enums {
    /// By name.
    #[default]
    Name,
    /// By number.
    Number,
}

/// The spelling of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// In standard base64 with padding.
    #[default]
    Base64,
    /// In URL-safe base64 with padding.
    Base64Url,
}
