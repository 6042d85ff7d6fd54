//! Profiles: ways to render JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to render JSON. The defaults are canonical ProtoJSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Spelling of field names: `json` (lowerCamelCase) or `proto` (as declared).
    pub field_names: FieldNames,
    /// 64-bit integers as JSON strings (exact everywhere) or numbers (JavaScript rounds beyond 2^53).
    pub int64: Int64,
    /// Enum values by name or by number.
    pub enums: Enums,
    /// Bytes in standard base64 or in the URL-safe alphabet.
    pub bytes: Bytes,
    /// Write fields without presence even where they hold their default.
    pub emit_defaults: bool,
    /// Field paths to write, and nothing else: names as declared, joined by dots, such as `meta.event_id`; they lead
    /// through repeated fields and the values of maps. Default: all fields.
    pub include: Vec<String>,
    /// Field paths to leave out.
    pub drop: Vec<String>,
    /// Field paths whose value is hidden: `"[REDACTED]"` for a string, null for everything else.
    pub redact: Vec<String>,
    /// Hide the values of all fields that the schema marks with `debug_redact`.
    pub redact_marked: bool,
}

/// Spelling of field names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldNames {
    /// The JSON name, lowerCamelCase unless the schema says otherwise.
    #[default]
    Json,
    /// The name as declared in the schema.
    Proto,
}

/// Spelling of 64-bit integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Int64 {
    /// As JSON strings.
    #[default]
    String,
    /// As JSON numbers.
    Number,
}

/// Spelling of enum values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enums {
    /// By name.
    #[default]
    Name,
    /// By number.
    Number,
}

/// Spelling of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// In standard base64 with padding.
    #[default]
    Base64,
    /// In URL-safe base64 with padding.
    Base64Url,
}
