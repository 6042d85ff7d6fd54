//! How the JSON is spelled. The defaults are canonical ProtoJSON.

/// How the JSON is spelled; [`Options::default`] is canonical ProtoJSON.
///
/// Options are compiled into a [`Plan`](crate::Plan), so choosing them costs nothing per payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Options {
    /// Spelling of field names.
    pub field_names: FieldNames,
    /// Spelling of 64-bit integers.
    pub int64: Int64,
    /// Spelling of enum values.
    pub enums: Enums,
    /// Spelling of bytes.
    pub bytes: Bytes,
    /// Write fields without presence even where they hold their default; repeated and map fields as `[]` and `{}`.
    pub emit_defaults: bool,
    /// Field paths that are written, and nothing else; empty for all. A path is the names of fields as declared, joined
    /// by dots, from the message that is transcoded: `order.items.sku`. It leads through repeated fields and the values
    /// of maps; what an included field holds is included.
    pub include: Vec<String>,
    /// Field paths that are left out.
    pub drop: Vec<String>,
    /// Field paths whose value is hidden: `"[REDACTED]"` for a singular string, `null` for everything else, which every
    /// ProtoJSON reader takes for a field that is not set.
    pub redact: Vec<String>,
    /// Hide the values of all fields that the schema marks with `debug_redact`, wherever they are.
    pub redact_marked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            field_names: FieldNames::Json,
            int64: Int64::String,
            enums: Enums::Name,
            bytes: Bytes::Base64,
            emit_defaults: false,
            include: Vec::new(),
            drop: Vec::new(),
            redact: Vec::new(),
            redact_marked: false,
        }
    }
}

/// Spelling of field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldNames {
    /// The JSON name: lowerCamelCase, unless the schema sets `json_name`.
    Json,
    /// The name as declared in the schema.
    Proto,
}

/// Spelling of 64-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Int64 {
    /// As JSON strings, exact in every reader.
    String,
    /// As JSON numbers; readers that use doubles round beyond 2^53.
    Number,
}

/// Spelling of enum values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enums {
    /// By name; a number that has no name stays a number.
    Name,
    /// By number.
    Number,
}

/// Spelling of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bytes {
    /// Standard base64 with padding.
    Base64,
    /// URL-safe base64 with padding.
    Base64Url,
}
