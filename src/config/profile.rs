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
    /// The spelling of bytes: `base64` (standard alphabet), `base64url` (URL-safe alphabet) or `hex` (lowercase digits,
    /// as tracing tools spell trace ids).
    pub bytes: Bytes,
    /// The treatment of a `google.protobuf.Any` whose type no descriptor set defines: `refuse` (the event waits for
    /// the type for `retry.unknown_type_grace_seconds`, then it goes into quarantine) or `bytes` (the Any becomes `{"@type": …, "value": …}`, and the value is the bytes of the message
    /// inside, spelled as `bytes` says; the event does not wait for the type). If the profile hides any field, with
    /// `include`, `drop`, `redact` or `redact_marked`, the value is null, because the bytes can contain such a field.
    pub unknown_any: UnknownAny,
    /// The treatment of strings that are not UTF-8: `refuse` (the event goes into quarantine) or `replace` (in fields
    /// of proto2 files, and of editions files with `utf8_validation = NONE`, each invalid sequence becomes U+FFFD).
    /// Strings of proto3 files, map keys and fields that `taps` name are refused in both cases.
    pub invalid_utf8: InvalidUtf8,
    /// Whether fields without presence are written even if they hold their default.
    pub emit_defaults: bool,
    /// The field paths to write; all other fields are left out. A path is the names as declared in the schema, joined
    /// by dots, such as `meta.event_id`. It can lead through repeated fields and through the values of maps. The name of
    /// an extension is its full name in brackets. `shop.v1.Order*/meta.event_id` is a path in the types that the pattern
    /// before the slash matches; a path without a slash is a path in every type that has it. The type is that of the
    /// event, or of a message in a `google.protobuf.Any`. Default: all fields.
    pub include: Vec<String>,
    /// The field paths to leave out, written as in `include`. Every path must match: a path with types must lead to a
    /// field in each of them, and a path without types in at least one type. protobridge does not start otherwise, and
    /// refuses a set in which a path no longer matches.
    pub drop: Vec<String>,
    /// The field paths whose value is hidden: a string becomes `"[REDACTED]"`, any other value becomes null. The paths
    /// are written as in `include` and must match as those of `drop`.
    pub redact: Vec<String>,
    /// Whether the values of all fields that the schema marks with `debug_redact` are hidden. protobridge refuses a set
    /// that removes the mark of a field; a start has no older set to compare with, so list fields that must never be
    /// visible in `redact` too.
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
    /// In two lowercase hexadecimal digits per byte.
    Hex,
}

/// The treatment of a `google.protobuf.Any` whose type no descriptor set defines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownAny {
    /// The event waits for the type during the grace period, then it goes into quarantine.
    #[default]
    Refuse,
    /// The Any is written with the bytes of the message inside.
    Bytes,
}

/// The treatment of strings that are not UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InvalidUtf8 {
    /// The event goes into quarantine.
    #[default]
    Refuse,
    /// Invalid sequences are replaced by U+FFFD in fields whose strings are not validated.
    Replace,
}
